/* SPDX-License-Identifier: BSD-3-Clause
 * cluster_wires.c: what the wires of a cluster cost. A level's wires lead from one unit of the
 * level below to another: how much leaves a unit follows from the narrowest place on the way out.
 *
 *     node --ports--> rail --uplink--> rack --uplink--> site --rate--> other sites
 */
#include "cluster.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "topology.h"

#define GB 1e9
#define US 1e-6
#define SPREAD_GIVEN 0.1
#define SPREAD_NOMINAL 0.25
#define SPREAD_ASSUMED 0.5

/* Where ranks are on GPUs a message takes longer than between hosts: a kernel ends, and another one
 * sees a flag. */
#define GPU_S (4 * US)

#define NVLINK_EFFICIENCY 0.82
#define XGMI_EFFICIENCY 0.72
#define PCIE_EFFICIENCY 0.87
#define PCIE_S (6 * US)

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* Bytes per second that the slowest node may send, by what its ports or the file say. */
static double nominal_rate(const struct cluster_file *cluster)
{
    double rate = cluster->network.rate.value;
    for (int i = 0; i < cluster->shape_count && cluster->network.rate.line == 0; i++) {
        double node_s = cluster->shape[i].node_s;
        rate = i == 0 ? node_s : least(rate, node_s);
    }
    return rate;
}

/* Ranks of a node that drive a port of their own, the fewest of all shapes. */
static double senders_of(const struct cluster_file *cluster)
{
    int fewest = 0;
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        int senders = shape->ports < shape->ranks ? shape->ports : shape->ranks;
        fewest = i == 0 || senders < fewest ? senders : fewest;
    }
    return fewest > 1 ? fewest : 1;
}

static int set_rate(struct given given, double *byte_s)
{
    if (given.line > 0) {
        *byte_s = 1 / given.value;
    }
    return given.line > 0;
}

static int set_value(struct given given, double *value)
{
    if (given.line > 0) {
        *value = given.value;
    }
    return given.line > 0;
}

/* Between two nodes that nothing thins out: what such ports usually do, then what the file says. */
static struct link node_link(const struct cluster_file *cluster)
{
    const struct network_keys *network = &cluster->network;
    double nominal = nominal_rate(cluster);
    struct topology two = {.levels = 2,
                           .host_levels = 1,
                           .level_kind = {LEVEL_HOST, LEVEL_NETWORK},
                           .port_gbit_s = nominal * 8e-9};
    snprintf(two.port_name, sizeof two.port_name, "%s",
             ww_nic_kind_name(cluster->shape[0].port_kind));
    struct link link = wires_assumed(&two).link[1];
    if (network->efficiency.line > 0) {
        double usual = 1 / (nominal * link.port_byte_s);
        link.flow.byte_s *= usual / network->efficiency.value;
        link.port_byte_s *= usual / network->efficiency.value;
    }
    if (cluster_on_gpus(cluster)) {
        link.flow.fixed_s += GPU_S;
        link.core_byte_s = 0;
    }
    if (network->latency.line > 0) {
        link.flow.fixed_s = network->latency.value;
    }
    set_value(network->message, &link.message_s);
    set_rate(network->core, &link.core_byte_s);
    link.flow.byte_s = most(link.flow.byte_s, link.port_byte_s * senders_of(cluster));
    return link;
}

static double node_rate(const struct cluster_file *cluster)
{
    return 1 / node_link(cluster).port_byte_s;
}

/* What GPUs of the slowest shape get through their PCIe links in practice; infinite where nobody
 * knows these, and for hosts. */
struct pcie_rates {
    double gpu_s;
    double node_s; /* all of a node together */
    bool assumed;
};

static struct pcie_rates pcie_rates(const struct cluster_file *cluster)
{
    struct pcie_rates rates = {INFINITY, INFINITY, false};
    for (int i = 0; i < cluster->shape_count && cluster_on_gpus(cluster); i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        if (shape->pcie_s > 0) {
            double gpu_s = shape->pcie_s * PCIE_EFFICIENCY;
            rates.gpu_s = least(rates.gpu_s, gpu_s);
            rates.node_s = least(rates.node_s, gpu_s * shape->ranks);
            rates.assumed = rates.assumed || shape->gpus_assumed;
        }
    }
    return rates;
}

static double seconds_or(struct given given, double otherwise)
{
    return given.line > 0 ? given.value : otherwise;
}

/* Until the first byte of a message is there that stays inside a unit of this kind. */
static double latency_of(const struct cluster_file *cluster, enum level_kind kind)
{
    double fabric = node_link(cluster).flow.fixed_s;
    double rack = seconds_or(cluster->rack.latency, fabric);
    switch (kind) {
    case LEVEL_RAIL:
        return seconds_or(cluster->rail.latency, rack);
    case LEVEL_RACK:
        return rack;
    case LEVEL_NETWORK:
        return cluster->site.nodes.line > 0 ? cluster->site.latency.value : fabric;
    default:
        return fabric;
    }
}

/* Nodes of one unit. */
static double nodes_of(const struct cluster_file *cluster, enum level_kind kind)
{
    const struct group_keys *group = kind == LEVEL_RAIL   ? &cluster->rail
                                     : kind == LEVEL_RACK ? &cluster->rack
                                     : kind == LEVEL_SITE ? &cluster->site
                                                          : NULL;
    return group != NULL && group->nodes.line > 0 ? group->nodes.value : 1;
}

/* A node's share, in bytes per second, of what leaves a unit of this kind. */
static double share_leaving(const struct cluster_file *cluster, enum level_kind kind)
{
    double node = node_rate(cluster);
    switch (kind) {
    case LEVEL_RAIL:
        return cluster->rail.uplink.line > 0 ? node * cluster->rail.uplink.value : node;
    case LEVEL_RACK:
        return cluster->rack.uplink.line > 0 ? node * cluster->rack.uplink.value : node;
    case LEVEL_SITE:
        return cluster->site.nodes.line > 0
                   ? least(node, cluster->site.rate.value / cluster->site.nodes.value)
                   : node;
    default:
        return node;
    }
}

/* A node's share of the narrowest place, its GPUs' PCIe links among them, between a unit of kind
 * `from` and one of kind `to`. */
static double share_between(const struct cluster_file *cluster, enum level_kind from,
                            enum level_kind to)
{
    double share = least(node_rate(cluster), pcie_rates(cluster).node_s);
    for (int kind = from < LEVEL_HOST ? LEVEL_HOST : (int)from; kind < (int)to; kind++) {
        share = least(share, share_leaving(cluster, (enum level_kind)kind));
    }
    return share;
}

/* ---- Links ----------------------------------------------------------------------------------- */

/* No source is better than its worse half. */
static void set_source(struct link *link, enum cost_source rate, enum cost_source latency)
{
    link->source = rate < latency ? rate : latency;
    link->spread = link->source == COST_GIVEN     ? SPREAD_GIVEN
                   : link->source == COST_NOMINAL ? SPREAD_NOMINAL
                                                  : SPREAD_ASSUMED;
}

static enum cost_source network_source(const struct cluster_file *cluster)
{
    bool assumed = false;
    for (int i = 0; i < cluster->shape_count && cluster->network.rate.line == 0; i++) {
        assumed = assumed || cluster->shape[i].ports_assumed;
    }
    return assumed                                ? COST_ASSUMED
           : cluster->network.efficiency.line > 0 ? COST_GIVEN
                                                  : COST_NOMINAL;
}

static bool latency_given(const struct cluster_file *cluster, enum level_kind kind)
{
    bool network = cluster->network.latency.line > 0;
    return (kind == LEVEL_RAIL && cluster->rail.latency.line > 0) ||
           (kind <= LEVEL_RACK && cluster->rack.latency.line > 0) ||
           (kind == LEVEL_NETWORK && cluster->site.latency.line > 0) || network;
}

static bool meet_over_pcie(const struct cluster_file *cluster)
{
    bool apart = false;
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        apart = apart || (shape->ranks > 1 && cluster_island_members(shape) == 1);
    }
    return apart;
}

/* GPUs send to ports through their PCIe links. Where these join GPUs of a node as well, they are as
 * busy with what leaves the node as with what stays. */
static void pass_pcie(const struct cluster_file *cluster, struct link *link)
{
    struct pcie_rates rates = pcie_rates(cluster);
    double byte_s = 1 / rates.gpu_s;
    if (byte_s > link->flow.byte_s) {
        link->flow.byte_s = byte_s;
        link->source = rates.assumed ? COST_ASSUMED : link->source;
        link->spread = rates.assumed ? SPREAD_ASSUMED : link->spread;
    }
    if (byte_s > 0 && meet_over_pcie(cluster)) {
        link->core_byte_s = byte_s;
        link->core_duplex = true;
    }
}

static void network_link(const struct cluster_file *cluster, enum level_kind below,
                         enum level_kind kind, struct link *link)
{
    bool wan = kind == LEVEL_NETWORK && cluster->site.nodes.line > 0;
    double unit = share_between(cluster, below, kind) * nodes_of(cluster, below);
    *link = node_link(cluster);
    link->flow.fixed_s = latency_of(cluster, kind);
    link->flow.byte_s = most(link->flow.byte_s, 1 / unit);
    link->port_byte_s = 1 / unit;
    set_source(link, wan ? COST_GIVEN : network_source(cluster),
               latency_given(cluster, kind) ? COST_GIVEN : COST_NOMINAL);
    pass_pcie(cluster, link);
    const char *name = cluster->network_name[0] != '\0'
                           ? cluster->network_name
                           : ww_nic_kind_name(cluster->shape[0].port_kind);
    snprintf(link->name, sizeof link->name, "%.31s", wan ? "WAN" : name);
}

/* The slowest links of any shape's GPUs, in practice. */
struct gpu_rates {
    double links_s;
    double pair_s;
    double pcie_s;
    int island; /* GPUs of the smallest island */
    bool assumed;
    bool split; /* a host has GPUs that are not linked */
    bool given;
    enum ww_link_kind kind;
};

static struct gpu_rates gpu_rates(const struct cluster_file *cluster)
{
    struct gpu_rates rates = {.links_s = INFINITY, .pair_s = INFINITY, .pcie_s = INFINITY};
    bool any_linked = false;
    rates.given = true;
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        double efficiency = shape->link_kind == WW_LINK_XGMI ? XGMI_EFFICIENCY : NVLINK_EFFICIENCY;
        int members = cluster_island_members(shape);
        bool linked = shape->links_s > 0; /* a GPU alone has no links that matter */
        rates.links_s = linked ? least(rates.links_s, shape->links_s * efficiency) : rates.links_s;
        rates.pair_s = linked ? least(rates.pair_s, shape->pair_s * efficiency) : rates.pair_s;
        rates.pcie_s = shape->pcie_s > 0 ? least(rates.pcie_s, shape->pcie_s * PCIE_EFFICIENCY)
                                         : rates.pcie_s;
        bool fewer = rates.island == 0 || members < rates.island;
        rates.island = fewer && shape->ranks > 1 ? members : rates.island;
        rates.split = rates.split || members < shape->ranks;
        rates.assumed = rates.assumed || shape->gpus_assumed;
        rates.kind = i == 0 || (linked && !any_linked) ? shape->link_kind : rates.kind;
        any_linked = any_linked || linked;
    }
    rates.island = rates.island > 0 ? rates.island : 1;
    return rates;
}

/* Between GPUs: over their links inside an island, over PCIe between islands. */
static void gpu_link(const struct cluster_file *cluster, enum level_kind below,
                     enum level_kind kind, struct link *link)
{
    struct gpu_rates rates = gpu_rates(cluster);
    bool pcie = kind == LEVEL_HOST && rates.split;
    double unit = below == LEVEL_ISLAND ? rates.island : 1;
    link->flow.fixed_s = pcie ? PCIE_S : GPU_S;
    link->flow.byte_s = 1 / (pcie ? rates.pcie_s : rates.pair_s);
    link->port_byte_s = 1 / (pcie ? unit * rates.pcie_s : rates.links_s);
    link->duplex = 1;
    link->message_s = 1 * US;
    /* A GPU's own links are busy as it is. */
    link->core_byte_s = below == LEVEL_CACHE ? link->port_byte_s : 0;
    link->core_duplex = true;
    link->fan = 1; /* each pair has links of its own */
    set_source(link, rates.assumed ? COST_ASSUMED : COST_NOMINAL, COST_NOMINAL);
    snprintf(link->name, sizeof link->name, "%s",
             pcie                            ? "PCIe"
             : rates.kind == WW_LINK_UNKNOWN ? "GPU links"
                                             : ww_link_kind_name(rates.kind));
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* A GPU's own memory: kernels that start in 2 us and read 1.5 TB/s. */
static const struct memory_cost gpu_memory = {.await_s = 2 * US,
                                              .action_s = 2 * US,
                                              .copy_byte_s = 1 / (1000 * GB),
                                              .sum_byte_s = 1 / (1500 * GB),
                                              .cache_bytes = 1e12,
                                              .spread = SPREAD_ASSUMED,
                                              .source = COST_ASSUMED};

/* Numbers of a person are counted as such only where the most important ones are there. */
static void override_memory(const struct cluster_file *cluster, struct memory_cost *memory)
{
    const struct memory_keys *keys = &cluster->memory;
    int said = set_rate(keys->copy, &memory->copy_byte_s) +
               set_rate(keys->sum, &memory->sum_byte_s);
    set_rate(keys->far, &memory->far_byte_s);
    set_rate(keys->ram, &memory->ram_byte_s);
    set_rate(keys->fetch, &memory->fetch_byte_s);
    set_value(keys->await, &memory->await_s);
    set_value(keys->action, &memory->action_s);
    set_value(keys->fetch_start, &memory->fetch_s);
    set_value(keys->cache, &memory->cache_bytes);
    if (said == 2) {
        memory->source = COST_GIVEN;
        memory->spread = SPREAD_GIVEN;
    }
}

/* ---- Exported -------------------------------------------------------------------------------- */

void cluster_level_cost(const struct cluster_file *cluster, struct cost *cost_of_kind)
{
    memcpy(cost_of_kind, level_cost_usual, LEVEL_KINDS * sizeof *cost_of_kind);
    if (cluster_on_gpus(cluster)) {
        for (int kind = LEVEL_ISLAND; kind <= LEVEL_HOST; kind++) {
            struct link link;
            gpu_link(cluster, LEVEL_CACHE, (enum level_kind)kind, &link);
            cost_of_kind[kind] = link.flow;
        }
    }
    /* Per byte of a node while all nodes send, so that an uplink shows. */
    for (int kind = LEVEL_RAIL; kind < LEVEL_KINDS && cluster->nodes > 1; kind++) {
        double share = share_between(cluster, LEVEL_HOST, (enum level_kind)kind);
        struct link link = node_link(cluster);
        cost_of_kind[kind] = (struct cost){latency_of(cluster, (enum level_kind)kind),
                                           link.flow.byte_s / link.port_byte_s / share};
    }
}

/* What a host has to offer: the least of all. GPUs of their own are no cores to be shared. */
static double cores_of(const struct cluster_file *cluster)
{
    double cores = INFINITY;
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        cores = least(cores, cluster_on_gpus(cluster) ? shape->ranks : shape->cores_used);
    }
    return cores;
}

struct wires cluster_wires(const struct cluster_file *cluster, const struct topology *topology)
{
    struct wires wires = wires_assumed(topology);
    bool on_gpus = cluster_on_gpus(cluster);
    wires.cores = cores_of(cluster);
    for (int level = 0; level < topology->levels; level++) {
        enum level_kind kind = topology->level_kind[level];
        enum level_kind below = level == 0 ? LEVEL_CACHE : topology->level_kind[level - 1];
        if (kind > LEVEL_HOST) {
            network_link(cluster, below, kind, &wires.link[level]);
        } else if (on_gpus && (kind == LEVEL_ISLAND || kind == LEVEL_HOST)) {
            gpu_link(cluster, below, kind, &wires.link[level]);
        }
    }
    if (on_gpus) {
        wires.memory = gpu_memory;
    } else if (topology->cache_bytes > 0) {
        wires.memory.cache_bytes = topology->cache_bytes;
    }
    override_memory(cluster, &wires.memory);
    wires_share_cores(&wires, topology->fullest);
    return wires;
}
