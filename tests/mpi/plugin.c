/* SPDX-License-Identifier: BSD-3-Clause
 * plugin.c: a plugin of unload.c that averages a value over all ranks, by messages of MPI. */
#include <stddef.h>

#include <wirewise/mpi.h>

double plugin_mean(double value);

/* -1 when anything fails. */
WW_API double plugin_mean(double value)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    config.shared_memory = false; /* on one host MPI would not be used at all */
    config.log_level = WW_LOG_WARN;
    enum ww_status status = ww_mpi_world(MPI_COMM_WORLD, &world);
    if (status == WW_OK) {
        status = ww_context_create(&world, &config, &context);
    }
    if (status == WW_OK) {
        status = ww_all_reduce(context, &value, &value, 1, WW_F64, WW_MEAN);
    }
    ww_context_destroy(context);
    return status == WW_OK ? value : -1;
}
