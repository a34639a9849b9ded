/* SPDX-License-Identifier: BSD-3-Clause
 * immintrin.h: stands in for the compiler's, so that kernels with AVX-512 run on other processors.
 * What SIMDe 0.7.4 lacks is made here, lane by lane. */
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H

#include <assert.h>
#include <math.h>
#include <stdint.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

enum { EMULATED_LANES = 16 };

static inline __m512i emulated_cvtps_epi32(__m512 a)
{
    float from[EMULATED_LANES];
    int32_t into[EMULATED_LANES];
    _mm512_storeu_ps(from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = (int32_t)lrintf(from[i]);
    }
    return _mm512_loadu_si512(into);
}

static inline __m512 emulated_cvtepi32_ps(__m512i a)
{
    int32_t from[EMULATED_LANES];
    float into[EMULATED_LANES];
    _mm512_storeu_si512(from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = (float)from[i];
    }
    return _mm512_loadu_ps(into);
}

static inline uint32_t emulated_reduce_max_epu32(__m512i a)
{
    uint32_t from[EMULATED_LANES];
    uint32_t largest = 0;
    _mm512_storeu_si512(from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        largest = from[i] > largest ? from[i] : largest;
    }
    return largest;
}

static inline __m256i emulated_cvtps_ph(__m512 a, int rounding)
{
    float from[EMULATED_LANES];
    uint16_t into[EMULATED_LANES];
    (void)rounding; /* SIMDe rounds to nearest whatever is asked */
    _mm512_storeu_ps(from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = simde_float16_as_uint16(simde_float16_from_float32(from[i]));
    }
    return _mm256_loadu_si256((const __m256i *)into);
}

static inline __m512 emulated_cvtph_ps(__m256i a)
{
    uint16_t from[EMULATED_LANES];
    float into[EMULATED_LANES];
    _mm256_storeu_si256((__m256i *)from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = simde_float16_to_float32(simde_uint16_as_float16(from[i]));
    }
    return _mm512_loadu_ps(into);
}

static inline __m256i emulated_cvtepi32_epi16(__m512i a)
{
    uint32_t from[EMULATED_LANES];
    uint16_t into[EMULATED_LANES];
    _mm512_storeu_si512(from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = (uint16_t)from[i];
    }
    return _mm256_loadu_si256((const __m256i *)into);
}

static inline __m512i emulated_cvtepu16_epi32(__m256i a)
{
    uint16_t from[EMULATED_LANES];
    uint32_t into[EMULATED_LANES];
    _mm256_storeu_si256((__m256i *)from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = from[i];
    }
    return _mm512_loadu_si512(into);
}

static inline __m512i emulated_cvtepi8_epi32(__m128i a)
{
    int8_t from[EMULATED_LANES];
    int32_t into[EMULATED_LANES];
    _mm_storeu_si128((__m128i *)from, a);
    for (int i = 0; i < EMULATED_LANES; i++) {
        into[i] = from[i];
    }
    return _mm512_loadu_si512(into);
}

/* Alignment is part of what is emulated. */
static inline void emulated_stream_ps(float *into, __m512 a)
{
    assert((uintptr_t)into % sizeof a == 0);
    _mm512_storeu_ps(into, a);
}

#undef __mmask16
#undef _mm512_stream_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_reduce_max_epu32
#undef _mm512_cvtps_ph
#undef _mm512_cvtph_ps
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi8_epi32
#undef _MM_FROUND_NO_EXC
#define __mmask16 simde__mmask16
#define _mm512_stream_ps emulated_stream_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_reduce_max_epu32 emulated_reduce_max_epu32
#define _mm512_cvtps_ph emulated_cvtps_ph
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC

#endif
