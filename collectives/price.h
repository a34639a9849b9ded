/* SPDX-License-Identifier: BSD-3-Clause
 * price.h: what a collective will take, read off the very plans that would run.
 *
 * A *load* is what the plans of all ranks ask of wires and cores, step by step, as fractions of the
 * vector: it knows neither sizes nor costs. A *price* is a load for one size over given wires. So
 * one reading of the plans serves every size, every set of wires and every what-if. */
#ifndef COLLECTIVES_PRICE_H
#define COLLECTIVES_PRICE_H

#include "algorithms/algorithm.h"
#include "cost.h"
#include "topology.h"

/* A way to run a collective. */
struct candidate {
    const struct algorithm *algorithm; /* among the owners when hierarchical */
    bool hierarchical;
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
    LIMIT_CORES,   /* copying and adding */
    LIMITS
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
};

struct price load_price(const struct load *load, const struct wires *wires, struct pace pace);

/* Bytes that leave the busiest rank, and the busiest unit of the level below (at the host level of
 * the network: one host, all its ports together), over each level, for a vector of so many bytes;
 * each [levels]. Reads and writes in peers' memory count as sent. */
void load_bytes(const struct load *load, double bytes, double *rank_bytes, double *port_bytes);

#endif
