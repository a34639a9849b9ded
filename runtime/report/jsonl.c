/* SPDX-License-Identifier: BSD-3-Clause
 * jsonl.c: writes the ledger line by line. A run may take longer than its file has room for: lines
 * are about more and more steps then, and the end is always kept free. */
#include "jsonl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emit.h"
#include "internal/clock.h"
#include "internal/log.h"
#include "output_file.h"
#include "sums.h"

#define LINE_NS UINT64_C(2000000) /* between two lines, at first */
#define LINE_BYTES 16384          /* a header of nothing but control characters */
#define RESERVE_BYTES 8192        /* of the file, for events and the end */
#define END_BYTES 4864            /* of these, for the last line and the summary: 8 levels */
#define TEXT_BYTES 1024           /* of an event */
#define EVENTS_SHARE 8            /* events may take one part of so many of the file */
#define LAST_BYTES 8192           /* of room for steps: about 16 lines */
#define STEPS_MOST (UINT64_C(1) << 62)

struct jsonl {
    struct output_file file;
    const struct outputs_setup *setup;
    uint64_t begin_ns;
    uint64_t line_ns;     /* when the last line was written */
    uint64_t now_ns;      /* of the last step */
    uint64_t flushed_ns;  /* when lines last went to the file */
    struct sums sums;     /* steps that no line is about yet */
    uint64_t last_step;   /* the latest that was told */
    uint32_t *lateness;   /* [size] how often a rank came last in these */
    uint64_t least_steps; /* a line is about so many ... */
    uint64_t least_ns;    /* ... and so long a time */
    uint64_t mark_bytes;  /* beyond this size both double */
    uint64_t event_bytes; /* that events took */
    bool events_full;
    char line[LINE_BYTES];
};

/* ---- Lines -------------------------------------------------------------------------------- */

static struct emit begin_line(struct jsonl *ledger)
{
    struct emit emit = emit_into(ledger->line, sizeof ledger->line - 1); /* a line feed comes */
    emit_open(&emit, NULL, '{');
    return emit;
}

/* Writes the line if the file then has at most so many bytes. */
static bool end_line(struct jsonl *ledger, struct emit *emit, uint64_t most)
{
    emit_close(emit, '}');
    assert(!emit->cut);
    ledger->line[emit->used++] = '\n';
    if (emit->cut || ledger->file.bytes + emit->used > most) {
        return false;
    }
    output_put(&ledger->file, ledger->line, emit->used);
    return true;
}

static uint64_t event_room(const struct jsonl *ledger)
{
    return ledger->setup->config->ledger_bytes / EVENTS_SHARE;
}

static uint64_t step_room(const struct jsonl *ledger)
{
    return ledger->setup->config->ledger_bytes - RESERVE_BYTES - event_room(ledger);
}

/* Of the header and lines about steps: many events do not make lines longer. */
static uint64_t step_bytes(const struct jsonl *ledger)
{
    return ledger->file.bytes - ledger->event_bytes;
}

static double seconds_at(const struct jsonl *ledger, uint64_t ns)
{
    return ns <= ledger->begin_ns ? 0 : (double)(ns - ledger->begin_ns) / CLOCK_NS_PER_S;
}

/* ---- Events ------------------------------------------------------------------------------- */

static bool put_event(struct jsonl *ledger, const char *event, uint64_t step, const char *text)
{
    struct emit emit = begin_line(ledger);
    emit_text_most(&emit, "event", event, TEXT_BYTES);
    emit_count(&emit, "step", step);
    emit_text_most(&emit, "text", text, TEXT_BYTES);
    uint64_t before = ledger->file.bytes;
    bool written = end_line(ledger, &emit, ledger->setup->config->ledger_bytes - END_BYTES);
    ledger->event_bytes += ledger->file.bytes - before;
    return written;
}

/* An event for every step would leave no room for steps. What ends a run is always told. */
void jsonl_event(struct jsonl *ledger, const char *event, uint64_t step, const char *text)
{
    if (ledger == NULL) {
        return;
    }
    bool last = strcmp(event, "failure") == 0;
    if (!last && ledger->events_full) {
        return;
    }
    if (!last && ledger->event_bytes >= event_room(ledger)) {
        ledger->events_full = true;
        put_event(ledger, "bound", step, "no room for more events: they are left out from here on");
        return;
    }
    put_event(ledger, event, step, text);
}

/* ---- Steps -------------------------------------------------------------------------------- */

/* Half of the room holds lines as they come, each quarter of what is left then lines about twice as
 * many steps, and at last every line is about twice as many as the one before. */
static void lengthen_lines(struct jsonl *ledger)
{
    if (step_bytes(ledger) <= ledger->mark_bytes || ledger->least_steps >= STEPS_MOST) {
        return;
    }
    if (ledger->least_steps == 1) {
        put_event(ledger, "bound", ledger->sums.step,
                  "half of WIREWISE_LEDGER_BYTES is used: lines are about more steps each from "
                  "here on");
    }
    ledger->least_steps *= 2;
    ledger->least_ns *= 2;
    uint64_t used = step_bytes(ledger);
    uint64_t left = step_room(ledger) > used ? step_room(ledger) - used : 0;
    ledger->mark_bytes = used + (left > LAST_BYTES ? left / 4 : 0);
}

static void begin_sums(struct jsonl *ledger)
{
    ledger->sums = sums_of_none(ledger->setup->levels);
    memset(ledger->lateness, 0, (size_t)ledger->setup->size * sizeof *ledger->lateness);
}

static void write_sums(struct jsonl *ledger, uint64_t most)
{
    struct emit emit = begin_line(ledger);
    sums_emit(&ledger->sums, seconds_at(ledger, ledger->now_ns), &emit);
    if (end_line(ledger, &emit, most)) {
        lengthen_lines(ledger);
        begin_sums(ledger);
        ledger->line_ns = ledger->now_ns;
    } else {
        ledger->least_steps = STEPS_MOST; /* the rest of the run is its last line */
    }
}

static void count_slowest(struct jsonl *ledger, int rank)
{
    if (rank < 0 || rank >= ledger->setup->size) {
        return;
    }
    struct sums *sums = &ledger->sums;
    uint32_t often = ++ledger->lateness[rank];
    if (sums->slowest_rank < 0 || often > ledger->lateness[sums->slowest_rank]) {
        sums->slowest_rank = rank;
    }
}

void jsonl_step(struct jsonl *ledger, const struct ww_report *report, uint64_t now_ns)
{
    if (ledger == NULL || !output_is_open(&ledger->file)) {
        return;
    }
    sums_add(&ledger->sums, report);
    ledger->last_step = report->step;
    count_slowest(ledger, report->slowest_rank);
    ledger->now_ns = now_ns;
    if (now_ns - ledger->line_ns >= ledger->least_ns && ledger->sums.steps >= ledger->least_steps) {
        write_sums(ledger, step_room(ledger) + ledger->event_bytes);
    }
    if (now_ns - ledger->flushed_ns >= CLOCK_NS_PER_S) {
        output_flush(&ledger->file);
        ledger->flushed_ns = now_ns;
    }
}

/* ---- Begin and end ------------------------------------------------------------------------ */

static void emit_labels(const struct labels *labels, struct emit *emit)
{
    emit_open(emit, "labels", '{');
    for (int i = 0; i < labels->count; i++) {
        emit_text(emit, labels->label[i].name, labels->label[i].value);
    }
    emit_close(emit, '}');
}

static void emit_started(int64_t utc_s, struct emit *emit)
{
    char text[32] = "";
    time_t seconds = (time_t)utc_s;
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    emit_text(emit, "started", text);
}

static void write_header(struct jsonl *ledger, const struct labels *labels)
{
    const struct outputs_setup *setup = ledger->setup;
    struct emit emit = begin_line(ledger);
    emit_text(&emit, "wirewise", "ledger");
    emit_count(&emit, "schema", 1);
    emit_text(&emit, "version", ww_version());
    emit_text(&emit, "run", setup->config->run);
    emit_labels(labels, &emit);
    emit_started(setup->utc_s, &emit);
    emit_integer(&emit, "rank", setup->rank);
    emit_integer(&emit, "ranks", setup->size);
    emit_integer(&emit, "hosts", setup->hosts);
    emit_text(&emit, "host", setup->host);
    emit_text(&emit, "fabric", setup->fabric);
    emit_text(&emit, "codec", setup->config->codec);
    emit_text(&emit, "allowed", setup->config->codecs_allowed);
    emit_open(&emit, "levels", '[');
    for (int level = 0; level < setup->levels; level++) {
        emit_text(&emit, NULL, setup->level_name[level]);
    }
    emit_close(&emit, ']');
    emit_integer(&emit, "inside", setup->host_levels);
    emit_integer(&emit, "tensors", setup->tensors);
    emit_integer(&emit, "buckets", setup->buckets);
    emit_count(&emit, "gradient_bytes", setup->gradient_bytes);
    emit_text(&emit, "basis", setup->basis);
    end_line(ledger, &emit, UINT64_MAX);
    output_flush(&ledger->file); /* what is wrong with the file shall be told at once */
}

struct jsonl *jsonl_create(const struct outputs_setup *setup, const struct labels *labels,
                           const char *path)
{
    struct jsonl *ledger = calloc(1, sizeof *ledger);
    uint32_t *lateness = calloc((size_t)setup->size, sizeof *lateness);
    if (ledger == NULL || lateness == NULL) {
        log_warn("no memory for the ledger %s: the run goes on without it", path);
        goto free_ledger;
    }
    ledger->setup = setup;
    ledger->lateness = lateness;
    if (!output_open(&ledger->file, "ledger", "WIREWISE_LEDGER", path)) {
        goto free_ledger;
    }
    ledger->begin_ns = ledger->line_ns = ledger->now_ns = ledger->flushed_ns = setup->now_ns;
    ledger->least_steps = 1;
    ledger->least_ns = LINE_NS;
    write_header(ledger, labels);
    ledger->mark_bytes = ledger->file.bytes;
    ledger->mark_bytes += (step_room(ledger) - ledger->mark_bytes) / 2;
    begin_sums(ledger);
    return ledger;

free_ledger:
    free(lateness);
    free(ledger);
    return NULL;
}

/* Zero stands for unknown. */
static void emit_seconds(struct emit *emit, const char *name, double seconds)
{
    if (seconds > 0) {
        emit_number(emit, name, seconds);
    } else {
        emit_null(emit, name);
    }
}

/* Less than zero does. */
static void emit_energy(struct emit *emit, const char *name, double joules)
{
    if (joules >= 0) {
        emit_number(emit, name, joules);
    } else {
        emit_null(emit, name);
    }
}

static void emit_known(struct emit *emit, const char *name, bool known, uint64_t count)
{
    if (known) {
        emit_count(emit, name, count);
    } else {
        emit_null(emit, name);
    }
}

static void emit_audit(const struct ww_audit *audit, struct emit *emit)
{
    emit_open(emit, "audit", '{');
    emit_count(emit, "claimed", audit->claimed_bytes);
    emit_known(emit, "counted", audit->counted, audit->counted_bytes);
    emit_text_most(emit, "interface", audit->interface, sizeof audit->interface);
    emit_count(emit, "overhead", audit->overhead_bytes);
    if (audit->counted) {
        emit_number(emit, "unexplained", audit->unexplained);
    } else {
        emit_null(emit, "unexplained");
    }
    emit_known(emit, "nvlink_sent", audit->linked, audit->nvlink_sent_bytes);
    emit_known(emit, "nvlink_received", audit->linked, audit->nvlink_received_bytes);
    emit_close(emit, '}');
}

static void emit_staleness(const struct ww_ledger *totals, struct emit *emit)
{
    emit_open(emit, "staleness", '[');
    for (int i = 0; i <= WW_STALENESS_MAX; i++) {
        emit_count(emit, NULL, totals->staleness[i]);
    }
    emit_close(emit, ']');
}

static void write_summary(struct jsonl *ledger, const struct ww_ledger *totals)
{
    struct sums sums = sums_of_run(totals);
    sums.step = ledger->last_step > 0 ? ledger->last_step : sums.step;
    struct emit emit = begin_line(ledger);
    emit_open(&emit, "summary", '{');
    sums_emit(&sums, seconds_at(ledger, ledger->now_ns), &emit);
    emit_seconds(&emit, "dense_s", totals->dense_s);
    emit_seconds(&emit, "coded_s", totals->coded_s);
    emit_staleness(totals, &emit);
    emit_audit(&totals->audit, &emit);
    emit_energy(&emit, "energy_j", totals->energy_j);
    emit_energy(&emit, "gpu_energy_j", totals->gpu_energy_j);
    emit_close(&emit, '}');
    end_line(ledger, &emit, ledger->setup->config->ledger_bytes);
}

void jsonl_destroy(struct jsonl *ledger, const struct ww_ledger *totals)
{
    if (ledger == NULL) {
        return;
    }
    if (output_is_open(&ledger->file)) {
        if (ledger->sums.steps > 0) {
            write_sums(ledger, ledger->setup->config->ledger_bytes);
        }
        if (totals != NULL) {
            write_summary(ledger, totals);
        }
        output_close(&ledger->file);
    }
    free(ledger->lateness);
    free(ledger);
}
