/* SPDX-License-Identifier: BSD-3-Clause
 * code_neon.c: code_scalar.c's loops with the vectors of 64-bit Arm, 4 elements at a time. */
#include "kernels/code_parts.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define LANES 4
#define VECTORS (CODE_GROUP / LANES)

typedef float32x4_t vec;
typedef uint32x4_t ivec;
typedef uint16x4_t half;

/* ---- fp32 ---- */

static inline vec vec_load(const float *from)
{
    return vld1q_f32(from);
}

static inline void vec_store(float *into, vec a)
{
    vst1q_f32(into, a);
}

static inline void vec_stream(float *into, vec a)
{
    vst1q_f32(into, a);
}

static inline void vec_stream_end(void)
{
}

static inline vec vec_all(float a)
{
    return vdupq_n_f32(a);
}

static inline vec vec_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

static inline vec left_nan(vec a, vec b)
{
    return vbslq_f32(vceqq_f32(a, a), b, a);
}

static inline vec vec_of(ivec integers)
{
    return vcvtq_f32_s32(vreinterpretq_s32_u32(integers));
}

static inline ivec nearest(vec a)
{
    return vreinterpretq_u32_s32(vcvtnq_s32_f32(a));
}

/* ---- 32-bit integers ---- */

static inline ivec ivec_all(uint32_t a)
{
    return vdupq_n_u32(a);
}

static inline ivec ivec_add(ivec a, ivec b)
{
    return vaddq_u32(a, b);
}

static inline ivec ivec_mul(ivec a, ivec b)
{
    return vmulq_u32(a, b);
}

static inline ivec ivec_xor(ivec a, ivec b)
{
    return veorq_u32(a, b);
}

static inline ivec ivec_count(uint32_t start)
{
    static const uint32_t lanes[LANES] = {0, 1, 2, 3};
    return vaddq_u32(vdupq_n_u32(start), vld1q_u32(lanes));
}

static inline ivec ivec_shift_16(ivec a)
{
    return vshrq_n_u32(a, 16);
}

static inline ivec ivec_shift_15(ivec a)
{
    return vshrq_n_u32(a, 15);
}

static inline ivec ivec_lower_16(ivec a)
{
    return vshlq_n_u32(a, 16);
}

static inline ivec magnitude_of(vec a)
{
    return vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x7fffffff));
}

static inline ivec larger(ivec a, ivec b)
{
    return vmaxq_u32(a, b);
}

static inline uint32_t largest_of(ivec a)
{
    return vmaxvq_u32(a);
}

static inline bool reaches(ivec a, uint32_t limit)
{
    return vmaxvq_u32(a) >= limit;
}

/* ---- f16 and bf16 ---- */

static inline half half_load(const uint16_t *from)
{
    return vld1_u16(from);
}

static inline void half_store(uint16_t *into, half a)
{
    vst1_u16(into, a);
}

static inline half f16_narrow_vec(vec a)
{
    return vreinterpret_u16_f16(vcvt_f16_f32(a));
}

static inline vec f16_widen_vec(half a)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(a));
}

static inline vec bf16_round(vec a)
{
    uint32x4_t bits = vreinterpretq_u32_f32(a);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    return vreinterpretq_f32_u32(vandq_u32(rounded, vdupq_n_u32(0xffff0000)));
}

static inline void bf16_store(uint16_t *into, const vec s[VECTORS])
{
    for (size_t i = 0; i < VECTORS; i++) {
        half_store(into + i * LANES, vshrn_n_u32(vreinterpretq_u32_f32(s[i]), 16));
    }
}

static inline void bf16_load(vec s[VECTORS], const uint16_t *from)
{
    for (size_t i = 0; i < VECTORS; i++) {
        uint32x4_t wide = vmovl_u16(half_load(from + i * LANES));
        s[i] = vreinterpretq_f32_u32(vshlq_n_u32(wide, 16));
    }
}

/* ---- i8 ---- */

static inline void i8_store(int8_t *into, const ivec integers[VECTORS])
{
    for (size_t i = 0; i < VECTORS; i += 2) {
        int16x4_t low = vqmovn_s32(vreinterpretq_s32_u32(integers[i]));
        int16x4_t high = vqmovn_s32(vreinterpretq_s32_u32(integers[i + 1]));
        int8x8_t codes = vqmovn_s16(vcombine_s16(low, high));
        vst1_s8(into + i * LANES, vmax_s8(codes, vdup_n_s8(-127)));
    }
}

static inline void i8_load(ivec integers[VECTORS], const int8_t *from)
{
    for (size_t i = 0; i < VECTORS; i += 2) {
        int16x8_t wide = vmovl_s8(vld1_s8(from + i * LANES));
        integers[i] = vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(wide)));
        integers[i + 1] = vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(wide)));
    }
}

static inline bool i8_all_finite(const int8_t *codes)
{
    int8x16_t smallest = vminq_s8(vld1q_s8(codes), vld1q_s8(codes + 16));
    return vminvq_s8(smallest) > -128;
}

#include "kernels/code_loops.h"

void code_kernels_neon(struct code_kernels *kernels)
{
    *kernels = code_loops;
}
#else
void code_kernels_neon(struct code_kernels *kernels)
{
    (void)kernels;
}
#endif
