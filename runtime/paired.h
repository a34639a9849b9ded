/* SPDX-License-Identifier: BSD-3-Clause
 * paired.h: the mean of differences that were measured in pairs, and how well it is known. The same
 * numbers give the same bits on every rank. */
#ifndef RUNTIME_PAIRED_H
#define RUNTIME_PAIRED_H

#include <stdint.h>

#define PAIRED_MAX 96

struct interval {
    double mean;
    double least; /* 95 % interval of the mean */
    double most;
};

/* Of differences[count] in the order of time, 2 <= count <= PAIRED_MAX: the wider one of Student's
 * interval and a moving-block bootstrap's (Kunsch 1989), which sees that neighbours are alike.
 * Differences that lie further than 4 deviations from the median (as half of them tell, or two
 * thirds, whichever is more) count as if they lay there: a hiccup of the machine is neither saved
 * nor lost. */
struct interval paired_interval(const double *differences, int count);

/* The mean of values[count], 1 <= count <= PAIRED_MAX, with hiccups counted likewise. */
double paired_mean(const double *values, int count);

/* The standard deviation of values[count], 2 <= count <= PAIRED_MAX, hiccups left out. */
double paired_deviation(const double *values, int count);

/* How much y[count] grows where x[count] grows by one, 2 <= count <= PAIRED_MAX: the slope of the
 * line of least squares, hiccups counted likewise; 0 where x never changes. */
double paired_slope(const double *x, const double *y, int count);

/* The next number behind `state`, below 2^24, spread as by chance but alike everywhere: Numerical
 * Recipes' linear congruence. */
uint32_t paired_chance(uint32_t *state);

#endif
