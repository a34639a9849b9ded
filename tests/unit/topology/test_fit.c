/* SPDX-License-Identifier: BSD-3-Clause
 * test_fit.c: middles, slopes, and what is believed. */
#include <math.h>

#include "capture.h"
#include "fit.h"

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

TestSuite(fit, .init = capture_start, .fini = capture_finish);

#define expect_close(got, wanted)                                                                  \
    cr_expect(fabs((got) - (wanted)) <= 1e-9 * fabs(wanted) + 1e-300, "%.17g, not %.17g", (got),   \
              (double)(wanted))

Test(fit, middles_of_few_and_many)
{
    double one[] = {3};
    double two[] = {4, 2};
    double five[] = {9, 1, 5, 3, 7};
    expect_close(fit_median(NULL, 0), 0.0);
    expect_close(fit_median(one, 1), 3.0);
    expect_close(fit_median(two, 2), 3.0);
    expect_close(fit_median(five, 5), 5.0);
    expect_close(fit_quantile(five, 5, 0.25), 3.0);
    expect_close(fit_quantile(two, 2, 0.5), 2.0);
}

Test(fit, scatter_is_the_median_distance)
{
    double same[] = {2, 2, 2, 2};
    double outlier[] = {100, 11, 10, 9, 10};
    double four[] = {1, 2, 4, 8}; /* around 3: 2, 1, 1, 5 */
    expect_close(fit_scatter(same, 4), 0.0);
    expect_close(fit_scatter(outlier, 5), 1.4826 * 1 / 10);
    expect_close(fit_scatter(four, 4), 1.4826 * 2 / 3);
    expect_close(fit_scatter(four, 1), 0.0);
}

Test(fit, a_slope_survives_outliers)
{
    double x[20];
    double y[20];
    for (int i = 0; i < 20; i++) {
        x[i] = i;
        y[i] = 5 + 2 * x[i] + (i % 5 == 3 ? 100 : 0);
    }
    struct estimate slope = fit_slope(x, y, 20);
    expect_close(slope.value, 2.0);
    cr_expect_eq(slope.samples, 55);
    cr_expect_eq(fit_slope(x, y, 1).samples, 0);
}

Test(fit, gulps_are_no_faster_than_the_wire)
{
    double x[40];
    double y[40];
    for (int i = 0; i < 40; i++) {
        x[i] = i;
        y[i] = i / 8 * 8 + (i % 8) * 0.1; /* 8 at once, then a pause */
    }
    cr_expect(fabs(fit_slope(x, y, 40).value - 1) < 0.05);
}

Test(fit, logarithms_are_those_of_libm)
{
    static const double values[] = {1e-12, 0.1, 0.74, 0.75, 1, 1.3, 1.5, 2, 10, 1e9};
    for (int i = 0; i < LENGTH(values); i++) {
        cr_expect(fabs(fit_ln(values[i]) - log(values[i])) < 1e-13 * (1 + fabs(log(values[i]))));
        expect_close(fit_exp(log(values[i])), values[i]);
    }
}

Test(fit, blending_weighs_by_precision)
{
    struct estimate few = {2.0, 0.1, 1};
    struct estimate many = {2.0, 0.0, 100};
    struct estimate none = {0, 0, 0};
    expect_close(fit_blend(8.0, 0.1, few), 4.0); /* as sure as each other: the geometric mean */
    cr_expect(fabs(fit_blend(8.0, 1.0, many) / 2.0 - 1) < 1e-4);
    expect_close(fit_blend(8.0, 0.25, none), 8.0);
    expect_close(fit_blend(0.0, 0.25, few), 2.0);
}
