/* SPDX-License-Identifier: BSD-3-Clause
 * test_prometheus.c: metrics that node_exporter takes, whole at every moment. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sys/wait.h>

#include "scratch.h"

TestSuite(prometheus, .init = scratch_start, .fini = scratch_finish);

/* Writes metrics of these totals and returns their text. */
static const char *written(struct run *run, const struct ww_ledger *totals)
{
    run->config.metrics = scratch_path("run.prom");
    struct outputs *outputs = outputs_create(&run->setup);
    outputs_totals(outputs, totals, S);
    outputs_destroy(outputs, totals);
    return scratch_read("run.prom");
}

/* ---- What each line must be -------------------------------------------------------------- */

/* A name of letters, digits and underscores; its length. */
static size_t name_length(const char *text)
{
    cr_expect(isalpha((unsigned char)*text) || *text == '_', "%.40s", text);
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) || text[length] == '_') {
        length++;
    }
    return length;
}

/* name="value",... up to the closing bracket; where it stands. */
static const char *check_labels(const char *at)
{
    while (*at != '}') {
        at += name_length(at);
        cr_assert(at[0] == '=' && at[1] == '"', "%.60s", at);
        for (at += 2; *at != '"'; at++) {
            cr_assert(*at != '\n' && *at != '\0', "a value does not end");
            if (*at == '\\') {
                at++;
                cr_expect(*at == '\\' || *at == '"' || *at == 'n', "\\%c", *at);
            }
        }
        at++;
        at += *at == ',';
    }
    return at;
}

/* A sample belongs to the metric whose head came last. */
static void check_sample(const char *line, const char *metric)
{
    size_t length = name_length(line);
    cr_expect(length == strlen(metric) && strncmp(line, metric, length) == 0, "%.*s below %s",
              (int)length, line, metric);
    cr_assert_eq(line[length], '{');
    const char *end = check_labels(line + length + 1);
    cr_assert_eq(end[1], ' ');
    char *rest;
    double value = strtod(end + 2, &rest);
    cr_expect(rest != end + 2 && *rest == '\n', "%.40s", end);
    cr_expect(strstr(metric, "_total") == NULL || value >= 0, "%s is %g", metric, value);
}

static void check_text(const char *text)
{
    char metric[128] = "";
    char kind[32] = "";
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        cr_assert_not_null(strchr(line, '\n'), "the last line has no end");
        if (strncmp(line, "# TYPE ", 7) == 0) {
            char before[128];
            strcpy(before, metric);
            cr_assert_eq(sscanf(line, "# TYPE %127s %31s", metric, kind), 2);
            cr_expect_str_neq(metric, before, "%s is there twice", metric);
            size_t length = strlen(metric);
            bool total = length > 6 && strcmp(metric + length - 6, "_total") == 0;
            cr_expect_eq(total, strcmp(kind, "counter") == 0, "%s is a %s", metric, kind);
        } else if (*line != '#') {
            check_sample(line, metric);
        }
    }
}

/* promtool of Prometheus knows the format best, where it is installed: promtool.sh tells. */
static void check_by_promtool(const char *name)
{
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        return;
    }
    char command[1024];
    snprintf(command, sizeof command, "promtool check metrics <%s >%s 2>&1", scratch_path(name),
             scratch_path("said"));
    int status = system(command);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "promtool says: %s",
              scratch_read("said"));
}

/* ---- Tests ------------------------------------------------------------------------------- */

Test(prometheus, the_text_is_what_node_exporter_reads)
{
    struct run run;
    run_init(&run, 0, 16);
    struct ww_ledger totals = run_totals();
    const char *text = written(&run, &totals);
    check_text(text);
    static const char *const lines[] = {
        "# TYPE wirewise_steps_total counter\n",
        "wirewise_steps_total{run=\"night\",rank=\"0\",host=\"node-1\",team=\"vision\","
        "price=\"spot\"} 1200\n",
        "price=\"spot\",level=\"network\"} 268435456\n",
        "wirewise_saved_seconds{run=\"night\",rank=\"0\",host=\"node-1\",team=\"vision\","
        "price=\"spot\"} 12.3\n",
        "price=\"spot\",interface=\"eth0\"} 1060000\n",
        "price=\"spot\",codec=\"int8\"} 1\n",
        "# TYPE wirewise_energy_joules_total counter\n",
        "# TYPE wirewise_gpu_energy_joules_total counter\n",
        "price=\"spot\"} 56789\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_expect_not_null(strstr(text, lines[i]), "%s", lines[i]);
    }
    check_by_promtool("run.prom");
}

Test(prometheus, labels_of_any_kind_are_made_valid)
{
    struct run run;
    run_init(&run, 0, 16);
    struct ww_ledger totals = run_totals();
    run.config.run = "a\"b\\c\nd\xff\xe2\x82\xac";
    run.config.labels = "my-team=x,9lives=y,__own=z,run=no,level=no,my.team=again,\xc3\xa9=q";
    const char *text = written(&run, &totals);
    check_text(text);
    cr_expect_not_null(
        strstr(text, "wirewise_ranks{run=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xe2\x82\xac\",rank=\"0\","
                     "host=\"node-1\",my_team=\"x\",label_9lives=\"y\",l_own=\"z\","),
        "%s", text);
    expect_line(WW_LOG_WARN, "label \"run\" is left out of the metrics: run is there already");
    expect_line(WW_LOG_WARN, "label \"level\" is left out");
    expect_line(WW_LOG_WARN, "label \"my.team\" is left out");
    check_by_promtool("run.prom");
}

Test(prometheus, labels_that_are_too_long_end_early)
{
    char labels[1100] = "";
    for (int i = 0; i < 32; i++) {
        size_t used = strlen(labels);
        snprintf(labels + used, sizeof labels - used,
                 "n%d=\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\",", i);
    }
    struct run run;
    run_init(&run, 0, 16);
    run.config.labels = labels;
    struct ww_ledger totals = run_totals();
    check_text(written(&run, &totals));
    check_by_promtool("run.prom");
}

Test(prometheus, what_is_not_known_is_not_there)
{
    struct run run;
    run_init(&run, 0, 16);
    struct ww_ledger totals = run_totals();
    totals.saved = (struct ww_savings){0, -INFINITY, INFINITY, WW_EVIDENCE_INSUFFICIENT};
    totals.energy_j = totals.gpu_energy_j = -1;
    totals.residual_norm = -1;
    totals.captured = NAN;
    totals.audit.counted = totals.audit.linked = false;
    totals.step_s = NAN;
    totals.level[1].name = NULL;
    const char *text = written(&run, &totals);
    static const char *const absent[] = {"saved",    "energy",  "residual",
                                         "captured", "counted", "nvlink"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        cr_expect_null(strstr(text, absent[i]), "%s", absent[i]);
    }
    check_by_promtool("run.prom");
}

Test(prometheus, the_file_is_due_every_five_seconds_and_says_when_the_run_ended)
{
    struct run run;
    run_init(&run, 0, 16);
    run.config.metrics = scratch_path("run-%r.prom");
    struct ww_ledger totals = run_totals();
    struct outputs *outputs = outputs_create(&run.setup);
    cr_expect_not(outputs_want_times(outputs));
    cr_expect(outputs_want_totals(outputs, S));
    outputs_totals(outputs, &totals, S);
    cr_expect_not(outputs_want_totals(outputs, 6 * S - 1));
    cr_expect(outputs_want_totals(outputs, 6 * S));
    cr_expect_not_null(strstr(scratch_read("run-0.prom"), "wirewise_running{"));
    cr_expect_not_null(strstr(scratch_read("run-0.prom"), "\"spot\"} 1\n"));
    cr_expect_not(scratch_has("run-0.prom.tmp"));
    outputs_destroy(outputs, NULL); /* it failed */
    const char *running = strstr(scratch_read("run-0.prom"), "\nwirewise_running{");
    cr_assert_not_null(running);
    cr_expect_not_null(strstr(running, "\"spot\"} 0\n"));
}

/* Two runs in one file would be told as one whose counters jump. */
Test(prometheus, what_another_run_puts_there_is_left_alone)
{
    struct run run;
    run_init(&run, 0, 16);
    run.config.metrics = scratch_path("run.prom");
    struct ww_ledger totals = run_totals();
    struct outputs *first = outputs_create(&run.setup);
    struct outputs *second = outputs_create(&run.setup);
    outputs_totals(first, &totals, S);
    totals.steps = 4711;
    outputs_totals(second, &totals, S);
    expect_line(WW_LOG_WARN, "cannot be replaced: another run or context writes to it");
    outputs_totals(first, &totals, 6 * S);
    outputs_totals(second, &totals, 7 * S);
    outputs_destroy(first, NULL);
    cr_expect_not_null(strstr(scratch_read("run.prom"), "\"spot\"} 4711\n"));
    totals.steps = 4712;
    outputs_destroy(second, &totals);
    cr_expect_null(strstr(scratch_read("run.prom"), "\"spot\"} 4712\n"));
    outputs_destroy(outputs_create(&run.setup), &totals); /* they have ended */
    cr_expect_not_null(strstr(scratch_read("run.prom"), "\"spot\"} 4712\n"));
    cr_expect_not(scratch_has("run.prom.tmp"));
    expect_no_warnings();
}

Test(prometheus, a_place_that_takes_no_file_is_told_once)
{
    struct run run;
    run_init(&run, 0, 16);
    run.config.metrics = scratch_path("no/run.prom");
    struct ww_ledger totals = run_totals();
    struct outputs *outputs = outputs_create(&run.setup);
    outputs_totals(outputs, &totals, S);
    expect_line(WW_LOG_WARN, "No such file or directory");
    cr_expect_not(outputs_want_totals(outputs, 100 * S));
    outputs_totals(outputs, &totals, 100 * S);
    outputs_destroy(outputs, &totals);
    expect_no_warnings();
}

Test(prometheus, a_folder_of_that_name_is_told_and_nothing_is_left_behind)
{
    struct run run;
    run_init(&run, 0, 16);
    scratch_write("run.prom/file", "");
    struct ww_ledger totals = run_totals();
    run.config.metrics = scratch_path("run.prom");
    struct outputs *outputs = outputs_create(&run.setup);
    outputs_totals(outputs, &totals, S);
    outputs_destroy(outputs, &totals);
    expect_line(WW_LOG_WARN, "cannot be replaced: it is no file");
    cr_expect_not(scratch_has("run.prom.tmp"));
    expect_no_warnings();
}

/* A file that is renamed over a device would take its place for the whole machine. */
Test(prometheus, a_device_stays_one)
{
    struct run run;
    run_init(&run, 0, 16);
    struct ww_ledger totals = run_totals();
    char path[256];
    snprintf(path, sizeof path, "%s", scratch_path("pipe"));
    cr_assert_eq(mkfifo(path, 0600), 0);
    run.config.metrics = path;
    struct outputs *outputs = outputs_create(&run.setup);
    outputs_totals(outputs, &totals, S);
    outputs_destroy(outputs, &totals);
    expect_line(WW_LOG_WARN, "cannot be replaced: it is no file");
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect(S_ISFIFO(status.st_mode));
    cr_expect_not(scratch_has("pipe.tmp"));
    cr_assert_eq(unlink(path), 0);
    expect_no_warnings();
}
