/* SPDX-License-Identifier: BSD-3-Clause
 * test_engine.c: what the engine does with memory and its fabric when something fails. Whether it
 * runs plans rightly is proved in tests/sim. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/algorithm.h"
#include "capture.h"
#include "engine.h"
#include "internal/log.h"

TestSuite(engine, .init = capture_start, .fini = capture_finish);

/* A fabric on which nothing ever arrives, and whose memory can run out. */
struct silent {
    int reserved; /* calls that succeeded */
    int closed;
    bool exhausted;
    bool lost;    /* the peer: posting to it fails */
    void *memory; /* reserved and not released */
};

static enum ww_status silent_reserve(void *fabric, size_t bytes, void **memory)
{
    struct silent *silent = fabric;
    if (silent->exhausted) {
        return log_failure(WW_NO_MEMORY, "no memory for %zu bytes, as the test wishes", bytes);
    }
    silent->reserved++;
    silent->memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    *memory = silent->memory;
    return WW_OK;
}

static void silent_release(void *fabric, void *memory, size_t bytes)
{
    struct silent *silent = fabric;
    (void)bytes;
    cr_assert_eq(memory, silent->memory);
    silent->memory = NULL;
    free(memory);
}

static void silent_close(void *fabric, bool failed)
{
    (void)failed;
    struct silent *silent = fabric;
    silent->closed++;
    free(silent->memory); /* what was not released, as the contract wants */
    silent->memory = NULL;
}

static enum ww_status silent_post(void *fabric, int tag, bool control,
                                  const struct ww_message *messages, int count,
                                  struct ww_flight *flight)
{
    (void)tag;
    (void)control;
    (void)messages;
    (void)count;
    cr_assert_eq(((struct silent *)fabric)->closed, 0, "a closed fabric was used");
    if (((struct silent *)fabric)->lost) {
        return log_failure(WW_PEER_FAILED, "the test lost the connection");
    }
    *flight = (struct ww_flight){NULL, WW_WAIT_MEMORY};
    return WW_OK;
}

static enum ww_status silent_poll(void *fabric, struct ww_flight *flight)
{
    (void)flight;
    cr_assert_eq(((struct silent *)fabric)->closed, 0, "a closed fabric was used");
    return WW_PENDING;
}

static void silent_counters(void *fabric, struct ww_traffic *traffic)
{
    cr_assert_eq(((struct silent *)fabric)->closed, 0, "a closed fabric was used");
    memset(traffic, 0, sizeof *traffic);
}

static const struct ww_transport silent_transport = {.name = "silent",
                                                     .close = silent_close,
                                                     .reserve = silent_reserve,
                                                     .release = silent_release,
                                                     .post = silent_post,
                                                     .poll = silent_poll,
                                                     .counters = silent_counters};

static uint8_t levels[2];
static int hosts[2];
static char names[1][HOST_NAME_BYTES] = {"here"};
static struct topology topology = {.rank = 0,
                                   .size = 2,
                                   .hosts = 1,
                                   .levels = 1,
                                   .host_levels = 1,
                                   .peer_level = levels,
                                   .host_of = hosts,
                                   .host_name = names};
static struct kernels kernels;
static struct plan *plan;

static struct engine *make_engine(struct silent *silent)
{
    struct engine *engine = NULL;
    struct engine_setup setup = {.transport = &silent_transport,
                                 .fabric = silent,
                                 .topology = &topology,
                                 .kernels = &kernels,
                                 .timeout_s = 1,
                                 .warn_s = 1};
    kernels_init(&kernels);
    cr_assert_eq(plan_flat(&algorithm_scatter_gather, 0, 2, 0, &plan), WW_OK);
    cr_assert_eq(engine_create(&setup, &engine), WW_OK);
    return engine;
}

static struct run_request request_of(size_t count)
{
    return (struct run_request){.plan = plan,
                                .count = count,
                                .type = WW_F32,
                                .op = WW_SUM,
                                .root = -1,
                                .segment_bytes = 1 << 20,
                                .window = 2};
}

Test(engine, memory_that_was_given_up_is_asked_for_again)
{
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    struct run_request small = request_of(1000);
    struct run_request large = request_of(1000000);
    cr_assert_eq(engine_reserve(engine, &small), WW_OK);
    cr_assert_eq(engine_reserve(engine, &small), WW_OK);
    cr_assert_eq(silent.reserved, 1, "the same request needs no more memory");
    silent.exhausted = true;
    cr_assert_eq(engine_reserve(engine, &large), WW_NO_MEMORY);
    cr_assert_eq(engine_reserve(engine, &small), WW_NO_MEMORY);
    cr_assert_not_null(capture_take(WW_LOG_ERROR, "as the test wishes"));
    cr_assert_not_null(capture_take(WW_LOG_ERROR, "as the test wishes"));
    silent.exhausted = false;
    cr_assert_eq(engine_reserve(engine, &small), WW_OK);
    cr_assert_eq(silent.reserved, 2, "its memory went when the larger request failed");
    engine_destroy(engine, false);
    plan_destroy(plan);
}

/* Whoever followed a prediction has that way alone; then the same call may go any other, too. */
Test(engine, other_ways_of_a_request_are_made_room_for)
{
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    struct run_request request = request_of(1000);
    struct way other = {.segment_bytes = 1 << 20, .window = 2};
    struct plan *whole = NULL;
    cr_assert_eq(plan_flat(&algorithm_direct, 0, 2, 0, &whole), WW_OK);
    other.plan = whole;
    cr_assert_eq(engine_reserve(engine, &request), WW_OK);
    request.tuned[TUNED_SENT] = other;
    cr_assert_eq(engine_reserve(engine, &request), WW_OK);
    cr_expect_eq(silent.reserved, 2, "all of a peer's vector needs more room than a half");
    request.viewed = other;
    request.viewed.window = 1;
    cr_assert_eq(engine_reserve(engine, &request), WW_OK);
    cr_expect_eq(silent.reserved, 2, "what fits needs no more memory");
    engine_destroy(engine, false);
    plan_destroy(whole);
    plan_destroy(plan);
}

Test(engine, a_failure_lets_go_of_memory_before_it_is_returned)
{
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    struct run_request request = request_of(1000);
    float values[1000] = {0};
    uint64_t number;
    request.input = request.output = values;
    cr_assert_eq(engine_reserve(engine, &request), WW_OK);
    cr_assert(engine_has_room(engine));
    cr_assert_eq(engine_start(engine, &request, &number), WW_OK);
    cr_assert_eq(engine_advance(engine, 1), WW_PENDING);
    cr_assert_eq(engine_fail(engine, WW_PEER_FAILED, "the test says so"), WW_PEER_FAILED);
    cr_assert_eq(silent.closed, 1, "the fabric still holds the caller's memory");
    engine_destroy(engine, false);
    cr_assert_eq(silent.closed, 1, "a fabric is closed once");
    plan_destroy(plan);
}

/* That the peers cannot be told hides the failure neither from the program nor from who reads. */
Test(engine, the_first_failure_stays_the_latest_error)
{
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    enum ww_status status = log_failure(WW_TIMED_OUT, "the test says so");
    expect_line(WW_LOG_ERROR, "the test says so");
    silent.lost = true;
    cr_expect_eq(engine_fail(engine, status, log_last_error()), WW_TIMED_OUT);
    cr_expect_str_eq(log_last_error(), "the test says so");
    expect_line(WW_LOG_DEBUG, "the test lost the connection");
    engine_destroy(engine, true);
    log_failure(WW_TIMED_OUT, "the test goes on");
    expect_line(WW_LOG_ERROR, "the test goes on");
    cr_expect_str_eq(log_last_error(), "the test goes on");
    plan_destroy(plan);
}

Test(engine, after_a_failure_nothing_reaches_the_fabric)
{
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    struct run_request request = request_of(1000000);
    uint64_t planned[WW_LEVELS_MAX];
    struct ww_traffic traffic[WW_LEVELS_MAX];
    engine_fail(engine, WW_TIMED_OUT, "the test says so");
    cr_assert_eq(engine_fail(engine, WW_MISMATCH, "later"), WW_TIMED_OUT, "the first one stays");
    cr_assert_eq(engine_reserve(engine, &request), WW_TIMED_OUT);
    cr_assert(engine_has_room(engine));
    cr_assert_eq(engine_advance(engine, 5), WW_TIMED_OUT);
    engine_counters(engine, planned, traffic);
    cr_assert_eq(planned[0] + traffic[0].data_bytes, 0);
    cr_assert_eq(silent.reserved, 0);
    engine_destroy(engine, true);
    plan_destroy(plan);
}

Test(engine, no_more_places_are_used_than_there_are_segments)
{
    static const struct {
        size_t count;
        int window;
        size_t segments;
    } cases[] = {{0, 16, 0}, {1, 16, 1}, {262144, 16, 1}, {262145, 16, 2}, {2000000, 3, 8}};
    struct silent silent = {0};
    struct engine *engine = make_engine(&silent);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run_request request = request_of(cases[i].count);
        request.window = cases[i].window;
        cr_expect_eq(engine_slicing(&request).segments, cases[i].segments, "count %zu",
                     cases[i].count);
        cr_expect_eq(engine_reserve(engine, &request), WW_OK);
    }
    engine_destroy(engine, false);
    plan_destroy(plan);
}
