/* SPDX-License-Identifier: BSD-3-Clause
 * form.c: checks one rank's plan by itself: indices, slices, slots, what is seen of peers, and
 * memory used twice. */
#include "state.h"

/* Who is seen: anybody else, once. */
static bool check_peers_seen(const struct plan *plan, const struct place *place,
                             struct verdict *verdict)
{
    uint64_t seen = UINT64_C(1) << plan->rank;
    for (uint32_t i = 0; i < plan->seen_count; i++) {
        int peer = plan->peers_seen[i];
        if (peer < 0 || peer >= plan->size || (seen & (UINT64_C(1) << peer)) != 0) {
            return flawed(verdict, FLAW_PEER, place, "peer %u seen is rank %d, itself or again", i,
                          peer);
        }
        seen |= UINT64_C(1) << peer;
    }
    return true;
}

bool form_check_header(const struct claim *claim, const struct plan *plan, struct verdict *verdict)
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
    bool shows = claim->needs == NEEDS_SCRATCH || claim->needs == NEEDS_VIEW;
    if (plan->shared_slots > plan->slot_count - SLOT_SCRATCH ||
        (plan->shared_slots > 0 && !shows)) {
        return flawed(verdict, FLAW_FORM, &place, "%u of %u scratch slots are shared%s",
                      plan->shared_slots, plan->slot_count - SLOT_SCRATCH,
                      shows ? "" : ", where none may be seen");
    }
    return check_peers_seen(plan, &place, verdict);
}

/* Reduce-scatter has one chunk of output, all-gather one of input, broadcast no input. */
static bool slot_has(const struct plan *plan, const struct slice *slice)
{
    bool own = slice->first == (uint32_t)slice_owner(plan, slice) && slice->count == 1;
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
    if (slice->slot >= plan->slot_count) {
        return flawed(verdict, FLAW_SLOT, place, "slot %u of %u", slice->slot, plan->slot_count);
    }
    if (slice->seen > plan->seen_count) {
        return flawed(verdict, FLAW_PEER, place, "sees peer %u of %u", slice->seen,
                      plan->seen_count);
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
        return flawed(verdict, FLAW_SLOT, place, "rank %d has no chunks %u to %u in slot %u of %s",
                      slice_owner(plan, slice), slice->first, slice->first + slice->count - 1,
                      slice->slot, collective_names[plan->collective]);
    }
    return true;
}

/* What an action does with a slice. */
enum use { USE_SOURCE, USE_TARGET };

/* Whether the claim grants that memory of a peer is used like this. */
static bool is_granted(const struct claim *claim, const struct action *action,
                       const struct slice *slice, enum use use)
{
    bool scratch = slice->slot >= SLOT_SCRATCH;
    switch (claim->needs) {
    case NEEDS_SCRATCH:
        return scratch;
    case NEEDS_VIEW:
        return true;
    case NEEDS_FETCH:
        return !scratch && use == USE_SOURCE && action->kind == ACTION_COPY &&
               action->also_count == 0;
    default:
        return false;
    }
}

/* Scratch lies at the same place on two ranks where all slots up to it are equal. */
static bool check_shared(const struct place *place, const struct plan *peer,
                         const struct slice *slice, struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    uint32_t shared = (uint32_t)slice->slot - SLOT_SCRATCH + 1;
    if (shared > plan->shared_slots || shared > peer->shared_slots) {
        return flawed(verdict, FLAW_SIGHT, place,
                      "sees slot %u of rank %d, but shares %u scratch slots with its %u",
                      slice->slot, peer->rank, plan->shared_slots, peer->shared_slots);
    }
    for (uint16_t slot = SLOT_SCRATCH; slot <= slice->slot; slot++) {
        if (plan->slot_chunks[slot] != peer->slot_chunks[slot]) {
            return flawed(verdict, FLAW_SIGHT, place,
                          "sees slot %u of rank %d, but slot %u has %u chunks here and %u there",
                          slice->slot, peer->rank, slot, plan->slot_chunks[slot],
                          peer->slot_chunks[slot]);
        }
    }
    return true;
}

static bool check_seen(const struct claim *claim, const struct place *place,
                       const struct action *action, const struct slice *slice, enum use use,
                       struct verdict *verdict)
{
    if (slice->seen == 0) {
        return true;
    }
    int owner = slice_owner(place->plan, slice);
    if (!is_granted(claim, action, slice, use)) {
        return flawed(verdict, FLAW_SIGHT, place, "%s slot %u of rank %d, which it may not",
                      use == USE_SOURCE ? "reads" : "writes", slice->slot, owner);
    }
    return slice->slot < SLOT_SCRATCH || check_shared(place, claim->plans[owner], slice, verdict);
}

static bool same_range(const struct slice *one, const struct slice *other)
{
    return one->first == other->first && one->count == other->count;
}

static bool check_counts(const struct place *place, const struct action *action,
                         struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    uint32_t slices = (uint32_t)action->source_count + action->also_count;
    bool number_fits = action->kind == ACTION_COPY ? action->source_count == 1
                                                   : action->source_count >= 1;
    if (!number_fits || action->sources > plan->source_count ||
        slices > plan->source_count - action->sources || slices > plan->sources_max) {
        return flawed(verdict, FLAW_FORM, place,
                      "%u sources and %u further targets from %u of %u, at most %u at once",
                      action->source_count, action->also_count, action->sources, plan->source_count,
                      plan->sources_max);
    }
    return true;
}

static bool check_target(const struct claim *claim, const struct place *place,
                         const struct action *action, const struct slice *target,
                         struct verdict *verdict)
{
    if (target->slot == SLOT_INPUT) {
        return flawed(verdict, FLAW_SLOT, place, "writes the input");
    }
    return check_slice(place, target, verdict) &&
           check_seen(claim, place, action, target, USE_TARGET, verdict);
}

/* The further slices of an action: its sources, then further targets. */
static bool check_slices(const struct claim *claim, const struct place *place,
                         const struct action *action, struct verdict *verdict)
{
    const struct slice *slices = place->plan->sources + action->sources;
    for (uint32_t i = 0; i < (uint32_t)action->source_count + action->also_count; i++) {
        bool source = i < action->source_count;
        if (!(source ? check_slice(place, &slices[i], verdict) &&
                           check_seen(claim, place, action, &slices[i], USE_SOURCE, verdict)
                     : check_target(claim, place, action, &slices[i], verdict))) {
            return false;
        }
        if (!same_range(&slices[i], &action->slice)) {
            return flawed(verdict, FLAW_SLICE, place,
                          "%s %u is %u chunks from %u, the target %u from %u",
                          source ? "source" : "slice", i, slices[i].count, slices[i].first,
                          action->slice.count, action->slice.first);
        }
    }
    return true;
}

static bool is_written_before(const struct claim *claim, const struct plan *plan,
                              const struct action *action, uint32_t which)
{
    const struct slice *also = plan->sources + action->sources + action->source_count;
    bool before = slices_overlap(claim, plan, &also[which], &action->slice);
    for (uint32_t i = 0; i < which; i++) {
        before = before || slices_overlap(claim, plan, &also[which], &also[i]);
    }
    return before;
}

/* No memory is written twice by one action. */
static bool check_targets_apart(const struct claim *claim, const struct place *place,
                                const struct action *action, struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    uint64_t owners = UINT64_C(1) << slice_owner(plan, &action->slice);
    for (uint32_t i = 0; i < action->also_count; i++) {
        const struct slice *also = &plan->sources[action->sources + action->source_count + i];
        uint64_t owner = UINT64_C(1) << slice_owner(plan, also);
        /* Most targets are one per owner: these need no comparison. */
        if ((owners & owner) != 0 && is_written_before(claim, plan, action, i)) {
            return flawed(verdict, FLAW_HAZARD, place, "writes slot %u of rank %d twice",
                          also->slot, slice_owner(plan, also));
        }
        owners |= owner;
    }
    return true;
}

/* Only encoding fills a frame here, out of the caller's vectors; only a reduction reads one, behind
 * at most one source that is none. */
static bool check_frames(const struct place *place, const struct action *action,
                         struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    const struct slice *sources = plan->sources + action->sources;
    bool encodes = action->kind == ACTION_ENCODE;
    bool fits = plan->slot_framed[action->slice.slot] == encodes;
    bool framed = plan->slot_framed[sources[action->source_count - 1].slot];
    for (uint32_t i = 0; i < action->source_count; i++) {
        fits = fits && (i == 0 || plan->slot_framed[sources[i].slot] == framed);
    }
    bool first_framed = plan->slot_framed[sources[0].slot];
    if (action->kind != ACTION_REDUCE) {
        fits = fits && !first_framed && action->source_count == 1;
    }
    if (encodes) {
        fits = fits && sources[0].slot < SLOT_SCRATCH && action->also_count == 0;
    }
    if (framed || first_framed) {
        fits = fits && framed && action->also_count == 0;
    }
    return fits || flawed(verdict, FLAW_FRAME, place, "mixes frames with what is none");
}

static bool check_local(const struct claim *claim, const struct place *place,
                        const struct action *action, struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    bool reduces = action->kind == ACTION_REDUCE;
    bool encodes = action->kind == ACTION_ENCODE;
    if ((action->kind != ACTION_COPY && !reduces && !encodes) || action->peer != -1 ||
        action->head != 0 || (action->finish && !reduces)) {
        return flawed(verdict, FLAW_FORM, place, "kind %u with peer %d among the local actions",
                      action->kind, action->peer);
    }
    if (reduces && plan->collective != COLLECTIVE_ALL_REDUCE &&
        plan->collective != COLLECTIVE_REDUCE_SCATTER) {
        return flawed(verdict, FLAW_FORM, place, "a %s reduces nothing",
                      collective_names[plan->collective]);
    }
    return check_counts(place, action, verdict) &&
           check_target(claim, place, action, &action->slice, verdict) &&
           check_slices(claim, place, action, verdict) && check_frames(place, action, verdict) &&
           check_targets_apart(claim, place, action, verdict);
}

/* Messages and awaits: a peer, and nothing that only local actions have. */
static bool check_peer(const struct place *place, const struct action *action, bool kind_fits,
                       struct verdict *verdict)
{
    if (!kind_fits || action->source_count != 0 || action->also_count != 0 || action->finish ||
        action->head > (action->kind != ACTION_AWAIT)) {
        return flawed(verdict, FLAW_FORM, place,
                      "kind %u with %u sources and %u further targets at this place", action->kind,
                      action->source_count, action->also_count);
    }
    if (action->peer < 0 || action->peer >= place->plan->size ||
        action->peer == place->plan->rank) {
        return flawed(verdict, FLAW_PEER, place, "peer %d of %d ranks", action->peer,
                      place->plan->size);
    }
    return true;
}

static bool check_await(const struct claim *claim, const struct place *place,
                        const struct action *action, struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    const struct slice *slice = &action->slice;
    if (!check_peer(place, action, action->kind == ACTION_AWAIT, verdict)) {
        return false;
    }
    if (slice->slot != 0 || slice->seen != 0 || slice->first != 0 || slice->count != 0) {
        return flawed(verdict, FLAW_FORM, place, "awaits with a slice");
    }
    if (place->plan->rounds[place->round].step == 0) {
        return flawed(verdict, FLAW_FORM, place, "awaits at step 0, before which nothing is done");
    }
    bool seen = false;
    for (uint32_t i = 0; i < plan->seen_count; i++) {
        seen = seen || plan->peers_seen[i] == action->peer;
    }
    if (!seen || claim->plans[action->peer]->seen_count == 0 || claim->needs == NEEDS_MESSAGES) {
        return flawed(verdict, FLAW_SIGHT, place, "awaits rank %d, which %s", action->peer,
                      seen ? "sees nobody and so says nothing" : "it does not see");
    }
    return true;
}

static bool check_message(const struct place *place, const struct action *action,
                          struct verdict *verdict)
{
    bool kind_fits = action->kind == ACTION_SEND || action->kind == ACTION_RECEIVE;
    if (!check_peer(place, action, kind_fits, verdict)) {
        return false;
    }
    if (action->slice.seen != 0) {
        return flawed(verdict, FLAW_SIGHT, place, "a message in the memory of a peer");
    }
    if (action->kind == ACTION_RECEIVE && action->slice.slot == SLOT_INPUT) {
        return flawed(verdict, FLAW_SLOT, place, "receives into the input");
    }
    if (!check_slice(place, &action->slice, verdict)) {
        return false;
    }
    return !action->head || place->plan->slot_framed[action->slice.slot] ||
           flawed(verdict, FLAW_FRAME, place, "tells the length of slot %u, which is no frame",
                  action->slice.slot);
}

/* Nothing of a round may touch what another message of it receives. */
static bool check_hazards(const struct claim *claim, struct place *place, const struct round *round,
                          struct verdict *verdict)
{
    uint32_t first = round->first + round->awaits + round->locals;
    const struct action *messages = place->plan->actions + first;
    for (uint32_t i = 0; i < round->messages; i++) {
        for (uint32_t j = 0; j < round->messages; j++) {
            if (i == j || messages[i].kind != ACTION_RECEIVE ||
                (messages[j].kind == ACTION_RECEIVE && j < i) ||
                !slices_overlap(claim, place->plan, &messages[i].slice, &messages[j].slice)) {
                continue;
            }
            place->action = first + i;
            return flawed(verdict, FLAW_HAZARD, place,
                          "receives into memory that action %u of the same round %s", first + j,
                          messages[j].kind == ACTION_SEND ? "sends" : "receives into");
        }
    }
    return true;
}

static bool check_round_form(const struct place *place, uint32_t begin, struct verdict *verdict)
{
    const struct plan *plan = place->plan;
    const struct round *round = &plan->rounds[place->round];
    uint64_t actions = (uint64_t)round->awaits + round->locals + round->messages;
    if (round->first != begin || actions == 0 || actions > plan->action_count - begin ||
        round->messages > plan->messages_max) {
        return flawed(verdict, FLAW_FORM, place,
                      "begins at %u, not %u, with %u + %u + %u of %u actions", round->first, begin,
                      round->awaits, round->locals, round->messages, plan->action_count);
    }
    if (place->round > 0 && round->step <= round[-1].step) {
        return flawed(verdict, FLAW_FORM, place, "is at step %u, after step %u", round->step,
                      round[-1].step);
    }
    return true;
}

static bool check_round(const struct claim *claim, struct place *place, uint32_t begin,
                        struct verdict *verdict)
{
    if (!check_round_form(place, begin, verdict)) {
        return false;
    }
    const struct plan *plan = place->plan;
    const struct round *round = &plan->rounds[place->round];
    uint32_t before_messages = round->awaits + round->locals;
    for (uint32_t i = 0; i < before_messages + round->messages; i++) {
        place->action = begin + i;
        const struct action *action = &plan->actions[place->action];
        if (!(i < round->awaits     ? check_await(claim, place, action, verdict)
              : i < before_messages ? check_local(claim, place, action, verdict)
                                    : check_message(place, action, verdict))) {
            return false;
        }
    }
    return check_hazards(claim, place, round, verdict);
}

/* What encoding left behind is added where a chunk is encoded: twice would count it twice. */
static bool check_encoded_once(const struct plan *plan, struct verdict *verdict)
{
    struct place place = {.plan = plan};
    for (uint32_t i = 0; plan->coded && i < plan->action_count; i++) {
        const struct slice *slice = &plan->actions[i].slice;
        for (uint32_t j = 0; plan->actions[i].kind == ACTION_ENCODE && j < i; j++) {
            const struct slice *other = &plan->actions[j].slice;
            if (plan->actions[j].kind == ACTION_ENCODE &&
                slice->first < other->first + other->count &&
                other->first < slice->first + slice->count) {
                place.action = i;
                return flawed(verdict, FLAW_FRAME, &place, "encodes chunk %u, as action %u does",
                              slice->first, j);
            }
        }
    }
    return true;
}

bool form_check(const struct claim *claim, const struct plan *plan, struct verdict *verdict)
{
    uint32_t begin = 0;
    struct place place = {.plan = plan};
    for (place.round = 0; place.round < plan->round_count; place.round++) {
        if (!check_round(claim, &place, begin, verdict)) {
            return false;
        }
        const struct round *round = &plan->rounds[place.round];
        begin += round->awaits + round->locals + round->messages;
    }
    if (begin != plan->action_count) {
        place.round = 0;
        return flawed(verdict, FLAW_FORM, &place, "the rounds hold %u of %u actions", begin,
                      plan->action_count);
    }
    return check_encoded_once(plan, verdict);
}
