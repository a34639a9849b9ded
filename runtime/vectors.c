/* SPDX-License-Identifier: BSD-3-Clause
 * vectors.c: vectors in the host's memory. */
#include "vectors.h"

#include <string.h>

#include "collectives.h"
#include "internal/cpu.h"
#include "internal/memory.h"

static void *reserve(void *self, size_t bytes)
{
    (void)self;
    return memory_reserve(bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self;
    memory_release(memory, bytes);
}

static void zero(void *self, void *values, size_t bytes)
{
    (void)self;
    memset(values, 0, bytes);
}

static const struct kernels *kernels_of(const void *self)
{
    return self;
}

static void add(void *self, float *into, const float *more, size_t count)
{
    const void *sources[] = {into, more};
    unsigned before = cpu_exact_begin();
    kernels_of(self)->reduce[WW_F32][WW_SUM](into, sources, 2, count, 1.0);
    cpu_exact_end(before);
}

static void scale(void *self, enum ww_type type, void *values, size_t count, double factor)
{
    const void *source = values;
    unsigned before = cpu_exact_begin();
    kernels_of(self)->reduce[type][WW_SUM](values, &source, 1, count, factor);
    cpu_exact_end(before);
}

static enum ww_status move(void *self, void *into, const void *from, size_t bytes)
{
    (void)self;
    memory_copy(into, from, bytes);
    return WW_OK;
}

static void copy(void *self, const struct pieces *pieces)
{
    (void)self;
    for (int i = 0; i < pieces->count; i++) {
        if (pieces->bytes[i] == 0) {
            continue;
        }
        if (pieces->from[i] == NULL) {
            memset(pieces->into[i], 0, pieces->bytes[i]);
        } else {
            memory_copy(pieces->into[i], pieces->from[i], pieces->bytes[i]);
        }
    }
}

struct vectors vectors_of_host(const struct kernels *kernels)
{
    return (struct vectors){.reserve = reserve,
                            .release = release,
                            .zero = zero,
                            .add = add,
                            .scale = scale,
                            .read = move,
                            .write = move,
                            .self = (void *)(uintptr_t)kernels};
}

struct copier copier_of_host(void)
{
    return (struct copier){.copy = copy};
}
