/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_avx512.c: sparse_scalar.c's choosing with AVX-512. Compresses in registers and merges: the
 * form that stores is microcode on some processors, and the one that zeroes waits for its own last
 * result. */
#include "kernels/sparse_one.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define LANES 16
#define VECS 2
#define BLOCK (VECS * LANES)

typedef __m512 vec_f32;

static inline vec_f32 vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_stream(float *into, vec_f32 a)
{
    _mm512_stream_ps(into, a);
}

static inline void vec_stream_end(void)
{
    _mm_sfence();
}

static inline vec_f32 vec_all(float value)
{
    return _mm512_set1_ps(value);
}

static inline vec_f32 vec_add(vec_f32 a, vec_f32 b)
{
    return _mm512_add_ps(a, b);
}

static inline vec_f32 vec_multiply(vec_f32 a, vec_f32 b)
{
    return _mm512_mul_ps(a, b);
}

#include "kernels/sparse_streams.h"
#include "kernels/sparse_tiles.h"

static inline __m512i pack(__m512i lanes, __mmask16 mask)
{
    return _mm512_mask_compress_epi32(lanes, mask, lanes);
}

static inline size_t lanes_count(__mmask16 mask)
{
    return (size_t)__builtin_popcount(mask);
}

static inline __m512i magnitude(__m512 a)
{
    return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32((int)SPARSE_MAGNITUDE));
}

/* ---- keys ---- */

static inline size_t keys_run(uint32_t *keys, const struct stretch *in,
                              const struct momentum *momentum, uint32_t threshold,
                              bool has_momentum)
{
    const struct streams streams = streams_of(in, momentum);
    const __m512i least = _mm512_set1_epi32((int)threshold);
    const __m512i nan = _mm512_set1_epi32((int)SPARSE_KEY_NAN);
    size_t count = 0;
    size_t i = 0;
    for (; in->count - i >= BLOCK; i += BLOCK) {
        __m512i key[VECS];
        __mmask16 hit[VECS];
        unsigned any = 0;
        for (size_t vec = 0; vec < VECS; vec++) {
            __m512 value = value_at(&streams, i, vec, has_momentum);
            __m512 a = _mm512_add_ps(value, residual_at(&streams, i, vec));
            key[vec] = _mm512_min_epu32(magnitude(a), nan);
            hit[vec] = _mm512_cmpge_epu32_mask(key[vec], least);
            any |= hit[vec];
        }
        for (size_t vec = 0; vec < VECS && any != 0; vec++) {
            _mm512_storeu_si512(keys + count, pack(key[vec], hit[vec]));
            count += lanes_count(hit[vec]);
        }
    }
    for (; i < in->count; i++) {
        uint32_t key = sparse_key(sparse_value(in, momentum, i) + sparse_residual(in, i));
        keys[count] = key;
        count += key >= threshold;
    }
    return count;
}

static size_t keys_avx512(uint32_t *keys, const struct stretch *in, const struct momentum *momentum,
                          uint32_t threshold)
{
    if (momentum == NULL) {
        return keys_run(keys, in, NULL, threshold, false);
    }
    return keys_run(keys, in, momentum, threshold, true);
}

/* ---- choose ---- */

#define WORD_VECS (TILE_WORD / LANES)

/* One word of the tile: false, and nothing stored, where one of its elements is not finite. */
static inline bool word_sum(const struct choosing *run, const struct streams *streams, size_t i,
                            float *sums, uint64_t *hits, bool has_momentum)
{
    const __m512i least = _mm512_set1_epi32((int)run->threshold);
    const __m512i infinity = _mm512_set1_epi32((int)SPARSE_KEY_INFINITY);
    __m512 value[WORD_VECS];
    __m512 a[WORD_VECS];
    __m512i largest = _mm512_setzero_si512();
    uint64_t bits = 0;
    for (size_t vec = 0; vec < WORD_VECS; vec++) {
        value[vec] = value_at(streams, i, vec, has_momentum);
        a[vec] = _mm512_add_ps(value[vec], residual_at(streams, i, vec));
        __m512i key = magnitude(a[vec]);
        largest = _mm512_max_epu32(largest, key);
        bits |= (uint64_t)_mm512_cmpge_epu32_mask(key, least) << vec * LANES;
    }
    if (_mm512_cmpge_epu32_mask(largest, infinity) != 0) {
        return false;
    }
    for (size_t vec = 0; vec < WORD_VECS; vec++) {
        _mm512_storeu_ps(sums + vec * LANES, a[vec]);
        if (has_momentum) {
            _mm512_storeu_ps(streams->u + i + vec * LANES, value[vec]);
        }
    }
    *hits = bits;
    return true;
}

/* bf16 codes of finite a, one in each lane. */
static inline __m512i codes_of(__m512 a)
{
    __m512i key = magnitude(a);
    __m512i sign = _mm512_xor_si512(_mm512_castps_si512(a), key);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(key, 16), _mm512_set1_epi32(1));
    __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(key, half), 16);
    rounded = _mm512_min_epu32(rounded, _mm512_set1_epi32((int)SPARSE_CODE_LARGEST));
    return _mm512_or_si512(rounded, _mm512_srli_epi32(sign, 16));
}

/* Appends the lanes that were hit, and takes what they send from the sums. */
static inline void vec_take(struct choosing *run, float *sums, size_t i, unsigned mask)
{
    const __mmask16 hit = (__mmask16)mask;
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512 a = _mm512_loadu_ps(sums);
    __m512i offsets = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)i));
    /* Both halves of a lane move at once. */
    __m512i upper = _mm512_slli_epi32(codes_of(a), 16);
    __m512i pairs = pack(_mm512_or_si512(offsets, upper), hit);
    __m256i low = _mm512_cvtepi32_epi16(pairs);
    __m256i high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16));
    _mm256_storeu_si256((__m256i *)(run->offsets + run->chosen), low);
    _mm256_storeu_si256((__m256i *)(run->codes + run->chosen), high);
    run->chosen += lanes_count(hit);
    _mm512_storeu_ps(sums, _mm512_mask_sub_ps(a, hit, a, _mm512_castsi512_ps(upper)));
}

#include "kernels/sparse_choose.h"

void sparse_kernels_avx512(struct sparse_kernels *kernels)
{
    kernels->keys = keys_avx512;
    kernels->choose = choose;
}
#else
void sparse_kernels_avx512(struct sparse_kernels *kernels)
{
    (void)kernels;
}
#endif
