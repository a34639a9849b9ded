/* SPDX-License-Identifier: BSD-3-Clause
 * sparse.h: the loops of top-k: choosing elements by their magnitude with error feedback fused in,
 * and adding them up again. sparse_scalar.c is the definition; every variant gives the same bits.
 */
#ifndef KERNELS_SPARSE_H
#define KERNELS_SPARSE_H

#include "kernels/code.h"

/* Elements of a chunk: offsets inside one have 16 bits. */
#define SPARSE_CHUNK 65536

/* Entries that a loop may write behind the last one it reports: it stores whole vectors. */
#define SPARSE_SLACK 64

/* Momentum correction (Lin et al., Deep Gradient Compression, 2018, section 3.1): before anything
 * else u = fl32(fl32(factor * u) + values[i]), and u takes the place of values[i]; where an element
 * is chosen, u becomes 0. u stays as it was where the sum is not finite. */
struct momentum {
    float *u;
    float factor;
    double masked; /* |u| that was discarded is added here, in order of the elements */
};

/* Keys order elements by magnitude: the bits of |a|. Infinity is above all numbers, and every NaN
 * has the one key above that. */
#define SPARSE_KEY_INFINITY 0x7f800000u
#define SPARSE_KEY_NAN 0x7f800001u

struct sparse_kernels {
    /* The keys of those elements of a stretch whose key is >= threshold, in order; in->next is
     * not touched, nor is momentum (NULL = none). keys has room for in->count + SPARSE_SLACK.
     * Returns how many there are. */
    size_t (*keys)(uint32_t *keys, const struct stretch *in, const struct momentum *momentum,
                   uint32_t threshold);

    /* One pass over a stretch of up to SPARSE_CHUNK elements: those with key >= threshold are
     * chosen, in order. offsets and codes have room for in->count + SPARSE_SLACK entries. code =
     * bf16 of a as in code.h, 0x7fc0 for NaN; next[i] = fl32(a - s) where i was chosen, a
     * elsewhere. Where a is not finite it is chosen, whatever the threshold, and next[i] = r.
     * momentum NULL = none. Returns how many were chosen; *wild = those of them that are not
     * finite. Unlike elsewhere, each of residual and next may be NULL alone, and next may be the
     * same address as either source. */
    size_t (*choose)(uint16_t *offsets, uint16_t *codes, const struct stretch *in,
                     uint32_t threshold, struct momentum *momentum, size_t *wild);

    /* into[offsets[i]] += scale * s(codes[i]), in order; of two NaNs into's wins. */
    void (*scatter)(float *into, const uint16_t *offsets, const uint16_t *codes, size_t count,
                    float scale);

    /* Bits move: into[i] = from[i], past the caches where there is a way, and from[i] = +0. into
     * and from do not overlap. */
    void (*pour)(float *into, float *from, size_t count);
    bool pour_streams; /* there is a way: summing aside pays */
};

/* Each overwrites the slots it does better. */
void sparse_kernels_scalar(struct sparse_kernels *kernels);
void sparse_kernels_avx2(struct sparse_kernels *kernels);
void sparse_kernels_avx512(struct sparse_kernels *kernels);
void sparse_kernels_neon(struct sparse_kernels *kernels);

#endif
