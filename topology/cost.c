/* SPDX-License-Identifier: BSD-3-Clause
 * cost.c: what wires and memory usually cost, where nobody measured. */
#include "topology.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

const char *const cost_source_names[COST_SOURCES] = {
    [COST_ASSUMED] = "assumed",
    [COST_NOMINAL] = "nominal",
    [COST_GIVEN] = "given",
    [COST_MEASURED] = "measured",
};

/* A core's messages to another one through shared memory: a line written and read there and back
 * takes 0.06 us under one cache (measured on Zen 5) and three to ten times as long across sockets;
 * the protocol adds a few tenths. Bytes are copied twice, at 12 to 25 GB/s each. */
static const struct cost inner[] = {
    [LEVEL_CACHE] = {0.4e-6, 1 / 12e9},  [LEVEL_NUMA] = {0.6e-6, 1 / 10e9},
    [LEVEL_PACKAGE] = {0.9e-6, 1 / 8e9}, [LEVEL_ISLAND] = {1.0e-6, 1 / 8e9},
    [LEVEL_HOST] = {1.0e-6, 1 / 8e9},
};

/* A kind of port. Latency is that of one way through MPI, plus half a nap of 20 us where it comes
 * too late for the first looks (runtime/progress.c). */
struct port {
    const char *name;
    double efficiency; /* of the nominal rate that data reach */
    double fixed_s;
    double flow_gbit_s; /* what one pair of cores can move; the port has the rest for others */
    double core_byte_s;
    double message_s; /* a core's: a system call, or a door bell */
    double fan;
};

static const struct port ports[] = {
    {"InfiniBand", 0.95, 2.5e-6, 1000, 0.02e-9, 0.17e-6, 1}, /* perftest and MPI on HDR and NDR */
    {"RoCE", 0.93, 3e-6, 1000, 0.02e-9, 0.2e-6, 1},          /* larger headers than InfiniBand's */
    {"Omni-Path", 0.95, 2.5e-6, 100, 0.1e-9, 0.17e-6, 1},    /* the core copies into the port */
    {"Slingshot", 0.9, 3e-6, 1000, 0.02e-9, 0.2e-6, 1},
    {"EFA", 0.75, 16e-6, 1000, 0.05e-9, 1e-6, 1}, /* reliable datagrams, reordered by software */
    /* By the transport `shape`: bytes are counted as they are, and the latency comes on top of what
     * messages inside a machine and naps take. */
    {IMITATED_PORT, 1, 10e-6, 1000, 0.2e-9, 0.7e-6, 1},
    /* TCP in packets of 1500 bytes carries 1448 in 1514 + 24 that the wire is busy; a shaped or
     * virtual one does not count the last 24. One core moves 20 to 30 Gbit/s, at about 0.3 ns a
     * byte with both copies. Latency: 25 to 35 us measured, naps and all. Streams to several hosts
     * get uneven shares of a port: where exchanges wait for the last one, 3 to 9 % are lost
     * (measured among four hosts, bench/README.md), while a ring reaches the rate. */
    {"Ethernet", 0.956, 30e-6, 25, 0.3e-9, 5e-6, 1.05},
};

#define GBIT_UNKNOWN 10 /* what servers come with since about 2012 */

/* Between sites: light in glass needs 5 us per km, there and back; some 1000 km. */
#define SITE_FIXED_S 5e-3

/* Who waits for a message and shares a core with others gets it back once each of them looked in
 * vain, who look the more often the more they are, until they take naps. Fits what two and four
 * ranks a core need for a step (measured between hosts of namespaces, bench/README.md). */
#define TURN_S 5e-6
#define TURN_MOST_S 18e-6
#define AWAIT_LEAST_S 0.05e-6 /* a line that comes from another core's cache */

#define SPREAD_UNKNOWN 0.5
#define SPREAD_NOMINAL 0.25
#define SPREAD_MEMORY 0.3

static const struct port *port_named(const char *name)
{
    for (size_t i = 0; i < LENGTH(ports); i++) {
        if (strcmp(ports[i].name, name) == 0) {
            return &ports[i];
        }
    }
    return &ports[LENGTH(ports) - 1]; /* everything carries TCP */
}

static struct link link_inside(enum level_kind kind)
{
    struct link link = {.name = "memory",
                        .flow = inner[kind],
                        .duplex = 1.5, /* both ranks copy in both directions */
                        .message_s = 0.1e-6,
                        .core_byte_s = inner[kind].byte_s,
                        .fan = 1,
                        .spread = SPREAD_MEMORY,
                        .source = COST_ASSUMED};
    link.port_byte_s = link.flow.byte_s * link.duplex;
    return link;
}

static struct link link_between(const struct topology *topology)
{
    const struct port *port = port_named(topology->port_name);
    bool known = topology->port_gbit_s > 0;
    double gbit_s = known ? topology->port_gbit_s : GBIT_UNKNOWN;
    double fixed_s = port->fixed_s + topology->port_latency_s;
    double flow_gbit_s = port->flow_gbit_s < gbit_s ? port->flow_gbit_s : gbit_s;
    struct link link = {.flow = {fixed_s, 8e-9 / (flow_gbit_s * port->efficiency)},
                        .duplex = 1, /* cables have a pair of wires for each direction */
                        .port_byte_s = 8e-9 / (gbit_s * port->efficiency),
                        .message_s = port->message_s,
                        .core_byte_s = port->core_byte_s,
                        .fan = port->fan,
                        .spread = known ? SPREAD_NOMINAL : SPREAD_UNKNOWN,
                        .source = known ? COST_NOMINAL : COST_ASSUMED};
    snprintf(link.name, sizeof link.name, "%s",
             topology->port_name[0] != '\0' ? topology->port_name : port->name);
    return link;
}

struct wires wires_assumed(const struct topology *topology)
{
    struct wires wires = {.levels = topology->levels, .cores = topology->cores};
    for (int level = 0; level < topology->levels; level++) {
        enum level_kind kind = topology->level_kind[level];
        bool inside = level < topology->host_levels;
        wires.link[level] = inside && kind <= LEVEL_HOST ? link_inside(kind)
                                                         : link_between(topology);
        if (level > 0 && topology->level_kind[level - 1] == LEVEL_SITE) {
            wires.link[level].flow.fixed_s = SITE_FIXED_S;
        }
    }
    /* A server's core: 50 GB/s copied in its cache; memory of 15 to 25 GB/s a core. */
    wires.memory = (struct memory_cost){.await_s = 0.15e-6,
                                        .action_s = 0.02e-6, /* 7 ns measured, and the clock */
                                        .copy_byte_s = 0.02e-9,
                                        .sum_byte_s = 0.012e-9,
                                        .far_byte_s = 0.012e-9,
                                        .ram_byte_s = 0.03e-9,
                                        .fetch_s = 0.5e-6, /* a system call and a page looked up */
                                        .fetch_byte_s = 0.065e-9, /* 16 GB/s at 1 MiB */
                                        .cache_bytes = cache_bytes_or_usual(topology->cache_bytes),
                                        .spread = SPREAD_MEMORY,
                                        .source = COST_ASSUMED};
    return wires;
}

/* A wait that was measured may have been shorter than what such turns take as a rule. */
static double without(double wait_s, double turns_s, double least_s)
{
    return fmax(wait_s - turns_s, fmin(wait_s, least_s));
}

static void share_link(struct link *link, double others, double turn_s)
{
    link->flow.fixed_s += turn_s + others * link->message_s;
    link->message_s *= 1 + others;
}

static void unshare_link(struct link *link, double others, double turn_s)
{
    link->message_s /= 1 + others;
    link->flow.fixed_s = without(link->flow.fixed_s, turn_s + others * link->message_s,
                                 link->message_s);
}

/* How many ranks look in vain before one has its core again, and how long that takes. */
static double others_of(const struct wires *wires, int ranks, double *turns_s)
{
    double others = wires->cores > 0 && ranks > wires->cores ? ranks / wires->cores - 1 : 0;
    double each_s = others * TURN_S < TURN_MOST_S ? others * TURN_S : TURN_MOST_S;
    *turns_s = others * each_s;
    return others;
}

void wires_share_cores(struct wires *wires, int ranks)
{
    double turns_s;
    double others = others_of(wires, ranks, &turns_s);
    for (int level = 0; level < wires->levels; level++) {
        share_link(&wires->link[level], others, turns_s);
    }
    wires->memory.await_s += turns_s;
}

void wires_give_cores(struct wires *wires, int ranks)
{
    double turns_s;
    double others = others_of(wires, ranks, &turns_s);
    for (int level = 0; level < wires->levels; level++) {
        unshare_link(&wires->link[level], others, turns_s);
    }
    wires->memory.await_s = without(wires->memory.await_s, turns_s, AWAIT_LEAST_S);
}
