/* SPDX-License-Identifier: BSD-3-Clause
 * size_guard.c: holds SIGXFSZ back, and takes it away where it came. The kernel sends it to the
 * thread that wrote, so other threads neither get it nor lose theirs. */
#include "internal/size_guard.h"

#include <errno.h>
#include <time.h>

static void make_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGXFSZ);
}

void size_guard_begin(struct size_guard *guard)
{
    sigset_t set;
    sigset_t pending;
    make_set(&set);
    sigemptyset(&pending);
    sigpending(&pending);
    guard->was_pending = sigismember(&pending, SIGXFSZ) == 1;
    pthread_sigmask(SIG_BLOCK, &set, &guard->before);
}

void size_guard_end(const struct size_guard *guard)
{
    static const struct timespec at_once = {0, 0};
    int error = errno;
    sigset_t set;
    make_set(&set);
    while (!guard->was_pending && sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
    errno = error;
}
