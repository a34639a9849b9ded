/* SPDX-License-Identifier: BSD-3-Clause
 * times.c: the bench's clock and its statistics. */
#include "times.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define TAIL_MOST 0.025 /* probability on either side of a 95 % interval */

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

/* Probability that exactly `heads` of `count` coins show heads. */
static double binomial(double count, double heads)
{
    int sign = 0;
    return exp(lgamma_r(count + 1, &sign) - lgamma_r(heads + 1, &sign) -
               lgamma_r(count - heads + 1, &sign) - count * log(2.0));
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Each value is below the median with probability 1/2, independently of its distribution, so the
 * interval from the k-th value to the (count + 1 - k)-th misses the median with probability
 * 2 P(B < k), B binomial with count trials of 1/2 (H. A. David, H. N. Nagaraja: Order Statistics,
 * 3rd edition, section 7.1). More than 8 standard deviations below the middle B does not come. */
size_t median_interval_rank(size_t count)
{
    double n = (double)count;
    double heads = fmax(0.0, floor(n / 2 - 4 * sqrt(n)));
    double term = binomial(n, heads);
    double below = term;
    while (below <= TAIL_MOST) {
        term *= (n - heads) / (heads + 1);
        heads += 1;
        below += term;
    }
    return (size_t)heads;
}

struct summary summarize(double *values, size_t count)
{
    assert(count >= 1);
    qsort(values, count, sizeof(values[0]), ascending);
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    size_t rank = median_interval_rank(count);
    return (struct summary){
        .min = values[0],
        .p10 = percentile(values, count, 10),
        .median = percentile(values, count, 50),
        .p90 = percentile(values, count, 90),
        .p99 = percentile(values, count, 99),
        .max = values[count - 1],
        .mean = sum / (double)count,
        .median_low = rank > 0 ? values[rank - 1] : (double)NAN,
        .median_high = rank > 0 ? values[count - rank] : (double)NAN,
    };
}
