/* SPDX-License-Identifier: BSD-3-Clause
 * times.c: the bench's clock and its statistics. */
#include "times.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The smallest value that `percent` of the series do not exceed. */
static double percentile(const double *sorted, size_t count, size_t percent)
{
    size_t place = (count * percent + 99) / 100;
    return sorted[place > 0 ? place - 1 : 0];
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct summary summarize(double *values, size_t count)
{
    assert(count >= 1);
    qsort(values, count, sizeof(values[0]), ascending);
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return (struct summary){
        .min = values[0],
        .p10 = percentile(values, count, 10),
        .median = percentile(values, count, 50),
        .p90 = percentile(values, count, 90),
        .p99 = percentile(values, count, 99),
        .mean = sum / (double)count,
    };
}
