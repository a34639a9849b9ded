/* SPDX-License-Identifier: BSD-3-Clause
 * engine.c: slides plans along vectors: several segments in flight, each at its own round. */
#include "engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

#define LINE_BYTES 64
#define NS_PER_S 1e9
/* How long silent ranks have to answer a roll call; an error comes within a second of its time. */
#define ROLL_CALL_NS UINT64_C(400000000)
/* Ranks of a star wait so much longer for rank 0, which is the one to name the absent. */
#define STAR_PATIENCE_NS UINT64_C(500000000)

/* One place of a run's window: a segment on its way through the plan. */
struct place {
    bool busy;
    bool posted; /* the round's messages are under way */
    uint32_t round;
    size_t first; /* element at which the segment begins, in the vector or in each share */
    size_t count; /* its elements */
    const size_t *boundaries;
    uint8_t *scratch;
    int tag;
    struct ww_flight flight;
};

enum run_state { RUN_FREE, RUN_AT_GATE, RUN_MOVING, RUN_DONE };

struct run {
    enum run_state state;
    struct run_request request;
    struct slicing slicing;
    bool shares; /* chunk c is rank c's share: chunks lie request.count elements apart */
    size_t element_bytes;
    reduce_kernel *reduce;
    double scale;
    uint32_t origin[2]; /* chunk at which slots 0 and 1 begin */
    size_t next_segment;
    size_t segments_done;
    size_t *boundaries[2]; /* of a full segment and of the last one; [parts + 1] */
    size_t *slot_offsets;  /* [slots] in bytes, inside a place's scratch */
    struct place places[ENGINE_WINDOW_MAX];
};

struct engine {
    const struct ww_transport *transport;
    void *fabric;
    const struct topology *topology;
    const struct kernels *kernels;
    uint64_t timeout_ns;
    uint64_t warn_ns;
    struct gate *gate;
    enum ww_status status;

    struct run runs[ENGINE_RUNS_MAX]; /* by number % ENGINE_RUNS_MAX */
    uint64_t started;
    uint64_t oldest; /* lowest number that is not done */
    uint64_t passed; /* the gate */

    void *scratch;
    size_t scratch_bytes; /* all runs, all places */
    size_t place_bytes;
    int window_room;
    uint32_t parts_room, slots_room, messages_room, sources_room;
    struct ww_message *messages; /* [messages_room] one round */
    const void **sources;        /* [sources_room] one reduction */

    uint64_t planned[WW_LEVELS_MAX];
    enum ww_wait wait;
    uint64_t moves;      /* gates passed, rounds and collectives done */
    uint64_t moves_seen; /* at last_move_ns */
    uint64_t last_move_ns;
    bool warned;
    bool roll_called;
    uint64_t roll_called_ns;
};

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

/* The most elements a segment may have, counting one share only where there are shares. */
static size_t segment_room(const struct run_request *request)
{
    size_t elements = request->segment_bytes / ww_type_bytes(request->type);
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

void engine_planned_bytes(const struct run_request *request, const struct topology *topology,
                          uint64_t *bytes)
{
    const struct plan *plan = request->plan;
    struct slicing slicing = engine_slicing(request);
    size_t element_bytes = ww_type_bytes(request->type);
    if (slicing.segments == 0) {
        return;
    }
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        if (action->kind == ACTION_SEND) {
            size_t full = slice_count(plan, &action->slice, slicing.count);
            size_t last = slice_count(plan, &action->slice, slicing.last);
            bytes[topology->peer_level[action->peer]] +=
                ((slicing.segments - 1) * full + last) * element_bytes;
        }
    }
}

/* ---- Room ------------------------------------------------------------------------------- */

static size_t round_to_line(size_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

static size_t slot_bytes(const struct run_request *request, uint16_t slot)
{
    const struct plan *plan = request->plan;
    size_t room = segment_room(request);
    size_t segment = room < request->count ? room : request->count;
    size_t chunks = plan->slot_chunks[slot];
    size_t elements = has_shares(plan->collective)
                          ? chunks * segment
                          : plan_chunks_max(segment, plan->parts, (uint32_t)chunks);
    return round_to_line(elements * ww_type_bytes(request->type));
}

static size_t scratch_bytes_of(const struct run_request *request)
{
    size_t bytes = 0;
    for (uint16_t slot = SLOT_SCRATCH; slot < request->plan->slot_count; slot++) {
        bytes += slot_bytes(request, slot);
    }
    return bytes;
}

static void release_scratch(struct engine *engine)
{
    if (engine->transport->release != NULL && engine->scratch != NULL) {
        engine->transport->release(engine->fabric, engine->scratch, engine->scratch_bytes);
    } else {
        memory_release(engine->scratch, engine->scratch_bytes);
    }
    engine->scratch = NULL;
    engine->scratch_bytes = 0;
    engine->place_bytes = 0;
}

static enum ww_status map_scratch(struct engine *engine, size_t bytes)
{
    if (bytes > 0 && engine->transport->reserve != NULL) {
        return engine->transport->reserve(engine->fabric, bytes, &engine->scratch);
    }
    engine->scratch = memory_reserve(bytes);
    if (bytes > 0 && engine->scratch == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %zu bytes of scratch", bytes);
    }
    return WW_OK;
}

static enum ww_status reserve_scratch(struct engine *engine, size_t place_bytes, int window)
{
    place_bytes = place_bytes > engine->place_bytes ? place_bytes : engine->place_bytes;
    window = window > engine->window_room ? window : engine->window_room;
    size_t bytes = place_bytes * (size_t)window * ENGINE_RUNS_MAX;
    if (bytes <= engine->scratch_bytes && window <= engine->window_room) {
        return WW_OK;
    }
    release_scratch(engine);
    enum ww_status status = map_scratch(engine, bytes);
    if (status != WW_OK) {
        return status;
    }
    engine->scratch_bytes = bytes;
    engine->place_bytes = place_bytes;
    engine->window_room = window;
    return WW_OK;
}

static bool regrow(void **array, size_t count, size_t entry_bytes)
{
    void *larger = realloc(*array, count * entry_bytes);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    return true;
}

static bool grow_runs(struct engine *engine, uint32_t parts, uint32_t slots)
{
    bool grown = true;
    for (int i = 0; i < ENGINE_RUNS_MAX; i++) {
        struct run *run = &engine->runs[i];
        grown = grown && regrow((void **)&run->boundaries[0], parts + 1, sizeof(size_t)) &&
                regrow((void **)&run->boundaries[1], parts + 1, sizeof(size_t)) &&
                regrow((void **)&run->slot_offsets, slots, sizeof(size_t));
    }
    engine->parts_room = grown ? parts : engine->parts_room;
    engine->slots_room = grown ? slots : engine->slots_room;
    return grown;
}

static uint32_t larger_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t sources_max(const struct plan *plan)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        most = larger_of(most, plan->actions[i].source_count);
    }
    return most;
}

static bool fits(const struct engine *engine, const struct run_request *request)
{
    const struct plan *plan = request->plan;
    return plan->parts <= engine->parts_room && plan->slot_count <= engine->slots_room &&
           plan->messages_max <= engine->messages_room && request->window <= engine->window_room &&
           scratch_bytes_of(request) <= engine->place_bytes;
}

enum ww_status engine_reserve(struct engine *engine, const struct run_request *request)
{
    assert(engine->oldest == engine->started);
    const struct plan *plan = request->plan;
    uint32_t sources = larger_of(sources_max(plan), engine->sources_room);
    if (fits(engine, request) && sources <= engine->sources_room) {
        return WW_OK;
    }
    uint32_t parts = larger_of(plan->parts, engine->parts_room);
    uint32_t slots = larger_of(plan->slot_count, engine->slots_room);
    uint32_t messages = larger_of(plan->messages_max + 1, engine->messages_room);
    if (!grow_runs(engine, parts, slots) ||
        !regrow((void **)&engine->messages, messages, sizeof *engine->messages) ||
        !regrow((void **)&engine->sources, sources, sizeof *engine->sources)) {
        return log_failure(WW_NO_MEMORY, "no memory to run plans of %u chunks and %u messages",
                           parts, messages);
    }
    engine->messages_room = messages;
    engine->sources_room = sources;
    return reserve_scratch(engine, scratch_bytes_of(request), request->window);
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

static void reduce(const struct engine *engine, const struct run *run, const struct place *place,
                   const struct action *action, struct span into)
{
    const struct slice *sources = &run->request.plan->sources[action->sources];
    for (uint32_t i = 0; i < action->source_count; i++) {
        engine->sources[i] = resolve(run, place, &sources[i]).memory;
    }
    run->reduce(into.memory, engine->sources, action->source_count, into.count,
                action->finish ? run->scale : 1.0);
}

static void run_local(const struct engine *engine, const struct run *run,
                      const struct place *place, const struct action *action)
{
    struct span into = resolve(run, place, &action->slice);
    if (into.count == 0) {
        return;
    }
    if (action->kind == ACTION_COPY) {
        copy(run, into, &run->request.plan->sources[action->sources], place);
    } else {
        reduce(engine, run, place, action, into);
    }
}

/* Fills engine->messages with the round's; empty slices do not travel. */
static int gather_messages(struct engine *engine, const struct run *run, const struct place *place,
                           const struct action *actions, uint32_t count)
{
    int filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct span span = resolve(run, place, &actions[i].slice);
        if (span.count == 0) {
            continue;
        }
        engine->messages[filled++] = (struct ww_message){
            .kind = actions[i].kind == ACTION_SEND ? WW_SEND : WW_RECEIVE,
            .peer = actions[i].peer,
            .memory = span.memory,
            .bytes = span.count * run->element_bytes};
    }
    return filled;
}

/* Local actions, then the messages: WW_PENDING when some are under way. */
static enum ww_status begin_round(struct engine *engine, const struct run *run,
                                  struct place *place)
{
    const struct plan *plan = run->request.plan;
    const struct round *round = &plan->rounds[place->round];
    const struct action *actions = &plan->actions[round->first];
    for (uint32_t i = 0; i < round->locals; i++) {
        run_local(engine, run, place, &actions[i]);
    }
    int count = gather_messages(engine, run, place, actions + round->locals, round->messages);
    if (count == 0) {
        return WW_OK;
    }
    enum ww_status status = engine->transport->post(engine->fabric, place->tag, false,
                                                    engine->messages, count, &place->flight);
    place->posted = status == WW_OK;
    return status == WW_OK ? WW_PENDING : status;
}

/* Takes a segment as far as it goes: WW_OK at its end, WW_PENDING, or an error. */
static enum ww_status advance_place(struct engine *engine, const struct run *run,
                                    struct place *place)
{
    while (true) {
        if (place->posted) {
            enum ww_status status = engine->transport->poll(engine->fabric, &place->flight);
            if (status != WW_OK) {
                return status;
            }
            place->posted = false;
            place->round++;
            engine->moves++;
        }
        if (place->round == run->request.plan->round_count) {
            return WW_OK;
        }
        enum ww_status status = begin_round(engine, run, place);
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

/* Segment s always travels at place s % window, on every rank: tags match. */
static enum ww_status advance_run(struct engine *engine, struct run *run)
{
    size_t window = (size_t)run->request.window;
    for (size_t s = run->segments_done; s < run->slicing.segments; s++) {
        struct place *place = &run->places[s % window];
        if (s >= run->next_segment) {
            if (s >= run->segments_done + window) {
                break;
            }
            place_segment(run, place);
        }
        if (!place->busy) {
            continue;
        }
        enum ww_status status = advance_place(engine, run, place);
        if (status == WW_PENDING) {
            if (place->flight.wait == WW_WAIT_NETWORK) {
                engine->wait = WW_WAIT_NETWORK;
            }
            continue;
        }
        if (status != WW_OK) {
            return status;
        }
        place->busy = false;
        while (run->segments_done < run->next_segment &&
               !run->places[run->segments_done % window].busy) {
            run->segments_done++;
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

/* Everything that depends on the request only, so that rounds are cheap. */
static void prepare_run(struct engine *engine, struct run *run, int index)
{
    const struct run_request *request = &run->request;
    const struct plan *plan = request->plan;
    bool reduces = request->op != WW_OP_COUNT;
    run->slicing = engine_slicing(request);
    run->shares = has_shares(plan->collective);
    run->element_bytes = ww_type_bytes(request->type);
    run->reduce = reduces ? engine->kernels->reduce[request->type][request->op] : NULL;
    run->scale = request->op == WW_MEAN ? 1.0 / plan->size : 1.0;
    run->origin[SLOT_INPUT] = plan->collective == COLLECTIVE_ALL_GATHER ? (uint32_t)plan->rank : 0;
    run->origin[SLOT_OUTPUT] =
        plan->collective == COLLECTIVE_REDUCE_SCATTER ? (uint32_t)plan->rank : 0;
    run->next_segment = 0;
    run->segments_done = 0;
    if (!run->shares) {
        fill_boundaries(run->boundaries[0], run->slicing.count, plan->parts);
        fill_boundaries(run->boundaries[1], run->slicing.last, plan->parts);
    }
    size_t offset = 0;
    for (uint16_t slot = SLOT_SCRATCH; slot < plan->slot_count; slot++) {
        run->slot_offsets[slot] = offset;
        offset += slot_bytes(request, slot);
    }
    for (int w = 0; w < request->window; w++) {
        struct place *place = &run->places[w];
        place->busy = false;
        place->tag = 1 + index * ENGINE_WINDOW_MAX + w;
        place->scratch = engine->scratch == NULL
                             ? NULL
                             : (uint8_t *)engine->scratch +
                                   (size_t)(index * engine->window_room + w) * engine->place_bytes;
    }
}

static struct signature signature_of(const struct run_request *request)
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

bool engine_has_room(struct engine *engine)
{
    return engine->started - engine->oldest < ENGINE_RUNS_MAX && gate_has_room(engine->gate);
}

enum ww_status engine_start(struct engine *engine, const struct run_request *request,
                            uint64_t now_ns, uint64_t *number)
{
    assert(engine->started - engine->oldest < ENGINE_RUNS_MAX && fits(engine, request));
    if (engine->status != WW_OK) {
        return engine->status;
    }
    int index = (int)(engine->started % ENGINE_RUNS_MAX);
    struct run *run = &engine->runs[index];
    run->request = *request;
    prepare_run(engine, run, index);
    struct signature signature = signature_of(request);
    enum ww_status status = gate_announce(engine->gate, &signature);
    if (status != WW_OK) {
        return engine_fail(engine, status, log_last_error());
    }
    if (engine->oldest == engine->started) {
        engine->last_move_ns = now_ns;
    }
    run->state = RUN_AT_GATE;
    *number = engine->started++;
    return WW_OK;
}

/* ---- Trouble ---------------------------------------------------------------------------- */

enum ww_status engine_fail(struct engine *engine, enum ww_status status, const char *sentence)
{
    if (engine->status == WW_OK) {
        engine->status = status;
        gate_report_failure(engine->gate, status, sentence);
    }
    return engine->status;
}

static const char *host_name(const struct engine *engine, int rank)
{
    return engine->topology->host_name[engine->topology->host_of[rank]];
}

/* A peer that the oldest collective's messages wait for, -1 when the fabric cannot tell. */
static int awaited_peer(const struct engine *engine)
{
    const struct run *run = &engine->runs[engine->oldest % ENGINE_RUNS_MAX];
    if (engine->transport->waits_for == NULL || run->state != RUN_MOVING) {
        return -1;
    }
    for (int w = 0; w < run->request.window; w++) {
        const struct place *place = &run->places[w];
        if (place->busy && place->posted) {
            int peer = engine->transport->waits_for(engine->fabric, &place->flight);
            if (peer >= 0) {
                return peer;
            }
        }
    }
    return -1;
}

/* "rank 3 (node7), rank 5 (node8)" of those that the oldest collective waits for. */
static void name_awaited(const struct engine *engine, char *text, size_t bytes)
{
    int ranks[4];
    int count = 1;
    const struct run *run = &engine->runs[engine->oldest % ENGINE_RUNS_MAX];
    if (run->state == RUN_AT_GATE) {
        count = gate_missing(engine->gate, ranks, 4);
    } else {
        ranks[0] = gate_silent(engine->gate);
        ranks[0] = ranks[0] >= 0 ? ranks[0] : awaited_peer(engine);
        count = ranks[0] >= 0;
    }
    size_t used = 0;
    snprintf(text, bytes, "its peers");
    for (int i = 0; i < count && i < 4 && used < bytes; i++) {
        used += (size_t)snprintf(text + used, bytes - used, "%srank %d (%s)", i == 0 ? "" : ", ",
                                 ranks[i], host_name(engine, ranks[i]));
    }
    if (count > 4 && used < bytes) {
        snprintf(text + used, bytes - used, " and %d more", count - 4);
    }
}

static enum ww_status time_out(struct engine *engine)
{
    const struct run *run = &engine->runs[engine->oldest % ENGINE_RUNS_MAX];
    struct signature signature = signature_of(&run->request);
    char who[256];
    char what[160];
    name_awaited(engine, who, sizeof who);
    signature_print(&signature, what, sizeof what);
    return log_failure(WW_TIMED_OUT, "%s %s %s within %.3g s (timeout_s)", who,
                       run->state == RUN_AT_GATE ? "did not come to" : "went silent in", what,
                       (double)engine->timeout_ns / NS_PER_S);
}

static void warn_once(struct engine *engine, uint64_t quiet_ns)
{
    if (engine->warned || quiet_ns < engine->warn_ns) {
        return;
    }
    engine->warned = true;
    char who[256];
    name_awaited(engine, who, sizeof who);
    log_warn("waiting for %s since %.3g s; gives up after %.3g s (timeout_s)", who,
             (double)quiet_ns / NS_PER_S, (double)engine->timeout_ns / NS_PER_S);
}

/* Called while nothing moves. At a gate the absent are known; amid data only neighbours are, so
 * everybody is asked first and has a moment to answer. */
static enum ww_status watch(struct engine *engine, uint64_t now_ns)
{
    uint64_t quiet_ns = now_ns - engine->last_move_ns;
    warn_once(engine, quiet_ns);
    if (quiet_ns < engine->timeout_ns / 4) {
        return WW_PENDING;
    }
    gate_waits_for(engine->gate, awaited_peer(engine));
    bool at_gate = engine->runs[engine->oldest % ENGINE_RUNS_MAX].state == RUN_AT_GATE;
    bool star_member =
        engine->topology->size > GATE_DIRECT_SIZE && engine->topology->rank != 0;
    if (quiet_ns < engine->timeout_ns + (at_gate && star_member ? STAR_PATIENCE_NS : 0)) {
        return WW_PENDING;
    }
    if (!at_gate && !engine->roll_called) {
        engine->roll_called = true;
        engine->roll_called_ns = now_ns;
        gate_call_roll(engine->gate);
    }
    if (!at_gate && now_ns - engine->roll_called_ns < ROLL_CALL_NS) {
        return WW_PENDING;
    }
    return time_out(engine);
}

/* ---- Advancing -------------------------------------------------------------------------- */

static enum ww_status pass_gate(struct engine *engine)
{
    uint64_t passed;
    enum ww_status status = gate_advance(engine->gate, &passed);
    if (status == WW_OK && passed > engine->passed) {
        engine->passed = passed;
        engine->moves++;
    }
    return status;
}

static enum ww_status advance_runs(struct engine *engine)
{
    for (uint64_t number = engine->oldest; number < engine->started; number++) {
        struct run *run = &engine->runs[number % ENGINE_RUNS_MAX];
        if (run->state == RUN_AT_GATE && number < engine->passed) {
            run->state = RUN_MOVING;
            engine_planned_bytes(&run->request, engine->topology, engine->planned);
        }
        if (run->state == RUN_MOVING) {
            enum ww_status status = advance_run(engine, run);
            if (status == WW_OK) {
                run->state = RUN_DONE;
                engine->moves++;
            } else if (status != WW_PENDING) {
                return status;
            }
        }
        if (run->state == RUN_DONE && number == engine->oldest) {
            run->state = RUN_FREE;
            engine->oldest++;
        }
    }
    return WW_OK;
}

static enum ww_status note_time(struct engine *engine, uint64_t now_ns)
{
    if (engine->moves != engine->moves_seen) {
        engine->moves_seen = engine->moves;
        engine->warned = false;
        engine->roll_called = false;
        engine->last_move_ns = now_ns;
    } else if (now_ns > engine->last_move_ns) {
        return watch(engine, now_ns);
    }
    return WW_PENDING;
}

enum ww_status engine_advance(struct engine *engine, uint64_t now_ns)
{
    if (engine->status != WW_OK) {
        return engine->status;
    }
    engine->wait = engine->topology->levels > 1 && engine->passed < engine->started
                       ? WW_WAIT_NETWORK
                       : WW_WAIT_MEMORY;
    enum ww_status status = pass_gate(engine);
    if (status == WW_OK) {
        status = advance_runs(engine);
    }
    if (status == WW_OK) {
        if (engine->oldest == engine->started) {
            return WW_OK;
        }
        status = note_time(engine, now_ns);
    }
    return status == WW_PENDING ? WW_PENDING : engine_fail(engine, status, log_last_error());
}

bool engine_done(const struct engine *engine, uint64_t number)
{
    return number < engine->oldest ||
           engine->runs[number % ENGINE_RUNS_MAX].state == RUN_DONE;
}

enum ww_wait engine_wait(const struct engine *engine)
{
    return engine->wait;
}

uint64_t engine_moves(const struct engine *engine)
{
    return engine->moves;
}

void engine_counters(const struct engine *engine, uint64_t *planned_bytes,
                     struct ww_traffic *traffic)
{
    memcpy(planned_bytes, engine->planned,
           (size_t)engine->topology->levels * sizeof *planned_bytes);
    engine->transport->counters(engine->fabric, traffic);
}

/* ---- Life ------------------------------------------------------------------------------- */

void engine_destroy(struct engine *engine, bool failed)
{
    if (engine == NULL) {
        return;
    }
    /* After a failure late messages may still arrive in scratch: only the fabric knows until
     * when, so plain memory is left to the process then. */
    bool broken = failed || engine->status != WW_OK || engine->oldest != engine->started;
    if (!broken) {
        release_scratch(engine);
    }
    engine->transport->close(engine->fabric, broken);
    gate_destroy(engine->gate);
    for (int i = 0; i < ENGINE_RUNS_MAX; i++) {
        free(engine->runs[i].boundaries[0]);
        free(engine->runs[i].boundaries[1]);
        free(engine->runs[i].slot_offsets);
    }
    free(engine->messages);
    free(engine->sources);
    free(engine);
}

static uint64_t to_ns(double seconds)
{
    return (uint64_t)(seconds * NS_PER_S);
}

enum ww_status engine_create(const struct engine_setup *setup, struct engine **engine)
{
    struct engine *made = calloc(1, sizeof *made);
    if (made == NULL) {
        setup->transport->close(setup->fabric, true);
        return log_failure(WW_NO_MEMORY, "no memory for an engine");
    }
    made->transport = setup->transport;
    made->fabric = setup->fabric;
    made->topology = setup->topology;
    made->kernels = setup->kernels;
    made->timeout_ns = to_ns(setup->timeout_s);
    made->warn_ns = to_ns(setup->warn_s);
    enum ww_status status = gate_create(setup->transport, setup->fabric, setup->topology,
                                        ENGINE_RUNS_MAX, &made->gate);
    if (status == WW_OK) {
        status = gate_open(made->gate);
    }
    if (status != WW_OK) {
        engine_destroy(made, true);
        return status;
    }
    *engine = made;
    return WW_OK;
}
