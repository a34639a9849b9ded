/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_choose.h: choosing in two goes, for loops over vectors; a variant includes it once. The
 * first makes the sums of a tile, stores all of them, and a bit for each that is chosen; it has no
 * branch that depends on them. The second reads the bits while the tile is in the cache, and takes
 * what is chosen out of it. Which elements these are cannot be predicted: a branch on each block
 * would stop, every few blocks, the loads that are on their way.
 *
 * Takes  LANES
 *        word_sum(run, streams, i, sums, hits, has_momentum)
 *                the sums of a word of elements from i on, and its momentum: sums[] = a, u[] = what
 *                takes the place of values, *hits = a bit for each a whose key is >= threshold;
 *                false, and nothing stored, where one is not finite
 *        vec_take(run, sums, i, hit)
 *                appends the lanes of a vec that are hit, and takes what they send from the sums
 *        vec_stream(into, a), vec_stream_end()
 *                stores a vec past the caches, aligned; all of these are seen by others behind the
 *                end
 * Makes  choose, as struct sparse_kernels has it. */

/* So many bytes ahead of its sum memory is asked for. Processors do so by themselves, but begin
 * anew at every page: where memory answers late and has room to answer more (Zen 5 beside busy
 * neighbours, 23 instead of 27 ms for 64 Mi elements), that counts; else it costs nothing. */
#define FETCH_AHEAD 4096
#define FETCH_LINE 64

/* Always inline: a compiler takes a function that only fetches for one without effects, and leaves
 * calls of it out. */
static inline __attribute__((always_inline)) void word_fetch(const struct stretch *in, size_t i)
{
    uintptr_t values = (uintptr_t)(in->values + i) + FETCH_AHEAD;
    uintptr_t residual = in->residual == NULL ? values
                                              : (uintptr_t)(in->residual + i) + FETCH_AHEAD;
    for (size_t at = 0; at < TILE_WORD * sizeof(float); at += FETCH_LINE) {
        __builtin_prefetch((const void *)(values + at));
        __builtin_prefetch((const void *)(residual + at));
    }
}

/* Stops ahead of a word in which one is not finite. Returns the words that are done. */
static inline size_t words_sum(const struct choosing *run, size_t first, size_t words, float *sums,
                               uint64_t *hits, bool has_momentum)
{
    const struct streams streams = streams_of(run->in, run->momentum);
    for (size_t word = 0; word < words; word++) {
        size_t i = first + word * TILE_WORD;
        word_fetch(run->in, i);
        if (!word_sum(run, &streams, i, sums + word * TILE_WORD, &hits[word], has_momentum)) {
            return word;
        }
    }
    return words;
}

/* Two loops: only inlining makes straight code of has_momentum. */
static size_t tile_sum(const struct choosing *run, size_t first, size_t words, float *sums,
                       uint64_t *hits)
{
    return run->momentum == NULL ? words_sum(run, first, words, sums, hits, false)
                                 : words_sum(run, first, words, sums, hits, true);
}

/* Takes by vecs what is chosen out of the sums. */
static void many_take(struct choosing *run, size_t first, size_t words, float *sums,
                      const uint64_t *hits)
{
    for (size_t at = 0; at < words * TILE_WORD; at += LANES) {
        unsigned hit = (unsigned)(hits[at / TILE_WORD] >> at % TILE_WORD) & ((1u << LANES) - 1);
        vec_take(run, sums + at, first + at, hit);
        for (; run->momentum != NULL && hit != 0; hit &= hit - 1) {
            momentum_discard(run->momentum, first + at + (size_t)__builtin_ctz(hit));
        }
    }
}

/* Sums a tile and takes what is chosen; it may stop ahead of a word that is not finite. Returns the
 * words that are done. */
static size_t tile_choose(struct choosing *run, size_t first, size_t words, float *sums)
{
    uint64_t hits[TILE_WORDS];
    size_t done = tile_sum(run, first, words, sums, hits);
    if (hits_count(hits, done) < done * TILE_WORD / TILE_SHARE_MANY) {
        few_take(run, first, done, sums, hits);
    } else {
        many_take(run, first, done, sums, hits);
    }
    return done;
}

static bool is_aligned(const float *at)
{
    return (uintptr_t)at % (LANES * sizeof(float)) == 0;
}

static void tiles_choose(struct choosing *run)
{
    const size_t count = run->in->count;
    float *const next = run->in->next;
    const bool streams = run->in->cold && next != NULL;
    _Alignas(64) float aside[TILE_ELEMENTS];
    size_t i = 0;
    for (; streams && i < count && !is_aligned(next + i); i++) {
        sparse_choose_one(run, i);
    }
    while (count - i >= TILE_WORD) {
        size_t words = (count - i) / TILE_WORD;
        words = words < TILE_WORDS ? words : TILE_WORDS;
        size_t done = tile_choose(run, i, words, next == NULL || streams ? aside : next + i);
        for (size_t at = 0; streams && at < done * TILE_WORD; at += LANES) {
            vec_stream(next + i + at, vec_load(aside + at));
        }
        i += done * TILE_WORD;
        for (size_t end = done < words ? i + TILE_WORD : i; i < end; i++) {
            sparse_choose_one(run, i);
        }
    }
    for (; i < count; i++) {
        sparse_choose_one(run, i);
    }
    if (streams) {
        vec_stream_end();
    }
}

static size_t choose(uint16_t *offsets, uint16_t *codes, const struct stretch *in,
                     uint32_t threshold, struct momentum *momentum, size_t *wild)
{
    struct choosing run = {.offsets = offsets, .codes = codes, .in = in, .momentum = momentum};
    run.threshold = threshold < SPARSE_KEY_INFINITY ? threshold : SPARSE_KEY_INFINITY;
    tiles_choose(&run);
    *wild = run.wild;
    return run.chosen;
}
