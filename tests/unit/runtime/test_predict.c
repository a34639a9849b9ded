/* SPDX-License-Identifier: BSD-3-Clause
 * test_predict.c: contexts that measured their wires: what they predict, and that calls follow it.
 */
#include <math.h>
#include <string.h>

#include <wirewise/tools.h>

#include "world.h"

#define COUNT 1000

TestSuite(predict, .init = capture_start, .fini = capture_finish);

static struct ww_context *measured_context(const struct ww_world *world, bool memory)
{
    struct ww_config config = world_config();
    config.calibrate = WW_CALIBRATE_ALWAYS;
    config.calibrate_s = 0.1;
    config.calibration_file = "none";
    config.shared_memory = memory;
    return world_context(world, &config);
}

/* Every way is predicted, runs when it is asked for, and gives the right sum. */
static void follow_every_way(const struct ww_world *world, void *shared)
{
    bool memory = *(const bool *)shared;
    struct ww_context *context = measured_context(world, memory);
    struct ww_prediction prediction = WW_PREDICTION_INIT;
    int which = 0;
    while (ww_predict(context, "all_reduce", COUNT, WW_F32, which, &prediction) == WW_OK) {
        float values[COUNT];
        check(isfinite(prediction.seconds) && prediction.seconds > 0, "%s takes %g s",
              prediction.algorithm, prediction.seconds);
        check(prediction.least_s <= prediction.seconds && prediction.seconds <= prediction.most_s,
              "%s: %g is not within %g .. %g", prediction.algorithm, prediction.seconds,
              prediction.least_s, prediction.most_s);
        check_status(ww_calls_follow(context, &prediction), WW_OK);
        for (int i = 0; i < COUNT; i++) {
            values[i] = (float)(world->rank + i);
        }
        check_status(ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM), WW_OK);
        check(values[7] == (float)(3 + 3 * 7), "%s gives %g", prediction.algorithm, values[7]);
        which++;
    }
    check(which >= 6, "%d ways", which);
    check_status(ww_calls_follow(context, NULL), WW_OK);
    ww_context_destroy(context);
}

Test(predict, calls_follow_every_way_that_is_predicted)
{
    for (int memory = 0; memory < 2; memory++) {
        bool shared = memory == 1;
        world_run(3, follow_every_way, &shared);
    }
}

/* What was tried is not the program's: its reports begin at nothing. */
static void count_own_calls(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_context *context = measured_context(world, true);
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_calls_report(context, &report), WW_OK);
    check(report.step == 0 && report.sent_bytes == 0, "%llu calls sent %llu bytes",
          (unsigned long long)report.step, (unsigned long long)report.sent_bytes);
    float values[4096] = {0};
    check_status(ww_all_reduce(context, values, values, 4096, WW_F32, WW_SUM), WW_OK);
    check_status(ww_calls_report(context, &report), WW_OK);
    check(report.step == 1 && report.sent_bytes == report.level[0].planned_bytes,
          "%llu calls, %llu sent, %llu planned", (unsigned long long)report.step,
          (unsigned long long)report.sent_bytes, (unsigned long long)report.level[0].planned_bytes);
    ww_context_destroy(context);
}

Test(predict, what_was_tried_is_no_call_of_the_programs)
{
    world_run(2, count_own_calls, NULL);
}

static void tell_wires(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_context *context = measured_context(world, true);
    char text[4096];
    size_t bytes = ww_wires_print(context, text, sizeof text);
    check(bytes == strlen(text), "%zu of %zu bytes", strlen(text), bytes);
    check_words(text, "host", "memory", "measured", "choice", NULL);
    check(ww_wires_print(context, NULL, 0) == bytes, "the length is told without a text");
    ww_context_destroy(context);
}

Test(predict, wires_are_told_in_words)
{
    world_run(2, tell_wires, NULL);
}

static void refuse(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    struct ww_prediction prediction = WW_PREDICTION_INIT;
    struct ww_prediction other = {0};
    check_status(ww_predict(context, "all_reduce", 1, WW_F32, 1000, &prediction), WW_BAD_ARGUMENT);
    check_status(ww_predict(context, "sum", 1, WW_F32, 0, &prediction), WW_BAD_ARGUMENT);
    check_status(ww_predict(context, "all_reduce", 1, WW_F32, 0, &other), WW_BAD_ARGUMENT);
    check_status(ww_predict(context, "all_reduce", 1, (enum ww_type)99, 0, &prediction),
                 WW_BAD_ARGUMENT);
    strcpy(prediction.algorithm, "rung");
    check_status(ww_calls_follow(context, &prediction), WW_BAD_ARGUMENT);
    strcpy(prediction.algorithm, "announcement"); /* to nobody */
    check_status(ww_calls_follow(context, &prediction), WW_BAD_ARGUMENT);
    check_status(ww_predict(NULL, "all_reduce", 1, WW_F32, 0, &prediction), WW_BAD_ARGUMENT);
    ww_context_destroy(context);
}

Test(predict, what_makes_no_sense_is_refused)
{
    world_run(1, refuse, NULL);
    cr_expect_geq(world_forgive(), 5);
}
