/* SPDX-License-Identifier: BSD-3-Clause
 * codes.c: compares a variant's loops of codes with scalar's, bit for bit, and looks for bytes
 * written astray. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"
#include "kernels/code_parts.h"

enum {
    TRIALS = EFFORT(3000, 600),
    LARGE_EVERY = EFFORT(300, 150),
    COUNT_MOST = 3000,
    COUNT_LARGE = 140000,
    MARGIN = 128
};

enum loop { ENCODE_F16, ENCODE_BF16, ENCODE_I8, DITHER_I8, DECODE_F16, DECODE_BF16, DECODE_I8 };
static const char *const loop_names[] = {"encode f16", "encode bf16", "encode i8", "dither i8",
                                         "decode f16", "decode bf16", "decode i8"};
enum { LOOP_COUNT = sizeof loop_names / sizeof loop_names[0] };

/* How the residual is kept. */
enum feedback { NO_FEEDBACK, APART, IN_PLACE, FEEDBACK_COUNT };

/* One call. What it writes to lies in areas with margins around, what it reads too. */
enum area { VALUES, RESIDUAL, NEXT, CODES, STEPS, INTO, AREA_COUNT };

struct code_call {
    enum loop loop;
    enum feedback feedback;
    bool cold;
    size_t count;
    float unit;
    float scale;
    bool add;
    struct dither dither;
    size_t shift[AREA_COUNT]; /* in elements */
    unsigned char *areas[AREA_COUNT];
    size_t result[4]; /* what the loops return */
};

static size_t element_of(const struct code_call *call, enum area area)
{
    bool narrow = call->loop == ENCODE_I8 || call->loop == DITHER_I8 || call->loop == DECODE_I8;
    return area == CODES ? (narrow ? 1 : 2) : sizeof(float);
}

static size_t area_bytes(const struct code_call *call, enum area area)
{
    return 2 * MARGIN + (call->shift[area] + call->count) * element_of(call, area);
}

static void *area_at(const struct code_call *call, enum area area)
{
    return call->areas[area] + MARGIN + call->shift[area] * element_of(call, area);
}

static void areas_create(struct code_call *call)
{
    for (enum area area = VALUES; area < AREA_COUNT; area++) {
        size_t bytes = area_bytes(call, area);
        call->areas[area] = memory_or_exit(bytes);
        memset(call->areas[area], 0x5a, bytes);
    }
}

static void areas_destroy(struct code_call *call)
{
    for (enum area area = VALUES; area < AREA_COUNT; area++) {
        free(call->areas[area]);
    }
}

static struct code_call call_copy(const struct code_call *call)
{
    struct code_call copy = *call;
    areas_create(&copy);
    for (enum area area = VALUES; area < AREA_COUNT; area++) {
        memcpy(copy.areas[area], call->areas[area], area_bytes(call, area));
    }
    return copy;
}

static void encode(struct code_call *call, const struct code_kernels *kernels)
{
    struct stretch in = {.values = area_at(call, VALUES), .count = call->count};
    if (call->feedback != NO_FEEDBACK) {
        in.residual = area_at(call, RESIDUAL);
        in.next = area_at(call, call->feedback == APART ? NEXT : RESIDUAL);
        in.cold = call->cold;
    }
    if (call->loop == ENCODE_F16) {
        float largest = kernels->magnitude(&in, &call->result[0]);
        memcpy(&call->result[1], &largest, sizeof largest);
        size_t wild;
        largest = kernels->encode_f16(area_at(call, CODES), &in, call->unit, &wild);
        memcpy(&call->result[2], &largest, sizeof largest);
        call->result[3] = wild;
    } else if (call->loop == ENCODE_BF16) {
        call->result[0] = kernels->encode_bf16(area_at(call, CODES), &in);
    } else {
        call->result[0] = kernels->encode_i8(area_at(call, CODES), area_at(call, STEPS), &in,
                                             call->loop == DITHER_I8 ? &call->dither : NULL);
    }
}

static void decode(const struct code_call *call, const struct code_kernels *kernels)
{
    struct unpack out = {.into = area_at(call, INTO),
                         .count = call->count,
                         .scale = call->add ? 1.0f : call->scale,
                         .add = call->add};
    if (call->loop == DECODE_F16) {
        kernels->decode_f16(&out, area_at(call, CODES), call->unit);
    } else if (call->loop == DECODE_BF16) {
        kernels->decode_bf16(&out, area_at(call, CODES));
    } else {
        kernels->decode_i8(&out, area_at(call, CODES), area_at(call, STEPS));
    }
}

static void run(struct code_call *call, const struct code_kernels *kernels)
{
    if (call->loop < DECODE_F16) {
        encode(call, kernels);
    } else {
        decode(call, kernels);
    }
}

static bool same(const struct code_call *got, const struct code_call *want)
{
    static const char *const area_names[] = {"values", "residual", "next",
                                             "codes",  "steps",    "into"};
    for (enum area area = VALUES; area < AREA_COUNT; area++) {
        size_t bytes = area_bytes(want, area);
        for (size_t i = 0; i < bytes; i++) {
            if (got->areas[area][i] != want->areas[area][i]) {
                fprintf(stderr, "byte %zu of %s (element %g) is 0x%02x, must be 0x%02x\n", i,
                        area_names[area],
                        ((double)i - MARGIN) / (double)element_of(want, area) -
                            (double)want->shift[area],
                        got->areas[area][i], want->areas[area][i]);
                return false;
            }
        }
    }
    if (memcmp(got->result, want->result, sizeof got->result) != 0) {
        fprintf(stderr, "returns %zu, %zx, %zx and %zu, must return %zu, %zx, %zx and %zu\n",
                got->result[0], got->result[1], got->result[2], got->result[3], want->result[0],
                want->result[1], want->result[2], want->result[3]);
        return false;
    }
    return true;
}

/* ---- What is coded ---- */

/* Half way between two codes of bf16 or f16, and up to one float beside. */
static float halfway(struct chance *chance, int fraction_bits)
{
    uint32_t bits = (uint32_t)chance_bits(chance);
    int lost = 23 - fraction_bits;
    bits = (bits >> lost << lost) + (1u << (lost - 1)) + (uint32_t)chance_below(chance, 3) - 1;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Numbers of a block that has the step 1 or so, half way between codes. */
static float halfway_i8(struct chance *chance)
{
    float value = (float)chance_below(chance, 255) * 0.5f;
    value = chance_below(chance, 2) ? nextafterf(value, INFINITY) : value;
    return chance_below(chance, 2) ? -value : value;
}

/* Behind the flavours. */
enum mixture { TINY = FLAVOUR_COUNT, ZERO, HALFWAY, LEVEL, MIXTURES };

static void fill(struct chance *chance, float *values, size_t count)
{
    size_t mixture = chance_below(chance, MIXTURES);
    values_fill(chance, WW_F32, mixture < FLAVOUR_COUNT ? (enum flavour)mixture : ORDINARY, values,
                count);
    for (size_t i = 0; i < count; i++) {
        if (mixture == TINY) {
            values[i] = ldexpf(values[i], -106 - (int)chance_below(chance, 40));
        } else if (mixture == ZERO) {
            values[i] = chance_below(chance, 2) ? 0.0f : -0.0f;
        } else if (mixture == HALFWAY) {
            float halves[] = {halfway(chance, 7), halfway(chance, 10), halfway_i8(chance), 127.0f};
            values[i] = halves[chance_below(chance, 4)];
        } else if (mixture == LEVEL) { /* the lowest codes of 8 bits, for lowest_dither */
            values[i] = chance_below(chance, 2) ? FLT_MAX : -FLT_MAX;
        }
    }
    if (mixture == HALFWAY && chance_below(chance, 2)) { /* all blocks have the step 1 */
        for (size_t i = 0; i < count; i++) {
            values[i] = i % 32 == 0 ? 127.0f : halfway_i8(chance);
        }
    }
    /* A few that are not finite, among many that are. */
    for (size_t i = 0; i < count && chance_below(chance, 4) == 0; i += 1 + count / 4) {
        size_t at = chance_below(chance, count);
        values[at] = chance_below(chance, 2) ? INFINITY : nanf("");
    }
}

/* A power of two that lets no finite sum overflow, mostly the one that a codec takes. */
static float unit_choose(struct chance *chance, const struct code_call *call,
                         const struct code_kernels *scalar)
{
    if (call->loop == DECODE_F16) {
        return ldexpf(1.0f, (int)chance_below(chance, 253) - 126);
    }
    struct stretch in = {.values = area_at(call, VALUES), .count = call->count};
    if (call->feedback != NO_FEEDBACK) {
        in.residual = area_at(call, RESIDUAL);
        in.next = area_at(call, NEXT);
    }
    size_t wild;
    int power;
    frexpf(scalar->magnitude(&in, &wild), &power);
    int exponent = 15 - power - (int)(chance_below(chance, 4) == 0 ? chance_below(chance, 10) : 0);
    return ldexpf(1.0f, exponent < -126 ? -126 : exponent > 126 ? 126 : exponent);
}

static void call_fill(struct code_call *call, struct chance *chance)
{
    fill(chance, area_at(call, VALUES), call->count);
    fill(chance, area_at(call, RESIDUAL), call->count);
    fill(chance, area_at(call, INTO), call->count);
    if (call->loop >= DECODE_F16) {
        unsigned char *codes = area_at(call, CODES);
        for (size_t i = 0; i < call->count * element_of(call, CODES); i++) {
            codes[i] = (unsigned char)(i / 500 % 2 ? chance_bits(chance)
                                                   : chance_below(chance, 128));
        }
        fill(chance, area_at(call, STEPS), call->count);
    }
}

/* Begins at one of the lowest random numbers, which carries the lowest code beyond itself. */
static struct dither lowest_dither(struct chance *chance)
{
    struct dither dither = {chance_bits(chance), chance_bits(chance)};
    struct dither_keys keys = dither_keys_of(&dither);
    while ((dither_bits(&keys, (uint32_t)dither.index) ^ 0x80000000u) >= 1u << 13) {
        dither.index++;
    }
    return dither;
}

/* ---- Trials ---- */

static bool trial(const struct code_kernels *variant, const struct code_kernels *scalar,
                  struct code_call *call, struct chance *chance)
{
    static const float scales[] = {1.0f, 0.5f, 1.0f / 3.0f, -1e-30f, 3e30f};
    call->feedback = call->loop == DITHER_I8 ? NO_FEEDBACK
                                             : (enum feedback)chance_below(chance, FEEDBACK_COUNT);
    call->cold = chance_below(chance, 2) == 0;
    call->scale = scales[chance_below(chance, 5)];
    call->add = chance_below(chance, 2) == 0;
    call->dither = (struct dither){chance_bits(chance), chance_bits(chance)};
    if (call->loop == DITHER_I8 && chance_below(chance, 16) == 0) {
        call->dither = lowest_dither(chance);
    }
    memset(call->result, 0, sizeof call->result);
    for (enum area area = VALUES; area < AREA_COUNT; area++) {
        call->shift[area] = chance_below(chance, 2) == 0 ? 0 : chance_below(chance, 64);
    }
    areas_create(call);
    call_fill(call, chance);
    call->unit = unit_choose(chance, call, scalar);
    struct code_call want = call_copy(call);
    run(call, variant);
    run(&want, scalar);
    bool good = same(call, &want);
    areas_destroy(&want);
    areas_destroy(call);
    return good;
}

int check_codes(const char *name, const struct code_kernels *variant,
                const struct code_kernels *scalar, uint64_t seed)
{
    int failures = 0;
    for (int loop = 0; loop < LOOP_COUNT; loop++) {
        struct chance chance = {seed + (uint64_t)loop};
        struct code_call call = {.loop = (enum loop)loop};
        bool good = true;
        for (int i = 0; i < TRIALS && good; i++) {
            call.count = chance_below(&chance, i % 2 ? COUNT_MOST : 100);
            if (i % LARGE_EVERY == 0) {
                call.count = COUNT_LARGE - chance_below(&chance, 70000);
            }
            good = trial(variant, scalar, &call, &chance);
        }
        if (!good) {
            fprintf(stderr,
                    "%s %s: differs from scalar: seed %llu, count %zu, unit %a, scale %g%s, "
                    "feedback %d%s\n",
                    name, loop_names[loop], (unsigned long long)seed, call.count, (double)call.unit,
                    (double)call.scale, call.add ? ", add" : "", (int)call.feedback,
                    call.cold ? ", cold" : "");
            failures++;
        }
    }
    return failures;
}
