/* SPDX-License-Identifier: BSD-3-Clause
 * watchdog.c: a thread that sleeps until a stage has had its time. Every process has its own, so
 * that no rank is left behind where the launcher does not end the others. */
#include "watchdog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "progress.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool over;
    double stage_s;
    struct timespec deadline; /* of the present stage */
    char who[128];
    char stage[160];
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct timespec deadline_in(double seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double whole = floor(seconds);
    now.tv_sec += (time_t)whole;
    now.tv_nsec += (long)((seconds - whole) * 1e9);
    if (now.tv_nsec >= 1000000000L) {
        now.tv_sec++;
        now.tv_nsec -= 1000000000L;
    }
    return now;
}

/* No stream, no lock and no MPI: the ranks that hold those are the ones that hang. */
static void bite(void)
{
    dprintf(STDERR_FILENO,
            "%swirewise bench: %s: %s was not over after %g s (-T): a rank is slow, stopped or "
            "gone, or the time is too short; look at the ranks that say nothing here, or raise "
            "-T\n",
            progress_eraser(), dog.who, dog.stage, dog.stage_s);
    _exit(EXIT_FAILED);
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&dog.lock);
    while (!dog.over) {
        struct timespec deadline = dog.deadline;
        int error = pthread_cond_timedwait(&dog.changed, &dog.lock, &deadline);
        bool same = deadline.tv_sec == dog.deadline.tv_sec &&
                    deadline.tv_nsec == dog.deadline.tv_nsec;
        if (error == ETIMEDOUT && same && !dog.over) {
            bite();
        }
    }
    pthread_mutex_unlock(&dog.lock);
    return NULL;
}

bool watchdog_start(double stage_s, const char *who)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int error = pthread_cond_init(&dog.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (error != 0) {
        return false;
    }
    dog.stage_s = stage_s;
    dog.deadline = deadline_in(stage_s + WATCHDOG_GRACE_S);
    dog.over = false;
    snprintf(dog.who, sizeof(dog.who), "%s", who);
    snprintf(dog.stage, sizeof(dog.stage), "the start");
    dog.running = pthread_create(&dog.thread, NULL, watch, NULL) == 0;
    if (!dog.running) {
        pthread_cond_destroy(&dog.changed);
    }
    return dog.running;
}

/* Deadlines only move away: the thread finds out when the old one comes, and nobody is woken now,
 * while something is about to be measured. */
void watchdog_stage(const char *what)
{
    if (!dog.running) {
        return;
    }
    pthread_mutex_lock(&dog.lock);
    dog.deadline = deadline_in(dog.stage_s + WATCHDOG_GRACE_S);
    snprintf(dog.stage, sizeof(dog.stage), "%s", what);
    pthread_mutex_unlock(&dog.lock);
}

void watchdog_stop(void)
{
    if (!dog.running) {
        return;
    }
    pthread_mutex_lock(&dog.lock);
    dog.over = true;
    pthread_cond_signal(&dog.changed);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    pthread_cond_destroy(&dog.changed);
    dog.running = false;
}
