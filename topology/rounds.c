/* SPDX-License-Identifier: BSD-3-Clause
 * rounds.c: a tournament of units: the circle method. */
#include "rounds.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

/* So many units meet each other completely. */
#define TEAMS_COMPLETE 8
/* Few units meet again: other programs may have been in the way. */
#define ROUNDS_LEAST 3

void ground_finish(struct ground *ground)
{
    free(ground->unit);
    free(ground->group);
    free(ground->place);
    free(ground->team);
    free(ground->teams);
    free(ground->people);
    free(ground->start);
    free(ground->by_unit);
    free(ground->by_team);
    free(ground->first_team);
    memset(ground, 0, sizeof *ground);
}

static bool make_room(struct ground *ground)
{
    size_t size = (size_t)ground->size;
    size_t units = (size_t)ground->units;
    size_t groups = (size_t)ground->groups;
    ground->unit = calloc(size, sizeof(int));
    ground->group = calloc(size, sizeof(int));
    ground->place = calloc(size, sizeof(int));
    ground->team = calloc(units, sizeof(int));
    ground->teams = calloc(groups, sizeof(int));
    ground->people = calloc(units, sizeof(int));
    ground->start = calloc(units + 1, sizeof(int));
    ground->by_unit = calloc(size, sizeof(int));
    ground->by_team = calloc(units, sizeof(int));
    ground->first_team = calloc(groups + 1, sizeof(int));
    return ground->unit != NULL && ground->group != NULL && ground->place != NULL &&
           ground->team != NULL && ground->teams != NULL && ground->people != NULL &&
           ground->start != NULL && ground->by_unit != NULL && ground->by_team != NULL &&
           ground->first_team != NULL;
}

/* Units and groups are numbered in the order of their lowest ranks, so a unit's first rank comes
 * after all first ranks of lower ones. */
static void count_people(struct ground *ground)
{
    for (int rank = 0; rank < ground->size; rank++) {
        int unit = ground->unit[rank];
        ground->place[rank] = ground->people[unit]++;
        if (ground->place[rank] == 0) {
            ground->team[unit] = ground->teams[ground->group[rank]]++;
        }
    }
    for (int unit = 0; unit < ground->units; unit++) {
        ground->start[unit + 1] = ground->start[unit] + ground->people[unit];
    }
    for (int group = 0; group < ground->groups; group++) {
        ground->first_team[group + 1] = ground->first_team[group] + ground->teams[group];
    }
    for (int rank = 0; rank < ground->size; rank++) {
        int unit = ground->unit[rank];
        ground->by_unit[ground->start[unit] + ground->place[rank]] = rank;
        ground->by_team[ground->first_team[ground->group[rank]] + ground->team[unit]] = unit;
    }
}

enum ww_status ground_init(struct ground *ground, const struct topology *topology, int level)
{
    bool top = level == topology->levels - 1;
    *ground = (struct ground){.size = topology->size, .wire = level >= topology->host_levels};
    ground->units = level == 0 ? topology->size : topology->unit_count[level - 1];
    ground->groups = top ? 1 : topology->unit_count[level];
    if (!make_room(ground)) {
        ground_finish(ground);
        return log_failure(WW_NO_MEMORY, "no memory to pair %d ranks", topology->size);
    }
    for (int rank = 0; rank < topology->size; rank++) {
        ground->unit[rank] = level == 0 ? rank : topology->unit[level - 1][rank];
        ground->group[rank] = top ? 0 : topology->unit[level][rank];
    }
    count_people(ground);
    return WW_OK;
}

int ground_teams_max(const struct ground *ground)
{
    int most = 0;
    for (int group = 0; group < ground->groups; group++) {
        most = ground->teams[group] > most ? ground->teams[group] : most;
    }
    return most;
}

bool ground_is_used(const struct ground *ground)
{
    return ground_teams_max(ground) > 1;
}

/* One seat of the circle stays free where the number of teams is odd. */
static int seats_of(int teams)
{
    return teams + teams % 2;
}

int rounds_count(int teams)
{
    int doublings = 0;
    if (teams <= TEAMS_COMPLETE) {
        int once = teams < 2 ? 0 : seats_of(teams) - 1;
        return teams < 2 || once > ROUNDS_LEAST ? once : ROUNDS_LEAST;
    }
    while (teams > 1 << doublings) {
        doublings++;
    }
    return doublings + 1 < ROUNDS_MAX ? doublings + 1 : ROUNDS_MAX;
}

/* Who sits opposite in round `turn` of seats - 1: the last one stays, all others move on. */
static int opposite(int seats, int turn, int team)
{
    int circle = seats - 1;
    if (team == circle) {
        return (int)((int64_t)turn * (seats / 2) % circle);
    }
    int other = ((turn - team) % circle + circle) % circle;
    return other == team ? circle : other;
}

int rounds_peer(const struct ground *ground, int rounds, int round, int rank)
{
    int group = ground->group[rank];
    int unit = ground->unit[rank];
    int teams = ground->teams[group];
    int seats = seats_of(teams);
    if (teams < 2) {
        return -1;
    }
    /* Where not all rounds of the circle are played, some from all around it. */
    int turns = seats - 1;
    int turn = turns <= rounds ? round % turns : (int)((int64_t)round * turns / rounds);
    int other = opposite(seats, turn, ground->team[unit]);
    if (other >= teams) {
        return -1;
    }
    int peers = ground->by_team[ground->first_team[group] + other];
    int place = ground->place[rank];
    return place < ground->people[peers] ? ground->by_unit[ground->start[peers] + place] : -1;
}
