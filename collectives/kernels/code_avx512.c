/* SPDX-License-Identifier: BSD-3-Clause
 * code_avx512.c: code_scalar.c's loops with AVX-512, 16 elements at a time. */
#include "kernels/code_parts.h"

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>

#define LANES 16
#define VECTORS (CODE_GROUP / LANES)

typedef __m512 vec;
typedef __m512i ivec;
typedef __m256i half;

/* ---- fp32 ---- */

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_store(float *into, vec a)
{
    _mm512_storeu_ps(into, a);
}

static inline void vec_stream(float *into, vec a)
{
    _mm512_stream_ps(into, a);
}

static inline void vec_stream_end(void)
{
    _mm_sfence();
}

static inline vec vec_all(float a)
{
    return _mm512_set1_ps(a);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec left_nan(vec a, vec b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}

static inline vec vec_of(ivec integers)
{
    return _mm512_cvtepi32_ps(integers);
}

static inline ivec nearest(vec a)
{
    return _mm512_cvtps_epi32(a);
}

/* ---- 32-bit integers ---- */

static inline ivec ivec_all(uint32_t a)
{
    return _mm512_set1_epi32((int)a);
}

static inline ivec ivec_add(ivec a, ivec b)
{
    return _mm512_add_epi32(a, b);
}

static inline ivec ivec_mul(ivec a, ivec b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline ivec ivec_xor(ivec a, ivec b)
{
    return _mm512_xor_si512(a, b);
}

static inline ivec ivec_count(uint32_t start)
{
    return _mm512_add_epi32(
        ivec_all(start), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

static inline ivec ivec_shift_16(ivec a)
{
    return _mm512_srli_epi32(a, 16);
}

static inline ivec ivec_shift_15(ivec a)
{
    return _mm512_srli_epi32(a, 15);
}

static inline ivec ivec_lower_16(ivec a)
{
    return _mm512_slli_epi32(a, 16);
}

static inline ivec magnitude_of(vec a)
{
    return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff));
}

static inline ivec larger(ivec a, ivec b)
{
    return _mm512_max_epu32(a, b);
}

static inline uint32_t largest_of(ivec a)
{
    return _mm512_reduce_max_epu32(a);
}

static inline bool reaches(ivec a, uint32_t limit)
{
    return _mm512_cmpge_epu32_mask(a, ivec_all(limit)) != 0;
}

/* ---- f16 and bf16 ---- */

static inline half half_load(const uint16_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void half_store(uint16_t *into, half a)
{
    _mm256_storeu_si256((__m256i *)into, a);
}

static inline half f16_narrow_vec(vec a)
{
    return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec f16_widen_vec(half a)
{
    return _mm512_cvtph_ps(a);
}

static inline vec bf16_round(vec a)
{
    __m512i bits = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    return _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32((int)0xffff0000)));
}

static inline void bf16_store(uint16_t *into, const vec s[VECTORS])
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m512i upper = _mm512_srli_epi32(_mm512_castps_si512(s[i]), 16);
        half_store(into + i * LANES, _mm512_cvtepi32_epi16(upper));
    }
}

static inline void bf16_load(vec s[VECTORS], const uint16_t *from)
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m512i wide = _mm512_cvtepu16_epi32(half_load(from + i * LANES));
        s[i] = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
    }
}

/* ---- i8 ---- */

static inline void i8_store(int8_t *into, const ivec integers[VECTORS])
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m128i codes = _mm512_cvtsepi32_epi8(integers[i]);
        _mm_storeu_si128((__m128i *)(into + i * LANES), _mm_max_epi8(codes, _mm_set1_epi8(-127)));
    }
}

static inline void i8_load(ivec integers[VECTORS], const int8_t *from)
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m128i codes = _mm_loadu_si128((const __m128i *)(from + i * LANES));
        integers[i] = _mm512_cvtepi8_epi32(codes);
    }
}

static inline bool i8_all_finite(const int8_t *codes)
{
    __m256i group = _mm256_loadu_si256((const __m256i *)codes);
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(group, _mm256_set1_epi8(-128))) == 0;
}

#include "kernels/code_loops.h"

void code_kernels_avx512(struct code_kernels *kernels)
{
    *kernels = code_loops;
}
#else
void code_kernels_avx512(struct code_kernels *kernels)
{
    (void)kernels;
}
#endif
