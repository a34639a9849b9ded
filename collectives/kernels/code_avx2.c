/* SPDX-License-Identifier: BSD-3-Clause
 * code_avx2.c: code_scalar.c's loops with AVX2 and F16C, 8 elements at a time. */
#include "kernels/code_parts.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

#define LANES 8
#define VECTORS (CODE_GROUP / LANES)

typedef __m256 vec;
typedef __m256i ivec;
typedef __m128i half;

/* ---- fp32 ---- */

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_store(float *into, vec a)
{
    _mm256_storeu_ps(into, a);
}

static inline void vec_stream(float *into, vec a)
{
    _mm256_stream_ps(into, a);
}

static inline void vec_stream_end(void)
{
    _mm_sfence();
}

static inline vec vec_all(float a)
{
    return _mm256_set1_ps(a);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec left_nan(vec a, vec b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

static inline vec vec_of(ivec integers)
{
    return _mm256_cvtepi32_ps(integers);
}

static inline ivec nearest(vec a)
{
    return _mm256_cvtps_epi32(a);
}

/* ---- 32-bit integers ---- */

static inline ivec ivec_all(uint32_t a)
{
    return _mm256_set1_epi32((int)a);
}

static inline ivec ivec_add(ivec a, ivec b)
{
    return _mm256_add_epi32(a, b);
}

static inline ivec ivec_mul(ivec a, ivec b)
{
    return _mm256_mullo_epi32(a, b);
}

static inline ivec ivec_xor(ivec a, ivec b)
{
    return _mm256_xor_si256(a, b);
}

static inline ivec ivec_count(uint32_t start)
{
    return _mm256_add_epi32(ivec_all(start), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline ivec ivec_shift_16(ivec a)
{
    return _mm256_srli_epi32(a, 16);
}

static inline ivec ivec_shift_15(ivec a)
{
    return _mm256_srli_epi32(a, 15);
}

static inline ivec ivec_lower_16(ivec a)
{
    return _mm256_slli_epi32(a, 16);
}

static inline ivec magnitude_of(vec a)
{
    return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff));
}

static inline ivec larger(ivec a, ivec b)
{
    return _mm256_max_epu32(a, b);
}

static inline uint32_t largest_of(ivec a)
{
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    __m128i two = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32(two, 0xb1)));
}

/* Magnitudes have no sign, so signed comparison will do. */
static inline bool reaches(ivec a, uint32_t limit)
{
    __m256i reached = _mm256_cmpgt_epi32(a, ivec_all(limit - 1));
    return _mm256_movemask_epi8(reached) != 0;
}

/* ---- f16 and bf16 ---- */

static inline half half_load(const uint16_t *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

static inline void half_store(uint16_t *into, half a)
{
    _mm_storeu_si128((__m128i *)into, a);
}

static inline half f16_narrow_vec(vec a)
{
    return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec f16_widen_vec(half a)
{
    return _mm256_cvtph_ps(a);
}

static inline vec bf16_round(vec a)
{
    __m256i bits = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    return _mm256_castsi256_ps(_mm256_and_si256(rounded, _mm256_set1_epi32((int)0xffff0000)));
}

/* Instructions that pack work on each 128 bits alone; a permutation puts quarters in order. */
static inline void bf16_store(uint16_t *into, const vec s[VECTORS])
{
    for (size_t i = 0; i < VECTORS; i += 2) {
        __m256i low = _mm256_srli_epi32(_mm256_castps_si256(s[i]), 16);
        __m256i high = _mm256_srli_epi32(_mm256_castps_si256(s[i + 1]), 16);
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
        _mm256_storeu_si256((__m256i *)(into + i * LANES), packed);
    }
}

static inline void bf16_load(vec s[VECTORS], const uint16_t *from)
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m256i wide = _mm256_cvtepu16_epi32(half_load(from + i * LANES));
        s[i] = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
}

/* ---- i8 ---- */

static inline void i8_store(int8_t *into, const ivec integers[VECTORS])
{
    __m256i low = _mm256_packs_epi32(integers[0], integers[1]);
    __m256i high = _mm256_packs_epi32(integers[2], integers[3]);
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256((__m256i *)into, _mm256_max_epi8(packed, _mm256_set1_epi8(-127)));
}

static inline void i8_load(ivec integers[VECTORS], const int8_t *from)
{
    for (size_t i = 0; i < VECTORS; i++) {
        __m128i codes = _mm_loadl_epi64((const __m128i *)(from + i * LANES));
        integers[i] = _mm256_cvtepi8_epi32(codes);
    }
}

static inline bool i8_all_finite(const int8_t *codes)
{
    __m256i group = _mm256_loadu_si256((const __m256i *)codes);
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(group, _mm256_set1_epi8(-128))) == 0;
}

#include "kernels/code_loops.h"

void code_kernels_avx2(struct code_kernels *kernels)
{
    *kernels = code_loops;
}
#else
void code_kernels_avx2(struct code_kernels *kernels)
{
    (void)kernels;
}
#endif
