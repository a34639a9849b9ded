/* SPDX-License-Identifier: BSD-3-Clause
 * local.c: local steps by ww_outer_step. */
#include "local.h"

#include <stdlib.h>
#include <time.h>

struct local {
    struct ww_context *context;
    struct ww_outer *outer;
    size_t steps; /* of the whole training */
    struct ww_outer_report report;
    struct ww_outer_report told; /* what the steps before came to */
    double began_s;
    double losses; /* sum, of so many steps of this rank since the latest exchange */
    size_t count;
    double loss; /* the mean of all ranks up to that exchange */
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void local_destroy(struct local *local)
{
    if (local != NULL) {
        ww_outer_destroy(local->outer);
        free(local);
    }
}

enum ww_status local_create(struct ww_context *context, const struct options *options,
                            float *values, size_t count, struct local **local, const char **what)
{
    if (options->outer.local_steps <= 1) {
        return WW_OK;
    }
    struct local *made = calloc(1, sizeof *made);
    struct ww_outer_region all = {values, count};
    *what = "the memory for local steps";
    if (made == NULL) {
        return WW_NO_MEMORY;
    }
    made->context = context;
    made->steps = options->steps;
    made->report = (struct ww_outer_report)WW_OUTER_REPORT_INIT;
    made->told = made->report;
    made->began_s = now_s();
    *what = "ww_outer_create";
    enum ww_status status = ww_outer_create(context, &options->outer, &all, 1, &made->outer);
    if (status != WW_OK) {
        local_destroy(made);
        return status;
    }
    *local = made;
    return WW_OK;
}

/* Ranks speak of the loss where they meet anyway, and once at the begin. */
static enum ww_status share_loss(struct local *local)
{
    double mean = local->losses / (double)local->count;
    enum ww_status status = ww_all_reduce(local->context, &mean, &mean, 1, WW_F64, WW_MEAN);
    local->loss = status == WW_OK ? mean : local->loss;
    local->losses = 0;
    local->count = 0;
    return status;
}

static void fill_report(struct local *local, size_t step, struct ww_report *report)
{
    const struct ww_outer_report *before = &local->told;
    const struct ww_outer_report *after = &local->report;
    double end_s = now_s();
    report->step = step;
    report->size = after->size;
    report->buckets = after->changed;
    report->sent_bytes = after->sent_bytes - before->sent_bytes;
    report->control_bytes = after->control_bytes - before->control_bytes;
    report->dense_bytes = after->dense_bytes - before->dense_bytes;
    report->communication_s = after->communication_s - before->communication_s;
    report->exposed_s = after->exposed_s - before->exposed_s;
    report->step_s = end_s - local->began_s;
    local->began_s = end_s;
    local->told = local->report;
}

enum ww_status local_step(struct local *local, size_t step, double *loss, struct ww_report *report,
                          const char **what)
{
    local->losses += *loss;
    local->count++;
    *what = "ww_outer_step";
    enum ww_status status = ww_outer_step(local->outer, &local->report);
    int changed = local->report.changed;
    bool unsent = local->report.window_steps > 0 || local->report.in_flight > 0;
    if (status == WW_OK && step == local->steps && unsent) {
        *what = "ww_outer_meet";
        status = ww_outer_meet(local->outer, &local->report);
        changed += local->report.changed;
    }
    if (status == WW_OK && (changed > 0 || step == 1)) {
        *what = "ww_all_reduce of the loss";
        status = share_loss(local);
    }
    if (status == WW_OK) {
        *loss = local->loss;
        local->report.changed = changed;
        fill_report(local, step, report);
    }
    return status;
}

bool local_met(const struct local *local)
{
    return local->report.changed > 0;
}

enum ww_status local_keep(struct local *local, const char **what)
{
    *what = "ww_outer_keep";
    return ww_outer_keep(local->outer, "outer");
}

enum ww_status local_ready(struct local *local, double *loss, const char **what)
{
    *what = "ww_outer_drain";
    enum ww_status status = ww_outer_drain(local->outer, &local->report);
    if (status == WW_OK && local->count > 0) {
        *what = "ww_all_reduce of the loss";
        status = share_loss(local);
    }
    *loss = local->loss;
    return status;
}

enum ww_status local_resume(struct local *local, double loss, const char **what)
{
    *what = "ww_outer_drain";
    local->loss = loss;
    enum ww_status status = ww_outer_drain(local->outer, &local->report); /* tells what was sent */
    local->told = local->report;
    local->began_s = now_s();
    return status;
}

size_t local_print(const struct local *local, char *text, size_t bytes)
{
    return ww_outer_report_print(&local->report, text, bytes);
}
