/* SPDX-License-Identifier: BSD-3-Clause
 * test_checkpoint.c: the same ranks go on bit for bit, other numbers of ranks owe the same debt,
 * what a program attaches comes back, and a notice reaches everybody. */
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "effort.h"
#include "flush.h"
#include "savers.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define STEPS 4

TestSuite(checkpoint, .init = capture_start, .fini = capture_finish);

/* What the ranks of one test share. */
struct stage {
    struct saver_plan plan;
    char folder[64];
    int size_before;
    float *straight[WORLD_SIZE_MAX]; /* the results of the later steps, one behind the other */
    double *owed;                    /* [SAVER_COUNT] of a mean or a sum, to be paid */
    double *slack;                   /* [SAVER_COUNT] by which that may be off */
    bool dense;
    bool flushes; /* the thread that loads */
};

static void stage_begin(struct stage *stage, const struct saver_plan *plan)
{
    *stage = (struct stage){.plan = *plan};
    folder_begin(stage->folder);
    stage->owed = calloc(SAVER_COUNT, sizeof *stage->owed);
    stage->slack = calloc(SAVER_COUNT, sizeof *stage->slack);
}

static void stage_end(struct stage *stage)
{
    for (int rank = 0; rank < WORLD_SIZE_MAX; rank++) {
        free(stage->straight[rank]);
    }
    free(stage->owed);
    free(stage->slack);
    folder_end(stage->folder);
}

/* ---- The same ranks ------------------------------------------------------------------------- */

/* Saves amid a run, and goes on. */
static void go_straight(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &stage->plan);
    float *results = calloc((size_t)STEPS * SAVER_COUNT, sizeof *results);
    for (int step = 0; step < STEPS; step++) {
        saver_step(&saver, world->rank);
    }
    if (stage->plan.staleness > 0) {
        check_status(ww_checkpoint_save(saver.context, stage->folder), WW_BAD_STATE);
        check_words(ww_last_error(saver.context), "on their way", "ww_step_drain");
        check(saver_drain(&saver) == stage->plan.staleness, "other steps were on their way");
    }
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    for (size_t step = 0; step < STEPS; step++) {
        saver_step(&saver, world->rank);
        memcpy(results + step * SAVER_COUNT, saver.values, SAVER_COUNT * sizeof *results);
    }
    stage->straight[world->rank] = results;
    saver_drain(&saver);
    saver_end(&saver);
}

static void go_on(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &stage->plan);
    unsigned before = stage->flushes ? flush_tiny_numbers() : 0;
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    check(!stage->flushes || flushes(before), "the thread's mode was not brought back");
    check(saver.step == STEPS, "rank %d came back to step %d", world->rank, (int)saver.step);
    check(ww_checkpoint_has(saver.context, "step"), "nobody knows that \"step\" was loaded");
    for (size_t step = 0; step < STEPS; step++) {
        saver_step(&saver, world->rank);
        check(saver.report.step == STEPS + step + 1, "it counts as step %d",
              (int)saver.report.step);
        check(memcmp(stage->straight[world->rank] + step * SAVER_COUNT, saver.values,
                     SAVER_COUNT * sizeof *saver.values) == 0,
              "%s, momentum %g, rank %d of %d: other bits in step %zu behind the checkpoint",
              stage->plan.codec, stage->plan.momentum, world->rank, world->size, step + 1);
    }
    saver_drain(&saver);
    saver_end(&saver);
}

static void expect_same_bits(const struct saver_plan *plan, int size)
{
    struct stage stage;
    stage_begin(&stage, plan);
    world_run(size, go_straight, &stage);
    world_run(size, go_on, &stage);
    stage_end(&stage);
}

Test(checkpoint, the_same_ranks_go_on_bit_for_bit)
{
    static const char *const codecs[] = {"none", "bf16", "int8", "topk:0.05", "topk:0.1:fixed"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        for (int momentum = 0; momentum < 2; momentum++) {
            struct saver_plan plan = {.codec = codecs[c], .momentum = 0.5 * momentum};
            expect_same_bits(&plan, 2);
            plan.op = WW_MEAN;
            plan.bucket_bytes = 8000;
            expect_same_bits(&plan, 3);
            plan.ranks_per_host = 2;
            expect_same_bits(&plan, 4);
        }
    }
    struct saver_plan alone = {.codec = "int8", .momentum = 0.5};
    expect_same_bits(&alone, 1);
}

Test(checkpoint, a_program_that_flushes_tiny_numbers_loses_none)
{
    struct saver_plan plan = {.codec = "topk:0.05", .momentum = 0.5, .tiny = true};
    struct stage stage;
    stage_begin(&stage, &plan);
    stage.flushes = true;
    world_run(2, go_straight, &stage);
    world_run(2, go_on, &stage);
    stage_end(&stage);
}

/* What was on its way is taken before; then late results go on as if nothing had been. */
Test(checkpoint, drained_steps_go_on_bit_for_bit)
{
    static const char *const codecs[] = {"none", "int8", "topk:0.05"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct saver_plan plan = {.codec = codecs[c], .momentum = 0.5, .staleness = 1};
        expect_same_bits(&plan, 2);
        plan.momentum = 0;
        expect_same_bits(&plan, 3);
    }
    struct saver_plan far = {.codec = "int8", .staleness = 3};
    expect_same_bits(&far, 2);
    cr_expect_geq(world_forgive(), 1);
}

/* ---- Other ranks ---------------------------------------------------------------------------- */

/* Keeps account: what was given, less what the steps brought, is owed. */
static void run_up_debt(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    double scale = stage->plan.op == WW_MEAN ? 1.0 / world->size : 1;
    saver_begin(&saver, world, &stage->plan);
    for (uint64_t step = 1; step <= STEPS; step++) {
        saver_step(&saver, world->rank);
        for (size_t i = 0; i < SAVER_COUNT && world->rank == 0; i++) {
            double given = 0;
            for (int rank = 0; rank < world->size; rank++) {
                given += saver_gradient(rank, step, i);
            }
            stage->owed[i] += scale * given - saver.values[i];
            stage->slack[i] += fabs(scale * given) + fabs((double)saver.values[i]);
        }
    }
    if (stage->dense) {
        check_status(ww_step_dense_next(saver.context), WW_OK);
        saver_step_zeros(&saver);
        for (size_t i = 0; i < SAVER_COUNT && world->rank == 0; i++) {
            stage->owed[i] -= saver.values[i];
        }
    }
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    saver_end(&saver);
}

/* A dense step without gradients of its own brings exactly what is owed. */
static void pay(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    int wrong = 0;
    size_t nothing = 0;
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    check_status(ww_step_dense_next(saver.context), WW_OK);
    saver_step_zeros(&saver);
    for (size_t i = 0; i < SAVER_COUNT; i++) {
        wrong += !(fabs(saver.values[i] - stage->owed[i]) <= stage->slack[i] * 0x1p-22);
        nothing += stage->owed[i] == 0;
    }
    check(wrong == 0, "%s, %d -> %d ranks: %d of %d elements owe something else", stage->plan.codec,
          stage->size_before, world->size, wrong, SAVER_COUNT);
    check(stage->dense || nothing < SAVER_COUNT / 2, "hardly anything is owed");
    saver_step_zeros(&saver);
    for (size_t i = 0; i < SAVER_COUNT; i++) {
        wrong += saver.values[i] != 0;
    }
    check(wrong == 0, "%s: %d elements were paid twice", stage->plan.codec, wrong);
    saver_end(&saver);
}

static void expect_debt(const struct saver_plan *plan, int before, int after, bool exact)
{
    struct stage stage;
    stage_begin(&stage, plan);
    stage.size_before = before;
    world_run(before, run_up_debt, &stage);
    if (exact) {
        memset(stage.slack, 0, SAVER_COUNT * sizeof *stage.slack);
    }
    world_run(after, pay, &stage);
    stage_end(&stage);
}

Test(checkpoint, another_number_of_ranks_owes_the_same)
{
    static const int sizes[][2] = {{4, 2}, {2, 4}, {3, 2}, {2, 3}, {5, 2}, {2, 1}, {4, 3}, {6, 4}};
    static const char *const codecs[] = {"topk:0.02", "topk:0.05:fixed", "bf16"};
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        for (size_t c = EFFORT(0, s % 2); c < 2; c += EFFORT(1, 2)) {
            int before = sizes[s][0];
            int after = sizes[s][1];
            struct saver_plan plan = {.codec = codecs[c], .op = WW_SUM};
            expect_debt(&plan, before, after, true);
            plan.ranks_per_host = 2;
            expect_debt(&plan, before, after, true);
            plan.op = WW_MEAN;
            plan.bucket_bytes = 8000;
            bool twos = (before & (before - 1)) == 0 && (after & (after - 1)) == 0;
            expect_debt(&plan, before, after, twos);
        }
    }
}

/* Another codec, other buckets: the debt is handed on all the same. */
static void pay_otherwise(const struct ww_world *world, void *shared)
{
    struct stage other = *(struct stage *)shared;
    other.plan.codec = world->size % 2 == 0 ? "none" : "fp16";
    other.plan.bucket_bytes = 5000;
    pay(world, &other);
}

Test(checkpoint, what_is_owed_outlives_its_codec_and_its_buckets)
{
    for (int after = 2; after <= 4; after++) {
        struct stage stage;
        struct saver_plan plan = {.codec = "topk:0.02", .op = WW_SUM};
        stage_begin(&stage, &plan);
        stage.size_before = 2;
        world_run(2, run_up_debt, &stage);
        memset(stage.slack, 0, SAVER_COUNT * sizeof *stage.slack);
        world_run(after, pay_otherwise, &stage);
        stage_end(&stage);
    }
}

Test(checkpoint, a_dense_step_leaves_nothing_that_depends_on_the_rank)
{
    static const int after[] = {1, 2, 3, 4};
    for (size_t s = 0; s < LENGTH(after); s++) {
        struct stage stage;
        struct ww_checkpoint_facts facts = WW_CHECKPOINT_FACTS_INIT;
        struct saver_plan plan = {.codec = "topk:0.02", .op = WW_SUM};
        stage_begin(&stage, &plan);
        stage.dense = true;
        world_run(2, run_up_debt, &stage);
        cr_expect_eq(ww_checkpoint_describe(stage.folder, &facts), WW_OK);
        cr_expect(facts.found && facts.dense && facts.size == 2 && facts.step == STEPS + 1 &&
                  facts.generation == 1);
        for (size_t i = 0; i < SAVER_COUNT; i++) {
            cr_assert_eq(stage.owed[i], 0);
            stage.slack[i] = 0;
        }
        world_run(after[s], pay, &stage);
        stage_end(&stage);
    }
}

/* Velocity of what was not sent yet: with a factor of 1/2 and no more gradients, all that is left
 * of it comes to the same sum, whoever keeps it. */
static void coast(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    double *sum = calloc(SAVER_COUNT, sizeof *sum);
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    for (int step = 0; step < 60; step++) {
        if (step == 59) {
            check_status(ww_step_dense_next(saver.context), WW_OK);
        }
        saver_step_zeros(&saver);
        for (size_t i = 0; i < SAVER_COUNT; i++) {
            sum[i] += saver.values[i];
        }
    }
    if (world->rank == 0 && stage->straight[0] == NULL) {
        stage->straight[0] = calloc(SAVER_COUNT, sizeof *stage->straight[0]);
        for (size_t i = 0; i < SAVER_COUNT; i++) {
            stage->straight[0][i] = (float)sum[i];
        }
    } else if (world->rank == 0) {
        int wrong = 0;
        for (size_t i = 0; i < SAVER_COUNT; i++) {
            wrong += !(fabs(sum[i] - stage->straight[0][i]) <= 1e-3 * (1 + fabs(sum[i])));
        }
        check(wrong == 0, "%d ranks: %d of %d elements coasted elsewhere", world->size, wrong,
              SAVER_COUNT);
    }
    free(sum);
    saver_end(&saver);
}

Test(checkpoint, momentum_goes_on_with_other_ranks)
{
    struct stage stage;
    struct saver_plan plan = {.codec = "int8", .op = WW_SUM, .momentum = 0.5};
    stage_begin(&stage, &plan);
    world_run(4, run_up_debt, &stage);
    for (int size = 1; size <= 5; size++) {
        world_run(size, coast, &stage);
    }
    stage.plan.ranks_per_host = 2;
    world_run(4, coast, &stage);
    stage_end(&stage);
}

/* Momentum behind a dense step is common: any number of ranks goes on with the same one, and keeps
 * it common when it saves again at once. */
static void inherit(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    check_status(ww_step_dense_next(saver.context), WW_OK);
    saver_step_zeros(&saver);
    int wrong = 0;
    for (size_t i = 0; i < SAVER_COUNT; i++) {
        double wanted = stage->plan.momentum * stage->owed[i];
        wrong += !(fabs(saver.values[i] - wanted) <= 1e-6 * fabs(wanted));
    }
    check(wrong == 0, "%d ranks: %d of %d elements have another momentum", world->size, wrong,
          SAVER_COUNT);
    saver_end(&saver);
}

static void leave_momentum(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &stage->plan);
    for (int step = 0; step < STEPS; step++) {
        saver_step(&saver, world->rank);
    }
    check_status(ww_step_dense_next(saver.context), WW_OK);
    saver_step(&saver, world->rank); /* residuals are in its results as well */
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    check_status(ww_step_dense_next(saver.context), WW_OK);
    saver_step_zeros(&saver);
    for (size_t i = 0; i < SAVER_COUNT && world->rank == 0; i++) {
        stage->owed[i] = saver.values[i] / stage->plan.momentum;
    }
    saver_end(&saver);
}

/* A gradient g comes to g / (1 - momentum) in the end, however it was encoded on its way. */
static void spend(const struct ww_world *world, void *shared)
{
    const struct saver_plan *plan = shared;
    struct saver saver;
    double *got = calloc(SAVER_COUNT, sizeof *got);
    saver_begin(&saver, world, plan);
    for (int step = 0; step < STEPS + 40; step++) {
        if (step == STEPS / 2 || step == STEPS + 20) {
            check_status(ww_step_dense_next(saver.context), WW_OK);
        }
        if (step < STEPS) {
            saver_step(&saver, world->rank);
        } else {
            saver_step_zeros(&saver);
        }
        for (size_t i = 0; i < SAVER_COUNT; i++) {
            got[i] += saver.values[i];
        }
    }
    int wrong = 0;
    for (size_t i = 0; i < SAVER_COUNT; i++) {
        double given = 0;
        for (int rank = 0; rank < world->size; rank++) {
            for (uint64_t step = 1; step <= STEPS; step++) {
                given += saver_gradient(rank, step, i);
            }
        }
        wrong += !(fabs(got[i] - given / (1 - plan->momentum)) <= 0.01);
    }
    check(wrong == 0, "%s: %d of %d elements came to something else", plan->codec, wrong,
          SAVER_COUNT);
    free(got);
    saver_end(&saver);
}

Test(checkpoint, a_dense_step_pays_residuals_once_whatever_the_momentum)
{
    static const char *const codecs[] = {"none", "int8"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct saver_plan plan = {.codec = codecs[c], .op = WW_SUM, .momentum = 0.5};
        world_run(2, spend, &plan);
        world_run(3, spend, &plan);
    }
}

Test(checkpoint, momentum_behind_a_dense_step_is_everybodys)
{
    for (int op = 0; op < 2; op++) {
        struct stage stage;
        struct saver_plan plan = {.codec = "topk:0.05", .momentum = 0.5, .op = (enum ww_op)op};
        stage_begin(&stage, &plan);
        stage.plan.ranks_per_host = 2;
        world_run(3, leave_momentum, &stage);
        for (int size = 1; size <= 5; size++) {
            struct ww_checkpoint_facts facts = WW_CHECKPOINT_FACTS_INIT;
            cr_expect_eq(ww_checkpoint_describe(stage.folder, &facts), WW_OK);
            cr_expect(facts.dense, "before %d ranks: it depends on the rank", size);
            world_run(size, inherit, &stage);
        }
        stage_end(&stage);
    }
}

/* ---- Attached ------------------------------------------------------------------------------- */

static void attach(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    char text[16] = "";
    static _Thread_local uint8_t large[3000001];
    int own = 0;
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_checkpoint_attach(saver.context, "own", &own, sizeof own, WW_KEEP_PER_RANK),
                 WW_OK);
    check_status(ww_checkpoint_attach(saver.context, "large", large, sizeof large, WW_KEEP_COMMON),
                 WW_OK);
    check_status(ww_checkpoint_attach(saver.context, "text", text, sizeof text, WW_KEEP_COMMON),
                 WW_OK);
    if (stage->size_before == 0) {
        own = 100 + world->rank;
        for (size_t i = 0; i < sizeof large && world->rank == 0; i++) {
            large[i] = (uint8_t)(i * 7 + i / 1000);
        }
        check_status(ww_checkpoint_attach(saver.context, "text", NULL, 0, WW_KEEP_COMMON), WW_OK);
        check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    } else {
        bool same = world->size == stage->size_before;
        int wrong = 0;
        check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
        check(own == (same ? 100 + world->rank : 0), "rank %d has %d", world->rank, own);
        check(ww_checkpoint_has(saver.context, "own") == same, "\"own\" was loaded or not");
        check(ww_checkpoint_has(saver.context, "large"), "\"large\" was not loaded");
        check(!ww_checkpoint_has(saver.context, "text") && !ww_checkpoint_has(saver.context, "no"),
              "what was not saved was loaded");
        for (size_t i = 0; i < sizeof large; i++) {
            wrong += large[i] != (uint8_t)(i * 7 + i / 1000);
        }
        check(wrong == 0, "%d bytes differ", wrong);
    }
    saver_end(&saver);
}

Test(checkpoint, what_is_attached_comes_back)
{
    struct stage stage;
    struct saver_plan plan = {.codec = "int8"};
    stage_begin(&stage, &plan);
    world_run(3, attach, &stage);
    stage.size_before = 3;
    world_run(3, attach, &stage);
    expect_line(WW_LOG_WARN, "does not give \"text\"");
    world_run(2, attach, &stage);
    expect_line(WW_LOG_WARN, "does not give \"own\"");
    world_forgive();
    stage_end(&stage);
}

/* Numbers below the least normal one, which the loading threads of some ranks flush. */
static void fold_tiny_ones(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    float mean = (float)(world->rank + 1) * 0x1p-140F;
    float share = mean;
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_checkpoint_attach(saver.context, "mean", &mean, sizeof mean, WW_KEEP_MEAN),
                 WW_OK);
    check_status(ww_checkpoint_attach(saver.context, "share", &share, sizeof share, WW_KEEP_SHARE),
                 WW_OK);
    if (stage->size_before == 0) {
        check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    } else {
        unsigned before = world->rank == 0 ? flush_tiny_numbers() : 0;
        enum ww_status status = ww_checkpoint_load(saver.context, stage->folder);
        check(world->rank != 0 || flushes(before), "the thread's mode was not brought back");
        check_status(status, WW_OK);
        check(mean == 2.5F * 0x1p-140F, "rank %d has a mean of %a", world->rank, (double)mean);
        check(share == (float)(2 + world->rank) * 0x1p-140F, "rank %d has a share of %a",
              world->rank, (double)share);
    }
    saver_end(&saver);
}

Test(checkpoint, tiny_numbers_are_folded_alike_whoever_flushes)
{
    struct stage stage;
    struct saver_plan plan = {.codec = "int8"};
    stage_begin(&stage, &plan);
    world_run(4, fold_tiny_ones, &stage);
    stage.size_before = 4;
    world_run(2, fold_tiny_ones, &stage);
    stage_end(&stage);
}

/* ---- Told to go ----------------------------------------------------------------------------- */

static void be_told(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    bool any = true;
    saver_begin(&saver, world, &stage->plan);
    check_status(ww_preemption_watch(saver.context, SIGUSR1), WW_OK);
    check_status(ww_preemption_watch(saver.context, SIGUSR1), WW_OK);
    check(ww_preemption_watch(saver.context, SIGKILL) == WW_BAD_ARGUMENT, "it watches SIGKILL");
    check(ww_preemption_watch(saver.context, 0) == WW_BAD_ARGUMENT, "it watches signal 0");
    check(ww_preempted(saver.context, NULL) == WW_BAD_ARGUMENT, "it writes to NULL");
    check_status(ww_preempted(saver.context, &any), WW_OK);
    check(!any, "nobody was told");
    if (world->rank == world->size - 1) {
        if (stage->dense) {
            check_status(ww_preemption_notice(saver.context), WW_OK);
        } else {
            raise(SIGUSR1);
        }
    }
    world_meet(world);
    for (int again = 0; again < 2; again++) {
        check_status(ww_preempted(saver.context, &any), WW_OK);
        check(any, "rank %d does not know", world->rank);
    }
    saver_end(&saver);
}

/* A child is ended by the signal, as it would have been; a handler that took the place of the
 * library's is replaced by the next watch. */
static void watch_in_families(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    bool any = false;
    saver_begin(&saver, world, &stage->plan);
    signal(SIGUSR2, SIG_DFL);
    check_status(ww_preemption_watch(saver.context, SIGUSR2), WW_OK);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGUSR2);
        _exit(7);
    }
    int how = 0;
    check(waitpid(child, &how, 0) == child && WIFSIGNALED(how) && WTERMSIG(how) == SIGUSR2,
          "the child ended with %d", how);
    struct saver other;
    saver_begin(&other, world, &stage->plan);
    signal(SIGUSR2, SIG_IGN);
    check_status(ww_preemption_watch(other.context, SIGUSR2), WW_OK);
    raise(SIGUSR2);
    check_status(ww_preempted(other.context, &any), WW_OK);
    check(any, "the signal was not noticed");
    saver_end(&other);
    any = false;
    saver_begin(&other, world, &stage->plan);
    check_status(ww_preemption_watch(other.context, SIGUSR2), WW_OK);
    signal(SIGUSR2, SIG_IGN);
    check_status(ww_preemption_watch(other.context, SIGUSR2), WW_OK);
    raise(SIGUSR2);
    check_status(ww_preempted(other.context, &any), WW_OK);
    check(any, "the signal was not noticed by the context that watched it before");
    saver_end(&other);
    saver_end(&saver);
}

Test(checkpoint, children_are_not_watched_and_handlers_are_taken_over)
{
    struct stage stage;
    struct saver_plan plan = {.codec = "none"};
    stage_begin(&stage, &plan);
    world_run(1, watch_in_families, &stage);
    stage_end(&stage);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    handled = number;
}

Test(checkpoint, one_rank_is_told_to_go_and_all_know)
{
    struct stage stage;
    struct saver_plan plan = {.codec = "none"};
    stage_begin(&stage, &plan);
    signal(SIGUSR1, handle);
    for (int size = 1; size <= 3; size++) {
        stage.dense = size % 2 == 0;
        world_run(size, be_told, &stage);
    }
    cr_expect_eq(handled, 0, "the program's handler ran while wirewise watched");
    raise(SIGUSR1);
    cr_expect_eq(handled, SIGUSR1, "the program's handler did not come back");
    world_forgive();
    stage_end(&stage);
}
