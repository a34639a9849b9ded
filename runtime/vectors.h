/* SPDX-License-Identifier: BSD-3-Clause
 * vectors.h: where gradients, buckets and residuals lie, and the few things that are done to them
 * outside of collectives: in the host's memory here and now, or on a GPU in the order of a stream.
 * There what goes wrong is found when the stream is used next. */
#ifndef RUNTIME_VECTORS_H
#define RUNTIME_VECTORS_H

#include <stddef.h>

#include <wirewise/wirewise.h>

/* Pieces that are copied together; from[i] NULL = zeros. */
struct pieces {
    void **into;
    const void **from;
    size_t *bytes;
    int count;
};

struct vectors {
    /* Memory for numbers, NULL without any; contents undefined. release takes NULL. */
    void *(*reserve)(void *self, size_t bytes);
    void (*release)(void *self, void *memory, size_t bytes);

    void (*zero)(void *self, void *values, size_t bytes);
    void (*add)(void *self, float *into, const float *more, size_t count); /* into = into + more */
    void (*scale)(void *self, enum ww_type type, void *values, size_t count, double factor);

    /* Between vectors and memory of the host, here and now, once what was done to them before is
     * done. WW_OK, or what went wrong. */
    enum ww_status (*read)(void *self, void *host, const void *from, size_t bytes);
    enum ww_status (*write)(void *self, void *into, const void *host, size_t bytes);
    void *self;
};

/* How tensors come together in buckets, and apart. */
struct copier {
    void (*copy)(void *self, const struct pieces *pieces);
    void *self;
};

struct kernels;

/* Of the host; kernels outlive it. */
struct vectors vectors_of_host(const struct kernels *kernels);
struct copier copier_of_host(void);

#endif
