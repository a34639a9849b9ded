/* SPDX-License-Identifier: BSD-3-Clause
 * ranks.c: finds the other ranks, over MPI or by what the environment tells. */
#include "ranks.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include <wirewise/env.h>
#include <wirewise/mpi.h>

static struct ww_env_world *env; /* NULL = they are MPI's, or did not meet yet */

bool ranks_without_mpi(void)
{
    static const char *const launchers[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        if (getenv(launchers[i]) != NULL) {
            return false;
        }
    }
    return getenv("RANK") != NULL && getenv("WORLD_SIZE") != NULL;
}

void ranks_begin(int *argc, char ***argv)
{
    int level = 0;
    if (!ranks_without_mpi()) {
        MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &level);
    }
}

bool ranks_meet(struct ww_world *world)
{
    bool by_env = ranks_without_mpi();
    enum ww_status status = by_env ? ww_env_world_create(NULL, &env, world)
                                   : ww_mpi_world(MPI_COMM_WORLD, world);
    if (status != WW_OK) {
        fprintf(stderr, "train: %s: %s\n", by_env ? "ww_env_world_create" : "ww_mpi_world",
                ww_last_error(NULL));
    }
    return status == WW_OK;
}

static int least_by_env(const struct ww_world *world, int mine)
{
    int least = mine;
    int *all = calloc((size_t)world->size, sizeof all[0]);
    if (all == NULL || world->all_gather(world->self, &mine, all, sizeof mine) != 0) {
        fprintf(stderr, "train: the ranks cannot agree: %s\n", ww_last_error(NULL));
        exit(5);
    }
    for (int rank = 0; rank < world->size; rank++) {
        least = all[rank] < least ? all[rank] : least;
    }
    free(all);
    return least;
}

int ranks_least(const struct ww_world *world, int mine)
{
    if (ranks_without_mpi()) {
        return least_by_env(world, mine);
    }
    int least = mine;
    MPI_Allreduce(&mine, &least, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return least;
}

void ranks_abort(int code)
{
    fflush(NULL);
    if (!ranks_without_mpi()) {
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    _Exit(code); /* the others see that the connection ends */
}

void ranks_end(void)
{
    if (ranks_without_mpi()) {
        ww_env_world_destroy(env);
        env = NULL;
    } else {
        MPI_Finalize();
    }
}
