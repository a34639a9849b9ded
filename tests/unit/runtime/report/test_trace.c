/* SPDX-License-Identifier: BSD-3-Clause
 * test_trace.c: a trace's events nest within their threads and say what the times said. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

TestSuite(trace, .init = scratch_start, .fini = scratch_finish);

#define US UINT64_C(1000)

static const char *string(const json_t *event, const char *name)
{
    const char *text = json_string_value(json_object_get(event, name));
    return text == NULL ? "none" : text;
}

static double number(const json_t *event, const char *name)
{
    cr_expect(json_is_number(json_object_get(event, name)), "%s is no number", name);
    return json_number_value(json_object_get(event, name));
}

static json_int_t thread_of(const json_t *event)
{
    return json_integer_value(json_object_get(event, "tid"));
}

/* The n-th event of that name; NULL = none. */
static const json_t *find(const json_t *events, const char *name, size_t n)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        if (strcmp(string(event, "name"), name) == 0 && n-- == 0) {
            return event;
        }
    }
    return NULL;
}

static void expect_span(const json_t *event, json_int_t thread, double ts, double dur)
{
    cr_assert_not_null(event);
    cr_expect_str_eq(string(event, "ph"), "X");
    cr_expect_eq(thread_of(event), thread, "thread %lld", (long long)thread_of(event));
    cr_expect_eq(number(event, "ts"), ts, "ts %g", number(event, "ts"));
    cr_expect_eq(number(event, "dur"), dur, "dur %g", number(event, "dur"));
}

/* Two spans of one thread are apart, or one holds the other. */
static void expect_nesting(const json_t *a, const json_t *b)
{
    const double slack = 1e-6;
    double a_begin = number(a, "ts");
    double b_begin = number(b, "ts");
    double a_end = a_begin + number(a, "dur");
    double b_end = b_begin + number(b, "dur");
    bool apart = a_end <= b_begin + slack || b_end <= a_begin + slack;
    bool holds = (a_begin <= b_begin + slack && b_end <= a_end + slack) ||
                 (b_begin <= a_begin + slack && a_end <= b_end + slack);
    cr_expect(apart || holds, "%s [%g %g] and %s [%g %g] cross in thread %lld", string(a, "name"),
              a_begin, a_end, string(b, "name"), b_begin, b_end, (long long)thread_of(a));
}

static void check_events(const json_t *events)
{
    cr_assert(json_is_array(events));
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        cr_expect_eq(json_integer_value(json_object_get(event, "pid")), 2);
        cr_expect(json_is_integer(json_object_get(event, "tid")));
        cr_expect_str_neq(string(event, "name"), "none");
        bool span = strcmp(string(event, "ph"), "X") == 0;
        for (size_t j = i + 1; span && j < json_array_size(events); j++) {
            const json_t *other = json_array_get(events, j);
            if (strcmp(string(other, "ph"), "X") == 0 && thread_of(other) == thread_of(event)) {
                expect_nesting(event, other);
            }
        }
    }
}

static json_t *load(const char *text)
{
    json_error_t error;
    json_t *events = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(events, "line %d: %s", error.line, error.text);
    return events;
}

static void start(struct run *run)
{
    run_init(run, 2, 4);
    run->config.trace = scratch_path("%r.trace");
    run->config.ledger_bytes = 65536;
}

Test(trace, it_tells_steps_buckets_and_their_parts)
{
    const struct bucket_times buckets[] = {
        {0, "int8", 4096, S + 10 * US, S + 12 * US, S + 15 * US, S + 40 * US, 3500, 1500},
        {1, "none", 128, S + 19 * US, S + 20 * US, S + 30 * US, S + 50 * US, 0, 0},
        {2, "int8", 64, 0, S + 41 * US, 0, S + 60 * US + 1, 0, 0},
    };
    struct step_times times = {S + 5 * US, S + 70 * US, buckets, 3, false};
    struct run run;
    start(&run);
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(1);
    cr_expect(outputs_want_times(outputs));
    outputs_trace(outputs, &report, &times, S + 70 * US);
    outputs_trace(outputs, &report, NULL, S + 80 * US); /* without times there is nothing to tell */
    outputs_event(outputs, "policy", 1, "int8 \"now\"");
    outputs_destroy(outputs, NULL);

    json_t *events = load(scratch_read("2.trace"));
    check_events(events);
    expect_span(find(events, "step 1", 0), 0, 5, 65);
    expect_span(find(events, "bucket 0", 0), 1, 12, 28);
    expect_span(find(events, "gate", 0), 1, 12, 3);
    expect_span(find(events, "move", 0), 1, 15, 25);
    expect_span(find(events, "bucket 1", 0), 2, 20, 30);
    expect_span(find(events, "gate", 1), 2, 20, 10);
    expect_span(find(events, "bucket 2", 0), 1, 41, 19.001);
    cr_expect_null(find(events, "gate", 2), "it never passed");
    cr_expect_null(find(events, "step 1", 1));
    const json_t *args = json_object_get(find(events, "bucket 0", 0), "args");
    cr_expect_str_eq(string(args, "codec"), "int8");
    cr_expect_eq(number(args, "bytes"), 4096);
    cr_expect_eq(number(args, "queued_us"), 2);
    cr_expect_eq(number(args, "encode_us"), 3.5);
    cr_expect_eq(number(args, "decode_us"), 1.5);
    cr_expect_eq(number(json_object_get(find(events, "step 1", 0), "args"), "skew_s"), 0.015625);
    args = json_object_get(find(events, "process_name", 0), "args");
    cr_expect_str_eq(string(args, "name"), "rank 2 on node-1");
    cr_expect_str_eq(string(find(events, "thread_name", 2), "ph"), "M");
    cr_expect_eq(thread_of(find(events, "thread_name", 2)), 2);
    cr_expect_null(find(events, "thread_name", 3), "two lanes are enough");
    cr_expect_str_eq(string(find(events, "policy", 0), "ph"), "i");
    json_decref(events);
}

/* Buckets of odd order and length, steps after each other: lanes never cross. */
Test(trace, overlapping_buckets_have_lanes_of_their_own)
{
    enum { BUCKETS = 24 };
    struct run run;
    start(&run);
    run.config.ledger_bytes = 1 << 20;
    run.setup.buckets = BUCKETS;
    struct outputs *outputs = outputs_create(&run.setup);
    unsigned dice = 12345;
    for (uint64_t step = 1; step <= 5; step++) {
        struct bucket_times buckets[BUCKETS];
        uint64_t begin = S + step * 1000 * US;
        for (int i = 0; i < BUCKETS; i++) {
            dice = dice * 1103515245 + 12345;
            uint64_t from = begin + (dice >> 16) % 500 * US;
            dice = dice * 1103515245 + 12345;
            uint64_t half = (dice >> 16) % 200 * US;
            buckets[i] = (struct bucket_times){i,           "fp16",          1, from, from,
                                               from + half, from + 2 * half, 1, 1};
        }
        buckets[7].start_ns = 0; /* it did not run */
        struct step_times times = {begin, begin + 900 * US, buckets, BUCKETS, false};
        struct ww_report report = run_report(step);
        outputs_trace(outputs, &report, &times, begin + 900 * US);
    }
    outputs_destroy(outputs, NULL);
    json_t *events = load(scratch_read("2.trace"));
    check_events(events);
    cr_expect_not_null(find(events, "bucket 23", 4));
    cr_expect_null(find(events, "bucket 7", 0));
    json_decref(events);
}

Test(trace, a_full_trace_says_so_and_stops)
{
    struct run run;
    start(&run);
    struct outputs *outputs = outputs_create(&run.setup);
    uint64_t steps = 0;
    while (outputs_want_times(outputs) && steps < 100000) {
        uint64_t begin = S + ++steps * 100 * US;
        struct bucket_times bucket = {0, "int8", 1, begin, begin, begin, begin + US, 0, 0};
        struct step_times times = {begin, begin + 50 * US, &bucket, 1, false};
        struct ww_report report = run_report(steps);
        outputs_trace(outputs, &report, &times, begin + 50 * US);
        if (steps % 10 == 0) {
            outputs_event(outputs, "alert", steps, "an event");
        }
    }
    cr_expect_lt(steps, 1000);
    outputs_event(outputs, "alert", steps, "too late");
    outputs_destroy(outputs, NULL);
    const char *text = scratch_read("2.trace");
    cr_expect_leq(strlen(text), 65536);
    cr_expect_gt(strlen(text), 58000);
    json_t *events = load(text);
    check_events(events);
    const json_t *last = json_array_get(events, json_array_size(events) - 1);
    cr_expect_str_eq(string(last, "name"), "the trace ends here");
    cr_expect_str_eq(string(last, "ph"), "i");
    json_decref(events);
}

/* The format lets the closing bracket be missing; whole lines are there. */
Test(trace, the_trace_of_a_killed_run_lacks_its_end_only)
{
    struct run run;
    start(&run);
    struct outputs *outputs = outputs_create(&run.setup);
    for (uint64_t step = 1; step <= 20; step++) {
        struct step_times times = {step * S, (step + 1) * S, NULL, 0, false};
        struct ww_report report = run_report(step);
        outputs_trace(outputs, &report, &times, (step + 1) * S);
    }
    char text[65536 + 3];
    snprintf(text, sizeof text, "%s\n]", scratch_read("2.trace"));
    json_t *events = load(text);
    check_events(events);
    cr_expect_not_null(find(events, "step 20", 0));
    json_decref(events);
    outputs_destroy(outputs, NULL);
}

Test(trace, trouble_is_told_once)
{
    struct run run;
    start(&run);
    run.config.trace = scratch_path("no/%r.trace");
    cr_expect_null(outputs_create(&run.setup));
    expect_line(WW_LOG_WARN, "WIREWISE_TRACE may name another place");
    run.config.trace = "/dev/full";
    run.setup.rank = 0;
    struct outputs *outputs = outputs_create(&run.setup);
    expect_line(WW_LOG_WARN, "No space left on device");
    cr_expect_not(outputs_want_times(outputs));
    outputs_destroy(outputs, NULL);
    expect_no_warnings();
}
