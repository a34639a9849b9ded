/* SPDX-License-Identifier: BSD-3-Clause
 * pattern.c: makes and predicts values. Every value is an integer, so small in floating types
 * that any partial sum over all ranks is exact in the type the library adds in: the order of the
 * additions cannot show. What remains is one rounding, of a mean or to 16 bits, done here the
 * way wirewise.h states it. Results are compared as bits. */
#include "pattern.h"

#include <string.h>

#define BLOCK 512 /* elements predicted at a time */

uint64_t pattern_scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The largest magnitude whose sum over `size` ranks stays below 2^bits. */
static uint32_t magnitude(int bits, int size, uint32_t most)
{
    uint64_t limit = (UINT64_C(1) << bits) / (uint64_t)size - 1;
    return limit < most ? (uint32_t)limit : most;
}

static uint32_t magnitude_of(const struct pattern *pattern)
{
    switch (pattern->type) {
    case WW_F32:
        return magnitude(24, pattern->size, 8191);
    case WW_F64:
        return magnitude(53, pattern->size, INT32_MAX);
    default: /* 16 bits: 127 is exact in 8 bits of significand, sums are made in fp32 */
        return magnitude(24, pattern->size, 127);
    }
}

static uint64_t seed(const struct pattern *pattern, int rank)
{
    return pattern_scramble(pattern->round * 0x10001u + (uint64_t)rank);
}

/* values[i] = element first + i of a rank, as an integer. */
static void draw(const struct pattern *pattern, int rank, size_t first, size_t count,
                 int64_t *values)
{
    uint64_t key = seed(pattern, rank);
    uint64_t range = 2 * (uint64_t)magnitude_of(pattern) + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = pattern_scramble(key ^ (first + i));
        if (pattern->type == WW_I64) {
            values[i] = (int64_t)bits;
        } else if (pattern->type == WW_I32) {
            values[i] = (int32_t)bits;
        } else {
            values[i] = (int64_t)((bits >> 32) * range >> 32) - (int64_t)(range / 2);
        }
    }
}

/* Sums wrap as unsigned numbers do. */
static void fold(enum ww_op op, int64_t *into, const int64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (op == WW_SUM || op == WW_MEAN) {
            into[i] = (int64_t)((uint64_t)into[i] + (uint64_t)from[i]);
        } else if (op == WW_MIN ? from[i] < into[i] : from[i] > into[i]) {
            into[i] = from[i];
        }
    }
}

/* Upper half of an fp32, to nearest, ties to even. Finite values only. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

/* IEEE 754 binary16 of a finite value, to nearest, ties to even. */
static uint16_t f16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t rest = bits & 0x7fffffffu;
    if (rest >= 0x477ff000u) { /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (rest < 0x38800000u) { /* below 2^-14: adding 0.5 lines the last place up with binary16's */
        float shifted;
        memcpy(&shifted, &rest, sizeof(shifted));
        shifted += 0.5f;
        memcpy(&rest, &shifted, sizeof(rest));
        return (uint16_t)(sign | (rest - 0x3f000000u));
    }
    rest += 0xfffu + ((rest >> 13) & 1);
    return (uint16_t)(sign | ((rest - 0x38000000u) >> 13));
}

/* Each writes values[count] in its type, times `scale`; 1 leaves them as they are. */
typedef void store_values(const int64_t *values, size_t count, double scale, void *to);

static void store_f32(const int64_t *values, size_t count, double scale, void *to)
{
    float *into = to;
    for (size_t i = 0; i < count; i++) {
        into[i] = (float)values[i] * (float)scale;
    }
}

static void store_f64(const int64_t *values, size_t count, double scale, void *to)
{
    double *into = to;
    for (size_t i = 0; i < count; i++) {
        into[i] = (double)values[i] * scale;
    }
}

static void store_f16(const int64_t *values, size_t count, double scale, void *to)
{
    uint16_t *into = to;
    for (size_t i = 0; i < count; i++) {
        into[i] = f16_of((float)values[i] * (float)scale);
    }
}

static void store_bf16(const int64_t *values, size_t count, double scale, void *to)
{
    uint16_t *into = to;
    for (size_t i = 0; i < count; i++) {
        into[i] = bf16_of((float)values[i] * (float)scale);
    }
}

/* Integers are never averaged, so there is nothing to scale. */
static void store_i32(const int64_t *values, size_t count, double scale, void *to)
{
    (void)scale;
    uint32_t *into = to;
    for (size_t i = 0; i < count; i++) {
        into[i] = (uint32_t)(uint64_t)values[i];
    }
}

static void store_i64(const int64_t *values, size_t count, double scale, void *to)
{
    (void)scale;
    memcpy(to, values, count * sizeof(values[0]));
}

static store_values *const store[WW_TYPE_COUNT] = {
    [WW_F32] = store_f32,   [WW_F64] = store_f64, [WW_F16] = store_f16,
    [WW_BF16] = store_bf16, [WW_I32] = store_i32, [WW_I64] = store_i64,
};

/* Room for one block of any type. */
union block {
    float f32[BLOCK];
    double f64[BLOCK];
    uint16_t bits16[BLOCK];
    uint32_t i32[BLOCK];
    int64_t i64[BLOCK];
};

static void predict(const struct pattern *pattern, size_t first, size_t count, void *to)
{
    int64_t sums[BLOCK];
    int64_t one[BLOCK];
    draw(pattern, 0, first, count, sums);
    for (int rank = 1; rank < pattern->size; rank++) {
        draw(pattern, rank, first, count, one);
        fold(pattern->op, sums, one, count);
    }
    store[pattern->type](sums, count, pattern->op == WW_MEAN ? 1.0 / pattern->size : 1.0, to);
}

static size_t different(const char *a, const char *b, size_t count, size_t element_bytes)
{
    size_t wrong = 0;
    if (memcmp(a, b, count * element_bytes) != 0) {
        for (size_t i = 0; i < count; i++) {
            wrong += memcmp(a + i * element_bytes, b + i * element_bytes, element_bytes) != 0;
        }
    }
    return wrong;
}

static size_t block_at(size_t done, size_t count)
{
    return count - done < BLOCK ? count - done : BLOCK;
}

void pattern_fill(const struct pattern *pattern, int rank, size_t first, size_t count, void *values)
{
    int64_t drawn[BLOCK];
    size_t element_bytes = ww_type_bytes(pattern->type);
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t block = block_at(done, count);
        draw(pattern, rank, first + done, block, drawn);
        store[pattern->type](drawn, block, 1.0, (char *)values + done * element_bytes);
    }
}

size_t pattern_wrong_sums(const struct pattern *pattern, size_t first, size_t count,
                          const void *values)
{
    union block expected;
    size_t element_bytes = ww_type_bytes(pattern->type);
    size_t wrong = 0;
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t block = block_at(done, count);
        predict(pattern, first + done, block, &expected);
        wrong += different((const char *)values + done * element_bytes, (const char *)&expected,
                           block, element_bytes);
    }
    return wrong;
}

size_t pattern_wrong_copies(const struct pattern *pattern, int rank, size_t first, size_t count,
                            const void *values)
{
    union block expected;
    size_t element_bytes = ww_type_bytes(pattern->type);
    size_t wrong = 0;
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t block = block_at(done, count);
        pattern_fill(pattern, rank, first + done, block, &expected);
        wrong += different((const char *)values + done * element_bytes, (const char *)&expected,
                           block, element_bytes);
    }
    return wrong;
}

size_t pattern_wrong(const struct pattern *pattern, enum outcome outcome, int rank,
                     const struct call *call, const void *values)
{
    size_t count = call->count;
    size_t wrong = 0;
    switch (outcome) {
    case OUTCOME_REDUCED:
        return pattern_wrong_sums(pattern, 0, count, values);
    case OUTCOME_REDUCED_SHARE:
        return pattern_wrong_sums(pattern, (size_t)rank * count, count, values);
    case OUTCOME_COPIED:
        return pattern_wrong_copies(pattern, call->root, 0, count, values);
    case OUTCOME_GATHERED:
        for (int peer = 0; peer < pattern->size; peer++) {
            size_t offset = (size_t)peer * count * ww_type_bytes(call->type);
            wrong += pattern_wrong_copies(pattern, peer, 0, count, (const char *)values + offset);
        }
    }
    return wrong;
}
