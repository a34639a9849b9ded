/* SPDX-License-Identifier: BSD-3-Clause
 * run.c: slides one plan along a vector: several segments in flight, each at its own round. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

/* A piece of memory that a slice stands for. */
struct span {
    uint8_t *memory;
    size_t count;
};

/* ---- Cutting ---------------------------------------------------------------------------- */

static bool has_shares(enum collective collective)
{
    return collective == COLLECTIVE_REDUCE_SCATTER || collective == COLLECTIVE_ALL_GATHER;
}

/* The most elements a segment may have, counting one share only where there are shares. Element
 * sizes are powers of two, so this is a shift, and only shares need a division. */
static size_t segment_room(const struct run_request *request)
{
    size_t elements = request->segment_bytes >> __builtin_ctzl(ww_type_bytes(request->type));
    if (has_shares(request->plan->collective)) {
        elements /= (size_t)request->plan->size;
    }
    return elements > 0 ? elements : 1;
}

struct slicing engine_slicing(const struct run_request *request)
{
    if (request->count == 0) {
        return (struct slicing){0, 0, 0};
    }
    size_t room = segment_room(request);
    if (request->count <= room) {
        return (struct slicing){1, request->count, request->count};
    }
    size_t segments = (request->count + room - 1) / room;
    /* Equal segments, on line boundaries where they still fit. */
    size_t count = (request->count + segments - 1) / segments;
    size_t rounded = (count + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    count = rounded <= room ? rounded : count;
    segments = (request->count + count - 1) / count;
    return (struct slicing){segments, count, request->count - (segments - 1) * count};
}

static size_t slice_count(const struct plan *plan, const struct slice *slice, size_t segment_count)
{
    if (has_shares(plan->collective)) {
        return slice->count * segment_count;
    }
    return plan_boundary(segment_count, plan->parts, slice->first + slice->count) -
           plan_boundary(segment_count, plan->parts, slice->first);
}

static void add_planned_bytes(const struct plan *plan, const struct slicing *slicing,
                              size_t element_bytes, const uint8_t *peer_level, uint64_t *bytes)
{
    for (uint32_t i = 0; slicing->segments > 0 && i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        if (action->kind == ACTION_SEND) {
            size_t before = slicing->segments - 1;
            size_t full = before > 0 ? slice_count(plan, &action->slice, slicing->count) : 0;
            size_t last = slice_count(plan, &action->slice, slicing->last);
            bytes[peer_level[action->peer]] += (before * full + last) * element_bytes;
        }
    }
}

void engine_planned_bytes(const struct run_request *request, const struct topology *topology,
                          uint64_t *bytes)
{
    struct slicing slicing = engine_slicing(request);
    add_planned_bytes(request->plan, &slicing, ww_type_bytes(request->type), topology->peer_level,
                      bytes);
}

void run_planned_bytes(struct run *run, const struct topology *topology, uint64_t *bytes)
{
    if (!run->planned_known) {
        memset(run->planned, 0, sizeof run->planned);
        add_planned_bytes(run->request.plan, &run->slicing, run->element_bytes,
                          topology->peer_level, run->planned);
        run->planned_known = true;
    }
    for (int level = 0; level < topology->levels; level++) {
        bytes[level] += run->planned[level];
    }
}

struct run_shape run_shape(const struct run_request *request)
{
    return (struct run_shape){request->plan->identity, request->count, request->segment_bytes,
                              request->type, request->window};
}

bool run_shape_same(const struct run_shape *shape, const struct run_request *request)
{
    return shape->plan == request->plan->identity && shape->count == request->count &&
           shape->segment_bytes == request->segment_bytes && shape->type == request->type &&
           shape->window == request->window;
}

/* ---- Room ------------------------------------------------------------------------------- */

static size_t round_to_line(size_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

static size_t slot_bytes(const struct run_request *request, size_t segment, uint16_t slot)
{
    const struct plan *plan = request->plan;
    size_t chunks = plan->slot_chunks[slot];
    size_t elements = has_shares(plan->collective)
                          ? chunks * segment
                          : plan_chunks_max(segment, plan->parts, (uint32_t)chunks);
    return round_to_line(elements * ww_type_bytes(request->type));
}

size_t run_scratch_bytes(const struct run_request *request)
{
    size_t bytes = 0;
    size_t segment = engine_slicing(request).count;
    for (uint16_t slot = SLOT_SCRATCH; slot < request->plan->slot_count; slot++) {
        bytes += slot_bytes(request, segment, slot);
    }
    return bytes;
}

int run_window(const struct slicing *slicing, int window)
{
    bool few = slicing->segments < (size_t)window;
    return few ? (int)(slicing->segments > 0 ? slicing->segments : 1) : window;
}

static bool regrow(size_t **array, size_t count)
{
    size_t *larger = realloc(*array, count * sizeof **array);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    return true;
}

bool run_grow(struct run *run, uint32_t parts, uint32_t slots)
{
    return regrow(&run->boundaries[0], parts + 1) && regrow(&run->boundaries[1], parts + 1) &&
           regrow(&run->slot_offsets, slots);
}

void run_finish(struct run *run)
{
    free(run->boundaries[0]);
    free(run->boundaries[1]);
    free(run->slot_offsets);
}

/* ---- Running one segment ---------------------------------------------------------------- */

static struct span resolve(const struct run *run, const struct place *place,
                           const struct slice *slice)
{
    size_t first = slice->first;
    struct span span;
    if (run->shares) {
        size_t share = first - (slice->slot < SLOT_SCRATCH ? run->origin[slice->slot] : first);
        span.count = slice->count * place->count;
        first = share * run->request.count;
    } else {
        span.count = place->boundaries[first + slice->count] - place->boundaries[first];
        first = place->boundaries[first];
    }
    if (slice->slot >= SLOT_SCRATCH) {
        span.memory = place->scratch + run->slot_offsets[slice->slot];
        return span;
    }
    /* The input is only read; slots share one pointer type. */
    uint8_t *base = slice->slot == SLOT_INPUT ? (uint8_t *)(uintptr_t)run->request.input
                                              : (uint8_t *)run->request.output;
    span.memory = base + (first + place->first) * run->element_bytes;
    return span;
}

static void copy(const struct run *run, struct span into, const struct slice *source,
                 const struct place *place)
{
    struct span from = resolve(run, place, source);
    if (into.memory != from.memory) {
        memcpy(into.memory, from.memory, into.count * run->element_bytes);
    }
}

static void reduce(const struct workspace *space, const struct run *run, const struct place *place,
                   const struct action *action, struct span into)
{
    const struct slice *sources = &run->request.plan->sources[action->sources];
    for (uint32_t i = 0; i < action->source_count; i++) {
        space->sources[i] = resolve(run, place, &sources[i]).memory;
    }
    run->reduce(into.memory, space->sources, action->source_count, into.count,
                action->finish ? run->scale : 1.0);
}

static void run_local(const struct workspace *space, const struct run *run,
                      const struct place *place, const struct action *action)
{
    struct span into = resolve(run, place, &action->slice);
    if (into.count == 0) {
        return;
    }
    if (action->kind == ACTION_COPY) {
        copy(run, into, &run->request.plan->sources[action->sources], place);
    } else {
        reduce(space, run, place, action, into);
    }
}

/* Fills space->messages with the round's; empty slices do not travel. */
static int gather_messages(struct workspace *space, const struct run *run,
                           const struct place *place, const struct action *actions, uint32_t count)
{
    int filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct span span = resolve(run, place, &actions[i].slice);
        if (span.count == 0) {
            continue;
        }
        space->messages[filled++] = (struct ww_message){
            .kind = actions[i].kind == ACTION_SEND ? WW_SEND : WW_RECEIVE,
            .peer = actions[i].peer,
            .memory = span.memory,
            .bytes = span.count * run->element_bytes};
    }
    return filled;
}

/* Local actions, then the messages: WW_PENDING when some are under way. */
static enum ww_status begin_round(struct workspace *space, const struct run *run,
                                  struct place *place)
{
    const struct plan *plan = run->request.plan;
    const struct round *round = &plan->rounds[place->round];
    const struct action *actions = &plan->actions[round->first];
    for (uint32_t i = 0; i < round->locals; i++) {
        run_local(space, run, place, &actions[i]);
    }
    int count = gather_messages(space, run, place, actions + round->locals, round->messages);
    if (count == 0) {
        return WW_OK;
    }
    enum ww_status status = space->transport->post(space->fabric, place->tag, false,
                                                   space->messages, count, &place->flight);
    place->posted = status == WW_OK;
    return status == WW_OK ? WW_PENDING : status;
}

/* Takes a segment as far as it goes: WW_OK at its end, WW_PENDING, or an error. */
static enum ww_status advance_place(struct workspace *space, const struct run *run,
                                    struct place *place)
{
    while (true) {
        if (place->posted) {
            enum ww_status status = space->transport->poll(space->fabric, &place->flight);
            if (status != WW_OK) {
                return status;
            }
            place->posted = false;
            place->round++;
            space->moves++;
        }
        if (place->round == run->request.plan->round_count) {
            return WW_OK;
        }
        enum ww_status status = begin_round(space, run, place);
        if (status == WW_OK) {
            place->round++;
        } else if (status != WW_PENDING) {
            return status;
        }
    }
}

/* ---- Running one collective ------------------------------------------------------------- */

static void place_segment(struct run *run, struct place *place)
{
    bool last = run->next_segment + 1 == run->slicing.segments;
    place->busy = true;
    place->posted = false;
    place->round = 0;
    place->first = run->next_segment * run->slicing.count;
    place->count = last ? run->slicing.last : run->slicing.count;
    place->boundaries = run->boundaries[last];
    run->next_segment++;
}

static size_t next_place(const struct run *run, size_t place)
{
    return place + 1 == (size_t)run->request.window ? 0 : place + 1;
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
            place_segment(run, place);
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
        offset += slot_bytes(&run->request, run->slicing.count, slot);
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
    bool gathers = plan->collective == COLLECTIVE_ALL_GATHER;
    bool scatters = plan->collective == COLLECTIVE_REDUCE_SCATTER;
    run->shape = run_shape(request);
    run->planned_known = false;
    run->slicing = engine_slicing(request);
    run->shares = gathers || scatters;
    run->element_bytes = ww_type_bytes(request->type);
    run->origin[SLOT_INPUT] = gathers ? (uint32_t)plan->rank : 0;
    run->origin[SLOT_OUTPUT] = scatters ? (uint32_t)plan->rank : 0;
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
    run->next_segment = 0;
    run->segments_done = 0;
    run->oldest_place = 0;
    place_places(run, scratch, place_bytes, first_tag);
}

int run_awaited_peer(const struct run *run, const struct workspace *space)
{
    if (space->transport->waits_for == NULL || run->state != RUN_MOVING) {
        return -1;
    }
    for (int w = 0; w < run->request.window; w++) {
        const struct place *place = &run->places[w];
        if (place->busy && place->posted) {
            int peer = space->transport->waits_for(space->fabric, &place->flight);
            if (peer >= 0) {
                return peer;
            }
        }
    }
    return -1;
}

struct signature run_signature(const struct run_request *request)
{
    return (struct signature){.count = request->count,
                              .step = request->step,
                              .collective = request->plan->collective,
                              .type = request->type,
                              .op = request->op,
                              .root = request->root,
                              .label = request->label,
                              .reserved = 0};
}
