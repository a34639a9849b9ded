/* SPDX-License-Identifier: BSD-3-Clause
 * test_codecs.c: how codecs are spelled, and that what they send and what they keep back is what
 * they were given. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "chance.h"
#include "codecs/codec.h"
#include "comma.h"
#include "kernels/half.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(codecs, .init = capture_start, .fini = capture_finish);

Test(codecs, texts_are_read_and_written_alike)
{
    static const struct {
        const char *text;
        struct codec_spec spec;
        const char *printed; /* NULL = text */
    } rows[] = {
        {"none", {CODEC_NONE, 0.0f, false}, NULL},
        {"fp16", {CODEC_FP16, 0.0f, false}, NULL},
        {"bf16", {CODEC_BF16, 0.0f, false}, NULL},
        {"int8", {CODEC_INT8, 0.0f, false}, NULL},
        {"topk:0.01", {CODEC_TOPK, 0.01f, false}, NULL},
        {"topk:0.01:fixed", {CODEC_TOPK, 0.01f, true}, NULL},
        {"topk:1", {CODEC_TOPK, 1.0f, false}, NULL},
        {"topk:.5", {CODEC_TOPK, 0.5f, false}, "topk:0.5"},
        {"topk:1e-3:fixed", {CODEC_TOPK, 0.001f, true}, "topk:0.001:fixed"},
        {"topk:0.333333343", {CODEC_TOPK, 1.0f / 3.0f, false}, "topk:0.33333334"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct codec_spec spec;
        char text[64];
        char reason[256] = "";
        cr_assert(codec_parse(rows[i].text, &spec, reason, sizeof reason), "%s", reason);
        cr_assert_eq(spec.kind, rows[i].spec.kind, "%s", rows[i].text);
        cr_assert_eq(spec.density, rows[i].spec.density, "%s", rows[i].text);
        cr_assert_eq(spec.fixed, rows[i].spec.fixed, "%s", rows[i].text);
        codec_print(&spec, text, sizeof text);
        cr_assert_str_eq(text, rows[i].printed == NULL ? rows[i].text : rows[i].printed);
    }
}

Test(codecs, a_density_has_a_point_where_the_program_has_commas)
{
    struct codec_spec spec = {.kind = CODEC_NONE};
    char text[64] = "";
    char reason[256] = "";
    comma_start();
    cr_assert(codec_parse("topk:0.01", &spec, reason, sizeof reason), "%s", reason);
    cr_expect_eq(spec.density, 0.01f);
    codec_print(&spec, text, sizeof text);
    cr_expect_str_eq(text, "topk:0.01");
    cr_expect_not(codec_parse("topk:0,01", &spec, reason, sizeof reason));
}

Test(codecs, other_texts_are_refused_with_a_sentence)
{
    static const char *const texts[] = {
        "",          "auto",       "FP16",       "fp16 ",    " fp16",      "fp16:1",
        "fp",        "int8:fixed", "topk",       "topk:",    "topk:0",     "topk:-0.1",
        "topk:1.01", "topk:nan",   "topk:inf",   "topk:0x1", "topk: 0.1",  "topk:0.1 ",
        "topk:0.1:", "topk:0.1:f", "topk:1e-9e", "topk:,5",  "topk:1e-99", "topk:0.1:fixed:",
        "topkk:0.1", "topk:+0.1",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct codec_spec spec = {CODEC_BF16, 7.0f, true};
        char reason[256] = "";
        char quoted[64];
        cr_assert_not(codec_parse(texts[i], &spec, reason, sizeof reason), "%s", texts[i]);
        cr_assert(spec.kind == CODEC_BF16 && spec.density == 7.0f && spec.fixed);
        snprintf(quoted, sizeof quoted, "\"%s\"", texts[i]);
        cr_assert_not_null(strstr(reason, quoted), "%s", reason);
        cr_assert_not_null(strstr(reason, "topk:0.01"), "%s", reason);
    }
}

Test(codecs, frames_have_the_bytes_that_are_promised)
{
    static const struct {
        enum codec_kind kind;
        size_t count;
        size_t bytes;
    } rows[] = {
        {CODEC_FP16, 0, 0},
        {CODEC_FP16, 1, 64 + 2},
        {CODEC_FP16, 32 * 65536, 64 + 2 * 32 * 65536},
        {CODEC_FP16, 32 * 65536 + 1, 128 + 2 * (32 * 65536 + 1)},
        {CODEC_BF16, 0, 0},
        {CODEC_BF16, 7, 14},
        {CODEC_INT8, 0, 0},
        {CODEC_INT8, 1, 64 + 1},
        {CODEC_INT8, 16 * 256, 64 + 16 * 256},
        {CODEC_INT8, 16 * 256 + 1, 128 + 16 * 256 + 1},
        {CODEC_INT8, 16 << 20, (16 << 20) + (16 << 20) / 256 * 4},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct codec_spec spec = {.kind = rows[i].kind};
        cr_assert_eq(codecs[spec.kind]->frame_bytes_max(&spec, rows[i].count), rows[i].bytes);
        cr_assert(codecs[spec.kind]->is_fixed(&spec));
    }
}

/* ---- What is sent and what is kept ---- */

/* Which kernels: the definition's and this processor's. */
static void (*const tables[])(struct kernels *kernels) = {kernels_init_scalar, kernels_init};

/* One stream of frames with its residual. */
struct sender {
    struct kernels kernels;
    struct codec_spec spec;
    size_t count;
    float *values;
    float *residual;
    float *next;
    float *sent; /* what the last frame decodes to */
    void *frame;
    struct encode_result result;
};

static void *zeros(size_t bytes)
{
    size_t padded = bytes / 64 * 64 + 64;
    void *memory = aligned_alloc(64, padded);
    cr_assert_not_null(memory);
    return memset(memory, 0, padded);
}

static void sender_create(struct sender *sender, enum codec_kind kind, size_t table, size_t count)
{
    *sender = (struct sender){.spec = {.kind = kind}, .count = count};
    tables[table](&sender->kernels);
    sender->values = zeros(count * sizeof(float));
    sender->residual = zeros(count * sizeof(float));
    sender->next = zeros(count * sizeof(float));
    sender->sent = zeros(count * sizeof(float));
    sender->frame = zeros(codecs[kind]->frame_bytes_max(&sender->spec, count));
}

static void sender_destroy(struct sender *sender)
{
    free(sender->values);
    free(sender->residual);
    free(sender->next);
    free(sender->sent);
    free(sender->frame);
}

static void decode_all(struct sender *sender)
{
    struct decode_output out = {
        .frame_count = sender->count,
        .unpack = {.into = sender->sent, .count = sender->count, .scale = 1.0f}};
    cr_assert(codecs[sender->spec.kind]->decode(&sender->spec, &sender->kernels, sender->frame,
                                                sender->result.bytes, &out));
}

static void send_with_residual(struct sender *sender)
{
    struct encode_input in = {
        .stretch = {sender->values, sender->residual, sender->next, sender->count, false}};
    codecs[sender->spec.kind]->encode(&sender->spec, &sender->kernels, &in, sender->frame, NULL,
                                      &sender->result);
    decode_all(sender);
}

static void send_dithered(struct sender *sender, uint64_t seed, uint64_t index)
{
    struct encode_input in = {.stretch = {.values = sender->values, .count = sender->count},
                              .dither = {seed, index}};
    codecs[sender->spec.kind]->encode(&sender->spec, &sender->kernels, &in, sender->frame, NULL,
                                      &sender->result);
    decode_all(sender);
}

static void residual_advance(struct sender *sender)
{
    float *before = sender->residual;
    sender->residual = sender->next;
    sender->next = before;
}

static bool same_bits(float a, float b)
{
    return bits_of(a) == bits_of(b);
}

static void expect_law(const struct sender *sender, const char *shape)
{
    size_t wild = 0;
    for (size_t i = 0; i < sender->count; i++) {
        float r = sender->residual[i];
        float a = sender->values[i] + r;
        float s = sender->sent[i];
        float next = sender->next[i];
        bool good = isfinite(a) ? isfinite(s) && same_bits(next, a - s) && same_bits(s + next, a)
                                : !isfinite(s) && same_bits(next, r);
        cr_assert(good, "%s, %s of %zu, element %zu: a %a, s %a, next %a, residual %a",
                  codecs[sender->spec.kind]->name, shape, sender->count, i, (double)a, (double)s,
                  (double)next, (double)r);
        wild += !isfinite(a);
    }
    cr_assert_eq(sender->result.wild, wild);
    cr_assert_eq(sender->result.chosen, sender->count);
}

/* ---- What is given ---- */

struct chance {
    uint64_t state;
};

static uint32_t chance_bits(struct chance *chance)
{
    return (uint32_t)(chance_next(&chance->state) >> 32);
}

static uint32_t sign_of(uint32_t bits)
{
    return bits & 0x80000000u;
}

static float ordinary(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    (void)i;
    return float_of(sign_of(bits) | (127 - 8 + (bits >> 23) % 16) << 23 | (bits & 0x7fffff));
}

static float subnormal(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    return float_of(sign_of(bits) | (bits & 0x7fffff) >> i % 23);
}

/* At the border of what is normal in f16 for the chunk, and in fp32. */
static float fading(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    return float_of(sign_of(bits) | (1 + i % 60) << 23 | (bits & 0x7fffff));
}

/* Half way between two codes of bf16 or f16, and one float beside. */
static float halfway(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    uint32_t lost = i % 2 == 0 ? 16 : 13;
    uint32_t fraction = ((bits & 0x7fffff) >> lost << lost) + (1u << (lost - 1)) - 1 + bits % 3;
    return float_of(sign_of(bits) | (127 + i % 4) << 23 | fraction);
}

/* Half way between multiples of 1 or so, the step of 8-bit codes, and one float beside. */
static float halfway_i8(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    float half = (float)(bits % 127) + 0.5f;
    return i % 256 == 0 ? 127.0f : float_of(sign_of(bits) | (bits_of(half) - 1 + bits / 256 % 3));
}

static float vast(struct chance *chance, size_t i)
{
    uint32_t bits = chance_bits(chance);
    (void)i;
    return float_of(sign_of(bits) |
                    (bits_of(FLT_MAX) - (bits % 2 == 0 ? bits / 2 % 4 : bits % 65537)));
}

static float vast_or_tiny(struct chance *chance, size_t i)
{
    float size = chance_bits(chance) % 2 == 0 ? 1e38f : 1e-38f;
    return size * ordinary(chance, i) * 0x1p-8f;
}

static float wild_at_times(struct chance *chance, size_t i)
{
    static const float strange[] = {INFINITY, -INFINITY, NAN, -NAN, FLT_MAX, -FLT_MAX, 0.0f, -0.0f};
    uint32_t bits = chance_bits(chance);
    return bits % 8 == 0 ? strange[bits / 8 % LENGTH(strange)] : ordinary(chance, i);
}

static float any_bits(struct chance *chance, size_t i)
{
    (void)i;
    return float_of(chance_bits(chance));
}

Test(codecs, what_is_sent_and_what_is_kept_are_what_was_given)
{
    static const struct {
        const char *name;
        float (*value)(struct chance *chance, size_t i);
    } shapes[] = {
        {"ordinary", ordinary},  {"subnormal", subnormal},   {"fading", fading},
        {"halfway", halfway},    {"halfway_i8", halfway_i8}, {"vast", vast},
        {"mixed", vast_or_tiny}, {"wild", wild_at_times},    {"any bits", any_bits},
    };
    static const size_t counts[] = {1, 31, 256, 777, CODEC_CHUNK + 300};
    enum { STEPS = 4, ROWS = LENGTH(shapes) * LENGTH(counts) * LENGTH(tables) };
    for (size_t row = 0; row < ROWS * 3; row++) {
        struct chance chance = {row};
        struct sender sender;
        size_t shape = row / 3 % LENGTH(shapes);
        size_t table = row / 3 / LENGTH(shapes) % LENGTH(tables);
        sender_create(&sender, CODEC_FP16 + (enum codec_kind)(row % 3), table,
                      counts[row / 3 / LENGTH(shapes) / LENGTH(tables)]);
        for (int step = 0; step < STEPS; step++) {
            for (size_t i = 0; i < sender.count; i++) {
                sender.values[i] = shapes[shape].value(&chance, i);
            }
            send_with_residual(&sender);
            expect_law(&sender, shapes[shape].name);
            residual_advance(&sender);
        }
        sender_destroy(&sender);
    }
}

/* Integers whose codes are integers too, so that no sum is rounded. The first of each block of
 * 8-bit codes makes its step 16. */
static float integer(struct chance *chance, enum codec_kind kind, size_t i)
{
    int limit = kind == CODEC_INT8 ? 1000 : 1000000;
    int value = (int)(chance_bits(chance) % (2 * (uint32_t)limit + 1)) - limit;
    return kind == CODEC_INT8 && i % CODE_BLOCK == 0 ? 127.0f * 16.0f : (float)value;
}

/* Chunk by chunk, so that none follows another. */
static void expect_same_alone(const struct sender *whole, size_t table)
{
    for (size_t first = 0; first < whole->count; first += CODEC_CHUNK) {
        size_t rest = whole->count - first;
        struct sender alone;
        sender_create(&alone, CODEC_FP16, table, rest < CODEC_CHUNK ? rest : CODEC_CHUNK);
        memcpy(alone.values, whole->values + first, alone.count * sizeof(float));
        memcpy(alone.residual, whole->residual + first, alone.count * sizeof(float));
        send_with_residual(&alone);
        cr_assert_arr_eq(alone.sent, whole->sent + first, alone.count * sizeof(float));
        cr_assert_arr_eq(alone.next, whole->next + first, alone.count * sizeof(float));
        sender_destroy(&alone);
    }
}

Test(codecs, exponents_of_fp16_do_not_depend_on_the_chunk_before)
{
    static const float largest[] = {1.0f, 1.5f, 0x1p100f, 0x1p-90f, 0.0f, INFINITY, 3.0f, NAN};
    enum { COUNT = 7 * CODEC_CHUNK + 777 };
    for (size_t table = 0; table < LENGTH(tables); table++) {
        struct chance chance = {table};
        struct sender sender;
        sender_create(&sender, CODEC_FP16, table, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            float part = (float)(int32_t)chance_bits(&chance) * 0x1p-31f;
            float scale = largest[i / CODEC_CHUNK];
            sender.values[i] = isfinite(scale) || i % 999 == 0 ? part * scale : part;
            sender.residual[i] = part * 0x1p-12f * (isfinite(scale) ? scale : 1) + 0.0f;
        }
        send_with_residual(&sender);
        expect_law(&sender, "chunks of other magnitudes");
        expect_same_alone(&sender, table);
        sender_destroy(&sender);
    }
}

Test(codecs, nothing_is_lost_in_a_thousand_steps)
{
    enum { COUNT = 1000, STEPS = 1000 };
    for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
        struct chance chance = {kind};
        struct sender sender;
        int64_t given[COUNT] = {0};
        int64_t sent[COUNT] = {0};
        size_t kept = 0;
        sender_create(&sender, kind, 1, COUNT);
        for (int step = 0; step < STEPS; step++) {
            for (size_t i = 0; i < COUNT; i++) {
                sender.values[i] = integer(&chance, kind, i);
                given[i] += (int64_t)sender.values[i];
            }
            send_with_residual(&sender);
            residual_advance(&sender);
            for (size_t i = 0; i < COUNT; i++) {
                sent[i] += (int64_t)sender.sent[i];
                kept += sender.residual[i] != 0.0f;
            }
        }
        for (size_t i = 0; i < COUNT; i++) {
            cr_assert_eq(sent[i] + (int64_t)sender.residual[i], given[i], "%s, element %zu",
                         codecs[kind]->name, i);
        }
        cr_assert_gt(kept, (size_t)COUNT * STEPS / 4, "%s: no error was kept", codecs[kind]->name);
        sender_destroy(&sender);
    }
}

/* ---- Stochastic rounding ---- */

/* The error of one has a standard deviation of at most half a step, so 5 of the mean's are
 * 2.5 steps / sqrt(ROUNDS). */
Test(codecs, dithered_codes_are_right_on_average)
{
    enum { COUNT = CODE_BLOCK, ROUNDS = 10000 };
    struct chance chance = {1};
    struct sender sender;
    double sums[COUNT] = {0};
    sender_create(&sender, CODEC_INT8, 1, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        sender.values[i] = i == 0 ? 127.0f : (float)(int32_t)chance_bits(&chance) * 0x1.fp-26f;
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        send_dithered(&sender, 7, round * COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            sums[i] += (double)sender.sent[i];
            cr_assert_leq(fabsf(sender.sent[i] - sender.values[i]), 1.0001f);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_leq(fabs(sums[i] / ROUNDS - (double)sender.values[i]), 2.5 / sqrt(ROUNDS),
                      "element %zu", i);
    }
    sender_destroy(&sender);
}

Test(codecs, dither_follows_from_seed_and_index)
{
    enum { COUNT = 2000, PART = 4 * CODE_BLOCK };
    struct chance chance = {2};
    struct sender whole;
    struct sender part;
    sender_create(&whole, CODEC_INT8, 1, COUNT);
    sender_create(&part, CODEC_INT8, 0, COUNT - PART);
    for (size_t i = 0; i < COUNT; i++) {
        whole.values[i] = ordinary(&chance, i);
    }
    memcpy(part.values, whole.values + PART, part.count * sizeof(float));
    send_dithered(&whole, 3, 1000);
    send_dithered(&part, 3, 1000 + PART);
    cr_assert_arr_eq(part.sent, whole.sent + PART, part.count * sizeof(float));
    send_dithered(&part, 3, 1000);
    cr_assert_neq(memcmp(part.sent, whole.sent + PART, part.count * sizeof(float)), 0);
    send_dithered(&part, 4, 1000 + PART);
    cr_assert_neq(memcmp(part.sent, whole.sent + PART, part.count * sizeof(float)), 0);
    sender_destroy(&whole);
    sender_destroy(&part);
}
