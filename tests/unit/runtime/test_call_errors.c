/* SPDX-License-Identifier: BSD-3-Clause
 * test_call_errors.c: single calls that cannot succeed say why, on every rank, and nobody hangs. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <wirewise/transport.h>

#include "internal/clock.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(call_errors, .init = capture_start, .fini = capture_finish);

enum call { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, DESTROY };

struct request {
    enum call call;
    size_t count;
    int type;
    int op;
    int root;
};

static enum ww_status make(struct ww_context *context, const struct request *request,
                           const void *input, void *output)
{
    enum ww_type type = (enum ww_type)request->type;
    enum ww_op op = (enum ww_op)request->op;
    switch (request->call) {
    case ALL_REDUCE:
        return ww_all_reduce(context, input, output, request->count, type, op);
    case REDUCE_SCATTER:
        return ww_reduce_scatter(context, input, output, request->count, type, op);
    case ALL_GATHER:
        return ww_all_gather(context, input, output, request->count, type);
    case BROADCAST:
        return ww_broadcast(context, output, request->count, type, request->root);
    default:
        ww_context_destroy(context);
        return WW_OK;
    }
}

/* ---- Arguments -------------------------------------------------------------------------- */

static double room[2][100];
#define AT(row, bytes) ((unsigned char *)room[row] + (bytes))

struct refusal {
    struct request request;
    const void *input;
    void *output;
    enum ww_status status;
    const char *words[3];
};

#define REFUSED WW_BAD_ARGUMENT
static const struct refusal refusals[] = {
    {{ALL_REDUCE, 4, WW_F32, WW_SUM, 0},
     NULL,
     room[1],
     REFUSED,
     {"ww_all_reduce", "NULL", "input"}},
    {{ALL_REDUCE, 4, WW_F32, WW_SUM, 0}, room[0], NULL, REFUSED, {"NULL", "output"}},
    {{ALL_GATHER, 4, WW_F32, 0, 0}, room[0], NULL, REFUSED, {"ww_all_gather", "output"}},
    {{BROADCAST, 4, WW_F32, 0, 0}, NULL, NULL, REFUSED, {"ww_broadcast", "NULL"}},
    {{ALL_REDUCE, 4, WW_F32, WW_SUM, 0}, AT(0, 2), room[1], REFUSED, {"aligned", "4 bytes"}},
    {{ALL_REDUCE, 4, WW_F64, WW_SUM, 0}, room[0], AT(1, 4), REFUSED, {"aligned", "8 bytes"}},
    {{BROADCAST, 4, WW_F16, 0, 0}, NULL, AT(0, 1), REFUSED, {"aligned", "2 bytes"}},
    {{ALL_REDUCE, 4, WW_TYPE_COUNT, WW_SUM, 0}, room[0], room[1], REFUSED, {"unknown type 6"}},
    {{ALL_GATHER, 4, -1, 0, 0}, room[0], room[1], REFUSED, {"unknown type -1", "0 to 5"}},
    {{ALL_REDUCE, 4, WW_F32, WW_OP_COUNT, 0},
     room[0],
     room[1],
     REFUSED,
     {"unknown op 4", "0 to 3"}},
    {{REDUCE_SCATTER, 4, WW_F32, -7, 0}, room[0], room[1], REFUSED, {"unknown op -7"}},
    {{ALL_REDUCE, 4, WW_I32, WW_MEAN, 0}, room[0], room[1], WW_UNSUPPORTED, {"integers", "WW_SUM"}},
    {{REDUCE_SCATTER, 4, WW_I64, WW_MEAN, 0}, room[0], room[1], WW_UNSUPPORTED, {"integers"}},
    {{BROADCAST, 4, WW_F32, 0, 2}, NULL, room[1], REFUSED, {"root 2", "0 to 1"}},
    {{BROADCAST, 4, WW_F32, 0, -1}, NULL, room[1], REFUSED, {"root -1", "0 to 1"}},
    {{ALL_REDUCE, 9, WW_F32, WW_SUM, 0}, room[0], AT(0, 32), REFUSED, {"overlap"}},
    {{ALL_REDUCE, 9, WW_F32, WW_SUM, 0}, AT(0, 32), room[0], REFUSED, {"overlap"}},
    {{REDUCE_SCATTER, 4, WW_F32, WW_SUM, 0}, room[0], AT(0, 4), REFUSED, {"overlap"}},
    {{ALL_GATHER, 4, WW_F32, 0, 0}, AT(0, 4), room[0], REFUSED, {"overlap"}},
    {{ALL_REDUCE, SIZE_MAX, WW_F32, WW_SUM, 0}, room[0], room[1], REFUSED, {"more than memory"}},
    {{ALL_REDUCE, PTRDIFF_MAX, WW_F16, WW_SUM, 0}, room[0], room[1], REFUSED, {"count"}},
    {{REDUCE_SCATTER, PTRDIFF_MAX / 8 + 1, WW_F32, WW_SUM, 0},
     room[0],
     room[1],
     REFUSED,
     {"count"}},
};

/* Nothing is said to the peers, so each rank makes them by itself, and the context stays whole. */
static void try_refusals(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    for (size_t i = 0; world->rank == 0 && i < LENGTH(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        enum ww_status status = make(context, &refusal->request, refusal->input, refusal->output);
        check(status == refusal->status, "row %zu: %s", i, ww_status_name(status));
        for (size_t word = 0; word < LENGTH(refusal->words) && refusal->words[word]; word++) {
            check(strstr(ww_last_error(context), refusal->words[word]) != NULL,
                  "row %zu: \"%s\" does not say \"%s\"", i, ww_last_error(context),
                  refusal->words[word]);
        }
    }
    float value = 1;
    check_status(ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    check(value == 2, "the sum after refusals is %g", (double)value);
    ww_context_destroy(context);
}

Test(call_errors, arguments_that_cannot_be_used_are_named_and_break_nothing)
{
    world_run(2, try_refusals, NULL);
    cr_expect_eq(world_forgive(), (int)LENGTH(refusals), "each is logged once");
}

Test(call_errors, a_context_that_is_null_is_refused)
{
    float value = 1;
    cr_expect_eq(ww_all_reduce(NULL, &value, &value, 1, WW_F32, WW_SUM), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "ww_all_reduce got NULL for the context");
    cr_expect_eq(ww_reduce_scatter(NULL, &value, &value, 1, WW_F32, WW_SUM), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "ww_reduce_scatter got NULL for the context");
    cr_expect_eq(ww_all_gather(NULL, &value, &value, 1, WW_F32), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "ww_all_gather got NULL for the context");
    cr_expect_eq(ww_broadcast(NULL, &value, 1, WW_F32, 0), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "ww_broadcast got NULL for the context");
}

/* ---- Ranks that disagree ---------------------------------------------------------------- */

struct mismatch {
    struct request usual;
    struct request odd; /* of rank 1 */
    const char *usual_words;
    const char *odd_words;
};

struct mismatch_case {
    const struct mismatch *mismatch;
    enum ww_progress progress;
};

static void expect_broken(struct ww_context *context, enum ww_status status)
{
    char sentence[LOG_SENTENCE_BYTES];
    snprintf(sentence, sizeof sentence, "%s", ww_last_error(context));
    float value = 1;
    check_status(ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM), status);
    check_status(ww_broadcast(context, &value, 1, WW_F32, 0), status);
    check_status(ww_step_begin(context), status);
    check_status(ww_progress(context), status);
    check(strcmp(ww_last_error(context), sentence) == 0, "the sentence became \"%s\"",
          ww_last_error(context));
}

static void disagree(const struct ww_world *world, void *shared)
{
    static const double input[WORLD_SIZE_MAX][600];
    static double output[WORLD_SIZE_MAX][600];
    const struct mismatch *mismatch = ((struct mismatch_case *)shared)->mismatch;
    struct ww_config config = world_config();
    config.progress = ((struct mismatch_case *)shared)->progress;
    struct ww_context *context = world_context(world, &config);
    world_meet(world);
    uint64_t begin = clock_now_ns();
    bool odd = world->rank == 1;
    enum ww_status status = make(context, odd ? &mismatch->odd : &mismatch->usual,
                                 input[world->rank], output[world->rank]);
    if (odd && mismatch->odd.call == DESTROY) {
        return;
    }
    check_status(status, WW_MISMATCH);
    check(clock_now_ns() - begin < CLOCK_NS_PER_S, "it took %.3f s",
          (double)(clock_now_ns() - begin) / 1e9);
    check_words(ww_last_error(context), "rank 1 (", mismatch->odd_words, mismatch->usual_words);
    for (size_t i = 0; i < LENGTH(output[0]); i++) {
        if (!check(output[world->rank][i] == 0, "there is a result")) {
            break;
        }
    }
    expect_broken(context, WW_MISMATCH);
    ww_context_destroy(context);
}

static const struct mismatch mismatches[] = {
    {{ALL_REDUCE, 100, WW_F32, WW_SUM, 0},
     {ALL_REDUCE, 101, WW_F32, WW_SUM, 0},
     "all_reduce of 100 f32 (sum)",
     "all_reduce of 101 f32 (sum)"},
    {{ALL_REDUCE, 0, WW_F32, WW_SUM, 0},
     {ALL_REDUCE, 1, WW_F32, WW_SUM, 0},
     "all_reduce of 0 f32",
     "all_reduce of 1 f32"},
    {{ALL_REDUCE, 100, WW_F32, WW_SUM, 0},
     {ALL_REDUCE, 100, WW_I32, WW_SUM, 0},
     "100 f32 (sum)",
     "100 i32 (sum)"},
    {{ALL_REDUCE, 100, WW_F16, WW_MEAN, 0},
     {ALL_REDUCE, 100, WW_BF16, WW_MEAN, 0},
     "100 f16 (mean)",
     "100 bf16 (mean)"},
    {{ALL_REDUCE, 100, WW_F64, WW_MIN, 0},
     {ALL_REDUCE, 100, WW_F64, WW_MAX, 0},
     "100 f64 (min)",
     "100 f64 (max)"},
    {{REDUCE_SCATTER, 50, WW_I64, WW_SUM, 0},
     {REDUCE_SCATTER, 51, WW_I64, WW_SUM, 0},
     "reduce_scatter of 50 i64",
     "reduce_scatter of 51 i64"},
    {{ALL_GATHER, 50, WW_F32, 0, 0},
     {ALL_GATHER, 25, WW_F64, 0, 0},
     "all_gather of 50 f32",
     "all_gather of 25 f64"},
    {{BROADCAST, 50, WW_F32, 0, 0},
     {BROADCAST, 50, WW_F32, 0, 1},
     "broadcast of 50 f32 from root 0",
     "broadcast of 50 f32 from root 1"},
    {{ALL_REDUCE, 50, WW_F32, WW_SUM, 0},
     {ALL_GATHER, 50, WW_F32, 0, 0},
     "all_reduce of 50 f32 (sum)",
     "all_gather of 50 f32"},
    {{ALL_REDUCE, 50, WW_F32, WW_SUM, 0},
     {DESTROY, 0, 0, 0, 0},
     "all_reduce of 50 f32 (sum)",
     "ww_context_destroy"},
};

static void expect_mismatches(int size, enum ww_progress progress)
{
    for (size_t i = 0; i < LENGTH(mismatches); i++) {
        struct mismatch_case one = {&mismatches[i], progress};
        world_run(size, disagree, &one);
        cr_expect_geq(world_forgive(), size - 1, "every rank logs it");
    }
}

Test(call_errors, ranks_that_disagree_all_learn_who_is_odd_and_both_values)
{
    expect_mismatches(2, WW_PROGRESS_INLINE);
    expect_mismatches(3, WW_PROGRESS_INLINE);
    expect_mismatches(5, WW_PROGRESS_INLINE);
}

Test(call_errors, they_learn_it_beside_a_progress_thread)
{
    expect_mismatches(3, WW_PROGRESS_THREAD);
}

/* More than 16 ranks tell rank 0 only, which must name the odd one to all. */
Test(call_errors, they_learn_it_among_many_ranks)
{
    expect_mismatches(18, WW_PROGRESS_INLINE);
}

/* ---- Ranks that do not come ------------------------------------------------------------- */

static void stay_away(const struct ww_world *world, void *shared)
{
    int absent = *(int *)shared;
    struct ww_config config = world_config();
    config.timeout_s = 0.3;
    config.host = world->rank == absent ? "far" : "near";
    struct ww_context *context = world_context(world, &config);
    float values[3] = {1, 2, 3};
    world_meet(world);
    if (world->rank != absent) {
        uint64_t begin = clock_now_ns();
        char name[32];
        snprintf(name, sizeof name, "rank %d (far)", absent);
        check_status(ww_all_reduce(context, values, values, 3, WW_F32, WW_SUM), WW_TIMED_OUT);
        check_words(ww_last_error(context), name, "did not come", "all_reduce of 3 f32",
                    "timeout_s");
        double waited_s = (double)(clock_now_ns() - begin) / 1e9;
        check(waited_s > 0.29 && waited_s < 1.3 + 0.5 * (world->size > 16), "after %.3f s",
              waited_s);
        expect_broken(context, WW_TIMED_OUT);
    }
    world_meet(world);
    if (world->rank == absent) {
        check_status(ww_all_reduce(context, values, values, 3, WW_F32, WW_SUM), WW_TIMED_OUT);
        check_words(ww_last_error(context), " reported: ", "did not come");
    }
    world_meet(world);
    ww_context_destroy(context);
}

Test(call_errors, a_rank_that_never_comes_is_named_after_the_timeout)
{
    static const struct {
        int size;
        int absent;
    } cases[] = {{2, 0}, {2, 1}, {4, 2}, {18, 5}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int absent = cases[i].absent;
        world_run(cases[i].size, stay_away, &absent);
        cr_expect_geq(world_forgive(), cases[i].size);
    }
}

/* ---- Two threads ------------------------------------------------------------------------ */

struct two_threads {
    struct ww_context *context; /* rank 0's */
    atomic_int refused;
    atomic_int served;
};

static void *call_once(void *argument)
{
    struct two_threads *two = argument;
    float value = 1;
    enum ww_status status = ww_all_reduce(two->context, &value, &value, 1, WW_F32, WW_SUM);
    if (status == WW_BAD_STATE) {
        check_words(ww_last_error(NULL), "ww_all_reduce", "another thread");
        atomic_fetch_add(&two->refused, 1);
    } else {
        check(status == WW_OK && value == 2, "%s, sum %g", ww_status_name(status), (double)value);
        atomic_fetch_add(&two->served, 1);
    }
    return NULL;
}

/* Rank 1 comes only once one of rank 0's two threads was refused: both cannot get in. */
static void call_twice(const struct ww_world *world, void *shared)
{
    struct two_threads *two = shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    if (world->rank == 0) {
        pthread_t other;
        two->context = context;
        pthread_create(&other, NULL, call_once, two);
        call_once(two);
        pthread_join(other, NULL);
    } else {
        float value = 1;
        while (atomic_load(&two->refused) == 0) {
            sched_yield();
        }
        check_status(ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    }
    ww_context_destroy(context);
}

Test(call_errors, a_second_thread_inside_is_refused_and_the_first_one_served)
{
    struct two_threads two = {NULL, 0, 0};
    world_run(2, call_twice, &two);
    cr_expect_eq(atomic_load(&two.refused), 1);
    cr_expect_eq(atomic_load(&two.served), 1);
    expect_line(WW_LOG_ERROR, "another thread is inside");
}

struct watcher {
    struct ww_context *context;
    atomic_bool done;
};

static void *read_reports(void *argument)
{
    struct watcher *watcher = argument;
    while (!atomic_load(&watcher->done)) {
        struct ww_report report = WW_REPORT_INIT;
        enum ww_status status = ww_calls_report(watcher->context, &report);
        check(status == WW_OK || status == WW_BAD_STATE, "it gave %s", ww_status_name(status));
    }
    return NULL;
}

Test(call_errors, calls_are_not_refused_while_another_thread_reads_their_report)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    struct watcher watcher = {world_context(&world, &config), false};
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, read_reports, &watcher), 0);
    for (int i = 0; i < 100000; i++) {
        float value = 1;
        check_status(ww_all_reduce(watcher.context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    }
    atomic_store(&watcher.done, true);
    pthread_join(other, NULL);
    ww_context_destroy(watcher.context);
    world_forgive(); /* the reader found a call inside now and then */
    checks_settle();
}

static void *read_without_calls(void *context)
{
    for (int i = 0; i < 20000; i++) {
        struct ww_report report = WW_REPORT_INIT;
        check_status(ww_calls_report(context, &report), WW_OK);
    }
    return NULL;
}

Test(call_errors, two_threads_may_read_the_report_of_calls)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(&world, &config);
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, read_without_calls, context), 0);
    read_without_calls(context);
    pthread_join(other, NULL);
    ww_context_destroy(context);
    checks_settle();
}

/* ---- A fabric that says nothing ---------------------------------------------------------------
 */

enum slot { SLOT_NONE, SLOT_OPEN, SLOT_POST, SLOT_POLL };

static const struct ww_transport *speaking; /* what the mute one is made of */
static _Thread_local struct {
    enum slot slot; /* that fails: once, or at every poll, as some are made of what has been sent */
    enum ww_status status;
} trouble;

static bool is_troubled(enum slot slot)
{
    bool troubled = trouble.slot == slot;
    trouble.slot = troubled && slot != SLOT_POLL ? SLOT_NONE : trouble.slot;
    return troubled;
}

static enum ww_status mute_open(const struct ww_transport_setup *setup, void **fabric)
{
    check(strcmp(setup->world->transport->name, "mute") == 0, "another transport's world");
    return is_troubled(SLOT_OPEN) ? trouble.status : speaking->open(setup, fabric);
}

static enum ww_status mute_post(void *fabric, int tag, bool control,
                                const struct ww_message *messages, int count,
                                struct ww_flight *flight)
{
    return is_troubled(SLOT_POST) ? trouble.status
                                  : speaking->post(fabric, tag, control, messages, count, flight);
}

static enum ww_status mute_poll(void *fabric, struct ww_flight *flight)
{
    return is_troubled(SLOT_POLL) ? trouble.status : speaking->poll(fabric, flight);
}

struct silence {
    enum slot slot;
    enum ww_status returned;
    enum ww_status meant;
    const char *words[2];
};

/* Rank 1's fabric fails. */
static void be_mute(const struct ww_world *world, void *shared)
{
    const struct silence *silence = shared;
    struct ww_transport mute = *world->transport;
    struct ww_world chosen = *world;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    float value = 1;
    mute.name = "mute";
    mute.open = mute_open;
    mute.post = mute_post;
    mute.poll = mute_poll;
    chosen.transport = &mute;
    config.host = world->rank == 0 ? "a" : "b";
    config.calibrate = WW_CALIBRATE_OFF;
    bool odd = world->rank == 1;
    bool opens = silence->slot != SLOT_OPEN;
    trouble.slot = odd && !opens ? SLOT_OPEN : SLOT_NONE;
    trouble.status = silence->returned;
    enum ww_status wanted = odd ? silence->meant : WW_PEER_FAILED;
    check_status(ww_context_create(&chosen, &config, &context), opens ? WW_OK : wanted);
    if (opens) {
        check(ww_all_reduce(context, NULL, NULL, 1, WW_F32, WW_SUM) == WW_BAD_ARGUMENT, "NULL");
        trouble.slot = odd ? silence->slot : SLOT_NONE;
        enum ww_status got = WW_OK; /* what has come by then still ends well */
        for (int i = 0; i < 3 && got == WW_OK; i++) {
            got = ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM);
        }
        check(got == wanted || (!odd && got == silence->meant), "%s", ww_status_name(got));
    }
    if (odd) {
        check_words(ww_last_error(context), "the transport \"mute\" returned", silence->words[0],
                    silence->words[1]);
    } else {
        check_words(ww_last_error(context), "rank 1 (");
    }
    ww_context_destroy(context);
}

Test(call_errors, a_fabric_that_fails_without_a_word_is_spoken_for)
{
    static struct silence silences[] = {
        {SLOT_POST, WW_TRANSPORT_FAILED, WW_TRANSPORT_FAILED, {"WW_TRANSPORT_FAILED", "rank 0"}},
        {SLOT_POST, WW_PENDING, WW_TRANSPORT_FAILED, {"WW_PENDING (1)", "rank 0"}},
        {SLOT_POLL, WW_PEER_FAILED, WW_PEER_FAILED, {"WW_PEER_FAILED", "rank 0"}},
        {SLOT_OPEN, WW_NO_MEMORY, WW_NO_MEMORY, {"WW_NO_MEMORY", "opened"}}};
    speaking = world_transport();
    for (size_t i = 0; i < LENGTH(silences); i++) {
        world_run(2, be_mute, &silences[i]);
        cr_expect_geq(world_forgive(), 2, "silence %zu", i);
    }
}
