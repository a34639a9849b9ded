/* SPDX-License-Identifier: BSD-3-Clause
 * price.h: what a collective will take, read off the very plans that would run.
 *
 * A *load* is what the plans of all ranks ask of wires and cores, step by step, as fractions of the
 * vector: it knows neither sizes nor costs. A *price* is a load for one size over given wires. So
 * one reading of the plans serves every size, every set of wires and every what-if. */
#ifndef COLLECTIVES_PRICE_H
#define COLLECTIVES_PRICE_H

#include "algorithms/algorithm.h"
#include "topology.h"

/* Which groups of ranks reduce among themselves first. */
enum nesting {
    NEST_NONE,  /* flat */
    NEST_ALL,   /* those of all levels: "hierarchical" */
    NEST_HOSTS, /* from hosts outwards, where there are levels inside hosts too: "hosts" */
    NESTINGS
};

/* NULL for NEST_NONE. Its levels are 0 where there is nothing to nest. */
const struct hierarchy *nesting_of(const struct topology *topology, enum nesting nesting);

/* A way to run a collective. */
struct candidate {
    const struct algorithm *algorithm; /* among the owners when nested */
    enum nesting nesting;
    int root; /* broadcast only, else 0 */
};

struct load;

/* Reads the plans of all ranks, or of as many as show all differences where there are many (hosts
 * 0, 1, 2, 4, 8 ..., the last one and the ones with most and fewest ranks).
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status load_create(const struct topology *topology, const struct candidate *candidate,
                           struct load **load);
void load_destroy(struct load *load);

enum limit {
    LIMIT_LATENCY, /* waiting for one another, step by step */
    LIMIT_WIRE,    /* the ports of one level */
    LIMIT_CORES    /* copying and adding */
};

/* How a vector goes through. */
struct pace {
    double bytes; /* of the whole vector: for reduce-scatter and all-gather all shares together */
    double segment_bytes;
    int window;
};

struct price {
    double seconds;
    double least_s; /* 95 % of calls lie between: the spread of the wires that matter */
    double most_s;
    enum limit limit; /* what most of the time goes to */
    int limit_level;  /* of LIMIT_WIRE and LIMIT_LATENCY */
    double wire_s;    /* the fullest port is busy so long with this way's bytes; as priced */
};

struct price load_price(const struct load *load, const struct wires *wires, struct pace pace);

/* Its seconds alone: a third of the work. */
double load_seconds(const struct load *load, const struct wires *wires, struct pace pace);

/* How long the busiest host's cores, or its busiest rank, work for it. */
double load_core_seconds(const struct load *load, const struct wires *wires, struct pace pace);

/* What a way really took at a few sizes: it knows what no model does (who waits for whom, what else
 * the cores do). Between these sizes the difference to what was predicted is interpolated; below
 * the smallest it stays, and beyond the largest too, or the ratio does where it `grows`. Half of a
 * prediction is left at least, except where less was measured, or between such sizes. */
#define CORRECTIONS_MAX 8
struct correction {
    int count;                     /* 0 = prices stand as they are */
    double bytes[CORRECTIONS_MAX]; /* ascending */
    double predicted_s[CORRECTIONS_MAX];
    double measured_s[CORRECTIONS_MAX];
    bool grows; /* beyond the largest: it costs more per byte, not once */
};

/* What a predicted time becomes. */
double correction_apply(const struct correction *correction, double bytes, double predicted_s);

/* The same for values that travel with the announcement, on a board (board.h) and by the messages
 * of a gate (gate.h): no plan runs. */
struct price board_price(const struct topology *topology, const struct wires *wires,
                         enum collective collective, double bytes);
struct price gate_price(const struct topology *topology, const struct wires *wires, double bytes);

/* Bytes that leave the busiest rank, and the busiest unit of the level below (at the host level of
 * the network: one host, all its ports together), over each level, for a vector of so many bytes;
 * each [levels]. Reads and writes in peers' memory count as sent. */
void load_bytes(const struct load *load, double bytes, double *rank_bytes, double *port_bytes);

/* The same for values that travel with the announcement, a share of so many bytes to everybody: by
 * messages, or read off a board. Rank 0 broadcasts. */
void announced_bytes(const struct topology *topology, enum collective collective, bool on_board,
                     double share, double *rank_bytes, double *port_bytes);

#endif
