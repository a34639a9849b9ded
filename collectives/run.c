/* SPDX-License-Identifier: BSD-3-Clause
 * run.c: slides one plan along a vector: several segments in flight, each at its own round. */
#include "run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

/* Results that several slices get are made in pieces, which stay in the cache. Of vectors that fit
 * the caches altogether peers' lines are asked for early, and at once for writing: else they come
 * twice, first to be read and then to be owned. Where caches are far apart this saves a sixth. Of
 * larger vectors the memory behind the caches is what is waited for: there it costs more. */
#define CACHED_BYTES ((size_t)4 << 20)
#define CACHED_PIECE_BYTES 2048
#define CACHED_AHEAD_BYTES 8192
#define PIECE_BYTES 16384

/* Places publish "uses << STEP_BITS | step". */
#define STEP_BITS 16
_Static_assert(PLAN_STEPS_SEEN_MAX < 1 << STEP_BITS, "steps fit");

/* A piece of memory that a slice stands for. */
struct span {
    uint8_t *memory; /* NULL = it can only be fetched, from: */
    size_t count;
    uint64_t address;
    int rank;
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

/* Bytes of a slice in all segments together. */
static uint64_t slice_bytes(const struct plan *plan, const struct slicing *slicing,
                            const struct slice *slice, size_t element_bytes)
{
    size_t before = slicing->segments - 1;
    size_t full = before > 0 ? slice_count(plan, slice, slicing->count) : 0;
    return (before * full + slice_count(plan, slice, slicing->last)) * element_bytes;
}

/* What is sent, and what is read or written in memory of peers. */
static void add_planned_bytes(const struct plan *plan, const struct slicing *slicing,
                              size_t element_bytes, const uint8_t *peer_level, uint64_t *bytes)
{
    for (uint32_t i = 0; slicing->segments > 0 && i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        if (action->kind == ACTION_SEND) {
            bytes[peer_level[action->peer]] += slice_bytes(plan, slicing, &action->slice,
                                                           element_bytes);
        }
        uint32_t others = (uint32_t)action->source_count + action->also_count;
        assert(action->slice.seen == 0); /* the first target is always the own memory */
        for (uint32_t s = 0; s < others; s++) {
            const struct slice *slice = &plan->sources[action->sources + s];
            if (slice->seen > 0) {
                bytes[peer_level[plan->peers_seen[slice->seen - 1]]] += slice_bytes(
                    plan, slicing, slice, element_bytes);
            }
        }
    }
}

/* What a rank reads on the board in others' entries. */
static size_t board_bytes(const struct run_request *request)
{
    size_t share = request->count * ww_type_bytes(request->type);
    const struct plan *plan = request->plan;
    if (plan->collective == COLLECTIVE_BROADCAST) {
        return plan->rank == request->root ? 0 : share;
    }
    return share * ((size_t)plan->size - 1);
}

void engine_planned_bytes(const struct run_request *request, const struct topology *topology,
                          uint64_t *bytes)
{
    if (request->on_board) {
        bytes[0] += board_bytes(request);
        return;
    }
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

bool run_grow(struct run *run, uint32_t parts, uint32_t slots, uint32_t seen)
{
    struct seen *more = realloc(run->seen, (seen + 1) * sizeof *more);
    if (more == NULL) {
        return false;
    }
    run->seen = more;
    return regrow(&run->boundaries[0], parts + 1) && regrow(&run->boundaries[1], parts + 1) &&
           regrow(&run->slot_offsets, slots);
}

void run_finish(struct run *run)
{
    free(run->seen);
    free(run->boundaries[0]);
    free(run->boundaries[1]);
    free(run->slot_offsets);
}

/* ---- Memory that slices stand for -------------------------------------------------------- */

/* The first chunk that a rank's slot 0 or 1 has, where chunks are shares. */
static size_t origin_of(const struct run *run, uint16_t slot, int rank)
{
    enum collective collective = run->request.plan->collective;
    bool own_only = (collective == COLLECTIVE_ALL_GATHER && slot == SLOT_INPUT) ||
                    (collective == COLLECTIVE_REDUCE_SCATTER && slot == SLOT_OUTPUT);
    return own_only ? (size_t)rank : 0;
}

/* Elements from the begin of a rank's slot 0 or 1 to the slice in this segment. */
static size_t vector_offset(const struct run *run, const struct place *place,
                            const struct slice *slice, int rank)
{
    if (run->shares) {
        size_t share = slice->first - origin_of(run, slice->slot, rank);
        return share * run->request.count + place->first;
    }
    return place->boundaries[slice->first] + place->first;
}

static size_t slice_elements(const struct run *run, const struct place *place,
                             const struct slice *slice)
{
    return run->shares
               ? slice->count * place->count
               : place->boundaries[slice->first + slice->count] - place->boundaries[slice->first];
}

/* The same place of the run, in the peer's memory. */
static struct span resolve_seen(const struct run *run, const struct place *place,
                                const struct slice *slice)
{
    const struct seen *seen = &run->seen[slice->seen - 1];
    struct span span = {NULL, slice_elements(run, place, slice), 0, seen->rank};
    if (slice->slot >= SLOT_SCRATCH) {
        size_t index = (size_t)(place - run->places);
        span.memory = seen->scratch + index * seen->place_bytes + run->slot_offsets[slice->slot];
        return span;
    }
    size_t bytes = vector_offset(run, place, slice, seen->rank) * run->element_bytes;
    if (seen->vector[slice->slot] != NULL) {
        span.memory = seen->vector[slice->slot] + bytes;
    }
    span.address = seen->addresses[slice->slot] + bytes;
    return span;
}

static struct span resolve(const struct run *run, const struct place *place,
                           const struct slice *slice)
{
    if (slice->seen > 0) {
        return resolve_seen(run, place, slice);
    }
    int rank = run->request.plan->rank;
    struct span span = {NULL, slice_elements(run, place, slice), 0, rank};
    if (slice->slot >= SLOT_SCRATCH) {
        span.memory = place->scratch + run->slot_offsets[slice->slot];
        return span;
    }
    /* The input is only read; slots share one pointer type. */
    uint8_t *base = slice->slot == SLOT_INPUT ? (uint8_t *)(uintptr_t)run->request.input
                                              : (uint8_t *)run->request.output;
    span.memory = base + vector_offset(run, place, slice, rank) * run->element_bytes;
    return span;
}

/* ---- Local actions ---------------------------------------------------------------------- */

static void count_seen(struct workspace *space, const struct slice *slice, const struct span *span,
                       size_t element_bytes)
{
    if (slice->seen > 0) {
        struct ww_traffic *traffic = &space->seen_traffic[space->peer_level[span->rank]];
        traffic->data_bytes += span->count * element_bytes;
        traffic->data_messages++;
    }
}

/* Copies what was made at `from` to the action's further slices, from element `first` on. */
static void copy_also(const struct workspace *space, const struct action *action,
                      const uint8_t *from, size_t first, size_t bytes)
{
    void *const *also = (void *const *)(const void *)(space->sources + action->source_count);
    for (uint32_t i = 0; i < action->also_count; i++) {
        memcpy((uint8_t *)also[i] + first, from, bytes);
    }
}

static enum ww_status copy(struct workspace *space, const struct run *run,
                           const struct action *action, struct span into, struct span from)
{
    size_t bytes = into.count * run->element_bytes;
    if (from.memory == NULL) {
        enum ww_status status = space->transport->fetch(space->fabric, from.rank, from.address,
                                                        into.memory, bytes);
        if (status != WW_OK) {
            return status;
        }
    } else if (into.memory != from.memory) {
        memcpy(into.memory, from.memory, bytes);
    }
    copy_also(space, action, into.memory, 0, bytes);
    return WW_OK;
}

/* Asks for bytes `from` .. `to` of the further slices. */
static void fetch_also(const struct workspace *space, const struct action *action, size_t from,
                       size_t to)
{
    for (uint32_t i = 0; i < action->also_count; i++) {
        const uint8_t *also = space->sources[action->source_count + i];
        for (size_t at = from; at < to; at += LINE_BYTES) {
            __builtin_prefetch(also + at, 1);
        }
    }
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Several targets get the result piece by piece, while it is in the cache. */
static void reduce_also(struct workspace *space, const struct run *run, const struct action *action,
                        struct span into, double scale)
{
    int shift = __builtin_ctzl(run->element_bytes); /* a power of two */
    bool cached = run->request.count << shift <= CACHED_BYTES;
    size_t piece_bytes = cached ? CACHED_PIECE_BYTES : PIECE_BYTES;
    size_t bytes = into.count << shift;
    size_t asked = cached ? least_of(CACHED_AHEAD_BYTES, bytes) : 0;
    const uint8_t **sources = (const uint8_t **)space->sources;
    fetch_also(space, action, 0, asked);
    for (size_t first = 0; first < bytes; first += piece_bytes) {
        size_t piece = least_of(piece_bytes, bytes - first);
        uint8_t *made = into.memory + first;
        if (cached) {
            size_t next = least_of(asked + piece_bytes, bytes);
            fetch_also(space, action, asked, next);
            asked = next;
        }
        run->reduce(made, space->sources, action->source_count, piece >> shift, scale);
        copy_also(space, action, made, first, piece);
        for (uint32_t i = 0; i < action->source_count; i++) {
            sources[i] += piece_bytes;
        }
    }
}

static enum ww_status run_local(struct workspace *space, const struct run *run,
                                const struct place *place, const struct action *action)
{
    struct span into = resolve(run, place, &action->slice);
    if (into.count == 0) {
        return WW_OK;
    }
    const struct slice *slices = &run->request.plan->sources[action->sources];
    uint32_t others = (uint32_t)action->source_count + action->also_count;
    struct span span = into;
    for (uint32_t i = others; i-- > 0;) { /* so that `span` ends as source 0 */
        span = resolve(run, place, &slices[i]);
        space->sources[i] = span.memory;
        count_seen(space, &slices[i], &span, run->element_bytes);
    }
    if (action->kind == ACTION_COPY) {
        return copy(space, run, action, into, span);
    }
    double scale = action->finish ? run->scale : 1.0;
    if (action->also_count > 0) {
        reduce_also(space, run, action, into, scale);
    } else {
        run->reduce(into.memory, space->sources, action->source_count, into.count, scale);
    }
    return WW_OK;
}

/* ---- Running one segment ---------------------------------------------------------------- */

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

/* Plans without scratch that peers see touch the buffers of their callers. */
static enum ww_status run_locals(struct workspace *space, const struct run *run,
                                 const struct place *place, const struct action *actions,
                                 uint32_t count)
{
    const struct plan *plan = run->request.plan;
    bool enters = plan->seen_count > 0 && plan->shared_slots == 0 && count > 0;
    if (enters && !board_enter(space->board, plan->peers_seen, plan->seen_count)) {
        return WW_PENDING; /* a peer gave up: why will be heard */
    }
    enum ww_status status = WW_OK;
    for (uint32_t i = 0; status == WW_OK && i < count; i++) {
        status = run_local(space, run, place, &actions[i]);
    }
    if (enters) {
        board_leave(space->board);
    }
    return status;
}

/* True when every peer that the round awaits is far enough. */
static bool peers_are_there(const struct workspace *space, const struct run *run,
                            struct place *place, const struct round *round)
{
    const struct action *actions = &run->request.plan->actions[round->first];
    uint64_t needed = place->uses << STEP_BITS | round->step;
    for (; place->awaited < round->awaits; place->awaited++) {
        if (board_observe(space->board, actions[place->awaited].peer, place->tag - 1) < needed) {
            return false;
        }
    }
    return true;
}

/* What is awaited, local actions, then the messages: WW_PENDING when something is outstanding. */
static enum ww_status begin_round(struct workspace *space, const struct run *run,
                                  struct place *place)
{
    const struct plan *plan = run->request.plan;
    const struct round *round = &plan->rounds[place->round];
    const struct action *actions = &plan->actions[round->first + round->awaits];
    if (!peers_are_there(space, run, place, round)) {
        place->flight.wait = WW_WAIT_MEMORY;
        return WW_PENDING;
    }
    enum ww_status status = run_locals(space, run, place, actions, round->locals);
    int count = gather_messages(space, run, place, actions + round->locals, round->messages);
    if (status != WW_OK || count == 0) {
        return status;
    }
    status = space->transport->post(space->fabric, place->tag, false, space->messages, count,
                                    &place->flight);
    place->posted = status == WW_OK;
    return status == WW_OK ? WW_PENDING : status;
}

/* Says so to the peers that see this rank. */
static void end_round(struct workspace *space, const struct run *run, struct place *place)
{
    const struct plan *plan = run->request.plan;
    place->round++;
    place->awaited = 0;
    space->moves++;
    if (plan->seen_count > 0) {
        bool over = place->round == plan->round_count;
        uint64_t uses = place->uses + over;
        uint64_t step = over ? 0 : plan->rounds[place->round].step;
        board_publish(space->board, place->tag - 1, uses << STEP_BITS | step);
    }
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
            end_round(space, run, place);
        }
        if (place->round == run->request.plan->round_count) {
            return WW_OK;
        }
        enum ww_status status = begin_round(space, run, place);
        if (status == WW_OK) {
            end_round(space, run, place);
        } else if (status != WW_PENDING) {
            return status;
        }
        if (status == WW_PENDING && !place->posted) {
            return WW_PENDING; /* a peer is awaited */
        }
    }
}

/* ---- Running one collective ------------------------------------------------------------- */

/* From the end of the vector to its begin: who filled it ended there, so there it is still in the
 * cache. */
static void place_segment(struct run *run, struct place *place)
{
    size_t index = run->slicing.segments - 1 - run->next_segment;
    bool last = index + 1 == run->slicing.segments;
    place->busy = true;
    place->posted = false;
    place->round = 0;
    place->awaited = 0;
    place->first = index * run->slicing.count;
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

/* ---- What ranks show each other ----------------------------------------------------------- */

void run_see(struct run *run, const struct workspace *space, uint64_t number)
{
    const struct plan *plan = run->request.plan;
    const struct ww_transport *transport = space->transport;
    for (uint32_t i = 0; i < plan->seen_count; i++) {
        int rank = plan->peers_seen[i];
        const struct notice *notice = &board_place(space->board, rank, number)->notice;
        struct seen *seen = &run->seen[i];
        *seen = (struct seen){.rank = rank, .place_bytes = notice->place_bytes};
        seen->addresses[SLOT_INPUT] = notice->input;
        seen->addresses[SLOT_OUTPUT] = notice->output;
        if (plan->shared_slots > 0) {
            seen->scratch = transport->view(space->fabric, rank, notice->scratch);
        } else if (notice->viewed) {
            seen->vector[SLOT_INPUT] = transport->view(space->fabric, rank, notice->input);
            seen->vector[SLOT_OUTPUT] = transport->view(space->fabric, rank, notice->output);
        }
    }
}

const void *run_board_values(const struct run_request *request, int rank, size_t *bytes)
{
    enum collective collective = request->plan->collective;
    *bytes = request->count * ww_type_bytes(request->type);
    if (collective == COLLECTIVE_REDUCE_SCATTER) {
        *bytes *= (size_t)request->plan->size;
    } else if (collective == COLLECTIVE_BROADCAST) {
        *bytes = rank == request->root ? *bytes : 0;
        return request->output;
    }
    return request->input;
}

/* The values of all ranks become space->sources, shifted by `offset` bytes; the own ones are read
 * where they are. */
static void gather_values(const struct run *run, struct workspace *space, uint64_t number,
                          size_t bytes, size_t offset)
{
    const struct plan *plan = run->request.plan;
    for (int rank = 0; rank < plan->size; rank++) {
        const uint8_t *values = board_values(board_place(space->board, rank, number), bytes);
        values = rank == plan->rank ? run->request.input : values;
        space->sources[rank] = values + offset;
    }
}

static void reduce_values(const struct run *run, const struct workspace *space,
                          const struct kernels *kernels)
{
    const struct run_request *request = &run->request;
    int size = request->plan->size;
    kernels->reduce[request->type][request->op](request->output, space->sources, size,
                                                request->count,
                                                request->op == WW_MEAN ? 1.0 / size : 1.0);
}

static void take_values(const struct run *run, const struct workspace *space, size_t bytes)
{
    for (int rank = 0; rank < run->request.plan->size; rank++) {
        uint8_t *into = (uint8_t *)run->request.output + (size_t)rank * bytes;
        if (into != space->sources[rank]) {
            memcpy(into, space->sources[rank], bytes);
        }
    }
}

void run_on_board(struct run *run, struct workspace *space, const struct kernels *kernels,
                  uint64_t number)
{
    const struct run_request *request = &run->request;
    const struct plan *plan = request->plan;
    size_t share = request->count * ww_type_bytes(request->type);
    if (share == 0) {
        return;
    }
    switch (plan->collective) {
    case COLLECTIVE_ALL_REDUCE:
        gather_values(run, space, number, share, 0);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_REDUCE_SCATTER:
        gather_values(run, space, number, share * (size_t)plan->size, share * (size_t)plan->rank);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_ALL_GATHER:
        gather_values(run, space, number, share, 0);
        take_values(run, space, share);
        break;
    default:
        if (plan->rank != request->root) {
            memcpy(request->output,
                   board_values(board_place(space->board, request->root, number), share), share);
        }
    }
    size_t read = board_bytes(request);
    space->seen_traffic[0].data_bytes += read;
    space->seen_traffic[0].data_messages += read / share;
}

/* A peer that one segment waits for, -1 when nobody knows. */
static int peer_of_place(const struct run *run, const struct workspace *space,
                         const struct place *place)
{
    const struct plan *plan = run->request.plan;
    if (place->posted) {
        return space->transport->waits_for == NULL
                   ? -1
                   : space->transport->waits_for(space->fabric, &place->flight);
    }
    const struct round *round = &plan->rounds[place->round];
    bool awaits = place->round < plan->round_count && place->awaited < round->awaits;
    return awaits ? plan->actions[round->first + place->awaited].peer : -1;
}

int run_awaited_peer(const struct run *run, const struct workspace *space)
{
    int peer = -1;
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
                              .collective = request->plan->collective,
                              .type = request->type,
                              .op = request->op,
                              .root = request->root,
                              .label = request->label,
                              .reserved = 0};
}
