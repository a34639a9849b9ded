/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_bench.c: times top-k: its loops, its frames and its selection. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "codecs/codec.h"
#include "codecs/selection.h"

enum { ROUNDS = 9 };

#define COUNT ((size_t)16 << 20)
#define FLOATS_BYTES (COUNT * sizeof(float))
#define DENSITY 0.01f

struct bench {
    struct kernels kernels;
    const char *name;
    float *values;
    float *residual; /* what it is before every round */
    float *next;
    float *u;
    uint8_t *frame;
    void *room;
    size_t frame_bytes;
    uint32_t threshold;
    struct codec_spec spec;
    double memcpy_rate;
};

typedef void action(struct bench *bench);

/* The best of some rounds, which all begin with the same residual. */
static double seconds_of(struct bench *bench, action *act)
{
    double best_s = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(bench->next, bench->residual, FLOATS_BYTES);
        double start_s = cpu_seconds_now();
        act(bench);
        double one_s = cpu_seconds_now() - start_s;
        best_s = one_s < best_s ? one_s : best_s;
    }
    return best_s;
}

/* bytes: read and written for an element. */
static double line(struct bench *bench, const char *what, double bytes, action *act)
{
    double seconds = seconds_of(bench, act);
    double rate = bytes * (double)COUNT / seconds / 1e9;
    double whole = bench->memcpy_rate == 0 ? rate : bench->memcpy_rate;
    printf("%-8s %-32s %9.2f ms %9.2f GB/s %6.2f of memcpy\n", bench->name, what, seconds * 1e3,
           rate, rate / whole);
    fflush(stdout);
    return rate;
}

/* ---- What is timed ---- */

static void act_memcpy(struct bench *bench)
{
    memcpy(bench->next, bench->values, FLOATS_BYTES);
}

static void chunks_choose(struct bench *bench, float *u)
{
    static uint16_t offsets[SPARSE_CHUNK + SPARSE_SLACK];
    static uint16_t codes[SPARSE_CHUNK + SPARSE_SLACK];
    for (size_t first = 0; first < COUNT; first += SPARSE_CHUNK) {
        struct stretch in = {.values = bench->values + first,
                             .residual = bench->next + first,
                             .next = bench->next + first,
                             .count = SPARSE_CHUNK};
        struct momentum momentum = {u + (u == NULL ? 0 : first), 0.9f, 0};
        size_t wild;
        bench->kernels.sparse.choose(offsets, codes, &in, bench->threshold,
                                     u == NULL ? NULL : &momentum, &wild);
    }
}

static void act_choose(struct bench *bench)
{
    chunks_choose(bench, NULL);
}

static void act_choose_momentum(struct bench *bench)
{
    chunks_choose(bench, bench->u);
}

static void act_keys(struct bench *bench)
{
    struct stretch in = {.values = bench->values, .residual = bench->residual, .count = COUNT};
    bench->kernels.sparse.keys(bench->room, &in, NULL, bench->threshold);
}

static void act_encode(struct bench *bench)
{
    struct encode_input in = {
        .stretch = {
            .values = bench->values, .residual = bench->next, .next = bench->next, .count = COUNT}};
    struct encode_result result;
    codec_topk.encode(&bench->spec, &bench->kernels, &in, bench->frame, bench->room, &result);
    bench->frame_bytes = result.bytes;
}

static void decode(struct bench *bench, bool add)
{
    struct decode_output out = {
        COUNT, 0, {.into = bench->next, .count = COUNT, .scale = 1.0f, .add = add}};
    if (!codec_topk.decode(&bench->spec, &bench->kernels, bench->frame, bench->frame_bytes, &out)) {
        fprintf(stderr, "kernels: a frame of the bench was refused\n");
        exit(1);
    }
}

static void act_store(struct bench *bench)
{
    decode(bench, false);
}

static void act_add(struct bench *bench)
{
    decode(bench, true);
}

static struct selection selection_of(struct bench *bench)
{
    struct stretch in = {.values = bench->values, .count = COUNT};
    struct selection_source source = {.stretch = &in, .seed = 1};
    return selection_find(&bench->kernels.sparse, &source, (size_t)(DENSITY * (float)COUNT),
                          bench->room);
}

static void act_selection(struct bench *bench)
{
    bench->threshold = selection_of(bench).key;
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t held = *a;
    *a = *b;
    *b = held;
}

/* Quickselect as std::nth_element does it: median of three, unguarded partition around it. */
static uint32_t nth_largest(uint32_t *keys, size_t count, size_t rank)
{
    size_t first = 0;
    size_t last = count;
    while (last - first > 3) {
        uint32_t *middle = &keys[first + (last - first) / 2];
        uint32_t a = keys[first + 1], b = *middle, c = keys[last - 1];
        uint32_t pivot = a < b ? (b < c ? b : a < c ? c : a) : a < c ? a : b < c ? c : b;
        size_t left = first;
        size_t right = last;
        for (;;) {
            while (keys[left] > pivot) {
                left++;
            }
            right--;
            while (pivot > keys[right]) {
                right--;
            }
            if (left >= right) {
                break;
            }
            swap(&keys[left], &keys[right]);
            left++;
        }
        if (left <= rank - 1) {
            first = left;
        } else {
            last = left;
        }
    }
    for (size_t i = first; i < last; i++) {
        for (size_t j = i; j > first && keys[j] > keys[j - 1]; j--) {
            swap(&keys[j], &keys[j - 1]);
        }
    }
    return keys[rank - 1];
}

/* On a copy of the keys, which the round has made in next: what is timed begins with them. */
static void act_nth_largest(struct bench *bench)
{
    uint32_t *keys = (uint32_t *)(void *)bench->next;
    bench->threshold = nth_largest(keys, COUNT, (size_t)(DENSITY * (float)COUNT));
}

/* ---- The table ---- */

static void selection_lines(struct bench *bench)
{
    struct bench plain = *bench;
    uint32_t *keys = (uint32_t *)(void *)plain.u;
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(&keys[i], &plain.values[i], sizeof keys[i]);
        keys[i] &= 0x7fffffff;
    }
    plain.residual = plain.u;
    double plain_s = seconds_of(&plain, act_nth_largest);
    double found_s = seconds_of(bench, act_selection);
    if (bench->threshold != plain.threshold) {
        fprintf(stderr, "kernels: selection finds 0x%x, quickselect 0x%x\n", bench->threshold,
                plain.threshold);
        exit(1);
    }
    printf("%-8s %-32s %9.2f ms; quickselect takes %.1f ms, %.1f times as long\n", bench->name,
           "exact selection of 1 %", found_s * 1e3, plain_s * 1e3, plain_s / found_s);
    memset(plain.u, 0, FLOATS_BYTES);
}

static void frame_lines(struct bench *bench, const char *name, bool fixed)
{
    char what[64];
    bench->spec = (struct codec_spec){CODEC_TOPK, DENSITY, fixed};
    snprintf(what, sizeof what, "encode %s", name);
    line(bench, what, 12, act_encode);
    printf("%-8s frame / fp32 %.5f\n", bench->name, (double)bench->frame_bytes / FLOATS_BYTES);
    snprintf(what, sizeof what, "decode %s, store", name);
    line(bench, what, 4, act_store);
    snprintf(what, sizeof what, "decode %s, add", name);
    line(bench, what, 4, act_add);
}

static void variant_lines(struct bench *bench)
{
    selection_lines(bench);
    line(bench, "keys", 8, act_keys);
    /* What encoding has to choose from is a sum with twice the variance. */
    float threshold;
    memcpy(&threshold, &bench->threshold, sizeof threshold);
    threshold *= sqrtf(2.0f);
    memcpy(&bench->threshold, &threshold, sizeof threshold);
    line(bench, "choose", 12, act_choose);
    line(bench, "choose, momentum", 20, act_choose_momentum);
    frame_lines(bench, "topk:0.01", false);
    frame_lines(bench, "topk:0.01:fixed", true);
}

static void gauss_fill(struct chance *chance, float *values)
{
    for (size_t i = 0; i < COUNT; i++) {
        double radius = ((double)(chance_bits(chance) >> 11) + 0.5) / 9007199254740992.0;
        double angle = (double)(chance_bits(chance) >> 11) / 9007199254740992.0;
        values[i] = (float)(sqrt(-2.0 * log(radius)) * cos(6.283185307179586 * angle));
    }
}

/* On huge pages, where there are any: the wait for translations is the data's, not the loops'. */
static void *pages(size_t bytes)
{
    size_t huge = (size_t)2 << 20;
    bytes = (bytes + huge - 1) / huge * huge;
    void *memory = aligned_alloc(huge, bytes);
    if (memory == NULL) {
        fprintf(stderr, "kernels: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 0, bytes);
    return memory;
}

int bench_sparse(const struct variant *variants, size_t variant_count)
{
    struct chance chance = {1};
    struct bench bench = {.name = "", .spec = {CODEC_TOPK, DENSITY, false}};
    bench.values = pages(FLOATS_BYTES);
    bench.residual = pages(FLOATS_BYTES);
    bench.next = pages(FLOATS_BYTES);
    bench.u = pages(FLOATS_BYTES);
    bench.frame = pages(codec_topk.frame_bytes_max(&bench.spec, COUNT));
    bench.room = pages((COUNT + SPARSE_SLACK) * sizeof(uint32_t));
    gauss_fill(&chance, bench.values);
    gauss_fill(&chance, bench.residual);
    printf("\ntop-k of %zu elements, the best of %d rounds\n", COUNT, ROUNDS);
    bench.memcpy_rate = line(&bench, "memcpy", 8, act_memcpy);
    for (size_t i = 0; i < variant_count; i++) {
        bench.name = variants[i].name;
        bench.kernels = variants[i].kernels;
        variant_lines(&bench);
    }
    bench.name = "";
    line(&bench, "memcpy", 8, act_memcpy);
    void *all[] = {bench.values, bench.residual, bench.next, bench.u, bench.frame, bench.room};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]);
    }
    return 0;
}
