/* SPDX-License-Identifier: BSD-3-Clause
 * world.c: ranks as threads, and checks that may fail in any of them. */
#include "world.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    int failures;
    char first[2048];
} checks = {PTHREAD_MUTEX_INITIALIZER, 0, ""};

struct rank_thread {
    pthread_t thread;
    struct ww_world world;
    rank_work *work;
    void *shared;
};

/* ---- Checks ----------------------------------------------------------------------------- */

static void note_failure(const char *file, int line, const char *text)
{
    pthread_mutex_lock(&checks.lock);
    if (checks.failures++ == 0) {
        snprintf(checks.first, sizeof checks.first, "%s:%d: %s", file, line, text);
    }
    pthread_mutex_unlock(&checks.lock);
}

bool check_at(bool good, const char *file, int line, const char *format, ...)
{
    if (!good) {
        char text[1536];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        note_failure(file, line, text);
    }
    return good;
}

bool check_status_at(enum ww_status got, enum ww_status wanted, const char *call, const char *file,
                     int line)
{
    return check_at(got == wanted, file, line,
                    "%s gave %s instead of %s (this thread last said "
                    "\"%s\")",
                    call, ww_status_name(got), ww_status_name(wanted), ww_last_error(NULL));
}

bool check_words_at(const char *text, const char *const *words, const char *file, int line)
{
    bool good = true;
    for (; *words != NULL; words++) {
        good = check_at(strstr(text, *words) != NULL, file, line, "\"%s\" does not say \"%s\"",
                        text, *words) &&
               good;
    }
    return good;
}

void checks_settle(void)
{
    pthread_mutex_lock(&checks.lock);
    int failures = checks.failures;
    checks.failures = 0;
    pthread_mutex_unlock(&checks.lock);
    cr_assert_eq(failures, 0, "%d checks failed, first %s", failures, checks.first);
}

int world_forgive(void)
{
    int taken = 0;
    while (capture_take(WW_LOG_ERROR, "") != NULL || capture_take(WW_LOG_WARN, "") != NULL) {
        taken++;
    }
    return taken;
}

/* ---- Ranks ------------------------------------------------------------------------------ */

void world_meet(const struct ww_world *world)
{
    char mine = 0;
    char all[WORLD_SIZE_MAX];
    check(world->all_gather(world->self, &mine, all, 1) == 0, "ranks could not meet");
}

const struct ww_transport *world_transport(void)
{
    struct ww_local_world *local;
    struct ww_world world = WW_WORLD_INIT;
    check_status(ww_local_world_create(1, &local), WW_OK);
    check_status(ww_local_world_rank(local, 0, &world), WW_OK);
    ww_local_world_destroy(local);
    return world.transport;
}

struct ww_config world_config(void)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.progress = WW_PROGRESS_INLINE;
    config.timeout_s = 60;
    config.discover = false;
    config.calibrate = WW_CALIBRATE_OFF;
    return config;
}

struct ww_context *world_context(const struct ww_world *world, const struct ww_config *config)
{
    struct ww_context *context = NULL;
    check_status(ww_context_create(world, config, &context), WW_OK);
    return context;
}

static void *run_rank(void *argument)
{
    struct rank_thread *self = argument;
    self->work(&self->world, self->shared);
    return NULL;
}

void world_run_in(struct ww_local_world *local, int size, rank_work *work, void *shared)
{
    struct rank_thread ranks[WORLD_SIZE_MAX];
    cr_assert_leq(size, WORLD_SIZE_MAX);
    for (int rank = 0; rank < size; rank++) {
        ranks[rank].work = work;
        ranks[rank].shared = shared;
        cr_assert_eq(ww_local_world_rank(local, rank, &ranks[rank].world), WW_OK);
    }
    for (int rank = 0; rank < size; rank++) {
        cr_assert_eq(pthread_create(&ranks[rank].thread, NULL, run_rank, &ranks[rank]), 0);
    }
    for (int rank = 0; rank < size; rank++) {
        pthread_join(ranks[rank].thread, NULL);
    }
    checks_settle();
}

void world_run(int size, rank_work *work, void *shared)
{
    struct ww_local_world *local = NULL;
    cr_assert_eq(ww_local_world_create(size, &local), WW_OK);
    world_run_in(local, size, work, shared);
    ww_local_world_destroy(local);
}
