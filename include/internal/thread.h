/* SPDX-License-Identifier: BSD-3-Clause
 * thread.h: threads of the library's own. */
#ifndef INTERNAL_THREAD_H
#define INTERNAL_THREAD_H

#include <pthread.h>

/* As pthread_create does; but the program's signals are not this thread's business. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *self);

#endif
