/* SPDX-License-Identifier: BSD-3-Clause
 * prometheus.c: which metrics there are, and when they are written. */
#include "prometheus.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/log.h"
#include "metric.h"

#define EVERY_NS (5 * CLOCK_NS_PER_S)

struct prometheus {
    struct output_file file;
    const struct outputs_setup *setup;
    struct metric_labels labels;
    struct ww_ledger totals; /* as last told */
    bool told;
    bool lost; /* the file was given up */
    uint64_t due_ns;
    char path[OUTPUT_PATH_BYTES + 1]; /* one that is too long stays so, and is refused */
};

/* Labels that single metrics carry. */
static const char *const own_labels[] = {"level",   "interface", "codec",    "evidence", "fabric",
                                         "version", "job",       "instance", "__name__", NULL};

/* A number of struct ww_ledger that is a metric as it stands. */
struct row {
    const char *name;
    size_t offset;
    const char *help;
};
#define ROW(name, field, help)                                                                     \
    {                                                                                              \
        "wirewise_" name, offsetof(struct ww_ledger, field), help                                  \
    }
#define LEVEL_ROW(name, field, help)                                                               \
    {                                                                                              \
        "wirewise_" name, offsetof(struct ww_level_report, field), help                            \
    }
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const struct row count_rows[] = {
    ROW("steps_total", steps, "Training steps."),
    ROW("probes_total", probes, "Steps that went dense to be compared with."),
    ROW("gradient_bytes_total", payload_bytes, "Gradients of this rank, in their own types."),
    ROW("control_bytes_total", control_bytes, "Sent to agree, beside the payload."),
    ROW("shadow_bytes_total", shadow_bytes, "Sent by shadows, beside the payload."),
    ROW("encoded_elements_total", encoded, "Elements that this rank encoded."),
    ROW("chosen_elements_total", chosen, "Of the encoded elements, those sent."),
    ROW("wild_elements_total", wild, "Of the encoded elements, those not finite."),
    ROW("policy_changes_total", policy_changes, "How often codec auto chose anew."),
    ROW("audit_claimed_bytes_total", audit.claimed_bytes,
        "Bytes that ranks of this host claim to have sent to other hosts."),
};
static const struct row second_rows[] = {
    ROW("step_seconds_total", step_s, "From begin to end of all steps."),
    ROW("communication_seconds_total", communication_s, "While a bucket was under way."),
    ROW("exposed_seconds_total", exposed_s,
        "The caller's time inside wirewise, not hidden by overlap."),
    ROW("encode_seconds_total", encode_s, "Spent in encoding."),
    ROW("decode_seconds_total", decode_s, "Spent in decoding and adding."),
    ROW("skew_seconds_total", skew_s, "Waiting for the slowest rank to come."),
    ROW("comparison_seconds_total", ledger_s, "What comparing with dense steps cost."),
};
static const struct row level_rows[] = {
    LEVEL_ROW("sent_bytes_total", sent_bytes, "Payload this rank sent, by the transport."),
    LEVEL_ROW("dense32_bytes_total", dense32_bytes, "What dense steps would have sent in fp32."),
    LEVEL_ROW("dense16_bytes_total", dense16_bytes,
              "What dense steps would have sent in a 16-bit type."),
    LEVEL_ROW("messages_total", messages, "Sends handed to the fabric."),
};

static uint64_t count_at(const void *from, const struct row *row)
{
    uint64_t count;
    memcpy(&count, (const char *)from + row->offset, sizeof count);
    return count;
}

/* ---- Groups of metrics -------------------------------------------------------------------- */

static void put_counters(struct prometheus *metrics, const struct ww_ledger *totals)
{
    for (size_t i = 0; i < LENGTH(count_rows); i++) {
        const struct row *row = &count_rows[i];
        metric_head(&metrics->file, row->name, "counter", row->help);
        metric_count(&metrics->file, row->name, &metrics->labels, NULL, count_at(totals, row));
    }
    for (size_t i = 0; i < LENGTH(second_rows); i++) {
        const struct row *row = &second_rows[i];
        double seconds;
        memcpy(&seconds, (const char *)totals + row->offset, sizeof seconds);
        metric_head(&metrics->file, row->name, "counter", row->help);
        metric_sample(&metrics->file, row->name, &metrics->labels, NULL, seconds);
    }
}

static void put_levels(struct prometheus *metrics, const struct ww_ledger *totals)
{
    for (size_t i = 0; i < LENGTH(level_rows); i++) {
        const struct row *row = &level_rows[i];
        metric_head(&metrics->file, row->name, "counter", row->help);
        for (int level = 0; level < totals->levels; level++) {
            struct metric_extra extra = {"level", totals->level[level].name};
            metric_count(&metrics->file, row->name, &metrics->labels, &extra,
                         count_at(&totals->level[level], row));
        }
    }
}

static void put_gauge(struct prometheus *metrics, const char *name, const char *help, double value)
{
    metric_head(&metrics->file, name, "gauge", help);
    metric_sample(&metrics->file, name, &metrics->labels, NULL, value);
}

/* What is not known is not there. */
static void put_savings(struct prometheus *metrics, const struct ww_ledger *totals)
{
    if (totals->saved.evidence != WW_EVIDENCE_INSUFFICIENT) {
        put_gauge(metrics, "wirewise_saved_seconds",
                  "Saved by compression in all steps; negative = lost.", totals->saved.seconds);
        put_gauge(metrics, "wirewise_saved_least_seconds", "Lower end of its 95 % interval.",
                  totals->saved.least_s);
        put_gauge(metrics, "wirewise_saved_most_seconds", "Upper end of its 95 % interval.",
                  totals->saved.most_s);
    }
    if (totals->residual_norm >= 0) {
        put_gauge(metrics, "wirewise_residual_norm", "L2 norm of what error feedback keeps.",
                  totals->residual_norm);
    }
    if (totals->captured >= 0) {
        put_gauge(metrics, "wirewise_captured_ratio",
                  "Share of squares that was sent when the residual was last looked at.",
                  totals->captured);
    }
}

static void put_energy(struct prometheus *metrics, const char *name, const char *help,
                       double joules)
{
    if (joules >= 0) {
        metric_head(&metrics->file, name, "counter", help);
        metric_sample(&metrics->file, name, &metrics->labels, NULL, joules);
    }
}

static void put_nvlink(struct prometheus *metrics, const struct ww_audit *audit)
{
    static const struct {
        const char *name;
        const char *help;
    } rows[] = {{"wirewise_audit_nvlink_sent_bytes_total",
                 "Sent through NVLink by this host's GPUs, whoever used them."},
                {"wirewise_audit_nvlink_received_bytes_total",
                 "Received through NVLink by this host's GPUs, whoever used them."}};
    const uint64_t counts[] = {audit->nvlink_sent_bytes, audit->nvlink_received_bytes};
    for (size_t i = 0; audit->linked && i < LENGTH(rows); i++) {
        metric_head(&metrics->file, rows[i].name, "counter", rows[i].help);
        metric_count(&metrics->file, rows[i].name, &metrics->labels, NULL, counts[i]);
    }
}

static void put_kernel(struct prometheus *metrics, const struct ww_ledger *totals)
{
    const struct ww_audit *audit = &totals->audit;
    if (audit->counted) {
        static const char counted[] = "wirewise_audit_counted_bytes_total";
        char interface[sizeof audit->interface + 1];
        snprintf(interface, sizeof interface, "%.*s", (int)sizeof audit->interface,
                 audit->interface);
        struct metric_extra extra = {"interface", interface};
        metric_head(&metrics->file, counted, "counter", "Bytes that the host's interface sent.");
        metric_count(&metrics->file, counted, &metrics->labels, &extra, audit->counted_bytes);
        put_gauge(metrics, "wirewise_audit_unexplained_ratio",
                  "Counted beyond claimed and framing, by claimed.", audit->unexplained);
    }
    put_nvlink(metrics, audit);
    put_energy(metrics, "wirewise_energy_joules_total", "Taken by this host's processors.",
               totals->energy_j);
    put_energy(metrics, "wirewise_gpu_energy_joules_total", "Taken by this host's GPUs.",
               totals->gpu_energy_j);
}

static void put_state(struct prometheus *metrics, const struct ww_ledger *totals, bool running)
{
    char codec[sizeof totals->codec + 1];
    snprintf(codec, sizeof codec, "%.*s", (int)sizeof totals->codec, totals->codec);
    struct metric_extra extra = {"codec", codec};
    metric_head(&metrics->file, "wirewise_codec", "gauge",
                "1 for the codec by which most gradients travelled in the latest step.");
    metric_count(&metrics->file, "wirewise_codec", &metrics->labels, &extra, 1);
    put_gauge(metrics, "wirewise_ranks", "How many ranks take part.", metrics->setup->size);
    put_gauge(metrics, "wirewise_running", "1 while the run goes on, 0 once it has ended.",
              running);
}

static void write_file(struct prometheus *metrics, bool running)
{
    const struct ww_ledger *totals = &metrics->totals;
    if (!output_open_beside(&metrics->file, "metrics file", "WIREWISE_METRICS", metrics->path)) {
        metrics->lost = true;
        return;
    }
    put_counters(metrics, totals);
    put_levels(metrics, totals);
    put_savings(metrics, totals);
    put_kernel(metrics, totals);
    put_state(metrics, totals, running);
    metrics->lost = !output_move(&metrics->file);
}

/* ---- Door --------------------------------------------------------------------------------- */

struct prometheus *prometheus_create(const struct outputs_setup *setup, const struct labels *labels,
                                     const char *path)
{
    struct prometheus *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        log_warn("no memory for the metrics file %s: the run goes on without it", path);
        return NULL;
    }
    char rank[16];
    snprintf(rank, sizeof rank, "%d", setup->rank);
    snprintf(metrics->path, sizeof metrics->path, "%s", path);
    metrics->file.placed = -1;
    metrics->setup = setup;
    metric_label(&metrics->labels, "run", setup->config->run);
    metric_label(&metrics->labels, "rank", rank);
    metric_label(&metrics->labels, "host", setup->host);
    metric_labels_add(&metrics->labels, labels, own_labels);
    return metrics;
}

bool prometheus_is_due(const struct prometheus *metrics, uint64_t now_ns)
{
    return metrics != NULL && !metrics->lost && now_ns >= metrics->due_ns;
}

void prometheus_write(struct prometheus *metrics, const struct ww_ledger *totals, uint64_t now_ns)
{
    if (metrics == NULL || metrics->lost) {
        return;
    }
    metrics->totals = *totals;
    metrics->told = true;
    metrics->due_ns = now_ns + EVERY_NS;
    write_file(metrics, true);
}

void prometheus_destroy(struct prometheus *metrics, const struct ww_ledger *totals)
{
    if (metrics == NULL) {
        return;
    }
    if (totals != NULL) {
        metrics->totals = *totals;
        metrics->told = true;
    }
    if (metrics->told && !metrics->lost) {
        write_file(metrics, false);
    }
    output_leave(&metrics->file);
    free(metrics);
}
