/* SPDX-License-Identifier: BSD-3-Clause
 * threads.h: a machine of many cores whose threads are used up. The program is linked with
 * wirewise_threads of cmake/WirewiseTest.cmake. */
#ifndef TESTS_THREADS_H
#define TESTS_THREADS_H

#include <stdbool.h>

/* The calling thread may start no other, and may use 32 cores. */
extern _Thread_local bool threads_are_refused;

#endif
