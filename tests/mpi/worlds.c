/* SPDX-License-Identifier: BSD-3-Clause
 * worlds.c: of which communicators there are worlds. */
#include "check.h"

#include <mpi.h>

#include <wirewise/mpi.h>

static void a_world_takes_a_part_of_the_ranks(void)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm part;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &part);
    struct ww_world world = WW_WORLD_INIT;
    check(ww_mpi_world(part, &world) == WW_OK, "a world of a part");
    int alike = (size - rank % 2 + 1) / 2, place = (size - 1 - rank) / 2;
    check(world.size == alike && world.rank == place, "rank %d of %d", world.rank, world.size);
    int mine = rank, all[PEERS_MAX];
    check(world.all_gather(world.self, &mine, all, sizeof mine) == 0, "all_gather in a part");
    check(all[place] == rank && all[alike - 1] == rank % 2, "another part answered");
    MPI_Comm_free(&part);
}

static void worlds_that_are_none_are_refused(void)
{
    struct ww_world world = WW_WORLD_INIT;
    check(ww_mpi_world(MPI_COMM_NULL, &world) == WW_BAD_ARGUMENT, "MPI_COMM_NULL");
    check_line("communicator is MPI_COMM_NULL");
    check(ww_mpi_world(MPI_COMM_WORLD, NULL) == WW_BAD_ARGUMENT, "NULL");
    check_line("world is NULL");
    check(world.all_gather == NULL, "written although it failed");
    ww_mpi_world(MPI_COMM_WORLD, &world);
    struct ww_world other = world;
    other.size++;
    uint8_t levels[PEERS_MAX + 1] = {0};
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &other,
                                       .levels = 1,
                                       .host_levels = 1,
                                       .peer_level = levels};
    void *fabric = NULL;
    check(world.transport->open(&setup, &fabric) == WW_BAD_ARGUMENT, "a world of another size");
    check_line("fill the world with ww_mpi_world");
    check(fabric == NULL, "written although it failed");
}

static void an_intercommunicator_is_refused(void)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2) {
        return;
    }
    MPI_Comm half, inter;
    MPI_Comm_split(MPI_COMM_WORLD, rank > 0, rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, rank > 0 ? 0 : 1, 1, &inter);
    struct ww_world world = WW_WORLD_INIT;
    check(ww_mpi_world(inter, &world) == WW_BAD_ARGUMENT, "an intercommunicator passed");
    check_line("MPI_Intercomm_merge");
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
}

int main(int argc, char **argv)
{
    checks_begin();
    MPI_Init(&argc, &argv);
    a_world_takes_a_part_of_the_ranks();
    worlds_that_are_none_are_refused();
    an_intercommunicator_is_refused();
    MPI_Finalize();
    return checks_end();
}
