/* SPDX-License-Identifier: BSD-3-Clause
 * levels.c: which units ranks share, and which of these are worth telling apart.
 *
 * The kinds are brought into one nesting, outermost first. Cache, NUMA node and package lie inside
 * the host by definition; rails lie inside racks and these inside sites. A kind that cuts a host in
 * two, or an island that lies across the others, is left out. Islands stand where they nest: mostly
 * just inside the host, between hosts and rails when they span hosts.
 *
 *     known kinds        cache < NUMA < package < host < rail < network
 *     say something      cache <        package < host <        network
 *     are worth it                      package < host <        network
 */
#include "topology.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "units.h"

const char *const level_kind_names[LEVEL_KINDS] = {
    [LEVEL_CACHE] = "cache",   [LEVEL_NUMA] = "NUMA", [LEVEL_PACKAGE] = "package",
    [LEVEL_ISLAND] = "island", [LEVEL_HOST] = "host", [LEVEL_RAIL] = "rail",
    [LEVEL_RACK] = "rack",     [LEVEL_SITE] = "site", [LEVEL_NETWORK] = "network"};

/* Rough: they decide which levels are told apart, not what a message costs. From rail to rack to
 * site networks are thinned out two to one, as they often are. */
const struct cost level_cost_usual[LEVEL_KINDS] = {
    [LEVEL_CACHE] = {60e-9, 1 / 16e9},    [LEVEL_NUMA] = {150e-9, 1 / 12e9},
    [LEVEL_PACKAGE] = {200e-9, 1 / 11e9}, [LEVEL_ISLAND] = {2e-6, 1 / 300e9},
    [LEVEL_HOST] = {400e-9, 1 / 7e9},     [LEVEL_RAIL] = {1.5e-6, 1 / 24e9},
    [LEVEL_RACK] = {2e-6, 1 / 12e9},      [LEVEL_SITE] = {3e-6, 1 / 6e9},
    [LEVEL_NETWORK] = {10e-6, 1 / 3e9}};

#define FASTER 1.5  /* so many times as fast per byte, or */
#define QUICKER 2.0 /* so many times as quick, makes a level of its own */

int topology_level(const struct topology *topology, int a, int b)
{
    int level = 0;
    while (level + 1 < topology->levels && topology->unit[level][a] != topology->unit[level][b]) {
        level++;
    }
    return level;
}

/* ---- The nesting of what is known ----------------------------------------------------------- */

struct unit_kind {
    enum level_kind kind;
    int count;
    int *unit; /* [size] */
};

/* Innermost first. */
struct nesting {
    int size;
    int *room; /* [size] for whoever needs some */
    int kinds;
    struct unit_kind kind[LEVEL_KINDS];
};

static void nesting_finish(struct nesting *nesting)
{
    for (int i = 0; i < nesting->kinds; i++) {
        free(nesting->kind[i].unit);
    }
    free(nesting->room);
    memset(nesting, 0, sizeof *nesting);
}

static const uint64_t *labels_of(const uint64_t *labels, int size, enum level_kind kind)
{
    return labels + (size_t)kind * (size_t)size;
}

static bool is_known(const uint64_t *labels, int size)
{
    bool known = true;
    for (int rank = 0; rank < size && known; rank++) {
        known = labels[rank] != LABEL_UNKNOWN;
    }
    return known;
}

static enum ww_status unit_kind_make(enum level_kind kind, int size, const int *outer,
                                     const uint64_t *labels, struct unit_kind *made)
{
    *made = (struct unit_kind){.kind = kind, .unit = malloc((size_t)size * sizeof *made->unit)};
    if (made->unit == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the places of %d ranks", size);
    }
    enum ww_status status = units_number(size, outer, labels, made->unit, &made->count);
    if (status != WW_OK) {
        free(made->unit);
    }
    return status;
}

static void nesting_insert(struct nesting *nesting, int place, struct unit_kind kind)
{
    memmove(&nesting->kind[place + 1], &nesting->kind[place],
            (size_t)(nesting->kinds - place) * sizeof kind);
    nesting->kind[place] = kind;
    nesting->kinds++;
}

/* Takes a kind in as the innermost one, if it is known. Outside the host, only if it leaves hosts
 * whole. */
static enum ww_status take_innermost(struct nesting *nesting, enum level_kind kind,
                                     const uint64_t *labels, const int *host_of)
{
    struct unit_kind made;
    const int *outer = nesting->kinds > 0 ? nesting->kind[0].unit : NULL;
    if (!is_known(labels_of(labels, nesting->size, kind), nesting->size)) {
        return WW_OK;
    }
    enum ww_status status = unit_kind_make(kind, nesting->size, outer,
                                           labels_of(labels, nesting->size, kind), &made);
    if (status != WW_OK) {
        return status;
    }
    if (kind <= LEVEL_HOST || units_nest(nesting->size, host_of, made.unit, nesting->room)) {
        nesting_insert(nesting, 0, made);
    } else {
        free(made.unit);
    }
    return WW_OK;
}

/* Puts the islands where those inside lie within them and they within those outside. */
static enum ww_status take_islands(struct nesting *nesting, const uint64_t *labels)
{
    struct unit_kind made;
    int size = nesting->size;
    if (!is_known(labels_of(labels, size, LEVEL_ISLAND), size)) {
        return WW_OK;
    }
    enum ww_status status = unit_kind_make(LEVEL_ISLAND, size, NULL,
                                           labels_of(labels, size, LEVEL_ISLAND), &made);
    if (status != WW_OK) {
        return status;
    }
    int place = 0;
    while (place < nesting->kinds &&
           !units_nest(size, made.unit, nesting->kind[place].unit, nesting->room)) {
        place++;
    }
    if (place == 0 || units_nest(size, nesting->kind[place - 1].unit, made.unit, nesting->room)) {
        nesting_insert(nesting, place, made);
    } else {
        free(made.unit);
    }
    return WW_OK;
}

static enum ww_status nesting_make(struct nesting *nesting, int size, const uint64_t *labels,
                                   const int *host_of)
{
    static const enum level_kind kinds[] = {LEVEL_SITE,    LEVEL_RACK, LEVEL_RAIL, LEVEL_HOST,
                                            LEVEL_PACKAGE, LEVEL_NUMA, LEVEL_CACHE};
    enum ww_status status = WW_OK;
    *nesting = (struct nesting){.size = size, .room = malloc((size_t)size * sizeof(int))};
    if (nesting->room == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the places of %d ranks", size);
    }
    for (size_t i = 0; status == WW_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        status = take_innermost(nesting, kinds[i], labels, host_of);
    }
    return status == WW_OK ? take_islands(nesting, labels) : status;
}

/* ---- What is worth telling apart ------------------------------------------------------------ */

static bool is_worth_it(struct cost inner, struct cost outer)
{
    return outer.byte_s >= FASTER * inner.byte_s || outer.fixed_s >= QUICKER * inner.fixed_s;
}

/* The numbers in the nesting of the kinds that stay, outermost first. */
struct choice_of_kinds {
    int count;
    int index[LEVEL_KINDS];
};

/* Decides on one kind, when all further outwards are decided. */
static void consider(const struct nesting *nesting, int index, const struct cost *level_cost,
                     struct choice_of_kinds *kept)
{
    const struct unit_kind *here = &nesting->kind[index];
    const struct unit_kind *next = kept->count > 0 ? &nesting->kind[kept->index[kept->count - 1]]
                                                   : NULL;
    enum level_kind outer = next == NULL ? LEVEL_NETWORK : next->kind;
    bool is_host = here->kind == LEVEL_HOST;
    bool new_here = here->count > (next == NULL ? 1 : next->count);
    if (is_host && next != NULL && !new_here) {
        kept->count--; /* what lies around each host alone says nothing */
    }
    bool full = kept->count == WW_LEVELS_MAX - 1;
    if (is_host || (!full && new_here && here->count < nesting->size &&
                    is_worth_it(level_cost[here->kind], level_cost[outer]))) {
        kept->index[kept->count++] = index;
    }
}

/* On one host it is the host that is outermost and has no units. */
static void keep_kinds(struct topology *topology, struct nesting *nesting,
                       const struct cost *level_cost)
{
    struct choice_of_kinds kept = {.count = 0};
    for (int index = nesting->kinds - 1; index >= 0; index--) {
        if (topology->hosts > 1 || nesting->kind[index].kind <= LEVEL_HOST) {
            consider(nesting, index, level_cost, &kept);
        }
    }
    int first = topology->hosts > 1 ? 0 : 1; /* of several hosts the network comes on top */
    topology->levels = kept.count - first + 1;
    for (int level = 0; level < topology->levels - 1; level++) {
        struct unit_kind *kind = &nesting->kind[kept.index[kept.count - 1 - level]];
        topology->level_kind[level] = kind->kind;
        topology->unit[level] = kind->unit;
        topology->unit_count[level] = kind->count;
        kind->unit = NULL;
    }
    int top = topology->levels - 1;
    topology->level_kind[top] = topology->hosts > 1 ? LEVEL_NETWORK : LEVEL_HOST;
    topology->unit_count[top] = 1;
}

static void name_levels(struct topology *topology)
{
    for (int level = 0; level < topology->levels; level++) {
        topology->level_name[level] = level_kind_names[topology->level_kind[level]];
        if (topology->level_kind[level] == LEVEL_HOST) {
            topology->host_levels = level + 1;
        }
    }
}

static enum ww_status find_levels(struct topology *topology, const uint64_t *labels,
                                  const struct cost *level_cost)
{
    struct nesting nesting;
    enum ww_status status = nesting_make(&nesting, topology->size, labels, topology->host_of);
    if (status == WW_OK) {
        keep_kinds(topology, &nesting, level_cost);
        name_levels(topology);
    }
    nesting_finish(&nesting);
    return status;
}

/* ---- Hosts and peers ------------------------------------------------------------------------ */

static enum ww_status count_fullest(struct topology *topology)
{
    int *ranks = calloc((size_t)topology->hosts, sizeof *ranks);
    if (ranks == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to count the ranks of %d hosts",
                           topology->hosts);
    }
    for (int rank = 0; rank < topology->size; rank++) {
        int here = ++ranks[topology->host_of[rank]];
        topology->fullest = here > topology->fullest ? here : topology->fullest;
    }
    free(ranks);
    return WW_OK;
}

static enum ww_status find_hosts(struct topology *topology, const uint64_t *labels,
                                 const char (*host_names)[HOST_NAME_BYTES])
{
    enum ww_status status = units_number(topology->size, NULL, labels, topology->host_of,
                                         &topology->hosts);
    if (status != WW_OK) {
        return status;
    }
    topology->host_name = calloc((size_t)topology->hosts, sizeof *topology->host_name);
    if (topology->host_name == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the names of %d hosts", topology->hosts);
    }
    memcpy(topology->host_name, host_names, (size_t)topology->hosts * sizeof *host_names);
    for (int rank = 0; rank < topology->size; rank++) {
        bool here = topology->host_of[rank] == topology->host_of[topology->rank];
        topology->local_size += here;
        topology->local_rank += here && rank < topology->rank;
    }
    return count_fullest(topology);
}

/* Units nest, so their numbers serve as labels of a hierarchy of the levels from `first` on. */
static enum ww_status nest_from(const struct topology *topology, int first,
                                struct hierarchy *hierarchy)
{
    size_t size = (size_t)topology->size;
    int levels = topology->levels - 1 - first;
    uint64_t *labels = calloc((size_t)levels * size + 1, sizeof *labels);
    if (labels == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the groups of %d ranks", topology->size);
    }
    for (int level = 0; level < levels; level++) {
        for (size_t rank = 0; rank < size; rank++) {
            labels[(size_t)level * size + rank] = (uint64_t)topology->unit[first + level][rank];
        }
    }
    enum ww_status status = hierarchy_init(hierarchy, topology->size, levels, labels);
    free(labels);
    return status;
}

static enum ww_status find_hierarchies(struct topology *topology)
{
    bool both = topology->hosts > 1 && topology->host_levels > 1;
    enum ww_status status = nest_from(topology, 0, &topology->hierarchy);
    if (status == WW_OK && both) {
        status = nest_from(topology, topology->host_levels - 1, &topology->hosts_outwards);
    }
    return status;
}

static enum ww_status fill(struct topology *topology, const uint64_t *labels,
                           const char (*host_names)[HOST_NAME_BYTES],
                           const struct cost level_cost[LEVEL_KINDS])
{
    size_t size = (size_t)topology->size;
    topology->peer_level = calloc(size, sizeof *topology->peer_level);
    topology->host_of = calloc(size, sizeof *topology->host_of);
    if (topology->peer_level == NULL || topology->host_of == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the places of %d ranks", topology->size);
    }
    enum ww_status status = find_hosts(topology, labels_of(labels, topology->size, LEVEL_HOST),
                                       host_names);
    if (status == WW_OK) {
        status = find_levels(topology, labels, level_cost);
    }
    for (int rank = 0; status == WW_OK && rank < topology->size; rank++) {
        topology->peer_level[rank] = (uint8_t)topology_level(topology, topology->rank, rank);
    }
    return status == WW_OK ? find_hierarchies(topology) : status;
}

enum ww_status topology_make(struct topology *topology, int rank, int size, const uint64_t *labels,
                             const char (*host_names)[HOST_NAME_BYTES],
                             const struct cost level_cost[LEVEL_KINDS])
{
    assert(is_known(labels_of(labels, size, LEVEL_HOST), size));
    struct topology made = {.rank = rank, .size = size};
    enum ww_status status = fill(&made, labels, host_names, level_cost);
    if (status == WW_OK) {
        *topology = made;
    } else {
        topology_finish(&made);
    }
    return status;
}

static bool groups_are_local(const struct topology *topology, const struct hierarchy *hierarchy)
{
    return hierarchy->levels == 0 || hierarchy->group_count[0] >= topology->hosts;
}

void topology_note_sight(struct topology *topology, bool seen)
{
    topology->hierarchy.seen = seen && groups_are_local(topology, &topology->hierarchy);
    topology->hosts_outwards.seen = seen && groups_are_local(topology, &topology->hosts_outwards);
}
