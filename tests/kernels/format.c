/* SPDX-License-Identifier: BSD-3-Clause
 * format.c: floating-point formats by ldexp and rint, free of bit tricks. */
#include "format.h"

#include <math.h>

const struct format formats[WW_TYPE_COUNT] = {
    [WW_F32] = {23, 127, 32},
    [WW_F64] = {52, 1023, 64},
    [WW_F16] = {10, 15, 16},
    [WW_BF16] = {7, 127, 16},
};

uint64_t infinity_bits(const struct format *format)
{
    int exponent_bits = format->width - 1 - format->fraction_bits;
    return (((uint64_t)1 << exponent_bits) - 1) << format->fraction_bits;
}

uint64_t sign_bit(const struct format *format)
{
    return (uint64_t)1 << (format->width - 1);
}

bool is_nan_bits(const struct format *format, uint64_t bits)
{
    return (bits & ~sign_bit(format)) > infinity_bits(format);
}

double number_of(const struct format *format, uint64_t bits)
{
    double sign = bits & sign_bit(format) ? -1.0 : 1.0;
    uint64_t magnitude = bits & ~sign_bit(format);
    if (magnitude == infinity_bits(format)) {
        return sign * (double)INFINITY;
    }
    uint64_t one = (uint64_t)1 << format->fraction_bits;
    int exponent = (int)(magnitude >> format->fraction_bits);
    uint64_t digits = exponent == 0 ? magnitude : one + magnitude % one;
    int power = (exponent == 0 ? 1 : exponent) - format->bias - format->fraction_bits;
    return sign * ldexp((double)digits, power);
}

uint64_t nearest_bits(const struct format *format, double number)
{
    uint64_t sign = signbit(number) ? sign_bit(format) : 0;
    if (isinf(number)) {
        return sign | infinity_bits(format);
    }
    int exponent = number == 0.0 ? 0 : ilogb(number);
    if (exponent < 1 - format->bias) {
        exponent = 1 - format->bias;
    }
    if (exponent > format->bias) {
        return sign | infinity_bits(format);
    }
    /* Dividing by the unit of the last place is exact; rint rounds ties to even. What rounds up
     * to the next power of two carries into the exponent by the addition below. */
    double units = rint(ldexp(fabs(number), format->fraction_bits - exponent));
    uint64_t digits = (uint64_t)units;
    uint64_t one = (uint64_t)1 << format->fraction_bits;
    if (digits < one) {
        return sign | digits;
    }
    uint64_t biased = (uint64_t)(exponent + format->bias);
    return sign | ((biased << format->fraction_bits) + (digits - one));
}
