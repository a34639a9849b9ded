/* SPDX-License-Identifier: BSD-3-Clause
 * cluster.c: from a cluster file to ranks in their places. */
#include "cluster.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ini.h"
#include "internal/log.h"
#include "topology.h"

void cluster_note(struct cluster_file *cluster, const char *format, ...)
{
    char note[sizeof cluster->notes[0]];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(note, sizeof note, format, arguments);
    va_end(arguments);
    if (cluster->note_count < CLUSTER_NOTES_MAX) {
        strcpy(cluster->notes[cluster->note_count++], note);
    }
}

enum ww_status cluster_refuse(const struct cluster_file *cluster, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum ww_status status = ini_refuse_at(cluster->path, line, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static enum ww_status count_ranks(struct cluster_file *cluster)
{
    long ranks = 0;
    for (int i = 0; i < cluster->line_count; i++) {
        ranks += (long)cluster->line[i].nodes * cluster->shape[cluster->line[i].shape].ranks;
        if (ranks > CLUSTER_RANKS_MAX) {
            return cluster_refuse(cluster, cluster->line[i].line,
                                  "up to here there are %ld ranks: %d is the most", ranks,
                                  CLUSTER_RANKS_MAX);
        }
    }
    cluster->ranks = (int)ranks;
    return WW_OK;
}

/* The kind decides what a network usually does: shapes must not differ in it without a word. */
static enum ww_status check_network(struct cluster_file *cluster)
{
    const struct network_keys *network = &cluster->network;
    const struct cluster_shape *first = &cluster->shape[0];
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        if (shape->port_kind != first->port_kind) {
            return cluster_refuse(cluster, shape->line,
                                  "[shape %s] has %s and [shape %s] %s: say in [network] by kind = "
                                  "... what connects them",
                                  first->name, ww_nic_kind_name(first->port_kind), shape->name,
                                  ww_nic_kind_name(shape->port_kind));
        }
        if (shape->node_s != first->node_s && network->rate.line == 0) {
            cluster_note(
                cluster,
                "Nodes of shape %s have %.4g Gb/s and nodes of shape %s %.4g Gb/s: all are "
                "priced as the slower ones, which the others wait for.",
                first->name, first->node_s * 8e-9, shape->name, shape->node_s * 8e-9);
        }
    }
    if (cluster->nodes > 1 && first->port_kind == WW_NIC_UNKNOWN) {
        return cluster_refuse(cluster, 0,
                              "what kind of network connects the nodes is unknown, and so is what "
                              "it usually reaches: write kind = InfiniBand, RoCE, Ethernet ... in "
                              "[network]");
    }
    return WW_OK;
}

/* A unit that holds all nodes has nothing outside: its uplink leads nowhere, and what its messages
 * take is what those of the network take. */
static void drop_whole(struct cluster_file *cluster, struct group_keys *group)
{
    if (group->nodes.line == 0 || group->nodes.value < cluster->nodes) {
        return;
    }
    if (group != &cluster->site && group->latency.line > 0) {
        cluster->network.latency = group->latency;
    }
    *group = (struct group_keys){.nodes = {0, 0}};
}

static enum ww_status settle(struct cluster_file *cluster)
{
    enum ww_status status = WW_OK;
    drop_whole(cluster, &cluster->site);
    drop_whole(cluster, &cluster->rack);
    drop_whole(cluster, &cluster->rail); /* the innermost one has the last word */
    for (int i = 0; i < cluster->shape_count && status == WW_OK; i++) {
        status = cluster_shape_settle(cluster, &cluster->shape[i]);
    }
    if (status == WW_OK) {
        status = check_network(cluster);
    }
    if (status == WW_OK) {
        status = count_ranks(cluster);
    }
    if (status == WW_OK && cluster->name[0] == '\0') {
        const char *slash = strrchr(cluster->path, '/');
        snprintf(cluster->name, sizeof cluster->name, "%.60s",
                 slash == NULL ? cluster->path : slash + 1);
    }
    return status;
}

enum ww_status cluster_read(const char *path, struct cluster_file *cluster)
{
    enum ww_status status = cluster_parse(path, cluster);
    if (status == WW_OK) {
        status = settle(cluster);
    }
    if (status != WW_OK) {
        cluster_finish(cluster);
    }
    return status;
}

void cluster_finish(struct cluster_file *cluster)
{
    for (int i = 0; i < cluster->shape_count; i++) {
        free(cluster->shape[i].island);
        cluster->shape[i].island = NULL;
    }
}

/* ---- Places ---------------------------------------------------------------------------------- */

struct places {
    const struct cluster_file *cluster;
    int size;
    uint64_t *labels;                      /* [LEVEL_NETWORK * size] */
    char (*host_names)[HOST_NAME_BYTES];   /* [nodes] */
    const struct cluster_shape **shape_of; /* [nodes] */
    int *used;                             /* [nodes] ranks that are placed */
};

/* The unit of a node that rank `slot` of it is bound to. */
static uint64_t unit_of(const struct cluster_shape *shape, int slot, int units)
{
    int bind = (int)shape->keys.bind.value;
    if (units == 0 || bind == BIND_NONE) {
        return LABEL_UNKNOWN;
    }
    if (bind == BIND_COMPACT && shape->cores > 0) {
        return (uint64_t)(slot % shape->cores) * (uint64_t)units / (uint64_t)shape->cores;
    }
    return (uint64_t)slot * (uint64_t)units / (uint64_t)shape->ranks;
}

static void label(struct places *places, int rank, enum level_kind kind, int node, uint64_t unit)
{
    const uint64_t room = 1 << 16; /* units of a node */
    places->labels[(size_t)kind * (size_t)places->size + (size_t)rank] =
        unit == LABEL_UNKNOWN ? LABEL_UNKNOWN : (uint64_t)node * room + unit;
}

static uint64_t group_of(const struct group_keys *group, int node)
{
    return group->nodes.line > 0 ? (uint64_t)node / (uint64_t)group->nodes.value : LABEL_UNKNOWN;
}

static void place_rank(struct places *places, int rank, int node)
{
    const struct cluster_file *cluster = places->cluster;
    const struct cluster_shape *shape = places->shape_of[node];
    int slot = places->used[node]++;
    bool cores = !cluster_on_gpus(cluster);
    label(places, rank, LEVEL_CACHE, node, unit_of(shape, slot, cores ? shape->caches : 0));
    label(places, rank, LEVEL_NUMA, node, unit_of(shape, slot, cores ? shape->numa : 0));
    label(places, rank, LEVEL_PACKAGE, node, unit_of(shape, slot, cores ? shape->packages : 0));
    label(places, rank, LEVEL_ISLAND, node,
          shape->island == NULL ? LABEL_UNKNOWN : (uint64_t)shape->island[slot]);
    label(places, rank, LEVEL_HOST, node, 0);
    label(places, rank, LEVEL_RAIL, 0, group_of(&cluster->rail, node));
    label(places, rank, LEVEL_RACK, 0, group_of(&cluster->rack, node));
    label(places, rank, LEVEL_SITE, 0, group_of(&cluster->site, node));
}

/* node: one node after the other. slot: a rank to every node that has room, and again. */
static void place_ranks(struct places *places)
{
    bool by_slot = places->cluster->keys.placement.value == PLACEMENT_SLOT;
    int node = 0;
    for (int rank = 0; rank < places->size; rank++) {
        while (places->used[node] == places->shape_of[node]->ranks) {
            node = (node + 1) % places->cluster->nodes;
        }
        place_rank(places, rank, node);
        node = by_slot ? (node + 1) % places->cluster->nodes : node;
    }
}

static void name_nodes(struct places *places)
{
    const struct cluster_file *cluster = places->cluster;
    int node = 0;
    for (int i = 0; i < cluster->line_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[cluster->line[i].shape];
        for (int n = 0; n < cluster->line[i].nodes; n++, node++) {
            places->shape_of[node] = shape;
            snprintf(places->host_names[node], HOST_NAME_BYTES, "%.40s%d", shape->name, node);
        }
    }
}

/* What a host has to offer: the least of all. */
static void offer(const struct cluster_file *cluster, struct topology *topology)
{
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        int cores = cluster_on_gpus(cluster) ? shape->ranks : shape->cores;
        double gbit_s = shape->node_s * 8e-9;
        if (i == 0 || cores < topology->cores) {
            topology->cores = cores;
        }
        if (i == 0 || shape->cache_bytes < topology->cache_bytes) {
            topology->cache_bytes = shape->cache_bytes;
        }
        if (i == 0 || gbit_s < topology->port_gbit_s) {
            topology->port_gbit_s = gbit_s;
        }
    }
    snprintf(topology->port_name, sizeof topology->port_name, "%s",
             ww_nic_kind_name(cluster->shape[0].port_kind));
}

static enum ww_status make(struct places *places, struct topology *topology)
{
    struct cost level_cost[LEVEL_KINDS];
    name_nodes(places);
    place_ranks(places);
    cluster_level_cost(places->cluster, level_cost);
    enum ww_status status = topology_make(topology, 0, places->size, places->labels,
                                          (const char(*)[HOST_NAME_BYTES])places->host_names,
                                          level_cost);
    if (status == WW_OK) {
        offer(places->cluster, topology);
        topology_note_sight(topology, !cluster_on_gpus(places->cluster));
    }
    return status;
}

enum ww_status cluster_topology(const struct cluster_file *cluster, struct topology *topology)
{
    struct places places = {.cluster = cluster, .size = cluster->ranks};
    size_t nodes = (size_t)cluster->nodes;
    places.labels = calloc(LEVEL_NETWORK * (size_t)cluster->ranks, sizeof *places.labels);
    places.host_names = calloc(nodes, sizeof *places.host_names);
    places.shape_of = calloc(nodes, sizeof *places.shape_of);
    places.used = calloc(nodes, sizeof *places.used);
    enum ww_status status = WW_OK;
    if (places.labels == NULL || places.host_names == NULL || places.shape_of == NULL ||
        places.used == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for the places of %d ranks", cluster->ranks);
    } else {
        status = make(&places, topology);
    }
    free(places.used);
    free(places.shape_of);
    free(places.host_names);
    free(places.labels);
    return status;
}
