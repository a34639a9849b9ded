/* SPDX-License-Identifier: BSD-3-Clause
 * markers.c: memcpy by all ranks at once, and MPI's own time for 1 MiB. */
#include "markers.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

#define COPY_ROUNDS 7
#define MPI_ROUNDS 31

/* The median time of this rank to copy MARKER_BYTES while all others do. */
static double time_copies(struct meter *meter, char *to, const char *from)
{
    double seconds[COPY_ROUNDS];
    memcpy(to, from, MARKER_BYTES);
    for (int i = 0; i < COPY_ROUNDS; i++) {
        team_barrier(&meter->world);
        double begin = seconds_now();
        memcpy(to, from, MARKER_BYTES);
        /* Without a reader the compiler could leave the copy out. */
        __asm__ volatile("" : : "r"(to) : "memory");
        seconds[i] = seconds_now() - begin;
    }
    return summarize(seconds, COPY_ROUNDS).median;
}

static double time_memcpy(struct meter *meter)
{
    char *from = malloc(2 * MARKER_BYTES);
    if (from == NULL) {
        team_fail(&meter->world, "no memory for the %zu bytes of the memcpy marker",
                  2 * MARKER_BYTES);
    }
    memset(from, 1, MARKER_BYTES);
    double seconds = time_copies(meter, from + MARKER_BYTES, from);
    free(from);
    return seconds;
}

/* Adds up what the ranks of each host copied. */
static void compare_hosts(struct meter *meter, double seconds, const int *host_of,
                          struct marker *marker)
{
    int size = meter->world.size;
    double *gbps = calloc(2 * (size_t)size, sizeof(gbps[0]));
    if (gbps == NULL) {
        team_fail(&meter->world, "no memory for a number of each rank");
    }
    double *sums = gbps + size;
    double mine = (double)MARKER_BYTES / seconds / 1e9;
    team_gather(&meter->world, &mine, gbps, sizeof(mine));
    for (int rank = 0; rank < size; rank++) {
        sums[host_of[rank]] += gbps[rank];
    }
    for (int rank = 0; rank < size; rank++) {
        double sum = sums[host_of[rank]];
        marker->memcpy_gbps_least = rank == 0 || sum < marker->memcpy_gbps_least
                                        ? sum
                                        : marker->memcpy_gbps_least;
        marker->memcpy_gbps_most = sum > marker->memcpy_gbps_most ? sum : marker->memcpy_gbps_most;
    }
    free(gbps);
}

static struct summary time_mpi(struct meter *meter)
{
    double seconds[MPI_ROUNDS];
    const struct call call = {
        .output = meter->output.memory,
        .count = MARKER_MPI_BYTES / sizeof(float),
        .type = WW_F32,
        .op = WW_SUM,
    };
    memset(meter->input.memory, 0, MARKER_MPI_BYTES);
    for (int i = -3; i < MPI_ROUNDS; i++) {
        memcpy(meter->output.memory, meter->input.memory, MARKER_MPI_BYTES);
        team_barrier(&meter->world);
        double begin = seconds_now();
        if (!mpi_run(OUTCOME_REDUCED, &call)) {
            team_fail(&meter->world, "MPI_Allreduce of %zu elements failed", call.count);
        }
        seconds[i > 0 ? i : 0] = seconds_now() - begin;
    }
    team_combine(&meter->world, COMBINE_MAX, seconds, MPI_ROUNDS);
    return summarize(seconds, MPI_ROUNDS);
}

struct marker marker_measure(struct meter *meter, const int *host_of, const char *when)
{
    struct marker marker = {.when = when};
    compare_hosts(meter, time_memcpy(meter), host_of, &marker);
    marker.mpi = time_mpi(meter);
    return marker;
}
