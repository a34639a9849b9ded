/* SPDX-License-Identifier: BSD-3-Clause
 * select.c: chooses by size, type and place; keeps the plans that were written. */
#include "select.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* In memory: values lie on the board when a rank reads no more than so many bytes there. Between
 * two cores that is as fast as staging up to 64 KiB, with more ranks than cores twice as fast. */
#define BOARD_READ_BYTES (128 * KIB)
#define FETCH_LEAST_BYTES (64 * KIB) /* a system call costs as much as copying this */
/* Segments stay in the caches, and the parts of few ranks outlast their awaiting each other. */
#define MEMORY_PART_BYTES (128 * KIB)
#define MEMORY_SEGMENT_BYTES MIB
#define MEMORY_WINDOW 2
/* In place nothing is staged: segments bound how long a rank is inside its peers' buffers. */
#define VIEWED_SEGMENT_BYTES (512 * KIB)
#define VIEWED_WINDOW 8

#define AUTOMATIC "auto"
#define HIERARCHICAL "hierarchical"

/* A row serves vectors of up to `bytes` in groups of up to `ranks`; the first that fits wins. The
 * limits follow algorithms' costs (latency steps against bytes sent) as measured over Open MPI on
 * one host; see bench/README.md for the command. */
struct row {
    size_t bytes;
    int ranks;
    const struct algorithm *algorithm;
};

static const struct row all_reduce_rows[] = {
    {16 * KIB, 4, &algorithm_direct},         {16 * KIB, 1 << 30, &algorithm_doubling},
    {256 * KIB, 1 << 30, &algorithm_halving}, {SIZE_MAX, 16, &algorithm_scatter_gather},
    {4 * MIB, 1 << 30, &algorithm_halving},   {SIZE_MAX, 1 << 30, &algorithm_ring},
};
/* 16-bit types: only plans that round once. */
static const struct row one_rounding_rows[] = {
    {8 * KIB, 8, &algorithm_direct},
    {SIZE_MAX, 1 << 30, &algorithm_scatter_gather},
};
static const struct row reduce_scatter_rows[] = {
    {SIZE_MAX, 16, &algorithm_reduce_scatter_pairwise},
    {4 * MIB, 1 << 30, &algorithm_reduce_scatter_pairwise},
    {SIZE_MAX, 1 << 30, &algorithm_reduce_scatter_ring},
};
static const struct row reduce_scatter_one_rounding_rows[] = {
    {SIZE_MAX, 1 << 30, &algorithm_reduce_scatter_pairwise},
};
static const struct row all_gather_rows[] = {
    {SIZE_MAX, 16, &algorithm_all_gather_direct},
    {4 * MIB, 1 << 30, &algorithm_all_gather_direct},
    {SIZE_MAX, 1 << 30, &algorithm_all_gather_ring},
};
static const struct row broadcast_rows[] = {
    {64 * KIB, 1 << 30, &algorithm_broadcast_tree},
    {SIZE_MAX, 2, &algorithm_broadcast_tree},
    {SIZE_MAX, 64, &algorithm_broadcast_scatter},
    {SIZE_MAX, 1 << 30, &algorithm_broadcast_tree},
};

/* Where all ranks see each other's memory, by collective. */
struct in_memory {
    const struct algorithm *staged;
    const struct algorithm *viewed;
    const struct algorithm *fetched;
};
static const struct in_memory in_memory[COLLECTIVE_COUNT] = {
    [COLLECTIVE_ALL_REDUCE] = {&algorithm_staged, &algorithm_viewed, &algorithm_fetched},
    [COLLECTIVE_REDUCE_SCATTER] = {&algorithm_reduce_scatter_staged,
                                   &algorithm_reduce_scatter_viewed,
                                   &algorithm_reduce_scatter_fetched},
    [COLLECTIVE_ALL_GATHER] = {&algorithm_all_gather_staged, &algorithm_all_gather_viewed,
                               &algorithm_all_gather_fetched},
    [COLLECTIVE_BROADCAST] = {&algorithm_broadcast_staged, &algorithm_broadcast_viewed,
                              &algorithm_broadcast_fetched},
};

static const struct algorithm *first_fit(const struct row *row, size_t bytes, int ranks)
{
    while (bytes > row->bytes || ranks > row->ranks) {
        row++;
    }
    return row->algorithm;
}

static bool is_16_bit(enum ww_type type)
{
    return type == WW_F16 || type == WW_BF16;
}

static const struct row *rows_of(const struct wish *wish)
{
    switch (wish->collective) {
    case COLLECTIVE_REDUCE_SCATTER:
        return is_16_bit(wish->type) ? reduce_scatter_one_rounding_rows : reduce_scatter_rows;
    case COLLECTIVE_ALL_GATHER:
        return all_gather_rows;
    case COLLECTIVE_BROADCAST:
        return broadcast_rows;
    default:
        return is_16_bit(wish->type) ? one_rounding_rows : all_reduce_rows;
    }
}

/* Bytes of the whole vector, all ranks' shares together. */
static size_t vector_bytes(const struct topology *topology, const struct wish *wish)
{
    size_t bytes = wish->count * ww_type_bytes(wish->type);
    bool shares = collective_has_shares(wish->collective);
    return shares ? bytes * (size_t)topology->size : bytes;
}

const struct algorithm *select_parse(const char *name, bool *hierarchical)
{
    size_t length = strlen(HIERARCHICAL);
    *hierarchical = strncmp(name, HIERARCHICAL, length) == 0 &&
                    (name[length] == '\0' || name[length] == '+');
    if (*hierarchical) {
        name += length + (name[length] == '+');
    }
    const struct algorithm *found = algorithm_find(COLLECTIVE_ALL_REDUCE, name);
    bool fits = found != NULL && (!*hierarchical || found->needs == NEEDS_MESSAGES);
    return fits ? found : NULL; /* owners are on different hosts: they send */
}

enum ww_status select_check_sight(const char *name, const struct sight *sight)
{
    bool hierarchical;
    const struct algorithm *algorithm = select_parse(name, &hierarchical);
    if (algorithm == NULL || algorithm->needs == NEEDS_MESSAGES) {
        return WW_OK;
    }
    if (!sight->all || (algorithm->needs == NEEDS_FETCH && !sight->fetch)) {
        return log_failure(
            WW_UNSUPPORTED, "algorithm %s needs ranks of one host that %s: choose another, or auto",
            name,
            algorithm->needs == NEEDS_FETCH ? "may copy out of each other's processes"
                                            : "see each other's memory");
    }
    return algorithm->needs == NEEDS_VIEW
               ? log_failure(WW_UNSUPPORTED,
                             "algorithm viewed is taken by itself where all buffers "
                             "come from ww_alloc: choose staged, or auto")
               : WW_OK;
}

enum ww_status select_check(const char *name)
{
    bool hierarchical;
    if (strcmp(name, AUTOMATIC) == 0 || strcmp(name, HIERARCHICAL) == 0 ||
        select_parse(name, &hierarchical) != NULL) {
        return WW_OK;
    }
    char known[256] = AUTOMATIC ", " HIERARCHICAL;
    for (int i = 0; algorithms[i] != NULL; i++) {
        if (algorithms[i]->collective == COLLECTIVE_ALL_REDUCE) {
            strncat(known, ", ", sizeof known - strlen(known) - 1);
            strncat(known, algorithms[i]->name, sizeof known - strlen(known) - 1);
        }
    }
    return log_failure(WW_BAD_CONFIG,
                       "algorithm is \"%s\"; it can be one of %s, or hierarchical+ one of them",
                       name, known);
}

/* Levels pay once the vector is large enough that bytes across the network decide. */
static void choose_all_reduce(const struct topology *topology, const struct wish *wish,
                              struct choice *choice)
{
    size_t bytes = vector_bytes(topology, wish);
    bool levels = topology->hierarchy.levels > 0;
    choice->hierarchical = levels && bytes > 64 * KIB && !is_16_bit(wish->type);
    int ranks = choice->hierarchical ? topology->hosts : topology->size;
    choice->algorithm = first_fit(rows_of(wish), bytes, ranks);
}

/* The setting wins, except where it would round 16-bit sums more than once. */
static void apply_name(const struct topology *topology, const struct wish *wish, const char *name,
                       struct choice *choice)
{
    bool hierarchical;
    const struct algorithm *algorithm = select_parse(name, &hierarchical);
    if (is_16_bit(wish->type) &&
        (hierarchical || (algorithm != NULL && !algorithm->one_rounding))) {
        return;
    }
    if (hierarchical) {
        choice->hierarchical = topology->hierarchy.levels > 0;
    } else if (algorithm != NULL) {
        choice->hierarchical = false;
    }
    if (algorithm != NULL) {
        choice->algorithm = algorithm;
    }
}

/* Inside a host a segment stays in the cache; over a wire it must outlast the latency, and every
 * rank's part of it should still be a fair message. */
static void choose_segment(const struct topology *topology, struct choice *choice)
{
    bool wire = topology->hosts > 1;
    size_t part = wire ? 128 * KIB : 64 * KIB;
    size_t least = part * (size_t)topology->size;
    size_t usual = wire ? MIB : 512 * KIB;
    choice->segment_bytes = least > usual ? least : usual;
    choice->segment_bytes = choice->segment_bytes < 8 * MIB ? choice->segment_bytes : 8 * MIB;
    choice->window = wire ? 4 : 2;
}

static bool suits_board(const struct topology *topology, const struct wish *wish)
{
    size_t whole = vector_bytes(topology, wish);
    size_t size = (size_t)topology->size;
    bool gathers = wish->collective == COLLECTIVE_ALL_GATHER;
    size_t own = gathers ? whole / size : whole;
    size_t readers = wish->collective == COLLECTIVE_ALL_REDUCE ? size : 1;
    return own <= BOARD_VALUES_BYTES && whole <= BOARD_READ_BYTES / readers;
}

/* All ranks share one host and see each other. */
static void choose_in_memory(const struct topology *topology, const struct sight *sight,
                             const struct wish *wish, struct choice *choice)
{
    const struct in_memory *ways = &in_memory[wish->collective];
    choice->algorithm = ways->staged;
    choice->viewed = ways->viewed;
    choice->fetched = sight->fetch && vector_bytes(topology, wish) >= FETCH_LEAST_BYTES
                          ? ways->fetched
                          : NULL;
    choice->on_board = suits_board(topology, wish);
    size_t parts = MEMORY_PART_BYTES * (size_t)topology->size;
    choice->segment_bytes = parts < MEMORY_SEGMENT_BYTES ? parts : MEMORY_SEGMENT_BYTES;
    choice->window = MEMORY_WINDOW;
}

/* A named algorithm runs alone: no board, no other way. */
static bool is_automatic(const struct select_settings *settings, const struct wish *wish)
{
    return wish->collective != COLLECTIVE_ALL_REDUCE || strcmp(settings->algorithm, AUTOMATIC) == 0;
}

struct choice select_choice(const struct select_settings *settings, const struct topology *topology,
                            const struct sight *sight, const struct wish *wish)
{
    struct choice choice = {.hierarchical = false};
    choose_segment(topology, &choice);
    if (sight->all && topology->size > 1 && is_automatic(settings, wish)) {
        choose_in_memory(topology, sight, wish, &choice);
    } else if (wish->collective == COLLECTIVE_ALL_REDUCE) {
        choose_all_reduce(topology, wish, &choice);
        if (strcmp(settings->algorithm, AUTOMATIC) != 0) {
            apply_name(topology, wish, settings->algorithm, &choice);
        }
    } else {
        choice.algorithm = first_fit(rows_of(wish), vector_bytes(topology, wish), topology->size);
    }
    if (settings->segment_bytes > 0) {
        choice.segment_bytes = settings->segment_bytes;
    }
    if (settings->window > 0) {
        choice.window = settings->window;
    }
    return choice;
}

/* ---- Shelf ------------------------------------------------------------------------------ */

struct shelved {
    const struct algorithm *algorithm;
    bool hierarchical;
    int root;
    struct plan *plan;
    struct shelved *next;
};

struct shelf {
    const struct topology *topology;
    struct shelved *entries;
};

struct shelf *shelf_create(const struct topology *topology)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf != NULL) {
        shelf->topology = topology;
    }
    return shelf;
}

void shelf_destroy(struct shelf *shelf)
{
    if (shelf == NULL) {
        return;
    }
    while (shelf->entries != NULL) {
        struct shelved *entry = shelf->entries;
        shelf->entries = entry->next;
        plan_destroy(entry->plan);
        free(entry);
    }
    free(shelf);
}

static enum ww_status write_plan(const struct topology *topology, const struct choice *choice,
                                 int root, struct plan **plan)
{
    if (choice->hierarchical) {
        return plan_hierarchical(choice->algorithm, &topology->hierarchy, topology->rank, plan);
    }
    return plan_flat(choice->algorithm, topology->rank, topology->size, root, plan);
}

enum ww_status shelf_plan(struct shelf *shelf, const struct choice *choice, int root,
                          const struct plan **plan)
{
    for (struct shelved *entry = shelf->entries; entry != NULL; entry = entry->next) {
        if (entry->algorithm == choice->algorithm && entry->hierarchical == choice->hierarchical &&
            entry->root == root) {
            *plan = entry->plan;
            return WW_OK;
        }
    }
    struct shelved *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to shelve a plan");
    }
    enum ww_status status = write_plan(shelf->topology, choice, root, &entry->plan);
    if (status != WW_OK) {
        free(entry);
        return status;
    }
    entry->algorithm = choice->algorithm;
    entry->hierarchical = choice->hierarchical;
    entry->root = root;
    entry->next = shelf->entries;
    shelf->entries = entry;
    *plan = entry->plan;
    return WW_OK;
}

static enum ww_status fill_way(struct shelf *shelf, const struct algorithm *algorithm, int root,
                               size_t segment_bytes, int window, struct way *way)
{
    if (algorithm == NULL) {
        return WW_OK;
    }
    struct choice choice = {.algorithm = algorithm};
    way->segment_bytes = segment_bytes;
    way->window = window;
    return shelf_plan(shelf, &choice, root, &way->plan);
}

enum ww_status shelf_fill(struct shelf *shelf, const struct choice *choice, int root,
                          struct run_request *request)
{
    enum ww_status status = shelf_plan(shelf, choice, root, &request->plan);
    request->segment_bytes = choice->segment_bytes;
    request->window = choice->window;
    request->on_board = choice->on_board;
    if (status == WW_OK) {
        status = fill_way(shelf, choice->viewed, root, VIEWED_SEGMENT_BYTES, VIEWED_WINDOW,
                          &request->viewed);
    }
    if (status == WW_OK) {
        status = fill_way(shelf, choice->fetched, root, choice->segment_bytes, choice->window,
                          &request->fetched);
    }
    return status;
}
