/* SPDX-License-Identifier: BSD-3-Clause
 * test_calls.c: what single calls compute: every collective, type and op, to the bit. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/transport.h>

#include "effort.h"
#include "values.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define UNTOUCHED 0x5a

TestSuite(calls, .init = capture_start, .fini = capture_finish);

enum call { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, CALLS };

static const char *const call_names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast"};

/* One call on one rank. Counts are as in the call: of one share where there are shares. */
struct example {
    enum call call;
    enum ww_type type;
    enum ww_op op;
    size_t count;
    bool in_place;
    int root;
};

/* What all ranks do in a test. */
struct plan_of_work {
    const char *algorithm;
    size_t segment_bytes;
    int window;
    bool messages_only; /* ranks of one host do not see each other's memory */
    int first_host;     /* ranks on host "a"; the rest is on "b"; 0 = all where they are */
    const size_t *counts;
    size_t count_count;
    enum call call;
};

static bool reduces(enum call call)
{
    return call == ALL_REDUCE || call == REDUCE_SCATTER;
}

/* Elements that input and output hold. */
static size_t input_count(const struct example *example, int size)
{
    return example->count * (example->call == REDUCE_SCATTER ? (size_t)size : 1);
}

static size_t output_count(const struct example *example, int size)
{
    return example->count * (example->call == ALL_GATHER ? (size_t)size : 1);
}

static enum ww_status make(struct ww_context *context, const struct example *example,
                           const void *input, void *output)
{
    switch (example->call) {
    case ALL_REDUCE:
        return ww_all_reduce(context, input, output, example->count, example->type, example->op);
    case REDUCE_SCATTER:
        return ww_reduce_scatter(context, input, output, example->count, example->type,
                                 example->op);
    case ALL_GATHER:
        return ww_all_gather(context, input, output, example->count, example->type);
    default:
        return ww_broadcast(context, output, example->count, example->type, example->root);
    }
}

static bool gathered(const struct example *example, int size, const unsigned char *output)
{
    size_t share = example->count * ww_type_bytes(example->type);
    for (int rank = 0; rank < size; rank++) {
        if (!values_of_rank(example->type, rank, 0, output + (size_t)rank * share,
                            example->count)) {
            return false;
        }
    }
    return true;
}

static bool is_right(const struct example *example, int rank, int size, const void *output)
{
    switch (example->call) {
    case ALL_REDUCE:
        return values_reduced(example->type, example->op, size, 0, output, example->count);
    case REDUCE_SCATTER:
        return values_reduced(example->type, example->op, size, (size_t)rank * example->count,
                              output, example->count);
    case ALL_GATHER:
        return gathered(example, size, output);
    default:
        return values_of_rank(example->type, example->root, 0, output, example->count);
    }
}

/* Memory of the two vectors of a call, each with a line of untouched bytes on both sides. */
struct vectors {
    unsigned char *memory;
    size_t bytes;
    unsigned char *input;
    unsigned char *output;
};

static struct vectors vectors_make(const struct example *example, const struct ww_world *world)
{
    size_t element = ww_type_bytes(example->type);
    size_t input = input_count(example, world->size) * element;
    size_t output = output_count(example, world->size) * element;
    size_t share = (size_t)world->rank * example->count * element;
    struct vectors vectors = {.bytes = input + output + 3 * 64};
    vectors.memory = malloc(vectors.bytes);
    memset(vectors.memory, UNTOUCHED, vectors.bytes);
    vectors.input = vectors.memory + 64;
    vectors.output = vectors.input + (input + 63) / 64 * 64;
    if (example->call == BROADCAST) {
        vectors.input = vectors.output;
    } else if (example->in_place && example->call == ALL_GATHER) {
        vectors.input = vectors.output + share;
    } else if (example->in_place) {
        vectors.output = vectors.input + (example->call == REDUCE_SCATTER ? share : 0);
    }
    values_fill(example->type, world->rank, 0, vectors.input, input_count(example, world->size));
    return vectors;
}

static bool untouched_outside(const struct vectors *vectors, size_t input, size_t output)
{
    for (size_t i = 0; i < vectors->bytes; i++) {
        const unsigned char *byte = vectors->memory + i;
        bool inside = (byte >= vectors->input && byte < vectors->input + input) ||
                      (byte >= vectors->output && byte < vectors->output + output);
        if (!inside && *byte != UNTOUCHED) {
            return false;
        }
    }
    return true;
}

static void try_example(struct ww_context *context, const struct ww_world *world,
                        const struct example *example)
{
    char what[160];
    snprintf(what, sizeof what, "%s of %zu, type %d, op %d, %s, root %d, rank %d of %d",
             call_names[example->call], example->count, (int)example->type, (int)example->op,
             example->in_place ? "in place" : "apart", example->root, world->rank, world->size);
    struct vectors vectors = vectors_make(example, world);
    size_t element = ww_type_bytes(example->type);
    size_t input = input_count(example, world->size);
    enum ww_status status = make(context, example, vectors.input, vectors.output);
    check(status == WW_OK, "%s: %s, \"%s\"", what, ww_status_name(status), ww_last_error(context));
    check(is_right(example, world->rank, world->size, vectors.output), "%s: wrong result", what);
    check(example->in_place || example->call == BROADCAST ||
              values_of_rank(example->type, world->rank, 0, vectors.input, input),
          "%s: the input has changed", what);
    check(example->count > 70000 || untouched_outside(&vectors, input * element,
                                                      output_count(example, world->size) * element),
          "%s: bytes outside of the vectors have changed", what);
    free(vectors.memory);
}

static bool op_serves(enum ww_type type, enum ww_op op)
{
    return op != WW_MEAN || (type != WW_I32 && type != WW_I64);
}

static void try_places(struct ww_context *context, const struct ww_world *world,
                       struct example example)
{
    for (int place = 0; place < (example.call == BROADCAST ? 1 : 2); place++) {
        example.in_place = place == 1;
        try_example(context, world, &example);
    }
}

static void try_count(struct ww_context *context, const struct ww_world *world, enum call call,
                      size_t count)
{
    for (int type = 0; type < WW_TYPE_COUNT; type++) {
        for (int op = 0; op < (reduces(call) ? (int)WW_OP_COUNT : 1); op++) {
            struct example example = {call,           (enum ww_type)type,
                                      (enum ww_op)op, count,
                                      false,          (int)(count % (size_t)world->size)};
            if (!reduces(call) || op_serves(example.type, example.op)) {
                try_places(context, world, example);
            }
        }
    }
}

static struct ww_context *open_context(const struct ww_world *world,
                                       const struct plan_of_work *work)
{
    struct ww_config config = world_config();
    config.algorithm = work->algorithm;
    config.segment_bytes = work->segment_bytes;
    config.segments_in_flight = work->window;
    config.shared_memory = !work->messages_only;
    if (work->first_host > 0) {
        config.host = world->rank < work->first_host ? "a" : "b";
    }
    return world_context(world, &config);
}

static void try_all_types(const struct ww_world *world, void *shared)
{
    const struct plan_of_work *work = shared;
    struct ww_context *context = open_context(world, work);
    for (size_t i = 0; context != NULL && i < work->count_count; i++) {
        try_count(context, world, work->call, work->counts[i]);
    }
    ww_context_destroy(context);
}

/* Around every border: nothing, less than a chunk for each rank, many segments. */
static void expect_every_type(enum call call)
{
    for (int size = 1; size <= 5; size++) {
        size_t counts[] = {0, 1, 2, 3, (size_t)size, (size_t)size + 1, 1000, EFFORT(65537, 9001)};
        struct plan_of_work work = {
            .algorithm = "auto", .counts = counts, .count_count = LENGTH(counts), .call = call};
        world_run(size, try_all_types, &work);
    }
}

Test(calls, all_reduce_is_exact_for_every_type_op_and_count)
{
    expect_every_type(ALL_REDUCE);
}

Test(calls, reduce_scatter_is_exact_for_every_type_op_and_count)
{
    expect_every_type(REDUCE_SCATTER);
}

Test(calls, all_gather_is_exact_for_every_type_and_count)
{
    expect_every_type(ALL_GATHER);
}

Test(calls, broadcast_is_exact_for_every_type_count_and_root)
{
    expect_every_type(BROADCAST);
}

/* As many as fit a message of the gate, where ranks of one host send messages and where some do,
 * and one more; 17 ranks do not talk directly. */
static void expect_few(enum call call, int size, int first_host)
{
    const size_t borders[] = {24, 48, 96, 24 / (size_t)size, 48 / (size_t)size};
    size_t counts[2 + 2 * LENGTH(borders)] = {0, 1};
    for (size_t i = 0; i < LENGTH(borders); i++) {
        counts[2 + 2 * i] = borders[i];
        counts[3 + 2 * i] = borders[i] + 1;
    }
    struct plan_of_work work = {.algorithm = "auto",
                                .messages_only = first_host == 0,
                                .first_host = first_host,
                                .counts = counts,
                                .count_count = LENGTH(counts),
                                .call = call};
    world_run(size, try_all_types, &work);
}

Test(calls, few_values_in_messages_are_exact_for_every_type_and_op)
{
    static const int sizes[] = {2, 3, 5};
    for (int call = 0; call < CALLS; call++) {
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            expect_few((enum call)call, sizes[i], 0);
            expect_few((enum call)call, sizes[i], 1 + sizes[i] / 3);
        }
    }
}

static void try_large(const struct ww_world *world, void *shared)
{
    (void)shared;
    const size_t count = EFFORT(3 << 20, 1 << 20) / 4 + 5;
    const struct plan_of_work work = {.algorithm = "auto"};
    struct ww_context *context = open_context(world, &work);
    const struct example examples[] = {
        {ALL_REDUCE, WW_F32, WW_MEAN, count, false, 0},
        {ALL_REDUCE, WW_BF16, WW_SUM, 2 * count, true, 0},
        {ALL_REDUCE, WW_I64, WW_MAX, count / 2, true, 0},
        {REDUCE_SCATTER, WW_F16, WW_MEAN, count / 2, false, 0},
        {REDUCE_SCATTER, WW_F64, WW_SUM, count / 8, true, 0},
        {ALL_GATHER, WW_F32, WW_SUM, count / 4, false, 0},
        {BROADCAST, WW_I32, WW_SUM, count, false, world->size - 1},
    };
    for (size_t i = 0; context != NULL && i < LENGTH(examples); i++) {
        try_example(context, world, &examples[i]);
    }
    ww_context_destroy(context);
}

Test(calls, vectors_of_megabytes_are_exact)
{
    for (int size = 1; size <= 5; size++) {
        world_run(size, try_large, NULL);
    }
}

/* ---- Algorithms and segments ------------------------------------------------------------ */

static void try_few_types(const struct ww_world *world, void *shared)
{
    const struct plan_of_work *work = shared;
    struct ww_context *context = open_context(world, work);
    for (size_t i = 0; context != NULL && i < work->count_count; i++) {
        const size_t count = work->counts[i];
        try_places(context, world, (struct example){ALL_REDUCE, WW_F32, WW_MEAN, count, false, 0});
        try_places(context, world, (struct example){ALL_REDUCE, WW_BF16, WW_SUM, count, false, 0});
        try_places(context, world, (struct example){ALL_REDUCE, WW_I32, WW_MIN, count, false, 0});
    }
    ww_context_destroy(context);
}

static const size_t few_counts[] = {0, 1, 3, 6, 1000, EFFORT(40001, 8003)};

Test(calls, every_algorithm_that_can_be_set_is_exact)
{
    static const char *const names[] = {
        "direct", "doubling",       "halving",      "ring",
        "tree",   "scatter_gather", "hierarchical", "hierarchical+ring"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        for (int size = 1; size <= 5; size++) {
            struct plan_of_work work = {
                .algorithm = names[i], .counts = few_counts, .count_count = LENGTH(few_counts)};
            world_run(size, try_few_types, &work);
        }
    }
}

Test(calls, every_algorithm_is_exact_over_two_hosts)
{
    static const char *const names[] = {"auto", "ring", "hierarchical+direct",
                                        "hierarchical+halving", "hierarchical+scatter_gather"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        for (int first_host = 1; first_host < 5; first_host++) {
            struct plan_of_work work = {.algorithm = names[i],
                                        .first_host = first_host,
                                        .counts = few_counts,
                                        .count_count = LENGTH(few_counts)};
            world_run(5, try_few_types, &work);
        }
    }
}

Test(calls, every_cut_into_segments_is_exact)
{
    static const struct {
        size_t segment_bytes;
        int window;
    } cuts[] = {{1, 1}, {64, 1}, {100, 3}, {4096, 16}, {100000, 2}, {1 << 30, 16}};
    static const size_t counts[] = {1, 17, 1000};
    for (size_t i = 0; i < LENGTH(cuts); i++) {
        for (int size = 2; size <= 3; size++) {
            struct plan_of_work work = {.algorithm = "auto",
                                        .segment_bytes = cuts[i].segment_bytes,
                                        .window = cuts[i].window,
                                        .counts = counts,
                                        .count_count = LENGTH(counts)};
            for (int call = 0; call < CALLS; call++) {
                work.call = (enum call)call;
                world_run(size, try_all_types, &work);
            }
        }
    }
}

/* ---- Rounding and NaN ------------------------------------------------------------------- */

/* 2048 + 1 + 1 ... : an f16 near 2048 holds every second integer only, so sums that were rounded
 * on the way would stay at 2048. */
static void sum_small_onto_large(const struct ww_world *world, void *shared)
{
    (void)shared;
    enum { COUNT = 5000 };
    const uint16_t two_thousand = 0x6800;
    const uint16_t one = 0x3c00;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    uint16_t values[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = world->rank == 0 ? two_thousand : one;
    }
    check_status(ww_all_reduce(context, values, values, COUNT, WW_F16, WW_SUM), WW_OK);
    for (size_t i = 0; i < COUNT; i++) {
        if (!check(values[i] == 0x6802, "element %zu is %#x, not 2052", i, values[i])) {
            break;
        }
    }
    ww_context_destroy(context);
}

Test(calls, sums_of_16_bit_types_are_rounded_once)
{
    world_run(5, sum_small_onto_large, NULL);
}

struct nan_case {
    enum ww_type type;
    enum ww_op op;
    bool messages_only;
    size_t bytes;
    size_t at; /* element */
    unsigned char results[5][8 * 300];
};

static void contribute_a_nan(const struct ww_world *world, void *shared)
{
    struct nan_case *nan = shared;
    struct ww_config config = world_config();
    config.shared_memory = !nan->messages_only;
    struct ww_context *context = world_context(world, &config);
    unsigned char *values = nan->results[world->rank];
    size_t count = nan->bytes / ww_type_bytes(nan->type);
    values_fill(nan->type, world->rank, 0, values, count);
    if (world->rank == 3) {
        memset(values + nan->at * ww_type_bytes(nan->type), 0xff, ww_type_bytes(nan->type));
    }
    check_status(ww_all_reduce(context, values, values, count, nan->type, nan->op), WW_OK);
    ww_context_destroy(context);
}

static bool is_nan(enum ww_type type, const unsigned char *element)
{
    if (type == WW_F64) {
        double value;
        memcpy(&value, element, sizeof value);
        return value != value;
    }
    if (type == WW_F32) {
        float value;
        memcpy(&value, element, sizeof value);
        return value != value;
    }
    uint16_t bits;
    memcpy(&bits, element, sizeof bits);
    return (bits & 0x7fff) > (type == WW_F16 ? 0x7c00 : 0x7f80);
}

static void expect_nan(enum ww_type type, enum ww_op op, size_t count, bool messages_only)
{
    size_t element = ww_type_bytes(type);
    struct nan_case nan = {.type = type, .op = op, .messages_only = messages_only};
    nan.bytes = count * element;
    nan.at = count / 3;
    world_run(5, contribute_a_nan, &nan);
    cr_expect(is_nan(type, nan.results[0] + nan.at * element), "type %d, op %d", (int)type,
              (int)op);
    cr_expect_not(is_nan(type, nan.results[0] + (nan.at - 1) * element));
    for (int rank = 1; rank < 5; rank++) {
        cr_expect_arr_eq(nan.results[rank], nan.results[0], nan.bytes, "type %d, op %d", (int)type,
                         (int)op);
    }
}

Test(calls, a_nan_of_one_rank_reaches_all_with_the_same_bits)
{
    for (int type = 0; type <= WW_BF16; type++) {
        for (int op = 0; op < WW_OP_COUNT; op++) {
            expect_nan((enum ww_type)type, (enum ww_op)op, 300, false);
            expect_nan((enum ww_type)type, (enum ww_op)op, 20, true);
        }
    }
}

/* The first fabric of a rank, that of its buckets, was refused memory that its second one got. */
static const struct ww_transport *seeing;
static _Thread_local int opened;

static enum ww_status open_first_blind(const struct ww_transport_setup *setup, void **fabric)
{
    struct ww_transport_setup blind = *setup;
    blind.host_levels = opened++ == 0 ? 0 : setup->host_levels;
    return seeing->open(&blind, fabric);
}

static void try_shares_of_one_lane(const struct ww_world *world, void *shared)
{
    struct ww_world own = *world;
    struct ww_config config = world_config();
    own.transport = shared;
    opened = 0;
    struct ww_context *context = world_context(&own, &config);
    for (size_t count = 24; context != NULL && count <= 8192; count += count) {
        for (int call = 0; call < CALLS; call++) {
            try_count(context, world, (enum call)call, count);
        }
    }
    ww_context_destroy(context);
}

Test(calls, are_exact_where_only_one_lane_is_in_memory)
{
    seeing = world_transport();
    struct ww_transport transport = *seeing;
    transport.open = open_first_blind;
    for (int size = 2; size <= 5; size++) {
        world_run(size, try_shares_of_one_lane, &transport);
    }
}

/* Sums that are not exact depend on the order of additions; ranks must still agree on it. */
struct rounded_case {
    const char *algorithm;
    float results[5][4001];
};

static void sum_thirds(const struct ww_world *world, void *shared)
{
    struct rounded_case *rounded = shared;
    struct ww_config config = world_config();
    config.algorithm = rounded->algorithm;
    struct ww_context *context = world_context(world, &config);
    float *values = rounded->results[world->rank];
    for (size_t i = 0; i < LENGTH(rounded->results[0]); i++) {
        values[i] = (float)(i + 1) / (float)(3 + world->rank * 7);
    }
    check_status(
        ww_all_reduce(context, values, values, LENGTH(rounded->results[0]), WW_F32, WW_SUM), WW_OK);
    ww_context_destroy(context);
}

Test(calls, inexact_sums_have_the_same_bits_on_every_rank)
{
    static const char *const names[] = {"direct", "doubling", "halving",
                                        "ring",   "tree",     "scatter_gather"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        static struct rounded_case rounded;
        rounded.algorithm = names[i];
        for (int size = 2; size <= 5; size++) {
            world_run(size, sum_thirds, &rounded);
            for (int rank = 1; rank < size; rank++) {
                cr_expect_arr_eq(rounded.results[rank], rounded.results[0],
                                 sizeof rounded.results[0], "%s on %d ranks", names[i], size);
            }
        }
    }
}
