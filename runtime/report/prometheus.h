/* SPDX-License-Identifier: BSD-3-Clause
 * prometheus.h: a run's totals as text for the textfile collector of Prometheus' node_exporter. */
#ifndef REPORT_PROMETHEUS_H
#define REPORT_PROMETHEUS_H

#include "labels.h"
#include "outputs.h"

struct prometheus;

/* Writes nothing yet. NULL after a warning. labels and what setup points to outlive it. NULL is
 * fine below. */
struct prometheus *prometheus_create(const struct outputs_setup *setup, const struct labels *labels,
                                     const char *path);

/* True every five seconds, and at first. */
bool prometheus_is_due(const struct prometheus *metrics, uint64_t now_ns);

/* Writes the file anew; node_exporter never sees half of it. */
void prometheus_write(struct prometheus *metrics, const struct ww_ledger *totals, uint64_t now_ns);

/* Writes it a last time, with wirewise_running 0; totals NULL = with the latest ones. */
void prometheus_destroy(struct prometheus *metrics, const struct ww_ledger *totals);

#endif
