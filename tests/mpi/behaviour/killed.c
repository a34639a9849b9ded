/* SPDX-License-Identifier: BSD-3-Clause
 * killed.c: rank 1 dies by SIGKILL in the middle of a step; the others go on as long as they can.
 */
#include "check.h"

#include <signal.h>
#include <stdlib.h>

#define COUNT ((size_t)1 << 22)

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    struct ww_world world;
    struct ww_context *context = NULL;
    struct ww_tensor *tensors[2];
    size_t count = COUNT;
    float *values = calloc(2 * COUNT, sizeof *values);
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_OK, "world");
    check(ww_context_create(&world, NULL, &context) == WW_OK, "context");
    check(ww_tensor_add(context, "a", WW_F32, 1, &count, &tensors[0]) == WW_OK, "a");
    check(ww_tensor_add(context, "b", WW_F32, 1, &count, &tensors[1]) == WW_OK, "b");
    check(ww_tensors_commit(context) == WW_OK, "commit");
    for (int step = 0;; step++) {
        if (ww_step_begin(context) != WW_OK ||
            ww_tensor_start(tensors[1], values + COUNT) != WW_OK) {
            break;
        }
        if (step == 3 && world.rank == 1) {
            raise(SIGKILL);
        }
        if (ww_tensor_start(tensors[0], values) != WW_OK || ww_step_end(context, NULL) != WW_OK) {
            break;
        }
    }
    free(values);
    ww_context_destroy(context);
    MPI_Finalize();
    return 0; /* mpirun saw the signal */
}
