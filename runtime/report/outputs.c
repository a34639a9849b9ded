/* SPDX-License-Identifier: BSD-3-Clause
 * outputs.c: opens the files that a config names and hands each what it is for. */
#include "outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "jsonl.h"
#include "labels.h"
#include "output_file.h"
#include "prometheus.h"
#include "trace.h"

#define RANK_MARK "%r"

struct outputs {
    struct outputs_setup setup;
    struct labels labels;
    struct jsonl *ledger; /* each may be NULL: not wanted, or given up */
    struct prometheus *metrics;
    struct trace *trace;
};

/* The file of this rank. False when it has none: no name, or rank 0 alone writes. A name that is
 * too long is cut, and refused by whoever opens it. */
static bool expand(const char *name, int rank, char path[OUTPUT_PATH_BYTES + 1])
{
    if (name == NULL || *name == '\0' || (rank > 0 && strstr(name, RANK_MARK) == NULL)) {
        return false;
    }
    size_t used = 0;
    while (*name != '\0' && used < OUTPUT_PATH_BYTES) {
        if (strncmp(name, RANK_MARK, strlen(RANK_MARK)) == 0) {
            used += (size_t)snprintf(path + used, OUTPUT_PATH_BYTES + 1 - used, "%d", rank);
            name += strlen(RANK_MARK);
        } else {
            path[used++] = *name++;
        }
    }
    path[used < OUTPUT_PATH_BYTES ? used : OUTPUT_PATH_BYTES] = '\0';
    return true;
}

/* Opens what this rank writes. */
static void open_files(struct outputs *outputs)
{
    const struct outputs_setup *setup = &outputs->setup;
    char path[OUTPUT_PATH_BYTES + 1];
    if (expand(setup->config->ledger, setup->rank, path)) {
        outputs->ledger = jsonl_create(setup, &outputs->labels, path);
    }
    if (expand(setup->config->metrics, setup->rank, path)) {
        outputs->metrics = prometheus_create(setup, &outputs->labels, path);
    }
    if (expand(setup->config->trace, setup->rank, path)) {
        outputs->trace = trace_create(setup, path);
    }
}

struct outputs *outputs_create(const struct outputs_setup *setup)
{
    char path[OUTPUT_PATH_BYTES + 1];
    if (!expand(setup->config->ledger, setup->rank, path) &&
        !expand(setup->config->metrics, setup->rank, path) &&
        !expand(setup->config->trace, setup->rank, path)) {
        return NULL;
    }
    struct outputs *outputs = calloc(1, sizeof *outputs);
    if (outputs == NULL) {
        log_warn("no memory for the ledger, metrics and trace: the run goes on without them");
        return NULL;
    }
    outputs->setup = *setup;
    labels_parse(setup->config->labels, &outputs->labels);
    open_files(outputs);
    if (outputs->ledger == NULL && outputs->metrics == NULL && outputs->trace == NULL) {
        free(outputs);
        return NULL;
    }
    return outputs;
}

bool outputs_want_times(const struct outputs *outputs)
{
    return outputs != NULL && trace_is_open(outputs->trace);
}

void outputs_line(struct outputs *outputs, const struct ww_report *report, uint64_t now_ns)
{
    if (outputs != NULL) {
        jsonl_step(outputs->ledger, report, now_ns);
    }
}

void outputs_trace(struct outputs *outputs, const struct ww_report *report,
                   const struct step_times *times, uint64_t now_ns)
{
    if (outputs != NULL) {
        trace_step(outputs->trace, report, times, now_ns);
    }
}

bool outputs_want_totals(const struct outputs *outputs, uint64_t now_ns)
{
    return outputs != NULL && prometheus_is_due(outputs->metrics, now_ns);
}

void outputs_totals(struct outputs *outputs, const struct ww_ledger *totals, uint64_t now_ns)
{
    if (outputs != NULL) {
        prometheus_write(outputs->metrics, totals, now_ns);
    }
}

void outputs_event(struct outputs *outputs, const char *event, uint64_t step, const char *text)
{
    if (outputs == NULL) {
        return;
    }
    jsonl_event(outputs->ledger, event, step, text);
    trace_event(outputs->trace, event, text);
}

void outputs_destroy(struct outputs *outputs, const struct ww_ledger *totals)
{
    if (outputs == NULL) {
        return;
    }
    jsonl_destroy(outputs->ledger, totals);
    prometheus_destroy(outputs->metrics, totals);
    trace_destroy(outputs->trace);
    free(outputs);
}
