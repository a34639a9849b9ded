/* SPDX-License-Identifier: BSD-3-Clause
 * match.c: compares a variant with scalar, bit for bit, and looks for bytes written astray. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"

enum {
    WAYS_MAX = 9,
    COUNT_MAX = 100000,
    MARGIN_BYTES = 128,
    TRIALS = EFFORT(40, 8) * WAYS_MAX,
    LARGE_EVERY = 16 /* shares no factor with WAYS_MAX: every number of ways has its turn */
};

/* A buffer of its own allocation: a margin, the elements, a margin. */
struct buffer {
    unsigned char *memory;
    size_t bytes; /* of memory */
    void *values; /* in it, aligned to the element only */
};

/* One call: what is reduced, and where. */
struct call {
    const struct variant *variant;
    uint64_t seed;
    enum ww_type type;
    enum ww_op op;
    int ways;
    int in_place; /* source that is overwritten, -1 for none */
    size_t count;
    double scale;
};

/* The margins hold bytes that depend on their place. */
static struct buffer buffer_create(struct chance *chance, const struct call *call)
{
    size_t element = element_bytes(call->type);
    size_t shift = MARGIN_BYTES + element * chance_below(chance, 32);
    struct buffer buffer;
    buffer.bytes = shift + call->count * element + MARGIN_BYTES;
    buffer.memory = memory_or_exit(buffer.bytes);
    for (size_t i = 0; i < buffer.bytes; i++) {
        buffer.memory[i] = (unsigned char)(i * 37 + 11);
    }
    buffer.values = buffer.memory + shift;
    return buffer;
}

static struct buffer buffer_copy(const struct buffer *original)
{
    struct buffer copy = *original;
    copy.memory = memory_or_exit(copy.bytes);
    memcpy(copy.memory, original->memory, copy.bytes);
    copy.values = copy.memory + ((unsigned char *)original->values - original->memory);
    return copy;
}

static void call_describe(const struct call *call, char *text, size_t bytes)
{
    char place[40] = "out of place";
    if (call->in_place >= 0) {
        snprintf(place, sizeof place, "in place on source %d", call->in_place);
    }
    snprintf(text, bytes, "%s %s %s, %d ways, %zu elements, scale %.17g, %s, --seed %llu",
             call->variant->name, type_name(call->type), op_name(call->op), call->ways, call->count,
             call->scale, place, (unsigned long long)call->seed);
}

/* Says where the first difference lies: in an element or outside. */
static void report(const struct call *call, const struct buffer *got, const struct buffer *want,
                   const char *what)
{
    char text[200];
    call_describe(call, text, sizeof text);
    size_t at = 0;
    while (got->memory[at] == want->memory[at]) {
        at++;
    }
    size_t first = (size_t)((unsigned char *)got->values - got->memory);
    size_t element = element_bytes(call->type);
    if (at < first || at >= first + call->count * element) {
        fprintf(stderr, "%s: %s: byte %td from the first element was overwritten\n", text, what,
                (ptrdiff_t)at - (ptrdiff_t)first);
        return;
    }
    size_t index = (at - first) / element;
    fprintf(stderr, "%s: %s: element %zu is 0x%llx, must be 0x%llx\n", text, what, index,
            (unsigned long long)element_bits(call->type, got->values, index),
            (unsigned long long)element_bits(call->type, want->values, index));
}

static bool same(const struct call *call, const struct buffer *got, const struct buffer *want,
                 const char *what)
{
    if (memcmp(got->memory, want->memory, got->bytes) == 0) {
        return true;
    }
    report(call, got, want, what);
    return false;
}

static void reduce(const struct call *call, const struct variant *variant, void *into,
                   const struct buffer *from)
{
    const void *addresses[WAYS_MAX];
    for (int way = 0; way < call->ways; way++) {
        addresses[way] = from[way].values;
    }
    variant->kernels.reduce[call->type][call->op](into, addresses, call->ways, call->count,
                                                  call->scale);
}

/* Reduces into target. Its margins and the other sources must be left as they were. */
static bool reduce_and_compare(const struct call *call, const struct buffer *from,
                               const struct buffer *originals, const struct buffer *target,
                               const struct buffer *expected)
{
    struct buffer want = buffer_copy(target);
    memcpy(want.values, expected->values, call->count * element_bytes(call->type));
    reduce(call, call->variant, target->values, from);
    bool good = same(call, target, &want, "result");
    for (int way = 0; way < call->ways && good; way++) {
        if (way != call->in_place) {
            good = same(call, &from[way], &originals[way], "source");
        }
    }
    free(want.memory);
    return good;
}

/* Out of place, then in place on each source. */
static bool places_match(struct call *call, const struct buffer *from,
                         const struct buffer *originals, const struct buffer *outside,
                         const struct buffer *expected)
{
    call->in_place = -1;
    bool good = reduce_and_compare(call, from, originals, outside, expected);
    for (int way = 0; way < call->ways && good; way++) {
        call->in_place = way;
        good = reduce_and_compare(call, from, originals, &from[way], expected);
        memcpy(from[way].memory, originals[way].memory, from[way].bytes);
    }
    return good;
}

static bool values_match(struct call *call, const struct variant *scalar, struct chance *chance)
{
    struct buffer from[WAYS_MAX];
    struct buffer originals[WAYS_MAX];
    enum flavour flavour = (enum flavour)chance_below(chance, FLAVOUR_COUNT);
    for (int way = 0; way < call->ways; way++) {
        from[way] = buffer_create(chance, call);
        values_fill(chance, call->type, flavour, from[way].values, call->count);
        originals[way] = buffer_copy(&from[way]);
    }
    struct buffer expected = buffer_create(chance, call);
    struct buffer outside = buffer_create(chance, call);
    reduce(call, scalar, expected.values, from);
    bool good = places_match(call, from, originals, &outside, &expected);
    free(outside.memory);
    free(expected.memory);
    for (int way = 0; way < call->ways; way++) {
        free(originals[way].memory);
        free(from[way].memory);
    }
    return good;
}

/* Mostly around one vector and one group of vectors, where the loops change hands. */
static size_t count_choose(struct chance *chance, int trial)
{
    if (trial % LARGE_EVERY != 0) {
        return chance_below(chance, 140);
    }
    size_t limits[] = {1000, 5000, 20000, COUNT_MAX};
    return 1000 + chance_below(chance, limits[chance_below(chance, 4)] - 999);
}

static double scale_choose(struct chance *chance, const struct call *call)
{
    double scales[] = {1.0, 1.0, 1.0 / call->ways, 1.0 / 3.0, -1e-30, 3e30};
    bool scaled = call->op == WW_SUM || call->op == WW_MEAN;
    bool integer = call->type == WW_I32 || call->type == WW_I64;
    return scaled && !integer ? scales[chance_below(chance, 6)] : 1.0;
}

static bool op_matches(const struct variant *variant, const struct variant *scalar,
                       enum ww_type type, enum ww_op op, uint64_t seed)
{
    struct chance chance = {seed + (uint64_t)type * WW_OP_COUNT + (uint64_t)op};
    struct call call = {.variant = variant, .seed = seed, .type = type, .op = op};
    for (int trial = 0; trial < TRIALS; trial++) {
        call.ways = 1 + trial % WAYS_MAX;
        call.count = count_choose(&chance, trial);
        call.scale = scale_choose(&chance, &call);
        if (!values_match(&call, scalar, &chance)) {
            return false;
        }
    }
    return true;
}

int check_match(const struct variant *variant, const struct variant *scalar, uint64_t seed)
{
    int failures = 0;
    for (enum ww_type type = WW_F32; type < WW_TYPE_COUNT; type++) {
        for (enum ww_op op = WW_SUM; op < WW_OP_COUNT; op++) {
            if ((variant->kernels.reduce[type][op] == NULL) !=
                (scalar->kernels.reduce[type][op] == NULL)) {
                fprintf(stderr, "%s %s %s: only one of it and scalar has this kernel\n",
                        variant->name, type_name(type), op_name(op));
                failures++;
            } else if (variant->kernels.reduce[type][op] != NULL) {
                failures += op_matches(variant, scalar, type, op, seed) ? 0 : 1;
            }
        }
    }
    return failures;
}
