/* SPDX-License-Identifier: BSD-3-Clause
 * finalize.c: communicators that make no world, and contexts that outlive MPI. */
#include "check.h"

#include <mpi.h>
#include <string.h>

#include <wirewise/mpi.h>

static void refuse_communicators(void)
{
    struct ww_world world = WW_WORLD_INIT;
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    check(ww_mpi_world(MPI_COMM_WORLD, NULL) == WW_BAD_ARGUMENT, "a NULL world");
    check_line("NULL");
    check(ww_mpi_world(MPI_COMM_NULL, &world) == WW_BAD_ARGUMENT, "MPI_COMM_NULL");
    check_line("MPI_COMM_NULL");
    if (size > 1) {
        MPI_Comm local, inter;
        MPI_Comm_split(MPI_COMM_WORLD, rank > 0, rank, &local);
        MPI_Intercomm_create(local, 0, MPI_COMM_WORLD, rank > 0 ? 0 : 1, 1, &inter);
        check(ww_mpi_world(inter, &world) == WW_BAD_ARGUMENT, "an inter-communicator");
        check_line("connects two groups");
        MPI_Comm_free(&inter);
        MPI_Comm_free(&local);
    }
    check(world.all_gather == NULL, "the world was written although it failed");
}

static struct ww_context *open_context(enum ww_progress progress)
{
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    config.progress = progress;
    config.timeout_s = 5;
    config.shared_memory = false; /* on one host MPI would not be used at all */
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &context) == WW_OK, "context");
    return context;
}

/* The fabric is gone: whatever needs it fails, with the reason, and nothing crashes. */
static void use_after_finalize(struct ww_context *context)
{
    float value = 1;
    enum ww_status status = ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM);
    check(status == (ww_size(context) > 1 ? WW_TRANSPORT_FAILED : WW_OK), "all_reduce: %s",
          ww_status_name(status));
    if (ww_size(context) > 1) {
        const char *said = ww_last_error(context);
        check(strstr(said, "ww_context_destroy") != NULL, "\"%s\"", said);
        check(ww_step_begin(context) == WW_TRANSPORT_FAILED, "the context is broken");
    }
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    int level;
    checks_begin();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    refuse_communicators();
    struct ww_context *idle = open_context(WW_PROGRESS_INLINE);
    struct ww_context *threaded = open_context(level == MPI_THREAD_MULTIPLE ? WW_PROGRESS_THREAD
                                                                            : WW_PROGRESS_INLINE);
    bool several = ww_size(idle) > 1;
    MPI_Finalize();
    check_line("MPI_Finalize was called while");
    use_after_finalize(idle);
    use_after_finalize(threaded);
    if (several) {
        check_line("ww_context_destroy");
    }
    return checks_end();
}
