/* SPDX-License-Identifier: BSD-3-Clause
 * rounds.h: who measures one level with whom. Units of a group meet in rounds, as teams of a
 * tournament do, so that each port is seen with several partners. */
#ifndef TOPOLOGY_ROUNDS_H
#define TOPOLOGY_ROUNDS_H

#include "topology.h"

/* Where all ranks stand on one level: units of the level below meet within groups of this one. */
struct ground {
    int size;
    bool wire; /* units have ports of their own: all pairs may be busy at once */
    int units; /* of the level below */
    int groups;
    int *unit;       /* [size] */
    int *group;      /* [size] */
    int *place;      /* [size] number within its unit, by rank */
    int *team;       /* [units] number within its group */
    int *teams;      /* [groups] how many units it has */
    int *people;     /* [units] ranks */
    int *start;      /* [units + 1] into by_unit */
    int *by_unit;    /* [size] ranks, unit by unit */
    int *by_team;    /* [units] units, group by group */
    int *first_team; /* [groups + 1] into by_team */
};

/* WW_OK, WW_NO_MEMORY. finish takes zeroes. */
enum ww_status ground_init(struct ground *ground, const struct topology *topology, int level);
void ground_finish(struct ground *ground);

/* Whether anybody has a peer here. */
bool ground_is_used(const struct ground *ground);

/* Units of the largest group. */
int ground_teams_max(const struct ground *ground);

/* Rounds until each unit has met every other one, or, where these are many, several of them. */
#define ROUNDS_MAX 12
int rounds_count(int teams);

/* The peer of a rank in a round, -1 = it has none. A rank meets the one at its own place in the
 * other unit. */
int rounds_peer(const struct ground *ground, int rounds, int round, int rank);

/* Whose number, of the two ends of a pair, makes it the leader. */
static inline bool rounds_leads(const struct ground *ground, int rank, int peer)
{
    return ground->team[ground->unit[rank]] < ground->team[ground->unit[peer]];
}

#endif
