/* SPDX-License-Identifier: BSD-3-Clause
 * clock.c: the only file that reads the system's clock or sleeps. */
#include "internal/clock.h"

#include <errno.h>
#include <time.h>

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_utc_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

void clock_sleep_ns(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / CLOCK_NS_PER_S), (long)(ns % CLOCK_NS_PER_S)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
        continue;
    }
}

uint64_t clock_core_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec clock_deadline(double seconds)
{
    struct timespec time;
    double most = seconds < 1e9 ? seconds : 1e9;
    time_t whole = (time_t)most;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += whole;
    time.tv_nsec += (long)((most - (double)whole) * (double)CLOCK_NS_PER_S);
    if (time.tv_nsec >= (long)CLOCK_NS_PER_S) {
        time.tv_nsec -= (long)CLOCK_NS_PER_S;
        time.tv_sec++;
    }
    return time;
}
