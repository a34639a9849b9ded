/* SPDX-License-Identifier: BSD-3-Clause
 * versus.h: our all-reduce in place beside MPI_Allreduce in place. */
#ifndef BENCH_VERSUS_H
#define BENCH_VERSUS_H

#include "measure.h"

#define VERSUS_ARENA_BYTES ((size_t)1 << 20) /* least buffer: room for batches of short calls */

/* Ours and the peer's calls of one job, taken in turn. */
struct contest {
    enum memory memory;      /* where ours works */
    enum memory peer_memory; /* malloc where ours is shared, else the same buffer */
    int rounds;
    int batch;            /* calls per round, each on a buffer of its own */
    struct summary ours;  /* seconds per call on the slowest rank, a value per round */
    struct summary peers; /* the same */
    struct summary ratio; /* the peer's time / ours, round by round */
    double bus_gbps;      /* of our median */
    double peer_bus_gbps;
    bool checked;
    uint64_t wrong; /* of ours, on all ranks together */
    bool slower;    /* ours took more than 1.05 times the peer's time */
};

/* Runs the job in memory of one kind, on `arena`, a buffer of that kind of at least job->bytes and
 * VERSUS_ARENA_BYTES; the malloc'd one is meter->output. */
struct contest versus_measure(struct meter *meter, const struct job *job,
                              const struct buffer *arena);

#endif
