/* SPDX-License-Identifier: BSD-3-Clause
 * report.c: what a step sent and how long it took, from the transport's own counters. */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "device.h"
#include "internal/clock.h"

#define NS_PER_S 1e9
#define MIB 1048576.0
#define DENSE_BYTES 4 /* the yardstick is fp32 */

/* What a lane sent so far, and what its collectives sent between GPUs. */
static void count_lane(const struct ww_context *context, bool calls, uint64_t *planned,
                       struct ww_traffic *traffic)
{
    engine_counters(calls ? context->calls.engine : context->steps.engine, planned, traffic);
    if (context->device != NULL) {
        context->device->ops->count(context->device, calls, traffic, planned);
    }
}

void report_begin(struct ww_context *context)
{
    count_lane(context, false, context->step.planned, context->step.traffic);
}

static void count_tensors(struct ww_context *context, struct ww_report *report)
{
    uint64_t elements = 0;
    for (int i = 0; i < context->tensor_count; i++) {
        struct ww_tensor *tensor = context->by_bucket[i];
        elements += tensor->count;
        report->payload_bytes += tensor->count * ww_type_bytes(tensor->type);
        report->skipped += atomic_load(&tensor->state) == TENSOR_SKIPPED;
    }
    uint64_t size = (uint64_t)context->world.size;
    report->dense_bytes = 2 * (size - 1) * elements * DENSE_BYTES / size;
    report->tensors = context->tensor_count;
    report->buckets = context->bucket_count;
}

/* Bytes per level that an engine counted beyond `traffic` and `planned`. */
static void fill_levels(const struct ww_context *context, bool calls,
                        const struct ww_traffic *since, const uint64_t *planned_since,
                        struct ww_report *report)
{
    struct ww_traffic traffic[WW_LEVELS_MAX];
    uint64_t planned[WW_LEVELS_MAX];
    count_lane(context, calls, planned, traffic);
    report->size = context->world.size;
    report->levels = context->topology.levels;
    for (int level = 0; level < report->levels; level++) {
        struct ww_level_report *line = &report->level[level];
        line->name = context->topology.level_name[level];
        line->sent_bytes = traffic[level].data_bytes - since[level].data_bytes;
        line->messages = traffic[level].data_messages - since[level].data_messages;
        line->planned_bytes = planned[level] - planned_since[level];
        report->sent_bytes += line->sent_bytes;
        report->control_bytes += traffic[level].control_bytes - since[level].control_bytes;
    }
}

/* Buckets may still be on their way where results are delayed. */
static void note_communication(struct ww_context *context, struct ww_report *report)
{
    struct step *step = &context->step;
    if (step->moving > 0) {
        uint64_t now_ns = clock_now_ns();
        step->communication_ns += now_ns - step->moving_since_ns;
        step->moving_since_ns = now_ns;
    }
    if (!device_enqueues(context)) {
        report->communication_s = (double)step->communication_ns / NS_PER_S;
    }
    if (delayed_is_on(context)) {
        step->communication_ns = 0;
    }
}

void report_counters(struct ww_context *context, struct ww_report *report)
{
    struct step *step = &context->step;
    pthread_mutex_lock(&context->steps.lock);
    fill_levels(context, false, step->traffic, step->planned, report);
    ledger_collect(context, report);
    note_communication(context, report);
    if (delayed_is_on(context)) { /* what moves from now on, other steps' too, is told next time */
        report_begin(context);
        ledger_begin_step(context);
    }
    pthread_mutex_unlock(&context->steps.lock);
    report->step = step->number;
    count_tensors(context, report);
}

/* Others hold the lane for moments: only a call that is inside may take long. */
static bool hold_calls(struct ww_context *context)
{
    while (pthread_mutex_trylock(&context->calls.lock) != 0) {
        if (atomic_load(&context->calling)) {
            return false;
        }
        sched_yield();
    }
    return true;
}

enum ww_status ww_calls_report(struct ww_context *context, struct ww_report *report)
{
    enum ww_status status = context_check(context, "ww_calls_report");
    if (status != WW_OK) {
        return status;
    }
    if (report == NULL || report->struct_bytes != sizeof *report) {
        return context_fail(context, log_failure(WW_BAD_ARGUMENT, "ww_calls_report got %s",
                                                 report == NULL ? "NULL for the report"
                                                                : "a report that was not made by "
                                                                  "WW_REPORT_INIT"));
    }
    if (!hold_calls(context)) {
        return context_fail(context, log_failure(WW_BAD_STATE,
                                                 "ww_calls_report was called while a single call "
                                                 "is inside the same context"));
    }
    struct ww_report made = WW_REPORT_INIT;
    fill_levels(context, true, context->calls_since, context->calls_planned_since, &made);
    made.step = context->calls_made;
    pthread_mutex_unlock(&context->calls.lock);
    context_break_calls(context); /* a step may have failed meanwhile */
    *report = made;
    return WW_OK;
}

void report_end(struct ww_context *context, struct ww_report *report)
{
    struct step *step = &context->step;
    report->control_bytes += step->side_bytes;
    report->shadow_bytes = step->shadow_bytes;
    step->side_bytes = 0;
    step->shadow_bytes = 0;
    report->step_s = (double)(clock_now_ns() - step->begin_ns) / NS_PER_S;
    report->exposed_s = (double)atomic_load(&step->exposed_ns) / NS_PER_S;
}

/* What encoding did: nothing to say where nothing was encoded. */
static void print_savings(const struct ww_report *report, char *text, size_t bytes)
{
    const struct ww_savings *saved = &report->saved;
    text[0] = '\0';
    if (saved->evidence == WW_EVIDENCE_DENSE) {
        return;
    }
    int used = snprintf(text, bytes, ", codec %.*s, saved ", (int)sizeof report->codec,
                        report->codec);
    if (saved->evidence == WW_EVIDENCE_INSUFFICIENT || !isfinite(saved->seconds)) {
        snprintf(text + used, bytes - (size_t)used, "unknown");
    } else {
        snprintf(text + used, bytes - (size_t)used, "%.3g ms", saved->seconds * 1e3);
    }
}

size_t ww_report_print(const struct ww_report *report, char *text, size_t bytes)
{
    bytes = text == NULL ? 0 : bytes;
    if (report == NULL) {
        return (size_t)snprintf(text, bytes, "no report");
    }
    char levels[256] = "";
    size_t used = 0;
    for (int level = 0; report->levels > 1 && level < report->levels && used < sizeof levels;
         level++) {
        used += (size_t)snprintf(levels + used, sizeof levels - used, "%s%s %.2f",
                                 level == 0 ? " (" : ", ", report->level[level].name,
                                 (double)report->level[level].sent_bytes / MIB);
    }
    char skipped[64] = "";
    if (report->skipped > 0) {
        snprintf(skipped, sizeof skipped, ", %d skipped", report->skipped);
    }
    if (report->version > 0 && report->version != report->step) {
        size_t length = strlen(skipped);
        snprintf(skipped + length, sizeof skipped - length, ", results of step %llu",
                 (unsigned long long)report->version);
    }
    char savings[96];
    print_savings(report, savings, sizeof savings);
    int needed = snprintf(text, bytes,
                          "step %llu: sent %.2f MiB%s%s of %.2f dense in %d bucket%s%s; "
                          "step %.4f s, communication %.4f s, exposed %.4f s%s",
                          (unsigned long long)report->step, (double)report->sent_bytes / MIB,
                          levels, used > 0 ? ")" : "", (double)report->dense_bytes / MIB,
                          report->buckets, report->buckets == 1 ? "" : "s", skipped, report->step_s,
                          report->communication_s, report->exposed_s, savings);
    return needed < 0 ? 0 : (size_t)needed;
}
