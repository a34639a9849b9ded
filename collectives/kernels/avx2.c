/* SPDX-License-Identifier: BSD-3-Clause
 * avx2.c: scalar.c's reductions with AVX2 and F16C, 32 bytes at a time. */
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>
#include <stdint.h>

/* ---- f32 ---- */

typedef __m256 vec_f32;

static inline vec_f32 load_f32(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void store_f32(float *into, vec_f32 a)
{
    _mm256_storeu_ps(into, a);
}

/* a where a is NaN, b elsewhere. */
static inline vec_f32 left_nan_f32(vec_f32 a, vec_f32 b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* The instruction lets the left NaN win, but a compiler may swap its operands. */
static inline vec_f32 sum_f32(vec_f32 a, vec_f32 b)
{
    return _mm256_add_ps(a, left_nan_f32(a, b));
}

/* minps and maxps give b unless a is truly less or greater. */
static inline vec_f32 min_f32(vec_f32 a, vec_f32 b)
{
    return left_nan_f32(a, _mm256_min_ps(a, b));
}

static inline vec_f32 max_f32(vec_f32 a, vec_f32 b)
{
    return left_nan_f32(a, _mm256_max_ps(a, b));
}

static inline vec_f32 scale_f32(vec_f32 a, double scale)
{
    return _mm256_mul_ps(a, _mm256_set1_ps((float)scale));
}

#define TYPE f32
#define ELEMENT float
#define LANES 8
#include "kernels/reduce_loops.h"

/* ---- f64 ---- */

typedef __m256d vec_f64;

static inline vec_f64 load_f64(const double *from)
{
    return _mm256_loadu_pd(from);
}

static inline void store_f64(double *into, vec_f64 a)
{
    _mm256_storeu_pd(into, a);
}

static inline vec_f64 left_nan_f64(vec_f64 a, vec_f64 b)
{
    return _mm256_blendv_pd(b, a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q));
}

static inline vec_f64 sum_f64(vec_f64 a, vec_f64 b)
{
    return _mm256_add_pd(a, left_nan_f64(a, b));
}

static inline vec_f64 min_f64(vec_f64 a, vec_f64 b)
{
    return left_nan_f64(a, _mm256_min_pd(a, b));
}

static inline vec_f64 max_f64(vec_f64 a, vec_f64 b)
{
    return left_nan_f64(a, _mm256_max_pd(a, b));
}

static inline vec_f64 scale_f64(vec_f64 a, double scale)
{
    return _mm256_mul_pd(a, _mm256_set1_pd(scale));
}

#define TYPE f64
#define ELEMENT double
#define LANES 4
#include "kernels/reduce_loops.h"

/* ---- f16 and bf16: fp32 between load and store ---- */

typedef __m256 vec_f16;

static inline vec_f16 load_f16(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

static inline void store_f16(uint16_t *into, vec_f16 a)
{
    __m128i halves = _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128((__m128i *)into, halves);
}

#define sum_f16 sum_f32
#define min_f16 min_f32
#define max_f16 max_f32
#define scale_f16 scale_f32

#define TYPE f16
#define ELEMENT uint16_t
#define LANES 8
#include "kernels/reduce_loops.h"

/* 16 elements, seen as 8 pairs of 32 bits: the first of each pair, and the second. */
typedef struct {
    __m256 low;
    __m256 high;
} vec_bf16;

static inline vec_bf16 load_bf16(const uint16_t *from)
{
    __m256i pairs = _mm256_loadu_si256((const __m256i *)from);
    __m256i low = _mm256_slli_epi32(pairs, 16);
    __m256i high = _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000));
    return (vec_bf16){_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)};
}

/* The upper half of each lane is the bf16; the lower is left over. */
static inline __m256i round_bf16(__m256 a)
{
    __m256i bits = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_add_epi32(bits, half);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(1 << 22));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, is_nan);
}

static inline void store_bf16(uint16_t *into, vec_bf16 a)
{
    __m256i low = _mm256_srli_epi32(round_bf16(a.low), 16);
    __m256i pairs = _mm256_blend_epi16(low, round_bf16(a.high), 0xaa);
    _mm256_storeu_si256((__m256i *)into, pairs);
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
#define LANES 16
#include "kernels/reduce_loops.h"

/* ---- i32 ---- */

typedef __m256i vec_i32;

static inline vec_i32 load_i32(const int32_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store_i32(int32_t *into, vec_i32 a)
{
    _mm256_storeu_si256((__m256i *)into, a);
}

static inline vec_i32 sum_i32(vec_i32 a, vec_i32 b)
{
    return _mm256_add_epi32(a, b);
}

static inline vec_i32 min_i32(vec_i32 a, vec_i32 b)
{
    return _mm256_min_epi32(a, b);
}

static inline vec_i32 max_i32(vec_i32 a, vec_i32 b)
{
    return _mm256_max_epi32(a, b);
}

#define scale_i32 keep_i32

#define TYPE i32
#define ELEMENT int32_t
#define LANES 8
#include "kernels/reduce_loops.h"

/* ---- i64 ---- */

typedef __m256i vec_i64;

static inline vec_i64 load_i64(const int64_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store_i64(int64_t *into, vec_i64 a)
{
    _mm256_storeu_si256((__m256i *)into, a);
}

static inline vec_i64 sum_i64(vec_i64 a, vec_i64 b)
{
    return _mm256_add_epi64(a, b);
}

static inline vec_i64 min_i64(vec_i64 a, vec_i64 b)
{
    return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}

static inline vec_i64 max_i64(vec_i64 a, vec_i64 b)
{
    return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

#define scale_i64 keep_i64

#define TYPE i64
#define ELEMENT int64_t
#define LANES 4
#include "kernels/reduce_loops.h"

static const struct kernels avx2 = {
    .name = "avx2",
    .reduce =
        {
            [WW_F32] = {reduce_sum_f32, reduce_sum_f32, reduce_min_f32, reduce_max_f32},
            [WW_F64] = {reduce_sum_f64, reduce_sum_f64, reduce_min_f64, reduce_max_f64},
            [WW_F16] = {reduce_sum_f16, reduce_sum_f16, reduce_min_f16, reduce_max_f16},
            [WW_BF16] = {reduce_sum_bf16, reduce_sum_bf16, reduce_min_bf16, reduce_max_bf16},
            [WW_I32] = {reduce_sum_i32, NULL, reduce_min_i32, reduce_max_i32},
            [WW_I64] = {reduce_sum_i64, NULL, reduce_min_i64, reduce_max_i64},
        },
};

void kernels_init_avx2(struct kernels *kernels)
{
    kernels->name = avx2.name;
    memcpy(kernels->reduce, avx2.reduce, sizeof avx2.reduce);
    code_kernels_avx2(&kernels->code);
    sparse_kernels_avx2(&kernels->sparse);
}
#else
void kernels_init_avx2(struct kernels *kernels)
{
    (void)kernels;
}
#endif
