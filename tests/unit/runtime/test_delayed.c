/* SPDX-License-Identifier: BSD-3-Clause
 * test_delayed.c: results that come late are the right ones, exactly so late, on all ranks,
 * whatever the timing; nothing is lost on the way; and what does not go with it is refused. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/ledger.h>

#include "chance.h"
#include "internal/clock.h"
#include "effort.h"
#include "values.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define TENSORS 5

TestSuite(delayed, .init = capture_start, .fini = capture_finish);

static uint64_t key_of(int rank, uint64_t step, size_t element)
{
    return chance_mix(((uint64_t)rank * 131 + step) * UINT64_C(1000003) + element * 7919 + 1);
}

/* Ranks are late now and then, each at other times. */
static void dawdle(const struct ww_world *world, uint64_t step, int where)
{
    uint64_t chance = key_of(world->rank + 17, step, (size_t)where);
    if (chance % 4 == 0) {
        clock_sleep_ns(chance / 4 % 200000);
    }
}

/* ---- The right steps' results, exactly ------------------------------------------------------- */

/* What all ranks of a test do. */
struct training {
    int staleness;
    enum ww_progress progress;
    size_t bucket_bytes;
    int steps;
    int drain_every; /* 0 = at the end only */
};

static const size_t counts[TENSORS] = {1000, 1, 0, 4097, 300};
static const enum ww_type types[TENSORS] = {WW_F32, WW_F32, WW_F32, WW_F64, WW_I64};

struct trainer {
    const struct training *training;
    const struct ww_world *world;
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS];
    void *values[TENSORS];
    uint64_t step;
    uint64_t version; /* results that came so far: all, in order */
    uint64_t oldest;  /* on its way */
};

static void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                          const struct training *training)
{
    struct ww_config config = world_config();
    config.staleness = training->staleness;
    config.progress = training->progress;
    config.bucket_bytes = training->bucket_bytes;
    config.gradient_op = WW_SUM;
    *trainer = (struct trainer){.training = training, .world = world};
    trainer->context = world_context(world, &config);
    for (int t = 0; t < TENSORS; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        check_status(
            ww_tensor_add(trainer->context, name, types[t], 1, &counts[t], &trainer->tensors[t]),
            WW_OK);
        trainer->values[t] = calloc(counts[t] + 1, 8);
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

static size_t first_element(uint64_t step, int tensor)
{
    return (size_t)step * 1009 + (size_t)tensor * 131;
}

static bool all_zero(const void *values, size_t bytes)
{
    const unsigned char *byte = values;
    while (bytes > 0 && *byte == 0) {
        byte++;
        bytes--;
    }
    return bytes == 0;
}

/* Results of that version are in place, or zeros for 0. */
static void check_results(const struct trainer *trainer, uint64_t version)
{
    for (int t = 0; t < TENSORS; t++) {
        bool right = version == 0
                         ? all_zero(trainer->values[t], counts[t] * ww_type_bytes(types[t]))
                         : values_reduced(types[t], WW_SUM, trainer->world->size,
                                          first_element(version, t), trainer->values[t], counts[t]);
        check(right, "tensor %d of rank %d of %d: not the results of step %llu in step %llu", t,
              trainer->world->rank, trainer->world->size, (unsigned long long)version,
              (unsigned long long)trainer->step);
    }
}

static void one_step(struct trainer *trainer)
{
    const struct ww_world *world = trainer->world;
    uint64_t step = ++trainer->step;
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_step_begin(trainer->context), WW_OK);
    for (int i = 0; i < TENSORS; i++) {
        int t = (i * 2 + (int)step * 3 + world->rank * 4) % TENSORS; /* ready in other orders */
        dawdle(world, step, t);
        values_fill(types[t], world->rank, first_element(step, t), trainer->values[t], counts[t]);
        check_status(ww_tensor_start(trainer->tensors[t], trainer->values[t]), WW_OK);
        if (trainer->training->staleness > 0) { /* it is the program's again */
            memset(trainer->values[t], 0x5a, counts[t] * 8);
        }
    }
    dawdle(world, step, TENSORS);
    check_status(ww_step_end(trainer->context, &report), WW_OK);
    bool due = step - trainer->version > (uint64_t)trainer->training->staleness;
    uint64_t wanted = due ? ++trainer->version : 0;
    check(report.step == step && report.version == wanted, "version %llu in step %llu, not %llu",
          (unsigned long long)report.version, (unsigned long long)step, (unsigned long long)wanted);
    check_results(trainer, wanted);
}

static void drain(struct trainer *trainer)
{
    struct ww_report report = WW_REPORT_INIT;
    do {
        dawdle(trainer->world, trainer->step, 77);
        check_status(ww_step_drain(trainer->context, &report), WW_OK);
        if (report.version > 0) {
            check(report.version == ++trainer->version && report.step == trainer->step,
                  "drained %llu", (unsigned long long)report.version);
            check_results(trainer, report.version);
        }
    } while (report.version > 0);
    check(trainer->version == trainer->step, "rank %d: %llu of %llu came", trainer->world->rank,
          (unsigned long long)trainer->version, (unsigned long long)trainer->step);
}

static void train(const struct ww_world *world, void *shared)
{
    const struct training *training = shared;
    struct trainer trainer;
    trainer_begin(&trainer, world, training);
    drain(&trainer); /* nothing is on its way */
    for (int i = 1; i <= training->steps; i++) {
        one_step(&trainer);
        if (training->drain_every > 0 && i % training->drain_every == 0) {
            drain(&trainer);
            float value = (float)world->rank;
            check_status(ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
        }
    }
    drain(&trainer);
    struct ww_ledger ledger = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &ledger), WW_OK);
    uint64_t results = 0;
    for (int i = 0; i <= WW_STALENESS_MAX; i++) {
        results += ledger.staleness[i];
        check(i <= training->staleness || ledger.staleness[i] == 0, "results %d steps late", i);
    }
    check(results == (uint64_t)training->steps, "%llu results", (unsigned long long)results);
    trainer_end(&trainer);
}

Test(delayed, every_result_comes_once_in_order_and_as_late_as_asked)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        for (int size = 1; size <= 4; size++) {
            for (int staleness = 0; staleness <= 4; staleness++) {
                struct training training = {.staleness = staleness,
                                            .progress = (enum ww_progress)progress,
                                            .bucket_bytes = staleness % 2 == 0 ? 1 : 8000,
                                            .steps = 12,
                                            .drain_every = staleness == 3 ? 5 : 0};
                world_run(size, train, &training);
            }
        }
    }
}

Test(delayed, the_most_staleness_there_is_works)
{
    struct training training = {.staleness = WW_STALENESS_MAX,
                                .progress = WW_PROGRESS_THREAD,
                                .bucket_bytes = 1,
                                .steps = 40};
    world_run(3, train, &training);
}

/* ---- Counters ------------------------------------------------------------------------------- */

/* Rank 1 comes to a step once rank 0 has ended it: what rank 0 announced there passes the gate in
 * the next one, or while it drains. */
static void announce_before_a_steps_end(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.staleness = 1;
    config.host = world->rank == 0 ? "a" : "b"; /* announcements are messages */
    struct ww_context *context = world_context(world, &config);
    const size_t count = 100;
    float values[100] = {0};
    struct ww_tensor *tensor = NULL;
    struct ww_report report = WW_REPORT_INIT;
    uint64_t sent = 0;
    check_status(ww_tensor_add(context, "few", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 0; step < 6; step++) {
        if (world->rank == 1) {
            world_meet(world);
        }
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(tensor, values), WW_OK);
        check_status(ww_step_end(context, &report), WW_OK);
        if (world->rank == 0) {
            world_meet(world);
        }
        check(report.control_bytes < 4096, "step %d: %llu bytes to agree", step,
              (unsigned long long)report.control_bytes);
        sent += report.sent_bytes;
    }
    check_status(ww_step_drain(context, &report), WW_OK);
    check(report.control_bytes < 4096, "%llu bytes to agree on what is drained",
          (unsigned long long)report.control_bytes);
    sent += report.sent_bytes;
    check(sent == 6 * sizeof values, "%llu bytes sent", (unsigned long long)sent);
    ww_context_destroy(context);
}

Test(delayed, values_in_announcements_are_no_control_at_any_steps_end)
{
    world_run(2, announce_before_a_steps_end, NULL);
}

/* ---- Single calls --------------------------------------------------------------------------- */

#define LATE_COUNT ((size_t)200000)

static void step_late(struct ww_context *context, struct ww_tensor *tensor, float *values)
{
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, values), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
}

/* Rank 0 calls between two steps, the others behind the second, which waits for the first's
 * results: nobody but rank 0 can move its part of them. */
static void call_at_two_places(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    float *values = calloc(LATE_COUNT, sizeof *values);
    struct ww_tensor *tensor = NULL;
    const size_t count = LATE_COUNT;
    int32_t calls = 1;
    config.staleness = 1;
    config.timeout_s = 20;
    config.progress = WW_PROGRESS_INLINE;
    config.shared_memory = *(const bool *)shared;
    struct ww_context *context = world_context(world, &config);
    check_status(ww_tensor_add(context, "late", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    step_late(context, tensor, values);
    if (world->rank == 0) {
        check_status(ww_all_reduce(context, &calls, &calls, 1, WW_I32, WW_SUM), WW_OK);
    }
    step_late(context, tensor, values);
    if (world->rank != 0) {
        check_status(ww_all_reduce(context, &calls, &calls, 1, WW_I32, WW_SUM), WW_OK);
    }
    check(calls == world->size, "%d", (int)calls);
    check_status(ww_step_drain(context, NULL), WW_OK);
    ww_context_destroy(context);
    free(values);
}

Test(delayed, a_single_call_moves_results_that_others_wait_for)
{
    for (int memory = 0; memory <= 1; memory++) {
        bool shared = memory == 1;
        world_run(3, call_at_two_places, &shared);
    }
}

/* ---- The stability of a quadratic tells how late gradients are ---------------------------------
 */

struct valley {
    int staleness;
    double rate; /* times curvature */
    enum ww_progress progress;
    bool converged;
};

#define VALLEY_STEPS 6000
#define VALLEY_WINDOW 64 /* longer than an oscillation */

/* 1 = small, -1 = large, 0 = go on: of the largest position lately. */
static int judge(double *lately, int step, double w)
{
    lately[step % VALLEY_WINDOW] = fabs(w);
    double most = 0;
    for (int i = 0; i < VALLEY_WINDOW; i++) {
        most = fmax(most, lately[i]);
    }
    return most > 1e3 ? -1 : most < 1e-3 ? 1 : 0;
}

/* f = w^2 / 2; every rank's gradient is off by what the others make good. */
static void descend(const struct ww_world *world, void *shared)
{
    struct valley *valley = shared;
    struct ww_config config = world_config();
    struct ww_tensor *tensor = NULL;
    config.staleness = valley->staleness;
    config.progress = valley->progress;
    struct ww_context *context = world_context(world, &config);
    check_status(ww_tensor_add(context, "w", WW_F64, 0, NULL, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    double w = 1;
    double gradient = 0; /* drains write there, too */
    double lately[VALLEY_WINDOW];
    int verdict = 0;
    for (int i = 0; i < VALLEY_WINDOW; i++) {
        lately[i] = 1;
    }
    for (int step = 0; step < VALLEY_STEPS && verdict == 0; step++) {
        struct ww_report report = WW_REPORT_INIT;
        gradient = w + world->rank - (world->size - 1) * 0.5;
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(tensor, &gradient), WW_OK);
        check_status(ww_step_end(context, &report), WW_OK);
        if (report.version > 0) {
            w -= valley->rate * gradient;
        }
        verdict = judge(lately, step, w);
    }
    check(verdict != 0, "staleness %d, rate %g: no verdict, w = %g", valley->staleness,
          valley->rate, w);
    struct ww_report report = WW_REPORT_INIT;
    do {
        check_status(ww_step_drain(context, &report), WW_OK);
    } while (report.version > 0);
    if (world->rank == 0) {
        valley->converged = verdict > 0;
    }
    ww_context_destroy(context);
}

static bool converges(int size, int staleness, double rate, enum ww_progress progress)
{
    struct valley valley = {.staleness = staleness, .rate = rate, .progress = progress};
    world_run(size, descend, &valley);
    return valley.converged;
}

Test(delayed, a_quadratic_is_stable_up_to_the_bound_of_its_staleness_and_no_other)
{
    for (int size = 1; size <= 4; size++) {
        enum ww_progress progress = size == 2 ? WW_PROGRESS_THREAD : WW_PROGRESS_INLINE;
        for (int s = 0; s <= EFFORT(4, 2); s++) {
            double bound = 2 * sin(3.14159265358979323846 / (2 * (2 * s + 1)));
            cr_expect(converges(size, s, 0.98 * bound, progress), "%d ranks, s %d: 0.98", size, s);
            cr_expect(!converges(size, s, 1.02 * bound, progress), "%d ranks, s %d: 1.02", size, s);
            if (size == 3 || size == 1) {
                cr_expect(!converges(size, s + 1, 0.98 * bound, progress), "s %d at 0.98 of %d's",
                          s + 1, s);
                cr_expect(s == 0 || converges(size, s - 1, 1.02 * bound, progress),
                          "s %d at 1.02 of %d's", s - 1, s);
            }
        }
    }
}

/* ---- The same bits as without delay ------------------------------------------------------------
 */

#define MATRICES 3
#define STREAM_STEPS 14
static const size_t shapes[MATRICES][2] = {{100, 70}, {61, 1}, {EFFORT(200, 61), EFFORT(150, 100)}};

/* Gradients that depend on rank and step alone go through two contexts. */
struct stream {
    const char *codec;
    const char *later; /* from step 8 on; NULL = as before */
    int staleness;
    int ranks_per_host;
    enum ww_progress progress;
    double momentum;
    double clip_norm;
    double loss_scale;
    int warmup;
    bool allow;
};

static size_t matrix_count(int matrix)
{
    return shapes[matrix][0] * shapes[matrix][1];
}

static size_t stream_count(void)
{
    size_t count = 0;
    for (int m = 0; m < MATRICES; m++) {
        count += matrix_count(m);
    }
    return count;
}

static struct ww_context *stream_context(const struct ww_world *world, const struct stream *stream,
                                         int staleness, struct ww_tensor **tensors)
{
    struct ww_config config = world_config();
    char host[32];
    snprintf(host, sizeof host, "host %d",
             stream->ranks_per_host == 0 ? 0 : world->rank / stream->ranks_per_host);
    config.host = host;
    config.codec = stream->codec;
    config.codec_least_count = 1000;
    config.bucket_bytes = EFFORT(64 << 10, 16 << 10);
    config.probe = WW_PROBE_OFF;
    config.deterministic = WW_DETERMINISTIC_PLAN;
    config.staleness = staleness;
    config.progress = stream->progress;
    config.momentum = stream->momentum;
    config.clip_norm = stream->clip_norm;
    config.density_warmup_steps = stream->warmup;
    config.allow_stale_topk = stream->allow;
    struct ww_context *context = world_context(world, &config);
    for (int m = 0; m < MATRICES; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", m);
        check_status(ww_tensor_add(context, name, WW_F32, 2, shapes[m], &tensors[m]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    return context;
}

static float drawn(int rank, uint64_t step, size_t element)
{
    uint64_t key = key_of(rank, step, element);
    return (float)((double)(key >> 11) * 0x1p-53 - 0.5) * (key % 64 == 0 ? 40 : 1);
}

/* One step of the stream; what came is in values[stream_count()]. Returns its version. */
static uint64_t stream_step(struct ww_context *context, const struct stream *stream,
                            struct ww_tensor **tensors, uint64_t step, float *values)
{
    struct ww_report report = WW_REPORT_INIT;
    int rank = ww_rank(context);
    if (stream->later != NULL && step == 8) {
        check_status(ww_step_codec(context, stream->later), WW_OK);
    }
    check_status(ww_step_begin(context), WW_OK);
    double scale = stream->loss_scale > 0 ? stream->loss_scale * (double)(1 + step % 3) : 1;
    if (stream->loss_scale > 0) {
        check_status(ww_step_loss_scale(context, scale), WW_OK);
    }
    size_t first = 0;
    for (int m = 0; m < MATRICES; m++) {
        size_t count = matrix_count(m);
        for (size_t i = 0; i < count; i++) {
            values[first + i] = drawn(rank, step, first + i) * (float)scale;
        }
        check_status(ww_tensor_start(tensors[m], values + first), WW_OK);
        first += count;
    }
    check_status(ww_step_end(context, &report), WW_OK);
    return report.version;
}

static void check_same(const struct stream *stream, uint64_t version, const float *got,
                       const float *synchronous)
{
    size_t count = stream_count();
    check(version >= 1 && version <= STREAM_STEPS, "version %llu", (unsigned long long)version);
    check(memcmp(got, synchronous + (version - 1) * count, count * sizeof *got) == 0,
          "%s, staleness %d: step %llu came with other bits", stream->codec, stream->staleness,
          (unsigned long long)version);
}

static void compare_streams(const struct ww_world *world, void *shared)
{
    const struct stream *stream = shared;
    struct ww_tensor *tensors[MATRICES];
    size_t count = stream_count();
    float *synchronous = calloc(STREAM_STEPS * count, sizeof *synchronous);
    float *values = calloc(count, sizeof *values);
    struct ww_context *context = stream_context(world, stream, 0, tensors);
    for (uint64_t step = 1; step <= STREAM_STEPS; step++) {
        stream_step(context, stream, tensors, step, synchronous + (step - 1) * count);
    }
    ww_context_destroy(context);

    uint64_t came = 0;
    context = stream_context(world, stream, stream->staleness, tensors);
    for (uint64_t step = 1; step <= STREAM_STEPS; step++) {
        dawdle(world, step, 5);
        uint64_t version = stream_step(context, stream, tensors, step, values);
        if (version > 0) {
            check_same(stream, version, values, synchronous);
            came++;
        }
        check(came == (step > (uint64_t)stream->staleness ? step - (uint64_t)stream->staleness : 0),
              "%llu results", (unsigned long long)came);
    }
    struct ww_report report = WW_REPORT_INIT;
    while (ww_step_drain(context, &report) == WW_OK && report.version > 0) {
        check_same(stream, report.version, values, synchronous);
        came++;
    }
    check(came == STREAM_STEPS, "%llu results", (unsigned long long)came);
    ww_context_destroy(context);
    free(synchronous);
    free(values);
}

Test(delayed, results_have_the_bits_of_synchronous_steps)
{
    static const struct stream streams[] = {
        {.codec = "none", .staleness = 1, .momentum = 0.9},
        {.codec = "none", .staleness = 3, .clip_norm = 3, .loss_scale = 64},
        {.codec = "int8", .staleness = 1},
        {.codec = "int8", .staleness = 4, .momentum = 0.5, .loss_scale = 1024},
        {.codec = "int8", .staleness = 2, .later = "fp16", .clip_norm = 1},
        {.codec = "fp16", .staleness = 2, .later = "int8"},
        {.codec = "topk:0.05", .staleness = 1, .momentum = 0.9, .warmup = 9},
        {.codec = "topk:0.05", .staleness = 3, .allow = true, .later = "int8", .warmup = 5},
    };
    for (int size = 1; size <= 4; size++) {
        for (size_t i = (size_t)size % EFFORT(1, 2); i < LENGTH(streams); i += EFFORT(1, 2)) {
            struct stream stream = streams[i];
            stream.progress = i % 2 == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD;
            stream.ranks_per_host = (int)(i % 3); /* one host, hosts of one, of two */
            world_run(size, compare_streams, &stream);
        }
    }
}

/* ---- Nothing is lost ----------------------------------------------------------------------------
 */

/* Integers, so that sums are exact: what was applied, is on its way or was left out by encoding is
 * what was posted. */
struct purse {
    const char *codec;
    int staleness;
    enum ww_progress progress;
};

#define PURSE_STEPS 20
static const size_t purse_shape[2] = {EFFORT(120, 40), EFFORT(110, 33)};

/* With 254 among them, int8 counts in steps of 2, and the sum of ranks in steps of 2 size: what it
 * leaves out are integers as well. */
static float coin(int rank, uint64_t step, size_t element)
{
    return element % 4 == 0 ? 254 : (float)(key_of(rank, step, element) % 401) - 200;
}

struct purser {
    const struct ww_world *world;
    struct ww_context *context;
    struct ww_tensor *tensor;
    uint64_t step;
    size_t count;
    float *values;
    double *balance; /* posted by all and not applied yet */
};

static void purser_begin(struct purser *purser, const struct ww_world *world,
                         const struct purse *purse)
{
    struct ww_config config = world_config();
    config.codec = purse->codec;
    config.codec_least_count = 1000;
    config.gradient_op = WW_SUM;
    config.staleness = purse->staleness;
    config.progress = purse->progress;
    config.allow_stale_topk = true;
    *purser = (struct purser){.world = world, .count = purse_shape[0] * purse_shape[1]};
    purser->context = world_context(world, &config);
    check_status(ww_tensor_add(purser->context, "purse", WW_F32, 2, purse_shape, &purser->tensor),
                 WW_OK);
    check_status(ww_tensors_commit(purser->context), WW_OK);
    purser->values = calloc(purser->count, sizeof *purser->values);
    purser->balance = calloc(purser->count, sizeof *purser->balance);
}

static void apply(struct purser *purser)
{
    for (size_t i = 0; i < purser->count; i++) {
        purser->balance[i] -= purser->values[i];
    }
}

static void purser_step(struct purser *purser, bool gives)
{
    struct ww_report report = WW_REPORT_INIT;
    uint64_t step = ++purser->step;
    check_status(ww_step_begin(purser->context), WW_OK);
    for (size_t i = 0; i < purser->count; i++) {
        purser->values[i] = gives ? coin(purser->world->rank, step, i) : 0;
        for (int rank = 0; gives && rank < purser->world->size; rank++) {
            purser->balance[i] += coin(rank, step, i);
        }
    }
    dawdle(purser->world, step, 3);
    check_status(ww_tensor_start(purser->tensor, purser->values), WW_OK);
    dawdle(purser->world, step, 4);
    check_status(ww_step_end(purser->context, &report), WW_OK);
    if (report.version > 0) {
        apply(purser);
    }
}

static void purser_drain(struct purser *purser)
{
    struct ww_report report = WW_REPORT_INIT;
    while (ww_step_drain(purser->context, &report) == WW_OK && report.version > 0) {
        apply(purser);
    }
}

static size_t owed(const struct purser *purser)
{
    size_t count = 0;
    for (size_t i = 0; i < purser->count; i++) {
        count += purser->balance[i] != 0;
    }
    return count;
}

static void keep_purse(const struct ww_world *world, void *shared)
{
    const struct purse *purse = shared;
    struct purser purser;
    bool encodes = strcmp(purse->codec, "none") != 0;
    purser_begin(&purser, world, purse);
    for (int i = 0; i < PURSE_STEPS; i++) {
        purser_step(&purser, true);
    }
    if (purse->staleness == 2) { /* else the dense step follows the others on their way */
        purser_drain(&purser);
        check((owed(&purser) > 0) == (encodes && world->size > 1), "%s: %zu are left out",
              purse->codec, owed(&purser));
    }
    if (encodes) { /* a dense step brings what was left out */
        check_status(ww_step_codec(purser.context, "none"), WW_OK);
    }
    purser_step(&purser, false);
    purser_drain(&purser);
    check(owed(&purser) == 0, "%s, staleness %d, rank %d of %d: %zu of %zu sums are off",
          purse->codec, purse->staleness, world->rank, world->size, owed(&purser), purser.count);
    ww_context_destroy(purser.context);
    free(purser.values);
    free(purser.balance);
}

Test(delayed, applied_on_their_way_and_left_out_is_what_was_posted)
{
    static const char *const codecs[] = {"none", "int8", "topk:0.03"};
    for (int size = 1; size <= 4; size++) {
        for (size_t c = 0; c < LENGTH(codecs); c++) {
            for (int staleness = 1; staleness <= 3; staleness++) {
                struct purse purse = {codecs[c], staleness,
                                      (size + staleness) % 2 == 0 ? WW_PROGRESS_INLINE
                                                                  : WW_PROGRESS_THREAD};
                world_run(size, keep_purse, &purse);
            }
        }
    }
}
