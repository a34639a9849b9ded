/* SPDX-License-Identifier: BSD-3-Clause
 * prove.h: runs the plans of all ranks in one process on sets instead of numbers.
 *
 * Every chunk of every slot carries the set of ranks whose contribution it holds. The plans run
 * under the strictest rules that a fabric may have: a send is done only when its receive is
 * posted, messages meet in order of posting per (sender, receiver, tag), nothing is buffered.
 * Several segments are in flight, and a seeded scheduler picks who moves next.
 *
 * Where ranks see each other's memory, nothing but awaits and messages orders what they do there.
 * That order is proved by itself (order.h), so a race is found whoever happened to come first. */
#ifndef PLANS_PROVE_H
#define PLANS_PROVE_H

#include <stdbool.h>
#include <stdint.h>

#include "algorithms/algorithm.h"

#define PROVE_RANKS_MAX 64

/* What can be wrong with plans. */
enum flaw {
    FLAW_NONE,
    FLAW_FORM,      /* counts and indices that contradict each other */
    FLAW_PEER,      /* a message to oneself or to nobody, or one awaited or seen likewise */
    FLAW_SLICE,     /* chunks or scratch room exceeded, count 0, or sources of another range */
    FLAW_SLOT,      /* the input written, or a slot that the collective does not have */
    FLAW_SIGHT,     /* memory of a peer used in a way that the claim does not grant */
    FLAW_HAZARD,    /* memory used twice at the same time, or a peer's before or after its time */
    FLAW_UNDEFINED, /* contents read that nobody wrote, or that an earlier segment left */
    FLAW_RANGE,     /* scratch read as another range than it holds */
    FLAW_TWICE,     /* a contribution reduced twice */
    FLAW_FINISH,    /* finished early, twice, or reduced afterwards */
    FLAW_MISMATCH,  /* two messages met that differ */
    FLAW_DEADLOCK,  /* ranks wait for messages or for steps that never come */
    FLAW_RESULT,    /* the wrong contributions at the end */
    FLAW_BITS,      /* additions in different orders on different ranks */
    FLAW_ROUNDING,  /* rounded more than once on the way */
    FLAW_FRAME,     /* frames taken for values, of unknown length, or chunks encoded twice */
    FLAW_KINDS
};
extern const char *const flaw_names[FLAW_KINDS];

/* What is to be proved. */
struct claim {
    const struct plan *const *plans; /* [size], by rank */
    int size;                        /* 1 .. PROVE_RANKS_MAX */
    int root;                        /* broadcast only */
    bool in_place;                   /* slots 0 and 1 are the same memory */
    bool one_rounding;               /* also prove that every result is rounded once */
    bool rank_order;                 /* ... and added at once in the order of the ranks */
    enum needs needs;                /* and that no more than this is seen of peers */
    uint32_t segments;               /* >= 1 */
    uint32_t window;                 /* segments in flight; a segment's tag is segment % window */
    uint64_t seed;                   /* of the scheduler */
};

struct verdict {
    enum flaw flaw;
    char sentence[400]; /* rank, round, action and what is wrong; "" for FLAW_NONE */
    uint64_t messages;  /* that met */
    uint64_t chunks;    /* that travelled in them */
};

/* True when the claim holds for this schedule; fills verdict either way. */
bool prove(const struct claim *claim, struct verdict *verdict);

#endif
