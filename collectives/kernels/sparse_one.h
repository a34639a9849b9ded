/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_one.h: what choosing does to one element. The whole of sparse_scalar.c, and of every other
 * variant what its vectors leave over: the last elements, and blocks in which one is not finite. */
#ifndef KERNELS_SPARSE_ONE_H
#define KERNELS_SPARSE_ONE_H

#include "kernels/half.h"
#include "kernels/sparse.h"

#define SPARSE_MAGNITUDE 0x7fffffffu
#define SPARSE_CODE_NAN 0x7fc0u
#define SPARSE_CODE_LARGEST 0x7f7fu

/* A call of choose on its way. */
struct choosing {
    uint16_t *offsets;
    uint16_t *codes;
    const struct stretch *in;
    uint32_t threshold; /* at most SPARSE_KEY_INFINITY */
    struct momentum *momentum;
    size_t chosen;
    size_t wild;
};

EVERYWHERE uint32_t sparse_key(float a)
{
    uint32_t key = bits_of(a) & SPARSE_MAGNITUDE;
    return key < SPARSE_KEY_NAN ? key : SPARSE_KEY_NAN;
}

static inline float sparse_residual(const struct stretch *in, size_t i)
{
    return in->residual == NULL ? 0.0f : in->residual[i];
}

/* What takes the place of values[i]. */
static inline float sparse_value(const struct stretch *in, const struct momentum *momentum,
                                 size_t i)
{
    return momentum == NULL ? in->values[i] : momentum->factor * momentum->u[i] + in->values[i];
}

EVERYWHERE uint16_t sparse_code(float a)
{
    uint32_t key = sparse_key(a);
    uint32_t sign = bits_of(a) >> 16 & 0x8000;
    uint32_t rounded = (key + 0x7fff + (key >> 16 & 1)) >> 16;
    if (key >= SPARSE_KEY_INFINITY) {
        return (uint16_t)(key == SPARSE_KEY_NAN ? SPARSE_CODE_NAN : sign | rounded);
    }
    return (uint16_t)(sign | (rounded < SPARSE_CODE_LARGEST ? rounded : SPARSE_CODE_LARGEST));
}

static inline void sparse_next(const struct stretch *in, size_t i, float next)
{
    if (in->next != NULL) {
        in->next[i] = next;
    }
}

static inline void sparse_take(struct choosing *run, size_t i, uint16_t code)
{
    run->offsets[run->chosen] = (uint16_t)i;
    run->codes[run->chosen] = code;
    run->chosen++;
}

static inline void sparse_choose_one(struct choosing *run, size_t i)
{
    struct momentum *momentum = run->momentum;
    float residual = sparse_residual(run->in, i);
    float value = sparse_value(run->in, momentum, i);
    float a = value + residual;
    uint32_t key = sparse_key(a);
    bool chosen = key >= run->threshold;
    if (key >= SPARSE_KEY_INFINITY) {
        sparse_take(run, i, sparse_code(a));
        run->wild++;
        sparse_next(run->in, i, residual);
        return;
    }
    if (momentum != NULL) {
        momentum->masked += chosen ? (double)float_of(bits_of(value) & SPARSE_MAGNITUDE) : 0.0;
        momentum->u[i] = chosen ? 0.0f : value;
    }
    if (chosen) {
        uint16_t code = sparse_code(a);
        sparse_take(run, i, code);
        a -= bf16_widen(code);
    }
    sparse_next(run->in, i, a);
}

#endif
