/* SPDX-License-Identifier: BSD-3-Clause
 * shape.h: what a host has to offer, without anything that only it has (names, addresses, numbers
 * of devices): hosts that were bought and set up alike have equal shapes, bit for bit. */
#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/tools.h>

#include "topology.h"

#define SHAPE_VERSION 1

/* Ports of one kind. */
struct shape_ports {
    int32_t up;
    int32_t down;
    int32_t unknown;
    int32_t reserved;
    double least_gbit_s; /* of those that are UP; 0 = unknown */
    double greatest_gbit_s;
    double usable_gbit_s; /* all that are UP together, as far as PCIe carries them */
};

/* Fixed size, no pointers, no holes. -1 and 0 = unknown, where it says so. */
struct machine_shape {
    int32_t version;  /* 0 = nobody looked */
    int32_t packages; /* these: -1 = unknown */
    int32_t numa_nodes;
    int32_t cores;
    int32_t threads;
    int32_t gpus;
    int32_t islands;
    int32_t link_kind;   /* enum ww_link_kind: NVSWITCH where any pair of GPUs goes through one */
    int32_t links_least; /* of one GPU; -1 = unknown */
    int32_t links_most;
    double link_gb_s_least; /* of one GPU, all links; 0 = unknown */
    double link_gb_s_most;
    double cache_bytes;                          /* the last caches together; 0 = unknown */
    char cpu[64];                                /* "" = unknown */
    char gpu[64];                                /* of the first GPU */
    struct shape_ports ports[WW_NIC_KIND_COUNT]; /* those without RDMA on PCI only: others come and
                                                    go with containers */
};

void shape_of_machine(const struct ww_machine *machine, struct machine_shape *shape);

/* The kind that leads to other hosts: with RDMA before without, then the fastest. Returns its
 * usable rate in Gb/s, 0 where none is known. */
double shape_network(const struct machine_shape *shape, enum ww_nic_kind *kind);

/* In words: "InfiniBand: 8 UP / 7 UP, 1 DOWN; cores: 64 / 32"; "" when they are equal. */
void shape_difference(const struct machine_shape *a, const struct machine_shape *b, char *text,
                      size_t bytes);

/* The machine that this process runs on. Looks once per process, for up to a second; any thread.
 * query    NULL = this machine; another one is looked at anew each time
 * verdict  one line about it
 * Returns  WW_OK, or what ww_machine_discover returned: then the shape is all zero. */
#define SHAPE_VERDICT_BYTES 512
enum ww_status shape_discover(const struct ww_machine_query *query, struct machine_shape *shape,
                              char verdict[SHAPE_VERDICT_BYTES]);

#endif
