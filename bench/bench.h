/* SPDX-License-Identifier: BSD-3-Clause
 * bench.h: one rank of a run of `wirewise bench`. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdio.h>

#include "report.h"

struct bench {
    struct meter meter;
    const struct options *options;
    FILE *out; /* NULL on all ranks but 0 */
    struct place *places;
    struct nccl_peer *nccl;             /* of --versus nccl */
    struct buffer arenas[MEMORY_COUNT]; /* of --versus mpi; malloc's is the meter's output */
    struct report report;
};

/* Before anything else is printed than progress. */
void bench_hide_progress(const struct bench *bench);

/* Markers, the sweep beside MPI, markers again. All ranks, once the table is complete. */
void bench_run_versus(struct bench *bench);

/* The sweep beside NCCL, on the GPU. All ranks, likewise. */
void bench_run_versus_nccl(struct bench *bench);

/* The wires, and the sweep in every way beside what was predicted. All ranks, likewise. */
void bench_run_ways(struct bench *bench);

#endif
