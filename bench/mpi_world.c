/* SPDX-License-Identifier: BSD-3-Clause
 * mpi_world.c: a world whose ranks are the processes of an MPI job, and MPI's collectives as
 * peers. */
#include "world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wirewise/mpi.h>

#include "command.h"

/* MPI moves 16-bit floats, but does not add them. */
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
        return MPI_UINT16_T;
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

const char *mpi_refuses(const struct collective *collective, enum ww_type type, enum ww_op op,
                        size_t count)
{
    if (collective->has_op && datatype(type) == MPI_UINT16_T) {
        return "has no 16-bit floats; choose -d float, double, int32 or int64";
    }
    if (collective->has_op && operation(op) == MPI_OP_NULL) {
        return "has no average; choose -o sum, min or max";
    }
    return count > INT_MAX ? "counts to 2147483647 elements; lower -e" : NULL;
}

static int all_reduce(const struct call *call)
{
    return MPI_Allreduce(MPI_IN_PLACE, call->output, (int)call->count, datatype(call->type),
                         operation(call->op), MPI_COMM_WORLD);
}

static int reduce_scatter(const struct call *call)
{
    return MPI_Reduce_scatter_block(MPI_IN_PLACE, call->output, (int)call->count,
                                    datatype(call->type), operation(call->op), MPI_COMM_WORLD);
}

static int all_gather(const struct call *call)
{
    return MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, call->output, (int)call->count,
                         datatype(call->type), MPI_COMM_WORLD);
}

static int broadcast(const struct call *call)
{
    return MPI_Bcast(call->output, (int)call->count, datatype(call->type), call->root,
                     MPI_COMM_WORLD);
}

static int (*const calls[])(const struct call *call) = {
    [OUTCOME_REDUCED] = all_reduce,
    [OUTCOME_REDUCED_SHARE] = reduce_scatter,
    [OUTCOME_GATHERED] = all_gather,
    [OUTCOME_COPIED] = broadcast,
};

bool mpi_run(enum outcome outcome, const struct call *call)
{
    return calls[outcome](call) == MPI_SUCCESS;
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

/* One thread calls MPI, as in most programs: what its collectives cost under a higher thread level
 * would be charged to them unfairly. */
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
