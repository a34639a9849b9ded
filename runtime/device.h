/* SPDX-License-Identifier: BSD-3-Clause
 * device.h: a context whose gradients lie on a GPU. Steps and single calls go their usual way, and
 * come to these where memory is touched or moved. Only device/ knows what a GPU is; in a library
 * without CUDA context->device is always NULL. */
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H

#include "context.h"

struct device;

/* A single call on device memory, checked and agreed on. */
struct device_call {
    const struct run_request *request;
    float *residual; /* NULL = none */
    bool takes_in;   /* the residual goes into the input, and is zero then */
};

struct device_ops {
    /* How a collective of device memory travels: fills the request. */
    enum ww_status (*plan)(struct device *device, const struct wish *wish, size_t count,
                           const struct codec_spec *spec, struct run_request *request);

    /* Whether memory is that of the context's GPU; *owner = whose it is, -1 = no GPU's. */
    bool (*owns)(const struct device *device, const void *memory, int *owner);

    /* What a bucket needs, once it is known; and its end. */
    enum ww_status (*add_bucket)(struct device *device, struct bucket *bucket);
    void (*remove_bucket)(struct device *device, struct bucket *bucket);

    /* Its tensors were all handed over: marks the place in the program's stream, and reserves what
     * it needs. */
    enum ww_status (*note_ready)(struct device *device, struct bucket *bucket);

    /* Whether it may leave: WW_PENDING = its values are still on their way. */
    enum ww_status (*look_ready)(struct device *device, struct bucket *bucket);

    /* All ranks agreed on it: enqueues everything, or brings results back where it was staged. */
    enum ww_status (*run_bucket)(struct device *device, struct bucket *bucket);

    /* The program's stream goes on once the results are there. */
    enum ww_status (*await_bucket)(struct device *device, struct bucket *bucket);

    /* The step has ended: what the GPU finished meanwhile goes into the report. */
    enum ww_status (*end_step)(struct device *device, struct ww_report *report);

    /* Memory for a call, before the ranks agree on it; then the call. */
    enum ww_status (*reserve_call)(struct device *device, const struct device_call *call);
    enum ww_status (*run_call)(struct device *device, const struct device_call *call);

    /* Whoever waits for others calls it now and then: one of them may be held by NCCL. */
    void (*release)(struct device *device);

    /* The caller waits for the program's stream. */
    enum ww_status (*settle)(struct device *device);

    /* Bytes of its messages so far, of steps or of calls; added to traffic and planned. */
    void (*count)(const struct device *device, bool calls, struct ww_traffic *traffic,
                  uint64_t *planned);

    void (*abort)(struct device *device); /* the context broke: nothing may hang */
    void (*rest)(struct device *device);  /* it ends: nobody looks after the GPU any more */
    void (*destroy)(struct device *device, bool failed);
};

/* What the rest of the runtime may look at. */
struct device {
    const struct device_ops *ops;
    struct ww_context *context;
    bool staged; /* gradients travel through the host's memory */
    char description[160];
};

/* Takes the context's plan for device memory, or that of the host. */
static inline bool device_enqueues(const struct ww_context *context)
{
    return context->device != NULL && !context->device->staged;
}

#endif
