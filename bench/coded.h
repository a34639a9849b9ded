/* SPDX-License-Identifier: BSD-3-Clause
 * coded.h: measures an all-reduce that travels encoded: on Gaussian values, new ones in every call,
 * filled outside of what is timed. On a GPU calls are timed in batches, on the same values. */
#ifndef BENCH_CODED_H
#define BENCH_CODED_H

#include "measure.h"

/* As measure; figures.error is the mean square of the error over that of the exact sum. With error
 * feedback where the library has it by default. */
struct figures coded_measure(struct meter *meter, const struct job *job, bool in_place);

/* Bytes that this has touched beside the meter's buffers, at most at any time. */
size_t coded_touched(const struct meter *meter);

#endif
