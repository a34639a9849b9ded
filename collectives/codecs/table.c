/* SPDX-License-Identifier: BSD-3-Clause
 * table.c: all codecs, and how people spell them. */
#include "codecs/codec.h"

#include <stdio.h>
#include <string.h>

#include "internal/number.h"

const struct codec *const codecs[CODEC_COUNT] = {
    [CODEC_FP16] = &codec_fp16,
    [CODEC_BF16] = &codec_bf16,
    [CODEC_INT8] = &codec_int8,
    [CODEC_TOPK] = &codec_topk,
};

static const char *const names[CODEC_COUNT] = {
    [CODEC_NONE] = "none", [CODEC_FP16] = "fp16", [CODEC_BF16] = "bf16",
    [CODEC_INT8] = "int8", [CODEC_TOPK] = "topk",
};

#define FIXED ":fixed"
#define POSSIBLE "none, fp16, bf16, int8, topk:DENSITY or topk:DENSITY:fixed"

/* Digits, a point, an exponent: neither white space nor signs nor the other things that strtod
 * takes. Returns what follows, NULL where there is no density. */
static const char *parse_density(const char *text, float *density)
{
    size_t length = strspn(text, "0123456789.eE-+");
    char *end;
    if (length == 0 || (text[0] != '.' && (text[0] < '0' || text[0] > '9'))) {
        return NULL;
    }
    *density = (float)number_read(text, &end);
    return end == text + length && *density > 0.0f && *density <= 1.0f ? end : NULL;
}

static bool parse_topk(const char *text, struct codec_spec *spec)
{
    const char *rest = parse_density(text, &spec->density);
    if (rest == NULL) {
        return false;
    }
    spec->kind = CODEC_TOPK;
    spec->fixed = strcmp(rest, FIXED) == 0;
    return spec->fixed || *rest == '\0';
}

static bool parse_any(const char *text, struct codec_spec *spec)
{
    static const char topk[] = "topk:";
    for (int kind = CODEC_NONE; kind < CODEC_TOPK; kind++) {
        if (strcmp(text, names[kind]) == 0) {
            spec->kind = (enum codec_kind)kind;
            return true;
        }
    }
    return strncmp(text, topk, strlen(topk)) == 0 && parse_topk(text + strlen(topk), spec);
}

bool codec_spec_same(const struct codec_spec *one, const struct codec_spec *other)
{
    return one->kind == other->kind && one->density == other->density && one->fixed == other->fixed;
}

bool codec_parse(const char *text, struct codec_spec *spec, char *reason, size_t bytes)
{
    struct codec_spec read = {.kind = CODEC_NONE};
    if (parse_any(text, &read)) {
        *spec = read;
        return true;
    }
    if (strncmp(text, "topk", strlen("topk")) == 0) {
        snprintf(reason, bytes,
                 "codec is \"%s\"; topk needs a density, the share of elements that are sent, "
                 "above 0 and at most 1, and may end in " FIXED ": for example topk:0.01",
                 text);
    } else {
        snprintf(reason, bytes, "codec is \"%s\"; it can be " POSSIBLE ", for example topk:0.01",
                 text);
    }
    return false;
}

/* The fewest digits that are read as the same number. */
static void print_density(float density, char *text, size_t bytes)
{
    for (int digits = 1; digits <= 9; digits++) {
        number_print(text, bytes, digits, (double)density);
        if ((float)number_read(text, NULL) == density) {
            return;
        }
    }
}

int codec_print(const struct codec_spec *spec, char *text, size_t bytes)
{
    char density[32];
    if (spec->kind != CODEC_TOPK) {
        return snprintf(text, bytes, "%s", names[spec->kind]);
    }
    print_density(spec->density, density, sizeof density);
    return snprintf(text, bytes, "%s:%s%s", names[CODEC_TOPK], density, spec->fixed ? FIXED : "");
}

double codec_bytes_per_element(const struct codec_spec *spec)
{
    switch (spec->kind) {
    case CODEC_FP16:
    case CODEC_BF16:
        return 2.0;
    case CODEC_INT8:
        return 1.0 + (double)sizeof(float) / CODE_BLOCK;
    case CODEC_TOPK: /* an offset and a code of 16 bits each */
        return 4.0 * (double)spec->density;
    default:
        return sizeof(float);
    }
}

const char *codec_name(enum codec_kind kind)
{
    return names[kind];
}
