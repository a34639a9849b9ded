/* SPDX-License-Identifier: BSD-3-Clause
 * relay.h: the tree along which the announcements of many ranks come together.
 *
 * The hosts form a tree around that of rank 0, and so do the ranks of a host around its first one:
 *
 *     host 0:  rank 0 -- 1, 2, 3 ...        up: all ranks below announced; down: all ranks did
 *               |    \
 *     hosts 1 .. 8    its other ranks; below host 1 are the hosts 9 .. 16, and so on
 *
 * Every rank deals with a few others only, and a host says once what all its ranks say. */
#ifndef COLLECTIVES_RELAY_H
#define COLLECTIVES_RELAY_H

#include <wirewise/transport.h>

#include "topology.h"

/* Hosts below a host, and ranks below a rank of their host. A level of the tree takes a latency and
 * so many messages one after the other; with 5 to 10 messages in the time of a latency, as over
 * Ethernet and InfiniBand, (latency + width * message) / log(width) is least here. */
#define RELAY_WIDTH 8
#define RELAY_BELOW_MOST (2 * RELAY_WIDTH)

struct relay {
    int rank;
    int parent; /* -1 = none: rank 0 */
    int below;
    int ranks_below[RELAY_BELOW_MOST]; /* other hosts' first */
    int *parents;                      /* [size] of every rank */
};

/* WW_OK, WW_NO_MEMORY. */
enum ww_status relay_init(const struct topology *topology, struct relay *relay);
void relay_finish(struct relay *relay); /* zeroes are fine */

/* By which of the ranks below this one another rank is reached: its index in ranks_below, -1 = it
 * is not below this one. */
int relay_branch(const struct relay *relay, int rank);

/* The longest way down in a tree of so many hosts, or ranks of one host. */
int relay_depth(int count);

#endif
