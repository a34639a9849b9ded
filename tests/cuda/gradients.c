/* SPDX-License-Identifier: BSD-3-Clause
 * gradients.c: makes values as codecs meet them. */
#include "gradients.h"

#include <math.h>
#include <string.h>

static float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* About normal: the sum of four uniform numbers of 16 bits. */
static float bell(struct chance *chance)
{
    uint64_t bits = chance_bits(chance);
    int32_t sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (int32_t)(bits >> (16 * i) & 0xffff) - 32768;
    }
    return (float)sum / 65536.0f;
}

static float one(struct chance *chance, enum gradient kind, size_t i)
{
    uint64_t bits = chance_bits(chance);
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000u;
    switch (kind) {
    case GRADIENT_LAYERS:
        return bell(chance) * ldexpf(1.0f, (int)(i / 5000 * 7 % 40) - 20);
    case GRADIENT_FEW:
        return (float)((int)(bits % 7) - 3) * 0.25f;
    case GRADIENT_ZEROS:
        return bits % 200 == 0 ? bell(chance) : of_bits(sign);
    case GRADIENT_TINY:
        return of_bits(sign | (uint32_t)(bits % 0x01000000));
    case GRADIENT_HUGE:
        return of_bits(sign | (0x7f7fffff - (uint32_t)(bits % (bits % 2 ? 0x3000 : 0x04000000))));
    case GRADIENT_WILD:
        return bits % 3 == 0 ? bell(chance) : of_bits(sign | (0x7f800000 + (uint32_t)(bits % 2)));
    default:
        return bell(chance);
    }
}

void gradient_fill(struct chance *chance, enum gradient kind, float *values, size_t count)
{
    if (kind == GRADIENT_EDGES || kind == GRADIENT_ANY_BITS) {
        values_fill(chance, WW_F32, kind == GRADIENT_EDGES ? EDGES : ANY_BITS, values, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = one(chance, kind, i);
    }
}
