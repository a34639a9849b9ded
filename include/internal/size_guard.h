/* SPDX-License-Identifier: BSD-3-Clause
 * size_guard.h: a file that reaches the limit of sizes (RLIMIT_FSIZE) is no reason to end a
 * program, which SIGXFSZ does by default. Between begin and end the calling thread writes without
 * it: EFBIG is all that is left, and that is like a full disk. */
#ifndef INTERNAL_SIZE_GUARD_H
#define INTERNAL_SIZE_GUARD_H

#include <signal.h>
#include <stdbool.h>

struct size_guard {
    sigset_t before; /* the thread's mask */
    bool was_pending;
};

/* Pairs may be nested. end keeps errno, and brings back what was before; a signal that the program
 * itself had waiting stays. */
void size_guard_begin(struct size_guard *guard);
void size_guard_end(const struct size_guard *guard);

#endif
