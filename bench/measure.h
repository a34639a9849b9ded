/* SPDX-License-Identifier: BSD-3-Clause
 * measure.h: one measuring rank, and what it can measure of one job. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

#include "pattern.h"
#include "sweep.h"
#include "times.h"

/* One rank of the run; everything it needs while it measures is reserved before. */
struct meter {
    const struct options *options;
    struct ww_world world;
    struct ww_context *context;
    struct buffer input;
    struct buffer output; /* in place, only this one is used */
    double *seconds;      /* [options->iters] */
    double *peer_seconds; /* the same for --versus, ... */
    double *ratios;
    uint64_t round;   /* of the pattern */
    bool leads;       /* the one rank of its process that speaks to the watchdog */
    size_t jobs_done; /* for the progress line */
    size_t jobs;
};

/* Four columns: one placement of one job. */
struct figures {
    double seconds; /* of one call, combined over ranks as -a says */
    double algorithm_gbps;
    double bus_gbps;
    bool checked;
    uint64_t wrong; /* elements, on all ranks together; 0 where lossy */
    bool lossy;
    double error; /* lossy: mean square of the error over that of the exact result */
    int calls;
    uint64_t wire_bytes;     /* that one call sends, the mean of all ranks */
    struct summary per_call; /* seconds, of the slowest rank */
};

/* Reserves and gives back what measuring takes, beyond the context; ends all ranks with a sentence
 * when there is no such memory. */
void meter_reserve(struct meter *meter);
void meter_release(struct meter *meter);

/* Tells the watchdog and whoever looks at a terminal what comes now. */
void meter_stage(struct meter *meter, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes of this rank's buffers that measuring has touched once all jobs are done. */
size_t meter_touched(const struct meter *meter);

/* All ranks measure the same job. On a failure of the library the program ends. */
struct figures measure(struct meter *meter, const struct job *job, bool in_place);

/* What this rank's calls sent so far; the library counts, outside of what is timed. */
uint64_t measure_bytes_sent(const struct meter *meter, const struct job *job);

/* Says which call failed and why, and ends all ranks. */
void measure_fail(const struct meter *meter, const struct job *job, enum ww_status status)
    __attribute__((noreturn));

/* How many calls of `seconds` each fit into `budget_s`: `most`, or fewer, but not below 3. */
int measure_calls(double budget_s, double seconds, int most);

#endif
