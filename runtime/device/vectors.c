/* SPDX-License-Identifier: BSD-3-Clause
 * vectors.c: vectors on a GPU, in the order of the runtime's stream. What goes wrong is kept for
 * the next call that can return it. */
#include "end.h"

static void note(struct device_end *end, enum ww_status status)
{
    enum ww_status none = WW_OK;
    if (status != WW_OK) {
        atomic_compare_exchange_strong(&end->trouble, &none, status);
    }
}

static void *reserve(void *self, size_t bytes)
{
    struct device_end *end = self;
    void *memory = NULL;
    struct visit before = end_enter(end);
    enum ww_status status = gpu_alloc(bytes, &memory);
    end_leave(end, before);
    return status == WW_OK ? memory : NULL;
}

static void release(void *self, void *memory, size_t bytes)
{
    struct device_end *end = self;
    (void)bytes;
    struct visit before = end_enter(end);
    gpu_free(memory);
    end_leave(end, before);
}

static void zero(void *self, void *values, size_t bytes)
{
    struct device_end *end = self;
    struct visit before = end_enter(end);
    note(end, gpu_zero(values, bytes, end->stream));
    end_leave(end, before);
}

static void add(void *self, float *into, const float *more, size_t count)
{
    struct device_end *end = self;
    const void *sources[] = {into, more};
    note(end, gpu_status(cuda_reduce(WW_F32, WW_SUM, into, sources, 2, count, 1.0, end->stream),
                         "adding residuals"));
}

static void scale(void *self, enum ww_type type, void *values, size_t count, double factor)
{
    struct device_end *end = self;
    note(end, gpu_status(cuda_scale(type, values, count, factor, NULL, end->stream), "scaling"));
}

static enum ww_status move(void *self, void *into, const void *from, size_t bytes)
{
    struct device_end *end = self;
    struct visit before = end_enter(end);
    enum ww_status status = gpu_copy(into, from, bytes, end->stream);
    if (status == WW_OK) {
        status = gpu_stream_finish(end->stream);
    }
    end_leave(end, before);
    return status;
}

static void copy(void *self, const struct pieces *pieces)
{
    struct device_end *end = self;
    note(end, gpu_status(cuda_copy_pieces(pieces->into, pieces->from, pieces->bytes, pieces->count,
                                          end->stream),
                         "bringing tensors together"));
}

/* To the GPU, out of the host's memory. */
static void copy_over(void *self, const struct pieces *pieces)
{
    struct device_end *end = self;
    struct visit before = end_enter(end);
    for (int i = 0; i < pieces->count; i++) {
        note(end, gpu_copy(pieces->into[i], pieces->from[i], pieces->bytes[i], end->stream));
    }
    end_leave(end, before);
}

struct vectors end_vectors(struct device_end *end)
{
    return (struct vectors){.reserve = reserve,
                            .release = release,
                            .zero = zero,
                            .add = add,
                            .scale = scale,
                            .read = move,
                            .write = move,
                            .self = end};
}

struct copier end_copier(struct device_end *end)
{
    return (struct copier){.copy = end->base.staged ? copy_over : copy, .self = end};
}
