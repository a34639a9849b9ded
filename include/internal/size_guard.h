/* SPDX-License-Identifier: BSD-3-Clause
 * size_guard.h: a file that reaches the limit of sizes (RLIMIT_FSIZE) is no reason to end a
 * program, which SIGXFSZ does by default, nor is a pipe that nobody reads any more (SIGPIPE).
 * Between begin and end the calling thread writes without them: EFBIG and EPIPE are all that is
 * left, and that is like a full disk. */
#ifndef INTERNAL_SIZE_GUARD_H
#define INTERNAL_SIZE_GUARD_H

#include <signal.h>

struct size_guard {
    sigset_t before; /* the thread's mask */
    sigset_t held;   /* those of the two that were not waiting already */
};

/* Pairs may be nested. end keeps errno, and brings back what was before; a signal that the program
 * itself had waiting stays. */
void size_guard_begin(struct size_guard *guard);
void size_guard_end(const struct size_guard *guard);

#endif
