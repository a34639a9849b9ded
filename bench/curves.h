/* SPDX-License-Identifier: BSD-3-Clause
 * curves.h: a report as curves of bus bandwidth over size. */
#ifndef BENCH_CURVES_H
#define BENCH_CURVES_H

#include "report.h"

struct point {
    double bytes;
    double gbps;
};

struct curve {
    char name[96];
    struct point *points;
    size_t count;
    int family;  /* curves of one setting share a colour ... */
    bool dashed; /* ... and the peer's is dashed */
};

struct curves {
    struct curve *curves;
    size_t count;
};

/* One curve per type, operation and placement, and with --versus per type, operation, memory and
 * side; sizes of 0 bytes have no place on them. Every curve has a point at least. False when there
 * is no memory for it. */
bool curves_make(const struct report *report, struct curves *curves);
void curves_free(struct curves *curves);

#endif
