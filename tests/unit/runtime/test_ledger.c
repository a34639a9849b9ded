/* SPDX-License-Identifier: BSD-3-Clause
 * test_ledger.c: the account of steps: bytes beside those of dense plans, which steps are probes
 * and what becomes of residuals in them, what is known of savings and when. Of times it asks only
 * what no slow machine can break. */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "effort.h"
#include "internal/clock.h"
#include "trainer.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(ledger, .init = capture_start, .fini = trainer_finish_capture);

struct plan_of_test {
    const char *codec;
    const char *allowed;
    int ranks_per_host; /* 0 = all share one */
    bool is_ragged;     /* the last host has fewer: not every rank may send less than densely */
    enum ww_probe probe;
    enum ww_progress progress;
};

static struct ww_config config_of(const struct ww_world *world, const struct plan_of_test *plan)
{
    struct ww_config config = trainer_config(world, plan->codec, plan->ranks_per_host);
    config.codecs_allowed = plan->allowed == NULL ? "none" : plan->allowed;
    config.probe = plan->probe;
    config.progress = plan->progress == WW_PROGRESS_THREAD ? WW_PROGRESS_THREAD
                                                           : WW_PROGRESS_INLINE;
    return config;
}

/* With five steps to warm up: four times two home, three dense, three home; the fourth time two
 * steps later. */
#define BLOCK_STEPS 8
#define FOURTH_STEP (6 + 3 * BLOCK_STEPS + 2)
#define KNOWN_STEP (FOURTH_STEP + BLOCK_STEPS - 1)
static bool is_compared_step(uint64_t step)
{
    return (step > 5 && step <= 5 + 3 * BLOCK_STEPS) || (step >= FOURTH_STEP && step <= KNOWN_STEP);
}

static bool is_probe_step(uint64_t step)
{
    uint64_t turn = (step - (step < FOURTH_STEP ? 6 : FOURTH_STEP)) % BLOCK_STEPS;
    return is_compared_step(step) && turn >= 2 && turn <= 4;
}

static bool encodes(const struct plan_of_test *plan)
{
    return strcmp(plan->codec, "none") != 0;
}

/* ---- Bytes ------------------------------------------------------------------------------ */

static void check_levels(const struct plan_of_test *plan, const struct ww_report *report)
{
    int last = report->levels - 1;
    for (int level = 0; level <= last; level++) {
        const struct ww_level_report *line = &report->level[level];
        check(2 * line->dense16_bytes == line->dense32_bytes,
              "level %d: %llu in 16 bits, %llu in 32", level,
              (unsigned long long)line->dense16_bytes, (unsigned long long)line->dense32_bytes);
        if (!encodes(plan) || (report->probe && plan->probe != WW_PROBE_SHADOWS)) {
            check(line->sent_bytes == line->dense32_bytes &&
                      line->planned_bytes == line->dense32_bytes,
                  "%s, step %llu, level %d: sent %llu, planned %llu, dense %llu", plan->codec,
                  (unsigned long long)report->step, level, (unsigned long long)line->sent_bytes,
                  (unsigned long long)line->planned_bytes, (unsigned long long)line->dense32_bytes);
        }
    }
    if (encodes(plan) && (!report->probe || plan->probe == WW_PROBE_SHADOWS)) {
        const struct ww_level_report *outermost = &report->level[last];
        bool sends_less = outermost->sent_bytes < outermost->dense32_bytes;
        check(plan->is_ragged ? outermost->sent_bytes == outermost->planned_bytes : sends_less,
              "%s, step %llu, level %d: %llu sent of %llu", plan->codec,
              (unsigned long long)report->step, last, (unsigned long long)outermost->sent_bytes,
              (unsigned long long)outermost->dense32_bytes);
    }
}

static void add_report(struct ww_ledger *sums, const struct ww_report *report)
{
    sums->steps++;
    sums->probes += report->probe;
    sums->payload_bytes += report->payload_bytes;
    sums->control_bytes += report->control_bytes;
    sums->shadow_bytes += report->shadow_bytes;
    for (int level = 0; level < report->levels; level++) {
        sums->level[level].sent_bytes += report->level[level].sent_bytes;
        sums->level[level].planned_bytes += report->level[level].planned_bytes;
        sums->level[level].dense32_bytes += report->level[level].dense32_bytes;
        sums->level[level].dense16_bytes += report->level[level].dense16_bytes;
        sums->level[level].messages += report->level[level].messages;
    }
    sums->step_s += report->step_s;
    sums->communication_s += report->communication_s;
    sums->exposed_s += report->exposed_s;
    sums->encode_s += report->encode_s;
    sums->decode_s += report->decode_s;
    sums->skew_s += report->skew_s;
    sums->ledger_s += report->ledger_s;
    sums->encoded += report->encoded;
    sums->chosen += report->chosen;
}

/* Seconds were added in the same order, so they have the same bits. */
static void check_totals(struct ww_context *context, const struct ww_ledger *sums)
{
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(context, &read), WW_OK);
    check(read.steps == sums->steps && read.probes == sums->probes, "%llu steps, %llu probes",
          (unsigned long long)read.steps, (unsigned long long)read.probes);
    check(read.payload_bytes == sums->payload_bytes && read.control_bytes == sums->control_bytes &&
              read.shadow_bytes == sums->shadow_bytes,
          "payload, control or shadows");
    for (int level = 0; level < read.levels; level++) {
        check(read.level[level].sent_bytes == sums->level[level].sent_bytes &&
                  read.level[level].planned_bytes == sums->level[level].planned_bytes &&
                  read.level[level].dense32_bytes == sums->level[level].dense32_bytes &&
                  read.level[level].dense16_bytes == sums->level[level].dense16_bytes &&
                  read.level[level].messages == sums->level[level].messages,
              "level %d", level);
    }
    check(read.step_s == sums->step_s && read.communication_s == sums->communication_s &&
              read.exposed_s == sums->exposed_s && read.encode_s == sums->encode_s &&
              read.decode_s == sums->decode_s && read.skew_s == sums->skew_s &&
              read.ledger_s == sums->ledger_s,
          "seconds");
    check(read.encoded == sums->encoded && read.chosen == sums->chosen, "elements");
}

/* As much as the step would have sent densely, but for buckets that are dense as it is. */
static void check_shadow(const struct ww_report *report, bool casts)
{
    uint64_t dense = 0;
    for (int level = 0; level < report->levels; level++) {
        dense += report->level[level].dense32_bytes;
    }
    uint64_t least = casts ? dense * 9 / 10 : 0;
    check(report->shadow_bytes >= least && report->shadow_bytes <= (casts ? dense : 0),
          "step %llu: shadows sent %llu of %llu", (unsigned long long)report->step,
          (unsigned long long)report->shadow_bytes, (unsigned long long)dense);
}

static void check_step(const struct plan_of_test *plan, const struct ww_report *report)
{
    bool shadows = plan->probe == WW_PROBE_SHADOWS;
    check_shadow(report, encodes(plan) && report->probe && shadows);
    bool coded = encodes(plan) && (!report->probe || shadows);
    check(strcmp(report->codec, coded ? plan->codec : "none") == 0, "step %llu has codec \"%s\"",
          (unsigned long long)report->step, report->codec);
    check(coded ? report->decode_s > 0 : report->encode_s == 0 && report->decode_s == 0,
          "step %llu: encoding took %g s, decoding %g s", (unsigned long long)report->step,
          report->encode_s, report->decode_s);
    check(report->step_s >= report->exposed_s && report->exposed_s >= 0 && report->skew_s >= 0 &&
              report->ledger_s >= 0,
          "seconds");
    if (!encodes(plan)) {
        check(report->saved.evidence == WW_EVIDENCE_DENSE && report->saved.seconds == 0 &&
                  !report->probe,
              "step %llu has something to compare", (unsigned long long)report->step);
        return;
    }
    bool probes = plan->probe != WW_PROBE_OFF;
    if (report->step <= KNOWN_STEP) {
        check(report->probe == (probes && is_probe_step(report->step)),
              "step %llu is a probe or not", (unsigned long long)report->step);
    }
    bool known = probes && report->step == KNOWN_STEP;
    if (report->step <= KNOWN_STEP || !probes) {
        check(report->saved.evidence == (known ? WW_EVIDENCE_MEASURED : WW_EVIDENCE_INSUFFICIENT),
              "step %llu has evidence %d", (unsigned long long)report->step,
              (int)report->saved.evidence);
    }
    check(report->saved.least_s <= report->saved.seconds &&
              report->saved.seconds <= report->saved.most_s,
          "the interval holds its middle");
}

static void keep_account(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    struct ww_ledger sums = WW_LEDGER_INIT;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    check_totals(trainer.context, &sums);
    for (int step = 0; step < KNOWN_STEP + 9; step++) {
        trainer_step(&trainer);
        check_levels(plan, &trainer.report);
        check_step(plan, &trainer.report);
        add_report(&sums, &trainer.report);
        check(trainer.report.probe == false || plan->probe != WW_PROBE_SHADOWS ||
                  trainer.report.ledger_s > 0,
              "a shadow took no time");
        if (step % 10 == 3) {
            check_totals(trainer.context, &sums);
        }
    }
    check_totals(trainer.context, &sums);
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(!encodes(plan) || sums.encode_s > 0 || sums.encoded == 0, "encoding took no time");
    bool compares = encodes(plan) && plan->probe != WW_PROBE_OFF;
    bool may_hide = plan->probe ==
                    WW_PROBE_SHADOWS; /* a shadow that fits behind the backward pass */
    check((read.coded_s > 0) == compares, "%g s encoded", read.coded_s);
    check(may_hide || (read.dense_s > 0) == compares, "%g s dense", read.dense_s);
    trainer_end(&trainer);
}

Test(ledger, every_step_is_accounted_for)
{
    static const char *const codecs[] = {"none", "fp16", "int8", "topk:0.02"};
    static const enum ww_probe probes[] = {WW_PROBE_AUTO, WW_PROBE_OFF, WW_PROBE_SHADOWS};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        for (size_t p = 0; p < LENGTH(probes); p++) {
            struct plan_of_test plan = {
                .codec = codecs[c], .ranks_per_host = 1, .probe = probes[p]};
            for (int size = 2; size <= 3; size++) {
                if ((c + p + (size_t)size) % EFFORT(1, 2) == 0) {
                    world_run(size, keep_account, &plan);
                }
            }
        }
    }
}

/* What goes to other hosts before tensors are committed is in no counter's difference either. */
static void call_before_committing(struct ww_context *context)
{
    static float values[2][70000];
    float *own = values[ww_rank(context)];
    check_status(ww_all_reduce(context, own, own, LENGTH(values[0]), WW_F32, WW_SUM), WW_OK);
}

static void claim(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    struct ww_ledger read = WW_LEDGER_INIT;
    struct trainer trainer;
    float value = 1;
    trainer_begin_with(&trainer, world, &config, call_before_committing);
    check_status(ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(read.audit.claimed_bytes < 10000, "%llu claimed before the first step",
          (unsigned long long)read.audit.claimed_bytes);
    trainer_end(&trainer);
}

Test(ledger, nothing_is_claimed_from_before_it_began)
{
    struct plan_of_test plan = {.codec = "none", .ranks_per_host = 1};
    world_run(2, claim, &plan);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* By the program's own clock around the calls, as codecs change with new plans in between. */
static void be_inside(const struct ww_world *world, void *shared)
{
    const int *staleness = shared;
    const struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1};
    struct ww_config config = config_of(world, &plan);
    config.staleness = *staleness;
    config.probe = WW_PROBE_OFF;
    struct trainer trainer;
    int told = 0;
    trainer_begin(&trainer, world, &config);
    trainer.report = (struct ww_report)WW_REPORT_INIT;
    for (int step = 0; step < 40; step++) {
        check_status(ww_step_codec(trainer.context, step % 2 == 0 ? "int8" : "fp16"), WW_OK);
        double since_s = seconds_now();
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        }
        check_status(ww_step_end(trainer.context, &trainer.report), WW_OK);
        double inside_s = seconds_now() - since_s;
        check(trainer.report.exposed_s <= inside_s, "%g s inside, %g told", inside_s,
              trainer.report.exposed_s);
        told += trainer.report.exposed_s > 0.7 * inside_s; /* a busy core may stop at any line */
    }
    check(told >= 20, "staleness %d: %d of 40 steps told their time", *staleness, told);
    for (int i = 0; i < *staleness; i++) {
        check_status(ww_step_drain(trainer.context, NULL), WW_OK);
    }
    trainer_end(&trainer);
}

Test(ledger, all_time_inside_is_told)
{
    for (int staleness = 0; staleness <= 2; staleness += 2) {
        world_run(2, be_inside, &staleness);
    }
}

static void *wait_for_tensor(void *tensor)
{
    check_status(ww_tensor_wait(tensor), WW_OK);
    return NULL;
}

static void start_and_wait_on_threads(struct trainer *trainer)
{
    pthread_t threads[TRAINER_TENSORS];
    for (int t = TRAINER_TENSORS; t-- > 0;) {
        check_status(ww_tensor_start(trainer->tensors[t], trainer->values[t]), WW_OK);
    }
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        pthread_create(&threads[t], NULL, wait_for_tensor, trainer->tensors[t]);
    }
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        pthread_join(threads[t], NULL);
    }
}

/* Threads of all ranks wait at once, for a rank that comes late. */
static void be_inside_together(const struct ww_world *world, void *shared)
{
    const enum ww_progress *progress = shared;
    const struct plan_of_test plan = {.codec = "none", .ranks_per_host = 1, .progress = *progress};
    const struct timespec late = {0, 30 * 1000 * 1000};
    struct ww_config config = config_of(world, &plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < 4; step++) {
        struct ww_report report = WW_REPORT_INIT;
        check_status(ww_step_begin(trainer.context), WW_OK);
        if (world->rank == step % 2) {
            nanosleep(&late, NULL);
        }
        start_and_wait_on_threads(&trainer);
        check_status(ww_step_end(trainer.context, &report), WW_OK);
        check(report.exposed_s > 0 && report.exposed_s <= report.step_s, "exposed %g of %g",
              report.exposed_s, report.step_s);
    }
    trainer_end(&trainer);
}

Test(ledger, threads_that_wait_together_pass_one_time)
{
    static const enum ww_progress ways[] = {WW_PROGRESS_INLINE, WW_PROGRESS_THREAD};
    for (size_t i = 0; i < LENGTH(ways); i++) {
        enum ww_progress progress = ways[i];
        world_run(2, be_inside_together, &progress);
    }
}

/* A thread that looks at the clock and is held up then, until another one has left. */
static struct {
    sem_t looked;
    sem_t left;
} held_up;
static _Thread_local bool is_held_up; /* at its next look */

/* The linker leads the library's looks here (--wrap). */
uint64_t __real_clock_now_ns(void);
uint64_t __wrap_clock_now_ns(void);
uint64_t __wrap_clock_now_ns(void)
{
    uint64_t now_ns = __real_clock_now_ns();
    if (is_held_up) {
        is_held_up = false;
        sem_post(&held_up.looked);
        sem_wait(&held_up.left);
    }
    return now_ns;
}

static void *wait_held_up(void *tensor)
{
    is_held_up = true;
    return wait_for_tensor(tensor);
}

/* Rank 1 comes late, so that rank 0's other thread is inside for long meanwhile. */
static void come_in_late(const struct ww_world *world, void *shared)
{
    (void)shared;
    const struct plan_of_test plan = {
        .codec = "none", .ranks_per_host = 1, .progress = WW_PROGRESS_THREAD};
    const struct timespec late = {0, 50 * 1000 * 1000};
    struct ww_config config = config_of(world, &plan);
    struct trainer trainer;
    struct ww_report report = WW_REPORT_INIT;
    pthread_t other;
    trainer_begin(&trainer, world, &config);
    check_status(ww_step_begin(trainer.context), WW_OK);
    world_meet(world);
    if (world->rank == 1) {
        sem_wait(&held_up.looked);
        nanosleep(&late, NULL);
    }
    for (int t = TRAINER_TENSORS; t-- > 0;) {
        check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
    }
    if (world->rank == 0) {
        pthread_create(&other, NULL, wait_held_up, trainer.tensors[0]);
        wait_for_tensor(trainer.tensors[0]);
        sem_post(&held_up.left);
        pthread_join(other, NULL);
    }
    check_status(ww_step_end(trainer.context, &report), WW_OK);
    check(report.exposed_s <= report.step_s, "exposed %g of %g", report.exposed_s, report.step_s);
    trainer_end(&trainer);
}

Test(ledger, a_thread_that_is_held_up_at_the_door_was_not_inside_meanwhile)
{
    sem_init(&held_up.looked, 0, 0);
    sem_init(&held_up.left, 0, 0);
    world_run(2, come_in_late, NULL);
}

Test(ledger, hosts_of_several_ranks_and_threads_are_accounted_for)
{
    static const char *const codecs[] = {"none", "int8", "fp16"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_test plan = {.codec = codecs[c], .ranks_per_host = 2};
        if (EFFORT(true, c != 2)) {
            world_run(4, keep_account, &plan);
        }
        if (EFFORT(true, c == 2)) {
            plan.is_ragged = true;
            world_run(3, keep_account, &plan);
        }
        plan.is_ragged = false;
        plan.progress = WW_PROGRESS_THREAD;
        plan.ranks_per_host = 1;
        world_run(2, keep_account, &plan);
    }
}

/* Of three buckets the largest goes dense, but most bytes do not. */
static void name_most(const struct ww_world *world, void *shared)
{
    static const char *const codecs[] = {"fp16", NULL, "none", "fp16"};
    static const size_t rows[] = {60, 0, 100, 60};
    struct ww_config config = config_of(world, shared);
    config.bucket_bytes = 1;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensors[4];
    float *values = calloc(4 * 10000, sizeof *values);

    for (int t = 0; t < 4; t++) {
        size_t shape[2] = {rows[t], 100};
        char name[8];
        snprintf(name, sizeof name, "t%d", t);
        check_status(ww_tensor_add(context, name, WW_F32, 2, shape, &tensors[t]), WW_OK);
        check_status(ww_tensor_codec(tensors[t], codecs[t]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_step_begin(context), WW_OK);
    for (int t = 4; t-- > 0;) {
        check_status(ww_tensor_start(tensors[t], values + (size_t)t * 10000), WW_OK);
    }
    check_status(ww_step_end(context, &report), WW_OK);
    check(strcmp(report.codec, "fp16") == 0, "codec \"%s\"", report.codec);
    ww_context_destroy(context);
    free(values);
}

Test(ledger, the_codec_of_most_bytes_is_named)
{
    struct plan_of_test plan = {.codec = "none", .ranks_per_host = 1};
    world_run(2, name_most, &plan);
}

/* One rank sends nothing and has nothing to compare. */
static void train_alone(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < KNOWN_STEP; step++) {
        trainer_step(&trainer);
        check(!trainer.report.probe && trainer.report.sent_bytes == 0 &&
                  trainer.report.saved.evidence == WW_EVIDENCE_DENSE &&
                  strcmp(trainer.report.codec, "none") == 0,
              "step %d", step);
    }
    trainer_settle(&trainer);
    trainer_end(&trainer);
}

Test(ledger, one_rank_has_nothing_to_compare)
{
    struct plan_of_test plan = {.codec = "int8"};
    world_run(1, train_alone, &plan);
    plan = (struct plan_of_test){.codec = "auto", .allowed = "int8"};
    world_run(1, train_alone, &plan);
}

/* ---- Probes ----------------------------------------------------------------------------- */

/* Shadows change no result: beside a context that never compares, bit for bit. */
static void cast_shadows(const struct ww_world *world, void *shared)
{
    struct plan_of_test plan = *(struct plan_of_test *)shared;
    struct trainer with;
    struct trainer without;
    plan.probe = WW_PROBE_SHADOWS;
    struct ww_config config = config_of(world, &plan);
    trainer_begin(&with, world, &config);
    plan.probe = WW_PROBE_OFF;
    config = config_of(world, &plan);
    trainer_begin(&without, world, &config);
    for (int step = 0; step < KNOWN_STEP + 20; step++) {
        if (step == KNOWN_STEP + 19) { /* brings all that was kept */
            check_status(ww_step_codec(with.context, "none"), WW_OK);
            check_status(ww_step_codec(without.context, "none"), WW_OK);
        }
        trainer_step(&with);
        trainer_step(&without);
        for (int t = 0; t < TRAINER_TENSORS; t++) {
            check(memcmp(with.values[t], without.values[t], trainer_count(t) * sizeof(float)) == 0,
                  "%s: step %d, tensor %d has other bits", plan.codec, step, t);
        }
        check(without.report.ledger_s == 0 && !without.report.probe, "it compares nothing");
    }
    trainer_end(&with);
    trainer_end(&without);
}

Test(ledger, shadows_change_no_result)
{
    static const char *const codecs[] = {"int8", "topk:0.05", "fp16"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_test plan = {.codec = codecs[c], .ranks_per_host = 1};
        if (EFFORT(true, c != 1)) {
            world_run(2, cast_shadows, &plan);
        }
        plan.ranks_per_host = 2;
        if (EFFORT(true, c == 1)) {
            world_run(4, cast_shadows, &plan);
        }
    }
}

/* A program may give gradients back once it waited for them, before the step ends. */
static void return_gradients_early(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    config.bucket_bytes = 1;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    size_t bytes = trainer_count(0) * sizeof(float);
    for (int step = 0; step < 9; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 1;) {
            trainer_start(&trainer, t);
        }
        float *values = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                             0);
        check(values != MAP_FAILED, "no memory");
        check_status(ww_tensor_start(trainer.tensors[0], values), WW_OK);
        check_status(ww_tensor_wait(trainer.tensors[0]), WW_OK);
        munmap(values, bytes);
        check_status(ww_step_end(trainer.context, NULL), WW_OK);
    }
    trainer_end(&trainer);
}

Test(ledger, shadows_need_no_gradient_that_was_given_back)
{
    struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1, .probe = WW_PROBE_SHADOWS};
    world_run(2, return_gradients_early, &plan);
}

/* Steps that go dense take residuals along: nothing is lost, whatever is taken back. */
static void lose_nothing(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    config.error_feedback = WW_FEEDBACK_ON;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    int probes = 0;
    int taken_back = 0;
    for (int step = 0; step < KNOWN_STEP + 20; step++) {
        trainer_step(&trainer);
        probes += trainer.report.probe;
        if (step % 5 == 2 || (trainer.report.probe && step % 2 == 0)) {
            taken_back += trainer.report.probe;
            trainer_discard(&trainer);
        }
    }
    check(probes >= 8 && taken_back >= 2, "%d probes, %d taken back", probes, taken_back);
    trainer_settle(&trainer);
    trainer_end(&trainer);
}

Test(ledger, probes_take_residuals_along_and_can_be_taken_back)
{
    static const char *const codecs[] = {"fp16", "bf16", "topk:0.05", "topk:0.1:fixed"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_test plan = {.codec = codecs[c], .ranks_per_host = 1};
        if (EFFORT(true, c % 2 == 0)) {
            world_run(2, lose_nothing, &plan);
        }
        if (EFFORT(true, c == 1)) {
            world_run(3, lose_nothing, &plan);
        }
        plan.ranks_per_host = 2;
        if (EFFORT(true, c >= 2)) {
            world_run(4, lose_nothing, &plan);
        }
    }
    struct plan_of_test plan = {
        .codec = "topk:0.05", .ranks_per_host = 1, .progress = WW_PROGRESS_THREAD};
    world_run(2, lose_nothing, &plan);
}

/* The codec changes amid everything: blocks of probes, races, rests. */
static void change_amid_probes(const struct ww_world *world, void *shared)
{
    static const char *const codecs[] = {"fp16", "auto", "topk:0.1", "none",
                                         "auto", "auto", "bf16",     "topk:0.02:fixed"};
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    config.error_feedback = WW_FEEDBACK_ON;
    struct ww_ledger sums = WW_LEDGER_INIT;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        for (int step = 0; step < 7 + (int)c * 3; step++) {
            trainer_step(&trainer);
            add_report(&sums, &trainer.report);
        }
        check_totals(trainer.context, &sums);
        check_status(ww_step_codec(trainer.context, codecs[c]), WW_OK);
    }
    check(sums.probes > 0, "there were probes");
    trainer_settle(&trainer);
    trainer_end(&trainer);
}

Test(ledger, a_change_of_codec_amid_probes_loses_nothing)
{
    struct plan_of_test plan = {
        .codec = "topk:0.05", .allowed = "fp16,topk:0.05", .ranks_per_host = 1};
    world_run(2, change_amid_probes, &plan);
    world_run(3, change_amid_probes, &plan);
    plan.codec = "auto";
    plan.ranks_per_host = 2;
    world_run(4, change_amid_probes, &plan);
}

static void train_auto(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    config.error_feedback = WW_FEEDBACK_ON;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < EFFORT(150, 90); step++) {
        trainer_step(&trainer);
    }
    trainer_settle(&trainer);
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(read.encoded > 0, "nothing was tried");
    trainer_end(&trainer);
}

Test(ledger, auto_loses_nothing_while_it_chooses)
{
    struct plan_of_test plan = {
        .codec = "auto", .allowed = "fp16,bf16,topk:0.05,topk:0.1:fixed", .ranks_per_host = 1};
    world_run(2, train_auto, &plan);
    world_run(3, train_auto, &plan);
    plan.ranks_per_host = 2;
    world_run(4, train_auto, &plan);
    plan.ranks_per_host = 0;
    plan.progress = WW_PROGRESS_THREAD;
    world_run(2, train_auto, &plan);
}

/* A tensor with a codec of its own is compared, whatever the others do. */
static void override_one(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    size_t shape[2] = {100, 60};
    struct ww_tensor *tensors[2];
    float *values = calloc(12000, sizeof *values);
    struct ww_context *context = world_context(world, &config);
    check_status(ww_tensor_add(context, "own", WW_F32, 2, shape, &tensors[0]), WW_OK);
    check_status(ww_tensor_codec(tensors[0], "fp16"), WW_OK);
    check_status(ww_tensor_add(context, "follows", WW_F32, 2, shape, &tensors[1]), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    if (strcmp(plan->codec, "none") != 0) {
        check_status(ww_step_codec(context, "none"), WW_OK);
    }
    struct ww_report report = WW_REPORT_INIT;
    for (int step = 1; step <= KNOWN_STEP; step++) {
        check_status(ww_step_begin(context), WW_OK);
        for (int t = 2; t-- > 0;) {
            check_status(ww_tensor_start(tensors[t], values + (size_t)t * 6000), WW_OK);
        }
        check_status(ww_step_end(context, &report), WW_OK);
        check(report.probe == is_probe_step(report.step), "step %d is a probe or not", step);
        check((report.decode_s > 0) == !report.probe, "step %d decodes or not", step);
    }
    check(report.saved.evidence == WW_EVIDENCE_MEASURED, "evidence %d", (int)report.saved.evidence);
    ww_context_destroy(context);
    free(values);
}

Test(ledger, a_tensor_with_a_codec_of_its_own_is_compared)
{
    struct plan_of_test plan = {.codec = "none", .ranks_per_host = 1};
    world_run(2, override_one, &plan);
    plan.codec = "int8";
    world_run(2, override_one, &plan);
}

/* Where hosts differ in size some rank may encode nothing itself: all know the same of savings. */
static void encode_three(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor;
    size_t shape[2] = {3, 1};
    int evidence = 0;
    uint64_t encoded = 0;
    check_status(ww_tensor_add(context, "three", WW_F32, 2, shape, &tensor), WW_OK);
    check_status(ww_tensor_codec(tensor, "fp16"), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 0; step < 3; step++) {
        float values[3] = {1, 2, 3};
        struct ww_report report = WW_REPORT_INIT;
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(tensor, values), WW_OK);
        check_status(ww_step_end(context, &report), WW_OK);
        evidence += report.saved.evidence == WW_EVIDENCE_INSUFFICIENT;
        encoded += report.encoded;
    }
    check(evidence == 3, "rank %d, which encoded %llu: %d of 3 steps", world->rank,
          (unsigned long long)encoded, evidence);
    ww_context_destroy(context);
}

static void encode_unevenly(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    config.host = world->rank == 0 ? "small" : "large";
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 1; step <= KNOWN_STEP; step++) {
        trainer_step(&trainer);
        enum ww_evidence wanted = step == KNOWN_STEP ? WW_EVIDENCE_MEASURED
                                                     : WW_EVIDENCE_INSUFFICIENT;
        check(trainer.report.saved.evidence == wanted,
              "step %d, rank %d: evidence %d, encoded %llu", step, world->rank,
              (int)trainer.report.saved.evidence, (unsigned long long)trainer.report.encoded);
    }
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(read.saved.evidence == WW_EVIDENCE_MEASURED, "rank %d: evidence %d", world->rank,
          (int)read.saved.evidence);
    trainer_end(&trainer);
}

Test(ledger, ranks_that_encode_nothing_know_what_is_saved)
{
    static const char *const codecs[] = {"int8", "topk:0.05", "fp16"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_test plan = {.codec = codecs[c]};
        world_run(3, encode_unevenly, &plan);
        world_run(5, encode_unevenly, &plan);
    }
    struct plan_of_test plan = {.codec = "none", .ranks_per_host = 3};
    world_run(6, encode_three, &plan);
    plan.ranks_per_host = 4;
    world_run(8, encode_three, &plan);
}

/* With nothing else allowed auto is none. */
static void choose_among_none(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < KNOWN_STEP; step++) {
        trainer_step(&trainer);
        check(!trainer.report.probe && trainer.report.saved.evidence == WW_EVIDENCE_DENSE &&
                  strcmp(trainer.report.codec, "none") == 0 && trainer.report.encoded == 0,
              "step %d encodes or compares", step);
    }
    trainer_end(&trainer);
}

Test(ledger, auto_among_none_is_none)
{
    static const char *const lists[] = {"none", "", "none,none"};
    for (size_t i = 0; i < LENGTH(lists); i++) {
        struct plan_of_test plan = {.codec = "auto", .allowed = lists[i], .ranks_per_host = 1};
        world_run(2, choose_among_none, &plan);
    }
}

/* A frozen run compares nothing. */
static void freeze(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    config.deterministic = WW_DETERMINISTIC_PLAN;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < KNOWN_STEP + 9; step++) {
        trainer_step(&trainer);
        check(!trainer.report.probe && strcmp(trainer.report.codec, "int8") == 0, "step %d", step);
    }
    trainer_end(&trainer);
}

Test(ledger, frozen_runs_have_no_probes)
{
    struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1};
    world_run(2, freeze, &plan);
}

/* ---- Refusals --------------------------------------------------------------------------- */

static void refuse_auto(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_context *context = NULL;
    struct ww_config config = config_of(world, plan);
    bool frozen = plan->probe != WW_PROBE_OFF;
    config.deterministic = frozen ? WW_DETERMINISTIC_PLAN : WW_DETERMINISTIC_OFF;
    check_status(ww_context_create(world, &config, &context), WW_BAD_CONFIG);
    check_words(ww_last_error(NULL), "codec is \"auto\"", frozen ? "deterministic" : "probe",
                "name one codec");
    config.codec = "int8";
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    check_status(ww_step_codec(trainer.context, "auto"), WW_BAD_ARGUMENT);
    check_words(ww_last_error(trainer.context), "ww_step_codec is \"auto\"");
    float values[64] = {1};
    check_status(ww_all_reduce_coded(trainer.context, values, values, 64, WW_SUM, "auto", NULL),
                 WW_BAD_ARGUMENT);
    check_words(ww_last_error(trainer.context), "ww_all_reduce_coded is \"auto\"");
    trainer_step(&trainer);
    trainer_end(&trainer);
}

Test(ledger, auto_needs_probes_and_freedom)
{
    struct plan_of_test plan = {.codec = "auto", .allowed = "fp16", .ranks_per_host = 1};
    world_run(2, refuse_auto, &plan);
    plan.probe = WW_PROBE_OFF;
    world_run(2, refuse_auto, &plan);
    world_forgive();
}

static void allow_otherwise(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    struct ww_context *context = NULL;
    config.codecs_allowed = world->rank == 1 ? "fp16" : "fp16,int8";
    check_status(ww_context_create(world, &config, &context), WW_MISMATCH);
    check_words(ww_last_error(NULL), "rank 1", "codecs_allowed=fp16", "codecs_allowed=fp16,int8");
}

Test(ledger, ranks_that_allow_other_codecs_are_named)
{
    struct plan_of_test plan = {.codec = "auto", .ranks_per_host = 1};
    world_run(3, allow_otherwise, &plan);
    world_forgive();
}

static void read_at_wrong_times(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    struct ww_context *context = world_context(world, &config);
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(NULL, &read), WW_BAD_ARGUMENT);
    check_status(ww_ledger_read(context, &read), WW_BAD_STATE);
    ww_context_destroy(context);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    check_status(ww_ledger_read(trainer.context, NULL), WW_BAD_ARGUMENT);
    read.struct_bytes--;
    check_status(ww_ledger_read(trainer.context, &read), WW_BAD_ARGUMENT);
    read.struct_bytes++;
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_ledger_read(trainer.context, &read), WW_BAD_STATE);
    check_words(ww_last_error(trainer.context), "inside of a step");
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        trainer_start(&trainer, t);
    }
    trainer_finish(&trainer);
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    trainer_end(&trainer);
}

Test(ledger, it_is_read_between_steps)
{
    struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1};
    world_run(2, read_at_wrong_times, &plan);
    world_forgive();
}

/* ---- Ranks that part -------------------------------------------------------------------- */

/* Rank 2 has all results of the step after which times are compared, and does not end it. */
static void leave_amid_agreement(const struct ww_world *world, void *shared)
{
    struct ww_config config = config_of(world, shared);
    config.timeout_s = 2;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 1; step < 5 + BLOCK_STEPS; step++) {
        trainer_step(&trainer);
    }
    check_status(ww_step_begin(trainer.context), WW_OK);
    for (int t = TRAINER_TENSORS; t-- > 0;) {
        trainer_start(&trainer, t);
    }
    if (world->rank == 2) {
        for (int t = 0; t < TRAINER_TENSORS; t++) {
            check_status(ww_tensor_wait(trainer.tensors[t]), WW_OK);
        }
    } else {
        check_status(ww_step_end(trainer.context, &trainer.report), WW_TIMED_OUT);
        check_words(ww_last_error(trainer.context), "rank 2 (", "did not come", "timeout_s");
        check_status(ww_step_begin(trainer.context), WW_TIMED_OUT);
    }
    world_meet(world);
    trainer_end(&trainer);
}

Test(ledger, a_rank_that_leaves_amid_the_agreement_is_named)
{
    struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1};
    world_run(3, leave_amid_agreement, &plan);
    plan.progress = WW_PROGRESS_THREAD;
    world_run(3, leave_amid_agreement, &plan);
    plan.ranks_per_host = 0;
    world_run(3, leave_amid_agreement, &plan);
    world_forgive();
}

/* ---- Who counts --------------------------------------------------------------------------- */

struct ending {
    struct plan_of_test plan;
    atomic_int last_step; /* that the last rank began to end */
};

/* All ranks have their results, so nothing but the comparison lets others wait for the last one to
 * end its step. */
static void end_apart(const struct ww_world *world, void *shared)
{
    struct ending *ending = shared;
    struct ww_config config = config_of(world, &ending->plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 1; step <= KNOWN_STEP; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            trainer_start(&trainer, t);
        }
        for (int t = 0; t < TRAINER_TENSORS; t++) {
            check_status(ww_tensor_wait(trainer.tensors[t]), WW_OK);
        }
        if (world->rank == world->size - 1) {
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
            atomic_store(&ending->last_step, step);
        }
        trainer_finish(&trainer);
        int last_step = atomic_load(&ending->last_step);
        check(!is_compared_step((uint64_t)step) || last_step >= step,
              "rank %d ended step %d while the last was in step %d", world->rank, step, last_step);
    }
    trainer_end(&trainer);
}

Test(ledger, steps_that_are_compared_end_together)
{
    for (int ranks_per_host = 0; ranks_per_host < 2; ranks_per_host++) {
        struct ending ending = {.plan = {.codec = "int8", .ranks_per_host = ranks_per_host}};
        world_run(3, end_apart, &ending);
        ending = (struct ending){.plan = ending.plan};
        ending.plan.probe = WW_PROBE_SHADOWS;
        world_run(2, end_apart, &ending);
    }
}

/* Who makes progress is each rank's own affair; what is compared must be the same. */
static void mix_progress(const struct ww_world *world, void *shared)
{
    struct plan_of_test plan = *(struct plan_of_test *)shared;
    plan.progress = world->rank == 1 ? WW_PROGRESS_THREAD : WW_PROGRESS_INLINE;
    struct ww_config config = config_of(world, &plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < KNOWN_STEP + 3; step++) {
        trainer_step(&trainer);
    }
    check(trainer.report.saved.evidence == WW_EVIDENCE_MEASURED, "nothing is known");
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(strcmp(read.basis, "step") == 0, "rank %d compares \"%s\"", world->rank, read.basis);
    trainer_end(&trainer);
}

Test(ledger, ranks_that_progress_differently_compare_the_same)
{
    struct plan_of_test plan = {.codec = "int8", .ranks_per_host = 1};
    world_run(2, mix_progress, &plan);
    world_run(3, mix_progress, &plan);
}

/* ---- Who is waited for ------------------------------------------------------------------ */

/* A rank that computes inline moves nothing meanwhile, so peers wait amid what it began; that is no
 * wait at the gate. So it is late with everything; with a thread only with its last tensor. */
static void come_late(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    int late = world->size - 1;
    int late_with = plan->progress == WW_PROGRESS_THREAD ? 0 : TRAINER_TENSORS - 1;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    int named = 0;
    int waited = 0;
    for (int step = 0; step < 4; step++) {
        world_meet(world);
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            if (t == late_with && world->rank == late) {
                nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
            }
            trainer_start(&trainer, t);
        }
        trainer_finish(&trainer);
        named += trainer.report.slowest_rank == late;
        waited += trainer.report.skew_s >= 0.04;
    }
    struct ww_ledger read = WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &read), WW_OK);
    check(world->rank == late || (named == 4 && waited == 4),
          "%s, %d ranks, %d a host: rank %d named the late one %d times, waited %d times",
          plan->codec, world->size, plan->ranks_per_host, world->rank, named, waited);
    check(world->rank == late || (read.slowest_rank == late && read.slowest_steps == 4),
          "rank %d, %llu times", read.slowest_rank, (unsigned long long)read.slowest_steps);
    check(world->rank != late || waited == 0 || read.slowest_rank != late, "it waits for itself");
    trainer_end(&trainer);
}

Test(ledger, the_rank_that_is_waited_for_is_named)
{
    for (int ranks_per_host = 0; ranks_per_host < 2; ranks_per_host++) {
        struct plan_of_test plan = {.codec = "none", .ranks_per_host = ranks_per_host};
        world_run(2, come_late, &plan);
        world_run(3, come_late, &plan);
        plan.codec = "int8";
        plan.progress = WW_PROGRESS_THREAD;
        world_run(3, come_late, &plan);
    }
}

/* ---- What was kept ---------------------------------------------------------------------- */

/* Between two hosts each rank keeps what top-k left of its own, so the norms are known. */
static void weigh(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 1; step <= 4; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            for (size_t i = 0; i < trainer_count(t); i++) {
                float given = trainer_gradient(0, step, t, i);
                trainer.values[t][i] = world->rank == 0 ? given : 0;
                trainer.given[t][i] += given;
            }
            check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        }
        trainer.report = (struct ww_report)WW_REPORT_INIT;
        check_status(ww_step_end(trainer.context, &trainer.report), WW_OK);
        double squares = 0;
        for (int t = 0; t < TRAINER_TENSORS; t++) {
            for (size_t i = 0; i < trainer_count(t); i++) {
                trainer.sums[t][i] += trainer.values[t][i];
                squares += pow(trainer.given[t][i] - trainer.sums[t][i], 2);
            }
        }
        if (step != 3 && world->rank == 0) { /* it is looked at in steps 1, 2, 4 */
            check(fabs(trainer.report.residual_norm / sqrt(squares) - 1) < 1e-4,
                  "%s, step %d: norm %g, not %g", plan->codec, step, trainer.report.residual_norm,
                  sqrt(squares));
            check(trainer.report.captured > 0 && trainer.report.captured < 1, "%g captured",
                  trainer.report.captured);
        }
    }
    trainer_end(&trainer);
}

/* The same with momentum that is masked: its squares are those of momentum and residual together.
 * Rank 0 alone gives anything, the same in every step, so what is encoded follows from what came
 * before. */
static void weigh_momentum(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    config.momentum = 0.5;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    static const int coded[] = {0, 2};
    static double momentum[TRAINER_TENSORS][80 * 64];
    double given = 0;
    double left = 0;
    for (int step = 1; step <= 4; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        for (int t = TRAINER_TENSORS; t-- > 0;) {
            for (size_t i = 0; i < trainer_count(t); i++) {
                trainer.values[t][i] = world->rank == 0 ? trainer_gradient(0, 1, t, i) : 0;
            }
            check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        }
        trainer.report = (struct ww_report)WW_REPORT_INIT;
        check_status(ww_step_end(trainer.context, &trainer.report), WW_OK);
        if (world->rank != 0) {
            continue;
        }
        given = left = 0;
        for (int k = 0; k < 2; k++) {
            int t = coded[k];
            for (size_t i = 0; i < trainer_count(t); i++) {
                double sent = trainer.values[t][i];
                double *kept = &trainer.given[t][i];
                double *u = &momentum[t][i];
                *u = (step == 1 ? 0 : 0.5 * *u) + trainer_gradient(0, 1, t, i);
                *kept += *u;
                given += *kept * *kept;
                *kept -= sent;
                left += *kept * *kept;
                *u = sent != 0 ? 0 : *u;
            }
        }
        if (step != 3) {
            check(fabs(trainer.report.captured - (1 - left / given)) < 1e-4,
                  "step %d: captured %g, not %g", step, trainer.report.captured, 1 - left / given);
        }
    }
    trainer_end(&trainer);
}

static void weigh_fine_codecs(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = config_of(world, plan);
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < 5; step++) {
        trainer_step(&trainer);
        check(trainer.report.captured > 0.99 && trainer.report.captured <= 1,
              "%s: captured %g of the squares", plan->codec, trainer.report.captured);
        check(trainer.report.residual_norm >= 0 && trainer.report.residual_norm < 100,
              "%s: norm %g", plan->codec, trainer.report.residual_norm);
    }
    trainer_end(&trainer);
}

Test(ledger, what_is_kept_is_weighed)
{
    struct plan_of_test plan = {.codec = "topk:0.05", .ranks_per_host = 1};
    world_run(2, weigh, &plan);
    world_run(2, weigh_momentum, &plan);
    plan.codec = "topk:0.3:fixed";
    world_run(2, weigh, &plan);
    plan.codec = "int8";
    world_run(2, weigh_fine_codecs, &plan);
    world_run(3, weigh_fine_codecs, &plan);
}
