/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_match.c: compares a variant's loops of top-k with scalar's, bit for bit, and looks for
 * bytes written astray. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"

enum { TRIALS = EFFORT(1500, 300), COUNT_MAX = 3000, MARGIN_BYTES = 128, CHUNK_EVERY = 100 };

/* What a call reads and writes. Each has a margin before and behind. */
enum array { VALUES, RESIDUAL, NEXT, U, OFFSETS, CODES, KEYS, INTO, POURED, ARRAY_COUNT };

static const struct {
    const char *name;
    size_t element_bytes;
    size_t slack; /* entries */
} arrays[ARRAY_COUNT] = {
    [VALUES] = {"values", 4, 0},
    [RESIDUAL] = {"residual", 4, 0},
    [NEXT] = {"next", 4, 0},
    [U] = {"u", 4, 0},
    [OFFSETS] = {"offsets", 2, SPARSE_SLACK},
    [CODES] = {"codes", 2, SPARSE_SLACK},
    [KEYS] = {"keys", 4, SPARSE_SLACK},
    [INTO] = {"into", 4, 0},
    [POURED] = {"poured", 4, 0},
};

/* All arrays of a call, in one allocation. */
struct arena {
    unsigned char *memory;
    size_t bytes;
    size_t begin[ARRAY_COUNT];
};

struct call {
    const char *name;
    uint64_t seed;
    size_t count;
    uint32_t threshold;
    enum array next; /* NEXT, or in place on VALUES or RESIDUAL; ARRAY_COUNT for none */
    bool has_residual;
    bool is_cold;
    bool has_momentum;
    float factor;
    float scale;
};

/* What a call says, beside what it writes. */
struct answer {
    size_t keys;
    size_t chosen;
    size_t wild;
    double masked;
};

static void *array_at(const struct arena *arena, enum array array)
{
    return arena->memory + arena->begin[array];
}

/* Half of the arrays are aligned to their element only, the others to 64 bytes. Margins hold bytes
 * that depend on their place. */
static struct arena arena_create(struct chance *chance, size_t count)
{
    struct arena arena = {.bytes = 0};
    for (enum array array = 0; array < ARRAY_COUNT; array++) {
        arena.bytes = (arena.bytes + MARGIN_BYTES + 63) / 64 * 64;
        size_t shift = chance_below(chance, 2) == 0 ? 0 : chance_below(chance, 32);
        arena.begin[array] = arena.bytes + arrays[array].element_bytes * shift;
        arena.bytes = arena.begin[array] +
                      (count + arrays[array].slack) * arrays[array].element_bytes + MARGIN_BYTES;
    }
    arena.memory = memory_or_exit(arena.bytes);
    for (size_t i = 0; i < arena.bytes; i++) {
        arena.memory[i] = (unsigned char)(i * 37 + 11);
    }
    return arena;
}

static struct arena arena_copy(const struct arena *original)
{
    struct arena copy = *original;
    copy.memory = memory_or_exit(copy.bytes);
    memcpy(copy.memory, original->memory, copy.bytes);
    return copy;
}

static void arena_fill(struct chance *chance, const struct arena *arena, size_t count)
{
    static const enum array floats[] = {VALUES, RESIDUAL, NEXT, U, INTO};
    uint16_t *offsets = array_at(arena, OFFSETS);
    uint16_t *codes = array_at(arena, CODES);
    enum flavour flavour = (enum flavour)chance_below(chance, FLAVOUR_COUNT);
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        values_fill(chance, WW_F32, flavour, array_at(arena, floats[i]), count);
    }
    values_fill(chance, WW_BF16, ORDINARY, codes, count);
    for (size_t i = 0; i < count; i++) {
        offsets[i] = (uint16_t)chance_below(chance, count);
    }
}

/* From one that chooses nothing to one that chooses all; often one that somebody equals. */
static uint32_t threshold_of(struct chance *chance, const struct arena *arena, size_t count)
{
    static const uint32_t edges[] = {
        0, 1, SPARSE_KEY_INFINITY - 1, SPARSE_KEY_INFINITY, SPARSE_KEY_NAN, 0x7fffffff, UINT32_MAX};
    uint32_t bits;
    if (count == 0 || chance_below(chance, 4) == 0) {
        return edges[chance_below(chance, sizeof edges / sizeof edges[0])];
    }
    memcpy(&bits, (float *)array_at(arena, VALUES) + chance_below(chance, count), sizeof bits);
    bits &= 0x7fffffff;
    /* Sums are larger than values at times: half of the thresholds choose few. */
    return bits < SPARSE_KEY_INFINITY && chance_below(chance, 2) == 0 ? bits + (3u << 22) : bits;
}

static struct call call_create(struct chance *chance, const struct arena *arena, size_t count)
{
    static const enum array places[] = {NEXT, VALUES, RESIDUAL, ARRAY_COUNT};
    struct call call = {.count = count};
    call.threshold = threshold_of(chance, arena, count);
    call.has_residual = chance_below(chance, 4) != 0;
    call.is_cold = chance_below(chance, 2) == 0;
    call.next = places[chance_below(chance, 4)];
    call.has_momentum = chance_below(chance, 3) == 0;
    call.factor = chance_below(chance, 2) == 0 ? 0.9f : 1.0f;
    call.scale = chance_below(chance, 2) == 0 ? 1.0f : 0.125f;
    return call;
}

/* scatter, keys, choose and pour, in this order. What lies in the slack is nobody's. */
static struct answer call_run(const struct call *call, const struct sparse_kernels *kernels,
                              const struct arena *arena)
{
    struct momentum momentum = {array_at(arena, U), call->factor, 0.5};
    struct momentum *has_momentum = call->has_momentum ? &momentum : NULL;
    uint16_t *offsets = array_at(arena, OFFSETS);
    uint16_t *codes = array_at(arena, CODES);
    uint32_t *keys = array_at(arena, KEYS);
    struct stretch in = {
        .values = array_at(arena, VALUES), .count = call->count, .cold = call->is_cold};
    struct answer answer;
    in.residual = call->has_residual ? array_at(arena, RESIDUAL) : NULL;
    in.next = call->next == ARRAY_COUNT ? NULL : array_at(arena, call->next);
    kernels->scatter(array_at(arena, INTO), offsets, codes, call->count, call->scale);
    answer.keys = kernels->keys(keys, &in, has_momentum, call->threshold);
    answer.chosen = kernels->choose(offsets, codes, &in, call->threshold, has_momentum,
                                    &answer.wild);
    answer.masked = momentum.masked;
    size_t room = call->count + SPARSE_SLACK;
    memset(keys + answer.keys, 0, (room - answer.keys) * sizeof *keys);
    memset(offsets + answer.chosen, 0, (room - answer.chosen) * sizeof *offsets);
    memset(codes + answer.chosen, 0, (room - answer.chosen) * sizeof *codes);
    kernels->pour(array_at(arena, POURED), array_at(arena, INTO), call->count);
    return answer;
}

static void report(const struct call *call, const struct arena *got, const struct arena *want)
{
    size_t at = 0;
    while (got->memory[at] == want->memory[at]) {
        at++;
    }
    enum array array = ARRAY_COUNT - 1;
    while (array > 0 && at < got->begin[array] - MARGIN_BYTES / 2) {
        array--;
    }
    fprintf(stderr,
            "%s: byte %td of %s is wrong: %zu elements, threshold 0x%x, %s residual, %s momentum, "
            "next%s in %s, --seed %llu\n",
            call->name, (ptrdiff_t)at - (ptrdiff_t)got->begin[array], arrays[array].name,
            call->count, call->threshold, call->has_residual ? "with" : "no",
            call->has_momentum ? "with" : "no", call->is_cold ? ", cold," : "",
            call->next == ARRAY_COUNT ? "nothing" : arrays[call->next].name,
            (unsigned long long)call->seed);
}

static bool call_matches(const struct call *call, const struct variant *variant,
                         const struct variant *scalar, const struct arena *arena)
{
    struct arena want = arena_copy(arena);
    struct arena got = arena_copy(arena);
    struct answer wanted = call_run(call, &scalar->kernels.sparse, &want);
    struct answer answer = call_run(call, &variant->kernels.sparse, &got);
    bool good = memcmp(got.memory, want.memory, got.bytes) == 0;
    if (!good) {
        report(call, &got, &want);
    } else if (memcmp(&answer, &wanted, sizeof answer) != 0) {
        fprintf(stderr,
                "%s: %zu keys, %zu chosen, %zu wild, %a masked; must be %zu, %zu, %zu, %a; "
                "threshold 0x%x, --seed %llu\n",
                call->name, answer.keys, answer.chosen, answer.wild, answer.masked, wanted.keys,
                wanted.chosen, wanted.wild, wanted.masked, call->threshold,
                (unsigned long long)call->seed);
        good = false;
    }
    free(want.memory);
    free(got.memory);
    return good;
}

int check_sparse(const struct variant *variant, const struct variant *scalar, uint64_t seed)
{
    struct chance chance = {seed};
    bool good = true;
    for (int trial = 0; trial < TRIALS && good; trial++) {
        size_t limit = trial % 2 == 0 ? 100 : COUNT_MAX;
        size_t count = trial % CHUNK_EVERY == 0 ? SPARSE_CHUNK : chance_below(&chance, limit);
        struct arena arena = arena_create(&chance, count);
        arena_fill(&chance, &arena, count);
        struct call call = call_create(&chance, &arena, count);
        call.name = variant->name;
        call.seed = seed;
        good = call_matches(&call, variant, scalar, &arena);
        free(arena.memory);
    }
    return good ? 0 : 1;
}
