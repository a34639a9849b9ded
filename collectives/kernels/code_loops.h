/* SPDX-License-Identifier: BSD-3-Clause
 * code_loops.h: the loops of codes with vectors; a variant includes it once.
 *
 * Takes  LANES                          elements in a vec
 *        VECTORS                        CODE_GROUP / LANES
 *        vec, ivec, half                LANES of fp32, of 32-bit integers, of f16
 *        vec_load vec_store vec_all     _all: the same in all lanes
 *        vec_stream vec_stream_end      stores an aligned vec past the caches, where there is a
 *                                       way; all of these are seen by others behind the end
 *        vec_add vec_sub vec_mul
 *        left_nan(a, b)                 a where a is NaN, b elsewhere
 *        ivec_all ivec_add ivec_mul ivec_xor ivec_count    _count: start, start + 1, ...
 *        ivec_shift_16 ivec_shift_15    to the right, zeros follow
 *        ivec_lower_16                  to the left by 16
 *        magnitude_of(a)                the bits without the sign
 *        larger(a, b), largest_of(a)    as unsigned numbers, by lane and of all lanes
 *        reaches(a, limit)              whether any lane has at least limit
 *        half_load half_store f16_narrow_vec f16_widen_vec
 *        bf16_round(a)                  s of a, which is neither NaN nor rounds to infinity
 *        bf16_load bf16_store           CODE_GROUP elements: bf16 in memory, s in vecs
 *        nearest(a)                     to an integer, ties to even
 *        vec_of(integers)
 *        i8_load i8_store               CODE_GROUP elements: codes in memory, integers in vecs;
 *                                       what is stored saturates to -127 .. 127
 *        i8_all_finite(codes)           no code of CODE_GROUP is -128
 * Makes  the functions of struct code_kernels and code_loops, a table of them.
 *
 * A group of vecs with anything that is not finite, and what is left at the end, go to the
 * definition: they are rare, and nothing here needs to know them. */

#include <assert.h>

#include "kernels/code_parts.h"

/* Whether there is feedback, dither or addition is an argument; only inlining makes straight code
 * of it. Loops have their stretch by value: what they store may alias what a pointer leads to. */
#if defined(__GNUC__)
#define LOOP static inline __attribute__((always_inline))
#define FETCH(address) __builtin_prefetch(address)
#else
#define LOOP static inline
#define FETCH(address) ((void)(address))
#endif

/* Of the elements from first on. Returns the largest magnitude in each lane. */
LOOP ivec load_sums(vec a[VECTORS], const struct stretch *in, size_t first, bool feedback)
{
    ivec largest = ivec_all(0);
    for (size_t i = 0; i < VECTORS; i++) {
        a[i] = vec_add(vec_load(in->values + first + i * LANES),
                       feedback ? vec_load(in->residual + first + i * LANES) : vec_all(0.0f));
        largest = larger(largest, magnitude_of(a[i]));
    }
    return largest;
}

/* Elements ahead of the first where next is aligned, if it is cold: it is stored past the caches
 * from there on. */
LOOP size_t next_astray(const struct stretch *in)
{
    size_t misfit = (uintptr_t)in->next % sizeof(vec);
    size_t astray = in->cold && misfit > 0 ? (sizeof(vec) - misfit) / sizeof(float) : 0;
    return astray < in->count ? astray : in->count;
}

LOOP void stream_end(const struct stretch *in)
{
    if (in->cold) {
        vec_stream_end();
    }
}

/* Where in->cold, next is aligned at i. */
LOOP void keep_error(const struct stretch *in, size_t i, vec a, vec s, bool feedback)
{
    if (feedback && in->cold) {
        vec_stream(in->next + i, vec_sub(a, s));
    } else if (feedback) {
        vec_store(in->next + i, vec_sub(a, s));
    }
}

LOOP void put(const struct unpack *out, size_t i, vec s, bool add)
{
    vec before = add ? vec_load(out->into + i) : s;
    vec_store(out->into + i,
              add ? vec_add(before, left_nan(before, s)) : vec_mul(vec_all(out->scale), s));
}

LOOP ivec largest_in_groups(const struct stretch *in, size_t first, size_t end, bool feedback)
{
    ivec largest = ivec_all(0);
    for (; end - first >= CODE_GROUP; first += CODE_GROUP) {
        vec a[VECTORS];
        largest = larger(largest, load_sums(a, in, first, feedback));
    }
    return largest;
}

static float magnitude(const struct stretch *in, size_t *wild)
{
    size_t groups_end = in->count / CODE_GROUP * CODE_GROUP;
    ivec largest = in->residual == NULL ? largest_in_groups(in, 0, groups_end, false)
                                        : largest_in_groups(in, 0, groups_end, true);
    if (reaches(largest, INFINITY_BITS)) {
        return code_scalar.magnitude(in, wild);
    }
    struct stretch rest = stretch_part(in, groups_end, in->count - groups_end);
    float largest_of_rest = code_scalar.magnitude(&rest, wild);
    float largest_of_groups = float_of(largest_of(largest));
    return largest_of_groups > largest_of_rest ? largest_of_groups : largest_of_rest;
}

/* ---- f16 ---- */

/* Leaves a group to the definition, and takes in what it finds. */
static float leave_f16(uint16_t *codes, const struct stretch *in, float unit, float largest,
                       size_t *wild)
{
    size_t wild_here;
    float largest_here = code_scalar.encode_f16(codes, in, unit, &wild_here);
    *wild += wild_here;
    return largest_here > largest ? largest_here : largest;
}

LOOP float encode_f16_groups(uint16_t *codes, struct stretch in, float unit, size_t *wild,
                             bool feedback)
{
    vec units = vec_all(unit);
    vec inverse = vec_all(1.0f / unit);
    ivec largest = ivec_all(0);
    float largest_left = 0;
    size_t wild_left = 0;
    size_t first = next_astray(&in);
    struct stretch ahead = stretch_part(&in, 0, first);
    largest_left = leave_f16(codes, &ahead, unit, largest_left, &wild_left);
    for (; in.count - first >= CODE_GROUP; first += CODE_GROUP) {
        vec a[VECTORS];
        ivec largest_here = load_sums(a, &in, first, feedback);
        if (reaches(largest_here, LEAST_BITS_TO_INFINITE_F16)) {
            struct stretch group = stretch_part(&in, first, CODE_GROUP);
            largest_left = leave_f16(codes + first, &group, unit, largest_left, &wild_left);
            continue;
        }
        largest = larger(largest, largest_here);
        for (size_t i = 0; i < VECTORS; i++) {
            half code = f16_narrow_vec(vec_mul(a[i], units));
            half_store(codes + first + i * LANES, code);
            keep_error(&in, first + i * LANES, a[i], vec_mul(f16_widen_vec(code), inverse),
                       feedback);
        }
    }
    struct stretch rest = stretch_part(&in, first, in.count - first);
    largest_left = leave_f16(codes + first, &rest, unit, largest_left, &wild_left);
    *wild = wild_left;
    stream_end(&in);
    float largest_of_groups = float_of(largest_of(largest));
    return largest_of_groups > largest_left ? largest_of_groups : largest_left;
}

static float encode_f16(uint16_t *codes, const struct stretch *in, float unit, size_t *wild)
{
    return in->residual == NULL ? encode_f16_groups(codes, *in, unit, wild, false)
                                : encode_f16_groups(codes, *in, unit, wild, true);
}

LOOP void decode_f16_groups(struct unpack out, const uint16_t *codes, float unit, bool add)
{
    vec inverse = vec_all(1.0f / unit);
    size_t first = 0;
    for (; out.count - first >= CODE_GROUP; first += CODE_GROUP) {
        for (size_t i = first; i < first + CODE_GROUP; i += LANES) {
            put(&out, i, vec_mul(f16_widen_vec(half_load(codes + i)), inverse), add);
        }
    }
    struct unpack rest = unpack_part(&out, first, out.count - first);
    code_scalar.decode_f16(&rest, codes + first, unit);
}

static void decode_f16(const struct unpack *out, const uint16_t *codes, float unit)
{
    if (out->add) {
        decode_f16_groups(*out, codes, unit, true);
    } else {
        decode_f16_groups(*out, codes, unit, false);
    }
}

/* ---- bf16 ---- */

LOOP size_t encode_bf16_groups(uint16_t *codes, struct stretch in, bool feedback)
{
    size_t first = next_astray(&in);
    struct stretch ahead = stretch_part(&in, 0, first);
    size_t wild = code_scalar.encode_bf16(codes, &ahead);
    for (; in.count - first >= CODE_GROUP; first += CODE_GROUP) {
        vec a[VECTORS];
        vec s[VECTORS];
        if (reaches(load_sums(a, &in, first, feedback), LEAST_BITS_TO_INFINITE_BF16)) {
            struct stretch group = stretch_part(&in, first, CODE_GROUP);
            wild += code_scalar.encode_bf16(codes + first, &group);
            continue;
        }
        for (size_t i = 0; i < VECTORS; i++) {
            s[i] = bf16_round(a[i]);
            keep_error(&in, first + i * LANES, a[i], s[i], feedback);
        }
        bf16_store(codes + first, s);
    }
    stream_end(&in);
    struct stretch rest = stretch_part(&in, first, in.count - first);
    return wild + code_scalar.encode_bf16(codes + first, &rest);
}

static size_t encode_bf16(uint16_t *codes, const struct stretch *in)
{
    return in->residual == NULL ? encode_bf16_groups(codes, *in, false)
                                : encode_bf16_groups(codes, *in, true);
}

LOOP void decode_bf16_groups(struct unpack out, const uint16_t *codes, bool add)
{
    size_t first = 0;
    for (; out.count - first >= CODE_GROUP; first += CODE_GROUP) {
        vec s[VECTORS];
        bf16_load(s, codes + first);
        for (size_t i = 0; i < VECTORS; i++) {
            put(&out, first + i * LANES, s[i], add);
        }
    }
    struct unpack rest = unpack_part(&out, first, out.count - first);
    code_scalar.decode_bf16(&rest, codes + first);
}

static void decode_bf16(const struct unpack *out, const uint16_t *codes)
{
    if (out->add) {
        decode_bf16_groups(*out, codes, true);
    } else {
        decode_bf16_groups(*out, codes, false);
    }
}

/* ---- i8 ---- */

/* The hashes of a group, as code_parts.h makes them. */
LOOP void dither_hashes(ivec bits[VECTORS], const struct dither_keys *keys, uint32_t index)
{
    for (size_t i = 0; i < VECTORS; i++) {
        ivec x = ivec_xor(ivec_count(index + (uint32_t)(i * LANES)), ivec_all(keys->first));
        x = ivec_mul(ivec_xor(x, ivec_shift_16(x)), ivec_all(DITHER_FACTOR_1));
        x = ivec_add(ivec_xor(x, ivec_shift_15(x)), ivec_all(keys->second));
        x = ivec_mul(x, ivec_all(DITHER_FACTOR_2));
        bits[i] = ivec_xor(x, ivec_shift_16(x));
    }
}

/* bits: what numbers are rounded by; NULL = to nearest. */
LOOP void encode_i8_group(int8_t *codes, struct stretch block, size_t first,
                          struct block_scale scale, const ivec *bits, bool feedback)
{
    vec a[VECTORS];
    ivec integers[VECTORS];
    load_sums(a, &block, first, feedback);
    for (size_t i = 0; i < VECTORS; i++) {
        vec quotient = vec_mul(a[i], vec_all(scale.inverse));
        if (bits != NULL) {
            quotient = vec_add(quotient, vec_mul(vec_of(bits[i]), vec_all(0x1p-32f)));
        }
        integers[i] = nearest(quotient);
        keep_error(&block, first + i * LANES, a[i],
                   vec_mul(vec_of(integers[i]), vec_all(scale.step)), feedback);
    }
    i8_store(codes + first, integers);
}

LOOP void encode_i8_block(int8_t *codes, struct stretch block, struct block_scale scale,
                          bool feedback)
{
    for (size_t first = 0; first < CODE_BLOCK; first += CODE_GROUP) {
        encode_i8_group(codes, block, first, scale, NULL, feedback);
    }
}

/* keys are those of dither at index. */
LOOP void dither_i8_block(int8_t *codes, struct stretch block, struct block_scale scale,
                          const struct dither_keys *keys, uint32_t index)
{
    for (size_t first = 0; first < CODE_BLOCK; first += 2 * CODE_GROUP) {
        ivec bits[VECTORS];
        dither_hashes(bits, keys, index + (uint32_t)first);
        encode_i8_group(codes, block, first, scale, bits, false);
        for (size_t i = 0; i < VECTORS; i++) {
            bits[i] = ivec_lower_16(bits[i]);
        }
        encode_i8_group(codes, block, first + CODE_GROUP, scale, bits, false);
    }
}

/* Processors fetch ahead by themselves, but not across pages: with much to do for each element,
 * 8-bit codes would wait for memory there. */
enum { FETCH_AHEAD = 4 * CODE_BLOCK, FETCH_STEP = 64 / sizeof(float) };

LOOP void fetch_block(const struct stretch *in, size_t first)
{
    if (in->count >= CODE_BLOCK && first <= in->count - CODE_BLOCK) {
        for (size_t i = first; i < first + CODE_BLOCK; i += FETCH_STEP) {
            FETCH(in->values + i);
        }
    }
}

LOOP size_t encode_i8_blocks(int8_t *codes, float *steps, const struct stretch *in,
                             const struct dither *dither, bool feedback)
{
    struct dither_keys keys = dither_keys_of(dither);
    const bool streams = in->cold && next_astray(in) == 0; /* blocks begin where they begin */
    size_t wild = 0;
    for (size_t first = 0; first < in->count; first += CODE_BLOCK) {
        size_t count = in->count - first < CODE_BLOCK ? in->count - first : CODE_BLOCK;
        struct stretch block = stretch_part(in, first, count);
        block.cold = streams;
        struct dither here = {0};
        if (dither != NULL) {
            here = (struct dither){dither->seed, dither->index + first};
        }
        fetch_block(in, first + FETCH_AHEAD);
        ivec largest = largest_in_groups(&block, 0, count, feedback);
        if (count < CODE_BLOCK || reaches(largest, INFINITY_BITS)) {
            wild += code_scalar.encode_i8(codes + first, steps + first / CODE_BLOCK, &block,
                                          dither == NULL ? NULL : &here);
            continue;
        }
        struct block_scale scale = block_scale_of(float_of(largest_of(largest)));
        steps[first / CODE_BLOCK] = scale.step;
        if (dither == NULL) {
            encode_i8_block(codes + first, block, scale, feedback);
        } else {
            dither_i8_block(codes + first, block, scale, &keys, (uint32_t)here.index);
        }
    }
    stream_end(in);
    return wild;
}

static size_t encode_i8(int8_t *codes, float *steps, const struct stretch *in,
                        const struct dither *dither)
{
    assert(dither == NULL || in->residual == NULL);
    if (in->residual != NULL) {
        return encode_i8_blocks(codes, steps, in, NULL, true);
    }
    return dither == NULL ? encode_i8_blocks(codes, steps, in, NULL, false)
                          : encode_i8_blocks(codes, steps, in, dither, false);
}

LOOP void decode_i8_groups(struct unpack out, const int8_t *codes, const float *steps, bool add)
{
    size_t first = 0;
    for (; out.count - first >= CODE_GROUP; first += CODE_GROUP) {
        const float *step = steps + first / CODE_BLOCK;
        if (!i8_all_finite(codes + first)) {
            struct unpack group = unpack_part(&out, first, CODE_GROUP);
            code_scalar.decode_i8(&group, codes + first, step);
            continue;
        }
        ivec integers[VECTORS];
        i8_load(integers, codes + first);
        for (size_t i = 0; i < VECTORS; i++) {
            put(&out, first + i * LANES, vec_mul(vec_of(integers[i]), vec_all(*step)), add);
        }
    }
    struct unpack rest = unpack_part(&out, first, out.count - first);
    code_scalar.decode_i8(&rest, codes + first, steps + first / CODE_BLOCK);
}

static void decode_i8(const struct unpack *out, const int8_t *codes, const float *steps)
{
    if (out->add) {
        decode_i8_groups(*out, codes, steps, true);
    } else {
        decode_i8_groups(*out, codes, steps, false);
    }
}

static const struct code_kernels code_loops = {
    .magnitude = magnitude,
    .encode_f16 = encode_f16,
    .decode_f16 = decode_f16,
    .encode_bf16 = encode_bf16,
    .decode_bf16 = decode_bf16,
    .encode_i8 = encode_i8,
    .decode_i8 = decode_i8,
};
