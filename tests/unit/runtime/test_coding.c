/* SPDX-License-Identifier: BSD-3-Clause
 * test_coding.c: sums that travel encoded: the same bits on all ranks, small errors, nothing lost
 * from step to step, codecs that differ named, values that are not finite named and kept out. */
#define _GNU_SOURCE /* pthread_setattr_default_np */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#include "chance.h"
#include "effort.h"
#include "flush.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#if defined __SANITIZE_THREAD__
#define STACK_BYTES ((size_t)8 << 20) /* its own data of each thread would not fit into less */
#elif defined __OPTIMIZE__ && !defined __SANITIZE_ADDRESS__
#define STACK_BYTES ((size_t)64 << 10)
#else
#define STACK_BYTES ((size_t)256 << 10) /* frames are as long as whoever looks at them wants */
#endif

TestSuite(coding, .init = capture_start, .fini = capture_finish);

/* Without dense steps in between. */
static struct ww_config steady_config(void)
{
    struct ww_config config = world_config();
    config.probe = WW_PROBE_OFF;
    return config;
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static double uniform(uint64_t key)
{
    return (double)(chance_mix(key * UINT64_C(0x9e3779b97f4a7c15) + 1) >> 11) * 0x1p-53;
}

static float gaussian(uint64_t key)
{
    double a = uniform(2 * key);
    double b = uniform(2 * key + 1);
    return (float)(sqrt(-2 * log(a + 1e-300)) * cos(6.283185307179586 * b));
}

/* An integer of -8 .. 8: sums of few of them are exact in fp32, bf16 and fp16. */
static float whole(uint64_t key)
{
    return (float)((int)(chance_mix(key + 77) % 17) - 8);
}

static uint64_t key_of(int rank, int step, size_t element)
{
    return ((uint64_t)rank * 131 + (uint64_t)step) * UINT64_C(1000003) + element;
}

/* ---- Ranks ---------------------------------------------------------------------------------- */

/* What a test hands to its ranks. */
struct plan_of_test {
    const char *codec;
    size_t count;
    int steps;          /* of tests with more than one */
    int ranks_per_host; /* 0 = all share one */
    enum ww_op op;
    bool feedback;
    bool masking;      /* of momentum */
    bool uneven;       /* the first host has one rank only */
    bool repeats;      /* no chance is in it: called again it gives the same bits */
    double error_most; /* relative, in the L2 norm */
};

struct board {
    const struct plan_of_test *plan;
    float *results[WORLD_SIZE_MAX];
    float *residuals[WORLD_SIZE_MAX];
};

static int host_of(const struct plan_of_test *plan, int rank)
{
    if (plan->ranks_per_host == 0) {
        return 0;
    }
    return (rank + (plan->uneven ? plan->ranks_per_host - 1 : 0)) / plan->ranks_per_host;
}

static struct ww_context *context_of(const struct ww_world *world, const struct plan_of_test *plan,
                                     struct ww_config *config)
{
    char host[32];
    snprintf(host, sizeof host, "host %d", host_of(plan, world->rank));
    config->host = host;
    config->calibrate = WW_CALIBRATE_OFF;
    return world_context(world, config);
}

static float *vector_of(size_t count)
{
    float *vector = calloc(count + 1, sizeof *vector);
    check(vector != NULL, "no memory");
    return vector;
}

static double distance(const float *got, const double *wanted, size_t count)
{
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < count; i++) {
        error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

/* ---- One sum -------------------------------------------------------------------------------- */

static void sum_once(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_test *plan = board->plan;
    struct ww_config config = steady_config();
    struct ww_context *context = context_of(world, plan, &config);
    float *input = vector_of(plan->count);
    float *residual = plan->feedback ? vector_of(plan->count) : NULL;
    for (size_t i = 0; i < plan->count; i++) {
        input[i] = gaussian(key_of(world->rank, 0, i));
    }
    float *output = vector_of(plan->count);
    check_status(
        ww_all_reduce_coded(context, input, output, plan->count, plan->op, plan->codec, residual),
        WW_OK);
    if (residual != NULL) {
        memset(residual, 0, plan->count * sizeof *residual);
    }
    check_status(
        ww_all_reduce_coded(context, input, input, plan->count, plan->op, plan->codec, residual),
        WW_OK);
    if (plan->repeats) {
        check(memcmp(input, output, plan->count * sizeof *input) == 0, "%s: in place other bits",
              plan->codec);
    }
    board->results[world->rank] = output;
    world_meet(world);
    check(memcmp(output, board->results[0], plan->count * sizeof *output) == 0,
          "%s, %d ranks, %zu elements: rank %d has other bits than rank 0", plan->codec,
          world->size, plan->count, world->rank);
    if (world->rank == 0) {
        double *exact = calloc(plan->count + 1, sizeof *exact);
        double scale = plan->op == WW_MEAN ? 1.0 / world->size : 1;
        for (int rank = 0; rank < world->size; rank++) {
            for (size_t i = 0; i < plan->count; i++) {
                exact[i] += scale * (double)gaussian(key_of(rank, 0, i));
            }
        }
        double error = distance(output, exact, plan->count);
        check(error <= plan->error_most, "%s, %d ranks, %zu elements: error %g, at most %g",
              plan->codec, world->size, plan->count, error, plan->error_most);
        free(exact);
    }
    world_meet(world);
    ww_context_destroy(context);
    free(input);
    free(output);
    free(residual);
}

/* 2^-11 and 2^-8 of rounding twice; an int8 step is about 1/43 of the standard deviation. */
static const struct {
    const char *codec;
    bool feedback;
    bool repeats;
    double error_most;
} codecs_tried[] = {{"none", false, true, 1e-6},     {"fp16", false, true, 6e-4},
                    {"fp16", true, true, 6e-4},      {"bf16", false, true, 4e-3},
                    {"int8", false, false, 2.2e-2}, /* rounded at random */
                    {"int8", true, true, 1.6e-2},    {"topk:1", true, true, 5e-3},
                    {"topk:0.5", true, false, 0.75}, /* chosen by a sample */
                    {"topk:0.05", true, false, 1.0}, {"topk:0.1:fixed", true, true, 1.0},
                    {"topk:0.01", false, false, 1.0}};

static void expect_sums(int size, int ranks_per_host, bool uneven, size_t count)
{
    size_t every = EFFORT(1, 2);
    for (size_t c = (count + (size_t)size) % every; c < LENGTH(codecs_tried); c += every) {
        struct plan_of_test plan = {.codec = codecs_tried[c].codec,
                                    .count = count,
                                    .ranks_per_host = ranks_per_host,
                                    .uneven = uneven,
                                    .op = c % 2 == 0 ? WW_SUM : WW_MEAN,
                                    .feedback = codecs_tried[c].feedback,
                                    .repeats = codecs_tried[c].repeats,
                                    .error_most = codecs_tried[c].error_most};
        struct board board = {.plan = &plan};
        world_run(size, sum_once, &board);
    }
}

Test(coding, every_rank_gets_the_same_bits_close_to_the_sum)
{
    static const size_t counts[] = {
        1, 2, 3, 255, 257, 4099, EFFORT(65537, 8193), EFFORT(300007, 65537)};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        expect_sums(2, 0, false, counts[i]);
        expect_sums(3, 0, false, counts[i]);
    }
    expect_sums(8, 0, false, EFFORT(70001, 7001));
    expect_sums(1, 0, false, 1000);
}

/* Threads of fibres, of other languages and of small systems have little. */
Test(coding, threads_with_little_stack_encode)
{
    pthread_attr_t small;
    cr_assert_eq(pthread_attr_init(&small), 0);
    cr_assert_eq(pthread_attr_setstacksize(&small, STACK_BYTES), 0);
    cr_assert_eq(pthread_setattr_default_np(&small), 0);
    for (size_t c = 0; c < LENGTH(codecs_tried); c++) {
        struct plan_of_test plan = {.codec = codecs_tried[c].codec,
                                    .count = 70001,
                                    .feedback = codecs_tried[c].feedback,
                                    .error_most = codecs_tried[c].error_most};
        struct board board = {.plan = &plan};
        world_run(2, sum_once, &board);
    }
    pthread_attr_destroy(&small);
}

Test(coding, hosts_sum_densely_and_encode_between_them)
{
    static const size_t counts[] = {1, 5, 1000, EFFORT(200003, 20003)};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        if (EFFORT(true, i % 2 == 0)) {
            expect_sums(4, 3, true, counts[i]);
        }
        if (EFFORT(true, i % 2 == 1)) {
            expect_sums(4, 2, false, counts[i]);
            expect_sums(7, 3, false, counts[i]);
        }
    }
    expect_sums(4, 1, false, EFFORT(100003, 10007));
}

/* ---- Nothing is lost ------------------------------------------------------------------------ */

/* Integers: everything that was sent and what is kept comes to what was given, exactly. */
static void sum_often(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_test *plan = board->plan;
    struct ww_config config = steady_config();
    struct ww_context *context = context_of(world, plan, &config);
    float *values = vector_of(plan->count);
    float *residual = vector_of(plan->count);
    float *sent = vector_of(plan->count);
    for (int step = 0; step < plan->steps; step++) {
        for (size_t i = 0; i < plan->count; i++) {
            values[i] = whole(key_of(world->rank, step, i));
        }
        check_status(ww_all_reduce_coded(context, values, values, plan->count, WW_SUM, plan->codec,
                                         residual),
                     WW_OK);
        for (size_t i = 0; i < plan->count; i++) {
            sent[i] += values[i];
        }
    }
    board->residuals[world->rank] = residual;
    world_meet(world);
    int wrong = 0;
    for (size_t i = 0; i < plan->count && world->rank == 0; i++) {
        double given = 0;
        double kept = sent[i];
        for (int rank = 0; rank < world->size; rank++) {
            kept += board->residuals[rank][i];
            for (int step = 0; step < plan->steps; step++) {
                given += whole(key_of(rank, step, i));
            }
        }
        wrong += kept != given;
    }
    check(wrong == 0, "%s, %d ranks: %d of %zu elements lost or found something", plan->codec,
          world->size, wrong, plan->count);
    world_meet(world);
    ww_context_destroy(context);
    free(values);
    free(residual);
    free(sent);
}

Test(coding, what_was_sent_and_what_is_kept_come_to_what_was_given)
{
    static const char *const names[] = {"fp16", "bf16", "topk:0.02", "topk:0.3", "topk:0.05:fixed"};
    for (size_t c = 0; c < LENGTH(names); c++) {
        struct plan_of_test plan = {.codec = names[c], .count = EFFORT(70003, 7001), .steps = 12};
        struct board board = {.plan = &plan};
        world_run(2, sum_often, &board);
        world_run(5, sum_often, &board);
        plan.ranks_per_host = 2;
        world_run(6, sum_often, &board);
        plan.uneven = true;
        world_run(6, sum_often, &board);
    }
}

/* So many that frames are summed aside (collectives/frame.c), and again where the first sums were;
 * chunks that travel whole, and owners that sum for others. */
Test(coding, sums_that_go_past_the_caches_lose_nothing)
{
    static const struct {
        const char *codec;
        int ranks;
    } rows[] = {{"topk:0.02", 2}, {"topk:0.9", 2}, {"topk:0.02", 4}};
    if (EFFORT_THREADS_WATCHED) {
        cr_skip_test("they take a minute under ThreadSanitizer; shorter sums have as many threads");
    }
    for (size_t i = 0; i < EFFORT(LENGTH(rows), 1); i++) {
        struct plan_of_test plan = {.codec = rows[i].codec,
                                    .count = ((size_t)16 << 20) + 4099,
                                    .steps = 2,
                                    .ranks_per_host = rows[i].ranks / 2};
        struct board board = {.plan = &plan};
        world_run(rows[i].ranks, sum_often, &board);
    }
}

/* A program built with -ffast-math: subnormal numbers are flushed, but not what encoding keeps. */
static void sum_tiny_ones(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    struct ww_context *context = context_of(world, plan, &config);
    float values[1000];
    float residual[1000] = {0};
    uint32_t kept = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t bits = (uint32_t)(i + 1); /* multiples of the least number there is */
        memcpy(&values[i], &bits, sizeof bits);
    }
    unsigned before = flush_tiny_numbers();
    check_status(ww_all_reduce_coded(context, values, values, 1000, WW_SUM, plan->codec, residual),
                 WW_OK);
    check(flushes(before), "the thread's mode was not brought back");
    for (int i = 0; i < 1000; i++) {
        uint32_t bits;
        memcpy(&bits, &residual[i], sizeof bits);
        kept += bits != 0;
    }
    check(kept > 400, "only %u of 1000 residuals are left", kept);
    ww_context_destroy(context);
}

Test(coding, a_program_that_flushes_tiny_numbers_loses_none)
{
    struct plan_of_test plan = {.codec = "topk:0.01"};
    world_run(2, sum_tiny_ones, &plan);
}

static void check_tiny_sums(const struct ww_world *world, struct ww_context *context, size_t count)
{
    uint32_t *bits = malloc(count * sizeof *bits);
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        bits[i] = (uint32_t)i;
    }
    check_status(ww_all_reduce(context, bits, bits, count, WW_F32, WW_SUM), WW_OK);
    for (size_t i = 0; i < count; i++) {
        wrong += bits[i] != (uint32_t)world->size * (uint32_t)i;
    }
    check(wrong == 0, "%zu of %zu sums are wrong", wrong, count);
    free(bits);
}

/* The factor is subnormal in fp32. */
static void check_clipped(struct ww_context *context)
{
    float values[100];
    size_t count = LENGTH(values);
    double squares = 0;
    struct ww_tensor *tensor;
    for (size_t i = 0; i < count; i++) {
        values[i] = 1e38F;
    }
    check_status(ww_tensor_add(context, "t", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, values), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    for (size_t i = 0; i < count; i++) {
        squares += (double)values[i] * (double)values[i];
    }
    check(fabs(sqrt(squares) - 1) < 1e-3, "clipped to %g", sqrt(squares));
}

/* What divides gradients may be beyond fp32 while they are not: zeros stay zeros. */
static void divide_by_little(const struct ww_world *world, void *shared)
{
    static const double scales[] = {1e-30, 1e-60, 1e-70, 1e-300};
    struct ww_config config = steady_config();
    struct ww_context *context = context_of(world, shared, &config);
    size_t count = 2;
    float values[2];
    struct ww_tensor *tensor;
    check_status(ww_tensor_add(context, "t", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    for (size_t i = 0; i < LENGTH(scales); i++) {
        values[0] = 0;
        values[1] = 0x1p-149F;
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_step_loss_scale(context, scales[i]), WW_OK);
        check_status(ww_tensor_start(tensor, values), WW_OK);
        check_status(ww_step_end(context, NULL), WW_OK);
        float wanted = (float)(0x1p-149 / scales[i]);
        check(values[0] == 0, "scale %g: a zero became %g", scales[i], (double)values[0]);
        check(values[1] == wanted || fabsf(values[1] / wanted - 1) < 1e-6F,
              "scale %g: %g instead of %g", scales[i], (double)values[1], (double)wanted);
    }
    ww_context_destroy(context);
}

Test(coding, zeros_stay_zeros_whatever_they_are_divided_by)
{
    struct plan_of_test plan = {.codec = "none"};
    world_run(2, divide_by_little, &plan);
}

/* One rank's threads flush, the others' do not: who adds is nobody's business. */
static void sum_tiny_ones_densely(const struct ww_world *world, void *shared)
{
    struct ww_config config = steady_config();
    config.algorithm = "direct";
    config.clip_norm = 1;
    struct ww_context *context = context_of(world, shared, &config);
    unsigned before = world->rank == 0 ? flush_tiny_numbers() : 0;
    check_tiny_sums(world, context, 3);
    check_tiny_sums(world, context, 5000);
    check_clipped(context);
    check(world->rank != 0 || flushes(before), "the thread's mode was not brought back");
    ww_context_destroy(context);
}

Test(coding, ranks_that_flush_and_others_get_the_same_bits)
{
    struct plan_of_test plan = {.codec = "none"};
    world_run(2, sum_tiny_ones_densely, &plan);
    world_run(3, sum_tiny_ones_densely, &plan);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

static void differ_in_codec(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    struct ww_context *context = context_of(world, plan, &config);
    float values[64] = {0};
    const char *codec = world->rank == 1 ? plan->codec : "fp16";
    check_status(ww_all_reduce_coded(context, values, values, 64, WW_SUM, codec, NULL),
                 WW_MISMATCH);
    check_words(ww_last_error(context), "rank 1", "fp16", NULL);
    ww_context_destroy(context);
}

Test(coding, codecs_that_differ_are_named)
{
    static const char *const names[] = {"none", "bf16", "topk:0.1", "topk:0.1:fixed"};
    for (size_t c = 0; c < LENGTH(names); c++) {
        struct plan_of_test plan = {.codec = names[c]};
        world_run(3, differ_in_codec, &plan);
    }
    world_forgive();
}

static void call_wrongly(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = steady_config();
    struct ww_context *context = world_context(world, &config);
    float values[4] = {1, 2, 3, 4};
    static const char *const bad[] = {"",          "fp32",         "FP16",    "topk",
                                      "topk:",     "topk:0",       "Auto",    "topk:1.1",
                                      "topk:-0.1", "topk:0.1:fix", "int8:16", " int8"};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        check_status(ww_all_reduce_coded(context, values, values, 4, WW_SUM, bad[i], NULL),
                     WW_BAD_ARGUMENT);
        check_words(ww_last_error(context), "ww_all_reduce_coded", "topk", NULL);
        check(ww_step_codec(context, bad[i]) == WW_BAD_ARGUMENT, "ww_step_codec took \"%s\"",
              bad[i]);
    }
    check_status(ww_all_reduce_coded(context, values, values, 4, WW_SUM, NULL, NULL),
                 WW_BAD_ARGUMENT);
    check_status(ww_all_reduce_coded(context, values, values, 4, WW_MAX, "fp16", NULL),
                 WW_UNSUPPORTED);
    check_status(ww_all_reduce_coded(context, values, values, 4, (enum ww_op)7, "fp16", NULL),
                 WW_BAD_ARGUMENT);
    check_words(ww_last_error(context), "unknown op 7", NULL);
    check_status(ww_all_reduce_coded(context, NULL, values, 4, WW_SUM, "fp16", NULL),
                 WW_BAD_ARGUMENT);
    check_status(ww_all_reduce_coded(context, values, values, 4, WW_SUM, "fp16", NULL), WW_OK);
    config.codec = "fp17";
    struct ww_context *none = NULL;
    check_status(ww_context_create(world, &config, &none), WW_BAD_CONFIG);
    check_words(ww_last_error(NULL), "fp17", "fp16", NULL);
    ww_context_destroy(context);
}

Test(coding, wrong_arguments_break_nothing)
{
    world_run(1, call_wrongly, NULL);
    world_forgive();
}

/* ---- Steps ---------------------------------------------------------------------------------- */

#define TENSORS 4
#define WILD_ELEMENT EFFORT(40000, 4000) /* of tensor 2 */
static const size_t shapes[TENSORS][2] = {
    {100, 70}, {33, 1}, {EFFORT(301, 101), EFFORT(200, 60)}, {8, 8}};
static const int dims[TENSORS] = {2, 1, 2, 2};

static size_t count_of(int tensor)
{
    return shapes[tensor][0] * (dims[tensor] > 1 ? shapes[tensor][1] : 1);
}

struct trainer {
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS];
    float *values[TENSORS];
    struct ww_report report;
};

static void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                          const struct plan_of_test *plan, struct ww_config *config)
{
    config->codec = plan->codec;
    config->codec_least_count = 1000;
    config->gradient_op = WW_SUM;
    config->bucket_bytes = EFFORT(64 << 10, 8 << 10);
    trainer->context = context_of(world, plan, config);
    for (int t = 0; t < TENSORS; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        check_status(
            ww_tensor_add(trainer->context, name, WW_F32, dims[t], shapes[t], &trainer->tensors[t]),
            WW_OK);
        trainer->values[t] = vector_of(count_of(t));
    }
    check_status(ww_tensors_commit(trainer->context), WW_OK);
}

static void trainer_end(struct trainer *trainer)
{
    ww_context_destroy(trainer->context);
    for (int t = 0; t < TENSORS; t++) {
        free(trainer->values[t]);
    }
}

static void trainer_step(struct trainer *trainer, int rank, int step, double loss_scale)
{
    check_status(ww_step_begin(trainer->context), WW_OK);
    if (loss_scale != 1) {
        check_status(ww_step_loss_scale(trainer->context, loss_scale), WW_OK);
    }
    for (int t = TENSORS; t-- > 0;) {
        for (size_t i = 0; i < count_of(t); i++) {
            trainer->values[t][i] = (float)(loss_scale *
                                            whole(key_of(rank, step, i * 7 + (size_t)t)));
        }
        check_status(ww_tensor_start(trainer->tensors[t], trainer->values[t]), WW_OK);
    }
    trainer->report = (struct ww_report)WW_REPORT_INIT;
    check_status(ww_step_end(trainer->context, &trainer->report), WW_OK);
}

static double given(int size, int steps, int tensor, size_t i)
{
    double sum = 0;
    for (int rank = 0; rank < size; rank++) {
        for (int step = 0; step < steps; step++) {
            sum += whole(key_of(rank, step, i * 7 + (size_t)tensor));
        }
    }
    return sum;
}

/* Steps of several codecs, then one of none, which brings everything that was kept. */
static void change_codecs(const struct ww_world *world, void *shared)
{
    static const char *const codecs[] = {"topk:0.02", "topk:0.02", "topk:0.02", "int8",
                                         "topk:0.1",  "topk:0.1",  "fp16",      "topk:0.03:fixed",
                                         "none",      "topk:0.05", "none"};
    const struct plan_of_test *plan = shared;
    struct trainer trainer;
    struct ww_config config = steady_config();
    config.error_feedback = WW_FEEDBACK_ON;
    trainer_begin(&trainer, world, plan, &config);
    double *sums[TENSORS];
    for (int t = 0; t < TENSORS; t++) {
        sums[t] = calloc(count_of(t), sizeof *sums[t]);
    }
    int steps = (int)LENGTH(codecs);
    for (int step = 0; step < steps; step++) {
        check_status(ww_step_codec(trainer.context, codecs[step]), WW_OK);
        trainer_step(&trainer, world->rank, step, step % 3 == 1 ? 1024 : 1);
        for (int t = 0; t < TENSORS; t++) {
            for (size_t i = 0; i < count_of(t); i++) {
                sums[t][i] += trainer.values[t][i];
            }
        }
    }
    for (int t = 0; t < TENSORS; t++) {
        double worst = 0;
        for (size_t i = 0; i < count_of(t); i++) {
            worst = fmax(worst, fabs(sums[t][i] - given(world->size, steps, t, i)));
        }
        /* int8 leaves what is no integer; all the rest is exact */
        check(worst <= 1e-3, "tensor %d: %g is missing after all", t, worst);
        free(sums[t]);
    }
    trainer_end(&trainer);
}

Test(coding, residuals_survive_changes_of_the_codec)
{
    struct plan_of_test plan = {.codec = "bf16"};
    world_run(2, change_codecs, &plan);
    world_run(4, change_codecs, &plan);
    plan.ranks_per_host = 2;
    world_run(4, change_codecs, &plan);
}

/* What momentum 0.5 makes of all gradients of an element: exact, as integers are halved seldom. */
static double moved(int size, int steps, int tensor, size_t i)
{
    double sum = 0;
    for (int rank = 0; rank < size; rank++) {
        double u = 0;
        for (int step = 0; step < steps; step++) {
            u = 0.5 * u + whole(key_of(rank, step, i * 7 + (size_t)tensor));
            sum += u;
        }
    }
    return sum;
}

/* As change_codecs, with momentum: unless it is masked, not a bit of it is lost. */
static void carry_momentum(const struct ww_world *world, void *shared)
{
    static const char *const codecs[] = {
        "topk:0.02",       "topk:0.02", "topk:0.02", "topk:0.1",  "bf16",
        "topk:0.03:fixed", "none",      "topk:0.05", "topk:0.05", "none"};
    const struct plan_of_test *plan = shared;
    struct trainer trainer;
    struct ww_config config = steady_config();
    config.error_feedback = WW_FEEDBACK_ON;
    config.momentum = 0.5;
    config.momentum_masking = plan->masking;
    trainer_begin(&trainer, world, plan, &config);
    double *sums[TENSORS];
    for (int t = 0; t < TENSORS; t++) {
        sums[t] = calloc(count_of(t), sizeof *sums[t]);
    }
    double masked = 0;
    int steps = (int)LENGTH(codecs);
    for (int step = 0; step < steps; step++) {
        check_status(ww_step_codec(trainer.context, codecs[step]), WW_OK);
        trainer_step(&trainer, world->rank, step, 1);
        masked += trainer.report.masked;
        for (int t = 0; t < TENSORS; t++) {
            for (size_t i = 0; i < count_of(t); i++) {
                sums[t][i] += trainer.values[t][i];
            }
        }
    }
    size_t wrong = 0;
    for (int t = 0; t < TENSORS; t++) {
        for (size_t i = 0; i < count_of(t); i++) {
            wrong += sums[t][i] != moved(world->size, steps, t, i);
        }
        free(sums[t]);
    }
    check(plan->masking ? wrong > 0 && masked > 0 : wrong == 0 && masked == 0,
          "masking %d: %zu elements are not what momentum makes of them, %g was masked",
          plan->masking, wrong, masked);
    trainer_end(&trainer);
}

Test(coding, momentum_that_is_not_masked_comes_to_the_last_bit)
{
    for (int masking = 0; masking < 2; masking++) {
        struct plan_of_test plan = {.codec = "topk:0.02", .masking = masking == 1};
        world_run(2, carry_momentum, &plan);
        world_run(4, carry_momentum, &plan);
        plan.ranks_per_host = 2;
        world_run(4, carry_momentum, &plan);
        plan.uneven = true;
        world_run(5, carry_momentum, &plan);
    }
}

/* Steps that are thrown away leave no trace: every third one, of other gradients. */
static void discard_steps(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.momentum = plan->feedback ? 0.5 : 0;
    struct trainer one;
    struct trainer other;
    trainer_begin(&one, world, plan, &config);
    trainer_begin(&other, world, plan, &config);
    check_status(ww_step_discard(one.context), WW_BAD_STATE);
    for (int step = 0; step < 6; step++) {
        if (step % 3 != 1) {
            trainer_step(&one, world->rank, 100 + step, 1);
            check_status(ww_step_discard(one.context), WW_OK);
            check_status(ww_step_discard(one.context), WW_BAD_STATE);
        }
        trainer_step(&one, world->rank, step, 1);
        trainer_step(&other, world->rank, step, 1);
        for (int t = 0; t < TENSORS; t++) {
            size_t same = 0;
            for (size_t i = 0; i < count_of(t); i++) {
                same += one.values[t][i] == other.values[t][i];
            }
            check(same == count_of(t), "%s: step %d, tensor %d: %zu of %zu elements differ",
                  plan->codec, step, t, count_of(t) - same, count_of(t));
        }
    }
    trainer_end(&one);
    trainer_end(&other);
}

Test(coding, discarded_steps_leave_no_trace)
{
    /* The sample that finds a threshold depends on the step, so "topk:..." would choose others. */
    static const char *const names[] = {"topk:0.05:fixed", "int8"};
    for (size_t c = 0; c < LENGTH(names); c++) {
        struct plan_of_test plan = {.codec = names[c], .feedback = c == 0};
        world_run(2, discard_steps, &plan);
        plan.ranks_per_host = 2;
        world_run(4, discard_steps, &plan);
    }
    world_forgive();
}

/* A value that is not finite, in a tensor that is encoded. */
static void go_wild(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    static const float wild[] = {NAN, INFINITY, -INFINITY};
    struct ww_config config = steady_config();
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    trainer_step(&trainer, world->rank, 0, 1);
    check(trainer.report.wild_rank == -1 && trainer.report.wild_bucket == -1, "nothing was wild");
    check(trainer.report.encoded > 0 && trainer.report.chosen <= trainer.report.encoded,
          "%llu encoded", (unsigned long long)trainer.report.encoded);
    for (size_t w = 0; w < LENGTH(wild); w++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TENSORS; t-- > 0;) {
            for (size_t i = 0; i < count_of(t); i++) {
                trainer.values[t][i] = 1;
            }
            if (t == 2 && world->rank == 1) {
                trainer.values[t][WILD_ELEMENT + w] = wild[w];
            }
            check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        }
        trainer.report = (struct ww_report)WW_REPORT_INIT;
        check_status(ww_step_end(trainer.context, &trainer.report), WW_OK);
        check(!isfinite(trainer.values[2][WILD_ELEMENT + w]), "%s: rank %d got %g for %g",
              plan->codec, world->rank, (double)trainer.values[2][WILD_ELEMENT + w],
              (double)wild[w]);
        check(isfinite(trainer.values[2][WILD_ELEMENT - 1]) && isfinite(trainer.values[0][5]),
              "its neighbours are finite");
        if (plan->ranks_per_host == 0) {
            check(trainer.report.wild_rank == 1 && trainer.report.wild_bucket >= 0,
                  "%s: rank %d hears of rank %d, bucket %d", plan->codec, world->rank,
                  trainer.report.wild_rank, trainer.report.wild_bucket);
        }
        check_status(ww_step_discard(trainer.context), WW_OK);
    }
    trainer_step(&trainer, world->rank, 1, 1);
    int finite = 1;
    for (int t = 0; t < TENSORS; t++) {
        for (size_t i = 0; i < count_of(t); i++) {
            finite = finite && isfinite(trainer.values[t][i]);
        }
    }
    check(finite, "%s: a residual took it in", plan->codec);
    trainer_end(&trainer);
}

Test(coding, values_that_are_not_finite_are_named_and_kept_out)
{
    static const char *const names[] = {"fp16", "bf16", "int8", "topk:0.02", "topk:0.02:fixed"};
    for (size_t c = 0; c < LENGTH(names); c++) {
        struct plan_of_test plan = {.codec = names[c]};
        world_run(3, go_wild, &plan);
        plan.ranks_per_host = 2;
        world_run(4, go_wild, &plan);
    }
    world_forgive();
}

/* All ones, but for a NaN of rank 1 in a tensor that is encoded. */
static void step_of_ones(struct trainer *trainer, int rank, bool wild)
{
    check_status(ww_step_begin(trainer->context), WW_OK);
    for (int t = TENSORS; t-- > 0;) {
        for (size_t i = 0; i < count_of(t); i++) {
            trainer->values[t][i] = 1;
        }
        trainer->values[t][0] = t == 2 && rank == 1 && wild ? NAN : 1;
        check_status(ww_tensor_start(trainer->tensors[t], trainer->values[t]), WW_OK);
    }
    trainer->report = (struct ww_report)WW_REPORT_INIT;
    check_status(ww_step_end(trainer->context, &trainer->report), WW_OK);
}

/* Results come two steps late: the second step's NaN is told at the fourth step's end, as the
 * second's. */
static void go_wild_and_hear_late(const struct ww_world *world, void *shared)
{
    struct ww_config config = steady_config();
    struct trainer trainer;
    config.staleness = 2;
    trainer_begin(&trainer, world, shared, &config);
    for (int s = 1; s <= 5; s++) {
        step_of_ones(&trainer, world->rank, s == 2);
        check((trainer.report.wild_rank == 1) == (s == 4), "step %d names rank %d", s,
              trainer.report.wild_rank);
    }
    trainer_end(&trainer);
}

Test(coding, what_is_not_finite_is_told_of_the_step_it_came_from)
{
    struct plan_of_test plan = {.codec = "int8"};
    world_run(3, go_wild_and_hear_late, &plan);
    for (int rank = 0; rank < 2; rank++) { /* rank 0's log is read, and rank 1 encoded it */
        cr_expect_not_null(capture_take(WW_LOG_WARN, "step 2: what rank 1"));
    }
    world_forgive();
}

/* Nine steps with a NaN of rank 1, one without, and one more. */
static void go_wild_often(const struct ww_world *world, void *shared)
{
    struct ww_config config = steady_config();
    struct trainer trainer;
    trainer_begin(&trainer, world, shared, &config);
    for (int s = 0; s < 11; s++) {
        step_of_ones(&trainer, world->rank, s != 9);
        check((trainer.report.wild_rank == 1) == (s != 9), "step %d names rank %d", s,
              trainer.report.wild_rank);
    }
    trainer_end(&trainer);
}

Test(coding, a_row_of_steps_that_are_not_finite_is_told_by_two_ranks_and_ever_more_rarely)
{
    struct plan_of_test plan = {.codec = "topk:0.02"};
    world_run(3, go_wild_often, &plan);
    static const struct told {
        const char *text;
        int count; /* by rank 0 and by rank 1 */
    } told[] = {{"is not finite: so is", 4},
                {"(2 steps in a row)", 2},
                {"(4 steps in a row)", 2},
                {"(8 steps in a row)", 2},
                {"is not finite", 0}};
    for (size_t i = 0; i < LENGTH(told); i++) {
        int count = 0;
        while (capture_take(WW_LOG_WARN, told[i].text) != NULL) {
            count++;
        }
        cr_expect_eq(count, told[i].count, "%s: %d times", told[i].text, count);
    }
    world_forgive();
}

/* Small tensors and those of one dimension are exact, unless somebody says otherwise. */
static void keep_small_ones(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    trainer_step(&trainer, world->rank, 0, 1);
    size_t zeros[TENSORS] = {0};
    for (int t = 0; t < TENSORS; t++) {
        for (size_t i = 0; i < count_of(t); i++) {
            double exact = given(world->size, 1, t, i);
            bool dense = t == 1 || t == 3;
            check(!dense || trainer.values[t][i] == exact, "tensor %d is not exact", t);
            zeros[t] += trainer.values[t][i] == 0;
        }
    }
    check(zeros[0] > count_of(0) / 2 && zeros[2] > count_of(2) / 2, "the large ones are sparse");
    check_status(ww_tensor_codec(trainer.tensors[0], "fp16"), WW_BAD_STATE);
    trainer_end(&trainer);
}

Test(coding, small_tensors_and_those_of_one_dimension_travel_as_they_are)
{
    struct plan_of_test plan = {.codec = "topk:0.02"};
    world_run(2, keep_small_ones, &plan);
    world_forgive();
}

static void commit_small_ones(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.codec = plan->codec;
    struct ww_context *context = context_of(world, plan, &config);
    const size_t shape[] = {64, (size_t)plan->count};
    struct ww_tensor *tensor;
    check_status(ww_tensor_add(context, "small", WW_F32, 2, shape, &tensor), WW_OK);
    if (plan->feedback) {
        check_status(ww_tensor_codec(tensor, "fp16"), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    ww_context_destroy(context);
}

Test(coding, a_codec_that_encodes_no_tensor_is_told)
{
    static const struct {
        struct plan_of_test plan; /* feedback: the tensor has a codec of its own */
        bool told;
    } cases[] = {{{.codec = "int8", .count = 255}, true},
                 {{.codec = "int8", .count = 256}, false},
                 {{.codec = "int8", .count = 255, .feedback = true}, false},
                 {{.codec = "none", .count = 255}, false}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct plan_of_test plan = cases[i].plan;
        world_run(2, commit_small_ones, &plan);
        bool told = capture_take(WW_LOG_INFO, "no tensor is encoded: the codec is for") != NULL;
        cr_expect_eq(told, cases[i].told, "case %zu", i);
        cr_expect_null(capture_take(WW_LOG_INFO, "no tensor is encoded"), "case %zu: twice", i);
    }
}

/* A norm of all results, and no more than that. */
static void clip(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.clip_norm = plan->error_most;
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    trainer_step(&trainer, world->rank, 0, 1);
    double before = 0;
    double after = 0;
    for (int t = 0; t < TENSORS; t++) {
        for (size_t i = 0; i < count_of(t); i++) {
            before += pow(given(world->size, 1, t, i), 2);
            after += pow(trainer.values[t][i], 2);
        }
    }
    check(fabs(trainer.report.gradient_norm / sqrt(before) - 1) < 1e-3, "the norm is %g, not %g",
          trainer.report.gradient_norm, sqrt(before));
    double wanted = fmin(sqrt(before), plan->error_most);
    check(fabs(sqrt(after) / wanted - 1) < 1e-3, "clipped to %g, not %g", sqrt(after), wanted);
    trainer_end(&trainer);
}

Test(coding, results_are_clipped_to_a_norm)
{
    struct plan_of_test plan = {.codec = "fp16", .error_most = 10};
    world_run(2, clip, &plan);
    plan.error_most = 1e6;
    world_run(3, clip, &plan);
}

/* From the second step on rank 1 has another codec. */
static void part_ways(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    trainer_step(&trainer, world->rank, 0, 1);
    check_status(ww_step_codec(trainer.context, world->rank == 1 ? "int8" : "fp16"), WW_OK);
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_step_codec(trainer.context, "fp16"), WW_BAD_STATE);
    for (int t = TENSORS; t-- > 0;) {
        ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    check_status(ww_step_end(trainer.context, NULL), WW_MISMATCH);
    check_words(ww_last_error(trainer.context), "rank 1", "int8", "fp16", "step 2", NULL);
    trainer_end(&trainer);
}

Test(coding, steps_whose_codecs_part_are_named)
{
    static const char *const names[] = {"bf16", "topk:0.1"};
    for (size_t c = 0; c < LENGTH(names); c++) {
        struct plan_of_test plan = {.codec = names[c]};
        world_run(3, part_ways, &plan);
    }
    world_forgive();
}

/* Every tensor is a bucket, or they share one: neither changes what may be said when. */
static void scale_late(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.bucket_bytes = plan->feedback ? 4096 : (size_t)64 << 20;
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_step_loss_scale(trainer.context, 2), WW_OK);
    for (int t = TENSORS; t-- > 0;) {
        ww_tensor_start(trainer.tensors[t], trainer.values[t]);
        check_status(ww_step_loss_scale(trainer.context, 4), WW_BAD_STATE);
    }
    check_status(ww_step_end(trainer.context, NULL), WW_OK);
    trainer_end(&trainer);
}

Test(coding, a_loss_scale_comes_before_any_tensor_wherever_buckets_end)
{
    for (int small = 0; small < 2; small++) {
        struct plan_of_test plan = {.codec = "int8", .feedback = small == 1};
        world_run(2, scale_late, &plan);
    }
    world_forgive();
}

/* Behind a step that was alike rank 1 says of its own what the others do not. */
static void say_alone(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    trainer_step(&trainer, world->rank, 0, 8);
    if (world->rank == 1 && plan->feedback) {
        check_status(ww_step_discard(trainer.context), WW_OK);
    }
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (!plan->feedback) {
        check_status(ww_step_loss_scale(trainer.context, world->rank == 1 ? 4 : 8), WW_OK);
    }
    for (int t = TENSORS; t-- > 0;) {
        ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    check_status(ww_step_end(trainer.context, NULL), WW_MISMATCH);
    check_words(ww_last_error(trainer.context), "rank 1",
                plan->feedback ? "ww_step_discard" : "scaled by 4", "step 2", NULL);
    trainer_end(&trainer);
}

Test(coding, a_rank_that_scales_or_discards_alone_is_named)
{
    for (int discards = 0; discards < 2; discards++) {
        struct plan_of_test plan = {.codec = "int8", .feedback = discards == 1};
        world_run(3, say_alone, &plan);
    }
    world_forgive();
}

/* Density comes down from 0.25, and is back where it was when a step is discarded. */
static void warm_up(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.density_warmup_steps = 8;
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    double before = 1;
    for (int step = 0; step < 12; step++) {
        trainer_step(&trainer, world->rank, step, 1);
        double density = (double)trainer.report.chosen / (double)trainer.report.encoded;
        double wanted = step < 8 ? 0.25 * pow(0.02 / 0.25, step / 8.0) : 0.02;
        check(density <= before * 1.02 && fabs(density / wanted - 1) < 0.1,
              "step %d has density %g, not %g", step, density, wanted);
        before = density;
    }
    trainer_end(&trainer);
}

Test(coding, density_comes_down_step_by_step)
{
    struct plan_of_test plan = {.codec = "topk:0.02:fixed"};
    world_run(2, warm_up, &plan);
}

/* On the way to a small density names have more digits than a report has room for. */
static void tell_codecs(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.density_warmup_steps = 60;
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    for (int step = 0; step < 61; step++) {
        struct ww_codec_facts facts = WW_CODEC_FACTS_INIT;
        trainer_step(&trainer, world->rank, step, 1);
        check_status(ww_codec_describe(trainer.report.codec, &facts), WW_OK);
        double sent = 4 * (double)trainer.report.chosen / (double)trainer.report.encoded;
        check(fabs(sent / facts.bytes_per_element - 1) < 0.5, "step %d goes by %s, sends %g bytes",
              step, trainer.report.codec, sent);
    }
    check_words(trainer.report.codec, plan->codec, NULL);
    trainer_end(&trainer);
}

Test(coding, what_a_report_tells_of_a_codec_is_one)
{
    struct plan_of_test plan = {.codec = "topk:0.0003:fixed"};
    world_run(2, tell_codecs, &plan);
}

/* A constant gradient of 1: momentum brings the mean update to 1 / (1 - factor), however it
 * travels, and never beyond. */
static void gain_momentum(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = steady_config();
    config.momentum = 0.5;
    struct trainer trainer;
    trainer_begin(&trainer, world, plan, &config);
    double sums[TENSORS] = {0};
    int steps = EFFORT(120, 80);
    for (int step = 0; step < steps; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TENSORS; t-- > 0;) {
            for (size_t i = 0; i < count_of(t); i++) {
                trainer.values[t][i] = 1;
            }
            check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        }
        check_status(ww_step_end(trainer.context, NULL), WW_OK);
        for (int t = 0; t < TENSORS; t++) {
            for (size_t i = 0; i < count_of(t); i++) {
                sums[t] += trainer.values[t][i];
            }
        }
    }
    for (int t = 0; t < TENSORS; t++) {
        double mean = sums[t] / (double)count_of(t) / steps / world->size;
        double least = t == 0 || t == 2 ? plan->error_most : 1.97;
        check(mean >= least && mean <= 2.001, "%s, %d ranks, tensor %d: updates of %g on average",
              plan->codec, world->size, t, mean);
    }
    trainer_end(&trainer);
}

Test(coding, momentum_counts_once_however_gradients_travel)
{
    static const struct {
        const char *codec;
        double least;
    } rows[] = {{"none", 1.97}, {"int8", 1.95}, {"topk:0.2:fixed", 1.2}};
    for (size_t r = 0; r < LENGTH(rows); r++) {
        struct plan_of_test plan = {.codec = rows[r].codec, .error_most = rows[r].least};
        for (size_t s = 0; s < 3; s++) {
            if (EFFORT(true, s == r)) {
                world_run(1 << s, gain_momentum, &plan);
            }
        }
        plan.ranks_per_host = 2;
        world_run(6, gain_momentum, &plan);
    }
}

static void misuse_residuals(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = steady_config();
    config.clip_norm = 1;
    struct ww_context *context = world_context(world, &config);
    float values[16] = {1, 2, 3, 4};
    float residual[16] = {1};
    struct ww_tensor *tensor;
    size_t count = 16;
    check_status(ww_all_reduce_coded(context, values, values, 8, WW_SUM, "fp16", values + 4),
                 WW_BAD_ARGUMENT);
    check_words(ww_last_error(context), "residual", "overlaps", NULL);
    check_status(ww_all_reduce_coded(context, values, values, 8, WW_SUM, "fp16",
                                     (float *)(void *)((char *)residual + 1)),
                 WW_BAD_ARGUMENT);
    check_status(ww_all_reduce_coded(context, values, values, 8, WW_SUM, "none", residual), WW_OK);
    check(values[0] == 2 && residual[0] == 0, "none takes the residual in");
    check_status(ww_tensor_add(context, "a", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_codec(context, "fp16"), WW_BAD_STATE);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, values), WW_OK);
    check_status(ww_tensor_wait(tensor), WW_BAD_STATE);
    check_words(ww_last_error(context), "clip_norm", NULL);
    check_status(ww_step_end(context, NULL), WW_OK);
    ww_context_destroy(context);
}

Test(coding, residuals_have_memory_of_their_own_and_clipped_results_come_at_the_end)
{
    world_run(1, misuse_residuals, NULL);
    world_forgive();
}

/* ---- A step of another codec that is taken back ------------------------------------------------
 */

#define TAKEN_BACK ((size_t)2000000) /* so many that codecs cut it differently */

static void take_back_another_codec(const struct ww_world *world, void *shared)
{
    struct ww_config config = steady_config();
    char host[32];
    struct ww_tensor *tensor;
    const size_t shape[] = {TAKEN_BACK / 100, 100};
    float *values = calloc(TAKEN_BACK, sizeof *values);
    double *got = calloc(TAKEN_BACK, sizeof *got);
    const int end = *(const int *)shared;
    config.codec = "int8";
    config.gradient_op = WW_SUM;
    snprintf(host, sizeof host, "host %d", world->rank / 2);
    config.host = host;
    struct ww_context *context = world_context(world, &config);
    check_status(ww_tensor_add(context, "w", WW_F32, 2, shape, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 0; step < end; step++) {
        bool thrown = step == 3;
        bool last = step == end - 1;
        if (thrown || last) {
            check_status(ww_step_codec(context, thrown ? "topk:0.01" : "none"), WW_OK);
        }
        for (size_t i = 0; i < TAKEN_BACK; i++) {
            values[i] = last ? 0 : (float)((int)((i * 31 + (size_t)(step + world->rank)) % 17) - 8);
        }
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(tensor, values), WW_OK);
        check_status(ww_step_end(context, NULL), WW_OK);
        if (thrown) {
            check_status(ww_step_discard(context), WW_OK);
            check_status(ww_step_codec(context, "int8"), WW_OK);
            continue;
        }
        for (size_t i = 0; i < TAKEN_BACK; i++) {
            got[i] += values[i];
        }
    }
    int wrong = 0;
    double given[17] = {0}; /* then they come again */
    for (size_t i = 0; i < LENGTH(given); i++) {
        for (int rank = 0; rank < world->size; rank++) {
            for (int step = 0; step < end - 1; step++) {
                given[i] += step == 3 ? 0 : (int)((i * 31 + (size_t)(step + rank)) % 17) - 8;
            }
        }
    }
    for (size_t i = 0; i < TAKEN_BACK; i++) {
        wrong += !(fabs(got[i] - given[i % LENGTH(given)]) <= 0.001);
    }
    check(wrong == 0, "%d of %zu elements came to something else", wrong, TAKEN_BACK);
    free(values);
    free(got);
    ww_context_destroy(context);
}

Test(coding, a_step_of_another_codec_leaves_nothing_when_it_is_taken_back)
{
    for (int end = EFFORT(6, 7); end < 8; end++) { /* the sets of residuals take turns */
        world_run(4, take_back_another_codec, &end);
    }
}
