/* SPDX-License-Identifier: BSD-3-Clause
 * load.h: what load.c reads off plans and price.c puts a price on. All amounts are fractions of the
 * vector. */
#ifndef COLLECTIVES_LOAD_H
#define COLLECTIVES_LOAD_H

#include "price.h"

/* Messages of one rank over one level. */
struct mail {
    double messages; /* sent and received */
    double flow;     /* largest one */
    double out;
    double in;
};

/* What one rank does, in one step or in all. */
struct tally {
    double actions; /* local ones */
    double awaits;  /* of peers that are seen; in one step at most 1 */
    double copied;
    double summed; /* every source counts */
    double far;
    double vector; /* read and written of callers' own buffers */
    double fetches;
    double fetched;
    struct mail mail[WW_LEVELS_MAX];
};

/* What leaves and reaches the busiest unit of the level below, by wire. */
struct flood {
    double out[WW_LEVELS_MAX];
    double in[WW_LEVELS_MAX];
};

/* Steps that ask the same of everybody. */
struct stage {
    double times;
    uint32_t first_tally; /* in load->stage_tallies: what ranks do in such a step, each way once */
    uint32_t tally_count;
    struct flood flood;
};

/* A host's ranks together. */
struct crew {
    int ranks;
    struct tally all;     /* flow and awaits mean nothing here */
    struct tally busiest; /* each amount is that of the rank with most of it */
};

struct load {
    int size;
    int hosts;
    int levels;
    int host_levels;
    bool seen;       /* all ranks are in one host and see each other: no announcements are sent */
    bool impossible; /* some rank has no such plan: it takes for ever */
    int ranks_per_host_max;
    double ahead; /* the largest message of a first round; infinite where some rank's cannot be sent
                     before the gate is passed */
    double steps; /* in which anybody does anything */
    uint32_t stage_count;
    struct stage *stages;
    uint32_t tally_count;
    struct tally *tallies; /* different ones */
    uint32_t *stage_tallies;
    int crew_count;
    struct crew *crews;       /* of the hosts that were read */
    struct flood flood;       /* of all steps together: the busiest unit of each wire */
    bool fans[WW_LEVELS_MAX]; /* some unit of the level below sends to several others, by wire */
};

#endif
