/* SPDX-License-Identifier: BSD-3-Clause
 * codes_bench.c: times codecs, beside memcpy. */
#define _GNU_SOURCE
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "codecs/codec.h"

static const size_t counts[] = {64 << 10, 16 << 20};
enum { SIZES = sizeof counts / sizeof counts[0], ROUNDS_SMALL = 200, ROUNDS_LARGE = 9 };

enum direction {
    COPY,
    ENCODE,
    ENCODE_FEEDBACK,
    ENCODE_APART,
    ENCODE_COLD,
    DECODE,
    DECODE_ADD,
    DIRECTIONS
};
static const char *const direction_names[] = {"memcpy",        "encode",       "encode, residual",
                                              "encode, apart", "encode, cold", "decode",
                                              "decode, add"};

struct memory {
    float *values;
    float *residual;
    float *into;
    void *frame;
};

/* Bytes that must be read and written per call. */
static double bytes_of(enum direction direction, size_t count, size_t frame_bytes)
{
    static const double passes[] = {2, 1, 3, 3, 3, 1, 2}; /* over fp32 */
    return passes[direction] * (double)(count * sizeof(float)) +
           (direction == COPY ? 0.0 : (double)frame_bytes);
}

static void call(enum direction direction, const struct codec_spec *spec,
                 const struct kernels *kernels, const struct memory *memory, size_t count)
{
    const struct codec *codec = codecs[spec->kind];
    struct encode_input in = {.stretch = {.values = memory->values, .count = count}};
    struct decode_output out = {.frame_count = count,
                                .unpack = {.into = memory->into,
                                           .count = count,
                                           .scale = direction == DECODE ? 0.25f : 1.0f,
                                           .add = direction == DECODE_ADD}};
    struct encode_result result;
    switch (direction) {
    case COPY:
        memcpy(memory->into, memory->values, count * sizeof(float));
        break;
    case ENCODE:
    case ENCODE_FEEDBACK:
    case ENCODE_APART:
    case ENCODE_COLD:
        in.stretch.residual = direction == ENCODE ? NULL : memory->residual;
        in.stretch.next = direction == ENCODE            ? NULL
                          : direction == ENCODE_FEEDBACK ? memory->residual
                                                         : memory->into;
        in.stretch.cold = direction == ENCODE_COLD;
        codec->encode(spec, kernels, &in, memory->frame, NULL, &result);
        break;
    default:
        codec->decode(spec, kernels, memory->frame, codec->frame_bytes_max(spec, count), &out);
    }
}

/* The best of many rounds, in GB/s. */
static double rate(enum direction direction, const struct codec_spec *spec,
                   const struct kernels *kernels, const struct memory *memory, size_t count)
{
    int rounds = count > 1 << 20 ? ROUNDS_LARGE : ROUNDS_SMALL;
    double best_s = 1e9;
    for (int round = 0; round < rounds; round++) {
        double start_s = cpu_seconds_now();
        call(direction, spec, kernels, memory, count);
        double one_s = cpu_seconds_now() - start_s;
        best_s = one_s < best_s ? one_s : best_s;
    }
    size_t bytes = direction == COPY ? 0 : codecs[spec->kind]->frame_bytes_max(spec, count);
    return bytes_of(direction, count, bytes) / best_s / 1e9;
}

/* memcpy is timed again beside every line: other programs may slow all of them down. */
static void line(enum direction direction, const struct codec_spec *spec,
                 const struct variant *variant, const struct memory *memory)
{
    printf("%-8s %-6s %-18s", variant->name, codecs[spec->kind]->name, direction_names[direction]);
    for (size_t i = 0; i < SIZES; i++) {
        double copy = rate(COPY, spec, &variant->kernels, memory, counts[i]);
        double rate_here = rate(direction, spec, &variant->kernels, memory, counts[i]);
        printf("   %8.2f %8.2f %6.2f", copy, rate_here, rate_here / copy);
    }
    printf("\n");
    fflush(stdout);
}

/* On huge pages, where the system has them. */
static void *memory_of(size_t bytes)
{
    void *memory = aligned_alloc((size_t)2 << 20, bytes);
    if (memory != NULL) {
        madvise(memory, bytes, MADV_HUGEPAGE);
        memset(memory, 0, bytes);
    }
    return memory;
}

int codes_bench_run(const struct variant *variants, size_t variant_count)
{
    size_t bytes = counts[SIZES - 1] * sizeof(float);
    struct memory memory = {memory_of(bytes), memory_of(bytes), memory_of(bytes), memory_of(bytes)};
    int status = 1;
    if (memory.values == NULL || memory.residual == NULL || memory.into == NULL ||
        memory.frame == NULL) {
        fprintf(stderr, "kernels: no memory: the bench needs 4 times %zu bytes\n", bytes);
        goto release;
    }
    struct chance chance = {1};
    values_fill(&chance, WW_F32, ORDINARY, memory.values, counts[SIZES - 1]);
    printf("GB/s read and written: memcpy, the codec, and the codec in memcpys\n");
    printf("%-34s   %24s   %24s\n", "", "256 KiB of fp32", "64 MiB of fp32");
    for (size_t i = 0; i < variant_count; i++) {
        for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
            struct codec_spec spec = {.kind = kind};
            for (enum direction direction = ENCODE; direction < DIRECTIONS; direction++) {
                line(direction, &spec, &variants[i], &memory);
            }
        }
    }
    status = 0;
release:
    free(memory.values);
    free(memory.residual);
    free(memory.into);
    free(memory.frame);
    return status;
}
