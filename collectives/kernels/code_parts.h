/* SPDX-License-Identifier: BSD-3-Clause
 * code_parts.h: what the variants of the loops of codes share: parts of stretches, the scale of a
 * block of 8-bit codes, and the random bits of stochastic rounding. */
#ifndef KERNELS_CODE_PARTS_H
#define KERNELS_CODE_PARTS_H

#include "kernels/code.h"
#include "kernels/half.h"

/* The definition. What is rare, values that are not finite and the last few, variants leave to
 * it. */
extern const struct code_kernels code_scalar;

/* Elements that are worked on together. */
#define CODE_GROUP 32

/* Magnitudes from here on are not finite, or round to infinity with the 11 digits of f16 or the 8
 * of bf16. */
#define INFINITY_BITS (255u << 23)
#define LEAST_BITS_TO_INFINITE_F16 0x7f7ff000u
#define LEAST_BITS_TO_INFINITE_BF16 0x7f7f8000u

static inline struct stretch stretch_part(const struct stretch *in, size_t first, size_t count)
{
    struct stretch part = {.values = in->values + first, .count = count, .cold = in->cold};
    if (in->residual != NULL) {
        part.residual = in->residual + first;
        part.next = in->next + first;
    }
    return part;
}

static inline struct unpack unpack_part(const struct unpack *out, size_t first, size_t count)
{
    struct unpack part = *out;
    part.into += first;
    part.count = count;
    return part;
}

/* code = a * inverse, s = code * step. */
struct block_scale {
    float step;
    float inverse;
};

/* inverse is not above 1 / step, one float below the rounded quotient: so code 1 is only taken
 * where a > step / 2, and a - s is exact by Sterbenz' lemma, as it is for all other codes. */
EVERYWHERE struct block_scale block_scale_of(float largest)
{
    if (largest < 0x1p-110f) {
        struct block_scale none = {0.0f, 0.0f};
        return none;
    }
    float step = largest / 127.0f;
    step = step < CODE_STEP_MAX ? step : CODE_STEP_MAX;
    struct block_scale scale = {step, float_of(bits_of(1.0f / step) - 1)};
    return scale;
}

/* Random bits are a hash of the index with two keys made of the seed. */
struct dither_keys {
    uint32_t first;
    uint32_t second;
};

/* splitmix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * 2014, with Vigna's constants). */
EVERYWHERE struct dither_keys dither_keys_of(const struct dither *dither)
{
    uint64_t z = (dither == NULL ? 0 : dither->seed) + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    struct dither_keys keys = {(uint32_t)z, (uint32_t)(z >> 32)};
    return keys;
}

/* lowbias32, a bijection found by search for the least bias (Wellons: Prospecting for hash
 * functions, 2018), with a second key between its rounds, so that two seeds do not merely permute
 * each other's numbers. */
#define DITHER_FACTOR_1 0x7feb352du
#define DITHER_FACTOR_2 0x846ca68bu

EVERYWHERE uint32_t dither_bits(const struct dither_keys *keys, uint32_t index)
{
    uint32_t x = index ^ keys->first;
    x = (x ^ x >> 16) * DITHER_FACTOR_1;
    x = (x ^ x >> 15) + keys->second;
    x *= DITHER_FACTOR_2;
    return x ^ x >> 16;
}

/* Elements i and i + CODE_GROUP of a block share one hash, where i has no such bit: the first takes
 * all of it, the other its lower 16 bits. 16 are plenty for codes of 8, and hashing is most of the
 * work. Signed, in 2^32 steps. index is that of the block's first element. */
EVERYWHERE int32_t dither_of(const struct dither_keys *keys, uint32_t index, uint32_t i)
{
    uint32_t bits = dither_bits(keys, index + (i & ~(uint32_t)CODE_GROUP));
    return (int32_t)((i & CODE_GROUP) == 0 ? bits : bits << 16);
}

#endif
