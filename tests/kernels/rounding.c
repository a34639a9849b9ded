/* SPDX-License-Identifier: BSD-3-Clause
 * rounding.c: checks how kernels widen and round the 16-bit types. */
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format.h"

enum { COUNT = 40 };

/* One way, all elements 1, scale x: the product is x itself, and the kernel rounds it. */
static bool rounds_like_reference(const struct variant *variant, enum ww_type type, float value)
{
    uint16_t ones[COUNT];
    uint16_t into[COUNT];
    const void *from[] = {ones};
    for (size_t i = 0; i < COUNT; i++) {
        ones[i] = (uint16_t)nearest_bits(&formats[type], 1.0);
    }
    variant->kernels.reduce[type][WW_SUM](into, from, 1, COUNT, (double)value);
    uint64_t want = nearest_bits(&formats[type], (double)value);
    for (size_t i = 0; i < COUNT; i++) {
        if (into[i] != want) {
            fprintf(stderr,
                    "%s %s: %a as element %zu is rounded to 0x%x, the reference says 0x%" PRIx64
                    "\n",
                    variant->name, type_name(type), (double)value, i, into[i], want);
            return false;
        }
    }
    return true;
}

/* Half way between each number and the next (behind the largest: where the next would be), the
 * floats beside it, and the number itself, of both signs. */
static bool edges_are_rounded(const struct variant *variant, enum ww_type type)
{
    const struct format *format = &formats[type];
    for (uint64_t bits = 0; bits < infinity_bits(format); bits++) {
        double number = number_of(format, bits);
        int exponent = bits == 0 ? 1 : (int)(bits >> format->fraction_bits);
        exponent = exponent == 0 ? 1 : exponent;
        float middle = (float)(number +
                               ldexp(0.5, exponent - format->bias - format->fraction_bits));
        float near[] = {(float)number, nextafterf(middle, 0.0f), middle,
                        nextafterf(middle, INFINITY)};
        for (size_t i = 0; i < sizeof near / sizeof near[0]; i++) {
            if (!rounds_like_reference(variant, type, near[i]) ||
                !rounds_like_reference(variant, type, -near[i])) {
                return false;
            }
        }
    }
    return true;
}

/* Any float but NaN, which 1 * x cannot carry. */
static bool random_floats_are_rounded(const struct variant *variant, enum ww_type type,
                                      uint64_t seed)
{
    struct chance chance = {seed};
    for (int i = 0; i < 50000; i++) {
        /* All of f16 lies between 2^-25 and 2^16: half of the floats shall. */
        uint32_t bits = (uint32_t)chance_bits(&chance);
        if (i % 2 == 0) {
            bits = (bits & 0x807fffff) | (127 - 26 + (bits >> 23) % 44) << 23;
        }
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isnan(value) && !rounds_like_reference(variant, type, value)) {
            return false;
        }
    }
    return true;
}

/* x + -0 is x, a NaN quiet. */
static bool all_survive(const struct variant *variant, enum ww_type type)
{
    static uint16_t values[65536];
    static uint16_t zeros[65536];
    static uint16_t into[65536];
    const void *from[] = {values, zeros};
    const struct format *format = &formats[type];
    for (uint32_t bits = 0; bits < 65536; bits++) {
        values[bits] = (uint16_t)bits;
        zeros[bits] = 0x8000;
    }
    variant->kernels.reduce[type][WW_SUM](into, from, 2, 65536, 1.0);
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint32_t quiet = is_nan_bits(format, bits) ? 1u << (format->fraction_bits - 1) : 0;
        if (into[bits] != (bits | quiet)) {
            fprintf(stderr, "%s %s: 0x%x plus -0 gives 0x%x, must be 0x%x\n", variant->name,
                    type_name(type), bits, into[bits], bits | quiet);
            return false;
        }
    }
    return true;
}

int check_rounding(const struct variant *variant, uint64_t seed)
{
    int failures = 0;
    const enum ww_type types[] = {WW_F16, WW_BF16};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        failures += all_survive(variant, types[i]) ? 0 : 1;
        failures += edges_are_rounded(variant, types[i]) ? 0 : 1;
        failures += random_floats_are_rounded(variant, types[i], seed) ? 0 : 1;
    }
    return failures;
}
