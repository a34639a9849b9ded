/* SPDX-License-Identifier: BSD-3-Clause
 * compare_codes.c: frames of every codec, encoded and added up on a device. */
#include "compare.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "gradients.h"
#include "image.h"
#include "kernels/cuda.h"
#include "sizes.h"

#define HEAD_OFFSET 64 /* of a frame, in its array */

static const char *const specs[] = {
    "fp16",
    "bf16",
    "int8",
    "topk:0.01:fixed",
    "topk:0.0001:fixed",
    "topk:0.03:fixed",
    "topk:0.2:fixed",
    "topk:0.95:fixed",
    "topk:1:fixed",
    "topk:0.5:fixed",
};
#define SPECS (sizeof specs / sizeof specs[0])

static struct codec_spec spec_of(const char *text)
{
    struct codec_spec spec;
    char reason[200];
    bool good = codec_parse(text, &spec, reason, sizeof reason);
    assert(good);
    (void)good;
    return spec;
}

/* ---- Encoding ----------------------------------------------------------------------------- */

struct encode_call {
    const char *text;
    struct codec_spec spec;
    size_t count;
    bool has_residual;
    bool weighed;
    int rank;
    int values;
    int residual;
    int next;
    int frame;
    int notes;
    int room;
};

static struct encode_call encode_call_create(struct chance *chance, const struct effort *effort)
{
    struct encode_call call = {.text = specs[chance_below(chance, SPECS)]};
    call.spec = spec_of(call.text);
    call.count = size_draw(chance, effort->count_most);
    call.has_residual = chance_below(chance, 3) != 0;
    call.weighed = chance_below(chance, 2) == 0;
    call.rank = (int)chance_below(chance, 8);
    return call;
}

static void encode_image_create(struct chance *chance, struct encode_call *call,
                                struct image *image, struct cuda_notes *notes)
{
    size_t bytes = call->count * sizeof(float);
    size_t frame_bytes = codecs[call->spec.kind]->frame_bytes_max(&call->spec, call->count);
    bool aligned = chance_below(chance, 2) == 0;
    enum gradient kind = (enum gradient)chance_below(chance, GRADIENT_COUNT);
    int *arrays[] = {&call->values, &call->residual, &call->next};
    for (int i = 0; i < 3; i++) {
        *arrays[i] = image_array(image, "vector", bytes, 64,
                                 aligned ? 0 : 4 * chance_below(chance, 8));
    }
    call->frame = image_array(image, "frame", HEAD_OFFSET + frame_bytes, 64, 0);
    call->notes = image_array(image, "notes", sizeof *notes, 8, 0);
    call->room = image_array(image, "room", cuda_encode_room(&call->spec, call->count), 64, 0);
    image_create(image);
    gradient_fill(chance, kind, image_before(image, call->values), call->count);
    gradient_fill(chance, chance_below(chance, 2) == 0 ? GRADIENT_BELL : kind,
                  image_before(image, call->residual), call->count);
    memcpy(image_before(image, call->notes), notes, sizeof *notes);
}

/* As frame.c encodes, into what the image should become. */
static struct encode_result encode_wanted(const struct encode_call *call, const struct image *image,
                                          const struct kernels *kernels,
                                          const struct dither *dither,
                                          const struct cuda_notes *notes)
{
    const struct codec *codec = codecs[call->spec.kind];
    struct encode_input in = {
        .stretch = {.values = image_want(image, call->values), .count = call->count},
        .dither = *dither};
    size_t room_bytes = codec->room_bytes == NULL ? 0 : codec->room_bytes(&call->spec, call->count);
    void *room = aligned_alloc(64, (room_bytes + 127) / 64 * 64);
    unsigned char *frame = image_want(image, call->frame);
    struct encode_result result;
    if (call->has_residual) {
        in.stretch.residual = image_want(image, call->residual);
        in.stretch.next = image_want(image, call->next);
    }
    codec->encode(&call->spec, kernels, &in, frame + HEAD_OFFSET, room, &result);
    int named = notes->wild_rank < INT32_MAX ? notes->wild_rank : call->rank;
    struct cuda_head head = {(uint32_t)result.bytes, result.wild > 0 ? named : -1, {0, 0}};
    memcpy(frame + HEAD_OFFSET - sizeof head, &head, sizeof head);
    free(room);
    return result;
}

static int encode_on_device(const struct encode_call *call, const struct image *image,
                            const struct dither *dither)
{
    unsigned char *frame = image_device(image, call->frame);
    struct cuda_encoding encoding = {
        .spec = call->spec,
        .in = {.values = image_device(image, call->values), .count = call->count},
        .dither = *dither,
        .frame = frame + HEAD_OFFSET,
        .rank = call->rank,
        .weighed = call->weighed,
        .notes = image_device(image, call->notes),
        .room = image_device(image, call->room)};
    if (call->has_residual) {
        encoding.in.residual = image_device(image, call->residual);
        encoding.in.next = image_device(image, call->next);
    }
    return cuda_encode(&encoding, image->device->stream);
}

static bool about(double got, double want)
{
    return isfinite(want) ? fabs(got - want) <= 1e-5 * fabs(want) : !isfinite(got);
}

static bool encode_notes_match(const struct encode_call *call, const struct image *image,
                               const struct encode_result *result, const struct cuda_notes *before)
{
    struct cuda_notes notes;
    memcpy(&notes, image_got(image, call->notes), sizeof notes);
    int named = before->wild_rank < INT32_MAX ? before->wild_rank : call->rank;
    double given = 0;
    double left = 0;
    if (call->weighed && call->has_residual) {
        const float *values = image_want(image, call->values);
        const float *residual = image_want(image, call->residual);
        given = kernel_squares_of_sum_f32(values, residual, call->count);
        left = kernel_squares_f32(image_want(image, call->next), call->count);
    }
    /* The device squares sums that are rounded to fp32: they overflow earlier. */
    bool weights = !call->weighed || !call->has_residual || result->wild > 0 ||
                   (about(notes.given, given) && about(notes.left, left));
    return notes.wild == before->wild + result->wild &&
           notes.chosen == before->chosen + result->chosen &&
           notes.wild_rank == (result->wild > 0 ? named : before->wild_rank) &&
           notes.damaged == 0 && notes.wild_here == 0 && notes.turn == 0 && weights;
}

int compare_encode(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    struct kernels scalar;
    kernels_init_scalar(&scalar);
    for (int trial = 0; trial < effort->trials; trial++) {
        struct encode_call call = encode_call_create(&chance, effort);
        struct dither dither = {chance_bits(&chance), chance_bits(&chance)};
        struct cuda_notes notes = {
            .wild_rank = chance_below(&chance, 2) == 0 ? INT32_MAX : 3, .wild = 5, .chosen = 7};
        struct image image = image_begin(device);
        char what[200];
        encode_image_create(&chance, &call, &image, &notes);
        image_start(&image);
        struct encode_result result = encode_wanted(&call, &image, &scalar, &dither, &notes);
        int status = encode_on_device(&call, &image, &dither);
        image_finish(&image);
        bool noted = encode_notes_match(&call, &image, &result, &notes);
        image_forgive(&image, call.notes, 0, sizeof notes);
        image_forgive(&image, call.room, 0, cuda_encode_room(&call.spec, call.count));
        snprintf(what, sizeof what, "encode %s, %zu elements, %s residual, seed %llu, trial %d",
                 call.text, call.count, call.has_residual ? "with" : "no",
                 (unsigned long long)effort->seed, trial);
        bool good = image_check(&image, what);
        image_destroy(&image);
        if (!good || !noted || status != 0) {
            fprintf(stderr, "%s: notes %s, status %d\n", what, noted ? "right" : "WRONG", status);
            return 1;
        }
    }
    return 0;
}

/* ---- Sums --------------------------------------------------------------------------------- */

#define WAYS_MOST 12

struct sum_call {
    const char *text;
    struct codec_spec spec;
    size_t count;
    int ways;
    float scale;
    bool plain;
    bool damaged; /* some bytes are wrong */
    int into;
    int plain_values;
    int notes;
    int frames[WAYS_MOST];
};

static const char *const more_specs[] = {"topk:0.01", "topk:0.3", "topk:0.001", "topk:0.9"};
#define MORE_SPECS (sizeof more_specs / sizeof more_specs[0])

static struct sum_call sum_call_create(struct chance *chance, const struct effort *effort)
{
    static const float scales[] = {1.0f, 0.125f, 1.0f / 3};
    size_t spec = chance_below(chance, SPECS + MORE_SPECS);
    struct sum_call call = {.text = spec < SPECS ? specs[spec] : more_specs[spec - SPECS]};
    call.spec = spec_of(call.text);
    call.count = size_draw(chance, effort->count_most);
    call.ways = 1 + (int)chance_below(chance, chance_below(chance, 4) == 0 ? WAYS_MOST : 4);
    call.scale = scales[chance_below(chance, 3)];
    call.plain = call.ways > 1 && chance_below(chance, 2) == 0;
    return call;
}

static void frame_fill(struct chance *chance, const struct sum_call *call,
                       const struct kernels *kernels, unsigned char *frame)
{
    const struct codec *codec = codecs[call->spec.kind];
    size_t room_bytes = codec->room_bytes == NULL ? 0 : codec->room_bytes(&call->spec, call->count);
    void *room = aligned_alloc(64, (room_bytes + 127) / 64 * 64);
    float *values = (float *)(void *)memory_or_exit((call->count + 1) * sizeof *values);
    struct encode_input in = {.stretch = {.values = values, .count = call->count},
                              .dither = {.seed = 1}};
    struct encode_result result;
    enum gradient kind = (enum gradient)chance_below(chance, GRADIENT_COUNT);
    gradient_fill(chance, kind, values, call->count);
    codec->encode(&call->spec, kernels, &in, frame + HEAD_OFFSET, room, &result);
    struct cuda_head head = {(uint32_t)result.bytes, result.wild > 0 ? 4 : -1, {0, 0}};
    memcpy(frame + HEAD_OFFSET - sizeof head, &head, sizeof head);
    free(values);
    free(room);
}

static void sum_image_create(struct chance *chance, struct sum_call *call, struct image *image,
                             const struct kernels *kernels)
{
    size_t bytes = call->count * sizeof(float);
    size_t frame_bytes = codecs[call->spec.kind]->frame_bytes_max(&call->spec, call->count);
    bool aligned = chance_below(chance, 2) == 0;
    struct cuda_notes notes = {.wild_rank = INT32_MAX};
    call->into = image_array(image, "into", bytes, 64, aligned ? 0 : 4 * chance_below(chance, 8));
    call->plain_values = call->into;
    if (chance_below(chance, 2) == 0) {
        call->plain_values = image_array(image, "plain", bytes, 64,
                                         aligned ? 0 : 4 * chance_below(chance, 8));
    }
    for (int way = 0; way < call->ways; way++) {
        call->frames[way] = image_array(image, "frame", HEAD_OFFSET + frame_bytes, 64, 0);
    }
    call->notes = image_array(image, "notes", sizeof notes, 8, 0);
    image_create(image);
    memcpy(image_before(image, call->notes), &notes, sizeof notes);
    gradient_fill(chance, (enum gradient)chance_below(chance, GRADIENT_COUNT),
                  image_before(image, call->plain_values), call->count);
    for (int way = call->plain ? 1 : 0; way < call->ways; way++) {
        frame_fill(chance, call, kernels, image_before(image, call->frames[way]));
    }
}

/* As frame.c's sum_chunk; false = a frame is damaged. */
static bool chunk_wanted(const struct sum_call *call, const struct image *image,
                         const struct kernels *kernels, size_t first)
{
    size_t rest = call->count - first;
    struct decode_output out = {.frame_count = call->count, .first = first};
    out.unpack.into = (float *)image_want(image, call->into) + first;
    out.unpack.count = rest < CODEC_CHUNK ? rest : CODEC_CHUNK;
    out.unpack.scale = call->ways == 1 ? call->scale : 1.0f;
    for (int way = 0; way < call->ways; way++) {
        out.unpack.add = way > 0;
        if (way == 0 && call->plain) {
            memmove(out.unpack.into, (float *)image_want(image, call->plain_values) + first,
                    out.unpack.count * sizeof(float));
            continue;
        }
        const unsigned char *frame = (unsigned char *)image_want(image, call->frames[way]) +
                                     HEAD_OFFSET;
        struct cuda_head head;
        memcpy(&head, frame - sizeof head, sizeof head);
        if (!codecs[call->spec.kind]->decode(&call->spec, kernels, frame, head.bytes, &out)) {
            return false;
        }
    }
    if (call->ways > 1 && call->scale != 1.0f) {
        const void *sum = out.unpack.into;
        kernels->reduce[WW_F32][WW_SUM](out.unpack.into, &sum, 1, out.unpack.count,
                                        (double)call->scale);
    }
    return true;
}

/* The same, and the lowest rank that heads name. */
static bool sum_wanted(const struct sum_call *call, const struct image *image,
                       const struct kernels *kernels, int32_t *wild_rank)
{
    size_t most = codecs[call->spec.kind]->frame_bytes_max(&call->spec, call->count);
    bool good = true;
    *wild_rank = INT32_MAX;
    for (int way = call->plain ? 1 : 0; way < call->ways; way++) {
        unsigned char *frame = (unsigned char *)image_want(image, call->frames[way]) + HEAD_OFFSET;
        struct cuda_head head;
        memcpy(&head, frame - sizeof head, sizeof head);
        good = good && head.bytes <= most;
        if (head.wild_rank >= 0 && head.wild_rank < *wild_rank) {
            *wild_rank = head.wild_rank;
        }
    }
    for (size_t first = 0; good && first < call->count; first += CODEC_CHUNK) {
        good = chunk_wanted(call, image, kernels, first);
    }
    return good;
}

static int sum_on_device(const struct sum_call *call, const struct image *image)
{
    const void *frames[WAYS_MOST];
    for (int way = 0; way < call->ways; way++) {
        frames[way] = (unsigned char *)image_device(image, call->frames[way]) + HEAD_OFFSET;
    }
    if (call->plain) {
        frames[0] = NULL;
    }
    struct cuda_sum sum = {.spec = call->spec,
                           .into = image_device(image, call->into),
                           .count = call->count,
                           .ways = call->ways,
                           .frames = frames,
                           .plain = image_device(image, call->plain_values),
                           .scale = call->scale,
                           .notes = image_device(image, call->notes)};
    return cuda_decode_sum(&sum, image->device->stream);
}

/* Wrong bytes: mostly near the beginning, where heads, exponents and steps are. */
static void frames_damage(struct chance *chance, struct sum_call *call, const struct image *image)
{
    size_t bytes = codecs[call->spec.kind]->frame_bytes_max(&call->spec, call->count);
    int first = call->plain ? 1 : 0;
    int way = first + (int)chance_below(chance, (size_t)(call->ways - first));
    unsigned char *frame = (unsigned char *)image_before(image, call->frames[way]) + HEAD_OFFSET;
    size_t wrong = 1 + chance_below(chance, 4);
    for (size_t i = 0; i < wrong; i++) {
        size_t near = bytes < 40 ? bytes : 40;
        size_t at = chance_below(chance, 2) == 0 ? chance_below(chance, near + 1)
                                                 : chance_below(chance, bytes + 1);
        unsigned char bits = (unsigned char)(1 + chance_below(chance, 255));
        if (at == bytes || chance_below(chance, 10) == 0) {
            frame[-(ptrdiff_t)sizeof(struct cuda_head)] ^= bits;
        } else {
            frame[at] ^= bits;
        }
    }
    call->damaged = true;
}

/* What an undamaged codec says of damage is what counts; sums of damaged top-k depend on nothing
 * told. */
static bool sum_matches(const struct sum_call *call, struct image *image,
                        const struct kernels *kernels, const char *what)
{
    struct cuda_notes notes;
    int32_t wild_rank;
    bool good = sum_wanted(call, image, kernels, &wild_rank);
    memcpy(&notes, image_got(image, call->notes), sizeof notes);
    image_forgive(image, call->notes, 0, sizeof notes);
    if (!good || (call->damaged && call->spec.kind == CODEC_TOPK)) {
        image_forgive(image, call->into, 0, call->count * sizeof(float));
    }
    if ((notes.damaged == 0) != good || notes.wild_rank != wild_rank) {
        fprintf(stderr, "%s: %u damaged, first rank %d; must be %s, %d\n", what, notes.damaged,
                notes.wild_rank, good ? "0" : "some", wild_rank);
        return false;
    }
    return image_check(image, what);
}

static int sums_try(const struct device *device, const struct effort *effort, bool damage)
{
    struct chance chance = {effort->seed};
    struct kernels scalar;
    kernels_init_scalar(&scalar);
    for (int trial = 0; trial < effort->trials; trial++) {
        struct sum_call call = sum_call_create(&chance, effort);
        struct image image = image_begin(device);
        char what[200];
        sum_image_create(&chance, &call, &image, &scalar);
        if (damage) {
            frames_damage(&chance, &call, &image);
        }
        image_start(&image);
        int status = sum_on_device(&call, &image);
        image_finish(&image);
        snprintf(what, sizeof what, "sum of %d %s %s, %zu elements, scale %g, seed %llu, trial %d",
                 call.ways, call.text, call.plain ? "and a plain one" : "", call.count,
                 (double)call.scale, (unsigned long long)effort->seed, trial);
        bool good = sum_matches(&call, &image, &scalar, what) && status == 0;
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "%s: status %d\n", what, status);
            return 1;
        }
    }
    return 0;
}

int compare_sum(const struct device *device, const struct effort *effort)
{
    return sums_try(device, effort, false);
}

int compare_damaged(const struct device *device, const struct effort *effort)
{
    return sums_try(device, effort, true);
}
