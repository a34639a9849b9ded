/* SPDX-License-Identifier: BSD-3-Clause
 * mpi_world.c: a world whose ranks are the processes of an MPI job, and MPI_Allreduce as a peer. */
#include "world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wirewise/mpi.h>

#include "command.h"

static MPI_Datatype datatype(enum ww_type type)
{
    switch (type) {
    case WW_F32:
        return MPI_FLOAT;
    case WW_F64:
        return MPI_DOUBLE;
    case WW_I32:
        return MPI_INT32_T;
    case WW_I64:
        return MPI_INT64_T;
    default:
        return MPI_DATATYPE_NULL;
    }
}

static MPI_Op operation(enum ww_op op)
{
    switch (op) {
    case WW_SUM:
        return MPI_SUM;
    case WW_MIN:
        return MPI_MIN;
    case WW_MAX:
        return MPI_MAX;
    default:
        return MPI_OP_NULL;
    }
}

static bool mpi_is_running(void)
{
    int begun = 0;
    int over = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&over);
    return begun && !over;
}

void world_abort(int code)
{
    fflush(stdout);
    fflush(stderr);
    if (mpi_is_running()) {
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    _exit(code);
}

const char *mpi_name(void)
{
    static _Thread_local char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(name, &length) != MPI_SUCCESS) {
        return "MPI";
    }
    name[strcspn(name, ",\n")] = '\0'; /* what follows is about the package */
    return name;
}

const char *mpi_refuses(enum ww_type type, enum ww_op op, size_t count)
{
    if (datatype(type) == MPI_DATATYPE_NULL) {
        return "MPI_Allreduce has no 16-bit floats; choose -d float, double, int32 or int64";
    }
    if (operation(op) == MPI_OP_NULL) {
        return "MPI_Allreduce has no average; choose -o sum, min or max";
    }
    return count > INT_MAX ? "MPI_Allreduce counts to 2147483647 elements; lower -e" : NULL;
}

bool mpi_all_reduce(void *values, size_t count, enum ww_type type, enum ww_op op)
{
    return MPI_Allreduce(MPI_IN_PLACE, values, (int)count, datatype(type), operation(op),
                         MPI_COMM_WORLD) == MPI_SUCCESS;
}

static int run_rank(rank_body *body, void *argument)
{
    struct ww_world world = WW_WORLD_INIT;
    enum ww_status status = ww_mpi_world(MPI_COMM_WORLD, &world);
    if (status != WW_OK || world.size > WORLD_SIZE_MAX) {
        fprintf(stderr, "wirewise bench: MPI's ranks cannot be used: %s\n",
                status == WW_OK ? "there are more than the bench has room for (4096)"
                                : ww_last_error(NULL));
        world_abort(EXIT_FAILED);
    }
    return body(&world, argument);
}

/* One thread calls MPI, as in most programs: what MPI_Allreduce costs under a higher thread level
 * would be charged to it unfairly. */
int world_of_mpi(rank_body *body, void *argument)
{
    int given = MPI_THREAD_SINGLE;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS) {
        fprintf(stderr, "wirewise bench: MPI_Init_thread failed; does `mpirun true` work?\n");
        return EXIT_ABSENT;
    }
    int code = run_rank(body, argument);
    MPI_Allreduce(MPI_IN_PLACE, &code, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return code;
}
