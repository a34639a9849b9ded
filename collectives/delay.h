/* SPDX-License-Identifier: BSD-3-Clause
 * delay.h: how long nothing moved because a rank had not come yet, and which one. */
#ifndef COLLECTIVES_DELAY_H
#define COLLECTIVES_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "gate.h"

/* Waiting at the gate with nothing else under way. It holds the latency of an announcement. */
struct delay {
    uint64_t total_ns;
    uint64_t longest_ns; /* one wait, since it was taken */
    int longest_rank;    /* the last that was missing then; -1 = nobody, or not known */
    uint64_t since_ns;   /* the present wait; 0 = none */
    int missing;         /* in it */
    unsigned looks;
};

/* The present wait, if any, counts until now; should it go on, that is another. */
void delay_end(struct delay *delay, uint64_t now_ns);

/* Looks: does the oldest collective wait at the gate now? */
void delay_look(struct delay *delay, bool at_gate, const struct gate *gate, uint64_t now_ns);

#endif
