/* SPDX-License-Identifier: BSD-3-Clause
 * size_guard.c: holds SIGXFSZ and SIGPIPE back, and takes them away where they came. The kernel
 * sends them to the thread that wrote, so other threads neither get them nor lose theirs. */
#include "internal/size_guard.h"

#include <errno.h>
#include <time.h>

void size_guard_begin(struct size_guard *guard)
{
    static const int signals[] = {SIGXFSZ, SIGPIPE};
    sigset_t pending;
    sigemptyset(&pending);
    sigemptyset(&guard->held);
    sigpending(&pending);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (sigismember(&pending, signals[i]) == 0) {
            sigaddset(&guard->held, signals[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &guard->held, &guard->before);
}

void size_guard_end(const struct size_guard *guard)
{
    static const struct timespec at_once = {0, 0};
    int error = errno;
    while (sigtimedwait(&guard->held, NULL, &at_once) > 0 || errno == EINTR) {
        continue;
    }
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
    errno = error;
}
