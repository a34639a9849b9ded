/* SPDX-License-Identifier: BSD-3-Clause
 * code_scalar.c: the definition of 16- and 8-bit codes, in portable C. */
#include "kernels/code_parts.h"

#include <assert.h>

#define QUIET_NAN_F16 0x7e00
#define LARGEST_BITS_OF_11_DIGITS 0x7f7fe000u
#define QUIET_NAN_BF16 0x7fc0
#define LARGEST_BF16 0x7f7f
#define WILD_I8 (-128)

static inline uint32_t magnitude_bits(float a)
{
    return bits_of(a) & 0x7fffffff;
}

static inline bool is_wild(float a)
{
    return magnitude_bits(a) >= INFINITY_BITS;
}

static inline float sum_at(const struct stretch *in, size_t i)
{
    return in->values[i] + (in->residual == NULL ? 0.0f : in->residual[i]);
}

static inline void keep_error(const struct stretch *in, size_t i, float a, float s)
{
    if (in->residual != NULL) {
        in->next[i] = is_wild(a) ? in->residual[i] : a - s;
    }
}

/* A compiler may swap the operands of +, so of two NaNs it gets one twice. */
static inline void put(const struct unpack *out, size_t i, float s)
{
    float before = out->into[i];
    out->into[i] = out->add ? before + (before != before ? before : s) : out->scale * s;
}

/* The larger magnitude of both, or one more that is not finite. */
static inline uint32_t magnitude_add(uint32_t largest, float a, size_t *wild)
{
    uint32_t bits = magnitude_bits(a);
    *wild += bits >= INFINITY_BITS;
    return bits < INFINITY_BITS && bits > largest ? bits : largest;
}

static float magnitude(const struct stretch *in, size_t *wild)
{
    uint32_t largest = 0;
    size_t found = 0;
    for (size_t i = 0; i < in->count; i++) {
        largest = magnitude_add(largest, sum_at(in, i), &found);
    }
    *wild = found;
    return float_of(largest);
}

/* ---- f16 ---- */

/* The code of what rounds up to 2^128 is finite, but not what it stands for. */
static inline uint16_t f16_code(float a, float unit)
{
    bool bounded = !is_wild(a) && magnitude_bits(a) >= LEAST_BITS_TO_INFINITE_F16;
    float largest = float_of((bits_of(a) & 0x80000000) | LARGEST_BITS_OF_11_DIGITS);
    return a != a ? QUIET_NAN_F16 : f16_narrow((bounded ? largest : a) * unit);
}

static float encode_f16(uint16_t *codes, const struct stretch *in, float unit, size_t *wild)
{
    float inverse = 1.0f / unit;
    uint32_t largest = 0;
    size_t found = 0;
    for (size_t i = 0; i < in->count; i++) {
        float a = sum_at(in, i);
        largest = magnitude_add(largest, a, &found);
        codes[i] = f16_code(a, unit);
        keep_error(in, i, a, f16_widen(codes[i]) * inverse);
    }
    *wild = found;
    return float_of(largest);
}

static void decode_f16(const struct unpack *out, const uint16_t *codes, float unit)
{
    float inverse = 1.0f / unit;
    for (size_t i = 0; i < out->count; i++) {
        put(out, i, f16_widen(codes[i]) * inverse);
    }
}

/* ---- bf16 ---- */

static inline uint16_t bf16_code(float a)
{
    uint16_t code = bf16_narrow(a);
    uint16_t largest = (uint16_t)((code & 0x8000) | LARGEST_BF16);
    code = !is_wild(a) && (code & 0x7fff) > LARGEST_BF16 ? largest : code;
    return a != a ? QUIET_NAN_BF16 : code;
}

static size_t encode_bf16(uint16_t *codes, const struct stretch *in)
{
    size_t wild = 0;
    for (size_t i = 0; i < in->count; i++) {
        float a = sum_at(in, i);
        codes[i] = bf16_code(a);
        wild += is_wild(a);
        keep_error(in, i, a, bf16_widen(codes[i]));
    }
    return wild;
}

static void decode_bf16(const struct unpack *out, const uint16_t *codes)
{
    for (size_t i = 0; i < out->count; i++) {
        put(out, i, bf16_widen(codes[i]));
    }
}

/* ---- i8 ---- */

/* Adding 1.5 * 2^23 leaves no place for a fraction: the sum's last bits are the rounded number. */
static inline int32_t nearest(float quotient)
{
    const float shift = 0x1.8p23f;
    return (int32_t)(bits_of(quotient + shift) - bits_of(shift));
}

static inline int32_t clamp(int32_t code)
{
    return code > 127 ? 127 : code < -127 ? -127 : code;
}

static void encode_block_nearest(int8_t *codes, const struct stretch *in, struct block_scale scale)
{
    for (size_t i = 0; i < in->count; i++) {
        float a = sum_at(in, i);
        int32_t code = is_wild(a) ? WILD_I8 : nearest(a * scale.inverse);
        codes[i] = (int8_t)code;
        keep_error(in, i, a, (float)code * scale.step);
    }
}

static void encode_block_dithered(int8_t *codes, const struct stretch *in, struct block_scale scale,
                                  const struct dither_keys *keys, uint32_t index)
{
    for (size_t i = 0; i < in->count; i++) {
        float a = sum_at(in, i);
        float u = (float)dither_of(keys, index, (uint32_t)i) * 0x1p-32f;
        codes[i] = (int8_t)(is_wild(a) ? WILD_I8 : clamp(nearest(a * scale.inverse + u)));
    }
}

static size_t encode_i8(int8_t *codes, float *steps, const struct stretch *in,
                        const struct dither *dither)
{
    assert(dither == NULL || in->residual == NULL);
    struct dither_keys keys = dither_keys_of(dither);
    size_t wild = 0;
    for (size_t first = 0; first < in->count; first += CODE_BLOCK) {
        size_t count = in->count - first < CODE_BLOCK ? in->count - first : CODE_BLOCK;
        struct stretch block = stretch_part(in, first, count);
        size_t wild_here;
        struct block_scale scale = block_scale_of(magnitude(&block, &wild_here));
        steps[first / CODE_BLOCK] = scale.step;
        wild += wild_here;
        if (dither == NULL) {
            encode_block_nearest(codes + first, &block, scale);
        } else {
            encode_block_dithered(codes + first, &block, scale, &keys,
                                  (uint32_t)(dither->index + first));
        }
    }
    return wild;
}

static void decode_i8(const struct unpack *out, const int8_t *codes, const float *steps)
{
    for (size_t i = 0; i < out->count; i++) {
        float s = (float)codes[i] * steps[i / CODE_BLOCK];
        put(out, i, codes[i] == WILD_I8 ? float_of((uint32_t)QUIET_NAN_BF16 << 16) : s);
    }
}

const struct code_kernels code_scalar = {
    .magnitude = magnitude,
    .encode_f16 = encode_f16,
    .decode_f16 = decode_f16,
    .encode_bf16 = encode_bf16,
    .decode_bf16 = decode_bf16,
    .encode_i8 = encode_i8,
    .decode_i8 = decode_i8,
};

void code_kernels_scalar(struct code_kernels *kernels)
{
    *kernels = code_scalar;
}
