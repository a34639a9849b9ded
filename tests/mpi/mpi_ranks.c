/* SPDX-License-Identifier: BSD-3-Clause
 * mpi_ranks.c: the ranks of a program are those of an MPI job. */
#include <mpi.h>
#include <wirewise/mpi.h>

#include "check.h"

const struct fabric_facts fabric_facts = {
    .piece_bytes = 61440, .left_behind = "MPI cannot take back 1 messages", .reserves = true};

void ranks_begin(int *argc, char ***argv)
{
    int level;
    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &level);
}

enum ww_status ranks_world(struct ww_world *world)
{
    return ww_mpi_world(MPI_COMM_WORLD, world);
}

void ranks_meet(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

void ranks_end(void)
{
    MPI_Finalize();
}

void ranks_leave(void)
{
    MPI_Finalize();
}
