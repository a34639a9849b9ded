/* SPDX-License-Identifier: BSD-3-Clause
 * schedule.c: a straight way up, and from there on a constant rate or half a cosine down to 0
 * (Loshchilov, Hutter 2017). */
#include "schedule.h"

#include <math.h>
#include <string.h>

static double constant(double done)
{
    (void)done;
    return 1;
}

static double cosine(double done)
{
    const double half_turn = 3.14159265358979323846;
    return (1 + cos(half_turn * done)) / 2;
}

static const struct schedule_kind kinds[] = {
    {"constant", constant},
    {"cosine", cosine},
};

const struct schedule_kind *schedule_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

double schedule_rate(const struct schedule *schedule, double rate, size_t step)
{
    if (step <= schedule->warmup) {
        return rate * (double)step / (double)schedule->warmup;
    }
    /* The step behind the last one would have the rate 0, so that every step moves something. */
    size_t left = schedule->steps > schedule->warmup ? schedule->steps - schedule->warmup : 1;
    double done = (double)(step - schedule->warmup - 1) / (double)left;
    return rate * schedule->kind->share(done < 1 ? done : 1);
}
