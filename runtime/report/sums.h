/* SPDX-License-Identifier: BSD-3-Clause
 * sums.h: what a line of the ledger says: sums over one step, several, or a whole run. */
#ifndef REPORT_SUMS_H
#define REPORT_SUMS_H

#include <wirewise/ledger.h>

#include "emit.h"

struct sums {
    uint64_t step; /* the last one */
    uint64_t steps;
    uint64_t probes;
    int levels;
    struct {
        uint64_t sent, dense32, dense16;
    } level[WW_LEVELS_MAX];
    uint64_t control_bytes, shadow_bytes;
    double step_s, communication_s, exposed_s, encode_s, decode_s, skew_s, ledger_s;
    int slowest_rank; /* the most often; -1 = nobody */
    struct ww_savings saved;
    char codec[24];                 /* of the last step */
    double residual_norm, captured; /* when last looked at; negative = never */
    uint64_t encoded, chosen, wild;
};

/* Of no step. */
struct sums sums_of_none(int levels);

/* Adds a step; who came last is the caller's to count. Plain additions. */
void sums_add(struct sums *sums, const struct ww_report *report);

struct sums sums_of_run(const struct ww_ledger *totals);

/* The members of a step line; t_s is the time since the header. */
void sums_emit(const struct sums *sums, double t_s, struct emit *emit);

#endif
