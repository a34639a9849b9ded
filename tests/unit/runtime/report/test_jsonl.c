/* SPDX-License-Identifier: BSD-3-Clause
 * test_jsonl.c: the ledger's lines are those of docs/ledger.md, and its file has bounds. */
#include <math.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "internal/clock.h"
#include "schema.h"

TestSuite(jsonl, .init = scratch_start, .fini = scratch_finish);

static json_int_t integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static const char *string(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "none" : text;
}

/* Tells a step that ends at a time. */
static void tell(struct outputs *outputs, const struct ww_report *report, uint64_t now_ns)
{
    outputs_line(outputs, report, now_ns);
}

/* ---- Lines ------------------------------------------------------------------------------- */

Test(jsonl, every_line_has_the_documented_members)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(1);
    struct ww_ledger totals = run_totals();
    tell(outputs, &report, 2 * S);
    outputs_event(outputs, "policy", 1, "4M..16M: int8 instead of none");
    outputs_destroy(outputs, &totals);

    const char *text = scratch_read("run.jsonl");
    cr_assert_eq(line_count(text), 4, "%s", text);
    json_t *header = line_json(text, 0);
    json_t *step = line_json(text, 1);
    json_t *event = line_json(text, 2);
    json_t *end = line_json(text, 3);
    schema_check(header, "Header", NULL);
    schema_check(step, "Steps", NULL);
    schema_check(json_object_get(end, "summary"), "Steps", "The end");
    schema_check(json_object_get(json_object_get(end, "summary"), "audit"), "Audit", NULL);
    cr_expect_str_eq(string(header, "wirewise"), "ledger");
    cr_expect_str_eq(string(header, "version"), ww_version());
    cr_expect_str_eq(string(header, "started"), "2026-11-29T11:08:33Z");
    cr_expect_eq(integer(header, "inside"), 2);
    cr_expect_str_eq(string(json_object_get(header, "labels"), "price"), "spot");
    cr_expect_str_eq(string(event, "event"), "policy");
    cr_expect_str_eq(string(event, "text"), "4M..16M: int8 instead of none");
    cr_expect_eq(integer(event, "step"), 1);
    json_decref(header);
    json_decref(step);
    json_decref(event);
    json_decref(end);
}

Test(jsonl, a_line_says_what_the_report_said)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(1);
    tell(outputs, &report, 3 * S + S / 2);
    outputs_destroy(outputs, NULL);

    json_t *line = line_json(scratch_read("run.jsonl"), 1);
    json_t *wanted = json_loads(
        "{\"step\":1,\"steps\":1,\"t\":2.5,\"codec\":\"int8\",\"probes\":0,\"bytes\":[100,101,102],"
        "\"dense32\":[400,401,402],\"dense16\":[200,201,202],\"control\":5,\"shadow\":6,"
        "\"step_s\":0.5,\"communication_s\":0.25,\"exposed_s\":0.125,\"encode_s\":0.0625,\"decode_"
        "s\":0.03125,"
        "\"skew_s\":0.015625,\"slowest\":1,\"saved\":[0.25,0.5,0.75],\"evidence\":\"measured\","
        "\"ledger_s\":0.25,\"residual\":2,\"captured\":0.75,\"encoded\":1000,\"chosen\":10,"
        "\"wild\":1}",
        0, NULL);
    char *shown = json_dumps(line, 0);
    cr_expect(json_equal(line, wanted), "%s", shown);
    free(shown);
    json_decref(line);
    json_decref(wanted);
}

Test(jsonl, the_longest_line_of_three_levels_has_less_than_a_kilobyte)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(UINT64_MAX);
    for (int level = 0; level < 3; level++) {
        report.level[level].sent_bytes = UINT64_MAX;
        report.level[level].dense32_bytes = UINT64_MAX;
        report.level[level].dense16_bytes = UINT64_MAX;
    }
    report.control_bytes = report.shadow_bytes = report.encoded = report.chosen = report.wild =
        UINT64_MAX;
    report.step_s = report.communication_s = report.exposed_s = -1.23456789e-300;
    report.encode_s = report.decode_s = report.skew_s = report.ledger_s = -1.23456789e-300;
    report.saved = (struct ww_savings){-1.23456789e-300, -1.23456789e-300, -1.23456789e-300,
                                       WW_EVIDENCE_MEASURED};
    report.residual_norm = report.captured = 1.23456789e-300;
    memset(report.codec, 'x', sizeof report.codec); /* not even an end */
    tell(outputs, &report, UINT64_MAX - 1);
    outputs_destroy(outputs, NULL);

    const char *line = strchr(scratch_read("run.jsonl"), '\n') + 1;
    cr_expect_leq(strlen(line), 1024, "%zu bytes: %s", strlen(line), line);
    cr_expect_gt(strlen(line), 600);
}

Test(jsonl, a_header_takes_whatever_the_environment_holds)
{
    char wild[512] = "";
    for (int i = 0; i < 250; i++) {
        strcat(wild, "\x01");
    }
    struct run run;
    run_init(&run, 0, 4);
    char labels[600];
    snprintf(labels, sizeof labels,
             "quote=a\"b\\c,\xc3\xa9=\xe2\x82\xac,bad=\xff\xc3,a=1,a=2,=3,"
             "no,wild=%s",
             wild);
    run.config.labels = labels;
    run.config.run = "line\nfeed\t\x7f";
    run.config.ledger = scratch_path("run.jsonl");
    outputs_destroy(outputs_create(&run.setup), NULL);

    json_t *header = line_json(scratch_read("run.jsonl"), 0);
    schema_check(header, "Header", NULL);
    const json_t *said = json_object_get(header, "labels");
    cr_expect_eq(json_object_size(said), 5);
    cr_expect_str_eq(string(header, "run"), "line\nfeed\t\x7f");
    cr_expect_str_eq(string(said, "quote"), "a\"b\\c");
    cr_expect_str_eq(string(said, "\xc3\xa9"), "\xe2\x82\xac");
    cr_expect_str_eq(string(said, "bad"), "\xef\xbf\xbd\xef\xbf\xbd");
    cr_expect_str_eq(string(said, "wild"), wild);
    expect_line(WW_LOG_WARN, "label \"a\" is there twice");
    expect_line(WW_LOG_WARN, "has no name");
    expect_line(WW_LOG_WARN, "label \"no\" has no value");
    json_decref(header);
}

Test(jsonl, what_is_not_known_is_null)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    run.config.run = NULL;
    run.config.labels = NULL;
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(1);
    report.residual_norm = -1;
    report.captured = NAN;
    report.slowest_rank = -1;
    report.encode_s = NAN;
    report.decode_s = INFINITY;
    report.saved = (struct ww_savings){0, -INFINITY, INFINITY, WW_EVIDENCE_INSUFFICIENT};
    struct ww_ledger totals = run_totals();
    totals.dense_s = totals.coded_s = 0;
    totals.energy_j = totals.gpu_energy_j = -1;
    totals.audit.counted = totals.audit.linked = false;
    totals.saved.most_s = INFINITY;
    tell(outputs, &report, 2 * S);
    outputs_destroy(outputs, &totals);

    static const char *const unknown[] = {"residual", "captured", "slowest",
                                          "encode_s", "decode_s", "saved"};
    static const char *const unknown_at_end[] = {"saved", "dense_s", "coded_s", "energy_j",
                                                 "gpu_energy_j"};
    const char *text = scratch_read("run.jsonl");
    json_t *step = line_json(text, 1);
    json_t *end = line_json(text, 2);
    const json_t *summary = json_object_get(end, "summary");
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_expect(json_is_null(json_object_get(step, unknown[i])), "%s", unknown[i]);
    }
    for (size_t i = 0; i < sizeof unknown_at_end / sizeof *unknown_at_end; i++) {
        cr_expect(json_is_null(json_object_get(summary, unknown_at_end[i])), "%s",
                  unknown_at_end[i]);
    }
    const json_t *audit = json_object_get(summary, "audit");
    cr_expect_str_eq(string(step, "evidence"), "insufficient");
    cr_expect(json_is_null(json_object_get(audit, "counted")));
    cr_expect(json_is_null(json_object_get(audit, "unexplained")));
    cr_expect(json_is_null(json_object_get(audit, "nvlink_sent")));
    cr_expect(json_is_null(json_object_get(audit, "nvlink_received")));
    json_decref(step);
    json_decref(end);
}

/* ---- Gathering --------------------------------------------------------------------------- */

Test(jsonl, short_steps_share_a_line_and_their_sums_are_right)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    for (uint64_t step = 1; step <= 5; step++) {
        struct ww_report report = run_report(step);
        report.slowest_rank = step == 2 ? -1 : step == 3 ? 99 : step >= 4 ? 3 : 1;
        report.probe = step == 2;
        report.residual_norm = step == 1 ? 7 : -1;
        report.saved.evidence = step == 2   ? WW_EVIDENCE_DENSE
                                : step == 4 ? WW_EVIDENCE_MODELLED
                                            : WW_EVIDENCE_MEASURED;
        tell(outputs, &report, S + step * MS / 2); /* the fourth is two milliseconds after S */
    }
    outputs_destroy(outputs, NULL);

    const char *text = scratch_read("run.jsonl");
    cr_assert_eq(line_count(text), 3, "%s", text);
    json_t *line = line_json(text, 1);
    json_t *last = line_json(text, 2);
    cr_expect_eq(integer(line, "step"), 4);
    cr_expect_eq(integer(line, "steps"), 4);
    cr_expect_eq(integer(line, "probes"), 1);
    cr_expect_eq(json_integer_value(json_array_get(json_object_get(line, "bytes"), 2)), 4 * 102);
    cr_expect_eq(number(line, "step_s"), 2);
    cr_expect_eq(number(line, "residual"), 7);
    cr_expect_eq(number(line, "t"), 0.002);
    cr_expect_eq(integer(line, "slowest"), 1);
    cr_expect_str_eq(string(line, "evidence"), "modelled");
    cr_expect_eq(json_number_value(json_array_get(json_object_get(line, "saved"), 1)), 2);
    cr_expect_eq(integer(last, "step"), 5);
    cr_expect_eq(integer(last, "steps"), 1);
    cr_expect_eq(integer(last, "slowest"), 3);
    json_decref(line);
    json_decref(last);
}

Test(jsonl, lines_reach_the_file_within_a_second_or_so)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    cr_expect_eq(line_count(scratch_read("run.jsonl")), 1, "the header is there at once");
    for (uint64_t step = 1; step <= 11; step++) {
        struct ww_report report = run_report(step);
        tell(outputs, &report, S + step * 100 * MS);
    }
    cr_expect_eq(line_count(scratch_read("run.jsonl")), 11);
    outputs_destroy(outputs, NULL);
    cr_expect_eq(line_count(scratch_read("run.jsonl")), 12);
}

Test(jsonl, a_step_costs_little)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    enum { STEPS = 200000 };
    uint64_t best_ns = UINT64_MAX;
    struct ww_report report = run_report(1);
    for (int round = 0; round < 5; round++) {
        uint64_t begin_ns = clock_core_ns();
        for (int step = 0; step < STEPS; step++) {
            tell(outputs, &report, S + MS); /* no line is due */
        }
        uint64_t took_ns = (clock_core_ns() - begin_ns) / STEPS;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    outputs_destroy(outputs, NULL);
    printf("a step costs %llu ns\n", (unsigned long long)best_ns);
    cr_expect_lt(best_ns, 1000); /* 100 without sanitizers and on a quiet machine */
}

/* ---- Bounds ------------------------------------------------------------------------------ */

/* Runs steps of one length until the file's end; returns its lines. Checks the sums and the size.
 */
static size_t run_long(const char *name, uint64_t steps, uint64_t step_ns, size_t ledger_bytes)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path(name);
    run.config.ledger_bytes = ledger_bytes;
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_report report = run_report(1);
    for (report.step = 1; report.step <= steps; report.step++) {
        tell(outputs, &report, S + report.step * step_ns);
        if (report.step % 100 == 0) {
            outputs_event(outputs, "alert", report.step, "a line that comes far too often");
        }
    }
    outputs_event(outputs, "failure", steps, "rank 3 on b is gone");
    struct ww_ledger totals = run_totals();
    outputs_destroy(outputs, &totals);

    const char *text = scratch_read(name);
    cr_expect_leq(strlen(text), ledger_bytes);
    size_t lines = line_count(text);
    uint64_t told = 0;
    uint64_t bytes = 0;
    uint64_t longest = 0;
    size_t bounds = 0;
    size_t failures = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        json_t *json = line_json(line, 0);
        uint64_t here = (uint64_t)integer(json, "steps");
        told += here;
        bytes += here == 0 ? 0
                           : (uint64_t)json_integer_value(
                                 json_array_get(json_object_get(json, "bytes"), 0));
        longest = here > longest ? here : longest;
        bounds += strcmp(string(json, "event"), "bound") == 0;
        failures += strcmp(string(json, "event"), "failure") == 0;
        json_decref(json);
    }
    json_t *last = line_json(text, lines - 1);
    cr_expect_not_null(json_object_get(last, "summary"), "no summary at the end");
    json_decref(last);
    cr_expect_eq(told, steps, "%llu of %llu steps are told", (unsigned long long)told,
                 (unsigned long long)steps);
    cr_expect_eq(bytes, steps * 100);
    cr_expect_leq(bounds, 2);
    cr_expect_eq(failures, 1);
    printf("%s: %zu bytes, %zu lines, up to %llu steps each\n", name, strlen(text), lines,
           (unsigned long long)longest);
    return lines;
}

Test(jsonl, two_million_steps_stay_within_the_smallest_file)
{
    cr_expect_gt(run_long("short", 2000000, 50000, 65536), 60);
    cr_expect_gt(run_long("long", 2000000, S, 65536), 60);
}

Test(jsonl, two_million_steps_in_a_larger_file_keep_their_detail)
{
    cr_expect_gt(run_long("larger", 2000000, S / 10, (size_t)8 << 20), 4000);
}

Test(jsonl, the_bound_is_said_once)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    run.config.ledger_bytes = 65536;
    struct outputs *outputs = outputs_create(&run.setup);
    for (uint64_t step = 1; step <= 1000; step++) {
        struct ww_report report = run_report(step);
        tell(outputs, &report, (step + 1) * S);
    }
    outputs_destroy(outputs, NULL);
    const char *found = strstr(scratch_read("run.jsonl"), "\"bound\"");
    cr_assert_not_null(found);
    cr_expect_null(strstr(found + 1, "\"bound\""));
}

/* ---- Names and trouble ------------------------------------------------------------------- */

Test(jsonl, rank_0_writes_or_all_where_the_name_holds_the_rank)
{
    struct run run;
    run_init(&run, 2, 4);
    run.config.ledger = scratch_path("run.jsonl");
    cr_expect_null(outputs_create(&run.setup));
    cr_expect_not(scratch_has("run.jsonl"));
    run.config.ledger = scratch_path("run-%r.%r.jsonl");
    outputs_destroy(outputs_create(&run.setup), NULL);
    cr_expect(scratch_has("run-2.2.jsonl"));
    run.config.ledger = "";
    run.setup.rank = 0;
    cr_expect_null(outputs_create(&run.setup));
    outputs_line(NULL, NULL, 0);
    outputs_trace(NULL, NULL, NULL, 0);
    outputs_event(NULL, "policy", 1, "");
    cr_expect_not(outputs_want_times(NULL));
    cr_expect_not(outputs_want_totals(NULL, 0));
    outputs_destroy(NULL, NULL);
}

Test(jsonl, an_older_ledger_is_kept)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    scratch_write("run.jsonl", "older\n");
    scratch_write("run.jsonl.1", "oldest\n");
    outputs_destroy(outputs_create(&run.setup), NULL);
    cr_expect_str_eq(scratch_read("run.jsonl.1"), "older\n");
    cr_expect_eq(line_count(scratch_read("run.jsonl")), 1);
}

Test(jsonl, a_ledger_that_is_being_written_is_left_alone)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *first = outputs_create(&run.setup);
    cr_expect_null(outputs_create(&run.setup));
    expect_line(WW_LOG_WARN, "another run or context writes to it");
    cr_expect_not(scratch_has("run.jsonl.1"));
    outputs_destroy(first, NULL);
    outputs_destroy(outputs_create(&run.setup), NULL);
    cr_expect(scratch_has("run.jsonl.1"));
}

Test(jsonl, a_place_that_takes_no_file_is_told_once)
{
    scratch_write("file", "");
    const struct {
        const char *path;
        const char *why;
    } cases[] = {
        {scratch_path("no/such/run.jsonl"), "No such file or directory"},
        {scratch_path("file/run.jsonl"), "Not a directory"},
        {scratch_path(""), "it is neither a file nor a device"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        run_init(&run, 0, 4);
        run.config.ledger = cases[i].path;
        cr_expect_null(outputs_create(&run.setup));
        expect_line(WW_LOG_WARN, cases[i].why);
        expect_no_warnings();
    }
}

/* As /dev/stdout is, where it is no terminal. */
Test(jsonl, a_link_to_an_open_file_stays_where_it_is)
{
    char target[64], text[64] = "";
    struct ww_ledger totals = run_totals();
    struct run run;
    scratch_write("out", "what was said before");
    int descriptor = open(scratch_path("out"), O_WRONLY | O_CLOEXEC);
    snprintf(target, sizeof target, "/proc/self/fd/%d", descriptor);
    cr_assert_eq(symlink(target, scratch_path("stdout")), 0);
    run_init(&run, 0, 4);
    run.config.ledger = run.config.trace = run.config.metrics = scratch_path("stdout");
    outputs_destroy(outputs_create(&run.setup), &totals);
    for (int file = 0; file < 3; file++) {
        expect_line(WW_LOG_WARN, "it leads to a file that is open already");
    }
    expect_no_warnings();
    cr_expect_gt(readlink(scratch_path("stdout"), text, sizeof text - 1), 0);
    cr_expect_str_eq(text, target);
    cr_expect_not(scratch_has("stdout.1"));
    cr_expect_str_eq(scratch_read("out"), "what was said before");
    close(descriptor);
}

Test(jsonl, a_full_disk_ends_the_file_and_not_the_run)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = "/dev/full";
    struct outputs *outputs = outputs_create(&run.setup);
    expect_line(WW_LOG_WARN, "ledger /dev/full cannot be written: No space left on device; the run "
                             "goes on without it. WIREWISE_LEDGER may name another place");
    struct ww_ledger totals = run_totals();
    for (uint64_t step = 1; step < 1000; step++) {
        struct ww_report report = run_report(step);
        tell(outputs, &report, step * S);
    }
    outputs_event(outputs, "failure", 7, "text");
    outputs_destroy(outputs, &totals);
    expect_no_warnings();
}

Test(jsonl, a_limit_to_the_size_of_files_ends_the_file_and_not_the_run)
{
    struct run run;
    struct rlimit before;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    struct ww_ledger totals = run_totals();
    signal(SIGXFSZ, SIG_DFL); /* which ends a program */
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit little = {2000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
    for (uint64_t step = 1; step < 1000; step++) {
        struct ww_report report = run_report(step);
        tell(outputs, &report, step * S);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    expect_line(WW_LOG_WARN, "cannot be written: File too large; the run goes on without it");
    outputs_destroy(outputs, &totals);
    expect_no_warnings();
}

static int cut_to_nothing(const char *path)
{
    return truncate(path, 0);
}

/* What somebody does to the file amid a run is told once, and the file given up. */
static void expect_harm_told(int (*harm)(const char *path), const char *sentence)
{
    struct run run;
    run_init(&run, 0, 4);
    run.config.ledger = scratch_path("run.jsonl");
    struct outputs *outputs = outputs_create(&run.setup);
    cr_assert_eq(harm(scratch_path("run.jsonl")), 0);
    struct ww_report report = run_report(1);
    tell(outputs, &report, 10 * S);
    expect_line(WW_LOG_WARN, sentence);
    tell(outputs, &report, 20 * S);
    outputs_destroy(outputs, NULL);
    expect_no_warnings();
}

Test(jsonl, a_file_that_somebody_removed_is_told)
{
    expect_harm_told(remove, "somebody removed it");
}

/* What is written behind a new end would leave zeros before it, and no report could read it. */
Test(jsonl, a_file_that_somebody_shortened_is_told)
{
    expect_harm_told(cut_to_nothing, "somebody shortened it");
    cr_expect_str_eq(scratch_read("run.jsonl"), "");
}
