/* SPDX-License-Identifier: BSD-3-Clause
 * delay.c: waits at the gate, with a name. */
#include "delay.h"

#define NAMED_NS 20000       /* shorter waits are latency, ... */
#define NAMED_TREE_NS 200000 /* ... of many messages, one after the other */
#define LOOK_EVERY 8         /* asking who is missing costs a look at every peer */

static void begin(struct delay *delay, uint64_t now_ns)
{
    delay->since_ns = now_ns;
    delay->missing = -1;
    delay->looks = 0;
}

void delay_end(struct delay *delay, uint64_t now_ns)
{
    if (delay->since_ns == 0) {
        return;
    }
    uint64_t waited_ns = now_ns > delay->since_ns ? now_ns - delay->since_ns : 0;
    delay->since_ns = 0;
    delay->total_ns += waited_ns;
    if (delay->missing >= 0 && waited_ns > delay->longest_ns) {
        delay->longest_ns = waited_ns;
        delay->longest_rank = delay->missing;
    }
}

void delay_look(struct delay *delay, bool at_gate, const struct gate *gate, uint64_t now_ns)
{
    uint64_t least_ns = gate_relays(gate) ? NAMED_TREE_NS : NAMED_NS;
    bool long_enough = delay->since_ns != 0 && now_ns > delay->since_ns + least_ns;
    if (!at_gate) {
        if (long_enough && gate_relays(gate)) {
            delay->missing = gate_latest(gate);
        }
        delay_end(delay, now_ns);
        return;
    }
    if (delay->since_ns == 0) {
        begin(delay, now_ns);
        return;
    }
    bool sees = gate_sees_all(gate) && !gate_relays(gate);
    if (long_enough && sees && delay->looks++ % LOOK_EVERY == 0) {
        int rank;
        if (gate_missing(gate, &rank, 1) > 0) {
            delay->missing = rank;
        }
    }
}
