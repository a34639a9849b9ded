/* SPDX-License-Identifier: BSD-3-Clause
 * judge.c: judges what all ranks hold in the end. */
#include "state.h"

/* The contributions that a chunk of the output must hold in the end. */
static uint64_t wanted_ranks(const struct claim *claim, enum collective collective, uint32_t chunk)
{
    switch (collective) {
    case COLLECTIVE_ALL_GATHER:
        return UINT64_C(1) << chunk;
    case COLLECTIVE_BROADCAST:
        return UINT64_C(1) << claim->root;
    default:
        return everybody(claim->size);
    }
}

/* The sum of all at once, rank by rank. */
static uint64_t order_of_ranks(int size)
{
    uint64_t order = 0;
    for (int rank = 0; rank < size; rank++) {
        order = fingerprint_sum(order, fingerprint_rank(rank));
    }
    return order;
}

static bool check_value(const struct claim *claim, const struct place *place, uint32_t chunk,
                        const struct value *value, const struct value *first,
                        struct verdict *verdict)
{
    uint64_t wanted = wanted_ranks(claim, place->plan->collective, chunk);
    bool reduced = place->plan->collective == COLLECTIVE_ALL_REDUCE ||
                   place->plan->collective == COLLECTIVE_REDUCE_SCATTER;
    if (!value->defined || value->ranks != wanted) {
        return flawed(verdict, FLAW_RESULT, place,
                      "the output's chunk %u ends with ranks %#llx, not %#llx", chunk,
                      (unsigned long long)value->ranks, (unsigned long long)wanted);
    }
    if (reduced && claim->size > 1 && !value->finished) {
        return flawed(verdict, FLAW_FINISH, place, "the output's chunk %u is not finished", chunk);
    }
    if (claim->one_rounding && value->depth > 1) {
        return flawed(verdict, FLAW_ROUNDING, place, "the output's chunk %u was rounded %u times",
                      chunk, value->depth);
    }
    if (claim->rank_order && reduced && claim->size > 1 &&
        value->order != order_of_ranks(claim->size)) {
        return flawed(verdict, FLAW_BITS, place,
                      "the output's chunk %u was not added in the order of the ranks", chunk);
    }
    if (place->plan->collective != COLLECTIVE_REDUCE_SCATTER && value->order != first->order) {
        return flawed(verdict, FLAW_BITS, place,
                      "the output's chunk %u was added in another order than on rank 0", chunk);
    }
    return true;
}

static bool check_rank(const struct claim *claim, const struct memory *memories, int rank,
                       struct verdict *verdict)
{
    const struct plan *plan = claim->plans[rank];
    const struct value *values = memories[rank].vector[SLOT_OUTPUT];
    const struct value *firsts = memories[0].vector[SLOT_OUTPUT];
    struct place place = {.plan = plan, .round = plan->round_count, .action = plan->action_count};
    for (place.segment = 0; place.segment < claim->segments; place.segment++) {
        for (uint32_t chunk = 0; chunk < plan->parts; chunk++) {
            if (plan->collective == COLLECTIVE_REDUCE_SCATTER && chunk != (uint32_t)rank) {
                continue;
            }
            size_t at = (size_t)place.segment * plan->parts + chunk;
            if (!check_value(claim, &place, chunk, &values[at], &firsts[at], verdict)) {
                return false;
            }
        }
    }
    return true;
}

bool judge_results(const struct claim *claim, const struct memory *memories,
                   struct verdict *verdict)
{
    for (int rank = 0; rank < claim->size; rank++) {
        if (!check_rank(claim, memories, rank, verdict)) {
            return false;
        }
    }
    return true;
}
