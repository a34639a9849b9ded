/* SPDX-License-Identifier: BSD-3-Clause
 * call.h: the collective calls that a context makes for itself. */
#ifndef RUNTIME_CALL_H
#define RUNTIME_CALL_H

#include "context.h"

/* Waits until every rank has come to the same place, `label` (GATE_LABEL_...), before something
 * that must not wait for a rank in vain: ranks that do something else or do not come are named.
 * A failure breaks the context. */
enum ww_status call_meet(struct ww_context *context, const char *name, uint32_t label);

/* A call on memory of the context's GPU, as the program made it. */
struct call_on_device {
    const char *name;
    enum collective collective;
    const void *input;
    void *output;
    size_t count;
    enum ww_type type;
    enum ww_op op;     /* WW_OP_COUNT where nothing is reduced */
    int root;          /* -1 where there is none */
    const char *codec; /* NULL = it is not encoded */
    float *residual;   /* NULL = no error feedback */
};

/* Whether its arguments are well: for one that goes another way. Nothing breaks. */
enum ww_status call_check_on_device(struct ww_context *context, const struct call_on_device *asked);
enum ww_status call_on_device(struct ww_context *context, const struct call_on_device *asked);

/* For whom a call is made: the name that begins sentences, and what ranks at another place are told
 * apart by, GATE_LABEL_... */
struct call_purpose {
    const char *name;
    uint32_t label;
};

/* The same, with few bytes of every rank: all[size * bytes], in rank order. bytes is a multiple of
 * 8, memory is aligned to that. And with bytes of rank `root` for everybody, a multiple of 4. */
enum ww_status call_gather(struct ww_context *context, const struct call_purpose *purpose,
                           const void *mine, void *all, size_t bytes);
enum ww_status call_spread(struct ww_context *context, const struct call_purpose *purpose,
                           void *values, size_t bytes, int root);

/* The largest of all ranks' values. */
enum ww_status call_highest(struct ww_context *context, const struct call_purpose *purpose,
                            int32_t *value);

/* As ww_all_reduce_coded with WW_MEAN in place; what is drawn depends on the seed alone. */
struct call_mean {
    float *values;
    size_t count;
    const struct codec_spec *codec;
    float *residual; /* NULL = no error feedback */
    uint64_t seed;
};
enum ww_status call_mean(struct ww_context *context, const struct call_purpose *purpose,
                         const struct call_mean *mean);

#endif
