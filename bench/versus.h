/* SPDX-License-Identifier: BSD-3-Clause
 * versus.h: our collective in place beside a peer's in place: MPI's, or for an all-reduce on a GPU
 * NCCL's. */
#ifndef BENCH_VERSUS_H
#define BENCH_VERSUS_H

#include "measure.h"
#include "nccl_peer.h"

#define VERSUS_ARENA_BYTES ((size_t)1 << 20) /* least buffer: room for batches of short calls */
#define VERSUS_GPU_ARENA_BYTES ((size_t)64 << 20) /* a GPU is waited for at the end of each */

/* Ours and the peer's calls of one job, taken in turn. */
struct contest {
    enum memory memory;      /* where ours works */
    enum memory peer_memory; /* malloc where ours is shared, else the same buffer */
    int rounds;
    int batch;            /* calls per round, each on a buffer of its own */
    struct summary ours;  /* seconds per call on the slowest rank, a value per round */
    struct summary peers; /* the same */
    struct summary ratio; /* the peer's time / ours, round by round */
    struct summary extra; /* seconds per call, ours - the peer's, round by round */
    double bus_gbps;      /* of our median */
    double peer_bus_gbps;
    bool checked;
    uint64_t wrong; /* of ours, on all ranks together */
    bool slower;    /* ours took more than 1.05 times the peer's time */
};

/* What the peer's call is named: "MPI_Allreduce", "ncclAllReduce". */
const char *versus_peer_function(const struct options *options);

/* Runs the job in memory of one kind, on `arena`, a buffer of that kind of at least job->bytes and
 * VERSUS_ARENA_BYTES; the malloc'd one is meter->output.
 * nccl   the peer on a GPU, in its memory; NULL = MPI */
struct contest versus_measure(struct meter *meter, const struct job *job,
                              const struct buffer *arena, struct nccl_peer *nccl);

#endif
