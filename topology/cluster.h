/* SPDX-License-Identifier: BSD-3-Clause
 * cluster.h: a cluster described in a file: where its ranks are and what its wires cost, without
 * being there. docs/cluster-files.md is the format. */
#ifndef CLUSTER_H
#define CLUSTER_H

#include <stdbool.h>

#include <wirewise/tools.h>

#include "cost.h"

struct topology;

#define CLUSTER_SHAPES_MAX 16
#define CLUSTER_LINES_MAX 256 /* of [nodes] */
#define CLUSTER_RANKS_MAX 32768
#define CLUSTER_NAME_BYTES 64
#define CLUSTER_PATH_BYTES 4096
#define CLUSTER_NOTES_MAX 32

/* A value of the file in bytes, seconds, bytes per second, or the number of a word. */
struct given {
    double value;
    int line; /* 0 = the file does not say */
};

enum cluster_placement { PLACEMENT_NODE, PLACEMENT_SLOT };
enum cluster_device { DEVICE_HOST, DEVICE_GPU };
enum cluster_bind { BIND_SPREAD, BIND_COMPACT, BIND_NONE };

/* What stands in the file, section by section. */
struct cluster_keys {
    struct given placement;
    struct given device;
};
struct shape_keys {
    struct given packages, numa, cores, caches, cache;
    struct given gpus, gpu_links, gpu_pair, gpu_island, gpu_pcie;
    struct given ports, port, port_kind;
    struct given ranks, bind;
};
struct network_keys {
    struct given rate, kind, latency, efficiency, message, core;
};
struct group_keys { /* rail, rack, site */
    struct given nodes, uplink, rate, latency;
};
struct memory_keys {
    struct given copy, sum, far, ram, fetch, await, action, fetch_start, cache;
};

/* A kind of node. */
struct cluster_shape {
    char name[CLUSTER_NAME_BYTES];
    int line;
    char xml[CLUSTER_PATH_BYTES]; /* "" = described by hand */
    struct shape_keys keys;

    /* What follows; 0 = unknown. */
    int nodes;
    int ranks; /* on each */
    int packages, numa, cores, caches;
    double cores_used;  /* by a node's ranks; less than cores where a fraction is given */
    double cache_bytes; /* all last caches of a node together */
    int gpus;
    int *island; /* [ranks] island of each rank's GPU; NULL = GPUs are not in use or not linked */
    double links_s; /* bytes per second of all links of one GPU */
    double pair_s;  /* and between two GPUs */
    double pcie_s;  /* of one GPU */
    enum ww_link_kind link_kind;
    int ports;
    double port_s; /* bytes per second of one port, whatever its PCIe link carries */
    double node_s; /* of all ports together, over their PCIe links */
    enum ww_nic_kind port_kind;
    bool gpus_assumed; /* what follows for GPUs comes from what such parts can do at most */
    bool ports_assumed;
    char about[512]; /* a line for people */
};

/* Hosts that one line of [nodes] names. */
struct cluster_line {
    int shape;
    int nodes;
    int line;
};

struct cluster_file {
    char path[CLUSTER_PATH_BYTES];
    char name[CLUSTER_NAME_BYTES];
    char network_name[CLUSTER_NAME_BYTES];
    struct cluster_keys keys;
    struct network_keys network;
    struct group_keys rail, rack, site;
    struct memory_keys memory;
    int shape_count;
    struct cluster_shape shape[CLUSTER_SHAPES_MAX];
    int line_count;
    struct cluster_line line[CLUSTER_LINES_MAX];
    int nodes;
    int ranks;
    int note_count;
    char notes[CLUSTER_NOTES_MAX][256]; /* what is assumed, and why; a sentence each */
};

/* Reads the file and the machines that it names.
 * Returns WW_OK, WW_BAD_ARGUMENT (the sentence begins with file:line), WW_UNSUPPORTED (a file of
 * hwloc, and this build has no hwloc), WW_NO_MEMORY. Only WW_OK needs cluster_finish. */
enum ww_status cluster_read(const char *path, struct cluster_file *cluster);
void cluster_finish(struct cluster_file *cluster);

static inline bool cluster_on_gpus(const struct cluster_file *cluster)
{
    return cluster->keys.device.value == DEVICE_GPU;
}

/* Where its ranks are, seen by rank 0; to be finished by topology_finish.
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status cluster_topology(const struct cluster_file *cluster, struct topology *topology);

/* What its wires cost: the file's numbers, what the machines' parts tell, and what such wires
 * usually do, in this order. */
struct wires cluster_wires(const struct cluster_file *cluster, const struct topology *topology);

/* Writes a cluster file of a job: its hosts, and what its wires cost as they stand in `wires`.
 * Whether the stream took it all is for its owner to see. Returns WW_OK; WW_UNSUPPORTED (the format
 * has no room for so many kinds of hosts), WW_NO_MEMORY: nothing is written then. */
enum ww_status cluster_write(const struct topology *topology, const struct wires *wires, FILE *to);

/* ---- Parts of this room ---------------------------------------------------------------------- */

/* Takes the file apart, without looking at machines (cluster_file.c). */
enum ww_status cluster_parse(const char *path, struct cluster_file *cluster);

/* Finds out what a shape is (cluster_shape.c). Returns as cluster_read. */
enum ww_status cluster_shape_settle(struct cluster_file *cluster, struct cluster_shape *shape);

/* GPUs of the smallest island of those that ranks use; 1 where they are not linked. */
int cluster_island_members(const struct cluster_shape *shape);

/* What one message costs inside a unit of each kind, while all ranks send (cluster_wires.c). */
void cluster_level_cost(const struct cluster_file *cluster, struct cost *cost_of_kind);

void cluster_note(struct cluster_file *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Logs "file:line: ..." and returns WW_BAD_ARGUMENT; line 0 = about the file as a whole. */
enum ww_status cluster_refuse(const struct cluster_file *cluster, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
