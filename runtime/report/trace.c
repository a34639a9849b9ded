/* SPDX-License-Identifier: BSD-3-Clause
 * trace.c: writes trace events, one a line. The process is the rank; thread 0 holds steps, and each
 * thread from 1 on is a lane, in which one bucket at a time is on its way: events of a thread nest.
 * The file is the array form, whose closing bracket may be missing: a killed run's can be read. */
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emit.h"
#include "internal/clock.h"
#include "internal/log.h"
#include "output_file.h"

#define EVENT_BYTES 4096
#define TEXT_BYTES 1024 /* of an event's text, escaped */
#define END_BYTES 512   /* of the file, for its last words */
#define STEPS_THREAD 0

struct trace {
    struct output_file file;
    const struct outputs_setup *setup;
    uint64_t begin_ns; /* where the trace's time begins */
    uint64_t last_ns;  /* end of the last step */
    uint64_t flushed_ns;
    bool full;
    int lanes;          /* named so far, of ... */
    int lanes_most;     /* as many as there are buckets of all steps on their way */
    uint64_t *lane_end; /* [lanes_most] when a lane is free again */
    int *order;         /* [buckets] of a step, as they left */
    char event[EVENT_BYTES];
};

/* ---- Events ------------------------------------------------------------------------------- */

static struct emit begin_event(struct trace *trace, const char *phase, const char *name, int thread)
{
    struct emit emit = emit_into(trace->event, sizeof trace->event - 2); /* comma, line feed */
    emit_open(&emit, NULL, '{');
    emit_text(&emit, "ph", phase);
    emit_text_most(&emit, "name", name, TEXT_BYTES);
    emit_integer(&emit, "pid", trace->setup->rank);
    emit_integer(&emit, "tid", thread);
    return emit;
}

/* Commas stand before events, so that the last one has none. */
static void write_event(struct trace *trace, struct emit *emit)
{
    emit_close(emit, '}');
    assert(!emit->cut);
    if (emit->cut) {
        return;
    }
    output_put(&trace->file, trace->file.bytes == 0 ? "[\n" : ",\n", 2);
    output_put(&trace->file, trace->event, emit->used);
}

static uint64_t since_begin(const struct trace *trace, uint64_t ns)
{
    return ns > trace->begin_ns ? ns - trace->begin_ns : 0;
}

static void put_instant(struct trace *trace, const char *name, const char *text)
{
    struct emit emit = begin_event(trace, "i", name, STEPS_THREAD);
    emit_us(&emit, "ts", since_begin(trace, trace->last_ns));
    emit_text(&emit, "s", "p");
    emit_open(&emit, "args", '{');
    emit_text_most(&emit, "text", text, TEXT_BYTES);
    emit_close(&emit, '}');
    write_event(trace, &emit);
}

/* Whether so many events more leave room for the end. A trace stops at once and for good. */
static bool has_room(struct trace *trace, int events)
{
    /* No event but an instant takes more than a kilobyte. */
    uint64_t most = trace->setup->config->ledger_bytes - END_BYTES;
    if (!trace->full && trace->file.bytes + (uint64_t)events * 1024 + TEXT_BYTES > most) {
        trace->full = true;
        put_instant(trace, "the trace ends here",
                    "the file has the size that WIREWISE_LEDGER_BYTES allows");
        output_flush(&trace->file);
    }
    return !trace->full && output_is_open(&trace->file);
}

static void put_name(struct trace *trace, const char *what, int thread, const char *name)
{
    struct emit emit = begin_event(trace, "M", what, thread);
    emit_open(&emit, "args", '{');
    emit_text(&emit, "name", name);
    emit_close(&emit, '}');
    write_event(trace, &emit);
}

/* An event that lasts; the caller adds members and ends it. */
static struct emit begin_span(struct trace *trace, const char *name, int thread, uint64_t from_ns,
                              uint64_t to_ns)
{
    struct emit emit = begin_event(trace, "X", name, thread);
    uint64_t begin = since_begin(trace, from_ns);
    uint64_t end = since_begin(trace, to_ns);
    emit_us(&emit, "ts", begin);
    emit_us(&emit, "dur", end > begin ? end - begin : 0);
    return emit;
}

/* ---- Buckets ------------------------------------------------------------------------------ */

/* Buckets leave almost in their order: few of them move. */
static int order_buckets(struct trace *trace, const struct step_times *times)
{
    int count = 0;
    for (int i = 0; i < times->count && i < trace->setup->buckets; i++) {
        const struct bucket_times *bucket = &times->buckets[i];
        if (bucket->start_ns == 0 || bucket->done_ns < bucket->start_ns) {
            continue; /* it did not run */
        }
        int at = count++;
        while (at > 0 && times->buckets[trace->order[at - 1]].start_ns > bucket->start_ns) {
            trace->order[at] = trace->order[at - 1];
            at--;
        }
        trace->order[at] = i;
    }
    return count;
}

/* The first lane that is free. */
static int take_lane(struct trace *trace, const struct bucket_times *bucket)
{
    int lane = 0;
    while (lane + 1 < trace->lanes_most && trace->lane_end[lane] > bucket->start_ns) {
        lane++;
    }
    trace->lane_end[lane] = bucket->done_ns;
    if (lane == trace->lanes) {
        char name[32];
        snprintf(name, sizeof name, "lane %d", ++trace->lanes);
        put_name(trace, "thread_name", lane + 1, name);
    }
    return lane + 1;
}

static void put_part(struct trace *trace, const char *name, int thread, uint64_t from_ns,
                     uint64_t to_ns)
{
    struct emit emit = begin_span(trace, name, thread, from_ns, to_ns);
    write_event(trace, &emit);
}

static void put_bucket(struct trace *trace, uint64_t step, const struct bucket_times *bucket)
{
    int thread = take_lane(trace, bucket);
    char name[32];
    snprintf(name, sizeof name, "bucket %d", bucket->index);
    struct emit emit = begin_span(trace, name, thread, bucket->start_ns, bucket->done_ns);
    emit_open(&emit, "args", '{');
    emit_count(&emit, "step", step);
    emit_text_most(&emit, "codec", bucket->codec, 64);
    emit_count(&emit, "bytes", bucket->bytes);
    if (bucket->ready_ns != 0 && bucket->ready_ns <= bucket->start_ns) {
        emit_us(&emit, "queued_us", bucket->start_ns - bucket->ready_ns);
    } else {
        emit_null(&emit, "queued_us");
    }
    emit_us(&emit, "encode_us", bucket->encode_ns);
    emit_us(&emit, "decode_us", bucket->decode_ns);
    emit_close(&emit, '}');
    write_event(trace, &emit);
    if (bucket->passed_ns >= bucket->start_ns && bucket->passed_ns <= bucket->done_ns) {
        put_part(trace, "gate", thread, bucket->start_ns, bucket->passed_ns);
        put_part(trace, "move", thread, bucket->passed_ns, bucket->done_ns);
    }
}

static void put_step(struct trace *trace, const struct ww_report *report,
                     const struct step_times *times)
{
    char name[48];
    snprintf(name, sizeof name, "%sstep %llu%s", times->drains ? "drain behind " : "",
             (unsigned long long)report->step, report->probe ? " (probe)" : "");
    struct emit emit = begin_span(trace, name, STEPS_THREAD, times->begin_ns, times->end_ns);
    emit_open(&emit, "args", '{');
    char codec[sizeof report->codec + 1];
    snprintf(codec, sizeof codec, "%.*s", (int)sizeof report->codec, report->codec);
    emit_text(&emit, "codec", codec);
    emit_count(&emit, "sent_bytes", report->sent_bytes);
    emit_number(&emit, "communication_s", report->communication_s);
    emit_number(&emit, "exposed_s", report->exposed_s);
    emit_number(&emit, "encode_s", report->encode_s);
    emit_number(&emit, "decode_s", report->decode_s);
    emit_number(&emit, "skew_s", report->skew_s);
    if (report->slowest_rank >= 0) {
        emit_integer(&emit, "slowest", report->slowest_rank);
    } else {
        emit_null(&emit, "slowest");
    }
    emit_close(&emit, '}');
    write_event(trace, &emit);
}

/* ---- Door --------------------------------------------------------------------------------- */

bool trace_is_open(const struct trace *trace)
{
    return trace != NULL && !trace->full && output_is_open(&trace->file);
}

void trace_step(struct trace *trace, const struct ww_report *report, const struct step_times *times,
                uint64_t now_ns)
{
    if (!trace_is_open(trace) || times == NULL) {
        return;
    }
    if (has_room(trace, 1)) {
        put_step(trace, report, times);
        trace->last_ns = times->end_ns;
    }
    int count = order_buckets(trace, times);
    uint64_t step = report->version > 0 ? report->version : report->step;
    for (int i = 0; i < count && has_room(trace, 4); i++) {
        put_bucket(trace, step, &times->buckets[trace->order[i]]);
    }
    if (now_ns - trace->flushed_ns >= CLOCK_NS_PER_S) {
        output_flush(&trace->file);
        trace->flushed_ns = now_ns;
    }
}

void trace_event(struct trace *trace, const char *event, const char *text)
{
    if (trace_is_open(trace) && has_room(trace, 2)) {
        put_instant(trace, event, text);
    }
}

static void write_head(struct trace *trace)
{
    char name[160];
    snprintf(name, sizeof name, "rank %d on %.100s", trace->setup->rank,
             trace->setup->host == NULL ? "" : trace->setup->host);
    put_name(trace, "process_name", STEPS_THREAD, name);
    put_name(trace, "thread_name", STEPS_THREAD, "steps");
    output_flush(&trace->file);
}

static void free_trace(struct trace *trace)
{
    free(trace->order);
    free(trace->lane_end);
    free(trace);
}

struct trace *trace_create(const struct outputs_setup *setup, const char *path)
{
    struct trace *trace = calloc(1, sizeof *trace);
    size_t buckets = setup->buckets > 0 ? (size_t)setup->buckets : 1;
    if (trace != NULL) {
        size_t lanes = buckets * ((size_t)setup->config->staleness + 1);
        trace->setup = setup;
        trace->lanes_most = (int)lanes;
        trace->lane_end = calloc(lanes, sizeof *trace->lane_end);
        trace->order = calloc(buckets, sizeof *trace->order);
    }
    if (trace == NULL || trace->lane_end == NULL || trace->order == NULL) {
        log_warn("no memory for the trace %s: the run goes on without it", path);
        goto free_trace;
    }
    if (!output_open(&trace->file, "trace", "WIREWISE_TRACE", path)) {
        goto free_trace;
    }
    trace->begin_ns = trace->last_ns = trace->flushed_ns = setup->now_ns;
    write_head(trace);
    return trace;

free_trace:
    if (trace != NULL) {
        free_trace(trace);
    }
    return NULL;
}

void trace_destroy(struct trace *trace)
{
    if (trace == NULL) {
        return;
    }
    output_put(&trace->file, "\n]\n", 3);
    output_close(&trace->file);
    free_trace(trace);
}
