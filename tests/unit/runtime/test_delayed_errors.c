/* SPDX-License-Identifier: BSD-3-Clause
 * test_delayed_errors.c: what does not go with delayed results is refused with a reason, ranks that
 * stay away or do something else are named, and what is abandoned is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wirewise/ledger.h>

#include "internal/clock.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(delayed_errors, .init = capture_start, .fini = capture_finish);

struct trainer {
    struct ww_context *context;
    struct ww_tensor *a, *b;
    float values[2][4];
};

static void trainer_begin(struct trainer *trainer, const struct ww_world *world, int staleness,
                          enum ww_progress progress, double timeout_s)
{
    struct ww_config config = world_config();
    config.calibrate = WW_CALIBRATE_ALWAYS; /* what that sends stands in no report */
    config.calibrate_s = 0.01;
    config.calibration_file = "none";
    size_t count = 4;
    config.progress = progress;
    config.timeout_s = timeout_s;
    config.bucket_bytes = 1;
    config.staleness = staleness;
    memset(trainer, 0, sizeof *trainer);
    trainer->context = world_context(world, &config);
    check_status(ww_tensor_add(trainer->context, "a", WW_F32, 1, &count, &trainer->a), WW_OK);
    check_status(ww_tensor_add(trainer->context, "b", WW_F32, 1, &count, &trainer->b), WW_OK);
    check_status(ww_tensors_commit(trainer->context), WW_OK);
}

static enum ww_status step(struct trainer *trainer)
{
    enum ww_status status = ww_step_begin(trainer->context);
    status = status == WW_OK ? ww_tensor_start(trainer->b, trainer->values[1]) : status;
    status = status == WW_OK ? ww_tensor_skip(trainer->a, trainer->values[0]) : status;
    return status == WW_OK ? ww_step_end(trainer->context, NULL) : status;
}

static void check_said(enum ww_status status, enum ww_status wanted, struct ww_context *context,
                       const char *words)
{
    check(status == wanted, "%s instead of %s, \"%s\"", ww_status_name(status),
          ww_status_name(wanted), words);
    check_words(ww_last_error(context), words);
}

/* ---- Wrong use ---------------------------------------------------------------------------- */

static void use_wrongly(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_report report = WW_REPORT_INIT;
    trainer_begin(&trainer, world, 2, *(enum ww_progress *)shared, 60);
    struct ww_context *context = trainer.context;
    check_status(ww_step_drain(context, NULL), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_said(ww_step_drain(context, &report), WW_BAD_STATE, context,
               "ww_step_drain was called inside of a step");
    check_status(ww_tensor_start(trainer.b, trainer.values[1]), WW_OK);
    check_said(ww_tensor_wait(trainer.b), WW_BAD_STATE, context,
               "ww_tensor_wait(\"b\"): with staleness 2 results of an earlier step come with");
    check_status(ww_tensor_skip(trainer.a, NULL), WW_OK);
    check_status(ww_step_end(context, &report), WW_OK);
    check(report.version == 0 && report.buckets == 0 && report.skipped == 1, "a wrong report");
    check_said(ww_step_discard(context), WW_BAD_STATE, context, "with staleness 2 later steps");
    report.struct_bytes = 4;
    check_said(ww_step_drain(context, &report), WW_BAD_ARGUMENT, context,
               "report->struct_bytes is 4");
    check_said(ww_step_drain(NULL, NULL), WW_BAD_ARGUMENT, NULL, "NULL for the context");
    check_status(step(&trainer), WW_OK);
    report = (struct ww_report)WW_REPORT_INIT;
    for (uint64_t version = 1; version <= 2; version++) {
        check_status(ww_step_drain(context, &report), WW_OK);
        check(report.version == version && report.step == 2, "version %llu",
              (unsigned long long)report.version);
    }
    check_status(ww_step_drain(context, &report), WW_OK);
    check(report.version == 0, "it drained twice");
    ww_context_destroy(context);
}

Test(delayed_errors, wrong_use_is_said_and_breaks_nothing)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(2, use_wrongly, &kind);
        cr_expect_eq(world_forgive(), 2 * 5);
    }
}

static void drain_nothing(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct trainer trainer;
    struct ww_report report = WW_REPORT_INIT;
    trainer_begin(&trainer, world, 0, WW_PROGRESS_INLINE, 60);
    check_status(ww_step_drain(trainer.context, &report), WW_OK);
    check_status(step(&trainer), WW_OK);
    check_status(ww_step_drain(trainer.context, &report), WW_OK);
    check(report.version == 0 && report.step == 1, "version %llu",
          (unsigned long long)report.version);
    ww_context_destroy(trainer.context);
}

Test(delayed_errors, without_staleness_there_is_nothing_to_drain)
{
    world_run(2, drain_nothing, NULL);
}

/* ---- Settings that do not go together -------------------------------------------------------- */

struct refusal {
    const char *codec;
    const char *allowed;
    int staleness;
    enum ww_probe probe;
    bool allow;
    const char *words; /* NULL = it is fine */
};

static void make_with(const struct ww_world *world, void *shared)
{
    const struct refusal *refusal = shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.codec = refusal->codec;
    config.codecs_allowed = refusal->allowed == NULL ? "none" : refusal->allowed;
    config.staleness = refusal->staleness;
    config.probe = refusal->probe;
    config.allow_stale_topk = refusal->allow;
    enum ww_status status = ww_context_create(world, &config, &context);
    check(status == (refusal->words == NULL ? WW_OK : WW_BAD_CONFIG), "%s: %s", refusal->codec,
          ww_status_name(status));
    if (refusal->words != NULL) {
        check_words(ww_last_error(NULL), refusal->words);
    }
    ww_context_destroy(context);
}

Test(delayed_errors, settings_that_do_not_go_together_are_refused)
{
    static const struct refusal refusals[] = {
        {"topk:0.01", NULL, 1, WW_PROBE_AUTO, false, NULL},
        {"topk:0.01", NULL, 2, WW_PROBE_AUTO, true, NULL},
        {"topk:0.01", NULL, 2, WW_PROBE_AUTO, false, "codec is topk and staleness is 2"},
        {"topk:0.1:fixed", NULL, 8, WW_PROBE_AUTO, false, "allow_stale_topk"},
        {"int8", NULL, 8, WW_PROBE_AUTO, false, NULL},
        {"int8", NULL, 9, WW_PROBE_AUTO, false, "staleness is \"9\""},
        {"int8", NULL, -1, WW_PROBE_AUTO, false, "a number from 0 to 8"},
        {"auto", "int8", 1, WW_PROBE_AUTO, false, "codec is \"auto\" and staleness is 1"},
        {"int8", NULL, 1, WW_PROBE_STEPS, false, "probe is \"steps\" and staleness is 1"},
        {"int8", NULL, 3, WW_PROBE_SHADOWS, false, "probe is \"shadows\" and staleness is 3"},
    };
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        struct refusal refusal = refusals[i];
        world_run(2, make_with, &refusal);
        world_forgive();
    }
}

static void change_to_topk(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct trainer trainer;
    trainer_begin(&trainer, world, 3, WW_PROGRESS_INLINE, 60);
    check_said(ww_step_codec(trainer.context, "topk:0.1"), WW_BAD_ARGUMENT, trainer.context,
               "ww_step_codec is topk and staleness is 3");
    ww_context_destroy(trainer.context);
    struct ww_config config = world_config();
    size_t count = 100;
    config.staleness = 2;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor = NULL;
    check_status(ww_tensor_add(context, "t", WW_F32, 1, &count, &tensor), WW_OK);
    check_said(ww_tensor_codec(tensor, "topk:0.1"), WW_BAD_ARGUMENT, context,
               "ww_tensor_codec is topk and staleness is 2");
    check_status(ww_tensor_codec(tensor, "int8"), WW_OK);
    float values[100];
    check_status(
        ww_all_reduce_coded(context, (float[100]){0}, values, 100, WW_SUM, "topk:0.1", NULL),
        WW_OK); /* a single call is not late */
    ww_context_destroy(context);
}

Test(delayed_errors, late_top_k_is_refused_by_every_door)
{
    world_run(1, change_to_topk, NULL);
    cr_expect_eq(world_forgive(), 2);
}

static void differ_in_staleness(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.staleness = world->rank == 1 ? 2 : 1;
    check_status(ww_context_create(world, &config, &context), WW_MISMATCH);
    check_words(ww_last_error(NULL), "rank 1", "staleness");
}

Test(delayed_errors, ranks_with_another_staleness_are_named)
{
    world_run(3, differ_in_staleness, NULL);
    world_forgive();
}

/* ---- Ranks that stay away, or go another way ---------------------------------------------------
 */

static void stay_away(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, 2, *(enum ww_progress *)shared, 0.3);
    enum ww_status status = WW_OK;
    int steps = 0;
    for (; steps < 20 && status == WW_OK && !(world->rank == 2 && steps == 4); steps++) {
        status = step(&trainer);
    }
    if (world->rank != 2) {
        check(status == WW_TIMED_OUT, "%s in step %d", ww_status_name(status), steps);
        check(steps > 4 && steps <= 7, "it failed in step %d", steps);
        check_words(ww_last_error(trainer.context), "rank 2 (", "of step 5", "timeout_s");
        check_status(ww_step_drain(trainer.context, NULL), WW_TIMED_OUT);
    }
    world_meet(world);
    ww_context_destroy(trainer.context);
}

Test(delayed_errors, a_rank_that_is_lost_while_steps_are_on_their_way_is_named)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(3, stay_away, &kind);
        cr_expect_geq(world_forgive(), 2);
    }
}

/* Rank 1 forgets to drain before the next thing that all do. */
static void drain_alone(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, 1, *(enum ww_progress *)shared, 60);
    check_status(step(&trainer), WW_OK);
    float value = 1;
    enum ww_status status = world->rank == 1
                                ? ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_SUM)
                                : ww_step_drain(trainer.context, NULL);
    check_said(status, WW_MISMATCH, trainer.context, "ww_step_drain");
    check_words(ww_last_error(trainer.context), "rank 1");
    ww_context_destroy(trainer.context);
}

Test(delayed_errors, a_rank_that_does_not_drain_with_the_others_is_named)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(3, drain_alone, &kind);
        cr_expect_geq(world_forgive(), 3);
    }
}

/* ---- The end ------------------------------------------------------------------------------------
 */

static void abandon(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, 2, *(enum ww_progress *)shared, 60);
    for (int i = 0; i < 5; i++) {
        check_status(step(&trainer), WW_OK);
    }
    ww_context_destroy(trainer.context);
}

Test(delayed_errors, what_the_end_abandons_is_told)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        for (int size = 1; size <= 4; size++) {
            world_run(size, abandon, &kind);
            for (int rank = 0; rank < size; rank++) {
                expect_line(WW_LOG_WARN, "the results of 2 steps on the way, from step 4 on, are");
            }
        }
    }
}

/* The others leave two seconds before rank 1, which goes on or does not. */
enum going_on { NOT_AT_ALL, BY_STEPS, BY_A_DRAIN };

struct ending {
    enum ww_progress progress;
    enum going_on going_on;
};

/* A tensor that needs all ranks until it is done: it is too large for announcements. */
#define LARGE ((size_t)20000)

static enum ww_status large_step(struct ww_context *context, struct ww_tensor *tensor,
                                 float *values)
{
    enum ww_status status = ww_step_begin(context);
    status = status == WW_OK ? ww_tensor_start(tensor, values) : status;
    return status == WW_OK ? ww_step_end(context, NULL) : status;
}

static void compute(struct ww_context *context, double seconds)
{
    uint64_t since_ns = clock_now_ns();
    while ((double)(clock_now_ns() - since_ns) < seconds * 1e9) {
        check_status(ww_progress(context), WW_OK);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void end_late(const struct ww_world *world, void *shared)
{
    const struct ending *ending = shared;
    struct ww_config config = world_config();
    config.progress = ending->progress;
    config.staleness = 2;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor = NULL;
    size_t count = LARGE;
    float *values = calloc(count, sizeof *values);
    check_status(ww_tensor_add(context, "t", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    for (int i = 0; i < 5; i++) {
        compute(context, world->rank == 1 && i == 4 ? 0.1 : 0); /* the others leave before it */
        check_status(large_step(context, tensor, values), WW_OK);
    }
    compute(context, world->rank == 1 ? 2 : 0);
    bool alone = world->rank == 1 && ending->going_on != NOT_AT_ALL;
    enum ww_status status = alone && ending->going_on == BY_A_DRAIN ? ww_step_drain(context, NULL)
                                                                    : WW_OK;
    for (int i = 0; i < 4 && alone && ending->going_on == BY_STEPS && status == WW_OK; i++) {
        status = large_step(context, tensor, values);
    }
    check(status == (alone ? WW_MISMATCH : WW_OK), "%s", ww_status_name(status));
    if (alone) {
        /* What is drained may be there already: then the ranks meet in different calls. */
        check_words(ww_last_error(context), "ww_context_destroy",
                    ending->going_on == BY_STEPS ? "behind step 5, where others go on" : "rank ");
    }
    ww_context_destroy(context);
    free(values);
}

Test(delayed_errors, only_who_goes_on_fails_because_others_left)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        for (int how = NOT_AT_ALL; how <= BY_A_DRAIN; how++) {
            struct ending ending = {(enum ww_progress)progress, (enum going_on)how};
            world_run(3, end_late, &ending);
            if (how == NOT_AT_ALL) {
                for (int rank = 0; rank < 3; rank++) {
                    expect_line(WW_LOG_WARN, "the results of 2 steps on the way, from step 4 on");
                }
            } else {
                world_forgive();
            }
        }
    }
}

/* ---- What the ledger tells ----------------------------------------------------------------------
 */

static void count_bytes(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_ledger ledgers[2] = {WW_LEDGER_INIT, WW_LEDGER_INIT};
    for (int staleness = 0; staleness <= 1; staleness++) {
        trainer_begin(&trainer, world, 2 * staleness, *(enum ww_progress *)shared, 60);
        for (int i = 0; i < 6; i++) {
            check_status(step(&trainer), WW_OK);
        }
        while (staleness > 0) {
            struct ww_report report = WW_REPORT_INIT;
            check_status(ww_step_drain(trainer.context, &report), WW_OK);
            if (report.version == 0) {
                break;
            }
        }
        check_status(ww_ledger_read(trainer.context, &ledgers[staleness]), WW_OK);
        ww_context_destroy(trainer.context);
    }
    const struct ww_ledger *now = &ledgers[0];
    const struct ww_ledger *late = &ledgers[1];
    check(late->steps == 6 && late->payload_bytes == now->payload_bytes, "%llu steps",
          (unsigned long long)late->steps);
    for (int level = 0; level < now->levels; level++) {
        check(late->level[level].sent_bytes == now->level[level].sent_bytes &&
                  late->level[level].planned_bytes == late->level[level].sent_bytes &&
                  late->level[level].dense32_bytes == now->level[level].dense32_bytes,
              "other bytes on level %d", level);
    }
    check(late->staleness[0] == 1 && late->staleness[1] == 1 && late->staleness[2] == 4,
          "a wrong histogram");
    check(now->staleness[0] == 6, "a wrong histogram without staleness");
    char table[4096];
    ww_ledger_print(late, table, sizeof table);
    check_words(table, "\nstaleness    0: 1, 1: 1, 2: 4 results; ");
    ww_ledger_print(now, table, sizeof table);
    check(strstr(table, "staleness") == NULL, "staleness where there is none");
}

Test(delayed_errors, the_ledger_counts_every_byte_and_how_late_results_came)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(3, count_bytes, &kind);
    }
}
