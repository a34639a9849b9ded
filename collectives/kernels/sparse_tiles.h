/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_tiles.h: tiles of sums with a bit for each that is chosen, and taking a few out of one. */
#ifndef KERNELS_SPARSE_TILES_H
#define KERNELS_SPARSE_TILES_H

#include "kernels/sparse_one.h"

#define TILE_WORD 64 /* elements whose bits are one word */
#define TILE_WORDS 64
#define TILE_ELEMENTS (TILE_WORD * TILE_WORDS)

/* Offsets that are stored at once, whether there are so many or not. */
#define TILE_AT_ONCE 2

/* From one element in so many on, those that are chosen are many. */
#define TILE_SHARE_MANY 12

/* Appends the offsets of a word's bits; few are set. */
static inline size_t word_offsets(uint16_t *offsets, uint64_t bits, size_t first)
{
    size_t count = (size_t)__builtin_popcountll(bits);
    for (size_t done = 0; done == 0 || done < count; done += TILE_AT_ONCE) {
        for (size_t i = 0; i < TILE_AT_ONCE; i++) {
            size_t bit = (size_t)__builtin_ctzll(bits | (uint64_t)1 << 63);
            offsets[done + i] = (uint16_t)(first + bit);
            bits &= bits - 1;
        }
    }
    return count;
}

static inline void momentum_discard(struct momentum *momentum, size_t i)
{
    momentum->masked += (double)float_of(bits_of(momentum->u[i]) & SPARSE_MAGNITUDE);
    momentum->u[i] = 0;
}

/* Takes one by one what is chosen out of the sums. */
static inline void few_take(struct choosing *run, size_t first, size_t words, float *sums,
                            const uint64_t *hits)
{
    size_t chosen = run->chosen;
    for (size_t word = 0; word < words; word++) {
        run->chosen += word_offsets(run->offsets + run->chosen, hits[word],
                                    first + word * TILE_WORD);
    }
    for (size_t entry = chosen; entry < run->chosen; entry++) {
        float *sum = &sums[run->offsets[entry] - first];
        uint16_t code = sparse_code(*sum);
        run->codes[entry] = code;
        *sum -= bf16_widen(code);
    }
    for (size_t entry = chosen; run->momentum != NULL && entry < run->chosen; entry++) {
        momentum_discard(run->momentum, run->offsets[entry]);
    }
}

static inline size_t hits_count(const uint64_t *hits, size_t words)
{
    size_t count = 0;
    for (size_t word = 0; word < words; word++) {
        count += (size_t)__builtin_popcountll(hits[word]);
    }
    return count;
}

#endif
