/* SPDX-License-Identifier: BSD-3-Clause
 * code.h: the loops between fp32 and the 16- and 8-bit codes of frames, with error feedback fused
 * in. code_scalar.c is the definition; every variant gives the same bits.
 *
 * At every element, with r = residual[i], 0 where there is none:
 *     a = fl32(values[i] + r)      what is encoded
 *     s                            what the code decodes to, on every rank the same bits
 *     next[i] = fl32(a - s)        so that fl32(s + next[i]) == a, bit for bit
 * Where a is not finite, next[i] = r, and the code decodes to something that is not finite either.
 * A finite a never decodes to anything else. Nothing is flushed to zero. The one exception to "bit
 * for bit" is a = -0, which comes back as +0; it takes an r of -0, and next is never one unless a
 * was: residuals that begin as +0 never meet it. */
#ifndef KERNELS_CODE_H
#define KERNELS_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements of a block of 8-bit codes, which share one scale. */
#define CODE_BLOCK 256

/* A stretch of values on its way into a frame. */
struct stretch {
    const float *values;   /* [count] */
    const float *residual; /* [count], NULL = zeros */
    float *next;           /* [count], NULL exactly where residual is; may be the same address */
    size_t count;
    bool cold; /* next is not read soon: it may go past the caches */
};

/* A stretch of codes on its way out: into[i] = fl32(scale * s), or fl32(into[i] + s), where of two
 * NaNs into's wins. */
struct unpack {
    float *into;
    size_t count;
    float scale; /* 1 where add */
    bool add;
    bool clear; /* into holds +0 only: whoever would begin with that need not */
};

/* Random numbers for stochastic rounding: a pure function of the seed, the index of a block's first
 * element and the place in the block, which repeats after 2^32 elements. */
struct dither {
    uint64_t seed;
    uint64_t index; /* of the stretch's first element */
};

/* The largest step of 8-bit codes: 127 of the next float would be infinite. */
#define CODE_STEP_MAX 0x1.020406p121f

struct code_kernels {
    /* The largest |a| among finite ones, 0 where there is none; *wild = those that are not. */
    float (*magnitude)(const struct stretch *in, size_t *wild);

    /* code = f16(a * unit), nearest, ties to even; s = code / unit. unit is a power of two of
     * 2^-126 .. 2^126; finite a for which s would be infinite become the largest for which it is
     * not. All NaNs have the code 0x7e00. Returns the magnitude, as above: only if it tells that no
     * finite a * unit overflows, all of this holds. */
    float (*encode_f16)(uint16_t *codes, const struct stretch *in, float unit, size_t *wild);
    void (*decode_f16)(const struct unpack *out, const uint16_t *codes, float unit);

    /* The upper half of a, nearest, ties to even; finite a that would round to infinity become the
     * largest finite code. All NaNs have the code 0x7fc0. Returns how many a were not finite. */
    size_t (*encode_bf16)(uint16_t *codes, const struct stretch *in);
    void (*decode_bf16)(const struct unpack *out, const uint16_t *codes);

    /* Blocks of CODE_BLOCK, the last one may be shorter. steps[block] = largest finite |a| / 127,
     * at most CODE_STEP_MAX, or 0 (all codes 0) where the largest is below 2^-110; code = a / step,
     * -127 .. 127, s = fl32(code * step); -128 where a is not finite: it decodes to NaN. Rounds to
     * nearest, or stochastically with dither, which takes no residual: a / step + u to nearest, u
     * uniform in -1/2 .. 1/2. Returns how many a were not finite. */
    size_t (*encode_i8)(int8_t *codes, float *steps, const struct stretch *in,
                        const struct dither *dither);
    void (*decode_i8)(const struct unpack *out, const int8_t *codes, const float *steps);
};

void code_kernels_scalar(struct code_kernels *kernels);
void code_kernels_avx2(struct code_kernels *kernels);
void code_kernels_avx512(struct code_kernels *kernels);
void code_kernels_neon(struct code_kernels *kernels);

#endif
