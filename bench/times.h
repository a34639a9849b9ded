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
    double max;
    double mean;
    double median_low;  /* the median of the whole population lies between these two with a */
    double median_high; /* confidence of at least 95 %; NAN for fewer than 6 values */
};

/* Monotonic seconds from an arbitrary start. */
double seconds_now(void);

/* Sorts values[count] in place; count >= 1. */
struct summary summarize(double *values, size_t count);

/* The confidence interval of the median without any assumption about the distribution: value k
 * from below and value k from above of `count` sorted ones, counted from 1. Returns the greatest k
 * whose confidence is at least 95 %, or 0 when even the extremes give less. */
size_t median_interval_rank(size_t count);

#endif
