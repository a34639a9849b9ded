/* SPDX-License-Identifier: BSD-3-Clause
 * times.h: reads the clock, and sums up a series of times. */
#ifndef BENCH_TIMES_H
#define BENCH_TIMES_H

#include <stddef.h>

/* Same unit as the series. Percentiles are nearest-rank: values that really occurred. */
struct summary {
    double min;
    double p10;
    double median;
    double p90;
    double p99;
    double mean;
};

/* Monotonic seconds from an arbitrary start. */
double seconds_now(void);

/* Sorts values[count] in place; count >= 1. */
struct summary summarize(double *values, size_t count);

#endif
