/* SPDX-License-Identifier: BSD-3-Clause
 * markers.h: how fast the machine itself is just now, so that runs of different hours can be told
 * apart. */
#ifndef BENCH_MARKERS_H
#define BENCH_MARKERS_H

#include "measure.h"

#define MARKER_BYTES ((size_t)64 << 20)    /* copied by each rank */
#define MARKER_MPI_BYTES ((size_t)1 << 20) /* reduced by MPI */

struct marker {
    const char *when;         /* "begin", "end" */
    double memcpy_gbps_least; /* per host: bytes that its ranks copied at once, counted once, */
    double memcpy_gbps_most;  /* per time; of the slowest and the fastest host */
    struct summary mpi;       /* seconds of MPI_Allreduce of 1 MiB float sum in place */
};

/* All ranks call it; host_of[world.size]. Takes 128 MiB per rank meanwhile. meter->input and
 * meter->output have room for VERSUS_ARENA_BYTES. */
struct marker marker_measure(struct meter *meter, const int *host_of, const char *when);

#endif
