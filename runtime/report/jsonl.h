/* SPDX-License-Identifier: BSD-3-Clause
 * jsonl.h: the ledger's file: a header, lines about steps, events and a summary (docs/ledger.md).
 * It never grows beyond ledger_bytes. */
#ifndef REPORT_JSONL_H
#define REPORT_JSONL_H

#include "labels.h"
#include "outputs.h"

struct jsonl;

/* Opens the file and writes the header. NULL after a warning. labels and what setup points to
 * outlive it. NULL is fine below. */
struct jsonl *jsonl_create(const struct outputs_setup *setup, const struct labels *labels,
                           const char *path);

/* Adds a step to the line under way, which is written when it is due. Does not allocate. */
void jsonl_step(struct jsonl *ledger, const struct ww_report *report, uint64_t now_ns);
void jsonl_event(struct jsonl *ledger, const char *event, uint64_t step, const char *text);

/* Writes what is under way and, unless totals is NULL, the summary. */
void jsonl_destroy(struct jsonl *ledger, const struct ww_ledger *totals);

#endif
