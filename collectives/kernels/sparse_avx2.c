/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_avx2.c: sparse_scalar.c's choosing with AVX2. Scattering stays with sparse_scalar.c. */
#include "kernels/sparse_one.h"

#if defined(__AVX2__)
#include <immintrin.h>

#define LANES 8
#define VECS 4
#define BLOCK (VECS * LANES)

typedef __m256 vec_f32;

static inline vec_f32 vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_stream(float *into, vec_f32 a)
{
    _mm256_stream_ps(into, a);
}

static inline void vec_stream_end(void)
{
    _mm_sfence();
}

static inline vec_f32 vec_all(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec_f32 vec_add(vec_f32 a, vec_f32 b)
{
    return _mm256_add_ps(a, b);
}

static inline vec_f32 vec_multiply(vec_f32 a, vec_f32 b)
{
    return _mm256_mul_ps(a, b);
}

#include "kernels/sparse_streams.h"
#include "kernels/sparse_tiles.h"

/* By a mask of lanes: the numbers of its lanes from the first on, 4 bits each. */
static const uint32_t packs[256] = {
    0x00000000, 0x00000000, 0x00000001, 0x00000010, 0x00000002, 0x00000020, 0x00000021, 0x00000210,
    0x00000003, 0x00000030, 0x00000031, 0x00000310, 0x00000032, 0x00000320, 0x00000321, 0x00003210,
    0x00000004, 0x00000040, 0x00000041, 0x00000410, 0x00000042, 0x00000420, 0x00000421, 0x00004210,
    0x00000043, 0x00000430, 0x00000431, 0x00004310, 0x00000432, 0x00004320, 0x00004321, 0x00043210,
    0x00000005, 0x00000050, 0x00000051, 0x00000510, 0x00000052, 0x00000520, 0x00000521, 0x00005210,
    0x00000053, 0x00000530, 0x00000531, 0x00005310, 0x00000532, 0x00005320, 0x00005321, 0x00053210,
    0x00000054, 0x00000540, 0x00000541, 0x00005410, 0x00000542, 0x00005420, 0x00005421, 0x00054210,
    0x00000543, 0x00005430, 0x00005431, 0x00054310, 0x00005432, 0x00054320, 0x00054321, 0x00543210,
    0x00000006, 0x00000060, 0x00000061, 0x00000610, 0x00000062, 0x00000620, 0x00000621, 0x00006210,
    0x00000063, 0x00000630, 0x00000631, 0x00006310, 0x00000632, 0x00006320, 0x00006321, 0x00063210,
    0x00000064, 0x00000640, 0x00000641, 0x00006410, 0x00000642, 0x00006420, 0x00006421, 0x00064210,
    0x00000643, 0x00006430, 0x00006431, 0x00064310, 0x00006432, 0x00064320, 0x00064321, 0x00643210,
    0x00000065, 0x00000650, 0x00000651, 0x00006510, 0x00000652, 0x00006520, 0x00006521, 0x00065210,
    0x00000653, 0x00006530, 0x00006531, 0x00065310, 0x00006532, 0x00065320, 0x00065321, 0x00653210,
    0x00000654, 0x00006540, 0x00006541, 0x00065410, 0x00006542, 0x00065420, 0x00065421, 0x00654210,
    0x00006543, 0x00065430, 0x00065431, 0x00654310, 0x00065432, 0x00654320, 0x00654321, 0x06543210,
    0x00000007, 0x00000070, 0x00000071, 0x00000710, 0x00000072, 0x00000720, 0x00000721, 0x00007210,
    0x00000073, 0x00000730, 0x00000731, 0x00007310, 0x00000732, 0x00007320, 0x00007321, 0x00073210,
    0x00000074, 0x00000740, 0x00000741, 0x00007410, 0x00000742, 0x00007420, 0x00007421, 0x00074210,
    0x00000743, 0x00007430, 0x00007431, 0x00074310, 0x00007432, 0x00074320, 0x00074321, 0x00743210,
    0x00000075, 0x00000750, 0x00000751, 0x00007510, 0x00000752, 0x00007520, 0x00007521, 0x00075210,
    0x00000753, 0x00007530, 0x00007531, 0x00075310, 0x00007532, 0x00075320, 0x00075321, 0x00753210,
    0x00000754, 0x00007540, 0x00007541, 0x00075410, 0x00007542, 0x00075420, 0x00075421, 0x00754210,
    0x00007543, 0x00075430, 0x00075431, 0x00754310, 0x00075432, 0x00754320, 0x00754321, 0x07543210,
    0x00000076, 0x00000760, 0x00000761, 0x00007610, 0x00000762, 0x00007620, 0x00007621, 0x00076210,
    0x00000763, 0x00007630, 0x00007631, 0x00076310, 0x00007632, 0x00076320, 0x00076321, 0x00763210,
    0x00000764, 0x00007640, 0x00007641, 0x00076410, 0x00007642, 0x00076420, 0x00076421, 0x00764210,
    0x00007643, 0x00076430, 0x00076431, 0x00764310, 0x00076432, 0x00764320, 0x00764321, 0x07643210,
    0x00000765, 0x00007650, 0x00007651, 0x00076510, 0x00007652, 0x00076520, 0x00076521, 0x00765210,
    0x00007653, 0x00076530, 0x00076531, 0x00765310, 0x00076532, 0x00765320, 0x00765321, 0x07653210,
    0x00007654, 0x00076540, 0x00076541, 0x00765410, 0x00076542, 0x00765420, 0x00765421, 0x07654210,
    0x00076543, 0x00765430, 0x00765431, 0x07654310, 0x00765432, 0x07654320, 0x07654321, 0x76543210,
};

static inline __m256i pack(__m256i lanes, unsigned mask)
{
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    __m256i order = _mm256_srlv_epi32(_mm256_set1_epi32((int)packs[mask]), shifts);
    return _mm256_permutevar8x32_epi32(lanes, order);
}

static inline unsigned mask_of(__m256i lanes)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

static inline __m256i magnitude(__m256 a)
{
    return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32((int)SPARSE_MAGNITUDE));
}

/* ---- keys ---- */

static inline size_t keys_run(uint32_t *keys, const struct stretch *in,
                              const struct momentum *momentum, uint32_t threshold,
                              bool has_momentum)
{
    const struct streams streams = streams_of(in, momentum);
    const __m256i below = _mm256_set1_epi32((int)threshold - 1);
    const __m256i nan = _mm256_set1_epi32((int)SPARSE_KEY_NAN);
    size_t count = 0;
    size_t i = 0;
    for (; in->count - i >= BLOCK; i += BLOCK) {
        __m256i key[VECS];
        __m256i hit[VECS];
        __m256i any = _mm256_setzero_si256();
        for (size_t vec = 0; vec < VECS; vec++) {
            __m256 value = value_at(&streams, i, vec, has_momentum);
            __m256 a = _mm256_add_ps(value, residual_at(&streams, i, vec));
            key[vec] = _mm256_min_epu32(magnitude(a), nan);
            hit[vec] = _mm256_cmpgt_epi32(key[vec], below);
            any = _mm256_or_si256(any, hit[vec]);
        }
        if (_mm256_testz_si256(any, any)) {
            continue;
        }
        for (size_t vec = 0; vec < VECS; vec++) {
            unsigned mask = mask_of(hit[vec]);
            _mm256_storeu_si256((__m256i *)(keys + count), pack(key[vec], mask));
            count += (size_t)__builtin_popcount(mask);
        }
    }
    for (; i < in->count; i++) {
        uint32_t key = sparse_key(sparse_value(in, momentum, i) + sparse_residual(in, i));
        keys[count] = key;
        count += key >= threshold;
    }
    return count;
}

static size_t keys_avx2(uint32_t *keys, const struct stretch *in, const struct momentum *momentum,
                        uint32_t threshold)
{
    /* Compared with sign. */
    threshold = threshold < SPARSE_MAGNITUDE ? threshold : SPARSE_MAGNITUDE;
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
    const __m256i below = _mm256_set1_epi32((int)run->threshold - 1);
    const __m256i finite = _mm256_set1_epi32((int)SPARSE_KEY_INFINITY - 1);
    __m256 value[WORD_VECS];
    __m256 a[WORD_VECS];
    __m256i wild = _mm256_setzero_si256();
    uint64_t bits = 0;
    for (size_t vec = 0; vec < WORD_VECS; vec++) {
        value[vec] = value_at(streams, i, vec, has_momentum);
        a[vec] = _mm256_add_ps(value[vec], residual_at(streams, i, vec));
        __m256i key = magnitude(a[vec]);
        wild = _mm256_or_si256(wild, _mm256_cmpgt_epi32(key, finite));
        bits |= (uint64_t)mask_of(_mm256_cmpgt_epi32(key, below)) << vec * LANES;
    }
    if (!_mm256_testz_si256(wild, wild)) {
        return false;
    }
    for (size_t vec = 0; vec < WORD_VECS; vec++) {
        _mm256_storeu_ps(sums + vec * LANES, a[vec]);
        if (has_momentum) {
            _mm256_storeu_ps(streams->u + i + vec * LANES, value[vec]);
        }
    }
    *hits = bits;
    return true;
}

/* bf16 codes of finite a, one in each lane. */
static inline __m256i codes_of(__m256 a)
{
    __m256i key = magnitude(a);
    __m256i sign = _mm256_xor_si256(_mm256_castps_si256(a), key);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(key, 16), _mm256_set1_epi32(1));
    __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(key, half), 16);
    rounded = _mm256_min_epu32(rounded, _mm256_set1_epi32((int)SPARSE_CODE_LARGEST));
    return _mm256_or_si256(rounded, _mm256_srli_epi32(sign, 16));
}

/* Appends the lanes that were hit, and takes what they send from the sums. */
static inline void vec_take(struct choosing *run, float *sums, size_t i, unsigned mask)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i hit = _mm256_and_si256(_mm256_set1_epi32((int)mask), bits);
    hit = _mm256_cmpeq_epi32(hit, bits);
    __m256 a = _mm256_loadu_ps(sums);
    __m256i upper = _mm256_slli_epi32(codes_of(a), 16);
    __m256i offsets = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)i));
    /* One permutation moves both halves. */
    __m256i pairs = pack(_mm256_blend_epi16(offsets, upper, 0xaa), mask);
    __m256i low = _mm256_blend_epi16(pairs, _mm256_setzero_si256(), 0xaa);
    __m256i both = _mm256_packus_epi32(low, _mm256_srli_epi32(pairs, 16));
    both = _mm256_permute4x64_epi64(both, 0xd8);
    _mm_storeu_si128((__m128i *)(run->offsets + run->chosen), _mm256_castsi256_si128(both));
    _mm_storeu_si128((__m128i *)(run->codes + run->chosen), _mm256_extracti128_si256(both, 1));
    run->chosen += (size_t)__builtin_popcount(mask);
    __m256 sent = _mm256_castsi256_ps(_mm256_and_si256(upper, hit));
    _mm256_storeu_ps(sums, _mm256_sub_ps(a, sent));
}

#include "kernels/sparse_choose.h"

/* ---- pour ---- */

static inline void float_move(float *into, float *from)
{
    *into = *from;
    *from = 0;
}

static void pour_avx2(float *into, float *from, size_t count)
{
    size_t i = 0;
    for (; i < count && (uintptr_t)(into + i) % sizeof(vec_f32) != 0; i++) {
        float_move(into + i, from + i);
    }
    for (; count - i >= 2 * LANES; i += 2 * LANES) {
        vec_stream(into + i, vec_load(from + i));
        vec_stream(into + i + LANES, vec_load(from + i + LANES));
        _mm256_storeu_ps(from + i, vec_all(0));
        _mm256_storeu_ps(from + i + LANES, vec_all(0));
    }
    for (; i < count; i++) {
        float_move(into + i, from + i);
    }
    vec_stream_end();
}

void sparse_kernels_avx2(struct sparse_kernels *kernels)
{
    kernels->keys = keys_avx2;
    kernels->choose = choose;
    kernels->pour = pour_avx2;
    kernels->pour_streams = true;
}
#else
void sparse_kernels_avx2(struct sparse_kernels *kernels)
{
    (void)kernels;
}
#endif
