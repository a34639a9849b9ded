/* SPDX-License-Identifier: BSD-3-Clause
 * test_steps.c: steps give exact results however gradients come in: fused or not, scattered or in
 * one piece, in any order, from several threads, skipped, empty. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "values.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define TENSORS_MAX 12

TestSuite(steps, .init = capture_start, .fini = capture_finish);

enum memory_kind { SCATTERED, CONTIGUOUS, MOVING };
enum order_kind { BACKWARDS, FORWARDS, DIFFERENT, ON_THREADS };

/* What all ranks do in a test. */
struct training {
    int tensors;
    enum ww_type types[TENSORS_MAX];
    size_t counts[TENSORS_MAX];
    size_t bucket_bytes;
    enum ww_op op;
    enum ww_progress progress;
    enum ww_deterministic deterministic;
    enum memory_kind memory;
    enum order_kind order;
    int steps;
    bool waits; /* for every tensor, in the order of registration, before the end */
};

/* One rank of it. */
struct trainer {
    const struct training *training;
    const struct ww_world *world;
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS_MAX];
    unsigned char *memory;
    void *values[TENSORS_MAX];
    int step;
};

/* Elements of a tensor in a step: none twice in a run. */
static size_t first_element(int step, int tensor)
{
    return (size_t)step * 1009 + (size_t)tensor * 131;
}

static size_t tensor_bytes(const struct training *training, int tensor)
{
    return training->counts[tensor] * ww_type_bytes(training->types[tensor]);
}

static struct ww_config config_of(const struct training *training)
{
    struct ww_config config = world_config();
    config.bucket_bytes = training->bucket_bytes;
    config.gradient_op = training->op;
    config.progress = training->progress;
    config.deterministic = training->deterministic;
    return config;
}

static void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                          const struct training *training)
{
    struct ww_config config = config_of(training);
    *trainer = (struct trainer){.training = training, .world = world};
    trainer->context = world_context(world, &config);
    size_t bytes = 4096;
    for (int t = 0; t < training->tensors; t++) {
        char name[32];
        snprintf(name, sizeof name, "tensor %d", t);
        check_status(ww_tensor_add(trainer->context, name, training->types[t], 1,
                                   &training->counts[t], &trainer->tensors[t]),
                     WW_OK);
        bytes += tensor_bytes(training, t) + 256;
    }
    check_status(ww_tensors_commit(trainer->context), WW_OK);
    trainer->memory = malloc(bytes);
}

static void trainer_end(struct trainer *trainer)
{
    ww_context_destroy(trainer->context);
    free(trainer->memory);
}

/* Contiguous tensors lie behind one another as registered, scattered ones leave gaps; a moving
 * layout begins elsewhere in each step and changes between the two. */
static void place_tensors(struct trainer *trainer)
{
    const struct training *training = trainer->training;
    bool moving = training->memory == MOVING;
    bool gaps = training->memory == SCATTERED || (moving && trainer->step % 2 == 1);
    unsigned char *next = trainer->memory + (moving ? (size_t)(trainer->step % 50) * 64 : 0);
    next += 64 - (uintptr_t)next % 64;
    for (int t = 0; t < training->tensors; t++) {
        trainer->values[t] = next;
        next += tensor_bytes(training, t);
        size_t element = ww_type_bytes(training->types[t]);
        next += gaps ? 7 * element : 0;
        size_t following = t + 1 < training->tensors ? ww_type_bytes(training->types[t + 1]) : 1;
        next += (following - (uintptr_t)next % following) % following;
    }
}

/* The i-th tensor that a rank starts in a step. */
static int nth_tensor(const struct trainer *trainer, int i)
{
    int tensors = trainer->training->tensors;
    switch (trainer->training->order) {
    case BACKWARDS:
        return tensors - 1 - i;
    case FORWARDS:
        return i;
    default: /* a stride that shares no divisor with the tensors, another one on each rank */
        return (i * (tensors - 1) + trainer->step * 3 + trainer->world->rank * 5) % tensors;
    }
}

static void start_one(struct trainer *trainer, int tensor)
{
    const struct training *training = trainer->training;
    values_fill(training->types[tensor], trainer->world->rank, first_element(trainer->step, tensor),
                trainer->values[tensor], training->counts[tensor]);
    check_status(ww_tensor_start(trainer->tensors[tensor], trainer->values[tensor]), WW_OK);
}

struct starter {
    pthread_t thread;
    struct trainer *trainer;
    int first;
};

static void *start_every_third(void *argument)
{
    const struct starter *starter = argument;
    for (int i = starter->first; i < starter->trainer->training->tensors; i += 3) {
        start_one(starter->trainer, nth_tensor(starter->trainer, i));
    }
    return NULL;
}

static void start_on_threads(struct trainer *trainer)
{
    struct starter starters[3];
    for (int i = 0; i < 3; i++) {
        starters[i].trainer = trainer;
        starters[i].first = i;
        pthread_create(&starters[i].thread, NULL, start_every_third, &starters[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(starters[i].thread, NULL);
    }
}

static bool is_reduced(const struct trainer *trainer, int tensor)
{
    const struct training *training = trainer->training;
    return values_reduced(training->types[tensor], training->op, trainer->world->size,
                          first_element(trainer->step, tensor), trainer->values[tensor],
                          training->counts[tensor]);
}

static void check_results(const struct trainer *trainer, const char *when)
{
    for (int t = 0; t < trainer->training->tensors; t++) {
        check(is_reduced(trainer, t), "tensor %d is wrong %s step %d on rank %d of %d", t, when,
              trainer->step, trainer->world->rank, trainer->world->size);
    }
}

static void wait_for_each(struct trainer *trainer)
{
    for (int t = 0; t < trainer->training->tensors; t++) {
        check_status(ww_tensor_wait(trainer->tensors[t]), WW_OK);
    }
    check_results(trainer, "before the end of");
}

static void train_step(struct trainer *trainer)
{
    struct ww_report report = WW_REPORT_INIT;
    place_tensors(trainer);
    check_status(ww_step_begin(trainer->context), WW_OK);
    if (trainer->training->order == ON_THREADS) {
        start_on_threads(trainer);
    } else {
        for (int i = 0; i < trainer->training->tensors; i++) {
            start_one(trainer, nth_tensor(trainer, i));
        }
    }
    if (trainer->training->waits) {
        wait_for_each(trainer);
    }
    check_status(ww_step_end(trainer->context, &report), WW_OK);
    check(report.step == (uint64_t)trainer->step, "the report is of step %llu, not %d",
          (unsigned long long)report.step, trainer->step);
    check_results(trainer, "after");
}

static void train(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, shared);
    for (int step = 1; step <= ((struct training *)shared)->steps; step++) {
        trainer.step = step;
        train_step(&trainer);
    }
    trainer_end(&trainer);
}

/* Neighbours of several types, an empty one in the middle, a scalar, one larger than a bucket. */
static struct training usual_training(void)
{
    return (struct training){
        .tensors = 11,
        .types = {WW_F32, WW_F32, WW_F32, WW_F64, WW_F64, WW_BF16, WW_BF16, WW_F16, WW_F32, WW_F32,
                  WW_F32},
        .counts = {100, 0, 1, 333, 17, 2000, 31, 77, 20000, 5, 64},
        .bucket_bytes = 8192,
        .op = WW_MEAN,
        .progress = WW_PROGRESS_INLINE,
        .steps = 9,
    };
}

static void expect_exact(const struct training *training)
{
    for (int size = 1; size <= 5; size++) {
        struct training copy = *training;
        world_run(size, train, &copy);
    }
}

/* ---- Results ---------------------------------------------------------------------------- */

Test(steps, results_do_not_depend_on_how_tensors_are_fused)
{
    static const size_t bucket_bytes[] = {1, 256, 8192, (size_t)1 << 30};
    for (size_t i = 0; i < LENGTH(bucket_bytes); i++) {
        struct training training = usual_training();
        training.bucket_bytes = bucket_bytes[i];
        training.steps = 3;
        expect_exact(&training);
    }
}

Test(steps, results_do_not_depend_on_where_gradients_lie)
{
    for (int memory = SCATTERED; memory <= MOVING; memory++) {
        struct training training = usual_training();
        training.memory = (enum memory_kind)memory;
        training.steps = 4;
        expect_exact(&training);
    }
}

/* Steps 1 to 9 include all that rank 0's order is shared after: 1, 2, 4 and 8. */
Test(steps, results_do_not_depend_on_the_order_in_which_ranks_start)
{
    for (int order = BACKWARDS; order <= ON_THREADS; order++) {
        struct training training = usual_training();
        training.bucket_bytes = 300;
        training.order = (enum order_kind)order;
        expect_exact(&training);
    }
}

Test(steps, a_progress_thread_gives_the_same_results)
{
    for (int order = BACKWARDS; order <= ON_THREADS; order++) {
        struct training training = usual_training();
        training.progress = WW_PROGRESS_THREAD;
        training.bucket_bytes = 300;
        training.order = (enum order_kind)order;
        training.memory = MOVING;
        expect_exact(&training);
    }
}

Test(steps, tensors_can_be_waited_for_before_the_end)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        struct training training = usual_training();
        training.progress = (enum ww_progress)progress;
        training.order = DIFFERENT;
        training.waits = true;
        training.steps = 4;
        expect_exact(&training);
    }
}

/* The last rank waits for a result; the others do not, and are in a single call. */
static void wait_on_one_rank(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    config.gradient_op = WW_SUM;
    config.timeout_s = 20;
    config.shared_memory = *(const bool *)shared;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor;
    size_t count = 20000;
    float *values = malloc(count * sizeof *values);
    bool last = world->rank == world->size - 1;
    check_status(ww_tensor_add(context, "late", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    for (size_t i = 0; i < count; i++) {
        values[i] = 1;
    }
    if (last) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    check_status(ww_tensor_start(tensor, values), WW_OK);
    if (last) {
        check_status(ww_tensor_wait(tensor), WW_OK);
    }
    int32_t calls = 1;
    check_status(ww_all_reduce(context, &calls, &calls, 1, WW_I32, WW_SUM), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    check(calls == world->size && values[count - 1] == (float)world->size, "%d and %g", (int)calls,
          (double)values[count - 1]);
    ww_context_destroy(context);
    free(values);
}

Test(steps, a_rank_may_wait_for_a_tensor_while_others_are_in_a_single_call)
{
    for (int memory = 0; memory <= 1; memory++) {
        bool shared = memory == 1;
        world_run(3, wait_on_one_rank, &shared);
    }
}

Test(steps, integers_are_summed)
{
    struct training training = {.tensors = 4,
                                .types = {WW_I32, WW_I32, WW_I64, WW_F32},
                                .counts = {1000, 3, 501, 9},
                                .bucket_bytes = 4096,
                                .op = WW_SUM,
                                .progress = WW_PROGRESS_INLINE,
                                .steps = 3};
    expect_exact(&training);
}

Test(steps, a_frozen_plan_gives_the_same_results)
{
    struct training training = usual_training();
    training.deterministic = WW_DETERMINISTIC_PLAN;
    training.bucket_bytes = 300;
    training.order = DIFFERENT;
    expect_exact(&training);
}

/* ---- Bits ------------------------------------------------------------------------------- */

struct inexact {
    enum ww_deterministic deterministic;
    float results[2][3][5000]; /* by run and rank */
    int run;
};

static void sum_fractions(const struct ww_world *world, void *shared)
{
    struct inexact *inexact = shared;
    struct ww_config config = world_config();
    config.deterministic = inexact->deterministic;
    config.bucket_bytes = 5000;
    struct ww_context *context = world_context(world, &config);
    float *values = inexact->results[inexact->run][world->rank];
    struct ww_tensor *tensors[5];
    size_t count = 1000;
    for (int t = 0; t < 5; t++) {
        char name[2] = {(char)('a' + t), '\0'};
        check_status(ww_tensor_add(context, name, WW_F32, 1, &count, &tensors[t]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 0; step < 5; step++) {
        check_status(ww_step_begin(context), WW_OK);
        for (int i = 0; i < 5; i++) {
            int t = (i * 3 + world->rank * 2 + inexact->run * step) % 5;
            for (size_t e = 0; e < count; e++) {
                size_t at = (size_t)t * count + e;
                values[at] += 1.0f / (float)(3 + (int)at % 97 + world->rank * 11 + step);
            }
            check_status(ww_tensor_start(tensors[t], values + (size_t)t * count), WW_OK);
        }
        check_status(ww_step_end(context, NULL), WW_OK);
    }
    ww_context_destroy(context);
}

Test(steps, two_runs_end_with_the_same_bits_on_every_rank)
{
    static struct inexact inexact;
    for (int d = WW_DETERMINISTIC_OFF; d <= WW_DETERMINISTIC_PLAN; d++) {
        memset(&inexact, 0, sizeof inexact);
        inexact.deterministic = (enum ww_deterministic)d;
        for (inexact.run = 0; inexact.run < 2; inexact.run++) {
            world_run(3, sum_fractions, &inexact);
        }
        for (int rank = 0; rank < 3; rank++) {
            cr_expect_arr_eq(inexact.results[0][rank], inexact.results[0][0],
                             sizeof inexact.results[0][0], "rank %d", rank);
            cr_expect_arr_eq(inexact.results[1][rank], inexact.results[0][0],
                             sizeof inexact.results[0][0], "second run, rank %d", rank);
        }
    }
}

/* ---- Skipping --------------------------------------------------------------------------- */

/* Tensors 0, 1 and 2 share a bucket. Rank r contributes r + 1 to each element, unless it skips. */
struct skipping {
    bool skips[3][3]; /* by rank and tensor */
    bool wants[3][3]; /* the result although it skipped */
    float sums[3];
    int skipped[3]; /* by rank, as reported */
};

static void take_skipping_step(struct ww_context *context, struct ww_tensor **tensors,
                               const struct skipping *skipping)
{
    int rank = ww_rank(context);
    float values[3][50];
    check_status(ww_step_begin(context), WW_OK);
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < 50; i++) {
            values[t][i] = (float)(rank + 1);
        }
        float *wanted = skipping->wants[rank][t] ? values[t] : NULL;
        check_status(skipping->skips[rank][t] ? ww_tensor_skip(tensors[t], wanted)
                                              : ww_tensor_start(tensors[t], values[t]),
                     WW_OK);
    }
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_step_end(context, &report), WW_OK);
    check(report.skipped == skipping->skipped[rank], "%d were skipped", report.skipped);
    for (int t = 0; t < 3; t++) {
        bool kept = skipping->skips[rank][t] && !skipping->wants[rank][t];
        float wanted = kept ? (float)(rank + 1) : skipping->sums[t];
        check(values[t][0] == wanted && values[t][49] == wanted, "rank %d, tensor %d: %g, not %g",
              rank, t, (double)values[t][0], (double)wanted);
    }
}

/* Several steps: what is left of the step before must not count either. */
static void skip_some(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    config.gradient_op = WW_SUM;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensors[3];
    size_t count = 50;
    for (int t = 0; t < 3; t++) {
        char name[2] = {(char)('a' + t), '\0'};
        check_status(ww_tensor_add(context, name, WW_F32, 1, &count, &tensors[t]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 0; step < 3; step++) {
        take_skipping_step(context, tensors, shared);
    }
    ww_context_destroy(context);
}

Test(steps, a_skipped_tensor_counts_as_zeros_and_arrives_where_it_is_wanted)
{
    struct skipping rows[] = {
        {.sums = {6, 6, 6}},
        {.skips = {{true}}, .sums = {5, 6, 6}, .skipped = {1}},
        {.skips = {{true}}, .wants = {{true}}, .sums = {5, 6, 6}, .skipped = {1}},
        {.skips = {{false, true}, {true, true}, {false, true, true}},
         .wants = {{false}, {false, true}, {false, false, true}},
         .sums = {4, 0, 3},
         .skipped = {1, 2, 2}},
        {.skips = {{true, true, true}, {true, true, true}, {true, true, true}},
         .wants = {{false}, {true, true, true}},
         .sums = {0, 0, 0},
         .skipped = {3, 3, 3}},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        world_run(3, skip_some, &rows[i]);
    }
}
