/* SPDX-License-Identifier: BSD-3-Clause
 * schedule.h: the learning rate over the course of a training. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stddef.h>

/* A course, one of a table. */
struct schedule_kind {
    const char *name;
    /* The share of the peak behind the warm-up: 1 where nothing of it is done, done <= 1. */
    double (*share)(double done);
};

struct schedule {
    const struct schedule_kind *kind;
    size_t warmup; /* steps in which the rate comes up to its peak; 0 = it begins there */
    size_t steps;  /* of the whole training */
};

/* NULL for a name that is none. */
const struct schedule_kind *schedule_kind_find(const char *name);

/* The rate of a step, 1 for the first, where the peak is `rate`. A function of the step alone, so
 * that a training which is resumed goes on with it. */
double schedule_rate(const struct schedule *schedule, double rate, size_t step);

#endif
