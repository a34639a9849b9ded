/* SPDX-License-Identifier: BSD-3-Clause
 * selection.c: radix selection among the few keys that a sample does not rule out. */
#include "codecs/selection.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Lines gathered before their keys are taken. */
#define STAGE_LINES 64

/* Lines under way from memory. */
#define LINES_AHEAD 64

/* The sample that makes the guess: so many hits if an eighth of the elements yields them; below so
 * many elements there is no guess. */
#define GUESS_HITS 400.0
#define GUESS_SHARE 8
#define GUESS_LINES_MIN 64

/* How far below a hint the first guess is, 3 to 6 % of its magnitude, so that it is seldom too
 * high. */
#define HINT_DROP ((uint32_t)1 << 19)

/* How far the first guess is lowered when it was too high: 2^22 is half of a magnitude at most. */
#define GUESS_DROP ((uint32_t)1 << 22)

/* ---- Radix selection ---- */

#define DIGITS_MAX 512 /* programs' threads may have small stacks, and clearing takes time */
#define COUNTERS 4     /* neighbours often share a digit: adding twice to a word would wait */

struct digit {
    int shift;
    uint32_t mask;
};

/* The digit of the rank-th largest key; *above grows by the keys whose digit is greater. */
static uint32_t digit_find(const uint32_t *keys, size_t count, struct digit digit, size_t rank,
                           size_t *above)
{
    uint32_t counts[DIGITS_MAX][COUNTERS];
    memset(counts, 0, (digit.mask + 1) * sizeof counts[0]);
    for (size_t i = 0; i < count; i++) {
        counts[keys[i] >> digit.shift & digit.mask][i % COUNTERS]++;
    }
    for (uint32_t value = digit.mask;; value--) {
        const uint32_t *of = counts[value];
        size_t all = (size_t)of[0] + of[1] + of[2] + of[3];
        if (*above + all >= rank) {
            return value;
        }
        *above += all;
    }
}

/* Moves the keys with this digit to the front. */
static size_t keys_keep(uint32_t *keys, size_t count, struct digit digit, uint32_t value)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t key = keys[i];
        keys[kept] = key;
        kept += (key >> digit.shift & digit.mask) == value;
    }
    return kept;
}

/* From the upper bits down: each digit leaves the keys that share it with the one looked for. */
struct selection selection_among(uint32_t *keys, size_t count, size_t rank)
{
    static const struct digit digits[] = {{22, 0x1ff}, {13, 0x1ff}, {4, 0x1ff}, {0, 0xf}};
    struct selection found = {0, 0, count};
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++) {
        uint32_t value = digit_find(keys, found.equal, digits[i], rank, &found.above);
        found.equal = keys_keep(keys, found.equal, digits[i], value);
        found.key |= value << digits[i].shift;
    }
    return found;
}

/* ---- Keys of a source ---- */

/* splitmix64's finish */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Where a line of a sample begins. Parts are equal to within a line, so that a sample is fair to
 * every region of the stretch, and places inside them are random, so that no period of the data
 * matters. */
static size_t line_first(const struct selection_source *source, size_t line)
{
    uint64_t part = ((uint64_t)(source->stretch->count / SELECTION_LINE) << 16) / source->lines;
    uint64_t begin = line * part >> 16;
    uint64_t width = ((line + 1) * part >> 16) - begin;
    uint64_t chance = mix(source->seed + (line + 1) * 0x9e3779b97f4a7c15u) >> 32;
    return (size_t)(begin + (chance * width >> 32)) * SELECTION_LINE;
}

/* Into the second cache: the first has too few misses under way for so many lines. Memory that is
 * not aligned to lines has both ends of one in different ones. Always inline: a compiler takes a
 * function that only fetches for one without effects, and leaves calls of it out. */
static inline __attribute__((always_inline)) void line_fetch(const float *from, size_t first)
{
    if (from != NULL) {
        __builtin_prefetch(from + first, 0, 1);
        __builtin_prefetch(from + first + SELECTION_LINE - 1, 0, 1);
    }
}

/* Copies a line to the stage. */
static void line_copy(float *into, const float *from, size_t first)
{
    if (from != NULL) {
        memcpy(into, from + first, SELECTION_LINE * sizeof(float));
    }
}

/* Those >= threshold. Memory is asked for lines long before they are copied: no processor guesses
 * where the next one is. */
static size_t keys_of_lines(const struct sparse_kernels *kernels,
                            const struct selection_source *source, uint32_t threshold,
                            uint32_t *keys)
{
    float values[STAGE_LINES * SELECTION_LINE];
    float residual[STAGE_LINES * SELECTION_LINE];
    float u[STAGE_LINES * SELECTION_LINE];
    size_t firsts[LINES_AHEAD]; /* of the lines that are on their way */
    const struct stretch *stretch = source->stretch;
    const struct momentum *momentum = source->momentum;
    const float *all_u = momentum == NULL ? NULL : momentum->u;
    struct momentum stage_momentum = {u, momentum == NULL ? 0 : momentum->factor, 0};
    struct stretch stage = {.values = values,
                            .residual = stretch->residual == NULL ? NULL : residual};
    size_t found = 0;
    for (size_t line = 0; line < source->lines + LINES_AHEAD; line++) {
        size_t *first = &firsts[line % LINES_AHEAD];
        if (line >= LINES_AHEAD) {
            line_copy(values + stage.count, stretch->values, *first);
            line_copy(residual + stage.count, stretch->residual, *first);
            line_copy(u + stage.count, all_u, *first);
            stage.count += SELECTION_LINE;
        }
        if (line < source->lines) {
            *first = line_first(source, line);
            line_fetch(stretch->values, *first);
            line_fetch(stretch->residual, *first);
            line_fetch(all_u, *first);
        }
        if (stage.count == STAGE_LINES * SELECTION_LINE) {
            found += kernels->keys(keys + found, &stage, momentum == NULL ? NULL : &stage_momentum,
                                   threshold);
            stage.count = 0;
        }
    }
    return found + kernels->keys(keys + found, &stage, momentum == NULL ? NULL : &stage_momentum,
                                 threshold);
}

static size_t keys_of(const struct sparse_kernels *kernels, const struct selection_source *source,
                      uint32_t threshold, uint32_t *keys)
{
    if (source->lines == 0) {
        return kernels->keys(keys, source->stretch, source->momentum, threshold);
    }
    return keys_of_lines(kernels, source, threshold, keys);
}

uint32_t selection_below(uint32_t hint)
{
    return hint > HINT_DROP ? hint - HINT_DROP : 1;
}

/* A key that is probably a little below the one looked for, 1 where there is no telling. */
static uint32_t guess_low(const struct sparse_kernels *kernels,
                          const struct selection_source *source, size_t rank, uint32_t *room)
{
    if (selection_below(source->hint) > 1) {
        return selection_below(source->hint);
    }
    double count = (double)selection_count(source);
    double wanted = fmin(GUESS_HITS / (double)rank, 1.0 / GUESS_SHARE) * count;
    struct selection_source sample = *source;
    sample.lines = (size_t)(wanted / SELECTION_LINE);
    if (sample.lines < GUESS_LINES_MIN) {
        return 1;
    }
    double hits = (double)rank / count * (double)selection_count(&sample);
    size_t lower_rank = (size_t)(hits + 5.0 * sqrt(hits)) + 2;
    size_t found = keys_of(kernels, &sample, 1, room);
    return lower_rank <= found ? selection_among(room, found, lower_rank).key : 1;
}

size_t selection_count(const struct selection_source *source)
{
    return source->lines == 0 ? source->stretch->count : source->lines * SELECTION_LINE;
}

struct selection selection_find(const struct sparse_kernels *kernels,
                                const struct selection_source *source, size_t rank, uint32_t *room)
{
    assert(rank >= 1 && rank <= selection_count(source));
    uint32_t guess = guess_low(kernels, source, rank, room);
    for (uint32_t drop = GUESS_DROP;; drop *= 2) {
        size_t found = keys_of(kernels, source, guess, room);
        if (found >= rank) {
            return selection_among(room, found, rank);
        }
        /* Zeros need no room: there are as many as there are others missing. */
        if (guess == 1) {
            return (struct selection){0, found, selection_count(source) - found};
        }
        guess = guess > drop ? guess - drop : 1;
    }
}
