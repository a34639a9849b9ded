/* SPDX-License-Identifier: BSD-3-Clause
 * clock.h: the system's monotonic clock. Rooms below runtime/ take the time as an argument. */
#ifndef INTERNAL_CLOCK_H
#define INTERNAL_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)

/* Nanoseconds since some fixed instant; never goes back (CLOCK_MONOTONIC). */
uint64_t clock_now_ns(void);

/* Seconds since 1970, UTC: for people who read files, not for measuring. */
int64_t clock_utc_s(void);

/* A condition on which pthread_cond_timedwait waits until what clock_deadline gave: the time after
 * so many seconds, whatever somebody sets the wall clock to meanwhile. */
void clock_condition_init(pthread_cond_t *condition);
struct timespec clock_deadline(double seconds);

/* Nanoseconds that the calling thread spent on a core so far. */
uint64_t clock_core_ns(void);

/* Sleeps at least so long. Called by runtime/progress.c alone. */
void clock_sleep_ns(uint64_t ns);

#endif
