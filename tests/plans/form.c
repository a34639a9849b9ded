/* SPDX-License-Identifier: BSD-3-Clause
 * form.c: checks one rank's plan by itself: indices, slices, slots and memory used twice. */
#include "state.h"

static bool check_header(const struct claim *claim, const struct plan *plan,
                         struct verdict *verdict)
{
    const struct place place = {.plan = plan};
    const struct plan *first = claim->plans[0];
    if (plan->size != claim->size || plan->collective != first->collective ||
        plan->parts != first->parts || plan->parts == 0) {
        return flawed(verdict, FLAW_FORM, &place,
                      "the plan is for %d ranks and %u chunks, rank 0's for %d and %u", plan->size,
                      plan->parts, first->size, first->parts);
    }
    bool by_rank = plan->collective == COLLECTIVE_REDUCE_SCATTER ||
                   plan->collective == COLLECTIVE_ALL_GATHER;
    if (by_rank && plan->parts != (uint32_t)plan->size) {
        return flawed(verdict, FLAW_FORM, &place, "%u chunks for %d ranks' shares", plan->parts,
                      plan->size);
    }
    if (plan->slot_count < SLOT_SCRATCH || plan->slot_chunks[SLOT_INPUT] != 0 ||
        plan->slot_chunks[SLOT_OUTPUT] != 0) {
        return flawed(verdict, FLAW_FORM, &place, "%u slots, or room in slot 0 or 1",
                      plan->slot_count);
    }
    return true;
}

/* Reduce-scatter has one chunk of output, all-gather one of input, broadcast no input. */
static bool slot_has(const struct plan *plan, const struct slice *slice)
{
    bool own = slice->first == (uint32_t)plan->rank && slice->count == 1;
    switch (plan->collective) {
    case COLLECTIVE_REDUCE_SCATTER:
        return slice->slot != SLOT_OUTPUT || own;
    case COLLECTIVE_ALL_GATHER:
        return slice->slot != SLOT_INPUT || own;
    case COLLECTIVE_BROADCAST:
        return slice->slot != SLOT_INPUT;
    default:
        return true;
    }
}

static bool check_slice(const struct place *place, const struct slice *slice,
                        struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    if (slice->slot >= plan->slot_count || slice->reserved != 0) {
        return flawed(verdict, FLAW_SLOT, place, "slot %u of %u", slice->slot, plan->slot_count);
    }
    if (slice->count == 0 || slice->count > plan->parts ||
        slice->first > plan->parts - slice->count) {
        return flawed(verdict, FLAW_SLICE, place, "%u chunks from %u of %u", slice->count,
                      slice->first, plan->parts);
    }
    if (slice->slot >= SLOT_SCRATCH && slice->count > plan->slot_chunks[slice->slot]) {
        return flawed(verdict, FLAW_SLICE, place, "%u chunks in slot %u, which has room for %u",
                      slice->count, slice->slot, plan->slot_chunks[slice->slot]);
    }
    if (!slot_has(plan, slice)) {
        return flawed(verdict, FLAW_SLOT, place, "a %s has no chunks %u to %u in slot %u",
                      collective_names[plan->collective], slice->first,
                      slice->first + slice->count - 1, slice->slot);
    }
    return true;
}

static bool same_memory(const struct claim *claim, uint16_t one, uint16_t other)
{
    return one == other || (claim->in_place && one < SLOT_SCRATCH && other < SLOT_SCRATCH);
}

/* A scratch slot holds its slice at its beginning, so two slices of it always overlap. */
static bool overlap(const struct claim *claim, const struct slice *one, const struct slice *other)
{
    if (!same_memory(claim, one->slot, other->slot)) {
        return false;
    }
    return one->slot >= SLOT_SCRATCH ||
           (one->first < other->first + other->count && other->first < one->first + one->count);
}

static bool same_range(const struct slice *one, const struct slice *other)
{
    return one->first == other->first && one->count == other->count;
}

static bool check_sources(const struct place *place, const struct action *action,
                          struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    bool number_fits = action->kind == ACTION_COPY ? action->source_count == 1
                                                   : action->source_count >= 1;
    if (!number_fits || action->sources > plan->source_count ||
        action->source_count > plan->source_count - action->sources) {
        return flawed(verdict, FLAW_FORM, place, "%u sources from %u of %u", action->source_count,
                      action->sources, plan->source_count);
    }
    for (uint32_t i = 0; i < action->source_count; i++) {
        const struct slice *source = &plan->sources[action->sources + i];
        if (!check_slice(place, source, verdict)) {
            return false;
        }
        if (!same_range(source, &action->slice)) {
            return flawed(verdict, FLAW_SLICE, place,
                          "source %u is %u chunks from %u, the target %u from %u", i, source->count,
                          source->first, action->slice.count, action->slice.first);
        }
    }
    return true;
}

static bool check_local(const struct place *place, const struct action *action,
                        struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    bool reduces = action->kind == ACTION_REDUCE;
    if ((action->kind != ACTION_COPY && !reduces) || action->peer != -1 ||
        (action->finish && !reduces)) {
        return flawed(verdict, FLAW_FORM, place, "kind %u with peer %d among the local actions",
                      action->kind, action->peer);
    }
    if (reduces && plan->collective != COLLECTIVE_ALL_REDUCE &&
        plan->collective != COLLECTIVE_REDUCE_SCATTER) {
        return flawed(verdict, FLAW_FORM, place, "a %s reduces nothing",
                      collective_names[plan->collective]);
    }
    if (action->slice.slot == SLOT_INPUT) {
        return flawed(verdict, FLAW_SLOT, place, "writes the input");
    }
    return check_slice(place, &action->slice, verdict) && check_sources(place, action, verdict);
}

static bool check_message(const struct place *place, const struct action *action,
                          struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    if ((action->kind != ACTION_SEND && action->kind != ACTION_RECEIVE) ||
        action->source_count != 0 || action->finish) {
        return flawed(verdict, FLAW_FORM, place, "kind %u with %u sources among the messages",
                      action->kind, action->source_count);
    }
    if (action->peer < 0 || action->peer >= plan->size || action->peer == plan->rank) {
        return flawed(verdict, FLAW_PEER, place, "peer %d of %d ranks", action->peer, plan->size);
    }
    if (action->kind == ACTION_RECEIVE && action->slice.slot == SLOT_INPUT) {
        return flawed(verdict, FLAW_SLOT, place, "receives into the input");
    }
    return check_slice(place, &action->slice, verdict);
}

/* Nothing of a round may touch what another message of it receives. */
static bool check_hazards(const struct claim *claim, struct place *place, const struct round *round,
                          struct verdict *verdict)
{
    const struct action *messages = place->plan->actions + round->first + round->locals;
    for (uint32_t i = 0; i < round->messages; i++) {
        for (uint32_t j = 0; j < round->messages; j++) {
            if (i == j || messages[i].kind != ACTION_RECEIVE ||
                (messages[j].kind == ACTION_RECEIVE && j < i) ||
                !overlap(claim, &messages[i].slice, &messages[j].slice)) {
                continue;
            }
            place->action = round->first + round->locals + i;
            return flawed(verdict, FLAW_HAZARD, place,
                          "receives into memory that action %u of the same round %s",
                          place->action - i + j,
                          messages[j].kind == ACTION_SEND ? "sends" : "receives into");
        }
    }
    return true;
}

static bool check_round(const struct claim *claim, struct place *place, uint32_t begin,
                        struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    const struct round *round = &plan->rounds[place->round];
    if (round->first != begin || round->locals > plan->action_count - begin ||
        round->messages > plan->action_count - begin - round->locals ||
        round->messages > plan->messages_max || round->locals + round->messages == 0) {
        return flawed(verdict, FLAW_FORM, place, "begins at %u, not %u, with %u + %u of %u actions",
                      round->first, begin, round->locals, round->messages, plan->action_count);
    }
    for (uint32_t i = 0; i < round->locals + round->messages; i++) {
        place->action = begin + i;
        const struct action *action = &plan->actions[place->action];
        if (!(i < round->locals ? check_local(place, action, verdict)
                                : check_message(place, action, verdict))) {
            return false;
        }
    }
    return check_hazards(claim, place, round, verdict);
}

bool form_check(const struct claim *claim, const struct plan *plan, struct verdict *verdict)
{
    if (!check_header(claim, plan, verdict)) {
        return false;
    }
    uint32_t begin = 0;
    struct place place = {.plan = plan};
    for (place.round = 0; place.round < plan->round_count; place.round++) {
        if (!check_round(claim, &place, begin, verdict)) {
            return false;
        }
        begin += plan->rounds[place.round].locals + plan->rounds[place.round].messages;
    }
    if (begin != plan->action_count) {
        place.round = 0;
        return flawed(verdict, FLAW_FORM, &place, "the rounds hold %u of %u actions", begin,
                      plan->action_count);
    }
    return true;
}
