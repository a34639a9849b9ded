/* SPDX-License-Identifier: BSD-3-Clause
 * measure.h: one measuring rank, and what it can measure of one subject. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "options.h"
#include "pattern.h"
#include "table.h"

/* One rank of the run; everything it needs while it measures is reserved before. */
struct meter {
    const struct options *options;
    struct ww_world world;
    struct ww_context *context;
    char *input;          /* plain malloc'd memory, as trainers have it; */
    char *output;         /* in place, only this one is used */
    size_t buffer_bytes;  /* of each */
    double *seconds;      /* [options->iters] */
    double *peer_seconds; /* the same for --versus, ... */
    double *ratios;
    uint64_t round; /* of the pattern */
};

/* One line of the table. */
struct job {
    enum ww_type type;
    enum ww_op op;
    struct shape shape;
    size_t bytes; /* the larger of a rank's input and output */
};

/* All ranks measure the same job. On a failure of the library the program ends. */
struct figures measure(struct meter *meter, const struct job *job, bool in_place);

/* The same job, all_reduce in place, in turn with MPI_Allreduce. */
struct contest measure_versus_mpi(struct meter *meter, const struct job *job);

/* Says which call failed and why, and ends all ranks. */
void measure_fail(const struct meter *meter, const struct job *job, enum ww_status status)
    __attribute__((noreturn));

/* How many calls of `seconds` each fit into `budget_s`: `most`, or fewer, but not below 3. */
int measure_calls(double budget_s, double seconds, int most);

#endif
