/* SPDX-License-Identifier: BSD-3-Clause
 * rules.c: choices that need no prices. */
#include "rules.h"

#include <stdint.h>

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
/* What is fetched to where it belongs is not cut for caches, as every piece costs a system call;
 * but so that nobody is long inside its peers' buffers. */
#define FETCHED_SEGMENT_BYTES (8 * MIB)
#define FETCHED_WINDOW 8
/* Beyond that messages between all pairs take more memory than they are worth. */
#define SENT_RANKS_MOST 8
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
    const struct algorithm *sent; /* sums in the order of the ranks, as the others do */
};
static const struct in_memory in_memory[COLLECTIVE_COUNT] = {
    [COLLECTIVE_ALL_REDUCE] = {&algorithm_staged, &algorithm_viewed, &algorithm_fetched,
                               &algorithm_scatter_gather},
    [COLLECTIVE_REDUCE_SCATTER] = {&algorithm_reduce_scatter_staged,
                                   &algorithm_reduce_scatter_viewed,
                                   &algorithm_reduce_scatter_fetched,
                                   &algorithm_reduce_scatter_pairwise},
    [COLLECTIVE_ALL_GATHER] = {&algorithm_all_gather_staged, &algorithm_all_gather_viewed,
                               &algorithm_all_gather_fetched, &algorithm_all_gather_direct},
    [COLLECTIVE_BROADCAST] = {&algorithm_broadcast_staged, &algorithm_broadcast_viewed,
                              &algorithm_broadcast_fetched, &algorithm_broadcast_tree},
};

static const struct algorithm *first_fit(const struct row *row, size_t bytes, int ranks)
{
    while (bytes > row->bytes || ranks > row->ranks) {
        row++;
    }
    return row->algorithm;
}

bool is_16_bit(enum ww_type type)
{
    return type == WW_F16 || type == WW_BF16;
}

bool choice_suits(const struct choice *choice, enum ww_type type)
{
    return !is_16_bit(type) || choice->with_announcement ||
           (choice->algorithm->one_rounding && choice->nesting == NEST_NONE);
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

/* Inside a host a segment stays in the cache; over a wire it must outlast the latency, and every
 * rank's part of it should still be a fair message. */
void rule_cut(const struct topology *topology, struct choice *choice)
{
    bool wire = topology->hosts > 1;
    size_t part = wire ? 128 * KIB : 64 * KIB;
    size_t least = part * (size_t)topology->size;
    size_t usual = wire ? MIB : 512 * KIB;
    choice->segment_bytes = least > usual ? least : usual;
    choice->segment_bytes = choice->segment_bytes < 8 * MIB ? choice->segment_bytes : 8 * MIB;
    choice->window = wire ? 4 : 2;
}

/* A message that says so much more than that a collective begins is hardly later; all that a rank
 * says more, where nobody knows what that costs. */
#define LONGER_ALWAYS_BYTES 64
#define LONGER_UNPRICED_BYTES (16 * KIB)

/* What a rank shows of its own at most. */
static size_t own_bytes(const struct topology *topology, const struct wish *wish)
{
    bool gathers = wish->collective == COLLECTIVE_ALL_GATHER;
    return wish->bytes / (gathers ? (size_t)topology->size : 1);
}

size_t rule_told_bytes(const struct topology *topology, const struct wish *wish)
{
    return wish->bytes / (collective_has_shares(wish->collective) ? (size_t)topology->size : 1);
}

static bool suits_board(const struct topology *topology, const struct wish *wish)
{
    size_t readers = wish->collective == COLLECTIVE_ALL_REDUCE ? (size_t)topology->size : 1;
    return own_bytes(topology, wish) <= BOARD_VALUES_BYTES &&
           wish->bytes <= BOARD_READ_BYTES / readers;
}

static bool is_long(const struct sight *sight)
{
    return sight->values_bytes > GATE_VALUES_BYTES;
}

bool rule_fits_message(const struct topology *topology, const struct sight *sight,
                       const struct wish *wish)
{
    size_t room = is_long(sight) ? sight->values_bytes : GATE_VALUES_BYTES;
    return topology->size > 1 && topology->size <= GATE_DIRECT_SIZE &&
           rule_told_bytes(topology, wish) <= room;
}

size_t rule_longer_bytes(const struct topology *topology, const struct sight *sight,
                         const struct wish *wish)
{
    return is_long(sight) ? rule_told_bytes(topology, wish) : 0;
}

bool rule_always_suits_message(const struct topology *topology, const struct sight *sight,
                               const struct wish *wish)
{
    return rule_longer_bytes(topology, sight, wish) <= LONGER_ALWAYS_BYTES;
}

bool rule_suits_message(const struct topology *topology, const struct sight *sight,
                        const struct wish *wish)
{
    size_t peers = (size_t)topology->size - 1;
    return rule_longer_bytes(topology, sight, wish) * peers <= LONGER_UNPRICED_BYTES;
}

/* All ranks share one host and see each other. */
void rule_in_memory(const struct topology *topology, const struct sight *sight,
                    const struct wish *wish, struct choice *choice)
{
    const struct in_memory *ways = &in_memory[wish->collective];
    choice->algorithm = ways->staged;
    choice->viewed = ways->viewed;
    choice->fetched = sight->fetch && wish->bytes >= FETCH_LEAST_BYTES ? ways->fetched : NULL;
    choice->sent = topology->size <= SENT_RANKS_MOST ? ways->sent : NULL;
    choice->calm = wish->bytes <= EARLY_BYTES;
    choice->with_announcement = suits_board(topology, wish);
    size_t parts = MEMORY_PART_BYTES * (size_t)topology->size;
    choice->segment_bytes = parts < MEMORY_SEGMENT_BYTES ? parts : MEMORY_SEGMENT_BYTES;
    choice->window = MEMORY_WINDOW;
}

void rule_cut_fetched(struct choice *choice)
{
    enum collective collective = choice->algorithm->collective;
    if (collective == COLLECTIVE_ALL_GATHER || collective == COLLECTIVE_BROADCAST) {
        choice->segment_bytes = FETCHED_SEGMENT_BYTES;
        choice->window = FETCHED_WINDOW;
    }
}

/* Sparse frames of every rank come to as many bytes as encoded parts and their sums up to so many
 * owners, in one exchange less, and nothing is dropped in between. */
#define SPARSE_OWNERS_MOST 2
/* Finding what to send of a segment costs little where it is long, and few bytes of it travel. */
#define SPARSE_SEGMENT_BYTES (16 * MIB)
#define SPARSE_WINDOW 3

void rule_coded(const struct topology *topology, const struct codec_spec *spec, bool momentum,
                struct choice *choice)
{
    const struct hierarchy *hierarchy = &topology->hierarchy;
    bool nested = topology->hosts > 1 && topology->hosts < topology->size && hierarchy->levels > 0;
    bool outwards = nested && topology->hosts_outwards.levels > 0;
    hierarchy = outwards ? &topology->hosts_outwards : hierarchy;
    int owners = nested ? hierarchy->group_count[hierarchy->levels - 1] : topology->size;
    bool sparse = spec->kind == CODEC_TOPK;
    *choice = (struct choice){.nesting = !nested ? NEST_NONE : outwards ? NEST_HOSTS : NEST_ALL};
    bool few = owners <= SPARSE_OWNERS_MOST || momentum;
    choice->algorithm = sparse && few ? &algorithm_sparse : &algorithm_coded;
    rule_cut(topology, choice);
    if (sparse) {
        choice->segment_bytes = SPARSE_SEGMENT_BYTES;
        choice->window = SPARSE_WINDOW;
    }
}

/* Levels pay once the vector is large enough that bytes across the network decide. */
void rule_plain(const struct topology *topology, const struct wish *wish, struct choice *choice)
{
    size_t bytes = wish->bytes;
    bool levels = wish->collective == COLLECTIVE_ALL_REDUCE && topology->hierarchy.levels > 0;
    bool nested = levels && bytes > 64 * KIB && !is_16_bit(wish->type);
    choice->nesting = nested ? NEST_ALL : NEST_NONE;
    const struct hierarchy *hierarchy = &topology->hierarchy;
    int ranks = nested ? hierarchy->group_count[hierarchy->levels - 1] : topology->size;
    choice->algorithm = first_fit(rows_of(wish), bytes, ranks);
}
