/* SPDX-License-Identifier: BSD-3-Clause
 * route_join.h: what route.c and route_join.c share: the parts of a joined fabric. */
#ifndef TRANSPORT_ROUTE_JOIN_H
#define TRANSPORT_ROUTE_JOIN_H

#include "route.h"

enum { MEMORY, NETWORK, PARTS };

struct part {
    const struct ww_transport *transport; /* NULL = not open */
    void *fabric;
};

/* Shared memory, or what a test put in its place. It fills every slot of its transport. */
const struct route_memory *route_memory(void);

/* A rank of another host, -1 when there is none. */
int route_far_rank(const struct ww_transport_setup *setup);

/* Why a thread of the runtime could not use the world's transport; NULL = it can, or there is no
 * transport. Static text. */
const char *route_network_trouble(const struct ww_transport_setup *setup);

/* Opens the parts that the world needs; collective. All ranks come to the same choice, and where
 * one fails all do, with no part open; see route.h for what it returns.
 * part  NULL = this rank has no memory for it, which makes all fail */
enum ww_status route_join(const struct ww_transport_setup *setup, struct part part[PARTS]);

#endif
