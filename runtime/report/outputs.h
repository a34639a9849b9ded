/* SPDX-License-Identifier: BSD-3-Clause
 * outputs.h: the files that a run writes about itself: a ledger (JSON Lines), metrics (Prometheus
 * text) and a trace (Chrome). docs/ledger.md is their format. Trouble with a file is told once, and
 * that file is given up: a run never fails because of them.
 * Thread   any, one call at a time. Nothing allocates between create and destroy. */
#ifndef REPORT_OUTPUTS_H
#define REPORT_OUTPUTS_H

#include <wirewise/ledger.h>
#include <wirewise/wirewise.h>

/* What stays the same during a run. It is copied; everything it points to outlives the outputs. */
struct outputs_setup {
    const struct ww_config *config; /* ledger, ledger_bytes, metrics, trace, run, labels, codec,
                                       codecs_allowed */
    int rank;
    int size;
    int hosts;
    const char *host;
    const char *fabric;
    int levels;
    int host_levels;
    const char *const *level_name; /* [levels] */
    int tensors;
    int buckets;
    uint64_t gradient_bytes;
    const char *basis;
    uint64_t now_ns; /* on the clock of all calls below: where a line's t begins */
    int64_t utc_s;   /* the same moment, in seconds since 1970 (clock_utc_s) */
};

/* When one bucket of a step did what, on the monotonic clock; 0 = it did not. */
struct bucket_times {
    int index;          /* 0 holds the tensors registered last */
    const char *codec;  /* as it travelled; valid during the call */
    uint64_t bytes;     /* of its values */
    uint64_t ready_ns;  /* the last of its tensors was handed over */
    uint64_t start_ns;  /* it left: announced to the peers */
    uint64_t passed_ns; /* all peers had announced it: data moves from here on */
    uint64_t done_ns;   /* results are in place */
    uint64_t encode_ns; /* spent in encoding */
    uint64_t decode_ns; /* in decoding and adding */
};

struct step_times {
    uint64_t begin_ns;
    uint64_t end_ns;
    const struct bucket_times *buckets; /* [count] */
    int count;
    bool drains; /* it is no step: delayed results were taken behind one */
};

/* Opens what the config names. NULL where it names nothing. */
struct outputs;
struct outputs *outputs_create(const struct outputs_setup *setup);

/* True when outputs_trace wants to know times of buckets. NULL is fine here and below. */
bool outputs_want_times(const struct outputs *outputs);

/* Tells a step, to the ledger, to the trace or to both. Lines are gathered, so that a short step
 * costs little: one is written once two milliseconds passed since the last, and is then about
 * several steps. times may be NULL. */
void outputs_line(struct outputs *outputs, const struct ww_report *report, uint64_t now_ns);
void outputs_trace(struct outputs *outputs, const struct ww_report *report,
                   const struct step_times *times, uint64_t now_ns);

/* True when the metrics are due, so that the totals are to be read and told. */
bool outputs_want_totals(const struct outputs *outputs, uint64_t now_ns);
void outputs_totals(struct outputs *outputs, const struct ww_ledger *totals, uint64_t now_ns);

/* An event, see docs/ledger.md. */
void outputs_event(struct outputs *outputs, const char *event, uint64_t step, const char *text);

/* Ends the files: with the run's totals, or NULL when it failed and events told why. */
void outputs_destroy(struct outputs *outputs, const struct ww_ledger *totals);

#endif
