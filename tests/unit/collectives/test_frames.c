/* SPDX-License-Identifier: BSD-3-Clause
 * test_frames.c: decoding takes frames by the range, and whatever their bytes are, it touches
 * nothing but them and its output: behind both lies memory that nobody may touch. */
#define _GNU_SOURCE
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "chance.h"
#include "codecs/codec.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(frames, .init = capture_start, .fini = capture_finish);

/* Memory that ends where a page begins that cannot be touched. */
struct guarded {
    unsigned char *pages;
    size_t bytes; /* without the guard */
};

static struct guarded guarded_create(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded memory = {.bytes = (bytes / page + 1) * page};
    memory.pages = mmap(NULL, memory.bytes + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory.pages, MAP_FAILED);
    cr_assert_eq(mprotect(memory.pages + memory.bytes, page, PROT_NONE), 0);
    return memory;
}

static void guarded_destroy(const struct guarded *memory)
{
    munmap(memory->pages, memory->bytes + (size_t)sysconf(_SC_PAGESIZE));
}

/* The last bytes, beginning at a multiple of align. */
static void *guarded_end(const struct guarded *memory, size_t bytes, size_t align)
{
    return memory->pages + (memory->bytes - bytes) / align * align;
}

static uint32_t chance_bits(uint64_t *state)
{
    return (uint32_t)(chance_next(state) >> 32);
}

/* A frame of random values, at the guarded end of its memory. */
struct frame {
    struct kernels kernels;
    struct codec_spec spec;
    const struct codec *codec;
    size_t count;
    size_t bytes;
    struct guarded memory;
    struct guarded output;
    unsigned char *at;
};

static void frame_create(struct frame *frame, enum codec_kind kind, size_t count, uint64_t *chance)
{
    *frame = (struct frame){.spec = {.kind = kind}, .codec = codecs[kind], .count = count};
    kernels_init(&frame->kernels);
    frame->bytes = frame->codec->frame_bytes_max(&frame->spec, count);
    frame->memory = guarded_create(frame->bytes);
    frame->output = guarded_create(count * sizeof(float));
    frame->at = guarded_end(&frame->memory, frame->bytes, 4);
    float *values = malloc((count + 1) * sizeof(float));
    void *whole = aligned_alloc(64, frame->bytes / 64 * 64 + 64);
    cr_assert(values != NULL && whole != NULL);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(int32_t)chance_bits(chance) * 0x1p-20f;
    }
    struct encode_input in = {.stretch = {.values = values, .count = count}};
    struct encode_result result;
    frame->codec->encode(&frame->spec, &frame->kernels, &in, whole, NULL, &result);
    cr_assert_eq(result.bytes, frame->bytes);
    memcpy(frame->at, whole, frame->bytes);
    free(values);
    free(whole);
}

static void frame_destroy(const struct frame *frame)
{
    guarded_destroy(&frame->memory);
    guarded_destroy(&frame->output);
}

enum { CANARY = 64 };

/* Decodes a range to the guarded end of the output, which *into becomes. */
static bool decode(const struct frame *frame, size_t first, size_t count, bool add, float **into)
{
    unsigned char canary[CANARY];
    *into = guarded_end(&frame->output, count * sizeof(float), sizeof(float));
    size_t before = (size_t)((unsigned char *)*into - frame->output.pages);
    size_t canary_bytes = before < CANARY ? before : CANARY;
    memset(canary, 0x77, CANARY);
    memset((unsigned char *)*into - canary_bytes, 0x77, canary_bytes);
    struct decode_output out = {
        .frame_count = frame->count,
        .first = first,
        .unpack = {.into = *into, .count = count, .scale = add ? 1.0f : 0.5f, .add = add}};
    bool good = frame->codec->decode(&frame->spec, &frame->kernels, frame->at, frame->bytes, &out);
    cr_assert_arr_eq((unsigned char *)*into - canary_bytes, canary, canary_bytes);
    return good;
}

static const size_t counts[] = {0, 1, 5, 31, 256, 257, 1000, CODEC_CHUNK, 2 * CODEC_CHUNK + 333};

Test(frames, are_decoded_by_the_range)
{
    uint64_t chance = 1;
    for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
        struct frame frame;
        frame_create(&frame, kind, 2 * CODEC_CHUNK + 333, &chance);
        float *whole = malloc(frame.count * sizeof(float));
        float *into;
        cr_assert_not_null(whole);
        cr_assert(decode(&frame, 0, frame.count, false, &into));
        memcpy(whole, into, frame.count * sizeof(float));
        for (size_t first = 0; first < frame.count; first += CODEC_CHUNK) {
            size_t rest = frame.count - first;
            for (size_t end = 0; end < rest + CODEC_CHUNK; end += CODEC_CHUNK) {
                size_t taken = end < rest ? end : rest;
                cr_assert(decode(&frame, first, taken, false, &into));
                cr_assert_arr_eq(into, whole + first, taken * sizeof(float), "%zu at %zu", taken,
                                 first);
            }
        }
        free(whole);
        frame_destroy(&frame);
    }
}

Test(frames, are_added_to_what_is_there)
{
    uint64_t chance = 2;
    for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
        struct frame frame;
        float halves[1000];
        float *into;
        frame_create(&frame, kind, LENGTH(halves), &chance);
        cr_assert(decode(&frame, 0, frame.count, false, &into));
        memcpy(halves, into, sizeof halves);
        for (size_t i = 0; i < frame.count; i++) {
            into[i] = 1.0f / (float)(i + 1);
        }
        cr_assert(decode(&frame, 0, frame.count, true, &into));
        for (size_t i = 0; i < frame.count; i++) {
            cr_assert_eq(into[i], 1.0f / (float)(i + 1) + 2.0f * halves[i], "element %zu", i);
        }
        frame_destroy(&frame);
    }
}

Test(frames, of_other_lengths_are_refused)
{
    uint64_t chance = 3;
    for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
        for (size_t i = 0; i < LENGTH(counts); i++) {
            struct frame frame;
            frame_create(&frame, kind, counts[i], &chance);
            size_t right = frame.bytes;
            size_t lengths[] = {right + 1, right + 64, right - 1,     right / 2,
                                0,         1,          right * 2 + 2, (size_t)-1};
            for (size_t j = 0; j < LENGTH(lengths); j++) {
                float *into;
                frame.bytes = lengths[j];
                /* What a short frame does not have cannot be touched. */
                frame.at = frame.memory.pages + frame.memory.bytes -
                           (frame.bytes < right ? frame.bytes / 4 * 4 : 0);
                bool refused = !decode(&frame, 0, frame.count, false, &into);
                cr_assert(refused || frame.bytes == right, "%s, %zu elements, %zu bytes",
                          frame.codec->name, frame.count, frame.bytes);
            }
            frame_destroy(&frame);
        }
    }
}

Test(frames, of_any_bytes_are_decoded_inside_their_memory)
{
    enum { ROUNDS = 60 };
    uint64_t chance = 4;
    size_t taken = 0;
    size_t refused = 0;
    for (enum codec_kind kind = CODEC_FP16; kind <= CODEC_INT8; kind++) {
        for (size_t row = 0; row < LENGTH(counts) * ROUNDS; row++) {
            struct frame frame;
            float *into;
            frame_create(&frame, kind, counts[row % LENGTH(counts)], &chance);
            size_t mutations = chance_bits(&chance) % 2 ? 1 + chance_bits(&chance) % 8
                                                        : frame.bytes;
            for (size_t i = 0; i < mutations && frame.bytes > 0; i++) {
                size_t at = mutations == frame.bytes ? i : chance_bits(&chance) % frame.bytes;
                frame.at[at] = (unsigned char)chance_bits(&chance);
            }
            bool good = decode(&frame, 0, frame.count, row % 2 == 0, &into);
            taken += good;
            refused += !good;
            frame_destroy(&frame);
        }
    }
    cr_assert(taken > 0 && refused > 0);
}

Test(frames, with_scales_that_no_encoder_writes_are_refused)
{
    static const float steps[] = {-1.0f, NAN, INFINITY, FLT_MAX, -FLT_MIN};
    static const int16_t exponents[] = {127, -127, INT16_MAX, INT16_MIN};
    uint64_t chance = 5;
    struct frame frame;
    float *into;
    frame_create(&frame, CODEC_INT8, 1000, &chance);
    for (size_t i = 0; i < LENGTH(steps); i++) {
        memcpy(frame.at + 3 * sizeof(float), &steps[i], sizeof steps[i]);
        cr_assert_not(decode(&frame, 0, frame.count, false, &into), "step %g", (double)steps[i]);
    }
    frame_destroy(&frame);
    frame_create(&frame, CODEC_FP16, CODEC_CHUNK + 1, &chance);
    for (size_t i = 0; i < LENGTH(exponents); i++) {
        memcpy(frame.at + sizeof(int16_t), &exponents[i], sizeof exponents[i]);
        cr_assert_not(decode(&frame, 0, frame.count, false, &into), "exponent %d", exponents[i]);
        cr_assert(decode(&frame, 0, CODEC_CHUNK, false, &into));
    }
    frame_destroy(&frame);
}
