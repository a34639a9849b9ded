/* SPDX-License-Identifier: BSD-3-Clause
 * norm.c: sums of squares. One definition for all processors: sixteen sums side by side, then those
 * of them, so that ranks with different processors clip alike. */
#include "kernels/kernels.h"

#define LANES 16

static double sum_lanes(const double *lanes)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++) {
        sum += lanes[i];
    }
    return sum;
}

double kernel_squares_f32(const float *values, size_t count)
{
    double lanes[LANES] = {0};
    size_t whole = count - count % LANES;
    for (size_t first = 0; first < whole; first += LANES) {
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] += (double)values[first + i] * (double)values[first + i];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[i - whole] += (double)values[i] * (double)values[i];
    }
    return sum_lanes(lanes);
}

double kernel_squares_f64(const double *values, size_t count)
{
    double lanes[LANES] = {0};
    size_t whole = count - count % LANES;
    for (size_t first = 0; first < whole; first += LANES) {
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] += values[first + i] * values[first + i];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[i - whole] += values[i] * values[i];
    }
    return sum_lanes(lanes);
}

double kernel_squares_of_sum_f32(const float *values, const float *more, size_t count)
{
    double lanes[LANES] = {0};
    size_t whole = count - count % LANES;
    for (size_t first = 0; first < whole; first += LANES) {
        for (size_t i = 0; i < LANES; i++) {
            double sum = (double)values[first + i] + (double)more[first + i];
            lanes[i] += sum * sum;
        }
    }
    for (size_t i = whole; i < count; i++) {
        double sum = (double)values[i] + (double)more[i];
        lanes[i - whole] += sum * sum;
    }
    return sum_lanes(lanes);
}
