/* SPDX-License-Identifier: BSD-3-Clause
 * test_codecs.c: how codecs are spelled, and that what they send and what they keep back is what
 * they were given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "codecs/codec.h"

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
