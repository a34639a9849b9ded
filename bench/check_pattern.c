/* SPDX-License-Identifier: BSD-3-Clause
 * check_pattern.c: whatever the order of the additions, for 1 to 64 ranks, every type and every
 * operation, the reduction has the predicted bits; and one spoilt bit is found. The reduction here
 * adds in the types that wirewise.h names, and rounds to 16 bits in a way of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "pattern.h"

#define RANKS_MOST 64
#define COUNT 700 /* more than one block of the prediction */

/* Every rank's vector, in the type. */
struct team {
    struct pattern pattern;
    double values[RANKS_MOST][COUNT]; /* exact for all but int64 */
    int64_t integers[RANKS_MOST][COUNT];
};

static struct team team;

/* Precision in bits and exponent of the least normal number. */
static double round_to(double value, int bits, int least)
{
    if (value == 0.0) {
        return value;
    }
    int exponent;
    frexp(value, &exponent);
    int unit = (exponent > least ? exponent : least) - bits;
    return ldexp(nearbyint(ldexp(value, -unit)), unit);
}

static double decode16(uint16_t code, int mantissa_bits, int bias)
{
    int exponent = (code & 0x7fff) >> mantissa_bits;
    double mantissa = code & ((1 << mantissa_bits) - 1);
    double value = exponent == 0
                       ? ldexp(mantissa, 1 - bias - mantissa_bits)
                       : ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return (code & 0x8000) != 0 ? -value : value;
}

/* The code of a value that has one: found by decoding all of them. */
static uint16_t encode16(double value, int mantissa_bits, int bias)
{
    uint32_t low = 0;
    uint32_t high = 0x7fff;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (decode16((uint16_t)middle, mantissa_bits, bias) < fabs(value)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint16_t)(low | (signbit(value) ? 0x8000u : 0));
}

static double widen(const void *memory, size_t index, enum ww_type type)
{
    switch (type) {
    case WW_F32:
        return ((const float *)memory)[index];
    case WW_F64:
        return ((const double *)memory)[index];
    case WW_F16:
        return decode16(((const uint16_t *)memory)[index], 10, 15);
    case WW_BF16:
        return decode16(((const uint16_t *)memory)[index], 7, 127);
    default:
        return 0.0;
    }
}

static void draw_team(enum ww_type type, enum ww_op op, int size)
{
    static union {
        double align;
        char bytes[COUNT * sizeof(int64_t)];
    } memory;
    team.pattern = (struct pattern){type, op, size, 17u * (uint64_t)size + (uint64_t)op};
    for (int rank = 0; rank < size; rank++) {
        pattern_fill(&team.pattern, rank, 0, COUNT, &memory);
        for (size_t i = 0; i < COUNT; i++) {
            team.values[rank][i] = widen(&memory, i, type);
            team.integers[rank][i] = type == WW_I64   ? ((const int64_t *)(void *)&memory)[i]
                                     : type == WW_I32 ? ((const int32_t *)(void *)&memory)[i]
                                                      : 0;
        }
    }
}

/* One addition or comparison, in the type that sums are made in. */
static double combine(double a, double b)
{
    switch (team.pattern.op) {
    case WW_MIN:
        return b < a ? b : a;
    case WW_MAX:
        return b > a ? b : a;
    default:
        return team.pattern.type == WW_F64 ? a + b : (double)((float)a + (float)b);
    }
}

static int64_t combine_integers(int64_t a, int64_t b)
{
    switch (team.pattern.op) {
    case WW_MIN:
        return b < a ? b : a;
    case WW_MAX:
        return b > a ? b : a;
    default:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    }
}

/* Ranks in some order, either one after the other or in pairs of pairs. */
static double reduce(const int *order, size_t index, int first, int last, bool paired)
{
    if (last - first == 1) {
        return team.values[order[first]][index];
    }
    int middle = paired ? (first + last) / 2 : last - 1;
    return combine(reduce(order, index, first, middle, paired),
                   reduce(order, index, middle, last, paired));
}

static int64_t reduce_integers(const int *order, size_t index, int size)
{
    int64_t result = team.integers[order[0]][index];
    for (int i = 1; i < size; i++) {
        result = combine_integers(result, team.integers[order[i]][index]);
    }
    return result;
}

static void store_result(char *memory, size_t index, double value, int64_t integer)
{
    bool mean = team.pattern.op == WW_MEAN;
    double inverse = 1.0 / team.pattern.size;
    float narrow = mean ? (float)value * (float)inverse : (float)value;
    double wide = mean ? value * inverse : value;
    uint16_t code;
    switch (team.pattern.type) {
    case WW_F32:
        memcpy(memory + index * 4, &narrow, 4);
        return;
    case WW_F64:
        memcpy(memory + index * 8, &wide, 8);
        return;
    case WW_F16:
        code = encode16(round_to(narrow, 11, -13), 10, 15);
        memcpy(memory + index * 2, &code, 2);
        return;
    case WW_BF16:
        code = encode16(round_to(narrow, 8, -125), 7, 127);
        memcpy(memory + index * 2, &code, 2);
        return;
    case WW_I32:
        memcpy(memory + index * 4, &(int32_t){(int32_t)(uint32_t)(uint64_t)integer}, 4);
        return;
    default:
        memcpy(memory + index * 8, &integer, 8);
    }
}

static void shuffle(int *order, int size, int kind)
{
    for (int i = 0; i < size; i++) {
        order[i] = kind == 1 ? size - 1 - i : i;
    }
    unsigned state = 12345u + (unsigned)kind;
    for (int i = size - 1; i > 0 && kind > 1; i--) {
        state = state * 1664525u + 1013904223u;
        int other = (int)((state >> 8) % (unsigned)(i + 1));
        int kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static int complain(const char *what, int order, size_t wrong)
{
    fprintf(stderr, "%s %s, %d ranks, order %d: %s (%zu elements differ)\n",
            type_names[team.pattern.type].name, op_names[team.pattern.op].name, team.pattern.size,
            order, what, wrong);
    return 1;
}

static int check_orders(void)
{
    static char memory[COUNT * sizeof(int64_t)];
    int failures = 0;
    for (int kind = 0; kind < 5; kind++) {
        int order[RANKS_MOST];
        shuffle(order, team.pattern.size, kind);
        for (size_t i = 0; i < COUNT; i++) {
            store_result(memory, i, reduce(order, i, 0, team.pattern.size, kind == 4),
                         reduce_integers(order, i, team.pattern.size));
        }
        size_t wrong = pattern_wrong_sums(&team.pattern, 0, COUNT, memory);
        if (wrong != 0) {
            failures += complain("the prediction does not hold", kind, wrong);
        }
        memory[ww_type_bytes(team.pattern.type) * (COUNT - 1)] ^= 1;
        wrong = pattern_wrong_sums(&team.pattern, 0, COUNT, memory);
        if (wrong != 1) {
            failures += complain("one spoilt bit is not found as one element", kind, wrong);
        }
    }
    return failures;
}

int main(void)
{
    int failures = 0;
    int cases = 0;
    for (int type = 0; type < WW_TYPE_COUNT; type++) {
        for (int op = 0; op < WW_OP_COUNT; op++) {
            for (int size = 1; size <= RANKS_MOST; size++) {
                if (op == WW_MEAN && type_is_integer((enum ww_type)type)) {
                    continue;
                }
                draw_team((enum ww_type)type, (enum ww_op)op, size);
                failures += check_orders();
                cases++;
            }
        }
    }
    printf("%d cases of type, operation and ranks: %d failures\n", cases, failures);
    return failures > 0 || cases != 64 * 22;
}
