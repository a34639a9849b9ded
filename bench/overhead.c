/* SPDX-License-Identifier: BSD-3-Clause
 * overhead.c: times the machinery: queue, gate, plan, engine, flag, with nothing below them. */
#include "overhead.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <wirewise/wirewise.h>

#include "command.h"
#include "nothing.h"
#include "times.h"

#define ELEMENTS 16
#define WARM_CALLS 100

struct setting {
    const char *name;
    bool two_ranks; /* over the fabric that does nothing; otherwise a world of one */
    enum ww_status (*time_call)(struct ww_context *context, struct ww_tensor *tensor,
                                double *seconds);
};

struct series {
    double *seconds; /* [calls] */
    int calls;
};

static float values[ELEMENTS];

/* From handing a gradient over to having its mean back; the step around it is not counted. */
static enum ww_status time_tensor(struct ww_context *context, struct ww_tensor *tensor,
                                  double *seconds)
{
    enum ww_status status = ww_step_begin(context);
    if (status != WW_OK) {
        return status;
    }
    double begin = seconds_now();
    status = ww_tensor_start(tensor, values);
    if (status == WW_OK) {
        status = ww_tensor_wait(tensor);
    }
    *seconds = seconds_now() - begin;
    return status == WW_OK ? ww_step_end(context, NULL) : status;
}

static enum ww_status time_all_reduce(struct ww_context *context, struct ww_tensor *tensor,
                                      double *seconds)
{
    (void)tensor;
    double begin = seconds_now();
    enum ww_status status = ww_all_reduce(context, values, values, ELEMENTS, WW_F32, WW_SUM);
    *seconds = seconds_now() - begin;
    return status;
}

static const struct setting settings[] = {
    {"one rank, tensor start to wait", false, time_tensor},
    {"empty fabric, tensor start to wait", true, time_tensor},
    {"empty fabric, all_reduce", true, time_all_reduce},
};

static enum ww_status open_context(const struct ww_world *world, enum ww_progress progress,
                                   struct ww_context **context, struct ww_tensor **tensor)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.progress = progress;
    config.log_level = WW_LOG_WARN;
    enum ww_status status = ww_context_create(world, &config, context);
    if (status != WW_OK) {
        return status;
    }
    const size_t shape[] = {ELEMENTS};
    status = ww_tensor_add(*context, "gradient", WW_F32, 1, shape, tensor);
    return status == WW_OK ? ww_tensors_commit(*context) : status;
}

/* The second rank: there while contexts are made and ended, absent in between. */
struct absentee {
    struct ww_world world;
    enum ww_progress progress;
    sem_t over;
    pthread_t thread;
};

static void *be_absent(void *argument)
{
    struct absentee *absentee = argument;
    struct ww_context *context = NULL;
    struct ww_tensor *tensor = NULL;
    open_context(&absentee->world, absentee->progress, &context, &tensor);
    while (sem_wait(&absentee->over) != 0) {
        /* a signal woke it */
    }
    ww_context_destroy(context);
    return NULL;
}

static enum ww_status time_all(const struct setting *setting, struct ww_context *context,
                               struct ww_tensor *tensor, struct series *series)
{
    enum ww_status status = WW_OK;
    double ignored = 0.0;
    for (int i = 0; i < WARM_CALLS && status == WW_OK; i++) {
        status = setting->time_call(context, tensor, &ignored);
    }
    for (int i = 0; i < series->calls && status == WW_OK; i++) {
        status = setting->time_call(context, tensor, &series->seconds[i]);
    }
    return status;
}

static void print_row(const struct setting *setting, const char *progress, struct series *series)
{
    struct summary summary = summarize(series->seconds, (size_t)series->calls);
    printf("  %-34s  %8s  %8d  %9.0f  %9.0f  %9.0f  %9.0f\n", setting->name, progress,
           series->calls, summary.median * 1e9, summary.p10 * 1e9, summary.p90 * 1e9,
           summary.min * 1e9);
    fflush(stdout);
}

/* Opens the context and leaves it open: both ranks end theirs together. */
static enum ww_status time_setting(const struct ww_world *world, const struct setting *setting,
                                   enum ww_progress progress, struct series *series,
                                   struct ww_context **context)
{
    const char *name = progress == WW_PROGRESS_THREAD ? "thread" : "inline";
    struct ww_tensor *tensor = NULL;
    enum ww_status status = open_context(world, progress, context, &tensor);
    if (status == WW_OK) {
        status = time_all(setting, *context, tensor, series);
    }
    if (status == WW_OK) {
        print_row(setting, name, series);
    } else {
        fprintf(stderr, "wirewise bench: %s, progress %s: %s: %s\n", setting->name, name,
                ww_status_name(status), ww_last_error(*context));
    }
    return status;
}

static enum ww_status run_alone(const struct setting *setting, enum ww_progress progress,
                                struct series *series)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_context *context = NULL;
    enum ww_status status = time_setting(&world, setting, progress, series, &context);
    ww_context_destroy(context);
    return status;
}

/* Both ranks are threads of this process, but their fabric is the empty one. */
static enum ww_status run_as_pair(struct ww_local_world *local, const struct setting *setting,
                                  enum ww_progress progress, struct series *series)
{
    struct ww_world world = WW_WORLD_INIT;
    struct absentee absentee = {.progress = progress};
    struct ww_context *context = NULL;
    enum ww_status status = ww_local_world_rank(local, 0, &world);
    if (status == WW_OK) {
        status = ww_local_world_rank(local, 1, &absentee.world);
    }
    if (status != WW_OK) {
        return status;
    }
    world.transport = &nothing_transport;
    absentee.world.transport = &nothing_transport;
    sem_init(&absentee.over, 0, 0);
    if (pthread_create(&absentee.thread, NULL, be_absent, &absentee) == 0) {
        status = time_setting(&world, setting, progress, series, &context);
        sem_post(&absentee.over);
        ww_context_destroy(context);
        pthread_join(absentee.thread, NULL);
    } else {
        fprintf(stderr, "wirewise bench: no thread could be started for the second rank\n");
        status = WW_NO_MEMORY;
    }
    sem_destroy(&absentee.over);
    return status;
}

static enum ww_status run_setting(const struct setting *setting, enum ww_progress progress,
                                  struct series *series)
{
    if (!setting->two_ranks) {
        return run_alone(setting, progress, series);
    }
    struct ww_local_world *local = NULL;
    enum ww_status status = ww_local_world_create(2, &local);
    if (status != WW_OK) {
        fprintf(stderr, "wirewise bench: no place for two ranks: %s\n", ww_last_error(NULL));
        return status;
    }
    status = run_as_pair(local, setting, progress, series);
    ww_local_world_destroy(local);
    return status;
}

/* What one reading costs, at best: it is in every figure. */
static double clock_seconds(void)
{
    double best = 1.0;
    for (int i = 0; i < 1000; i++) {
        double begin = seconds_now();
        for (int j = 1; j < 100; j++) {
            seconds_now();
        }
        double each = (seconds_now() - begin) / 100;
        best = each < best ? each : best;
    }
    return best;
}

int overhead_run(int calls)
{
    struct series series = {calloc((size_t)calls, sizeof(double)), calls};
    if (series.seconds == NULL) {
        fprintf(stderr, "wirewise bench: no memory for %d times; ask for fewer with -n\n", calls);
        return EXIT_FAILED;
    }
    printf("# wirewise version %s, cost of the library itself, ns per call of %d float; "
           "reading the clock (%.0f ns) is included\n",
           ww_version(), ELEMENTS, clock_seconds() * 1e9);
    printf("# %-34s  %8s  %8s  %9s  %9s  %9s  %9s\n", "what", "progress", "calls", "median", "p10",
           "p90", "min");
    int code = EXIT_FINE;
    for (size_t i = 0; i < 2 * sizeof(settings) / sizeof(settings[0]); i++) {
        enum ww_progress progress = i % 2 == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD;
        if (run_setting(&settings[i / 2], progress, &series) != WW_OK) {
            code = EXIT_FAILED;
        }
    }
    free(series.seconds);
    int flushed = command_flush("wirewise bench");
    return code == EXIT_FINE ? flushed : code;
}
