/* SPDX-License-Identifier: BSD-3-Clause
 * no_mpi_world.c: stands in for mpi_world.c in a build without MPI. */
#include "world.h"

#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "launch.h"

void world_abort(int code)
{
    fflush(stdout);
    fflush(stderr);
    _exit(code);
}

const char *mpi_name(void)
{
    return "none";
}

const char *mpi_refuses(const struct collective *collective, enum ww_type type, enum ww_op op,
                        size_t count)
{
    (void)collective;
    (void)type;
    (void)op;
    (void)count;
    return NULL; /* world_of_mpi tells that there is none */
}

bool mpi_run(enum outcome outcome, const struct call *call)
{
    (void)outcome;
    (void)call;
    return false;
}

/* Every process of the launcher comes here; rank 0 speaks for all, and fails for all. */
int world_of_mpi(rank_body *body, void *argument)
{
    (void)body;
    (void)argument;
    if (launch_read().rank != 0) {
        return EXIT_FINE;
    }
    fprintf(stderr, "wirewise bench: this run needs MPI, and wirewise was built without it. "
                    "Build with -DWIREWISE_MPI=ON, or measure threads of one process with -t.\n");
    return EXIT_ABSENT;
}
