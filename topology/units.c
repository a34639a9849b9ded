/* SPDX-License-Identifier: BSD-3-Clause
 * units.c: sorts ranks by what they share, and numbers the groups that come out. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

struct member {
    uint64_t label;
    int outer;
    int rank;
};

static int compare_units(const struct member *a, const struct member *b)
{
    if (a->outer != b->outer) {
        return a->outer < b->outer ? -1 : 1;
    }
    return (a->label > b->label) - (a->label < b->label);
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left;
    const struct member *b = right;
    int order = compare_units(a, b);
    return order != 0 ? order : (a->rank > b->rank) - (a->rank < b->rank);
}

/* A unit's first member is its lowest rank: it stands for the unit until all have numbers. */
static void name_leaders(const struct member *members, int size, int *unit)
{
    int leader = 0;
    for (int i = 0; i < size; i++) {
        if (i == 0 || compare_units(&members[i - 1], &members[i]) != 0) {
            leader = members[i].rank;
        }
        unit[members[i].rank] = leader;
    }
}

static int number_leaders(int size, int *unit)
{
    int count = 0;
    for (int rank = 0; rank < size; rank++) {
        unit[rank] = unit[rank] == rank ? count++ : unit[unit[rank]];
    }
    return count;
}

enum ww_status units_number(int size, const int *outer, const uint64_t *labels, int *unit,
                            int *count)
{
    struct member *members = malloc((size_t)size * sizeof *members);
    if (members == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the groups of %d ranks", size);
    }
    for (int rank = 0; rank < size; rank++) {
        members[rank] = (struct member){labels[rank], outer == NULL ? 0 : outer[rank], rank};
    }
    qsort(members, (size_t)size, sizeof *members, compare_members);
    name_leaders(members, size, unit);
    *count = number_leaders(size, unit);
    free(members);
    return WW_OK;
}

/* Numbers follow the lowest ranks, so a unit's first member brings the next new number. */
bool units_nest(int size, const int *inner, const int *outer, int *room)
{
    int known = 0;
    bool nest = true;
    for (int rank = 0; rank < size && nest; rank++) {
        if (inner[rank] == known) {
            room[known++] = outer[rank];
        }
        nest = room[inner[rank]] == outer[rank];
    }
    return nest;
}

/* FNV-1a over 64 bits: what differs by accident differs in it. */
uint64_t hash_more(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash_more(hash, text, strlen(text) + 1);
}
