/* SPDX-License-Identifier: BSD-3-Clause
 * avx512.c: scalar.c's reductions of f32, f16 and bf16 with AVX-512, 64 bytes at a time. These are
 * bound by instructions while they run in cache; the other types stay with avx2.c. */
#include "kernels/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#include <stdint.h>

/* ---- f32 ---- */

typedef __m512 vec_f32;

static inline vec_f32 load_f32(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void store_f32(float *into, vec_f32 a)
{
    _mm512_storeu_ps(into, a);
}

/* a where a is NaN, b elsewhere. */
static inline vec_f32 left_nan_f32(vec_f32 a, vec_f32 b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}

/* The instruction lets the left NaN win, but a compiler may swap its operands. */
static inline vec_f32 sum_f32(vec_f32 a, vec_f32 b)
{
    return _mm512_add_ps(a, left_nan_f32(a, b));
}

/* minps and maxps give b unless a is truly less or greater. */
static inline vec_f32 min_f32(vec_f32 a, vec_f32 b)
{
    return left_nan_f32(a, _mm512_min_ps(a, b));
}

static inline vec_f32 max_f32(vec_f32 a, vec_f32 b)
{
    return left_nan_f32(a, _mm512_max_ps(a, b));
}

static inline vec_f32 scale_f32(vec_f32 a, double scale)
{
    return _mm512_mul_ps(a, _mm512_set1_ps((float)scale));
}

#define TYPE f32
#define ELEMENT float
#define LANES 16
#include "kernels/reduce_loops.h"

/* ---- f16 and bf16: fp32 between load and store ---- */

typedef __m512 vec_f16;

static inline vec_f16 load_f16(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

static inline void store_f16(uint16_t *into, vec_f16 a)
{
    __m256i halves = _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256((__m256i *)into, halves);
}

#define sum_f16 sum_f32
#define min_f16 min_f32
#define max_f16 max_f32
#define scale_f16 scale_f32

#define TYPE f16
#define ELEMENT uint16_t
#define LANES 16
#include "kernels/reduce_loops.h"

/* 32 elements, seen as 16 pairs of 32 bits: the first of each pair, and the second. */
typedef struct {
    __m512 low;
    __m512 high;
} vec_bf16;

static inline vec_bf16 load_bf16(const uint16_t *from)
{
    __m512i pairs = _mm512_loadu_si512(from);
    __m512i low = _mm512_slli_epi32(pairs, 16);
    __m512i high = _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000));
    return (vec_bf16){_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)};
}

/* The upper half of each lane is the bf16; the lower is left over. */
static inline __m512i round_bf16(__m512 a)
{
    __m512i bits = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_add_epi32(bits, half);
    __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(1 << 22));
}

static inline void store_bf16(uint16_t *into, vec_bf16 a)
{
    __m512i low = _mm512_srli_epi32(round_bf16(a.low), 16);
    __m512i pairs = _mm512_mask_mov_epi16(low, 0xaaaaaaaa, round_bf16(a.high));
    _mm512_storeu_si512(into, pairs);
}

static inline vec_bf16 sum_bf16(vec_bf16 a, vec_bf16 b)
{
    return (vec_bf16){sum_f32(a.low, b.low), sum_f32(a.high, b.high)};
}

static inline vec_bf16 min_bf16(vec_bf16 a, vec_bf16 b)
{
    return (vec_bf16){min_f32(a.low, b.low), min_f32(a.high, b.high)};
}

static inline vec_bf16 max_bf16(vec_bf16 a, vec_bf16 b)
{
    return (vec_bf16){max_f32(a.low, b.low), max_f32(a.high, b.high)};
}

static inline vec_bf16 scale_bf16(vec_bf16 a, double scale)
{
    return (vec_bf16){scale_f32(a.low, scale), scale_f32(a.high, scale)};
}

#define TYPE bf16
#define ELEMENT uint16_t
#define LANES 32
#include "kernels/reduce_loops.h"

static reduce_kernel *const gradients[][WW_OP_COUNT] = {
    [WW_F32] = {reduce_sum_f32, reduce_sum_f32, reduce_min_f32, reduce_max_f32},
    [WW_F16] = {reduce_sum_f16, reduce_sum_f16, reduce_min_f16, reduce_max_f16},
    [WW_BF16] = {reduce_sum_bf16, reduce_sum_bf16, reduce_min_bf16, reduce_max_bf16},
};

void kernels_init_avx512(struct kernels *kernels)
{
    static const enum ww_type types[] = {WW_F32, WW_F16, WW_BF16};
    kernels->name = "avx512";
    code_kernels_avx512(&kernels->code);
    sparse_kernels_avx512(&kernels->sparse);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        memcpy(kernels->reduce[types[i]], gradients[types[i]], sizeof gradients[0]);
    }
}
#else
void kernels_init_avx512(struct kernels *kernels)
{
    (void)kernels;
}
#endif
