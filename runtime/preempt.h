/* SPDX-License-Identifier: BSD-3-Clause
 * preempt.h: whether this process was told to go. */
#ifndef RUNTIME_PREEMPT_H
#define RUNTIME_PREEMPT_H

#include <stdatomic.h>

#define PREEMPT_SIGNALS 65 /* numbers 1 .. 64 */

/* A context's part of it; all zero = it watches nothing. */
struct preemption {
    atomic_bool told; /* by a call, or by a signal that was seen already */
    atomic_bool watches[PREEMPT_SIGNALS];
    unsigned seen[PREEMPT_SIGNALS]; /* signals that came before it watched */
};

/* Ends the watch: who was the last brings the earlier handling back. */
void preempt_end(struct preemption *preemption);

/* In a forked child. */
void preempt_after_fork(void);

#endif
