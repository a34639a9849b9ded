/* SPDX-License-Identifier: BSD-3-Clause
 * cost.h: what communication costs. Values only: nothing here knows plans, allocates or measures.
 *
 * Seconds throughout; *_byte_s are seconds per byte, the reciprocal of bytes per second. Times are
 * those of one direction. */
#ifndef TOPOLOGY_COST_H
#define TOPOLOGY_COST_H

#include <wirewise/wirewise.h>

struct topology;

/* A straight line: so many seconds at once, and so many for each byte. */
struct cost {
    double fixed_s;
    double byte_s;
};

/* Where a number comes from; later ones are more to be trusted. */
enum cost_source {
    COST_ASSUMED, /* what such a wire does usually */
    COST_NOMINAL, /* the rate that the machine tells, times what such a wire usually reaches */
    COST_GIVEN,   /* by a person, in a file */
    COST_MEASURED,
    COST_SOURCES
};
extern const char *const cost_source_names[COST_SOURCES]; /* "assumed" ... */

/* The wires that messages of one level cross. */
struct link {
    char name[32];    /* "memory", "InfiniBand", "Ethernet" ... */
    struct cost flow; /* one message of one pair while nothing else moves: fixed_s until the first
                         byte is there (half of a ping-pong), byte_s for each further one */
    double duplex;    /* a pair that sends both ways at once takes so many times as long: 1 .. 2 */
    double port_byte_s;  /* all messages together that leave (or reach) one unit of the level below,
                            while both directions are busy; never less than 1 / the unit's ports */
    double message_s;    /* a core's time for each further message of a round */
    double core_byte_s;  /* a core's time per byte, on either end */
    double spread;       /* 95 % of times lie within a factor 1 - spread .. 1 + spread */
    double fixed_spread; /* the same for fixed_s and message_s; 0 = as spread */
    enum cost_source source;
    bool core_duplex; /* core_byte_s is of the larger of what is sent and received, not of both */
    double fan;       /* what one unit sends to several others takes its port so many times as long
                         as what it sends to one; below 1 counts as 1 */
    double health;    /* measured rate over the one expected where that is nominal or given; 0 = not
                         measured. Never blended in */
};

/* Local actions of one core. Each line comes on top of the ones before. */
struct memory_cost {
    double await_s;     /* until one rank sees what another one wrote */
    double action_s;    /* any action */
    double copy_byte_s; /* per byte copied, in the cache */
    double sum_byte_s;  /* per byte of every source of a reduction, in the cache */
    double far_byte_s;  /* per byte read from or written to memory that a peer wrote last: four
                           times (R - 1) / R of a vector that R ranks reduce through scratch */
    double ram_byte_s;  /* per byte of a caller's vector, read or written, where vectors do not
                           fit the cache: twice a vector that is reduced in place */
    double fetch_s;     /* a copy out of another process by a system call */
    double fetch_byte_s;
    double cache_bytes; /* the last cache, shared by the ranks of a host */
    double spread;
    enum cost_source source;
};

/* What all ranks agree on: equal bits on every rank. */
struct wires {
    int levels;   /* as in struct topology */
    double cores; /* of a host: the least of all hosts; below 1 where it has a share of one only */
    struct link link[WW_LEVELS_MAX];
    struct memory_cost memory;
};

/* What is to be expected where nothing is known but who shares a host; each rank has a core. */
struct wires wires_assumed(const struct topology *topology);

/* Makes what such wires cost of what they cost ranks that have a core each, where a host has fewer
 * cores than ranks: up to so many. What was measured in company says so by itself. */
void wires_share_cores(struct wires *wires, int ranks);

/* The reverse: of what wires cost in such company what they cost ranks that have a core each. */
void wires_give_cores(struct wires *wires, int ranks);

#endif
