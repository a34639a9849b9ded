/* SPDX-License-Identifier: BSD-3-Clause
 * format.h: what the bits of a floating-point type stand for. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

struct format {
    int fraction_bits;
    int bias;
    int width;
};
extern const struct format formats[WW_TYPE_COUNT]; /* zeroes for integers */

uint64_t sign_bit(const struct format *format);

/* Of positive infinity: all ones in the exponent. */
uint64_t infinity_bits(const struct format *format);

bool is_nan_bits(const struct format *format, uint64_t bits);

/* The number that bits stand for; not for NaN. */
double number_of(const struct format *format, uint64_t bits);

/* The nearest number of the format, of two equally near the even one; not for NaN. */
uint64_t nearest_bits(const struct format *format, double number);

#endif
