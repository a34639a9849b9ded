/* SPDX-License-Identifier: BSD-3-Clause
 * half.h: f16 and bf16 to fp32 and back in portable C. Choices are made between finished values,
 * so that a compiler can vectorise them. */
#ifndef KERNELS_HALF_H
#define KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

#include "kernels/everywhere.h"

EVERYWHERE uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

EVERYWHERE float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* f16 has a sign, 5 bits of exponent (bias 15) and 10 of fraction; fp32 has 8 (bias 127) and 23. */
EVERYWHERE float f16_widen(uint16_t half)
{
    const uint32_t smallest_normal = (127 - 14) << 23;
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7fff;
    uint32_t normal = (magnitude << 13) + ((127 - 15) << 23);
    uint32_t special = normal + ((255 - 127 - 16) << 23);
    /* A denormal's fraction counts units of 2^-24; so do the last bits of 2^-14 + fraction. */
    uint32_t denormal = bits_of(float_of((magnitude << 13) + smallest_normal) -
                                float_of(smallest_normal));
    uint32_t bits = magnitude < 0x0400 ? denormal : normal;
    bits = magnitude >= 0x7c00 ? special : bits;
    return float_of(sign | bits);
}

/* To nearest, ties to even. A NaN stays one, quiet, with the upper bits of its payload. */
EVERYWHERE uint16_t f16_narrow(float a)
{
    const uint32_t infinity = 255u << 23;
    uint32_t sign = bits_of(a) >> 16 & 0x8000;
    uint32_t magnitude = bits_of(a) & 0x7fffffff;
    /* Adding just under half of the last place kept, plus that place's own bit, rounds to nearest
     * even; a carry runs into the exponent, up to infinity. */
    uint32_t odd = magnitude >> 13 & 1;
    uint32_t normal = (magnitude - ((127 - 15) << 23) + 0x0fff + odd) >> 13;
    /* The last place of 0.5 is 2^-24, the unit of f16's denormals: the addition rounds. */
    uint32_t denormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    uint32_t quiet = 0x7e00 | (magnitude >> 13 & 0x03ff);
    uint32_t bits = magnitude < (127 - 14) << 23 ? denormal : normal;
    bits = magnitude >= (127 + 16) << 23 ? 0x7c00 : bits;
    bits = magnitude > infinity ? quiet : bits;
    return (uint16_t)(sign | bits);
}

EVERYWHERE float bf16_widen(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

EVERYWHERE uint16_t bf16_narrow(float a)
{
    uint32_t bits = bits_of(a);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t quiet = bits >> 16 | 1 << 6;
    return (uint16_t)((bits & 0x7fffffff) > 255u << 23 ? quiet : rounded);
}

#endif
