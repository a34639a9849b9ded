/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_tiles.h: choosing in two goes, for loops over vectors. The first makes the sums of a tile,
 * stores all of them, and a bit for each that is chosen; it has no branch that depends on them. The
 * second reads the bits while the tile is in the cache, and takes what is chosen out of it. Which
 * elements these are cannot be predicted: a branch on each block would stop, every few blocks, the
 * loads that are on their way. */
#ifndef KERNELS_SPARSE_TILES_H
#define KERNELS_SPARSE_TILES_H

#include "kernels/sparse_one.h"

#define TILE_WORD 64 /* elements whose bits are one word */
#define TILE_WORDS 64
#define TILE_ELEMENTS (TILE_WORD * TILE_WORDS)

/* Offsets that are stored at once, whether there are so many or not. */
#define TILE_AT_ONCE 2

/* The sums of up to `words` words of elements from `first` on, and momentum: sums[] = a, u[] =
 * what takes the place of values. Stops ahead of a word in which one is not finite. Returns the
 * words that are done. */
typedef size_t tile_sum(const struct choosing *run, size_t first, size_t words, float *sums,
                        uint64_t *hits);

/* Takes what is chosen out of the sums, all of which are finite, and discards its momentum. */
typedef void tile_take(struct choosing *run, size_t first, size_t words, float *sums,
                       const uint64_t *hits);

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

/* |u| of the elements i + bit, in order; it becomes 0. */
static inline void momentum_take(struct momentum *momentum, size_t i, unsigned bits)
{
    for (; bits != 0; bits &= bits - 1) {
        float *u = &momentum->u[i + (size_t)__builtin_ctz(bits)];
        momentum->masked += (double)float_of(bits_of(*u) & SPARSE_MAGNITUDE);
        *u = 0;
    }
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
        float *u = &run->momentum->u[run->offsets[entry]];
        run->momentum->masked += (double)float_of(bits_of(*u) & SPARSE_MAGNITUDE);
        *u = 0;
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

static inline void tiles_choose(struct choosing *run, tile_sum *sum, tile_take *many_take)
{
    const size_t count = run->in->count;
    float aside[TILE_ELEMENTS];
    uint64_t hits[TILE_WORDS];
    size_t i = 0;
    while (count - i >= TILE_WORD) {
        size_t words = (count - i) / TILE_WORD;
        words = words < TILE_WORDS ? words : TILE_WORDS;
        float *sums = run->in->next == NULL ? aside : run->in->next + i;
        size_t done = sum(run, i, words, sums, hits);
        if (hits_count(hits, done) < done * TILE_WORD / TILE_SHARE_MANY) {
            few_take(run, i, done, sums, hits);
        } else {
            many_take(run, i, done, sums, hits);
        }
        i += done * TILE_WORD;
        for (size_t end = done < words ? i + TILE_WORD : i; i < end; i++) {
            sparse_choose_one(run, i);
        }
    }
    for (; i < count; i++) {
        sparse_choose_one(run, i);
    }
}

#endif
