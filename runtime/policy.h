/* SPDX-License-Identifier: BSD-3-Clause
 * policy.h: which way each use goes, so that choices are measured and savings known: pure
 * arithmetic on times that all ranks agreed on, hence alike on all of them.
 *
 * A use is a step, or a single call. An arm is a way it can go: arm 0 is dense, the others are
 * codecs. Units are classes of buckets that choose apart from each other; the time of a use is that
 * of all its units together.
 *
 *     race     (where there is a choice) one unit after the other tries all arms, forward and back
 *              so that drift cancels; those that are clearly slower drop out; what is left is the
 *              unit's home. Dense stays home unless another arm is faster beyond the noise.
 *     probe    two home, three dense, three home: they tell what the homes save. The second use of
 *              the block does not count, so that home and dense lie around one middle.
 *     rest     all at home, for as long as makes probing cost less than the budget; now and then
 *              the ranks look whether uses still take what they took, and probe if not. Rests
 *              differ by chance, so that blocks do not always meet the same ones of uses that take
 *              longer every fifth or eighth time.
 *
 * Uses of a race count at what probes tell of the homes that it chose, as an arm that is soon out
 * was seen too rarely there; until probes told, at what the race tells.
 *
 * In races and probes the first use behind a change does not count, as caches and connections are
 * used to another way; nor does the second one behind dense ones, as residuals have two places, and
 * in races the second dense one, so that each arm counts in an even and in an odd place.
 *
 * Blocks see few uses, and which ones is chance. All others at home are timed as well, so what was
 * saved is told for the uses that there were: dense ones would have taken longer where those at
 * home did, as far as the two went together in the blocks (the regression estimator of sampling;
 * Cochran 1977, chapter 7). Decisions do not look at that: a rank knows its own times only.
 *
 * Where the interval of the saving includes zero, all homes become dense. When probes differ from
 * what was known twice in a row by more than 15 % and more than chance, everything begins anew. */
#ifndef RUNTIME_POLICY_H
#define RUNTIME_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "paired.h"

#define POLICY_ARMS_MAX 8
#define POLICY_UNITS_MAX 4
#define POLICY_TURNS_MAX (4 * POLICY_ARMS_MAX + 4)
#define POLICY_BLOCKS_MAX PAIRED_MAX

struct policy_setup {
    int arms;           /* 1 .. POLICY_ARMS_MAX */
    int units;          /* 1 .. POLICY_UNITS_MAX */
    bool chooses;       /* false = all units are at home in arm `arms` - 1 */
    bool probes;        /* false = nothing is ever measured; then it does not choose either */
    bool looks;         /* uses at home are timed while it rests, so that they are looked at */
    double budget;      /* of the time, for probing */
    uint64_t warm_uses; /* before the first measurement */
};

enum policy_phase { POLICY_RESTS, POLICY_RACES, POLICY_PROBES };

enum policy_news {
    POLICY_NO_NEWS,
    POLICY_CHOSE,   /* a race ended: homes may be others */
    POLICY_GAVE_UP, /* savings are not beyond the noise: all homes are dense */
    POLICY_FORGOT   /* times changed: what was known is forgotten */
};

/* One block of turns. A turn in a race belongs to one unit, one in a probe to all. */
struct policy_block {
    int turns;
    int next;
    int arm[POLICY_TURNS_MAX];    /* POLICY_HOME or an arm */
    bool warms[POLICY_TURNS_MAX]; /* the turn does not count: what it needs was not at hand */
    double seconds[2 * POLICY_TURNS_MAX]; /* [turns], then how long each met: see policy_time */
    double own[POLICY_TURNS_MAX];
    bool counts; /* false = all of it only warms up */
};
#define POLICY_HOME (-1)

struct policy_race {
    int unit;
    unsigned live; /* bits of arms */
    int blocks;
    uint64_t uses[POLICY_ARMS_MAX]; /* since it began */
    int seen[POLICY_ARMS_MAX];      /* blocks in which it was live */
    double seconds[POLICY_ARMS_MAX][POLICY_BLOCKS_MAX];
    double mean[POLICY_ARMS_MAX]; /* by the block that warms up until another counts; 0 = not known;
                                     stays after the race */
};

/* Uses in races since homes were sought, until probes tell what they saved. */
struct policy_raced {
    uint64_t uses;
    struct interval less;  /* they saved so much less than at the homes that were found */
    struct interval alone; /* what they saved, by the races alone ... */
    bool tells;            /* ... of which one saw enough dense uses to tell */
};

/* Uses at home since something. */
struct policy_uses {
    uint64_t count;
    double seconds; /* of those that were timed */
    uint64_t timed;
};

/* Uses at home, and those of them that were timed since homes are known. */
struct policy_mark {
    uint64_t home_uses;
    double timed_s;
    uint64_t timed_uses;
};

/* What probes told, in the order of time; when it is full the oldest third goes. */
struct policy_window {
    int blocks;
    double home[POLICY_BLOCKS_MAX];
    double dense[POLICY_BLOCKS_MAX];
    double own[POLICY_BLOCKS_MAX];               /* as home, by this rank's clock ... */
    double owns[POLICY_BLOCKS_MAX][2];           /* ... the mean of these */
    struct policy_mark marks[POLICY_BLOCKS_MAX]; /* `since` at that time */
    uint64_t uses;            /* at home, since it began; after a change since the latest block
                                 that fitted before it: alike on all ranks */
    struct policy_mark since; /* those that count at what is known; by this rank's clock */
    struct policy_uses fresh; /* of these, since the latest block that fitted */
    struct policy_uses seen;  /* of these, since the latest look */
    struct interval saving;   /* of one use at home; known with POLICY_KNOWN_BLOCKS, as all below */
    struct interval told;     /* likewise, where uses at home take usual_s */
    double own_mean;
    double usual_s; /* as own_mean, but each use counts as all at home do: see time_home */
    double home_s;  /* a use at home, as all ranks know it */
    double shared;  /* how much of a longer use at home a dense one would share: 0 .. 1 */
    double own_least_s, own_most_s; /* a use at home beyond counts as if it lay there */
};
#define POLICY_KNOWN_BLOCKS 4

struct policy {
    struct policy_setup setup;
    int home[POLICY_UNITS_MAX];
    struct interval gain[POLICY_UNITS_MAX]; /* of a use, by the unit's latest race */
    enum policy_phase phase;
    uint64_t rest;     /* uses until it ends */
    uint64_t patience; /* uses between races that chose nothing; doubles */
    uint64_t look;     /* uses between looks; doubles where one was wrong */
    struct policy_block block;
    struct policy_race race;
    struct policy_race ended; /* the latest that did, for words */
    struct policy_raced raced;
    struct policy_window window;
    bool chosen; /* a race of the last unit ended */
    bool calibrating;
    int surprises;        /* blocks in a row that differ from the window */
    uint32_t drawn;       /* chance, alike on all ranks */
    bool looked;          /* the next block, or this one, was begun by a look */
    struct interval past; /* saved before the window */
    bool past_known;
};

/* All units begin dense where it chooses. */
void policy_init(struct policy *policy, const struct policy_setup *setup);

/* Unlike policy_arm, where the unit is at home. */
static inline int policy_home(const struct policy *policy, int unit)
{
    return policy->home[unit];
}

/* The arm of a unit in the present use. */
int policy_arm(const struct policy *policy, int unit);

/* True when all units are at home, and one of them is not dense. */
bool policy_is_home(const struct policy *policy);

/* True when the present use is a dense one that is to be compared with. */
bool policy_is_probe(const struct policy *policy);

/* True when the seconds of the present use are wanted. */
static inline bool policy_times(const struct policy *policy)
{
    return policy->phase != POLICY_RESTS;
}

/* True when it rests, and homes were chosen. */
bool policy_is_settled(const struct policy *policy);

/* How long a use took. */
struct policy_time {
    double own;     /* by this rank's clock; helps at home where it is at hand, else 0 */
    double seconds; /* where they are wanted: until all ranks were done, and knew it ... */
    double meeting; /* ... for which this one waited so long at its end; 0 = that is not in them */
};

/* Ends the present use. True when a block is complete: then the ranks agree on the critical rank's
 * block.seconds[2 * block.turns], and policy_agree goes on from there, before the next use. Whoever
 * is done last waits for nobody, so the shortest meeting is its bare latency, and left out. */
bool policy_note(struct policy *policy, const struct policy_time *taken);
enum policy_news policy_agree(struct policy *policy);

/* What one use at home saves, on the average of all there were, as far as this rank knows; needs
 * POLICY_KNOWN_BLOCKS in the window. */
struct interval policy_saving(const struct policy *policy);

/* What the present use saves by races alone, before probes told; false where these do not know. */
bool policy_raced_saving(const struct policy *policy, struct interval *saving);

/* What all uses so far saved; false while that is not known. */
bool policy_saved(const struct policy *policy, struct interval *saved);

/* Means of the probes, 0 while there are none. */
double policy_dense_s(const struct policy *policy);
double policy_home_s(const struct policy *policy);

#endif
