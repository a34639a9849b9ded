/* SPDX-License-Identifier: BSD-3-Clause
 * fit.c: medians, Theil-Sen slopes, and the blending of expectation and measurement. */
#include "fit.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

/* No clock and no wire repeats itself better than this. */
#define SCATTER_LEAST 0.03
#define MAD_TO_SD 1.4826 /* of a normal distribution */
#define LN_2 0.69314718055994530942

static int by_size(const void *a, const void *b)
{
    double one = *(const double *)a;
    double other = *(const double *)b;
    return (one > other) - (one < other);
}

static void sort(double *values, int count)
{
    if (count > 1) {
        qsort(values, (size_t)count, sizeof *values, by_size);
    }
}

double fit_quantile(double *values, int count, double share)
{
    sort(values, count);
    return count == 0 ? 0 : values[(int)(share * (count - 1))];
}

double fit_median(double *values, int count)
{
    if (count == 0) {
        return 0;
    }
    sort(values, count);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* The median distance needs no second array: seen from the median, sorted values are two lists of
 * growing distances, of which always the nearer one is passed. */
double fit_scatter(double *values, int count)
{
    double middle = fit_median(values, count);
    int below = (count - 1) / 2;
    int above = below + 1;
    double distance = 0;
    for (int passed = 0; passed <= count / 2 && (below >= 0 || above < count); passed++) {
        double down = below >= 0 ? middle - values[below] : 0;
        double up = above < count ? values[above] - middle : 0;
        bool nearer_below = above >= count || (below >= 0 && down <= up);
        distance = nearer_below ? down : up;
        below -= nearer_below;
        above += !nearer_below;
    }
    return count < 2 || middle <= 0 ? 0 : MAD_TO_SD * distance / middle;
}

struct estimate fit_estimate(double *values, int count)
{
    struct estimate estimate = {.scatter = fit_scatter(values, count), .samples = count};
    estimate.value = fit_median(values, count);
    return estimate;
}

struct estimate fit_slope(const double *x, const double *y, int count)
{
    double slopes[FIT_POINTS_MAX * (FIT_POINTS_MAX - 1) / 2];
    int found = 0;
    assert(count <= FIT_POINTS_MAX);
    double base = count < 2 ? 0 : (x[count - 1] - x[0]) / 2;
    for (int b = 1; b < count; b++) {
        for (int a = 0; a < b; a++) {
            if (x[b] > x[a] && x[b] - x[a] >= base) {
                slopes[found++] = (y[b] - y[a]) / (x[b] - x[a]);
            }
        }
    }
    return fit_estimate(slopes, found);
}

/* ln x = k ln 2 + ln m with m in 0.75 .. 1.5, and ln m = 2 atanh((m - 1) / (m + 1)). */
double fit_ln(double x)
{
    int k = 0;
    assert(x > 0);
    for (; x >= 1.5; x /= 2) {
        k++;
    }
    for (; x < 0.75; x *= 2) {
        k--;
    }
    double z = (x - 1) / (x + 1);
    double power = z;
    double sum = 0;
    for (int i = 1; i < 26; i += 2, power *= z * z) {
        sum += power / i;
    }
    return k * LN_2 + 2 * sum;
}

double fit_exp(double x)
{
    int k = (int)(x / LN_2);
    double rest = x - k * LN_2;
    double term = 1;
    double sum = 1;
    for (int i = 1; i < 20; i++) {
        term *= rest / i;
        sum += term;
    }
    for (; k > 0; k--) {
        sum *= 2;
    }
    for (; k < 0; k++) {
        sum /= 2;
    }
    return sum;
}

double fit_blend(double expected, double sd, struct estimate measured)
{
    if (measured.samples == 0 || !(measured.value > 0)) {
        return expected;
    }
    if (!(expected > 0)) {
        return measured.value;
    }
    double scatter = measured.scatter > SCATTER_LEAST ? measured.scatter : SCATTER_LEAST;
    double trust = measured.samples / (scatter * scatter);
    double faith = 1 / (sd * sd);
    return measured.value *
           fit_exp(faith / (faith + trust) * (fit_ln(expected) - fit_ln(measured.value)));
}
