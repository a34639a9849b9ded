/* SPDX-License-Identifier: BSD-3-Clause
 * cluster_shape.c: what a shape of nodes is, out of a machine's description and the file's own
 * numbers, which go first. What nobody knows is assumed and said, or refused. */
#include "cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "line.h"
#include "machine.h"

#define GB 1e9
#define GBIT (1e9 / 8)
#define PCIE_S (31.5 * GB) /* generation 4, 16 lanes */

static int given_or(struct given given, struct ww_fact fact)
{
    return given.line > 0 ? (int)given.value : (int)fact.value;
}

/* xml = FILE stands beside the cluster file. */
static enum ww_status read_machine(const struct cluster_file *cluster,
                                   const struct cluster_shape *shape, struct ww_machine **machine)
{
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    char path[2 * CLUSTER_PATH_BYTES];
    const char *slash = strrchr(cluster->path, '/');
    int folder = slash == NULL || shape->xml[0] == '/' ? 0 : (int)(slash - cluster->path) + 1;
    snprintf(path, sizeof path, "%.*s%s", folder, cluster->path, shape->xml);
    query.xml = path;
    enum ww_status status = ww_machine_discover(&query, machine);
    if (status == WW_BAD_ARGUMENT) {
        char sentence[LOG_SENTENCE_BYTES / 2];
        snprintf(sentence, sizeof sentence, "%s", log_last_error());
        return cluster_refuse(cluster, shape->line, "xml of [shape %s]: %s", shape->name, sentence);
    }
    return status;
}

/* ---- Cores ----------------------------------------------------------------------------------- */

/* The outermost caches: their count and all their bytes. */
static void find_caches(struct cluster_shape *shape, const struct ww_machine *machine)
{
    int last = 0;
    for (int i = 0; i < machine->cache_count; i++) {
        last = machine->caches[i].level > last ? machine->caches[i].level : last;
    }
    for (int i = 0; i < machine->cache_count; i++) {
        const struct ww_cache *cache = &machine->caches[i];
        shape->caches += cache->level == last ? cache->count : 0;
        shape->cache_bytes += cache->level == last ? cache->count * cache->each_bytes : 0;
    }
}

static void find_cores(struct cluster_shape *shape, const struct ww_machine *machine)
{
    const struct shape_keys *keys = &shape->keys;
    struct ww_fact numa = machine->numa_nodes;
    numa.value -= machine->numa_without_cores.value;
    shape->packages = given_or(keys->packages, machine->packages);
    shape->numa = given_or(keys->numa, numa);
    shape->cores = keys->cores.line > 0 ? (int)ceil(keys->cores.value)
                                        : given_or(keys->cores, machine->cores);
    shape->cores_used = keys->cores.line > 0 ? keys->cores.value : shape->cores;
    find_caches(shape, machine);
    if (keys->cache.line > 0 || keys->caches.line > 0) {
        double each = shape->caches > 0 ? shape->cache_bytes / shape->caches : 0;
        each = keys->cache.line > 0 ? keys->cache.value : each;
        shape->caches = keys->caches.line > 0 ? (int)keys->caches.value
                        : shape->caches > 0   ? shape->caches
                                              : 1;
        shape->cache_bytes = each * shape->caches;
    }
}

/* ---- GPUs ------------------------------------------------------------------------------------ */

/* Bytes per second, 0 = unknown. */
static double rate_of(struct ww_fact gb_s)
{
    return fact_is_known(gb_s) ? gb_s.value * GB : 0;
}

static double least_of(double least, double value)
{
    return value > 0 && (least == 0 || value < least) ? value : least;
}

/* What a GPU sends to its peers at most: through switches all that its links carry, else what its
 * pairs carry together. Where some of those are unknown its links tell, of which some may lead to a
 * CPU. */
static double links_of(const struct ww_machine *machine, int gpu)
{
    double total = rate_of(machine->gpus[gpu].links_gb_s);
    double pairs = 0;
    bool all = true;
    for (int peer = 0; peer < machine->gpu_count; peer++) {
        const struct ww_link *link = &machine->links[gpu * machine->gpu_count + peer];
        if (peer == gpu || link->kind == WW_LINK_UNKNOWN || link->kind == WW_LINK_NONE) {
            continue;
        }
        if (link->kind == WW_LINK_NVSWITCH) {
            return total;
        }
        pairs += rate_of(link->gb_s);
        all = all && fact_is_known(link->gb_s);
    }
    return all || total == 0 ? pairs : total;
}

/* The slowest of all links that are there: a collective is as fast as those. */
static void find_links(struct cluster_shape *shape, const struct ww_machine *machine)
{
    for (int a = 0; a < machine->gpu_count; a++) {
        shape->pcie_s = least_of(shape->pcie_s, rate_of(machine->gpus[a].pcie_gb_s));
        shape->links_s = least_of(shape->links_s, links_of(machine, a));
        for (int b = 0; b < a; b++) {
            const struct ww_link *link = &machine->links[a * machine->gpu_count + b];
            if (link->kind == WW_LINK_UNKNOWN || link->kind == WW_LINK_NONE) {
                continue;
            }
            shape->pair_s = least_of(shape->pair_s, rate_of(link->gb_s));
            shape->link_kind = shape->link_kind == WW_LINK_NVSWITCH ? WW_LINK_NVSWITCH : link->kind;
        }
    }
}

/* The island of each rank's GPU, as the machine has them. False where that is unknown. */
static bool islands_told(struct cluster_shape *shape, const struct ww_machine *machine)
{
    for (int rank = 0; rank < shape->ranks; rank++) {
        if (rank >= machine->gpu_count || machine->gpus[rank].island < 0) {
            return false;
        }
        shape->island[rank] = machine->gpus[rank].island;
    }
    return machine->island_count < machine->gpu_count;
}

static void islands_by_hand(struct cluster_shape *shape, int members)
{
    for (int rank = 0; rank < shape->ranks; rank++) {
        shape->island[rank] = rank / members;
    }
}

/* Links that nobody told: what such parts have at most, where the part is known. */
static bool assume_links(struct cluster_file *cluster, struct cluster_shape *shape,
                         const struct ww_machine *machine)
{
    int generation = machine->gpu_count > 0 ? machine->gpus[0].generation : 0;
    bool unknown = machine->gpu_count == 0 || machine->gpus[0].island < 0;
    if (shape->ranks < 2 || !unknown) {
        return false;
    }
    if (generation < 1 || generation > 5) {
        cluster_note(cluster,
                     "How the GPUs of shape %s are linked is unknown: assumed is PCIe only. Write "
                     "gpu.links = RATE where they have links.",
                     shape->name);
        return false;
    }
    shape->links_s = nvlink_generations[generation].link_gb_s *
                     nvlink_generations[generation].links_max * GB;
    shape->link_kind = WW_LINK_NVSWITCH;
    shape->gpus_assumed = true;
    cluster_note(
        cluster,
        "The links of the GPUs of shape %s are unknown: assumed are %.0f GB/s each through "
        "a switch, which is what such parts have at most. Write gpu.links = RATE to "
        "settle it.",
        shape->name, shape->links_s / GB);
    return true;
}

static void assume_pcie(struct cluster_file *cluster, struct cluster_shape *shape)
{
    bool split = shape->island == NULL;
    for (int rank = 1; rank < shape->ranks && !split; rank++) {
        split = shape->island[rank] != shape->island[0];
    }
    if (shape->pcie_s == 0 && split && shape->ranks > 1) {
        shape->pcie_s = PCIE_S;
        shape->gpus_assumed = true;
        cluster_note(cluster,
                     "The PCIe links of the GPUs of shape %s are unknown: assumed are %.1f GB/s. "
                     "Write gpu.pcie = RATE to settle it.",
                     shape->name, PCIE_S / GB);
    }
}

/* A total alone means a switch: one peer may get all links. */
static void links_by_hand(struct cluster_shape *shape)
{
    const struct shape_keys *keys = &shape->keys;
    shape->pair_s = keys->gpu_pair.line > 0 ? keys->gpu_pair.value : keys->gpu_links.value;
    if (keys->gpu_links.line > 0) {
        shape->links_s = keys->gpu_links.value;
    } else if (shape->links_s < shape->pair_s) {
        shape->links_s = 0;
    }
    shape->link_kind = WW_LINK_UNKNOWN;
}

/* A pair's rate alone means that each GPU of an island has such links to each other one. */
static void complete_links(struct cluster_file *cluster, struct cluster_shape *shape)
{
    int members = cluster_island_members(shape);
    int peers = members > 1 ? members - 1 : 1;
    if (shape->links_s == 0) {
        shape->links_s = peers * shape->pair_s;
        if (shape->links_s > shape->pair_s) {
            cluster_note(
                cluster,
                "All links of a GPU of shape %s together are unknown: assumed are %d times "
                "%.4g GB/s, to each other GPU of its island. Write gpu.links = RATE to "
                "settle it.",
                shape->name, peers, shape->pair_s / GB);
        }
    }
    if (shape->pair_s == 0 || shape->link_kind == WW_LINK_NVSWITCH) {
        shape->pair_s = shape->links_s;
    }
}

static enum ww_status settle_gpus(struct cluster_file *cluster, struct cluster_shape *shape,
                                  const struct ww_machine *machine)
{
    const struct shape_keys *keys = &shape->keys;
    bool by_hand = keys->gpu_links.line > 0 || keys->gpu_pair.line > 0;
    shape->island = calloc((size_t)shape->ranks, sizeof *shape->island);
    if (shape->island == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the GPUs of %d ranks", shape->ranks);
    }
    find_links(shape, machine);
    bool told = islands_told(shape, machine);
    if (by_hand) {
        links_by_hand(shape);
    }
    bool linked = told || by_hand || assume_links(cluster, shape, machine);
    if (!linked) {
        free(shape->island);
        shape->island = NULL;
    } else if (!told || keys->gpu_island.line > 0) {
        islands_by_hand(shape,
                        keys->gpu_island.line > 0 ? (int)keys->gpu_island.value : shape->gpus);
    }
    complete_links(cluster, shape);
    if (linked && shape->links_s == 0) {
        return cluster_refuse(cluster, shape->line,
                              "the GPUs of [shape %s] are linked, but at what rate is unknown: "
                              "write gpu.links = RATE",
                              shape->name);
    }
    shape->pcie_s = keys->gpu_pcie.line > 0 ? keys->gpu_pcie.value : shape->pcie_s;
    assume_pcie(cluster, shape);
    return WW_OK;
}

/* ---- Ports ----------------------------------------------------------------------------------- */

/* Which ports connect nodes, as near.c chooses NICs: what jobs use first, UP before unknown, then
 * the worthiest kind. -1 = DOWN. */
static int merit_of(const struct ww_nic *nic, const struct ww_port *port)
{
    return port->state == WW_PORT_DOWN ? -1
                                       : 100 * nic->wanted + 10 * (port->state == WW_PORT_UP) +
                                             near_worth(port->kind, nic->rdma);
}

/* The first port of the greatest merit decides on the kind. */
static bool choose_kind(struct cluster_shape *shape, const struct ww_machine *machine, bool *rdma)
{
    int most = -1;
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        for (int p = 0; p < nic->port_count; p++) {
            int merit = merit_of(nic, &nic->ports[p]);
            if (merit > most) {
                most = merit;
                *rdma = nic->rdma;
                shape->port_kind = nic->ports[p].kind;
            }
        }
    }
    return most >= 0;
}

/* Adds what one card's usable ports of the kind carry, and of it what its PCIe link carries. */
static void add_card(struct cluster_shape *shape, const struct ww_nic *nic, int *unknown)
{
    double gbit_s = 0;
    for (int i = 0; i < nic->port_count; i++) {
        const struct ww_port *port = &nic->ports[i];
        if (port->state == WW_PORT_DOWN || port->kind != shape->port_kind) {
            continue;
        }
        shape->ports++;
        gbit_s += port->rate_gbit_s.value;
        *unknown += port->rate_gbit_s.value <= 0;
        shape->ports_assumed = shape->ports_assumed || port->rate_gbit_s.source == WW_SOURCE_PARTS;
    }
    double pcie = nic->pcie_gb_s.value * GB;
    double rate = gbit_s * GBIT;
    shape->port_s += rate;
    shape->node_s += pcie > 0 && pcie < rate ? pcie : rate;
}

/* No rate is known where one port's is not. */
static void find_ports(struct cluster_shape *shape, const struct ww_machine *machine)
{
    bool rdma = false;
    int unknown = 0;
    bool found = choose_kind(shape, machine, &rdma);
    for (int i = 0; i < machine->nic_count && found; i++) {
        if (machine->nics[i].rdma == rdma) {
            add_card(shape, &machine->nics[i], &unknown);
        }
    }
    bool known = found && unknown == 0;
    shape->port_s = known ? shape->port_s / shape->ports : 0;
    shape->node_s = known ? shape->node_s : 0;
}

static enum ww_status settle_ports(struct cluster_file *cluster, struct cluster_shape *shape)
{
    const struct shape_keys *keys = &shape->keys;
    double usable_s = shape->ports > 0 ? shape->node_s / shape->ports : 0; /* of one port */
    if (keys->ports.line > 0) {
        shape->ports = (int)keys->ports.value;
    }
    if (keys->port.line > 0) {
        shape->port_s = keys->port.value;
        usable_s = shape->port_s;
        shape->port_kind = (enum ww_nic_kind)keys->port_kind.value;
        shape->ports_assumed = false;
    }
    shape->node_s = shape->ports * usable_s;
    if (cluster->network.kind.line > 0) {
        shape->port_kind = (enum ww_nic_kind)cluster->network.kind.value;
    }
    if (cluster->nodes == 1 || cluster->network.rate.line > 0) {
        return WW_OK;
    }
    if (shape->ports == 0) {
        return cluster_refuse(cluster, shape->line,
                              "[shape %s] has no ports that are known to work: write ports = COUNT "
                              "and port = RATE KIND, or rate = RATE in [network]",
                              shape->name);
    }
    if (shape->port_s == 0) {
        return cluster_refuse(
            cluster, shape->line,
            "the rate of some or all of the %d ports of [shape %s] is unknown: write port = RATE "
            "KIND, for example port = 400 Gb/s InfiniBand, or rate = RATE in "
            "[network]",
            shape->ports, shape->name);
    }
    if (shape->ports_assumed) {
        cluster_note(cluster,
                     "The rate of the ports of shape %s is unknown: assumed is %.0f Gb/s, which is "
                     "what such cards carry at most. Write port = RATE KIND to settle it.",
                     shape->name, shape->port_s / GBIT);
    }
    return WW_OK;
}

/* ---- Ranks ----------------------------------------------------------------------------------- */

/* told: GPUs that xml describes. */
static enum ww_status settle_ranks(struct cluster_file *cluster, struct cluster_shape *shape,
                                   int told)
{
    bool on_gpus = cluster_on_gpus(cluster);
    if (told > 0 && shape->gpus != told) {
        return cluster_refuse(cluster, shape->keys.gpus.line,
                              "gpus = %d, but xml of [shape %s] describes %d: take one of them out",
                              shape->gpus, shape->name, told);
    }
    if (on_gpus && shape->gpus == 0) {
        return cluster_refuse(cluster, shape->line,
                              "device = gpu, but [shape %s] has no GPUs that are known: write gpus "
                              "= COUNT, or device = host",
                              shape->name);
    }
    if (shape->keys.ranks.line == 0 && !on_gpus) {
        return cluster_refuse(cluster, shape->line,
                              "[shape %s] does not say how many ranks run on a node: write ranks = "
                              "COUNT (with device = gpu there is one for each GPU)",
                              shape->name);
    }
    shape->ranks = shape->keys.ranks.line > 0 ? (int)shape->keys.ranks.value : shape->gpus;
    if (on_gpus && shape->ranks > shape->gpus) {
        return cluster_refuse(cluster, shape->keys.ranks.line,
                              "ranks = %d, but a node of [shape %s] has %d GPUs: with device = gpu "
                              "each rank has one of its own",
                              shape->ranks, shape->name, shape->gpus);
    }
    if (!on_gpus && shape->cores == 0) {
        shape->cores = shape->ranks;
        shape->cores_used = shape->ranks;
        cluster_note(cluster,
                     "How many cores a node of shape %s has is unknown: assumed is one for each "
                     "rank. Write cores = COUNT to settle it.",
                     shape->name);
    }
    return WW_OK;
}

/* What a person says of GPUs must fit together. */
static enum ww_status check_gpus(const struct cluster_file *cluster,
                                 const struct cluster_shape *shape)
{
    const struct shape_keys *keys = &shape->keys;
    if (keys->gpu_links.line > 0 && keys->gpu_pair.value > keys->gpu_links.value) {
        return cluster_refuse(cluster, keys->gpu_pair.line,
                              "gpu.pair = %.6g GB/s, but gpu.links, all links of a GPU together, "
                              "are %.6g GB/s in line %d",
                              keys->gpu_pair.value / GB, keys->gpu_links.value / GB,
                              keys->gpu_links.line);
    }
    if (shape->gpus > 0 && keys->gpu_island.value > shape->gpus) {
        return cluster_refuse(cluster, keys->gpu_island.line,
                              "gpu.island = %.0f, but a node of [shape %s] has %d GPU%s",
                              keys->gpu_island.value, shape->name, shape->gpus,
                              shape->gpus == 1 ? "" : "s");
    }
    return WW_OK;
}

static void describe(struct cluster_shape *shape, const struct ww_machine *machine)
{
    struct line line = line_begin(shape->about, sizeof shape->about);
    if (shape->xml[0] != '\0') {
        char verdict[384];
        ww_machine_verdict(machine, verdict, sizeof verdict);
        verdict[strcspn(verdict, ";")] = '\0';
        line_say(&line, "%s", verdict);
    } else if (shape->gpus > 0) {
        line_say(&line, "%d GPU%s", shape->gpus, shape->gpus == 1 ? "" : "s");
    } else {
        line_say(&line, "no GPU");
    }
    if (shape->xml[0] == '\0' && shape->island != NULL) {
        line_say(&line, ", %.4g GB/s a GPU", shape->links_s / GB);
    }
    if (shape->cores > 0) {
        line_say(&line, "; %.4g core%s", shape->cores_used, shape->cores_used == 1 ? "" : "s");
    }
    if (shape->ports > 0) {
        line_say(&line, "; %d x ", shape->ports);
        if (shape->port_s > 0) {
            line_say(&line, "%.4g Gb/s ", shape->port_s / GBIT);
        }
        line_say(&line, "%s", ww_nic_kind_name(shape->port_kind));
        if (shape->node_s < 0.999 * shape->ports * shape->port_s) {
            line_say(&line, ", of which PCIe carries %.4g Gb/s",
                     shape->node_s / shape->ports / GBIT);
        }
    }
}

static enum ww_status settle(struct cluster_file *cluster, struct cluster_shape *shape,
                             const struct ww_machine *machine)
{
    find_cores(shape, machine);
    shape->gpus = shape->keys.gpus.line > 0 ? (int)shape->keys.gpus.value : machine->gpu_count;
    enum ww_status status = settle_ranks(cluster, shape, machine->gpu_count);
    if (status == WW_OK) {
        status = check_gpus(cluster, shape);
    }
    if (status == WW_OK && cluster_on_gpus(cluster)) {
        status = settle_gpus(cluster, shape, machine);
    }
    if (status == WW_OK) {
        find_ports(shape, machine);
        status = settle_ports(cluster, shape);
    }
    if (status == WW_OK) {
        describe(shape, machine);
    }
    return status;
}

int cluster_island_members(const struct cluster_shape *shape)
{
    int fewest = 1;
    for (int a = 0; shape->island != NULL && a < shape->ranks; a++) {
        int members = 0;
        for (int b = 0; b < shape->ranks; b++) {
            members += shape->island[a] == shape->island[b];
        }
        fewest = a == 0 || members < fewest ? members : fewest;
    }
    return fewest;
}

enum ww_status cluster_shape_settle(struct cluster_file *cluster, struct cluster_shape *shape)
{
    static const struct ww_machine nothing;
    struct ww_machine *machine = NULL;
    enum ww_status status = shape->xml[0] == '\0' ? WW_OK : read_machine(cluster, shape, &machine);
    if (status == WW_OK) {
        status = settle(cluster, shape, machine == NULL ? &nothing : machine);
    }
    ww_machine_destroy(machine);
    return status;
}
