/* SPDX-License-Identifier: BSD-3-Clause
 * cluster_write.c: a job that runs as a cluster file, so that what its wires were found to cost is
 * a price for clusters that nobody is on. Read again, such a file gives the same wires to a
 * thousandth, but for what the format has no words for: what one stream of a port reaches, both
 * directions of a pair at once, and what is inside a host beside memory. */
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "quantity.h"
#include "topology.h"

#define UPLINK_LEAST 0.001
#define RANKS_MOST 1024 /* as cluster_file.c has it */

struct author {
    const struct topology *topology;
    struct wires wires; /* of ranks that have a core each, as cluster files tell them */
    int *ranks_on;      /* [hosts] */
    int shapes;
    int ranks_of[CLUSTER_SHAPES_MAX]; /* on a host of each shape */
    FILE *to;
};

/* ---- Words ----------------------------------------------------------------------------------- */

static void say(const struct author *author, const char *key, enum quantity quantity, double value)
{
    char text[32];
    quantity_write(quantity, value, text, sizeof text);
    fprintf(author->to, "%s = %s\n", key, text);
}

/* Rates between hosts are told in bits. What costs nothing has no rate. */
static void say_rate(const struct author *author, const char *key, enum quantity quantity,
                     double byte_s)
{
    if (byte_s > 0) {
        say(author, key, quantity, 1 / byte_s);
    }
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static enum ww_status count_ranks(struct author *author)
{
    const struct topology *topology = author->topology;
    author->ranks_on = calloc((size_t)topology->hosts, sizeof *author->ranks_on);
    if (author->ranks_on == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to describe %d hosts", topology->hosts);
    }
    for (int rank = 0; rank < topology->size; rank++) {
        author->ranks_on[topology->host_of[rank]]++;
    }
    return WW_OK;
}

static int shape_of(const struct author *author, int host)
{
    int shape = 0;
    while (shape < author->shapes && author->ranks_of[shape] != author->ranks_on[host]) {
        shape++;
    }
    return shape;
}

/* Hosts that hold equally many ranks count as alike, as the wires are those of the slowest. */
static enum ww_status sort_hosts(struct author *author)
{
    int lines = 0;
    for (int host = 0; host < author->topology->hosts; host++) {
        int shape = shape_of(author, host);
        if (shape == CLUSTER_SHAPES_MAX) {
            return log_failure(WW_UNSUPPORTED,
                               "hosts of this job hold more than %d different numbers of ranks: a "
                               "cluster file knows so many shapes",
                               CLUSTER_SHAPES_MAX);
        }
        author->ranks_of[shape] = author->ranks_on[host];
        author->shapes += shape == author->shapes;
        if (author->ranks_on[host] > RANKS_MOST) {
            return log_failure(
                WW_UNSUPPORTED, "host %s has %d ranks: in a cluster file it may have up to %d",
                author->topology->host_name[host], author->ranks_on[host], RANKS_MOST);
        }
        lines += host == 0 || shape != shape_of(author, host - 1);
    }
    if (lines > CLUSTER_LINES_MAX) {
        return log_failure(WW_UNSUPPORTED,
                           "hosts with different numbers of ranks alternate %d times: a cluster "
                           "file has up to %d lines of nodes",
                           lines, CLUSTER_LINES_MAX);
    }
    return WW_OK;
}

/* Ranks fill host after host, or go round them; other orders have no word. */
static bool is_by_node(const struct topology *topology)
{
    bool by_node = true;
    for (int rank = 1; rank < topology->size; rank++) {
        by_node = by_node && topology->host_of[rank] >= topology->host_of[rank - 1];
    }
    return by_node;
}

static bool is_by_slot(const struct author *author)
{
    const struct topology *topology = author->topology;
    bool by_slot = true;
    int rank = 0;
    for (int slot = 0; slot < topology->fullest; slot++) {
        for (int host = 0; host < topology->hosts; host++) {
            if (author->ranks_on[host] > slot) {
                by_slot = by_slot && topology->host_of[rank++] == host;
            }
        }
    }
    return by_slot;
}

static void write_cluster(const struct author *author)
{
    const struct topology *topology = author->topology;
    bool by_node = is_by_node(topology);
    bool by_slot = !by_node && is_by_slot(author);
    fprintf(author->to,
            "# %d ranks on %d host%s as this job found them; for wirewise plan\n"
            "[cluster]\n"
            "name = %d ranks on %d host%s\n"
            "placement = %s%s\n",
            topology->size, topology->hosts, topology->hosts == 1 ? "" : "s", topology->size,
            topology->hosts, topology->hosts == 1 ? "" : "s", by_slot ? "slot" : "node",
            by_node || by_slot ? "" : " ; not quite: ranks are in another order");
}

/* Units of a kind on each host; 0 where that is not the same number everywhere, or unknown. */
static int units_on_host(const struct topology *topology, enum level_kind kind)
{
    for (int level = 0; level < topology->host_levels && level < topology->levels - 1; level++) {
        if (topology->level_kind[level] == kind) {
            int units = topology->unit_count[level];
            return units % topology->hosts == 0 ? units / topology->hosts : 0;
        }
    }
    return 0;
}

static void say_units(const struct author *author, const char *key, enum level_kind kind)
{
    int units = units_on_host(author->topology, kind);
    if (units > 1) {
        fprintf(author->to, "%s = %d\n", key, units);
    }
}

static void write_hosts(const struct author *author)
{
    const struct topology *topology = author->topology;
    for (int shape = 0; shape < author->shapes; shape++) {
        fprintf(author->to, "\n[shape %c]\nranks = %d\n", 'A' + shape, author->ranks_of[shape]);
        if (author->wires.cores > 0) {
            say(author, "cores", QUANTITY_NUMBER, author->wires.cores);
        }
        say_units(author, "packages", LEVEL_PACKAGE);
        say_units(author, "numa", LEVEL_NUMA);
        say_units(author, "caches", LEVEL_CACHE);
    }
    fprintf(author->to, "\n[nodes]\n");
    for (int host = 0, first = 0; host < topology->hosts; host++) {
        int shape = shape_of(author, host);
        if (host + 1 == topology->hosts || shape_of(author, host + 1) != shape) {
            fprintf(author->to, "%c = %d\n", 'A' + shape, host + 1 - first);
            first = host + 1;
        }
    }
}

/* ---- Wires between hosts --------------------------------------------------------------------- */

/* The level whose units are of this kind, -1 = none. */
static int level_of(const struct topology *topology, enum level_kind kind)
{
    for (int level = topology->host_levels; level < topology->levels; level++) {
        if (topology->level_kind[level] == kind) {
            return level;
        }
    }
    return -1;
}

/* Hosts of each of a level's units, if these are consecutive ones, counted off; else 0. */
static int hosts_counted_off(const struct topology *topology, int level)
{
    const int *unit = topology->unit[level];
    const int *host = topology->host_of;
    int hosts = topology->hosts;
    for (int rank = 0; rank < topology->size; rank++) {
        hosts = unit[rank] > 0 && host[rank] < hosts ? host[rank] : hosts;
    }
    for (int rank = 0; rank < topology->size; rank++) {
        if (hosts == 0 || unit[rank] != host[rank] / hosts) {
            return 0;
        }
    }
    return hosts;
}

static const struct link *node_wire(const struct author *author)
{
    return &author->wires.link[author->topology->host_levels];
}

static void write_uplink(const struct author *author, int level, int hosts)
{
    double node = hosts / node_wire(author)->port_byte_s;
    double share = 1 / author->wires.link[level + 1].port_byte_s / node;
    if (share < 1) {
        say(author, "uplink", QUANTITY_NUMBER, share > UPLINK_LEAST ? share : UPLINK_LEAST);
    }
}

static void write_group(const struct author *author, enum level_kind kind)
{
    int level = level_of(author->topology, kind);
    if (level < 0 || level == author->topology->levels - 1) {
        return;
    }
    const char *name = level_kind_names[kind];
    const struct link *outside = &author->wires.link[level + 1];
    int hosts = hosts_counted_off(author->topology, level);
    if (hosts == 0) {
        fprintf(author->to,
                "\n# %ss hold different numbers of hosts, or not consecutive ones: this "
                "format has no words for them\n",
                name);
        return;
    }
    fprintf(author->to, "\n[%s]\nnodes = %d\n", name, hosts);
    if (kind == LEVEL_SITE) {
        say_rate(author, "rate", QUANTITY_LIMIT, outside->port_byte_s);
        say(author, "latency", QUANTITY_TIME, outside->flow.fixed_s);
    } else {
        write_uplink(author, level, hosts);
        say(author, "latency", QUANTITY_TIME, author->wires.link[level].flow.fixed_s);
    }
}

/* What stands for ports that nobody knows has sockets. */
static const char *kind_name(const struct topology *topology)
{
    const char *found = ww_nic_kind_name(WW_NIC_ETHERNET);
    for (int kind = 0; kind < WW_NIC_KIND_COUNT; kind++) {
        const char *name = ww_nic_kind_name((enum ww_nic_kind)kind);
        found = strcmp(name, topology->port_name) == 0 ? name : found;
    }
    return found;
}

static void write_network(const struct author *author)
{
    const struct topology *topology = author->topology;
    const struct link *link = node_wire(author);
    int site = level_of(topology, LEVEL_SITE);
    int fabric = site >= 0 ? site : topology->levels - 1;
    fprintf(author->to, "\n[network] ; %s\nname = %s\nkind = %s\n", cost_source_names[link->source],
            link->name, kind_name(topology));
    say_rate(author, "rate", QUANTITY_LIMIT, link->port_byte_s);
    fprintf(author->to, "efficiency = 1\n");
    say(author, "latency", QUANTITY_TIME, author->wires.link[fabric].flow.fixed_s);
    say(author, "message", QUANTITY_TIME, link->message_s);
    say_rate(author, "core", QUANTITY_RATE, link->core_byte_s);
    write_group(author, LEVEL_RAIL);
    write_group(author, LEVEL_RACK);
    write_group(author, LEVEL_SITE);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void write_memory(const struct author *author)
{
    const struct memory_cost *memory = &author->wires.memory;
    fprintf(author->to, "\n[memory] ; %s\n", cost_source_names[memory->source]);
    say_rate(author, "copy", QUANTITY_RATE, memory->copy_byte_s);
    say_rate(author, "sum", QUANTITY_RATE, memory->sum_byte_s);
    say_rate(author, "far", QUANTITY_RATE, memory->far_byte_s);
    say_rate(author, "ram", QUANTITY_RATE, memory->ram_byte_s);
    say_rate(author, "fetch", QUANTITY_RATE, memory->fetch_byte_s);
    say(author, "await", QUANTITY_TIME, memory->await_s);
    say(author, "action", QUANTITY_TIME, memory->action_s);
    say(author, "fetch.start", QUANTITY_TIME, memory->fetch_s);
    if (memory->cache_bytes >= 1) {
        say(author, "cache", QUANTITY_SIZE, memory->cache_bytes);
    }
}

enum ww_status cluster_write(const struct topology *topology, const struct wires *wires, FILE *to)
{
    struct author author = {.topology = topology, .wires = *wires, .to = to};
    wires_give_cores(&author.wires, topology->fullest);
    enum ww_status status = count_ranks(&author);
    if (status == WW_OK) {
        status = sort_hosts(&author);
    }
    if (status == WW_OK) {
        write_cluster(&author);
        write_hosts(&author);
        if (topology->hosts > 1) {
            write_network(&author);
        }
        write_memory(&author);
    }
    free(author.ranks_on);
    return status;
}
