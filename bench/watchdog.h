/* SPDX-License-Identifier: BSD-3-Clause
 * watchdog.h: ends this process when one stage of the run is not over in time, whatever its ranks
 * are waiting for. One per process. */
#ifndef BENCH_WATCHDOG_H
#define BENCH_WATCHDOG_H

#include <stdbool.h>

/* Added to the time of each stage, so that the library, which is given the same time, can say
 * first which rank is missing. */
#define WATCHDOG_GRACE_S 1.0

/* Starts watching; stage_s > 0. `who` ("rank 1 of 3 on host a") is copied. False when there is no
 * thread for it. Between start and stop, a stage that takes longer than stage_s and the grace ends
 * the process with a sentence and EXIT_FAILED. */
bool watchdog_start(double stage_s, const char *who);

/* The next stage begins; `what` is copied. Nothing while nothing is watched. Thread, here and
 * below: the one that started the watch. */
void watchdog_stage(const char *what);

/* Ends the watch. Nothing without a start. */
void watchdog_stop(void);

#endif
