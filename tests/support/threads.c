/* SPDX-License-Identifier: BSD-3-Clause
 * threads.c: refuses threads as a limit does, and tells many cores, so that threads are wanted. */
#define _GNU_SOURCE
#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

_Thread_local bool threads_are_refused;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    return threads_are_refused ? EAGAIN
                               : __real_pthread_create(thread, attributes, start, argument);
}

int __real_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
    if (!threads_are_refused) {
        return __real_sched_getaffinity(pid, bytes, set);
    }
    memset(set, 0, bytes);
    memset(set, 0xff, 4);
    return 0;
}
