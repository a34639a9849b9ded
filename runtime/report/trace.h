/* SPDX-License-Identifier: BSD-3-Clause
 * trace.h: a Chrome trace of steps and buckets, for Perfetto and chrome://tracing. */
#ifndef REPORT_TRACE_H
#define REPORT_TRACE_H

#include "outputs.h"

struct trace;

/* Opens the file. NULL after a warning. What setup points to outlives it. NULL is fine below. */
struct trace *trace_create(const struct outputs_setup *setup, const char *path);

/* False once the file is full, or was given up. */
bool trace_is_open(const struct trace *trace);

/* Does not allocate. */
void trace_step(struct trace *trace, const struct ww_report *report, const struct step_times *times,
                uint64_t now_ns);
void trace_event(struct trace *trace, const char *event, const char *text);
void trace_destroy(struct trace *trace);

#endif
