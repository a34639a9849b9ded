/* SPDX-License-Identifier: BSD-3-Clause
 * fit.h: lines and middles of noisy measurements. Without libm: the same numbers give the same
 * bits on every machine. */
#ifndef TOPOLOGY_FIT_H
#define TOPOLOGY_FIT_H

/* The value below which a share of the values lies, 0 .. 1, one of them (the lower one between
 * two). 0 when there are none. Sorts the values. */
double fit_quantile(double *values, int count, double share);

/* The middle one, the mean of two. 0 when there are none. Sorts the values. */
double fit_median(double *values, int count);

/* How far values scatter around their median, as a share of it: 1.4826 times the median distance,
 * a standard deviation that outliers do not move. 0 for fewer than 2. Sorts the values. */
double fit_scatter(double *values, int count);

/* What is known of a quantity. */
struct estimate {
    double value;   /* 0 = nothing */
    double scatter; /* of single measurements, relative */
    int samples;
};

/* Median and scatter. Sorts the values. */
struct estimate fit_estimate(double *values, int count);

/* Theil-Sen: the median slope of pairs of points, with the scatter of these slopes; of pairs at
 * least half as far apart as the first and the last point, because what arrives in gulps is fast
 * within each of them. x grows; at most FIT_POINTS_MAX points; fewer than 2 give no samples. */
#define FIT_POINTS_MAX 64
struct estimate fit_slope(const double *x, const double *y, int count);

double fit_ln(double x); /* x > 0 */
double fit_exp(double x);

/* Blends what was expected, with relative standard deviation `sd`, with what was measured, in log
 * space and weighted by precision. Without samples the expectation stands; an expectation that is
 * not positive counts nothing. */
double fit_blend(double expected, double sd, struct estimate measured);

#endif
