/* SPDX-License-Identifier: BSD-3-Clause
 * killed.c: rank 1 dies by SIGKILL in the middle of a step; the others go on as long as they can,
 * and where they are not ended by a launcher they name it. */
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define COUNT ((size_t)1 << 22)

int main(int argc, char **argv)
{
    ranks_begin(&argc, &argv);
    struct ww_world world;
    struct ww_context *context = NULL;
    struct ww_tensor *tensors[2];
    size_t count = COUNT;
    float *values = calloc(2 * COUNT, sizeof *values);
    check(ranks_world(&world) == WW_OK, "world");
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
    check(strstr(ww_last_error(context), "rank 1") != NULL, "\"%s\"", ww_last_error(context));
    ww_context_destroy(context);
    ranks_leave();
    free(values);        /* not before: MPI cannot take back what was under way */
    return checks_end(); /* and mpirun saw the signal */
}
