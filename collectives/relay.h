/* SPDX-License-Identifier: BSD-3-Clause
 * relay.h: the tree along which the announcements of many ranks come together.
 *
 * The hosts form a tree around that of rank 0, and so do the ranks of a host around its first one:
 *
 *     host 0: rank 0 ----- its other ranks      up:   all ranks below announced
 *              |                                 down: all ranks did
 *     host 1 .. host 8 --- their ranks
 *       |         |
 *     hosts 9 .. 16 ...
 *
 * Every rank deals with a few others only, and a host says once what all its ranks say. */
#ifndef COLLECTIVES_RELAY_H
#define COLLECTIVES_RELAY_H

#include <wirewise/transport.h>

#include "topology.h"

#define RELAY_WIDTH_MOST 16 /* hosts below a host, and ranks below a rank of their host */
#define RELAY_BELOW_MOST (2 * RELAY_WIDTH_MOST)

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

/* How wide a tree of so many hosts is, or of the ranks of a host, and how deep. A way through each
 * level takes a latency and as many messages as it is wide, one after the other. */
struct relay_form {
    int width;
    int depth; /* 0 = there is but one */
};
struct relay_form relay_form(int count);

#endif
