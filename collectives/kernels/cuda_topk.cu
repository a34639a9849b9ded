/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_topk.cu: chooses elements by their magnitude on a GPU: fixed frames as codecs/topk.c encodes
 * them, choosing with a threshold, and finding one.
 *
 * A block of threads works on a chunk. It reads the chunk once, writes what is left over as if
 * nothing were chosen, and sets a bit for each element that is; a count of the bits before each
 * word then tells every entry its place, and what is left over is mended at those. */
#include "kernels/cuda_code.cuh"

#include "codecs/topk_layout.h"
#include "kernels/sparse_one.h"

#define THREADS 512
#define GROUPS 4 /* under way at once, of each thread */
#define BATCH (THREADS * GROUPS * GROUP)

#define WORD_BITS 32
#define WORDS (SPARSE_CHUNK / WORD_BITS)
#define WORDS_EACH (WORDS / THREADS)

/* Keys from a guess on, in no order: where more than fit are found, the chunk is read again. */
#define CANDIDATES 4096

/* Candidates that differ in less than a digit from the guess on: where there are more, all their
 * digits are looked at. */
#define FEW 64
#define SHIFT_FROM_GUESS 12

/* The guess: of so many elements the rank that is looked for, and so many standard deviations. */
#define SAMPLE (THREADS * GROUP)
#define SAMPLE_DEVIATIONS 4.0f
#define SAMPLE_MARGIN 3.0f

#define DIGITS 2048
#define DIGITS_EACH (DIGITS / THREADS)

/* Of a key, from the top: 11, 11 and 9 bits. */
#define DIGIT_COUNT 3
#define SHIFT_FIRST 20

/* Digits of a sample reach from its largest down to a sixteenth of that. */
#define SHIFT_OF_SAMPLE 14
#define SAMPLE_REACH ((DIGITS << SHIFT_OF_SAMPLE) - 1)
#define DIGIT_NONE DIGITS

#define KEY_NONE 0x80000000u /* above all */

struct chunk_room {
    union {
        uint32_t digits[DIGITS]; /* how many keys have each */
        uint32_t chosen[WORDS];  /* a bit for each element */
    };
    uint32_t ties[WORDS];
    uint16_t before[WORDS];    /* entries before each word */
    uint32_t sums[CANDIDATES]; /* their bits */
    uint16_t offsets[CANDIDATES];
    uint32_t few[FEW]; /* keys of one digit */
    uint32_t few_count;
    uint32_t warps[THREADS / WARP];
    uint32_t count;
    uint32_t digit;
    uint32_t above;
    uint32_t key;
    uint32_t equal;
};

/* A chunk: first is that of the vectors. */
struct chunk {
    const float *values;
    const float *residual;
    float *next;
    uint32_t elements;
    bool whole;   /* aligned, and of a full chunk's length */
    bool weighed; /* what is given and left is added up */
};

/* What is chosen: keys above, and so many of those equal, first come first. */
struct cut {
    uint32_t key;
    uint32_t ties;
};

static __device__ inline struct chunk chunk_of(const struct stretch &in, size_t index, bool aligned)
{
    struct chunk chunk;
    size_t first = index * SPARSE_CHUNK;
    size_t rest = in.count - first;
    chunk.values = in.values + first;
    chunk.residual = in.residual == NULL ? NULL : in.residual + first;
    chunk.next = in.next == NULL ? NULL : in.next + first;
    chunk.elements = rest < SPARSE_CHUNK ? (uint32_t)rest : SPARSE_CHUNK;
    chunk.whole = aligned && rest >= SPARSE_CHUNK;
    chunk.weighed = false;
    return chunk;
}

static __device__ inline float residual_at(const struct chunk &chunk, uint32_t i)
{
    return chunk.residual == NULL ? 0.0f : chunk.residual[i];
}

static __device__ inline float sum_at(const struct chunk &chunk, uint32_t i)
{
    return chunk.values[i] + residual_at(chunk, i);
}

/* Keys of all that is not finite are equal: what is chosen of them does not depend on it. */
static __device__ inline uint32_t key_bounded(float a)
{
    uint32_t key = key_of(a);
    return key < SPARSE_KEY_INFINITY ? key : SPARSE_KEY_INFINITY;
}

/* ---- Walks over a chunk ------------------------------------------------------------------- */

/* What a thread holds of a chunk at once. */
struct batch {
    float a[GROUPS][GROUP];
    float residual[GROUPS][GROUP];
};

static __device__ inline uint32_t place_of(uint32_t begin, uint32_t group)
{
    return begin + (group * THREADS + threadIdx.x) * GROUP;
}

/* Calls visit(begin, batch) for every batch; elements behind the end are zeros. */
template <bool WHOLE, typename VISIT>
static __device__ inline void batches_walk(const struct chunk &chunk, VISIT visit)
{
    for (uint32_t begin = 0; begin < chunk.elements; begin += BATCH) {
        struct batch batch;
#pragma unroll
        for (uint32_t group = 0; group < GROUPS; group++) {
            uint32_t first = place_of(begin, group);
            floats_load<WHOLE>(batch.a[group], chunk.values, first, chunk.elements);
            residual_load<WHOLE>(batch.residual[group], chunk.residual, first, chunk.elements);
        }
#pragma unroll
        for (uint32_t group = 0; group < GROUPS; group++) {
            for (int i = 0; i < GROUP; i++) {
                batch.a[group][i] += batch.residual[group][i];
            }
        }
        visit(begin, batch);
    }
}

template <typename VISIT>
static __device__ inline void chunk_batches(const struct chunk &chunk, VISIT visit)
{
    if (chunk.whole) {
        batches_walk<true>(chunk, visit);
    } else {
        batches_walk<false>(chunk, visit);
    }
}

/* Calls visit(first, a, residual) for every group. */
template <typename VISIT>
static __device__ inline void chunk_walk(const struct chunk &chunk, VISIT visit)
{
    chunk_batches(chunk, [&](uint32_t begin, const struct batch &batch) {
#pragma unroll
        for (uint32_t group = 0; group < GROUPS; group++) {
            visit(place_of(begin, group), batch.a[group], batch.residual[group]);
        }
    });
}

/* Stores what is left over where nothing is chosen. */
static __device__ inline void group_keep(const struct chunk &chunk, uint32_t first,
                                         const float a[GROUP], const float residual[GROUP],
                                         struct tally *tally)
{
    float next[GROUP];
    for (int i = 0; i < GROUP; i++) {
        bool wild = is_wild(a[i]);
        next[i] = wild ? residual[i] : a[i];
        tally->wild += wild;
    }
    if (chunk.next == NULL) {
        return;
    }
    if (chunk.whole) {
        floats_store<true>(chunk.next, next, first, chunk.elements);
    } else {
        floats_store<false>(chunk.next, next, first, chunk.elements);
    }
}

static __device__ inline void group_weigh(const float a[GROUP], const float residual[GROUP],
                                          struct tally *tally)
{
    for (int i = 0; i < GROUP; i++) {
        double left = (double)(is_wild(a[i]) ? residual[i] : a[i]);
        tally->given += (double)a[i] * (double)a[i];
        tally->left += left * left;
    }
}

/* ---- Counting over a block ---------------------------------------------------------------- */

static __device__ inline void digits_clear(struct chunk_room *room)
{
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < DIGITS; i += THREADS) {
        room->digits[i] = 0;
    }
    room->digit = DIGIT_NONE;
    __syncthreads();
}

/* The digit of the rank-th largest key that was counted: room->digit; room->above is how many have
 * greater ones. DIGIT_NONE = fewer keys were counted. */
static __device__ inline void digit_find(struct chunk_room *room, uint32_t rank)
{
    uint32_t top = DIGITS - 1 - threadIdx.x * DIGITS_EACH;
    uint32_t mine = 0;
    __syncthreads();
    for (uint32_t i = 0; i < DIGITS_EACH; i++) {
        mine += room->digits[top - i];
    }
    uint32_t above = block_before(room->warps, mine);
    if (above < rank && rank <= above + mine) {
        while (above + room->digits[top] < rank) {
            above += room->digits[top];
            top--;
        }
        room->digit = top;
        room->above = above;
    }
    __syncthreads();
}

/* The rank-th largest of the keys that walk(count) calls count(key) with, on every walk; *above is
 * how many are greater. Of them there are at least rank. */
template <typename WALK>
static __device__ inline uint32_t key_select(struct chunk_room *room, uint32_t rank,
                                             uint32_t *above, WALK walk)
{
    uint32_t found = 0;
    uint32_t shift = SHIFT_FIRST;
    uint32_t width = 32 - SHIFT_FIRST;
    *above = 0;
    for (int digit = 0; digit < DIGIT_COUNT; digit++) {
        digits_clear(room);
        walk([&](uint32_t key) {
            /* Two shifts: one by 32 has no meaning. */
            if (key >> shift >> (width - 1) >> 1 == found) {
                atomicAdd(&room->digits[key >> shift & ((1u << width) - 1) & (DIGITS - 1)], 1);
            }
        });
        digit_find(room, rank - *above);
        found = found << (digit == 0 ? 0 : width) | room->digit;
        *above += room->above;
        width = shift < 11 ? shift : 11;
        shift -= width;
    }
    return found;
}

/* ---- From keys to bits -------------------------------------------------------------------- */

static __device__ inline void bits_clear(struct chunk_room *room)
{
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < WORDS; i += THREADS) {
        room->chosen[i] = 0;
        room->ties[i] = 0;
    }
    __syncthreads();
}

/* The lowest so many of the bits that are set. */
static __device__ inline uint32_t bits_lowest(uint32_t bits, uint32_t count)
{
    if (count >= (uint32_t)__popc(bits)) {
        return bits;
    }
    uint32_t left = bits;
    for (uint32_t i = 0; i < count; i++) {
        left &= left - 1;
    }
    return bits & ~left;
}

/* The place of the set bit that has `rank` set ones below it. */
static __device__ inline uint32_t bit_find(uint32_t bits, uint32_t rank)
{
    uint32_t place = 0;
    for (uint32_t width = WORD_BITS / 2; width > 0; width /= 2) {
        uint32_t below = (uint32_t)__popc(bits >> place & ((1u << width) - 1));
        bool higher = rank >= below;
        rank -= higher ? below : 0;
        place += higher ? width : 0;
    }
    return place;
}

/* Adds the first so many ties to what is chosen. */
static __device__ inline void ties_choose(struct chunk_room *room, uint32_t ties)
{
    uint32_t *words = &room->ties[threadIdx.x * WORDS_EACH];
    uint32_t mine = 0;
    __syncthreads();
    for (uint32_t i = 0; i < WORDS_EACH; i++) {
        mine += (uint32_t)__popc(words[i]);
    }
    uint32_t used = block_before(room->warps, mine);
    for (uint32_t i = 0; i < WORDS_EACH; i++) {
        uint32_t rest = used < ties ? ties - used : 0;
        room->chosen[threadIdx.x * WORDS_EACH + i] |= bits_lowest(words[i], rest);
        used += (uint32_t)__popc(words[i]);
    }
}

/* Fills room->before; returns how many are chosen. */
static __device__ inline uint32_t entries_count(struct chunk_room *room)
{
    const uint32_t *words = &room->chosen[threadIdx.x * WORDS_EACH];
    uint32_t mine = 0;
    __syncthreads();
    for (uint32_t i = 0; i < WORDS_EACH; i++) {
        mine += (uint32_t)__popc(words[i]);
    }
    uint32_t before = block_before(room->warps, mine);
    for (uint32_t i = 0; i < WORDS_EACH; i++) {
        room->before[threadIdx.x * WORDS_EACH + i] = (uint16_t)before;
        before += (uint32_t)__popc(words[i]);
    }
    if (threadIdx.x == THREADS - 1) {
        room->count = before;
    }
    __syncthreads();
    return room->count;
}

/* The element that an entry stands for: that of the last word with no more entries before it. */
static __device__ inline uint32_t entry_element(const struct chunk_room *room, uint32_t entry)
{
    uint32_t word = 0;
    for (uint32_t step = WORDS / 2; step > 0; step /= 2) {
        word += room->before[word + step] <= entry ? step : 0;
    }
    return word * WORD_BITS + bit_find(room->chosen[word], entry - room->before[word]);
}

/* Writes one entry, and mends what is left over there. offsets NULL = not wanted. */
static __device__ inline void entry_write(const struct chunk &chunk, uint32_t entry, uint32_t i,
                                          float a, uint16_t *offsets, uint16_t *codes,
                                          struct tally *tally)
{
    uint16_t code = sparse_code(a);
    codes[entry] = code;
    if (offsets != NULL) {
        offsets[entry] = (uint16_t)i;
    }
    if (!is_wild(a)) {
        float left = a - bf16_widen(code);
        if (chunk.weighed) {
            tally->left += (double)left * (double)left - (double)a * (double)a;
        }
        if (chunk.next != NULL) {
            chunk.next[i] = left;
        }
    }
}

/* Those that are chosen are all among the candidates. */
static __device__ inline void listed_write(const struct chunk_room *room, const struct chunk &chunk,
                                           uint32_t count, uint16_t *offsets, uint16_t *codes,
                                           struct tally *tally)
{
    for (uint32_t place = threadIdx.x; place < count; place += THREADS) {
        uint32_t i = room->offsets[place];
        uint32_t word = room->chosen[i / WORD_BITS];
        uint32_t bit = 1u << i % WORD_BITS;
        if ((word & bit) != 0) {
            uint32_t entry = room->before[i / WORD_BITS] + (uint32_t)__popc(word & (bit - 1));
            entry_write(chunk, entry, i, float_of(room->sums[place]), offsets, codes, tally);
        }
    }
}

/* Writes entries, the first of those that are chosen, wherever they are. */
static __device__ inline void entries_write(const struct chunk_room *room,
                                            const struct chunk &chunk, uint32_t entries,
                                            uint16_t *offsets, uint16_t *codes, struct tally *tally)
{
    for (uint32_t entry = threadIdx.x; entry < entries; entry += THREADS) {
        uint32_t i = entry_element(room, entry);
        entry_write(chunk, entry, i, sum_at(chunk, i), offsets, codes, tally);
    }
}

/* ---- Fixed frames ------------------------------------------------------------------------- */

/* What the host knows of a chunk's body. */
struct body_plan {
    uint32_t head;
    uint32_t form;
    uint32_t share; /* entries */
    uint32_t bytes;
    uint32_t rank; /* of the guess in a sample; 0 = none, there are too many for the list */
};

struct topk_task {
    struct encoding_task task;
    struct body_plan full;
    struct body_plan last; /* the chunk that is not full, if any */
    uint32_t chunks;
    uint32_t heads_bytes;
};

/* Spreads places of a sample. */
static __device__ inline uint32_t scrambled(uint32_t x)
{
    x = (x ^ x >> 16) * DITHER_FACTOR_1;
    x = (x ^ x >> 15) * DITHER_FACTOR_2;
    return x ^ x >> 16;
}

/* A sample's keys: one group of each of as many equal parts as there are threads. */
static __device__ inline void sample_take(uint32_t keys[GROUP], const struct chunk &chunk)
{
    uint32_t part = chunk.elements / SAMPLE;
    uint32_t chance = scrambled(threadIdx.x + blockIdx.x * THREADS);
    uint32_t first = (threadIdx.x * part + chance % part) * GROUP;
    float values[GROUP];
    float residual[GROUP];
    if (chunk.whole) {
        floats_load<true>(values, chunk.values, first, chunk.elements);
        residual_load<true>(residual, chunk.residual, first, chunk.elements);
    } else {
        floats_load<false>(values, chunk.values, first, chunk.elements);
        residual_load<false>(residual, chunk.residual, first, chunk.elements);
    }
    for (uint32_t i = 0; i < GROUP; i++) {
        keys[i] = key_bounded(values[i] + residual[i]);
    }
}

/* The sample's key of a rank, rounded down, wherever it is. */
static __device__ inline uint32_t guess_anywhere(struct chunk_room *room,
                                                 const uint32_t keys[GROUP], uint32_t rank)
{
    digits_clear(room);
    for (uint32_t i = 0; i < GROUP; i++) {
        atomicAdd(&room->digits[keys[i] >> SHIFT_FIRST], 1);
    }
    digit_find(room, rank);
    uint32_t digit = room->digit;
    uint32_t above = room->above;
    digits_clear(room);
    for (uint32_t i = 0; i < GROUP; i++) {
        if (keys[i] >> SHIFT_FIRST == digit) {
            atomicAdd(&room->digits[keys[i] >> (SHIFT_FIRST - 11) & (DIGITS - 1)], 1);
        }
    }
    digit_find(room, rank - above);
    return digit << SHIFT_FIRST | room->digit << (SHIFT_FIRST - 11);
}

/* A key that is probably a little below the one looked for, of a sample. Few keys are far below
 * the largest, so one digit tells it nearly always. */
static __device__ inline uint32_t guess_find(struct chunk_room *room, const struct chunk &chunk,
                                             uint32_t rank)
{
    uint32_t keys[GROUP];
    uint32_t largest = 0;
    sample_take(keys, chunk);
    for (uint32_t i = 0; i < GROUP; i++) {
        largest = keys[i] > largest ? keys[i] : largest;
    }
    digits_clear(room);
    largest = block_largest(largest);
    uint32_t base = largest > SAMPLE_REACH ? largest - SAMPLE_REACH : 0;
    for (uint32_t i = 0; i < GROUP; i++) {
        if (keys[i] >= base) {
            atomicAdd(&room->digits[(keys[i] - base) >> SHIFT_OF_SAMPLE], 1);
        }
    }
    digit_find(room, rank);
    uint32_t guess = room->digit == DIGIT_NONE ? guess_anywhere(room, keys, rank)
                                               : base + (room->digit << SHIFT_OF_SAMPLE);
    return guess > 1 ? guess : 1;
}

/* Lists what is not below the guess: a thread asks once for the places of all that it found. */
static __device__ inline void batch_list(struct chunk_room *room, uint32_t begin,
                                         const struct batch &batch, uint32_t guess)
{
    uint32_t found = 0; /* bits */
#pragma unroll
    for (uint32_t i = 0; i < GROUPS * GROUP; i++) {
        found |= key_of(batch.a[i / GROUP][i % GROUP]) >= guess ? 1u << i : 0;
    }
    if (found == 0) {
        return;
    }
    uint32_t place = atomicAdd(&room->count, (uint32_t)__popc(found));
#pragma unroll
    for (uint32_t i = 0; i < GROUPS * GROUP; i++) {
        bool listed = (found >> i & 1) != 0;
        if (listed && place < CANDIDATES) {
            room->sums[place] = bits_of(batch.a[i / GROUP][i % GROUP]);
            room->offsets[place] = (uint16_t)(place_of(begin, i / GROUP) + i % GROUP);
        }
        place += listed;
    }
}

/* Reads the chunk, keeps all of it as what is left over and lists what is not below the guess. */
static __device__ inline void candidates_find(struct chunk_room *room, const struct chunk &chunk,
                                              uint32_t guess, struct tally *tally)
{
    if (threadIdx.x == 0) {
        room->count = 0;
    }
    __syncthreads();
    chunk_batches(chunk, [&](uint32_t begin, const struct batch &batch) {
#pragma unroll
        for (uint32_t group = 0; group < GROUPS; group++) {
            group_keep(chunk, place_of(begin, group), batch.a[group], batch.residual[group], tally);
            if (chunk.weighed) {
                group_weigh(batch.a[group], batch.residual[group], tally);
            }
        }
        batch_list(room, begin, batch, guess);
    });
    __syncthreads();
}

static __device__ inline struct cut cut_of(uint32_t key, uint32_t above, uint32_t share)
{
    struct cut cut = {key, key == 0 ? 0 : share - above}; /* zeros do not travel */
    return cut;
}

/* What is chosen of the candidates where all but a few differ from the one of that rank in their
 * first digit from the guess on. False = they do not. */
static __device__ inline bool few_cut(struct chunk_room *room, uint32_t count, uint32_t guess,
                                      uint32_t share, struct cut *cut)
{
    auto digit_of = [&](uint32_t key) {
        uint32_t digit = (key - guess) >> SHIFT_FROM_GUESS;
        return digit < DIGITS ? digit : DIGITS - 1;
    };
    if (threadIdx.x == 0) {
        room->few_count = 0;
    }
    digits_clear(room);
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        atomicAdd(&room->digits[digit_of(key_bounded(float_of(room->sums[i])))], 1);
    }
    digit_find(room, share);
    uint32_t digit = room->digit;
    uint32_t few = room->digits[digit];
    uint32_t rank = share - room->above;
    if (few > FEW) {
        return false;
    }
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        uint32_t key = key_bounded(float_of(room->sums[i]));
        if (digit_of(key) == digit) {
            room->few[atomicAdd(&room->few_count, 1)] = key;
        }
    }
    __syncthreads();
    if (threadIdx.x < few) {
        uint32_t key = room->few[threadIdx.x];
        uint32_t above = 0;
        uint32_t equal = 0;
        for (uint32_t i = 0; i < few; i++) {
            above += room->few[i] > key;
            equal += room->few[i] == key;
        }
        if (above < rank && rank <= above + equal) { /* equal ones write the same */
            room->key = key;
            room->above = rank - above;
            room->equal = equal;
        }
    }
    __syncthreads();
    /* Where all equal ones are chosen there are no ties. */
    bool all = room->above == room->equal;
    cut->key = room->key - all;
    cut->ties = all ? 0 : room->above;
    return true;
}

/* Among the candidates: they are all keys from the guess on, and enough, or there are no more. */
static __device__ inline void listed_choose(struct chunk_room *room, uint32_t count, uint32_t guess,
                                            uint32_t share)
{
    struct cut cut = {0, 0};
    if (count > share && !few_cut(room, count, guess, share, &cut)) {
        uint32_t above;
        uint32_t key = key_select(room, share, &above, [&](auto visit) {
            for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
                visit(key_bounded(float_of(room->sums[i])));
            }
        });
        cut = cut_of(key, above, share);
    }
    bits_clear(room);
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        uint32_t offset = room->offsets[i];
        uint32_t key = key_bounded(float_of(room->sums[i]));
        uint32_t *words = key > cut.key ? room->chosen : room->ties;
        if (key > cut.key || (key == cut.key && cut.ties > 0)) {
            atomicOr(&words[offset / WORD_BITS], 1u << offset % WORD_BITS);
        }
    }
    if (cut.ties > 0) {
        ties_choose(room, cut.ties);
    }
}

/* Among all: the chunk is read again, for each digit and for the bits. */
static __device__ inline void any_choose(struct chunk_room *room, const struct chunk &chunk,
                                         uint32_t share)
{
    uint32_t above;
    uint32_t key = key_select(room, share, &above, [&](auto visit) {
        chunk_walk(chunk, [&](uint32_t first, const float *a, const float *) {
            for (uint32_t i = 0; i < GROUP && first + i < chunk.elements; i++) {
                visit(key_bounded(a[i]));
            }
        });
    });
    struct cut cut = cut_of(key, above, share);
    bits_clear(room);
    for (uint32_t word = threadIdx.x / WARP; word < WORDS; word += THREADS / WARP) {
        uint32_t i = word * WORD_BITS + threadIdx.x % WARP;
        uint32_t here = i < chunk.elements ? key_bounded(sum_at(chunk, i)) : 0;
        uint32_t chosen = __ballot_sync(ALL_LANES, here > cut.key);
        uint32_t ties = __ballot_sync(ALL_LANES, here == cut.key);
        if (threadIdx.x % WARP == 0) {
            room->chosen[word] = chosen;
            room->ties[word] = ties;
        }
    }
    ties_choose(room, cut.ties);
}

static __device__ inline void halves_clear(uint16_t *halves, size_t first, size_t end)
{
    for (size_t i = first + threadIdx.x; i < end; i += THREADS) {
        halves[i] = 0;
    }
}

/* listed: how many candidates there are, 0 = what is chosen need not be among them. */
static __device__ inline void body_write(const struct chunk_room *room, const struct chunk &chunk,
                                         const struct body_plan &plan, uint8_t *body,
                                         uint32_t entries, uint32_t listed, struct tally *tally)
{
    size_t padded = parts_round(plan.share * sizeof(uint16_t)) / sizeof(uint16_t);
    size_t bits_bytes = parts_round((chunk.elements + 7) / 8);
    uint16_t *offsets = plan.form == FORM_LIST ? (uint16_t *)body : NULL;
    uint16_t *codes = offsets != NULL ? offsets + padded : (uint16_t *)(body + bits_bytes);
    if (offsets != NULL) {
        halves_clear(offsets, entries, padded);
    }
    for (uint32_t i = threadIdx.x; offsets == NULL && i < bits_bytes / sizeof(uint32_t);
         i += THREADS) {
        ((uint32_t *)body)[i] = room->chosen[i];
    }
    halves_clear(codes, entries, padded);
    if (listed > 0) {
        listed_write(room, chunk, listed, offsets, codes, tally);
    } else {
        entries_write(room, chunk, entries, offsets, codes, tally);
    }
}

/* Every element travels: nothing is chosen, only rounded. */
static __device__ inline void dense_encode(const struct chunk &chunk, uint8_t *body,
                                           struct tally *tally)
{
    uint16_t *codes = (uint16_t *)body;
    size_t padded = parts_round(chunk.elements * sizeof(uint16_t)) / sizeof(uint16_t);
    halves_clear(codes, chunk.elements, padded);
    chunk_walk(chunk, [&](uint32_t first, const float *a, const float *residual) {
        for (uint32_t i = 0; i < GROUP && first + i < chunk.elements; i++) {
            float sum = a[i] + 0.0f; /* -0 is what was left over, and 0 is added to it */
            bool wild = is_wild(sum);
            uint16_t code = sparse_code(sum);
            float left = wild ? residual[i] : sum - bf16_widen(code);
            codes[first + i] = code;
            tally->wild += wild;
            if (chunk.next != NULL) {
                chunk.next[first + i] = left;
            }
            if (chunk.weighed) {
                tally->given += (double)sum * (double)sum;
                tally->left += (double)left * (double)left;
            }
        }
    });
}

/* Returns how many entries were written. */
static __device__ inline uint32_t chosen_encode(struct chunk_room *room, const struct chunk &chunk,
                                                const struct body_plan &plan, uint8_t *body,
                                                struct tally *tally)
{
    uint32_t guess = chunk.elements <= CANDIDATES ? 1 : KEY_NONE;
    if (guess > 1 && plan.rank > 0) {
        guess = guess_find(room, chunk, plan.rank);
    }
    candidates_find(room, chunk, guess, tally);
    uint32_t count = room->count;
    if (count <= CANDIDATES && (count >= plan.share || guess == 1)) {
        listed_choose(room, count, guess, plan.share);
    } else {
        count = 0;
        any_choose(room, chunk, plan.share);
    }
    uint32_t entries = entries_count(room);
    body_write(room, chunk, plan, body, entries, count, tally);
    return entries;
}

/* Blocks of an SM: without residuals a thread needs fewer registers. */
#define BLOCKS_FED 2
#define BLOCKS_ALONE 3

/* ALONE: nothing is added, left over or weighed. */
template <bool ALONE>
static __global__ void __launch_bounds__(THREADS, ALONE ? BLOCKS_ALONE : BLOCKS_FED)
    topk_encode_kernel(ARGUMENT struct topk_task task)
{
    SHARED(struct chunk_room, room);
    struct tally tally = {0, 0, 0, 0};
    uint32_t *heads = (uint32_t *)task.task.frame;
    if (blockIdx.x < task.chunks) {
        struct chunk chunk = chunk_of(task.task.in, blockIdx.x, task.task.aligned);
        if constexpr (ALONE) {
            chunk.residual = NULL;
            chunk.next = NULL;
        } else {
            chunk.weighed = task.task.weighed;
        }
        const struct body_plan &plan = chunk.elements < SPARSE_CHUNK ? task.last : task.full;
        uint8_t *body = task.task.frame + task.heads_bytes + (size_t)blockIdx.x * task.full.bytes;
        uint32_t sent = chunk.elements;
        if (plan.form == FORM_DENSE) {
            dense_encode(chunk, body, &tally);
        } else {
            sent = chosen_encode(&room, chunk, plan, body, &tally);
        }
        if (threadIdx.x == 0) {
            heads[blockIdx.x] = plan.head;
            tally.chosen = sent;
        }
    }
    for (uint32_t i = task.chunks + threadIdx.x;
         blockIdx.x == 0 && i < task.heads_bytes / sizeof(uint32_t); i += THREADS) {
        heads[i] = 0;
    }
    encoding_end(task.task, tally);
}

static struct body_plan body_plan_of(const struct codec_spec *spec, size_t elements)
{
    struct body_plan plan = {};
    size_t share = share_of(spec, elements);
    enum form form = form_shortest(elements, share);
    float hits = elements == 0 ? 0.0f : (float)share / (float)elements * SAMPLE;
    float rank = hits + SAMPLE_DEVIATIONS * sqrtf(hits) + SAMPLE_MARGIN;
    plan.head = (uint32_t)form << FORM_SHIFT | (uint32_t)(form == FORM_DENSE ? elements : share);
    plan.form = (uint32_t)form;
    plan.share = (uint32_t)share;
    plan.bytes = (uint32_t)body_bytes(form, elements, share);
    /* Half as many again as expected must fit. */
    if (rank / SAMPLE * (float)elements * 1.5f < CANDIDATES) {
        plan.rank = (uint32_t)rank;
    }
    return plan;
}

int cuda_topk_encode(struct encoding_task task, const struct codec_spec *spec, void *stream)
{
    struct topk_task topk = {};
    size_t count = task.in.count;
    topk.task = task;
    topk.full = body_plan_of(spec, SPARSE_CHUNK);
    topk.last = body_plan_of(spec, count % SPARSE_CHUNK);
    topk.chunks = (uint32_t)layout_parts(count, SPARSE_CHUNK);
    topk.heads_bytes = (uint32_t)heads_bytes(count);
    struct launch_shape shape = {topk.chunks > 0 ? topk.chunks : 1, THREADS, 1, stream};
    return task.in.residual == NULL && task.in.next == NULL && !task.weighed
               ? launch(shape, topk_encode_kernel<true>, topk)
               : launch(shape, topk_encode_kernel<false>, topk);
}

/* ---- Choosing with a threshold ------------------------------------------------------------ */

static __global__ void __launch_bounds__(THREADS, 2)
    choose_kernel(ARGUMENT struct cuda_choice choice, bool aligned)
{
    SHARED(struct chunk_room, room);
    struct chunk chunk = chunk_of(choice.in, blockIdx.x, aligned);
    struct tally tally = {0, 0, 0, 0};
    size_t begin = (size_t)blockIdx.x * choice.room;
    uint32_t threshold = choice.at == NULL ? choice.threshold : *choice.at;
    threshold = threshold < SPARSE_KEY_INFINITY ? threshold : SPARSE_KEY_INFINITY;
    bits_clear(&room);
    chunk_walk(chunk, [&](uint32_t first, const float *a, const float *residual) {
        uint32_t bits = 0;
        group_keep(chunk, first, a, residual, &tally);
        for (uint32_t i = 0; i < GROUP; i++) {
            bits |= (uint32_t)(key_bounded(a[i]) >= threshold) << i;
        }
        /* Threshold 0 chooses zeros too, but not those behind the end. */
        bits &= first + GROUP <= chunk.elements
                    ? 0xf
                    : (first < chunk.elements ? (1u << (chunk.elements - first)) - 1 : 0);
        if (bits != 0) {
            atomicOr(&room.chosen[first / WORD_BITS], bits << first % WORD_BITS);
        }
    });
    uint32_t entries = entries_count(&room);
    entries = entries < choice.room ? entries : choice.room;
    entries_write(&room, chunk, entries, choice.offsets + begin, choice.codes + begin, &tally);
    if (threadIdx.x == 0) {
        choice.counts[blockIdx.x] = entries;
        atomicAdd(&choice.notes->chosen, (unsigned long long)entries);
    }
    if (tally.wild > 0) {
        atomicAdd(&choice.notes->wild, (unsigned long long)tally.wild);
    }
}

extern "C" int cuda_choose(const struct cuda_choice *choice, void *stream)
{
    const struct stretch *in = &choice->in;
    bool apart = in->next == NULL || (in->next != in->residual && in->next != in->values);
    bool aligned = is_aligned(in->values, 16) && is_aligned(in->residual, 16) &&
                   is_aligned(in->next, 16);
    struct launch_shape shape = {layout_parts(in->count, SPARSE_CHUNK), THREADS, 1, stream};
    if (!apart || choice->room > SPARSE_CHUNK) {
        return cudaErrorInvalidValue;
    }
    if (in->count == 0) {
        return cudaSuccess;
    }
    return launch(shape, choose_kernel, *choice, aligned);
}

/* ---- Finding a threshold ------------------------------------------------------------------ */

/* Groups that are looked at: of 2^18 elements, one in a hundred is known to 2 %. */
#define LOOKED_AT ((size_t)65536)

/* Keys that a thread of a block looks at, for each digit. */
#define KEYS_EACH 4

/* A selection over many blocks: one launch for each digit. */
struct selection {
    uint32_t digits[DIGIT_COUNT][DIGITS]; /* how many keys have each, of those that began alike */
    uint32_t found;                       /* the digits so far */
    uint32_t above;                       /* keys that are greater because of them */
    uint32_t turn;
};

/* Takes the sample, and makes the selection ready. */
static __global__ void __launch_bounds__(THREADS)
    sample_kernel(ARGUMENT struct stretch in, size_t groups, uint32_t *keys,
                  struct selection *selection)
{
    size_t place = (size_t)blockIdx.x * THREADS + threadIdx.x;
    size_t all = layout_parts(in.count, GROUP);
    for (size_t i = place; i < sizeof *selection / sizeof(uint32_t);
         i += (size_t)gridDim.x * THREADS) {
        ((uint32_t *)selection)[i] = 0;
    }
    if (place >= groups) {
        return;
    }
    size_t group = place * all / groups;
    size_t width = (place + 1) * all / groups - group;
    group += scrambled((uint32_t)place) % width;
    for (size_t i = 0; i < GROUP; i++) {
        size_t at = group * GROUP + i;
        float residual = in.residual != NULL && at < in.count ? in.residual[at] : 0.0f;
        keys[i * groups + place] = at < in.count ? key_bounded(in.values[at] + residual) : 0;
    }
}

/* Adds the block's counts to those of all. True for the block that comes last, which has the sums
 * in its room then. */
static __device__ inline bool digits_merge(struct chunk_room *room, struct selection *selection,
                                           uint32_t *digits)
{
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < DIGITS; i += THREADS) {
        if (room->digits[i] > 0) {
            atomicAdd(&digits[i], room->digits[i]);
        }
    }
    __threadfence();
    __syncthreads();
    bool last = __syncthreads_or(threadIdx.x == 0 &&
                                 atomicInc(&selection->turn, gridDim.x - 1) == gridDim.x - 1);
    if (last) {
        __threadfence();
        for (uint32_t i = threadIdx.x; i < DIGITS; i += THREADS) {
            room->digits[i] = digits[i];
        }
    }
    return last;
}

static __global__ void __launch_bounds__(THREADS)
    digit_kernel(const uint32_t *keys, uint32_t count, uint32_t rank, int digit,
                 struct selection *selection, uint32_t *threshold)
{
    SHARED(struct chunk_room, room);
    uint32_t shift = digit == 0 ? SHIFT_FIRST : digit == 1 ? SHIFT_FIRST - 11 : 0;
    uint32_t width = digit == 0 ? 12 : digit == 1 ? 11 : SHIFT_FIRST - 11;
    uint32_t found = selection->found;
    uint32_t above = selection->above;
    digits_clear(&room);
#pragma unroll
    for (uint32_t i = 0; i < KEYS_EACH; i++) {
        uint32_t at = (blockIdx.x * KEYS_EACH + i) * THREADS + threadIdx.x;
        uint32_t key = at < count ? keys[at] : 0;
        /* Two shifts: one by 32 has no meaning. */
        if (at < count && key >> shift >> (width - 1) >> 1 == found) {
            atomicAdd(&room.digits[key >> shift & ((1u << width) - 1) & (DIGITS - 1)], 1);
        }
    }
    if (!digits_merge(&room, selection, selection->digits[digit])) {
        return;
    }
    digit_find(&room, rank - above);
    if (threadIdx.x == 0) {
        uint32_t key = found << (digit == 0 ? 0 : width) | room.digit;
        selection->found = key;
        selection->above = above + room.above;
        if (digit == DIGIT_COUNT - 1) {
            *threshold = key > 0 ? key : 1;
        }
    }
}

static size_t groups_looked_at(size_t count)
{
    size_t groups = layout_parts(count, GROUP);
    return groups < LOOKED_AT ? groups : LOOKED_AT;
}

extern "C" size_t cuda_threshold_room(size_t count)
{
    return sizeof(struct selection) + groups_looked_at(count) * GROUP * sizeof(uint32_t);
}

extern "C" int cuda_threshold(const struct stretch *in, double share, uint32_t *threshold,
                              void *room, void *stream)
{
    size_t groups = groups_looked_at(in->count);
    size_t looked_at = groups * GROUP < in->count ? groups * GROUP : in->count;
    double rank = share * (double)looked_at + 0.5;
    struct launch_shape shape = {layout_parts(groups, THREADS), THREADS, 1, stream};
    struct launch_shape each = {layout_parts(groups * GROUP, THREADS * KEYS_EACH), THREADS, 1,
                                stream};
    struct selection *selection = (struct selection *)room;
    uint32_t *keys = (uint32_t *)(selection + 1);
    if (in->count == 0 || !(share > 0)) {
        return cudaErrorInvalidValue;
    }
    rank = rank < 1 ? 1 : rank > (double)looked_at ? (double)looked_at : rank;
    int status = launch(shape, sample_kernel, *in, groups, keys, selection);
    for (int digit = 0; digit < DIGIT_COUNT && status == cudaSuccess; digit++) {
        status = launch(each, digit_kernel, keys, (uint32_t)(groups * GROUP), (uint32_t)rank, digit,
                        selection, threshold);
    }
    return status;
}
