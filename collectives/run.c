/* SPDX-License-Identifier: BSD-3-Clause
 * run.c: slides one plan along a vector: several segments in flight, each at its own round. */
#include "run.h"

#include <assert.h>
#include <string.h>

/* Places publish "uses << STEP_BITS | step". */
#define STEP_BITS 16
_Static_assert(PLAN_STEPS_SEEN_MAX < 1 << STEP_BITS, "steps fit");

/* Places are numbered alike by their words on the board and by their tags; tag 0 is the gate's. */
static int word_of(const struct place *place)
{
    return place->tag - 1;
}

/* ---- Running one segment ---------------------------------------------------------------- */

#define SENDS (1U << ACTION_SEND)
#define RECEIVES (1U << ACTION_RECEIVE)

/* Fills space->messages with the round's, of these kinds; empty slices do not travel. */
static enum ww_status gather_messages(struct workspace *space, const struct run *run,
                                      const struct place *place, const struct round *round,
                                      unsigned kinds, int *filled)
{
    const struct plan *plan = run->request.plan;
    const struct action *actions = &plan->actions[round->first + round->awaits + round->locals];
    *filled = 0;
    for (uint32_t i = 0; i < round->messages; i++) {
        if ((kinds >> actions[i].kind & 1) == 0) {
            continue;
        }
        struct span span = run_span(run, place, &actions[i].slice);
        struct ww_message message = {.kind = actions[i].kind == ACTION_SEND ? WW_SEND : WW_RECEIVE,
                                     .peer = actions[i].peer,
                                     .memory = span.memory,
                                     .bytes = span.count * run->element_bytes};
        if (plan->coded && plan->slot_framed[actions[i].slice.slot]) {
            enum ww_status status = frame_message(space, run, place, &actions[i], &message);
            if (status != WW_OK) {
                return status;
            }
        }
        if (message.bytes > 0) {
            space->messages[(*filled)++] = message;
        }
    }
    return WW_OK;
}

/* True when every peer that the round awaits is far enough. */
static bool peers_are_there(const struct workspace *space, const struct run *run,
                            struct place *place, const struct round *round)
{
    const struct action *actions = &run->request.plan->actions[round->first];
    uint64_t needed = place->uses << STEP_BITS | round->step;
    for (; place->awaited < round->awaits; place->awaited++) {
        if (board_observe(space->board, actions[place->awaited].peer, word_of(place)) < needed) {
            return false;
        }
    }
    return true;
}

static enum ww_status post(struct workspace *space, const struct place *place, int count,
                           struct ww_flight *flight)
{
    return space->transport->post(space->fabric, place->tag, false, space->messages, count, flight);
}

/* What is awaited, local actions, then the messages: WW_PENDING when something is outstanding. */
static enum ww_status begin_round(struct workspace *space, struct run *run, struct place *place)
{
    const struct plan *plan = run->request.plan;
    const struct round *round = &plan->rounds[place->round];
    const struct action *actions = &plan->actions[round->first + round->awaits];
    if (!peers_are_there(space, run, place, round)) {
        place->flight.wait = WW_WAIT_MEMORY;
        return WW_PENDING;
    }
    int count = 0;
    unsigned kinds = place->ahead ? RECEIVES : RECEIVES | SENDS;
    enum ww_status status = run_locals(space, run, place, actions, round->locals);
    if (status == WW_OK) {
        status = gather_messages(space, run, place, round, kinds, &count);
    }
    if (status == WW_OK && count > 0) {
        status = post(space, place, count, &place->flight);
        place->posted = status == WW_OK;
    }
    place->begun = status == WW_OK;
    return status;
}

/* WW_OK once the round's messages are done. */
static enum ww_status poll_round(struct workspace *space, struct place *place)
{
    enum ww_status status = WW_OK;
    if (place->posted) {
        status = space->transport->poll(space->fabric, &place->flight);
        place->posted = status == WW_PENDING;
    }
    if (status == WW_OK && place->ahead) {
        status = space->transport->poll(space->fabric, &place->ahead_flight);
        place->ahead = status == WW_PENDING;
        place->flight.wait = place->ahead_flight.wait;
    }
    return status;
}

/* Says so to the peers that see this rank. */
static void end_round(struct workspace *space, const struct run *run, struct place *place)
{
    const struct plan *plan = run->request.plan;
    place->round++;
    place->begun = false;
    place->awaited = 0;
    space->moves++;
    if (plan->seen_count > 0) {
        bool over = place->round == plan->round_count;
        uint64_t uses = place->uses + over;
        uint64_t step = over ? 0 : plan->rounds[place->round].step;
        board_publish(space->board, word_of(place), uses << STEP_BITS | step);
    }
}

/* Takes a segment as far as it goes: WW_OK at its end, WW_PENDING, or an error. */
static enum ww_status advance_place(struct workspace *space, struct run *run, struct place *place)
{
    while (place->round < run->request.plan->round_count) {
        enum ww_status status = place->begun ? WW_OK : begin_round(space, run, place);
        if (status == WW_OK) {
            status = poll_round(space, place);
        }
        if (status != WW_OK) {
            return status;
        }
        end_round(space, run, place);
    }
    return WW_OK;
}

/* ---- Running one collective ------------------------------------------------------------- */

void run_place_segment(struct run *run, struct place *place)
{
    bool last = run->next_segment + 1 == run->slicing.segments;
    place->busy = true;
    place->begun = false;
    place->posted = false;
    place->ahead = false;
    place->round = 0;
    place->awaited = 0;
    place->wild_rank = -1;
    place->first = run->next_segment * run->slicing.count;
    place->count = last ? run->slicing.last : run->slicing.count;
    place->boundaries = run->boundaries[last];
    run->next_segment++;
}

static size_t next_place(const struct run *run, size_t place)
{
    return place + 1 == (size_t)run->request.window ? 0 : place + 1;
}

static bool are_few(const struct ww_message *messages, int count)
{
    bool few = true;
    for (int i = 0; i < count; i++) {
        few = few && messages[i].bytes <= GATE_AHEAD_BYTES;
    }
    return few;
}

enum ww_status run_send_ahead(struct run *run, struct workspace *space)
{
    const struct plan *plan = run->request.plan;
    if (run->slicing.segments == 0 || !plan_sends_input_first(plan)) {
        return WW_OK;
    }
    struct place *place = &run->places[run->oldest_place];
    int count = 0;
    run_place_segment(run, place);
    enum ww_status status = gather_messages(space, run, place, &plan->rounds[0], SENDS, &count);
    if (status == WW_OK && count > 0 && are_few(space->messages, count)) {
        status = post(space, place, count, &place->ahead_flight);
        place->ahead = status == WW_OK;
    }
    return status;
}

/* Segments end in order: what ended early waits for the ones before it. */
static void retire_segments(struct run *run)
{
    while (run->segments_done < run->next_segment && !run->places[run->oldest_place].busy) {
        run->segments_done++;
        run->oldest_place = next_place(run, run->oldest_place);
    }
}

static enum ww_status advance_segment(struct run *run, struct place *place, struct workspace *space)
{
    enum ww_status status = advance_place(space, run, place);
    if (status == WW_OK) {
        place->busy = false;
        place->uses++;
        retire_segments(run);
    } else if (status == WW_PENDING && place->flight.wait == WW_WAIT_NETWORK) {
        space->wait = WW_WAIT_NETWORK;
    }
    return status;
}

/* Segment s always travels at place s % window, on every rank: tags match. */
enum ww_status run_advance(struct run *run, struct workspace *space)
{
    size_t window = (size_t)run->request.window;
    size_t index = run->oldest_place;
    for (size_t s = run->segments_done;
         s < run->slicing.segments && s < run->segments_done + window; s++) {
        struct place *place = &run->places[index];
        index = next_place(run, index);
        if (s >= run->next_segment) {
            run_place_segment(run, place);
        }
        enum ww_status status = place->busy ? advance_segment(run, place, space) : WW_OK;
        if (status < 0) {
            return status;
        }
    }
    return run->segments_done == run->slicing.segments ? WW_OK : WW_PENDING;
}

static void fill_boundaries(size_t *boundaries, size_t count, uint32_t parts)
{
    for (uint32_t chunk = 0; chunk <= parts; chunk++) {
        boundaries[chunk] = plan_boundary(count, parts, chunk);
    }
}

static void place_slots(struct run *run)
{
    size_t offset = 0;
    const struct plan *plan = run->request.plan;
    for (uint16_t slot = SLOT_SCRATCH; slot < plan->slot_count; slot++) {
        run->slot_offsets[slot] = offset;
        offset += run_slot_bytes(&run->request, run->slicing.count, slot);
    }
}

static void place_places(struct run *run, uint8_t *scratch, size_t place_bytes, int first_tag)
{
    for (int w = 0; w < run->request.window; w++) {
        struct place *place = &run->places[w];
        place->busy = false;
        place->tag = first_tag + w;
        place->scratch = scratch == NULL ? NULL : scratch + (size_t)w * place_bytes;
    }
}

static void cut(struct run *run)
{
    const struct run_request *request = &run->request;
    const struct plan *plan = request->plan;
    run->shape = run_shape(request);
    run->planned_known = false;
    run->slicing = engine_slicing(request);
    run->shares = collective_has_shares(plan->collective);
    run->element_bytes = ww_type_bytes(request->type);
    if (!run->shares) {
        fill_boundaries(run->boundaries[1], run->slicing.last, plan->parts);
        if (run->slicing.segments > 1) {
            fill_boundaries(run->boundaries[0], run->slicing.count, plan->parts);
        }
    }
    place_slots(run);
}

void run_prepare(struct run *run, const struct run_request *request, const struct kernels *kernels,
                 uint8_t *scratch, size_t place_bytes, int first_tag)
{
    bool reduces = request->op != WW_OP_COUNT;
    run->request = *request;
    if (!run_shape_same(&run->shape, request)) {
        cut(run);
    }
    run->request.window = run_window(&run->slicing, request->window);
    run->reduce = reduces ? kernels->reduce[request->type][request->op] : NULL;
    run->scale = request->op == WW_MEAN ? 1.0 / request->plan->size : 1.0;
    run->codec = codecs[request->coding.spec.kind];
    run->heads_travel = run->codec != NULL && !run->codec->is_fixed(&request->coding.spec);
    assert((run->codec != NULL) == request->plan->coded);
    if (request->coding.outcome != NULL) {
        *request->coding.outcome = (struct coding_outcome){.wild_rank = -1};
    }
    run->next_segment = 0;
    run->segments_done = 0;
    run->oldest_place = 0;
    place_places(run, scratch, place_bytes, first_tag);
}

/* A peer that one segment waits for, -1 when nobody knows. */
static int peer_of_place(const struct run *run, const struct workspace *space,
                         const struct place *place)
{
    const struct plan *plan = run->request.plan;
    if (place->begun) {
        const struct ww_flight *flight = place->posted ? &place->flight : &place->ahead_flight;
        return space->transport->waits_for == NULL
                   ? -1
                   : space->transport->waits_for(space->fabric, flight);
    }
    const struct round *round = &plan->rounds[place->round];
    bool awaits = place->round < plan->round_count && place->awaited < round->awaits;
    return awaits ? plan->actions[round->first + place->awaited].peer : -1;
}

int run_awaited_peer(const struct run *run, const struct workspace *space)
{
    int peer = -1;
    if (run->state == RUN_MOVING && run->request.with_announcement) {
        return gate_tells(space->gate, run->number);
    }
    for (int w = 0; run->state == RUN_MOVING && peer < 0 && w < run->request.window; w++) {
        if (run->places[w].busy) {
            peer = peer_of_place(run, space, &run->places[w]);
        }
    }
    return peer;
}

struct signature run_signature(const struct run_request *request)
{
    return (struct signature){.count = request->count,
                              .step = request->step,
                              .scale = request->coding.scale == 1 ? 0 : request->coding.scale,
                              .collective = (uint8_t)request->plan->collective,
                              .type = (uint8_t)request->type,
                              .op = (uint8_t)request->op,
                              .root = request->root,
                              .label = request->label,
                              .way = request->elsewhere           ? SIGNATURE_ELSEWHERE
                                     : request->with_announcement ? SIGNATURE_WITH_VALUES
                                                                  : 0,
                              .codec = (uint32_t)request->coding.spec.kind +
                                       (request->coding.spec.fixed ? SIGNATURE_FIXED : 0) +
                                       (request->coding.asked_dense ? SIGNATURE_DENSE : 0) +
                                       (request->coding.discarded ? SIGNATURE_DISCARDED : 0),
                              .density = request->coding.spec.density};
}
