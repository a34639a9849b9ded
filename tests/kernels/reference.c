/* SPDX-License-Identifier: BSD-3-Clause
 * reference.c: compares kernels with slow arithmetic in double. */
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "effort.h"

#include "format.h"

enum { WAYS_MAX = 9, COUNT = 40, TRIALS = EFFORT(500, 100) };

static bool is_integer(enum ww_type type)
{
    return type == WW_I32 || type == WW_I64;
}

/* fp32 and 16-bit types compute in fp32. A sum or product of two floats is rounded to the same
 * float whether or not it is rounded to double first (53 >= 2 * 24 + 2). */
static double rounded(enum ww_type type, double value)
{
    return type == WW_F64 ? value : (double)(float)value;
}

static double fold(enum ww_type type, enum ww_op op, double a, double b)
{
    switch (op) {
    case WW_MIN:
        return a < b ? a : b;
    case WW_MAX:
        return a > b ? a : b;
    default:
        return rounded(type, a + b);
    }
}

/* What an element must be; any_nan: any NaN will do. */
struct expected {
    uint64_t bits;
    bool any_nan;
};

static struct expected expect_float(enum ww_type type, enum ww_op op, const uint64_t *operands,
                                    int ways, double scale)
{
    const struct format *format = &formats[type];
    const uint64_t quiet = (uint64_t)1 << (format->fraction_bits - 1);
    bool is_sum = op == WW_SUM || op == WW_MEAN;
    double value = 0.0;
    if (ways == 1 && scale == 1.0) {
        return (struct expected){operands[0], false};
    }
    for (int way = 0; way < ways; way++) {
        if (is_nan_bits(format, operands[way])) {
            bool made_quiet = is_sum || format->width == 16;
            return (struct expected){operands[way] | (made_quiet ? quiet : 0), false};
        }
        double operand = number_of(format, operands[way]);
        value = way == 0 ? operand : fold(type, op, value, operand);
        if (isnan(value)) {
            return (struct expected){0, true}; /* Inf - Inf */
        }
    }
    if (scale != 1.0) {
        value = rounded(type, value * rounded(type, scale));
    }
    return (struct expected){nearest_bits(format, value), false};
}

static int64_t integer_of(enum ww_type type, uint64_t bits)
{
    if (type == WW_I64) {
        return (int64_t)bits;
    }
    return bits >= UINT64_C(0x80000000) ? (int64_t)bits - INT64_C(0x100000000) : (int64_t)bits;
}

static struct expected expect_integer(enum ww_type type, enum ww_op op, const uint64_t *operands,
                                      int ways)
{
    uint64_t bits = operands[0];
    for (int way = 1; way < ways; way++) {
        int64_t a = integer_of(type, bits);
        int64_t b = integer_of(type, operands[way]);
        bool take = op == WW_MIN ? b < a : b > a;
        if (op == WW_SUM) {
            bits += operands[way];
            bits &= type == WW_I32 ? UINT32_MAX : UINT64_MAX;
        } else if (take) {
            bits = operands[way];
        }
    }
    return (struct expected){bits, false};
}

static bool satisfies(enum ww_type type, uint64_t bits, struct expected expected)
{
    return expected.any_nan ? is_nan_bits(&formats[type], bits) : bits == expected.bits;
}

static bool trial(const struct variant *variant, enum ww_type type, enum ww_op op,
                  struct chance *chance)
{
    static uint64_t memory[WAYS_MAX][COUNT];
    static uint64_t into[COUNT];
    const void *from[WAYS_MAX];
    int ways = 1 + (int)chance_below(chance, WAYS_MAX);
    bool is_sum = op == WW_SUM || op == WW_MEAN;
    const double scales[] = {1.0, 1.0 / ways, 1e-6, 1e30};
    double scale = is_sum && !is_integer(type) ? scales[chance_below(chance, 4)] : 1.0;
    enum flavour flavour = (enum flavour)chance_below(chance, FLAVOUR_COUNT);
    for (int way = 0; way < ways; way++) {
        values_fill(chance, type, flavour, memory[way], COUNT);
        from[way] = memory[way];
    }
    variant->kernels.reduce[type][op](into, from, ways, COUNT, scale);
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t operands[WAYS_MAX] = {0};
        for (int way = 0; way < ways; way++) {
            operands[way] = element_bits(type, memory[way], i);
        }
        struct expected expected = is_integer(type) ? expect_integer(type, op, operands, ways)
                                                    : expect_float(type, op, operands, ways, scale);
        uint64_t bits = element_bits(type, into, i);
        if (!satisfies(type, bits, expected)) {
            fprintf(stderr,
                    "%s %s %s, %d ways, scale %.17g: element %zu is 0x%" PRIx64
                    ", the reference says 0x%" PRIx64 "%s\n",
                    variant->name, type_name(type), op_name(op), ways, scale, i, bits,
                    expected.bits, expected.any_nan ? " (any NaN)" : "");
            return false;
        }
    }
    return true;
}

int check_reference(const struct variant *variant, uint64_t seed)
{
    int failures = 0;
    struct chance chance = {seed};
    for (enum ww_type type = WW_F32; type < WW_TYPE_COUNT; type++) {
        for (enum ww_op op = WW_SUM; op < WW_OP_COUNT; op++) {
            bool good = variant->kernels.reduce[type][op] != NULL || op == WW_MEAN;
            for (int i = 0; i < TRIALS && good && variant->kernels.reduce[type][op]; i++) {
                good = trial(variant, type, op, &chance);
            }
            failures += good ? 0 : 1;
        }
    }
    return failures;
}
