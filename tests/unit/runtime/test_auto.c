/* SPDX-License-Identifier: BSD-3-Clause
 * test_auto.c: single calls that choose their codec: whatever they choose, nothing is lost, and all
 * ranks end with the same bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#include "effort.h"
#include "trainer.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define VECTORS_MAX 40

TestSuite(auto, .init = capture_start, .fini = trainer_finish_capture);

struct plan_of_test {
    const char *allowed;
    size_t count;
    int ranks_per_host; /* 0 = all share one */
    int calls;
    int vectors; /* called in turn, each with a residual of its own */
    bool in_place;
    enum ww_feedback error_feedback; /* of steps: calls go by their residual */
};

struct board {
    const struct plan_of_test *plan;
    float *results[WORLD_SIZE_MAX];
    float *residuals[WORLD_SIZE_MAX][VECTORS_MAX];
};

static struct ww_context *context_of(const struct ww_world *world, const struct plan_of_test *plan)
{
    struct ww_config config = trainer_config(world, "none", plan->ranks_per_host);
    config.codecs_allowed = plan->allowed;
    config.error_feedback = plan->error_feedback;
    return world_context(world, &config);
}

static float *vector_of(size_t count)
{
    float *vector = calloc(count + 1, sizeof *vector);
    check(vector != NULL, "no memory");
    return vector;
}

/* ---- Nothing is lost ------------------------------------------------------------------------ */

/* Of one vector: what all calls gave out, and what all ranks keep, come to what was given. */
static void check_law(const struct board *board, int size, int vector, const float *sent,
                      const double *given)
{
    size_t wrong = 0;
    for (size_t i = 0; i < board->plan->count; i++) {
        double kept = sent[i];
        for (int rank = 0; rank < size; rank++) {
            kept += board->residuals[rank][vector][i];
        }
        wrong += kept != given[i];
    }
    check(wrong == 0, "%s, %d ranks, vector %d: %zu of %zu elements lost or found something",
          board->plan->allowed, size, vector, wrong, board->plan->count);
}

static void sum_often(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_test *plan = board->plan;
    struct ww_context *context = context_of(world, plan);
    float *input = vector_of(plan->count);
    float *apart = vector_of(plan->count);
    float *output = plan->in_place ? input : apart;
    float *sent[VECTORS_MAX];
    double *given[VECTORS_MAX];
    board->results[world->rank] = output;
    for (int v = 0; v < plan->vectors; v++) {
        board->residuals[world->rank][v] = vector_of(plan->count);
        sent[v] = vector_of(plan->count);
        given[v] = calloc(plan->count + 1, sizeof(double));
    }
    for (int call = 0; call < plan->calls; call++) {
        int v = call % plan->vectors;
        for (size_t i = 0; i < plan->count; i++) {
            input[i] = trainer_gradient(world->rank, call, v, i);
            for (int rank = 0; rank < world->size; rank++) {
                given[v][i] += trainer_gradient(rank, call, v, i);
            }
        }
        check_status(ww_all_reduce_coded(context, input, output, plan->count, WW_SUM, "auto",
                                         board->residuals[world->rank][v]),
                     WW_OK);
        size_t changed = 0;
        for (size_t i = 0; i < plan->count; i++) {
            sent[v][i] += output[i];
            changed += input[i] != trainer_gradient(world->rank, call, v, i);
        }
        check(plan->in_place || changed == 0, "call %d changed %zu of its inputs", call, changed);
        world_meet(world);
        check(memcmp(output, board->results[0], plan->count * sizeof *output) == 0,
              "call %d: rank %d has other bits than rank 0", call, world->rank);
        if (world->rank == 0) {
            check_law(board, world->size, v, sent[v], given[v]);
        }
        world_meet(world);
    }
    ww_context_destroy(context);
    for (int v = 0; v < plan->vectors; v++) {
        free(board->residuals[world->rank][v]);
        free(sent[v]);
        free(given[v]);
    }
    free(input);
    free(apart);
}

Test(auto, calls_lose_nothing_while_they_choose)
{
    static const char *const lists[] = {"fp16,bf16,topk:0.05,topk:0.1:fixed", "topk:0.02", "none"};
    for (size_t i = 0; i < LENGTH(lists); i++) {
        struct plan_of_test plan = {.allowed = lists[i],
                                    .count = 3001,
                                    .ranks_per_host = 1,
                                    .calls = EFFORT(120, 60),
                                    .vectors = 1};
        struct board board = {.plan = &plan};
        world_run(2, sum_often, &board);
        plan.in_place = true;
        world_run(3, sum_often, &board);
        plan.ranks_per_host = 2;
        world_run(4, sum_often, &board);
        plan.ranks_per_host = 0;
        world_run(2, sum_often, &board);
        plan.calls = 20;
        world_run(1, sum_often, &board);
    }
}

Test(auto, vectors_of_one_size_lose_nothing)
{
    struct plan_of_test plan = {.allowed = "fp16,topk:0.05",
                                .count = 501,
                                .ranks_per_host = 1,
                                .calls = EFFORT(200, 80),
                                .vectors = 3,
                                .error_feedback = WW_FEEDBACK_OFF};
    struct board board = {.plan = &plan};
    world_run(2, sum_often, &board);
    plan.vectors = VECTORS_MAX;
    plan.ranks_per_host = 2;
    world_run(4, sum_often, &board);
}

/* fp16 rounds nothing here, so whatever top-k left must leave with it: of a call that sent more
 * than top-k does nothing is kept. */
static void leave_nothing_behind(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_context *context = context_of(world, plan);
    float *values = vector_of(plan->count);
    float *residuals[VECTORS_MAX];
    int dense = 0;
    for (int v = 0; v < plan->vectors; v++) {
        residuals[v] = vector_of(plan->count);
    }
    for (int call = 0; call < plan->calls; call++) {
        int v = call % plan->vectors;
        for (size_t i = 0; i < plan->count; i++) {
            values[i] = trainer_gradient(world->rank, call, v, i);
        }
        check_status(
            ww_all_reduce_coded(context, values, values, plan->count, WW_SUM, "auto", residuals[v]),
            WW_OK);
        size_t came = 0;
        size_t kept = 0;
        for (size_t i = 0; i < plan->count; i++) {
            came += values[i] != 0;
            kept += residuals[v][i] != 0;
        }
        bool all_came = came > plan->count / 2;
        dense += all_came;
        check(!all_came || kept == 0, "call %d of %d vectors left %zu elements behind", call,
              plan->vectors, kept);
    }
    check(dense > 0 && dense < plan->calls, "%d of %d calls were dense", dense, plan->calls);
    ww_context_destroy(context);
    for (int v = 0; v < plan->vectors; v++) {
        free(residuals[v]);
    }
    free(values);
}

Test(auto, each_residual_is_taken_along_when_the_codec_changes)
{
    static const int vectors[] = {1, 2, 3, 7, VECTORS_MAX};
    for (size_t i = 0; i < LENGTH(vectors); i++) {
        struct plan_of_test plan = {.allowed = "topk:0.05,fp16",
                                    .count = 400,
                                    .ranks_per_host = 1,
                                    .calls = 40 + 2 * vectors[i],
                                    .vectors = vectors[i]};
        world_run(2, leave_nothing_behind, &plan);
    }
}

/* Rounded, at random without a residual, but close whatever is chosen. */
static void stay_close(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_context *context = context_of(world, plan);
    float *values = vector_of(plan->count);
    float *residual = plan->in_place ? vector_of(plan->count) : NULL;
    for (int call = 0; call < plan->calls; call++) {
        double error = 0;
        double norm = 0;
        for (size_t i = 0; i < plan->count; i++) {
            values[i] = trainer_gradient(world->rank, call, 0, i) / 3;
        }
        check_status(ww_all_reduce_coded(context, values, values, plan->count,
                                         call % 2 == 0 ? WW_SUM : WW_MEAN, "auto", residual),
                     WW_OK);
        for (size_t i = 0; i < plan->count; i++) {
            double exact = 0;
            for (int rank = 0; rank < world->size; rank++) {
                exact += trainer_gradient(rank, call, 0, i) / 3.0;
            }
            exact /= call % 2 == 0 ? 1 : world->size;
            error += pow(values[i] - exact, 2);
            norm += exact * exact;
        }
        check(sqrt(error / norm) < 0.05, "call %d: error %g", call, sqrt(error / norm));
    }
    ww_context_destroy(context);
    free(residual);
    free(values);
}

Test(auto, results_are_close_whatever_is_chosen)
{
    struct plan_of_test plan = {
        .allowed = "fp16,bf16,int8", .count = 5000, .ranks_per_host = 1, .calls = 100};
    world_run(2, stay_close, &plan);
    plan.in_place = true;
    world_run(3, stay_close, &plan);
}

/* ---- Edges ---------------------------------------------------------------------------------- */

static void call_many_kinds(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_of(world, shared);
    float values[80];
    float residual[80];
    for (size_t count = 0; count <= 80; count++) {
        for (int again = 0; again < 5; again++) {
            for (size_t i = 0; i < count; i++) {
                values[i] = 1;
                residual[i] = 0;
            }
            check_status(
                ww_all_reduce_coded(context, values, values, count, WW_SUM, "auto", residual),
                WW_OK);
            check(count == 0 || values[count - 1] == (float)world->size, "%zu elements: %g", count,
                  count == 0 ? 0 : (double)values[count - 1]);
        }
    }
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_calls_report(context, &report), WW_OK);
    check(report.step == 81 * 5, "%llu calls were counted", (unsigned long long)report.step);
    check_status(ww_all_reduce_coded(context, values, values, 8, WW_MAX, "auto", NULL),
                 WW_UNSUPPORTED);
    check_status(ww_all_reduce_coded(context, values, values, 8, WW_SUM, "auto", values + 4),
                 WW_BAD_ARGUMENT);
    ww_context_destroy(context);
}

Test(auto, kinds_beyond_the_first_go_dense_and_one_line_says_so)
{
    struct plan_of_test plan = {.allowed = "fp16,int8", .ranks_per_host = 1};
    world_run(3, call_many_kinds, &plan);
    expect_line(WW_LOG_INFO, "auto chooses for 64 kinds of calls");
    cr_expect_null(capture_take(WW_LOG_INFO, "auto chooses for 64 kinds"), "twice");
    world_forgive();
}

/* Calls between steps and inside of them; both choose. */
static void mix_with_steps(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = trainer_config(world, "auto", plan->ranks_per_host);
    config.codecs_allowed = plan->allowed;
    config.error_feedback = WW_FEEDBACK_ON;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    float values[300];
    float residual[300] = {0};
    double sent = 0;
    double given = 0;
    for (int step = 0; step < 60; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            trainer_start(&trainer, t);
            if (t % 2 == 0) {
                for (int i = 0; i < 300; i++) {
                    values[i] = trainer_gradient(world->rank, step, t, (size_t)i);
                    for (int rank = 0; rank < world->size; rank++) {
                        given += trainer_gradient(rank, step, t, (size_t)i);
                    }
                }
                check_status(ww_all_reduce_coded(trainer.context, values, values, 300, WW_SUM,
                                                 "auto", residual),
                             WW_OK);
                for (int i = 0; i < 300; i++) {
                    sent += values[i];
                }
            }
        }
        trainer_finish(&trainer);
    }
    trainer_settle(&trainer);
    check_status(ww_all_reduce_coded(trainer.context, memset(values, 0, sizeof values), values, 300,
                                     WW_SUM, "none", residual),
                 WW_OK);
    for (int i = 0; i < 300; i++) {
        sent += values[i];
    }
    check(sent == given, "calls gave out %g of %g", sent, given);
    trainer_end(&trainer);
}

Test(auto, calls_and_steps_do_not_disturb_each_other)
{
    struct plan_of_test plan = {.allowed = "fp16,topk:0.05", .ranks_per_host = 1};
    world_run(2, mix_with_steps, &plan);
    world_run(3, mix_with_steps, &plan);
}

Test(auto, a_description_that_has_nowhere_to_go_is_refused)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(&world, &config);
    char text[32];
    bool settled = false;
    cr_expect_eq(ww_auto_describe(context, 1, WW_SUM, text, sizeof text, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_auto_describe(context, 1, WW_SUM, NULL, 32, &settled), WW_BAD_ARGUMENT);
    cr_expect_not(settled);
    cr_expect_eq(world_forgive(), 2, "each is logged once");
    cr_expect_eq(ww_auto_describe(context, 1, WW_SUM, text, sizeof text, &settled), WW_OK);
    cr_expect(settled);
    checks_settle();
    ww_context_destroy(context);
}
