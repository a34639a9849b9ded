/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_scalar.c: the definition of the loops of top-k, in portable C. */
#include "kernels/sparse_one.h"

#include <string.h>

static size_t keys_scalar(uint32_t *keys, const struct stretch *in, const struct momentum *momentum,
                          uint32_t threshold)
{
    size_t count = 0;
    for (size_t i = 0; i < in->count; i++) {
        uint32_t key = sparse_key(sparse_value(in, momentum, i) + sparse_residual(in, i));
        keys[count] = key;
        count += key >= threshold;
    }
    return count;
}

static size_t choose_scalar(uint16_t *offsets, uint16_t *codes, const struct stretch *in,
                            uint32_t threshold, struct momentum *momentum, size_t *wild)
{
    struct choosing run = {.offsets = offsets, .codes = codes, .in = in, .momentum = momentum};
    run.threshold = threshold < SPARSE_KEY_INFINITY ? threshold : SPARSE_KEY_INFINITY;
    for (size_t i = 0; i < in->count; i++) {
        sparse_choose_one(&run, i);
    }
    *wild = run.wild;
    return run.chosen;
}

static void scatter_scalar(float *into, const uint16_t *offsets, const uint16_t *codes,
                           size_t count, float scale)
{
    for (size_t i = 0; i < count; i++) {
        float *at = &into[offsets[i]];
        /* Compilers swap the operands of +: of two NaNs the left one comes twice. */
        *at = *at + (*at != *at ? *at : scale * bf16_widen(codes[i]));
    }
}

static void pour_scalar(float *into, float *from, size_t count)
{
    memcpy(into, from, count * sizeof *into);
    memset(from, 0, count * sizeof *from);
}

void sparse_kernels_scalar(struct sparse_kernels *kernels)
{
    kernels->keys = keys_scalar;
    kernels->choose = choose_scalar;
    kernels->scatter = scatter_scalar;
    kernels->pour = pour_scalar;
    kernels->pour_streams = false;
}
