/* SPDX-License-Identifier: BSD-3-Clause
 * big.c: vectors beyond 2^31 bytes and 2^31 elements on a GPU. They repeat a block, so that the
 * host computes only that. */
#include "big.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "gpu.h"
#include "gradients.h"
#include "kernels/cuda.h"

#define BLOCK_ELEMENTS ((size_t)1 << 23) /* a multiple of all chunks */

/* Compares a vector with repetitions of a block. */
static bool repeats(const struct device *device, const void *vector, size_t bytes,
                    const void *block, size_t block_bytes, const char *what)
{
    unsigned char *got = memory_or_exit(block_bytes);
    bool good = true;
    for (size_t first = 0; first < bytes && good; first += block_bytes) {
        size_t some = bytes - first < block_bytes ? bytes - first : block_bytes;
        device->get(got, (const unsigned char *)vector + first, some);
        good = memcmp(got, block, some) == 0;
        if (!good) {
            fprintf(stderr, "%s: wrong behind byte %zu of %zu\n", what, first, bytes);
        }
    }
    free(got);
    return good;
}

static int reduce_big(const struct device *device, const struct kernels *kernels, enum ww_type type,
                      size_t count)
{
    struct chance chance = {7};
    size_t each = element_bytes(type);
    size_t block_bytes = BLOCK_ELEMENTS * each;
    unsigned char *block = memory_or_exit(block_bytes);
    unsigned char *want = memory_or_exit(block_bytes);
    void *one = device->allocate(count * each);
    void *into = device->allocate(count * each);
    const void *want_from[] = {block, block};
    const void *from[] = {one, one};
    char what[100];
    values_fill(&chance, type, EDGES, block, BLOCK_ELEMENTS);
    kernels->reduce[type][WW_SUM](want, want_from, 2, BLOCK_ELEMENTS, 0.5);
    gpu_tile(device, one, count * each, block, block_bytes);
    gpu_check(cuda_reduce(type, WW_SUM, into, from, 2, count, 0.5, device->stream), "cuda_reduce");
    device->finish();
    snprintf(what, sizeof what, "reduce %s, %zu elements", type_name(type), count);
    bool good = repeats(device, into, count * each, want, block_bytes, what);
    device->release(into);
    device->release(one);
    free(want);
    free(block);
    printf("%-40s %s\n", what, good ? "ok" : "FAILED");
    return good ? 0 : 1;
}

/* Of a frame what repeats is looked at: codes of bf16, which lie in it from the beginning. */
static int encode_big(const struct device *device, const struct kernels *kernels, size_t count)
{
    struct chance chance = {8};
    struct codec_spec spec = {.kind = CODEC_BF16};
    float *block = (float *)(void *)memory_or_exit(BLOCK_ELEMENTS * sizeof(float));
    uint16_t *want = (uint16_t *)(void *)memory_or_exit(BLOCK_ELEMENTS * sizeof(uint16_t));
    struct stretch in = {.values = block, .count = BLOCK_ELEMENTS};
    struct cuda_notes begin = {.wild_rank = INT32_MAX};
    struct cuda_notes *notes = device->allocate(sizeof *notes);
    float *values = device->allocate(count * sizeof *values);
    unsigned char *frame = device->allocate(64 + count * sizeof(uint16_t));
    char what[100];
    gradient_fill(&chance, GRADIENT_EDGES, block, BLOCK_ELEMENTS);
    kernels->code.encode_bf16(want, &in);
    gpu_tile(device, values, count * sizeof *values, block, BLOCK_ELEMENTS * sizeof *block);
    device->put(notes, &begin, sizeof begin);
    struct cuda_encoding encoding = {.spec = spec,
                                     .in = {.values = values, .count = count},
                                     .frame = frame + 64,
                                     .notes = notes};
    gpu_check(cuda_encode(&encoding, device->stream), "cuda_encode");
    device->finish();
    snprintf(what, sizeof what, "encode bf16, %zu elements", count);
    bool good = repeats(device, frame + 64, count * sizeof(uint16_t), want,
                        BLOCK_ELEMENTS * sizeof *want, what);
    device->release(frame);
    device->release(values);
    device->release(notes);
    free(want);
    free(block);
    printf("%-40s %s\n", what, good ? "ok" : "FAILED");
    return good ? 0 : 1;
}

/* What encoding reads and writes, on the host: values, a whole frame and what is left over. */
struct sheet {
    size_t count;
    size_t frame_bytes;
    float *values;
    float *residual;
    float *next;
    unsigned char *frame;
    void *room;
};

static void *lines_or_exit(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL) {
        fprintf(stderr, "kernels: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

static struct sheet sheet_create(const struct codec_spec *spec, size_t count)
{
    const struct codec *codec = codecs[spec->kind];
    struct chance chance = {9};
    size_t block = BLOCK_ELEMENTS < count ? BLOCK_ELEMENTS : count;
    size_t room_bytes = codec->room_bytes == NULL ? 64 : codec->room_bytes(spec, count);
    struct sheet sheet = {.count = count, .frame_bytes = codec->frame_bytes_max(spec, count)};
    sheet.values = lines_or_exit(count * sizeof(float));
    sheet.residual = lines_or_exit(count * sizeof(float));
    sheet.next = lines_or_exit(count * sizeof(float));
    sheet.frame = lines_or_exit(sheet.frame_bytes);
    sheet.room = lines_or_exit(room_bytes);
    gradient_fill(&chance, GRADIENT_LAYERS, sheet.values, block);
    gradient_fill(&chance, GRADIENT_BELL, sheet.residual, block);
    for (size_t i = block; i < count; i++) { /* blocks differ in size */
        sheet.values[i] = sheet.values[i - block] * 1.01f;
        sheet.residual[i] = sheet.residual[i - block];
    }
    return sheet;
}

static void sheet_destroy(struct sheet *sheet)
{
    free(sheet->room);
    free(sheet->frame);
    free(sheet->next);
    free(sheet->residual);
    free(sheet->values);
}

/* Encodes the values of an encoded sheet again, on the GPU. Whether it is the same. */
static bool encodes_alike(const struct device *device, const struct codec_spec *spec,
                          const struct sheet *sheet, const char *what)
{
    size_t bytes = sheet->count * sizeof(float);
    struct cuda_notes begin = {.wild_rank = INT32_MAX};
    struct cuda_notes *notes = device->allocate(sizeof *notes);
    float *values = device->allocate(bytes);
    float *residual = device->allocate(bytes);
    float *next = device->allocate(bytes);
    unsigned char *frame = device->allocate(64 + sheet->frame_bytes);
    void *room = device->allocate(cuda_encode_room(spec, sheet->count));
    device->put(notes, &begin, sizeof begin);
    device->put(values, sheet->values, bytes);
    device->put(residual, sheet->residual, bytes);
    struct cuda_encoding encoding = {.spec = *spec,
                                     .in = {values, residual, next, sheet->count, false},
                                     .frame = frame + 64,
                                     .notes = notes,
                                     .room = room};
    gpu_check(cuda_encode(&encoding, device->stream), "cuda_encode");
    device->finish();
    bool good = repeats(device, frame + 64, sheet->frame_bytes, sheet->frame, sheet->frame_bytes,
                        what) &&
                repeats(device, next, bytes, sheet->next, bytes, what);
    device->release(room);
    device->release(frame);
    device->release(next);
    device->release(residual);
    device->release(values);
    device->release(notes);
    return good;
}

static int frame_big(const struct device *device, const struct kernels *kernels, const char *text,
                     size_t count)
{
    struct codec_spec spec;
    struct encode_result result;
    char reason[200];
    char what[100];
    codec_parse(text, &spec, reason, sizeof reason);
    struct sheet sheet = sheet_create(&spec, count);
    struct encode_input input = {
        .stretch = {sheet.values, sheet.residual, sheet.next, sheet.count, false}};
    codecs[spec.kind]->encode(&spec, kernels, &input, sheet.frame, sheet.room, &result);
    snprintf(what, sizeof what, "encode %s, %zu elements", text, count);
    bool good = encodes_alike(device, &spec, &sheet, what);
    sheet_destroy(&sheet);
    printf("%-40s %s\n", what, good ? "ok" : "FAILED");
    fflush(stdout);
    return good ? 0 : 1;
}

int big_compare(const struct device *device, bool huge)
{
    static const char *const specs[] = {"fp16", "bf16", "int8", "topk:0.01:fixed"};
    const size_t beyond = 12345;
    struct kernels kernels;
    int failures = 0;
    kernels_init(&kernels);
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        failures += frame_big(device, &kernels, specs[i], ((size_t)64 << 20) + beyond);
    }
    failures += reduce_big(device, &kernels, WW_F32, ((size_t)1 << 29) + beyond);
    if (huge) {
        failures += reduce_big(device, &kernels, WW_BF16, ((size_t)1 << 31) + beyond);
        failures += encode_big(device, &kernels, ((size_t)1 << 31) + beyond);
    }
    return failures;
}
