/* SPDX-License-Identifier: BSD-3-Clause
 * compare_choose.c: choosing with a threshold, and finding one, on a device. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gradients.h"
#include "image.h"
#include "kernels/cuda.h"
#include "kernels/half.h"
#include "sizes.h"

static uint32_t key_of(float a)
{
    uint32_t key = bits_of(a) & 0x7fffffff;
    return key < SPARSE_KEY_INFINITY ? key : SPARSE_KEY_INFINITY;
}

/* ---- Choosing ----------------------------------------------------------------------------- */

struct choose_call {
    size_t count;
    size_t chunks;
    uint32_t room;
    uint32_t threshold;
    bool has_residual;
    int values;
    int residual;
    int next;
    int counts;
    int offsets;
    int codes;
    int notes;
    int at; /* the threshold, on the device */
    bool on_device;
};

static struct choose_call choose_call_create(struct chance *chance, const struct effort *effort,
                                             struct image *image)
{
    static const uint32_t rooms[] = {1000, 64, 7001, SPARSE_CHUNK};
    static const uint32_t thresholds[] = {0,         1, 0x3f400000, 0x3e800000, SPARSE_KEY_INFINITY,
                                          UINT32_MAX};
    struct choose_call call = {.count = size_draw(chance, effort->count_most)};
    bool aligned = chance_below(chance, 2) == 0;
    int *vectors[] = {&call.values, &call.residual, &call.next};
    call.chunks = (call.count + SPARSE_CHUNK - 1) / SPARSE_CHUNK;
    call.room = rooms[chance_below(chance, 4)];
    call.threshold = thresholds[chance_below(chance, 6)];
    call.has_residual = chance_below(chance, 3) != 0;
    for (int i = 0; i < 3; i++) {
        *vectors[i] = image_array(image, "vector", call.count * sizeof(float), 64,
                                  aligned ? 0 : 4 * chance_below(chance, 8));
    }
    call.counts = image_array(image, "counts", call.chunks * sizeof(uint32_t), 4, 0);
    call.offsets = image_array(image, "offsets", call.chunks * call.room * 2, 2, 0);
    call.codes = image_array(image, "codes", call.chunks * call.room * 2, 2, 0);
    call.notes = image_array(image, "notes", sizeof(struct cuda_notes), 8, 0);
    call.at = image_array(image, "threshold", sizeof call.threshold, 4, 0);
    call.on_device = chance_below(chance, 2) == 0;
    image_create(image);
    memcpy(image_before(image, call.at), &call.threshold, sizeof call.threshold);
    gradient_fill(chance, (enum gradient)chance_below(chance, GRADIENT_COUNT),
                  image_before(image, call.values), call.count);
    gradient_fill(chance, (enum gradient)chance_below(chance, GRADIENT_COUNT),
                  image_before(image, call.residual), call.count);
    memset(image_before(image, call.notes), 0, sizeof(struct cuda_notes));
    return call;
}

/* One chunk, as the definition chooses; what does not fit is left over. */
static void chunk_wanted(const struct choose_call *call, const struct image *image,
                         const struct kernels *kernels, size_t chunk)
{
    static uint16_t offsets[SPARSE_CHUNK + SPARSE_SLACK];
    static uint16_t codes[SPARSE_CHUNK + SPARSE_SLACK];
    struct cuda_notes *notes = image_want(image, call->notes);
    size_t first = chunk * SPARSE_CHUNK;
    size_t rest = call->count - first;
    struct stretch in = {.values = (float *)image_want(image, call->values) + first};
    const float *residual = (float *)image_want(image, call->residual) + first;
    size_t wild;
    in.count = rest < SPARSE_CHUNK ? rest : SPARSE_CHUNK;
    if (call->has_residual) {
        in.residual = residual;
        in.next = (float *)image_want(image, call->next) + first;
    }
    size_t chosen = kernels->sparse.choose(offsets, codes, &in, call->threshold, NULL, &wild);
    size_t sent = chosen < call->room ? chosen : call->room;
    for (size_t i = sent; i < chosen && call->has_residual; i++) {
        float a = in.values[offsets[i]] + residual[offsets[i]];
        in.next[offsets[i]] = isfinite(a) ? a : residual[offsets[i]];
    }
    ((uint32_t *)image_want(image, call->counts))[chunk] = (uint32_t)sent;
    memcpy((uint16_t *)image_want(image, call->offsets) + chunk * call->room, offsets, sent * 2);
    memcpy((uint16_t *)image_want(image, call->codes) + chunk * call->room, codes, sent * 2);
    notes->wild += wild;
    notes->chosen += sent;
}

int compare_choose(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    struct kernels scalar;
    kernels_init_scalar(&scalar);
    for (int trial = 0; trial < effort->trials / 4; trial++) {
        struct image image = image_begin(device);
        char what[200];
        struct choose_call call = choose_call_create(&chance, effort, &image);
        image_start(&image);
        for (size_t chunk = 0; chunk < call.chunks; chunk++) {
            chunk_wanted(&call, &image, &scalar, chunk);
        }
        struct cuda_choice choice = {
            .in = {.values = image_device(&image, call.values), .count = call.count},
            .threshold = call.on_device ? 77 : call.threshold,
            .at = call.on_device ? image_device(&image, call.at) : NULL,
            .room = call.room,
            .counts = image_device(&image, call.counts),
            .offsets = image_device(&image, call.offsets),
            .codes = image_device(&image, call.codes),
            .notes = image_device(&image, call.notes)};
        if (call.has_residual) {
            choice.in.residual = image_device(&image, call.residual);
            choice.in.next = image_device(&image, call.next);
        }
        int status = cuda_choose(&choice, device->stream);
        image_finish(&image);
        snprintf(what, sizeof what, "choose, %zu elements, threshold 0x%x, room %u, trial %d",
                 call.count, call.threshold, call.room, trial);
        bool good = image_check(&image, what) && status == 0;
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "%s: status %d\n", what, status);
            return 1;
        }
    }
    return 0;
}

/* ---- Thresholds --------------------------------------------------------------------------- */

static int descending(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return one < other ? 1 : one > other ? -1 : 0;
}

/* Where few elements are all looked at, the key is exact. */
static bool threshold_matches(const uint32_t *keys, size_t count, double share, uint32_t got)
{
    size_t rank = (size_t)(share * (double)count + 0.5);
    rank = rank < 1 ? 1 : rank > count ? count : rank;
    size_t above = 0;
    while (above < count && keys[above] >= got) {
        above++;
    }
    if (count <= 262144) {
        return got == (keys[rank - 1] > 0 ? keys[rank - 1] : 1);
    }
    return fabs((double)above - (double)rank) < 0.25 * (double)rank;
}

int compare_threshold(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    for (int trial = 0; trial < effort->trials / 40 + 2; trial++) {
        size_t count = 1 + (trial == 0 ? 700000 : size_draw(&chance, effort->count_most));
        double share = trial % 2 == 0 ? 0.01 : 0.3;
        struct image image = image_begin(device);
        int values = image_array(&image, "values", count * 4, 64, 4 * chance_below(&chance, 8));
        int residual = image_array(&image, "residual", count * 4, 64, 0);
        int result = image_array(&image, "threshold", sizeof(uint32_t), 4, 0);
        int room = image_array(&image, "room", cuda_threshold_room(count), 64, 0);
        image_create(&image);
        gradient_fill(&chance,
                      trial == 0 ? GRADIENT_BELL
                                 : (enum gradient)chance_below(&chance, GRADIENT_COUNT),
                      image_before(&image, values), count);
        gradient_fill(&chance, GRADIENT_BELL, image_before(&image, residual), count);
        image_start(&image);
        struct stretch in = {.values = image_device(&image, values),
                             .residual = image_device(&image, residual),
                             .count = count};
        int status = cuda_threshold(&in, share, image_device(&image, result),
                                    image_device(&image, room), device->stream);
        image_finish(&image);
        uint32_t got = *(uint32_t *)image_got(&image, result);
        uint32_t *keys = (uint32_t *)(void *)memory_or_exit(count * sizeof *keys);
        for (size_t i = 0; i < count; i++) {
            keys[i] = key_of(((float *)image_want(&image, values))[i] +
                             ((float *)image_want(&image, residual))[i]);
        }
        qsort(keys, count, sizeof *keys, descending);
        image_forgive(&image, result, 0, sizeof got);
        image_forgive(&image, room, 0, cuda_threshold_room(count));
        bool good = image_check(&image, "threshold") && status == 0 &&
                    threshold_matches(keys, count, share, got);
        free(keys);
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "threshold of %zu elements, share %g: 0x%x, status %d, trial %d\n",
                    count, share, got, status, trial);
            return 1;
        }
    }
    return 0;
}
