/* SPDX-License-Identifier: BSD-3-Clause
 * order.c: clocks of ranks, and who touched which cell last. */
#include "order.h"

#include <stdlib.h>
#include <string.h>

/* When somebody touched a cell, on that rank's clock. */
struct mark {
    int rank;
    uint32_t time;   /* 0: never */
    uint32_t action; /* NOBODY: the owner took the segment up */
};

struct read {
    struct mark mark;
    uint32_t next;
};

struct cell {
    struct mark write; /* the last one; it came after all reads and writes before it */
    uint32_t reads;    /* the first since then, or NOBODY */
};

/* One rank at one position of the window. */
struct track {
    uint32_t segment;   /* at hand, or the next one */
    bool taken_up;      /* it is at hand */
    uint32_t time;      /* of what the rank does now */
    uint32_t *known;    /* [size] how far every rank is known to be; the own one: done for sure */
    uint32_t *arriving; /* [size] what messages of this round brought: known when it ends */
};

struct order {
    const struct claim *claim;
    bool vectors_seen; /* the callers' buffers */
    uint32_t shared_slots;
    uint32_t parts;
    size_t cells_each; /* of a rank: scratch by position, then the buffers by segment */
    struct cell *cells;
    struct read *reads; /* as many as all segments can have */
    uint32_t reads_used;
    struct track *tracks;
    uint32_t *clocks;   /* where the tracks' lie */
    uint32_t **history; /* [size] each [segments][rounds + 1][size]: known after so many rounds */
};

/* ---- Where things are --------------------------------------------------------------------- */

static struct track *track_of(const struct order *order, int rank, uint32_t position)
{
    return &order->tracks[(size_t)rank * order->claim->window + position];
}

static uint32_t *history_of(const struct order *order, int rank, uint32_t segment, uint32_t rounds)
{
    size_t each = order->claim->plans[rank]->round_count + 1u;
    return order->history[rank] + (segment * each + rounds) * (size_t)order->claim->size;
}

static uint32_t vectors(const struct order *order)
{
    return !order->vectors_seen ? 0 : order->claim->in_place ? 1 : 2;
}

/* The first cell of a slice in the memory of `owner`; its chunks follow. */
static size_t cell_of(const struct order *order, const struct place *place, int owner,
                      const struct slice *slice)
{
    size_t cell = (size_t)owner * order->cells_each;
    if (slice->slot >= SLOT_SCRATCH) {
        return cell + place->position * order->shared_slots + slice->slot - SLOT_SCRATCH;
    }
    uint32_t vector = order->claim->in_place ? 0 : slice->slot;
    cell += (size_t)order->claim->window * order->shared_slots;
    return cell + ((size_t)place->segment * vectors(order) + vector) * order->parts + slice->first;
}

/* How many cells that are. */
static uint32_t cells_in(const struct order *order, const struct slice *slice)
{
    return slice->slot >= SLOT_SCRATCH ? 1 : order->vectors_seen ? slice->count : 0;
}

/* ---- Sentences ---------------------------------------------------------------------------- */

static void print_cell(const struct slice *slice, int owner, uint32_t chunk, char *text,
                       size_t bytes)
{
    if (slice->slot >= SLOT_SCRATCH) {
        snprintf(text, bytes, "slot %u of rank %d", slice->slot, owner);
    } else {
        snprintf(text, bytes, "chunk %u of slot %u of rank %d", slice->first + chunk, slice->slot,
                 owner);
    }
}

static void print_mark(const struct order *order, const struct mark *mark, const char *verb,
                       char *text, size_t bytes)
{
    if (mark->action == NOBODY) {
        snprintf(text, bytes, "rank %d took it up", mark->rank);
        return;
    }
    const struct plan *plan = order->claim->plans[mark->rank];
    uint32_t round = 0;
    while (round + 1 < plan->round_count && plan->rounds[round + 1].first <= mark->action) {
        round++;
    }
    snprintf(text, bytes, "rank %d %s it in round %u, action %u", mark->rank, verb, round,
             mark->action);
}

/* ---- Touching ----------------------------------------------------------------------------- */

/* Finds somebody else's mark on a cell that `knower` cannot know to lie before it, and says whose
 * it is. False when there is none. */
static bool find_unordered(const struct order *order, const struct cell *cell, int knower,
                           const uint32_t *known, bool reads_too, char *text, size_t bytes)
{
    if (cell->write.rank != knower && cell->write.time > known[cell->write.rank]) {
        print_mark(order, &cell->write, "writes", text, bytes);
        return true;
    }
    for (uint32_t r = reads_too ? cell->reads : NOBODY; r != NOBODY; r = order->reads[r].next) {
        const struct mark *mark = &order->reads[r].mark;
        if (mark->rank != knower && mark->time > known[mark->rank]) {
            print_mark(order, mark, "reads", text, bytes);
            return true;
        }
    }
    return false;
}

/* Whether a peer shows its memory now. What was wrong about that in another order of events is
 * found when the owner gives back, or by the clocks. */
static bool check_owner(const struct order *order, const struct place *place,
                        const struct slice *slice, bool writes, int owner, struct verdict *verdict)
{
    const struct track *track = track_of(order, owner, place->position);
    const char *verb = writes ? "writes" : "reads";
    if (place->segment < track->segment) {
        return flawed(verdict, FLAW_HAZARD, place,
                      "%s slot %u of rank %d: memory that its owner has given back", verb,
                      slice->slot, owner);
    }
    if (slice->slot >= SLOT_SCRATCH && (place->segment > track->segment || !track->taken_up)) {
        return flawed(verdict, FLAW_HAZARD, place,
                      "%s slot %u of rank %d: scratch that its owner has not taken up yet", verb,
                      slice->slot, owner);
    }
    return true;
}

static bool touch_cell(struct order *order, const struct place *place, size_t which, bool writes,
                       char *other, size_t bytes)
{
    int rank = place->plan->rank;
    const struct track *track = track_of(order, rank, place->position);
    struct cell *cell = &order->cells[which];
    struct mark mark = {rank, track->time, place->action};
    if (find_unordered(order, cell, rank, track->known, writes, other, bytes)) {
        return false;
    }
    if (writes) {
        *cell = (struct cell){mark, NOBODY};
    } else {
        order->reads[order->reads_used] = (struct read){mark, cell->reads};
        cell->reads = order->reads_used++;
    }
    return true;
}

static bool is_seen(const struct order *order, const struct place *place, const struct slice *slice)
{
    return slice->slot >= SLOT_SCRATCH ? slice->slot - SLOT_SCRATCH < place->plan->shared_slots
                                       : order->vectors_seen;
}

bool order_touch(struct order *order, const struct place *place, const struct slice *slice,
                 bool writes, struct verdict *verdict)
{
    if (order == NULL || !is_seen(order, place, slice)) {
        return true;
    }
    int owner = slice_owner(place->plan, slice);
    if (owner != place->plan->rank && !check_owner(order, place, slice, writes, owner, verdict)) {
        return false;
    }
    size_t first = cell_of(order, place, owner, slice);
    for (uint32_t i = 0; i < cells_in(order, slice); i++) {
        char other[64];
        char what[64];
        if (!touch_cell(order, place, first + i, writes, other, sizeof(other))) {
            print_cell(slice, owner, i, what, sizeof(what));
            return flawed(verdict, FLAW_HAZARD, place, "%s %s, not ordered with: %s",
                          writes ? "writes" : "reads", what, other);
        }
    }
    return true;
}

/* ---- Clocks ------------------------------------------------------------------------------- */

static void join(uint32_t *into, const uint32_t *from, int size)
{
    for (int rank = 0; rank < size; rank++) {
        into[rank] = from[rank] > into[rank] ? from[rank] : into[rank];
    }
}

static void remember(struct order *order, const struct place *place, uint32_t rounds)
{
    const struct track *track = track_of(order, place->plan->rank, place->position);
    memcpy(history_of(order, place->plan->rank, place->segment, rounds), track->known,
           (size_t)order->claim->size * sizeof(*track->known));
}

void order_take_up(struct order *order, const struct place *place)
{
    if (order == NULL) {
        return;
    }
    int rank = place->plan->rank;
    struct track *track = track_of(order, rank, place->position);
    track->taken_up = true;
    track->known[rank] = ++track->time;
    for (uint16_t i = 0; i < place->plan->shared_slots; i++) {
        struct slice slice = {.slot = (uint16_t)(SLOT_SCRATCH + i)};
        order->cells[cell_of(order, place, rank, &slice)] = (struct cell){
            {rank, track->time, NOBODY}, NOBODY};
    }
    remember(order, place, 0);
}

void order_await(struct order *order, const struct place *place, int peer, uint32_t rounds)
{
    if (order != NULL) {
        const struct track *track = track_of(order, place->plan->rank, place->position);
        join(track->known, history_of(order, peer, place->segment, rounds), order->claim->size);
    }
}

void order_locals(struct order *order, const struct place *place)
{
    if (order != NULL) {
        struct track *track = track_of(order, place->plan->rank, place->position);
        track->known[place->plan->rank] = ++track->time;
    }
}

/* Messages are at work until the round ends: who learns of the post does not know of that yet. */
void order_messages(struct order *order, const struct place *place)
{
    if (order != NULL) {
        track_of(order, place->plan->rank, place->position)->time++;
    }
}

void order_receive(struct order *order, const struct place *from, const struct place *to)
{
    if (order != NULL) {
        join(track_of(order, to->plan->rank, to->position)->arriving,
             track_of(order, from->plan->rank, from->position)->known, order->claim->size);
    }
}

void order_end_round(struct order *order, const struct place *place)
{
    if (order == NULL) {
        return;
    }
    int rank = place->plan->rank;
    struct track *track = track_of(order, rank, place->position);
    join(track->known, track->arriving, order->claim->size);
    track->known[rank] = track->time;
    remember(order, place, place->round + 1);
}

static bool check_unused(const struct order *order, const struct place *place,
                         const struct slice *slice, uint32_t cells, struct verdict *verdict)
{
    int rank = place->plan->rank;
    const struct track *track = track_of(order, rank, place->position);
    size_t first = cell_of(order, place, rank, slice);
    for (uint32_t i = 0; i < cells; i++) {
        char what[64];
        char other[64];
        if (find_unordered(order, &order->cells[first + i], rank, track->known, true, other,
                           sizeof(other))) {
            print_cell(slice, rank, i, what, sizeof(what));
            return flawed(verdict, FLAW_HAZARD, place,
                          "ends the segment and gives back %s, not ordered with: %s", what, other);
        }
    }
    return true;
}

bool order_give_back(struct order *order, const struct place *place, struct verdict *verdict)
{
    if (order == NULL) {
        return true;
    }
    for (uint16_t i = 0; i < place->plan->shared_slots; i++) {
        struct slice slice = {.slot = (uint16_t)(SLOT_SCRATCH + i)};
        if (!check_unused(order, place, &slice, 1, verdict)) {
            return false;
        }
    }
    for (uint16_t slot = 0; slot < vectors(order); slot++) {
        struct slice slice = {.slot = slot};
        if (!check_unused(order, place, &slice, order->parts, verdict)) {
            return false;
        }
    }
    struct track *track = track_of(order, place->plan->rank, place->position);
    track->taken_up = false;
    track->segment += order->claim->window;
    return true;
}

/* ---- Setting up --------------------------------------------------------------------------- */

static bool sees_vectors(const struct plan *plan)
{
    bool seen = false;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct slice *slice = &plan->actions[i].slice;
        seen = seen || (slice->seen > 0 && slice->slot < SLOT_SCRATCH);
    }
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct slice *slice = &plan->sources[i];
        seen = seen || (slice->seen > 0 && slice->slot < SLOT_SCRATCH);
    }
    return seen;
}

/* What is seen at all decides how many cells there are. */
static bool look_around(struct order *order)
{
    bool anybody = false;
    for (int rank = 0; rank < order->claim->size; rank++) {
        const struct plan *plan = order->claim->plans[rank];
        if (plan->shared_slots > order->shared_slots) {
            order->shared_slots = plan->shared_slots;
        }
        if (plan->seen_count > 0) {
            anybody = true;
            order->vectors_seen = order->vectors_seen || sees_vectors(plan);
        }
    }
    order->parts = order->claim->plans[0]->parts;
    order->cells_each = (size_t)order->claim->window * order->shared_slots +
                        (size_t)order->claim->segments * vectors(order) * order->parts;
    return anybody;
}

/* No plan reads more often, nor does any message. */
static size_t count_reads(const struct order *order)
{
    size_t reads = 1;
    for (int rank = 0; rank < order->claim->size; rank++) {
        const struct plan *plan = order->claim->plans[rank];
        for (uint32_t i = 0; i < plan->source_count; i++) {
            reads += (size_t)order->claim->segments * cells_in(order, &plan->sources[i]);
        }
        for (uint32_t i = 0; i < plan->action_count; i++) {
            const struct action *action = &plan->actions[i];
            reads += action->kind == ACTION_SEND
                         ? (size_t)order->claim->segments * cells_in(order, &action->slice)
                         : 0;
        }
    }
    return reads;
}

static bool reserve_tracks(struct order *order)
{
    size_t size = (size_t)order->claim->size;
    size_t tracks = size * order->claim->window;
    order->tracks = calloc(tracks, sizeof(*order->tracks));
    order->clocks = calloc(tracks * 2 * size, sizeof(*order->clocks));
    if (order->tracks == NULL || order->clocks == NULL) {
        return false;
    }
    for (size_t i = 0; i < tracks; i++) {
        order->tracks[i].segment = (uint32_t)(i % order->claim->window);
        order->tracks[i].known = order->clocks + i * 2 * size;
        order->tracks[i].arriving = order->tracks[i].known + size;
    }
    return true;
}

static bool reserve(struct order *order)
{
    size_t size = (size_t)order->claim->size;
    size_t cells = size * order->cells_each;
    order->cells = calloc(cells + 1, sizeof(*order->cells));
    order->reads = calloc(count_reads(order), sizeof(*order->reads));
    order->history = calloc(size, sizeof(*order->history));
    if (order->cells == NULL || order->reads == NULL || order->history == NULL) {
        return false;
    }
    for (size_t cell = 0; cell < cells; cell++) {
        order->cells[cell].reads = NOBODY;
    }
    for (size_t rank = 0; rank < size; rank++) {
        size_t each = order->claim->plans[rank]->round_count + 1u;
        order->history[rank] = calloc(order->claim->segments * each * size, sizeof(uint32_t));
        if (order->history[rank] == NULL) {
            return false;
        }
    }
    return reserve_tracks(order);
}

void order_destroy(struct order *order)
{
    if (order == NULL) {
        return;
    }
    for (int rank = 0; order->history != NULL && rank < order->claim->size; rank++) {
        free(order->history[rank]);
    }
    free(order->history);
    free(order->cells);
    free(order->reads);
    free(order->tracks);
    free(order->clocks);
    free(order);
}

bool order_create(const struct claim *claim, struct order **order)
{
    *order = NULL;
    struct order *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return false;
    }
    made->claim = claim;
    bool anybody = look_around(made);
    if (anybody && reserve(made)) {
        *order = made;
        return true;
    }
    order_destroy(made);
    return !anybody;
}
