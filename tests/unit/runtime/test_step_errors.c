/* SPDX-License-Identifier: BSD-3-Clause
 * test_step_errors.c: steps that are used wrongly: each time a sentence, on every rank it concerns,
 * and nobody hangs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wirewise/transport.h>

#include "internal/clock.h"
#include "world.h"

TestSuite(step_errors, .init = capture_start, .fini = capture_finish);

/* Three tensors of four elements, each in a bucket of its own: c leaves first, then b, then a. */
struct trainer {
    struct ww_context *context;
    struct ww_tensor *a, *b, *c;
    float values[3][4];
};

static struct ww_config trainer_config(enum ww_progress progress, double timeout_s)
{
    struct ww_config config = world_config();
    config.progress = progress;
    config.timeout_s = timeout_s;
    config.bucket_bytes = 1;
    return config;
}

static void trainer_begin_as(struct trainer *trainer, const struct ww_world *world,
                             const struct ww_config *config)
{
    size_t count = 4;
    memset(trainer, 0, sizeof *trainer);
    trainer->context = world_context(world, config);
    check_status(ww_tensor_add(trainer->context, "a", WW_F32, 1, &count, &trainer->a), WW_OK);
    check_status(ww_tensor_add(trainer->context, "b", WW_F32, 1, &count, &trainer->b), WW_OK);
    check_status(ww_tensor_add(trainer->context, "c", WW_F32, 1, &count, &trainer->c), WW_OK);
    check_status(ww_tensors_commit(trainer->context), WW_OK);
}

static void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                          enum ww_progress progress, double timeout_s)
{
    struct ww_config config = trainer_config(progress, timeout_s);
    trainer_begin_as(trainer, world, &config);
}

static void start_all(struct trainer *trainer)
{
    check_status(ww_tensor_start(trainer->c, trainer->values[2]), WW_OK);
    check_status(ww_tensor_start(trainer->b, trainer->values[1]), WW_OK);
    check_status(ww_tensor_start(trainer->a, trainer->values[0]), WW_OK);
}

static void check_said(enum ww_status status, enum ww_status wanted, struct ww_context *context,
                       const char *words)
{
    check(status == wanted, "%s instead of %s, \"%s\"", ww_status_name(status),
          ww_status_name(wanted), words);
    const char *const list[] = {words, NULL};
    check_words_at(ww_last_error(context), list, __FILE__, __LINE__);
}

/* ---- Wrong order of calls --------------------------------------------------------------- */

static void call_in_wrong_order(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *early = NULL;
    float value = 0;
    check_said(ww_step_begin(context), WW_BAD_STATE, context, "before ww_tensors_commit");
    check_status(ww_tensor_add(context, "early", WW_F32, 0, NULL, &early), WW_OK);
    check_said(ww_tensor_start(early, &value), WW_BAD_STATE, context, "\"early\") came outside");
    check_said(ww_tensor_wait(early), WW_BAD_STATE, context, "\"early\"");
    ww_context_destroy(context);

    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 60);
    context = trainer.context;
    check_said(ww_step_end(context, NULL), WW_BAD_STATE, context, "without ww_step_begin");
    check_said(ww_tensor_start(trainer.a, trainer.values[0]), WW_BAD_STATE, context,
               "ww_tensor_start(\"a\") came outside of a step");
    check_said(ww_tensor_skip(trainer.a, NULL), WW_BAD_STATE, context,
               "ww_tensor_skip(\"a\") came outside of a step");
    check_status(ww_step_begin(context), WW_OK);
    check_said(ww_step_begin(context), WW_BAD_STATE, context, "still open");
    check_said(ww_tensor_wait(trainer.a), WW_BAD_STATE, context,
               "ww_tensor_wait(\"a\"): it was neither started nor skipped");
    check_said(ww_tensor_start(trainer.a, NULL), WW_BAD_ARGUMENT, context, "NULL for 4 elements");
    check_said(ww_tensor_start(trainer.a, (char *)trainer.values + 1), WW_BAD_ARGUMENT, context,
               "not aligned to 4 bytes");
    check_said(ww_tensor_skip(trainer.a, (char *)trainer.values + 2), WW_BAD_ARGUMENT, context,
               "not aligned to 4 bytes");
    start_all(&trainer);
    check_said(ww_tensor_start(trainer.a, trainer.values[0]), WW_BAD_STATE, context,
               "\"a\"): it was started already in step 1");
    check_said(ww_tensor_skip(trainer.b, NULL), WW_BAD_STATE, context, "started already");
    struct ww_report report = WW_REPORT_INIT;
    report.struct_bytes = 3;
    check_said(ww_step_end(context, &report), WW_BAD_ARGUMENT, context,
               "report->struct_bytes is 3");
    check_status(ww_step_end(context, NULL), WW_OK);
    check_said(ww_step_end(context, NULL), WW_BAD_STATE, context, "without ww_step_begin");
    check_status(ww_tensor_wait(trainer.a), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_skip(trainer.a, NULL), WW_OK);
    check_said(ww_tensor_start(trainer.a, trainer.values[0]), WW_BAD_STATE, context,
               "\"a\"): it was skipped already in step 2");
    check_status(ww_tensor_skip(trainer.b, NULL), WW_OK);
    check_status(ww_tensor_skip(trainer.c, NULL), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    ww_context_destroy(context);
}

Test(step_errors, calls_in_the_wrong_order_are_said_and_break_nothing)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(2, call_in_wrong_order, &kind);
        cr_expect_eq(world_forgive(), 2 * 16);
    }
}

static void abandon(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 60);
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_tensor_start(trainer.c, trainer.values[2]), WW_OK);
    check_status(ww_tensor_start(trainer.a, trainer.values[0]), WW_OK);
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_step_under_way_is_abandoned_by_destroy)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        for (int size = 1; size <= 4; size++) {
            world_run(size, abandon, &kind);
        }
    }
}

/* Peers would read what comes after it, and take that for gradients. */
static void free_too_early(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    void *memory = NULL, *idle = NULL;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 60);
    struct ww_context *context = trainer.context;
    check_status(ww_alloc(context, sizeof trainer.values, &memory), WW_OK);
    check_status(ww_alloc(context, sizeof trainer.values, &idle), WW_OK);
    float(*values)[4] = memory;
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(trainer.b, values[1]), WW_OK); /* c leaves before it */
    check_said(ww_free(context, memory), WW_BAD_STATE, context,
               "ww_free got memory of \"b\", which is under way in step 1");
    check_status(ww_free(context, idle), WW_OK);
    check_status(ww_tensor_skip(trainer.c, NULL), WW_OK);
    check_status(ww_tensor_wait(trainer.b), WW_OK);
    check_status(ww_free(context, memory), WW_OK);
    check_status(ww_tensor_skip(trainer.a, NULL), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);

    check_status(ww_alloc(context, sizeof trainer.values, &memory), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(trainer.a, memory), WW_OK); /* b and c leave before it */
    check_said(ww_free(context, memory), WW_BAD_STATE, context,
               "\"a\", which is under way in step 2");
    ww_context_destroy(context); /* takes it */
}

Test(step_errors, memory_that_is_under_way_is_not_freed)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        for (int size = 1; size <= 3; size++) {
            world_run(size, free_too_early, &kind);
            cr_expect_eq(world_forgive(), 2 * size);
        }
    }
}

/* Sums that are there are still to be clipped. */
static void free_unclipped(const struct ww_world *world, void *shared)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.clip_norm = 1;
    config.progress = *(enum ww_progress *)shared;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor;
    size_t count = 4;
    void *memory = NULL;
    check_status(ww_tensor_add(context, "w", WW_F32, 1, &count, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_alloc(context, count * sizeof(float), &memory), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, memory), WW_OK);
    world_meet(world);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* a thread may sum meanwhile */
    check_said(ww_free(context, memory), WW_BAD_STATE, context,
               "\"w\", which is under way in step 1");
    check_status(ww_step_end(context, NULL), WW_OK);
    check_status(ww_free(context, memory), WW_OK);
    ww_context_destroy(context);
}

Test(step_errors, memory_that_is_to_be_clipped_is_not_freed)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(2, free_unclipped, &kind);
        cr_expect_eq(world_forgive(), 2);
    }
}

/* Rank 0 leaves amid step 1, or behind it, while the others make step 1, or step 2. */
struct leaving {
    enum ww_progress progress;
    bool amid;
};

static void leave_alone(const struct ww_world *world, void *shared)
{
    const struct leaving *leaving = shared;
    struct trainer trainer;
    trainer_begin(&trainer, world, leaving->progress, 60);
    struct ww_context *context = trainer.context;
    for (int step = leaving->amid ? 1 : 0; step < 2; step++) {
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(trainer.c, trainer.values[2]), WW_OK);
        if (world->rank == 0 && leaving->amid) {
            break;
        }
        check_status(ww_tensor_start(trainer.a, trainer.values[0]), WW_OK);
        check_status(ww_tensor_start(trainer.b, trainer.values[1]), WW_OK);
        bool alone = step == 1;
        check_status(ww_step_end(context, NULL), alone ? WW_MISMATCH : WW_OK);
        if (alone) {
            check_words(ww_last_error(context), "rank 0 (",
                        leaving->amid
                            ? "it called ww_context_destroy amid step 1, where others wait"
                            : "it called ww_context_destroy behind step 1, where others go "
                              "on: do all ranks make as many steps?");
        }
        if (world->rank == 0) {
            break;
        }
    }
    ww_context_destroy(context);
}

Test(step_errors, a_rank_that_leaves_alone_is_named)
{
    for (int mode = 0; mode < 4; mode++) {
        struct leaving leaving = {mode % 2 == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD,
                                  mode < 2};
        world_run(mode + 2, leave_alone, &leaving);
        world_forgive();
    }
}

/* ---- Missing tensors -------------------------------------------------------------------- */

/* A peer may have given up by now. */
static void start_while_whole(struct ww_tensor *tensor, float *values, enum ww_status failure)
{
    enum ww_status status = ww_tensor_start(tensor, values);
    check(status == WW_OK || status == failure, "%s", ww_status_name(status));
}

/* Rank 1 forgets b; for the others everything is as it should be. */
static void forget_one(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 60);
    float value = 1;
    void *memory;
    check_status(ww_alloc(trainer.context, 100, &memory), WW_OK);
    check_status(ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    check_status(ww_step_begin(trainer.context), WW_OK);
    world_meet(world);
    enum ww_status wanted = world->rank == 1 ? WW_BAD_STATE : WW_PEER_FAILED;
    start_while_whole(trainer.c, trainer.values[2], wanted);
    start_while_whole(trainer.a, trainer.values[0], wanted);
    if (world->rank != 1) {
        start_while_whole(trainer.b, trainer.values[1], wanted);
    }
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_step_end(trainer.context, &report), wanted);
    check(report.step == 0, "a report was written");
    check_words(ww_last_error(trainer.context), "\"b\" was neither started nor skipped in step 1",
                world->rank == 1 ? "" : "rank 1 (");
    check_status(ww_step_begin(trainer.context), wanted);
    check_status(ww_tensor_start(trainer.a, trainer.values[0]), wanted);
    check_status(ww_tensor_wait(trainer.b), wanted);
    check_status(ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_SUM), wanted);
    check_words(ww_last_error(trainer.context), "\"b\" was neither started nor skipped in step 1");
    check_status(ww_free(trainer.context, memory), WW_OK);
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_tensor_that_was_forgotten_is_named_on_every_rank)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        for (int size = 2; size <= 4; size++) {
            world_run(size, forget_one, &kind);
            cr_expect_eq(world_forgive(), size);
        }
    }
}

struct late_hearing {
    enum ww_progress progress;
    bool two_hosts;
    int looks; /* of rank 0 before anybody else begins: which of its looks are for bad news depends
                  on how many there were */
};

/* Rank 1 ends step 5 and forgets b in step 6, before rank 0 asks for the end of step 5. */
static void forget_in_the_next_step(const struct ww_world *world, void *shared)
{
    const struct late_hearing *hearing = shared;
    struct trainer trainer;
    struct ww_config config = trainer_config(hearing->progress, 60);
    config.host = hearing->two_hosts && world->rank == 1 ? "b" : "a";
    trainer_begin_as(&trainer, world, &config);
    for (int step = 1; step <= 4; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        start_all(&trainer);
        check_status(ww_step_end(trainer.context, NULL), WW_OK);
    }
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (world->rank == 0) {
        start_all(&trainer);
        for (int look = 0; look < hearing->looks; look++) {
            check_status(ww_progress(trainer.context), WW_OK);
        }
    }
    world_meet(world);
    if (world->rank == 1) {
        start_all(&trainer);
        check_status(ww_step_end(trainer.context, NULL), WW_OK);
        check_status(ww_step_begin(trainer.context), WW_OK);
        check_status(ww_tensor_start(trainer.c, trainer.values[2]), WW_OK);
        check_status(ww_step_end(trainer.context, NULL), WW_BAD_STATE);
    }
    world_meet(world);
    if (world->rank == 0) {
        nanosleep(&(struct timespec){0, 5000000}, NULL); /* a thread of its own may hear of it */
        struct ww_report report = WW_REPORT_INIT;
        check_status(ww_step_end(trainer.context, &report), WW_OK);
        check(report.step == 5 && report.sent_bytes < 1000, "step %llu, %llu bytes",
              (unsigned long long)report.step, (unsigned long long)report.sent_bytes);
        check_status(ww_step_begin(trainer.context), WW_OK);
        start_while_whole(trainer.c, trainer.values[2], WW_PEER_FAILED);
        start_while_whole(trainer.b, trainer.values[1], WW_PEER_FAILED);
        start_while_whole(trainer.a, trainer.values[0], WW_PEER_FAILED);
        check_status(ww_step_end(trainer.context, NULL), WW_PEER_FAILED);
        check_words(ww_last_error(trainer.context), "neither started nor skipped in step 6");
    }
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_step_that_a_rank_ended_before_it_failed_ends_well_on_all)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        for (int look = 0; look < 2 * 8; look++) {
            struct late_hearing hearing = {(enum ww_progress)progress, look % 2 == 0, look / 2};
            world_run(2, forget_in_the_next_step, &hearing);
            cr_expect_eq(world_forgive(), 2);
        }
    }
}

/* a can only leave after b, which comes too late for the one that waits, but not for the step. */
static void wait_too_early(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 0.2);
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_tensor_start(trainer.c, trainer.values[2]), WW_OK);
    check_status(ww_tensor_start(trainer.a, trainer.values[0]), WW_OK);
    uint64_t begin = clock_now_ns();
    check_said(ww_tensor_wait(trainer.a), WW_BAD_STATE, trainer.context,
               "for \"a\", which leaves only after \"b\" was started or skipped");
    check(clock_now_ns() - begin < 2 * CLOCK_NS_PER_S, "it took seconds");
    world_meet(world);
    check_status(ww_tensor_start(trainer.b, trainer.values[1]), WW_OK);
    check_status(ww_tensor_wait(trainer.a), WW_OK);
    check_status(ww_step_end(trainer.context, NULL), WW_OK);
    ww_context_destroy(trainer.context);
}

Test(step_errors, waiting_for_what_cannot_leave_names_the_tensor_that_is_missing)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(2, wait_too_early, &kind);
        cr_expect_eq(world_forgive(), 2);
    }
}

/* ---- Silent ranks ----------------------------------------------------------------------- */

static void stay_away(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 0.3);
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (world->rank != 2) {
        start_all(&trainer);
        check_status(ww_step_end(trainer.context, NULL), WW_TIMED_OUT);
        check_words(ww_last_error(trainer.context), "rank 2 (", "did not come to all_reduce",
                    "bucket 0 of step 1", "timeout_s");
        check_status(ww_step_begin(trainer.context), WW_TIMED_OUT);
    }
    world_meet(world);
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_rank_that_hands_nothing_over_is_named_after_the_timeout)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(3, stay_away, &kind);
        cr_expect_geq(world_forgive(), 2);
    }
}

enum place { IN_CALL, IN_END, IN_WAIT };

/* Rank 2, which is patient, waits in one kind of call while the others do in another. */
static void part(const struct ww_world *world, void *shared)
{
    enum place odd_one = *(enum place *)shared;
    enum place others = odd_one == IN_CALL ? IN_END : IN_CALL;
    enum place own = world->rank == 2 ? odd_one : others;
    struct trainer trainer;
    float value = 1;
    trainer_begin(&trainer, world, WW_PROGRESS_INLINE, world->rank == 2 ? 60 : 0.3);
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (own != IN_CALL) {
        start_all(&trainer);
        check_status(own == IN_END ? ww_step_end(trainer.context, NULL) : ww_tensor_wait(trainer.b),
                     WW_TIMED_OUT);
    } else {
        check_status(ww_all_reduce(trainer.context, &value, &value, 1, WW_F32, WW_MAX),
                     WW_TIMED_OUT);
    }
    check_words(ww_last_error(trainer.context), "rank 2 (", "did not come to all_reduce");
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_rank_that_waits_elsewhere_tells_where)
{
    static const char *const said[] = {
        [IN_CALL] = "rank 2 is this one, and was in ww_all_reduce of 1 elements",
        [IN_END] = "rank 2 is this one, and was in ww_step_end of step 1",
        [IN_WAIT] = "rank 2 is this one, and was in ww_tensor_wait(\"b\")"};
    for (int place = IN_CALL; place <= IN_WAIT; place++) {
        enum place odd_one = (enum place)place;
        world_run(3, part, &odd_one);
        expect_line(WW_LOG_WARN, said[place]);
        cr_expect_geq(world_forgive(), 3);
    }
}

/* The wait is long, the hand-over late: patience is per collective, and computing is no silence. */
static void come_late(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    trainer_begin(&trainer, world, *(enum ww_progress *)shared, 60);
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (world->rank == 0) {
        uint64_t begin = clock_now_ns();
        while (clock_now_ns() - begin < CLOCK_NS_PER_S / 20) {
            check_status(ww_progress(trainer.context), WW_OK);
        }
    }
    start_all(&trainer);
    check_status(ww_step_end(trainer.context, NULL), WW_OK);
    ww_context_destroy(trainer.context);
}

Test(step_errors, a_rank_that_computes_for_long_is_waited_for)
{
    for (int progress = WW_PROGRESS_INLINE; progress <= WW_PROGRESS_THREAD; progress++) {
        enum ww_progress kind = (enum ww_progress)progress;
        world_run(3, come_late, &kind);
    }
}

/* ---- Behind a step ---------------------------------------------------------------------- */

static const struct ww_transport *sound; /* what is around is the local transport */
static _Thread_local bool is_program;
static _Thread_local bool loses;
static void *_Atomic lost_fabric; /* relaxed: it shall put nothing in order */

static enum ww_status poll_unless_lost(void *fabric, struct ww_flight *flight)
{
    bool lost = !is_program && fabric == atomic_load_explicit(&lost_fabric, memory_order_relaxed);
    return lost ? WW_TRANSPORT_FAILED : sound->poll(fabric, flight);
}

/* Results are there when a step's traffic is counted. */
static void count_and_lose(void *fabric, struct ww_traffic *traffic)
{
    sound->counters(fabric, traffic);
    if (loses) {
        atomic_store_explicit(&lost_fabric, fabric, memory_order_relaxed);
    }
}

/* Steps 1 and 2 share the order of their buckets when they end. */
static void lose_the_fabric(const struct ww_world *world, void *shared)
{
    struct ww_transport around = *sound;
    struct ww_world chosen = *world;
    struct trainer trainer;
    (void)shared;
    is_program = true;
    around.name = "around";
    around.poll = poll_unless_lost;
    around.counters = count_and_lose;
    chosen.transport = &around;
    trainer_begin(&trainer, &chosen, WW_PROGRESS_THREAD, 60);
    for (int step = 1; step <= 3; step++) {
        check_status(ww_step_begin(trainer.context), WW_OK);
        start_all(&trainer);
        loses = world->rank == 0 && step == 3;
        check_status(ww_step_end(trainer.context, NULL), WW_OK);
        loses = false;
    }
    clock_sleep_ns(CLOCK_NS_PER_S / 1000); /* the thread looks on for a moment */
    ww_context_destroy(trainer.context);
}

/* What a step ends with touches nothing of the fabric meanwhile: ThreadSanitizer sees to it, where
 * the thread does not rest yet. */
Test(step_errors, a_fabric_may_fail_in_the_thread_once_results_are_there)
{
    sound = world_transport();
    for (int time = 0; time < 10; time++) {
        atomic_store(&lost_fabric, NULL);
        world_run(2, lose_the_fabric, NULL);
    }
    world_forgive();
}

#define BUCKETS 3
#define FEW 400 /* values: more than fabrics copy, and they go with their announcements */

static _Thread_local bool refuses;

static enum ww_status post_unless_it_refuses(void *fabric, int tag, bool control,
                                             const struct ww_message *messages, int count,
                                             struct ww_flight *flight)
{
    if (refuses) {
        refuses = false;
        return WW_TRANSPORT_FAILED;
    }
    return sound->post(fabric, tag, control, messages, count, flight);
}

/* Rank 1 computes while several buckets of rank 0 have come to it. */
static void fail_behind_results(const struct ww_world *world, void *shared)
{
    struct ww_world chosen = *world;
    struct ww_config config = world_config();
    struct ww_tensor *tensors[BUCKETS];
    float values[BUCKETS][FEW] = {{0}};
    const size_t count = FEW;
    chosen.transport = shared;
    config.host = world->rank == 0 ? "a" : "b";
    config.bucket_bytes = 1;
    struct ww_context *context = world_context(&chosen, &config);
    for (int i = 0; i < BUCKETS; i++) {
        char name[] = {(char)('a' + i), '\0'};
        check_status(ww_tensor_add(context, name, WW_F32, 1, &count, &tensors[i]), WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    for (int i = BUCKETS; i-- > 0;) {
        check_status(ww_tensor_start(tensors[i], values[i]), WW_OK);
    }
    world_meet(world);
    if (world->rank == 1) {
        clock_sleep_ns(CLOCK_NS_PER_S / 20);
    }
    for (int i = 0; i < BUCKETS; i++) {
        check_status(ww_tensor_wait(tensors[i]), WW_OK);
    }
    if (world->rank == 0) {
        refuses = true;
        check_status(ww_all_reduce(context, values[0], values[0], 1, WW_F32, WW_SUM),
                     WW_TRANSPORT_FAILED);
    }
    ww_context_destroy(context);
}

Test(step_errors, results_that_came_to_who_fails_next_come_to_all)
{
    sound = world_transport();
    struct ww_transport around = *sound;
    around.post = post_unless_it_refuses;
    for (int time = 0; time < 3; time++) {
        world_run(2, fail_behind_results, &around);
    }
    cr_expect_geq(world_forgive(), 3);
}
