/* SPDX-License-Identifier: BSD-3-Clause
 * ways.h: every way that a collective can go, in turn, beside what was predicted for it. */
#ifndef BENCH_WAYS_H
#define BENCH_WAYS_H

#include <wirewise/tools.h>

#include "measure.h"

#define WAYS_MAX 26

/* One way to run a job. */
struct way_record {
    struct ww_prediction prediction;
    struct summary times; /* seconds per call on the slowest rank, a value per round */
};

struct ways {
    int count;
    int chosen; /* the way that calls go by themselves */
    int rounds;
    int batch; /* calls per round, back to back */
    struct way_record way[WAYS_MAX];
    int rival;    /* the fastest of those that seemed more than 5 % faster than the chosen one, when
                     they met it once more; -1 where none did */
    double ratio; /* the chosen way's time over the best one's: over the rival's, as they met */
};

/* Runs an all-reduce job in place in every way, round by round. The least of many medians is too
 * low by what they scatter, so ways that seem faster than the chosen one meet it in rounds of their
 * own. */
struct ways ways_measure(struct meter *meter, const struct job *job);

/* What many jobs' ways say about the predictions. */
struct ways_verdict {
    int predictions;
    double error_median; /* |predicted / measured - 1| of all ways */
    int pairs;           /* of ways whose medians differ by more than 5 % */
    int pairs_right;     /* of these, predicted in the same order */
    double worst_choice; /* the chosen way's time over that of the best, at worst */
    size_t worst_bytes;  /* and for which size */
};

/* errors[room] collects what the median is made of; *count of them so far. */
void ways_judge(const struct ways *ways, size_t bytes, struct ways_verdict *verdict, double *errors,
                size_t room, size_t *count);

#endif
