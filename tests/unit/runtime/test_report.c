/* SPDX-License-Identifier: BSD-3-Clause
 * test_report.c: a report's bytes are the transport's and the plan's alike; its seconds make
 * sense. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define COUNT_MAX 70000

TestSuite(report, .init = capture_start, .fini = capture_finish);

/* Ranks 0 .. first_host - 1 are on host "a", the rest on "b"; 0 = all on one. */
struct cluster_file {
    int first_host;
    const char *algorithm;
    size_t bucket_bytes;
    enum ww_progress progress;
    size_t counts[3];
    struct ww_report reports[5];
};

static struct ww_context *join(const struct ww_world *world, const struct cluster_file *cluster)
{
    struct ww_config config = world_config();
    config.algorithm = cluster->algorithm;
    config.bucket_bytes = cluster->bucket_bytes;
    config.progress = cluster->progress;
    if (cluster->first_host > 0) {
        config.host = world->rank < cluster->first_host ? "a" : "b";
    }
    return world_context(world, &config);
}

static void check_levels(const struct ww_report *report, const struct cluster_file *cluster)
{
    uint64_t sent = 0;
    check(report->levels == (cluster->first_host > 0 ? 2 : 1), "%d levels", report->levels);
    for (int level = 0; level < report->levels; level++) {
        const struct ww_level_report *line = &report->level[level];
        check(line->sent_bytes == line->planned_bytes, "level %d: %llu sent, %llu planned", level,
              (unsigned long long)line->sent_bytes, (unsigned long long)line->planned_bytes);
        check((line->messages > 0) == (line->sent_bytes > 0), "%llu messages",
              (unsigned long long)line->messages);
        sent += line->sent_bytes;
    }
    check(report->sent_bytes == sent, "the sum over levels is wrong");
    check(strcmp(report->level[0].name, "host") == 0, "level 0 is \"%s\"", report->level[0].name);
    check(report->levels == 1 || strcmp(report->level[1].name, "network") == 0, "level 1");
}

static void check_seconds(const struct ww_report *report)
{
    check(report->step_s > 0 && report->communication_s > 0 && report->exposed_s > 0,
          "step %g, communication %g, exposed %g", report->step_s, report->communication_s,
          report->exposed_s);
    check(report->communication_s <= report->step_s, "communication %g of %g",
          report->communication_s, report->step_s);
    check(report->exposed_s <= report->step_s, "exposed %g of %g", report->exposed_s,
          report->step_s);
}

static void check_report(const struct ww_report *report, const struct cluster_file *cluster,
                         int size, uint64_t step)
{
    uint64_t elements = cluster->counts[0] + cluster->counts[1] + cluster->counts[2];
    check(report->step == step && report->size == size && report->tensors == 3, "step, size");
    check(report->payload_bytes == elements * 4, "payload %llu",
          (unsigned long long)report->payload_bytes);
    check(report->dense_bytes == 2 * ((uint64_t)size - 1) * elements * 4 / (uint64_t)size,
          "dense %llu", (unsigned long long)report->dense_bytes);
    check((report->sent_bytes > 0) == (size > 1), "sent %llu",
          (unsigned long long)report->sent_bytes);
    bool sends = cluster->first_host > 0; /* ranks of one host show each other what comes */
    check(size > 1 ? report->control_bytes > 0 || !sends : report->control_bytes == 0,
          "control %llu", (unsigned long long)report->control_bytes);
    check_levels(report, cluster);
    check_seconds(report);
}

static void run_step(struct ww_context *context, const struct ww_world *world, int step,
                     struct ww_tensor **tensors, const struct cluster_file *cluster, float *values,
                     struct ww_report *report)
{
    *report = (struct ww_report)WW_REPORT_INIT;
    check_status(ww_step_begin(context), WW_OK);
    for (int t = 2; t >= 0; t--) {
        float *own = values + (size_t)t * COUNT_MAX;
        values_fill(WW_F32, world->rank, (size_t)(step * 7 + t), own, cluster->counts[t]);
        check_status(ww_tensor_start(tensors[t], own), WW_OK);
    }
    check_status(ww_step_end(context, report), WW_OK);
    for (int t = 0; t < 3; t++) {
        check(values_reduced(WW_F32, WW_MEAN, world->size, (size_t)(step * 7 + t),
                             values + (size_t)t * COUNT_MAX, cluster->counts[t]),
              "tensor %d is wrong after step %d", t, step);
    }
}

static void take_steps(const struct ww_world *world, void *shared)
{
    struct cluster_file *cluster = shared;
    struct ww_context *context = join(world, cluster);
    struct ww_tensor *tensors[3];
    float *values = malloc(3 * COUNT_MAX * sizeof *values);
    for (int t = 0; t < 3; t++) {
        char name[2] = {(char)('a' + t), '\0'};
        check_status(ww_tensor_add(context, name, WW_F32, 1, &cluster->counts[t], &tensors[t]),
                     WW_OK);
    }
    check_status(ww_tensors_commit(context), WW_OK);
    for (int step = 1; step <= 5; step++) {
        struct ww_report *report = &cluster->reports[world->rank];
        run_step(context, world, step, tensors, cluster, values, report);
        check_report(report, cluster, world->size, (uint64_t)step);
        float value = 1; /* single calls are not the step's */
        check_status(ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    }
    free(values);
    ww_context_destroy(context);
}

Test(report, sent_bytes_are_planned_bytes_on_every_level)
{
    static const char *const algorithms[] = {"auto", "ring", "tree", "hierarchical+ring"};
    static const size_t bucket_bytes[] = {1, (size_t)1 << 20};
    for (size_t a = 0; a < LENGTH(algorithms); a++) {
        for (size_t b = 0; b < LENGTH(bucket_bytes); b++) {
            for (int size = 1; size <= 5; size++) {
                struct cluster_file cluster = {.first_host = size > 2 ? size - 2 : 0,
                                               .algorithm = algorithms[a],
                                               .bucket_bytes = bucket_bytes[b],
                                               .progress = WW_PROGRESS_INLINE,
                                               .counts = {70000, 17, 1000}};
                world_run(size, take_steps, &cluster);
                cr_expect_eq(cluster.reports[0].buckets, b == 0 ? 3 : 1);
            }
        }
    }
}

Test(report, a_progress_thread_counts_alike)
{
    struct cluster_file cluster = {.first_host = 2,
                                   .algorithm = "auto",
                                   .bucket_bytes = 1,
                                   .progress = WW_PROGRESS_THREAD,
                                   .counts = {70000, 17, 1000}};
    world_run(4, take_steps, &cluster);
}

/* Two hosts of two: of n elements each rank reduces half inside, so that n/2 cross the network
 * in halves: every rank sends n/4 + n/4 there, and n/2 + n/2 inside. A flat ring sends all of
 * 2 * 3/4 n over its one wire. */
Test(report, levels_keep_most_bytes_off_the_network)
{
    enum { COUNT = 65536 };
    struct cluster_file cluster = {.first_host = 2,
                                   .algorithm = "auto",
                                   .bucket_bytes = (size_t)1 << 20,
                                   .progress = WW_PROGRESS_INLINE,
                                   .counts = {COUNT, 0, 0}};
    world_run(4, take_steps, &cluster);
    for (int rank = 0; rank < 4; rank++) {
        cr_expect_eq(cluster.reports[rank].level[0].sent_bytes, COUNT * 4, "rank %d sent %llu",
                     rank, (unsigned long long)cluster.reports[rank].level[0].sent_bytes);
        cr_expect_eq(cluster.reports[rank].level[1].sent_bytes, COUNT * 2, "rank %d sent %llu",
                     rank, (unsigned long long)cluster.reports[rank].level[1].sent_bytes);
    }
}

/* The wire's order may be named by the environment, too, for all ranks of a process. */
static void share_a_host(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.host = world->rank == 0 ? "a" : "b";
    struct ww_context *context = world_context(world, &config);
    ww_context_destroy(context);
}

Test(report, the_variable_for_the_host_overrides_the_program)
{
    setenv("WIREWISE_HOST", "c", 1);
    world_run(2, share_a_host, NULL);
    expect_line(WW_LOG_INFO, "2 ranks on 1 host ");
    unsetenv("WIREWISE_HOST");
    world_run(2, share_a_host, NULL);
    expect_line(WW_LOG_INFO, "2 ranks on 2 hosts ");
}

/* ---- Printing --------------------------------------------------------------------------- */

Test(report, it_prints_as_one_line)
{
    struct ww_report report = WW_REPORT_INIT;
    report.step = 7;
    report.buckets = 1;
    report.skipped = 2;
    report.sent_bytes = 3 << 20;
    report.dense_bytes = 6 << 20;
    report.levels = 2;
    report.level[0] = (struct ww_level_report){.name = "host", .sent_bytes = 2 << 20};
    report.level[1] = (struct ww_level_report){.name = "network", .sent_bytes = 1 << 20};
    report.step_s = 0.5;
    report.communication_s = 0.25;
    report.exposed_s = 0.125;
    char text[512];
    static const char wanted[] = "step 7: sent 3.00 MiB (host 2.00, network 1.00) of 6.00 dense in "
                                 "1 bucket, 2 skipped; step 0.5000 s, communication 0.2500 s, "
                                 "exposed 0.1250 s";
    cr_expect_eq(ww_report_print(&report, text, sizeof text), strlen(wanted));
    cr_expect_str_eq(text, wanted);
    cr_expect_eq(ww_report_print(&report, NULL, 0), strlen(wanted));
    cr_expect_eq(ww_report_print(&report, NULL, 100), strlen(wanted));
    cr_expect_eq(ww_report_print(&report, text, 10), strlen(wanted));
    cr_expect_str_eq(text, "step 7: s");
}

Test(report, what_encoding_saved_ends_the_line)
{
    static const struct {
        struct ww_savings saved;
        const char *end;
    } cases[] = {
        {{0, 0, 0, WW_EVIDENCE_DENSE}, "exposed 0.0000 s"},
        {{0.0123, 0.01, 0.02, WW_EVIDENCE_MEASURED}, "s, codec int8, saved 12.3 ms"},
        {{-0.5, -0.6, -0.4, WW_EVIDENCE_MODELLED}, "s, codec int8, saved -500 ms"},
        {{0, -INFINITY, INFINITY, WW_EVIDENCE_INSUFFICIENT}, "s, codec int8, saved unknown"},
        {{NAN, 0, 0, WW_EVIDENCE_MEASURED}, "s, codec int8, saved unknown"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct ww_report report = WW_REPORT_INIT;
        strcpy(report.codec, "int8");
        report.saved = cases[i].saved;
        char text[512];
        size_t length = ww_report_print(&report, text, sizeof text);
        size_t end = strlen(cases[i].end);
        cr_expect(length > end && strcmp(text + length - end, cases[i].end) == 0, "%s", text);
    }
}

/* ---- Single calls ---------------------------------------------------------------------------- */

static void count_calls(const struct ww_world *world, void *shared)
{
    static const size_t counts[] = {0, 1, 1000, 100000};
    struct ww_config config = world_config();
    config.host = *(const bool *)shared && world->rank > 0 ? "b" : "a";
    struct ww_context *context = world_context(world, &config);
    struct ww_report before = WW_REPORT_INIT;
    float *values = calloc(100000, sizeof *values);
    for (size_t i = 0; i < LENGTH(counts); i++) {
        struct ww_report after = WW_REPORT_INIT;
        check_status(ww_all_reduce(context, values, values, counts[i], WW_F32, WW_SUM), WW_OK);
        check_status(ww_calls_report(context, &after), WW_OK);
        check(after.step == i + 1 && after.size == world->size, "call %llu",
              (unsigned long long)after.step);
        uint64_t sent = after.sent_bytes - before.sent_bytes;
        check((sent > 0) == (counts[i] > 0), "%zu elements sent %llu bytes", counts[i],
              (unsigned long long)sent);
        for (int level = 0; level < after.levels; level++) {
            check(after.level[level].sent_bytes == after.level[level].planned_bytes, "level %d",
                  level);
        }
        before = after;
    }
    check_status(ww_calls_report(context, NULL), WW_BAD_ARGUMENT);
    before.struct_bytes = 0;
    check_status(ww_calls_report(context, &before), WW_BAD_ARGUMENT);
    free(values);
    ww_context_destroy(context);
}

Test(report, single_calls_are_counted_with_their_bytes)
{
    for (int hosts = 1; hosts <= 2; hosts++) {
        bool several = hosts == 2;
        world_run(3, count_calls, &several);
        cr_expect_eq(world_forgive(), 3 * 2);
    }
}
