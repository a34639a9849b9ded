/* SPDX-License-Identifier: BSD-3-Clause
 * compare_reduce.c: reductions, scaling, squares and copies of pieces on a device. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "kernels/cuda.h"
#include "sizes.h"

#define WAYS_MOST 40

/* ---- Reductions --------------------------------------------------------------------------- */

struct reduce_call {
    enum ww_type type;
    enum ww_op op;
    size_t count;
    int ways;
    double scale;
    int into; /* array; one of the sources at times */
    int from[WAYS_MOST];
};

static struct reduce_call reduce_call_create(struct chance *chance, const struct effort *effort)
{
    static const double scales[] = {1.0, 1.0, 0.125, 1.0 / 3, 1e30};
    struct reduce_call call = {.type = (enum ww_type)chance_below(chance, WW_TYPE_COUNT)};
    bool integer = call.type == WW_I32 || call.type == WW_I64;
    call.op = (enum ww_op)chance_below(chance, WW_OP_COUNT);
    call.op = integer && call.op == WW_MEAN ? WW_SUM : call.op;
    call.count = size_draw(chance, effort->count_most);
    call.ways = (int)chance_below(chance, 4) == 0 ? 1 + (int)chance_below(chance, WAYS_MOST)
                                                  : 1 + (int)chance_below(chance, 5);
    call.scale = integer || call.op > WW_MEAN ? 1.0 : scales[chance_below(chance, 5)];
    return call;
}

static void reduce_image_create(struct chance *chance, struct reduce_call *call,
                                struct image *image)
{
    size_t each = element_bytes(call->type);
    size_t shift = each * chance_below(chance, 8);
    bool alike = chance_below(chance, 2) == 0;
    for (int way = 0; way < call->ways; way++) {
        size_t own = alike ? shift : each * chance_below(chance, 8);
        call->from[way] = image_array(image, "from", call->count * each, 64, own);
    }
    call->into = call->from[chance_below(chance, (size_t)call->ways)];
    if (chance_below(chance, 3) != 0) {
        call->into = image_array(image, "into", call->count * each, 64,
                                 alike ? shift : each * chance_below(chance, 8));
    }
    image_create(image);
    for (int way = 0; way < call->ways; way++) {
        values_fill(chance, call->type, (enum flavour)chance_below(chance, FLAVOUR_COUNT),
                    image_before(image, call->from[way]), call->count);
    }
}

int compare_reduce(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    struct kernels scalar;
    kernels_init_scalar(&scalar);
    for (int trial = 0; trial < effort->trials; trial++) {
        struct reduce_call call = reduce_call_create(&chance, effort);
        struct image image = image_begin(device);
        const void *want_from[WAYS_MOST];
        const void *from[WAYS_MOST];
        char what[200];
        reduce_image_create(&chance, &call, &image);
        image_start(&image);
        for (int way = 0; way < call.ways; way++) {
            want_from[way] = image_want(&image, call.from[way]);
            from[way] = image_device(&image, call.from[way]);
        }
        scalar.reduce[call.type][call.op](image_want(&image, call.into), want_from, call.ways,
                                          call.count, call.scale);
        int status = cuda_reduce(call.type, call.op, image_device(&image, call.into), from,
                                 call.ways, call.count, call.scale, device->stream);
        image_finish(&image);
        snprintf(what, sizeof what, "reduce %s %s, %d ways, %zu elements, scale %g, trial %d",
                 type_name(call.type), op_name(call.op), call.ways, call.count, call.scale, trial);
        bool good = image_check(&image, what) && status == 0;
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "%s: status %d\n", what, status);
            return 1;
        }
    }
    return 0;
}

/* ---- Scaling ------------------------------------------------------------------------------ */

int compare_scale(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    struct kernels scalar;
    kernels_init_scalar(&scalar);
    for (int trial = 0; trial < effort->trials / 4; trial++) {
        enum ww_type type = chance_below(&chance, 2) == 0 ? WW_F32 : WW_F64;
        size_t count = size_draw(&chance, effort->count_most);
        double factor = chance_below(&chance, 4) == 0 ? 1e-30 : 1.0 / 3;
        bool given = chance_below(&chance, 2) == 0;
        struct image image = image_begin(device);
        char what[100];
        int values = image_array(&image, "values", count * element_bytes(type), 64,
                                 element_bytes(type) * chance_below(&chance, 4));
        int at = image_array(&image, "factor", sizeof factor, 8, 0);
        image_create(&image);
        values_fill(&chance, type, (enum flavour)chance_below(&chance, FLAVOUR_COUNT),
                    image_before(&image, values), count);
        memcpy(image_before(&image, at), &factor, sizeof factor);
        image_start(&image);
        const void *want = image_want(&image, values);
        scalar.reduce[type][WW_SUM](image_want(&image, values), &want, 1, count, factor);
        int status = cuda_scale(type, image_device(&image, values), count, given ? 5 : factor,
                                given ? image_device(&image, at) : NULL, device->stream);
        image_finish(&image);
        snprintf(what, sizeof what, "scale %s, %zu elements, trial %d", type_name(type), count,
                 trial);
        bool good = image_check(&image, what) && status == 0;
        image_destroy(&image);
        if (!good) {
            return 1;
        }
    }
    return 0;
}

/* ---- Squares ------------------------------------------------------------------------------ */

struct squares {
    double sum;
    unsigned long long wild;
};

static long double squares_wanted(enum ww_type type, const void *values, size_t count,
                                  unsigned long long *wild)
{
    long double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double value = type == WW_F32 ? (double)((const float *)values)[i]
                                      : ((const double *)values)[i];
        *wild += !isfinite(value);
        sum += (long double)value * value;
    }
    return sum;
}

static bool squares_match(const struct squares *got, long double sum, unsigned long long wild)
{
    long double off = fabsl((long double)got->sum - sum);
    return got->wild == wild && (wild > 0 || off <= 1e-12L * sum);
}

int compare_squares(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    for (int trial = 0; trial < effort->trials / 8; trial++) {
        enum ww_type type = chance_below(&chance, 2) == 0 ? WW_F32 : WW_F64;
        size_t count = size_draw(&chance, effort->count_most * 2);
        struct image image = image_begin(device);
        struct squares start = {1.0, 3};
        struct squares got[2];
        int values = image_array(&image, "values", count * element_bytes(type), 64,
                                 element_bytes(type) * chance_below(&chance, 4));
        int results = image_array(&image, "results", sizeof start, 8, 0);
        int room = image_array(&image, "room", cuda_squares_room(count), 8, 0);
        image_create(&image);
        values_fill(&chance, type, trial % 2 == 0 ? ORDINARY : EDGES, image_before(&image, values),
                    count);
        memcpy(image_before(&image, results), &start, sizeof start);
        unsigned long long wild = start.wild;
        long double sum = 1 + squares_wanted(type, image_before(&image, values), count, &wild);
        int status = 0;
        for (int turn = 0; turn < 2; turn++) {
            image_start(&image);
            struct squares *place = image_device(&image, results);
            status |= cuda_squares(type, image_device(&image, values), count, &place->sum,
                                   &place->wild, image_device(&image, room), device->stream);
            image_finish(&image);
            memcpy(&got[turn], image_got(&image, results), sizeof got[turn]);
        }
        image_forgive(&image, results, 0, sizeof start);
        image_forgive(&image, room, 0, cuda_squares_room(count));
        wild -= start.wild;
        got[0].wild -= start.wild;
        bool good = image_check(&image, "squares") && status == 0 &&
                    squares_match(&got[0], sum, wild) &&
                    memcmp(&got[0].sum, &got[1].sum, sizeof(double)) == 0;
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "squares of %zu %s: %.17g and %.17g, %llu wild; must be %.17Lg, %llu\n",
                    count, type_name(type), got[0].sum, got[1].sum, got[0].wild, sum, wild);
            return 1;
        }
    }
    return 0;
}

/* ---- Pieces ------------------------------------------------------------------------------- */

#define PIECES_MOST 300

struct pieces {
    int count;
    void *into[PIECES_MOST];
    const void *from[PIECES_MOST];
    size_t bytes[PIECES_MOST];
};

/* Pieces lie one behind the other, with gaps, in both arrays. */
static void pieces_draw(struct chance *chance, const struct image *image, int from, int into,
                        struct pieces *pieces, size_t bytes)
{
    unsigned char *source = image_device(image, from);
    unsigned char *target = image_device(image, into);
    size_t grain = (size_t)1 << chance_below(chance, 5);
    size_t at = 0;
    pieces->count = 0;
    while (pieces->count < PIECES_MOST && at < bytes) {
        size_t some = chance_below(chance, 8) == 0 ? bytes / 3 : 1 + bytes / 100;
        size_t length = chance_below(chance, some) / grain * grain;
        length = length < bytes - at ? length : bytes - at;
        bool zeros = chance_below(chance, 5) == 0;
        pieces->into[pieces->count] = target + at;
        pieces->from[pieces->count] = zeros ? NULL : source + at;
        pieces->bytes[pieces->count] = length;
        if (zeros) {
            memset((unsigned char *)image_want(image, into) + at, 0, length);
        } else {
            memcpy((unsigned char *)image_want(image, into) + at,
                   (unsigned char *)image_want(image, from) + at, length);
        }
        pieces->count++;
        at += length + grain * chance_below(chance, 3);
    }
}

int compare_pieces(const struct device *device, const struct effort *effort)
{
    struct chance chance = {effort->seed};
    static struct pieces pieces;
    for (int trial = 0; trial < effort->trials / 8; trial++) {
        size_t bytes = 16 + size_draw(&chance, effort->count_most * 4);
        struct image image = image_begin(device);
        size_t shift = chance_below(&chance, 16);
        bool alike = chance_below(&chance, 2) == 0;
        int from = image_array(&image, "from", bytes, 64, shift);
        int into = image_array(&image, "into", bytes, 64,
                               alike ? shift : chance_below(&chance, 16));
        image_create(&image);
        for (size_t i = 0; i < bytes; i++) {
            ((unsigned char *)image_before(&image, from))[i] = (unsigned char)chance_bits(&chance);
        }
        image_start(&image);
        pieces_draw(&chance, &image, from, into, &pieces, bytes);
        int status = cuda_copy_pieces(pieces.into, pieces.from, pieces.bytes, pieces.count,
                                      device->stream);
        image_finish(&image);
        bool good = image_check(&image, "pieces") && status == 0;
        image_destroy(&image);
        if (!good) {
            fprintf(stderr, "%d pieces of %zu bytes, trial %d, status %d\n", pieces.count, bytes,
                    trial, status);
            return 1;
        }
    }
    return 0;
}
