/* SPDX-License-Identifier: BSD-3-Clause
 * paired.c: means of paired differences and their intervals. */
#include "paired.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 400
#define CUT 10 /* of the sorted resamples, at each end: 2.5 % */
#define DEVIATIONS 4
#define HALF_SCALE 1.4826 /* from half of the deviations, ... */
#define MOST_SCALE 1.0337 /* ... and two thirds of them, to a normal one's standard deviation */
#define BOOTSTRAP_LEAST 6

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
    double sorted[PAIRED_MAX] = {0};
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

/* By two shares of them: where values lie around two middles half may be all of one. */
static double deviation(const double *values, int count, double middle)
{
    double deviations[PAIRED_MAX] = {0};
    for (int i = 0; i < count; i++) {
        deviations[i] = fabs(values[i] - middle);
    }
    qsort(deviations, (size_t)count, sizeof *deviations, by_value);
    double half = (deviations[(count - 1) / 2] + deviations[count / 2]) / 2;
    double most = deviations[2 * (count - 1) / 3];
    return fmax(half * HALF_SCALE, most * MOST_SCALE);
}

double paired_deviation(const double *values, int count)
{
    return deviation(values, count, median(values, count));
}

/* Draws values far from the median nearer. */
static void calm(const double *values, int count, double *calmed)
{
    double middle = median(values, count);
    double reach = DEVIATIONS * deviation(values, count, middle);
    for (int i = 0; i < count; i++) {
        calmed[i] = fmin(fmax(values[i], middle - reach), middle + reach);
    }
}

static double plain_mean(const double *values, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / count;
}

double paired_mean(const double *values, int count)
{
    double calmed[PAIRED_MAX] = {0};
    calm(values, count, calmed);
    return plain_mean(calmed, count);
}

double paired_slope(const double *x, const double *y, int count)
{
    double across[PAIRED_MAX] = {0};
    double up[PAIRED_MAX] = {0};
    calm(x, count, across);
    calm(y, count, up);
    double middle = plain_mean(across, count);
    double height = plain_mean(up, count);
    double squares = 0;
    double products = 0;
    for (int i = 0; i < count; i++) {
        squares += (across[i] - middle) * (across[i] - middle);
        products += (across[i] - middle) * (up[i] - height);
    }
    return squares > 0 ? products / squares : 0;
}

/* Student's distribution at 0.975; beyond the table an expansion in 1 / degrees (Abramowitz and
 * Stegun 26.7.5) that is right to three digits. */
static double student(int degrees)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447,
                                   2.365,  2.306, 2.262, 2.228, 2.201, 2.179};
    int rows = (int)(sizeof table / sizeof table[0]);
    return degrees <= rows ? table[degrees - 1]
                           : 1.960 + 2.372 / degrees + 2.82 / degrees / degrees;
}

static double half_width(const double *values, int count, double mean)
{
    double squares = 0;
    for (int i = 0; i < count; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
    }
    return student(count - 1) * sqrt(squares / (count - 1) / count);
}

uint32_t paired_chance(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static double resample(const double *values, int count, int block, uint32_t *state)
{
    double sum = 0;
    for (int filled = 0; filled < count;) {
        int begin = (int)(paired_chance(state) % (uint32_t)(count - block + 1));
        for (int i = 0; i < block && filled < count; i++, filled++) {
            sum += values[begin + i];
        }
    }
    return sum / count;
}

static void widen(const double *values, int count, struct interval *interval)
{
    double means[RESAMPLES];
    uint32_t state = 1;
    int block = (int)(cbrt(count) + 0.5);
    for (int i = 0; i < RESAMPLES; i++) {
        means[i] = resample(values, count, block, &state);
    }
    qsort(means, RESAMPLES, sizeof *means, by_value);
    interval->least = fmin(interval->least, means[CUT]);
    interval->most = fmax(interval->most, means[RESAMPLES - 1 - CUT]);
}

struct interval paired_interval(const double *differences, int count)
{
    double calmed[PAIRED_MAX] = {0};
    calm(differences, count, calmed);
    double mean = plain_mean(calmed, count);
    double half = half_width(calmed, count, mean);
    struct interval interval = {mean, mean - half, mean + half};
    if (count >= BOOTSTRAP_LEAST) {
        widen(calmed, count, &interval);
    }
    return interval;
}
