/* SPDX-License-Identifier: BSD-3-Clause
 * company.h: the plans of all ranks together, and the groupings that the tests go through. */
#ifndef PLANS_COMPANY_H
#define PLANS_COMPANY_H

#include "prove.h"

#define SHAPE_LEVELS_MAX 3

/* A grouping of ranks, innermost level first. */
struct shape {
    char name[64];
    int size;
    int levels;
    bool seen; /* ranks of an innermost group see each other's memory; false at first */
    uint64_t labels[SHAPE_LEVELS_MAX * PROVE_RANKS_MAX]; /* [levels * size] */
};

/* Groups of the given sizes, ranks in order. The array ends with 0. */
struct shape shape_groups(const int *sizes);

/* `groups` groups of `each` ranks; interleaved deals the ranks out to them in turn. */
struct shape shape_uniform(int groups, int each, bool interleaved);

/* Three levels: racks of hosts of sockets of ranks. */
struct shape shape_nested(int racks, int hosts, int sockets, int ranks);

/* Three levels of uneven groups, drawn from a seed. */
struct shape shape_drawn(int size, uint64_t seed);

/* All ranks' plans of one collective. */
struct company {
    int size;
    int root;
    bool one_rounding;
    bool rank_order;
    enum needs needs;
    struct plan **plans; /* [size] */
};

/* Abort the test program where there is no memory. */
struct company company_flat(const struct algorithm *algorithm, int size, int root);
struct company company_nested(const struct algorithm *top, const struct shape *shape);
struct company company_copy(const struct company *company);
void company_finish(struct company *company);

/* Proves the company under one schedule. */
bool company_prove(const struct company *company, bool in_place, uint32_t segments, uint32_t window,
                   uint64_t seed, struct verdict *verdict);

/* Proves it in place and out of place, alone and with a seeded number of segments in flight;
 * prints the first flaw with what replays it. */
bool company_holds(const struct company *company, uint64_t seed);

#endif
