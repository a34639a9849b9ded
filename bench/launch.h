/* SPDX-License-Identifier: BSD-3-Clause
 * launch.h: whether a launcher such as mpirun or srun started this process. */
#ifndef BENCH_LAUNCH_H
#define BENCH_LAUNCH_H

#include <stdbool.h>

struct launch {
    bool present;
    int rank;    /* 0 without a launcher */
    int size;    /* 1 without a launcher; 0 when the launcher does not tell */
    int local;   /* rank on its host; -1 = the launcher does not tell */
    bool env;    /* the ranks find each other by the environment, without MPI */
    bool no_mpi; /* several ranks were started, but without what MPI needs to find the others */
};

/* Reads the environment only; starts nothing. Thread: any, while nobody changes it. */
struct launch launch_read(void);

#endif
