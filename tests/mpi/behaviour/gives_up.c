/* SPDX-License-Identifier: BSD-3-Clause
 * gives_up.c: a rank that forgets a tensor gives up at once, and so do the peers that hear of it;
 * those that come late find connections ended, and still read why. */
#include "check.h"

#include <stdio.h>
#include <string.h>

static void compute(double seconds)
{
    double begin = seconds_now();
    while (seconds_now() - begin < seconds) {
        continue;
    }
}

static void give_up(void)
{
    static float values[2][50000];
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    struct ww_tensor *tensors[2] = {NULL, NULL};
    size_t count = LENGTH(values[0]);
    config.timeout_s = 10;
    config.calibrate = WW_CALIBRATE_OFF;
    config.bucket_bytes = 1;
    check(ranks_world(&world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &context) == WW_OK, "context");
    for (int t = 0; t < 2; t++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", t);
        check(ww_tensor_add(context, name, WW_F32, 1, &count, &tensors[t]) == WW_OK, "add");
    }
    check(ww_tensors_commit(context) == WW_OK, "commit");
    enum ww_status status = WW_OK;
    for (int step = 0; step < 10 && status == WW_OK; step++) {
        bool forgets = world.rank == 1 && step == 3;
        status = ww_step_begin(context);
        if (world.rank == 2 && step == 3) {
            compute(0.04); /* the others have left meanwhile, unless they stay to be heard */
        }
        for (int t = forgets ? 1 : 0; t < 2 && status == WW_OK; t++) {
            status = ww_tensor_start(tensors[t], values[t]);
        }
        status = status == WW_OK ? ww_step_end(context, NULL) : status;
    }
    check(status == (world.rank == 1 ? WW_BAD_STATE : WW_PEER_FAILED), "%s",
          ww_status_name(status));
    const char *said = ww_last_error(context);
    check(strstr(said, "\"t0\" was neither started nor skipped") != NULL, "\"%s\"", said);
    check_line("was neither started nor skipped");
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    checks_begin();
    ranks_begin(&argc, &argv);
    give_up();
    ranks_leave();
    return checks_end();
}
