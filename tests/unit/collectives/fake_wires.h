/* SPDX-License-Identifier: BSD-3-Clause
 * fake_wires.h: clusters and wires on paper. */
#ifndef TESTS_FAKE_WIRES_H
#define TESTS_FAKE_WIRES_H

#include "price.h"
#include "topology.h"

/* Ranks dealt out to hosts in blocks, ranks_on[hosts] on each, or `per_host` on all where NULL. */
struct paper_cluster {
    int hosts;
    int per_host;
    const int *ranks_on;
    int racks;    /* hosts are dealt out to so many; 0 = nobody knows */
    int packages; /* of a host, to which its ranks are dealt out; 0 = nobody knows */
};

/* Fails the test where it cannot be made. topology_finish frees it. */
struct topology paper_topology(const struct paper_cluster *cluster);

/* Local actions cost nothing; every level has wires of so many seconds and so many per byte, for a
 * flow and for a port alike. Two cores or more: as many as anybody needs. */
struct wires paper_wires(const struct topology *topology, const struct cost *cost);

#endif
