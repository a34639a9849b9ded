/* SPDX-License-Identifier: BSD-3-Clause
 * engine.c: leads collectives through the gate and moves those that passed, oldest first. */
#include "engine.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "delay.h"
#include "internal/log.h"
#include "internal/memory.h"
#include "run.h"
#include "tune.h"
#include "watch.h"

/* A run that is done, but nobody told the time yet. */
struct lesson {
    struct tuner *tuner;
    struct tuned_case which;
    enum tuned_way way;
    uint64_t begin_ns; /* 0 = none */
};

#define OTHER_WAYS (1 + TUNED_WAYS)

struct engine {
    struct workspace space;
    const struct topology *topology;
    const struct kernels *kernels;
    struct board *board; /* NULL where ranks do not see each other */
    struct gate *gate;
    struct watch watch;
    uint64_t (*clock_ns)(void);
    enum ww_status status;

    struct run runs[ENGINE_RUNS_MAX]; /* by number, see run_of */
    uint64_t run_count;
    uint64_t started;
    uint64_t oldest; /* lowest number that is not done */
    uint64_t passed; /* the gate */

    void *scratch; /* [run_count * window_room] places */
    size_t scratch_bytes;
    size_t place_bytes;
    int window_room;
    uint32_t parts_room;
    uint32_t slots_room;
    uint32_t seen_room;
    struct tuner tuners[COLLECTIVE_COUNT][2]; /* rank 0 counts for all; [1] in place */
    struct lesson lesson;
    struct delay delay;
    uint64_t told;                        /* where there is no board */
    struct run_shape reserved;            /* the latest that engine_reserve found room for, ... */
    struct way reserved_ways[OTHER_WAYS]; /* ... and its other ways */
    uint64_t planned[WW_LEVELS_MAX];
    struct ww_traffic final_traffic[WW_LEVELS_MAX]; /* of a fabric that is closed */
};

/* Runs are used in turn, so that all ranks use the same one for a collective. */
static size_t run_index(const struct engine *engine, uint64_t number)
{
    return (size_t)(number & (engine->run_count - 1));
}

/* ---- Room ------------------------------------------------------------------------------- */

static void release_scratch(struct engine *engine)
{
    if (engine->space.transport->release != NULL && engine->scratch != NULL) {
        engine->space.transport->release(engine->space.fabric, engine->scratch,
                                         engine->scratch_bytes);
    } else {
        memory_release(engine->scratch, engine->scratch_bytes);
    }
    engine->scratch = NULL;
    engine->scratch_bytes = 0;
    engine->place_bytes = 0;
}

static enum ww_status map_scratch(struct engine *engine, size_t bytes)
{
    if (bytes > 0 && engine->space.transport->reserve != NULL) {
        return engine->space.transport->reserve(engine->space.fabric, bytes, &engine->scratch);
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
    size_t bytes = place_bytes * (size_t)window * engine->run_count;
    if (bytes <= engine->scratch_bytes && window <= engine->window_room) {
        return WW_OK;
    }
    release_scratch(engine);
    engine->reserved.plan = 0; /* what it found room for is gone */
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

static uint32_t larger_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool grow_runs(struct engine *engine, const struct plan *plan)
{
    uint32_t parts = larger_of(plan->parts, engine->parts_room);
    uint32_t slots = larger_of(plan->slot_count, engine->slots_room);
    uint32_t seen = larger_of(plan->seen_count, engine->seen_room);
    for (uint64_t i = 0; i < engine->run_count; i++) {
        engine->runs[i].shape.plan = 0; /* what was cut is cut anew */
        if (!run_grow(&engine->runs[i], parts, slots, seen)) {
            return false;
        }
    }
    engine->parts_room = parts;
    engine->slots_room = slots;
    engine->seen_room = seen;
    return true;
}

static bool grow_space(struct workspace *space, const struct plan *plan)
{
    uint32_t messages = larger_of(plan->messages_max + 1, space->messages_room);
    uint32_t sources = larger_of(plan->sources_max + 1, space->sources_room);
    if (!regrow((void **)&space->messages, messages, sizeof *space->messages) ||
        !regrow((void **)&space->sources, sources, sizeof *space->sources)) {
        return false;
    }
    space->messages_room = messages;
    space->sources_room = sources;
    return true;
}

static int window_of(const struct run_request *request)
{
    struct slicing slicing = engine_slicing(request);
    return run_window(&slicing, request->window);
}

static bool fits(const struct engine *engine, const struct run_request *request)
{
    const struct plan *plan = request->plan;
    return plan->parts <= engine->parts_room && plan->slot_count <= engine->slots_room &&
           plan->seen_count <= engine->seen_room &&
           plan->messages_max < engine->space.messages_room &&
           plan->sources_max < engine->space.sources_room &&
           window_of(request) <= engine->window_room &&
           run_scratch_bytes(request) <= engine->place_bytes;
}

/* Makes room for so many bytes: zeros, where there was less. */
static enum ww_status grow_memory(void **memory, size_t *room, size_t bytes, const char *purpose)
{
    if (bytes <= *room) {
        return WW_OK;
    }
    memory_release(*memory, *room);
    *memory = memory_reserve(bytes);
    *room = *memory != NULL ? bytes : 0;
    if (*memory == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %zu bytes to %s", bytes, purpose);
    }
    memset(*memory, 0, bytes);
    return WW_OK;
}

/* What encoding and decoding need for themselves; one run does so at a time. */
static enum ww_status reserve_codec(struct engine *engine, const struct run_request *request)
{
    struct workspace *space = &engine->space;
    const struct codec_spec *spec = &request->coding.spec;
    enum ww_status status = grow_memory(&space->codec_memory, &space->codec_bytes,
                                        frame_codec_bytes(spec, engine_slicing(request).count),
                                        "encode with");
    return status == WW_OK ? grow_memory(&space->sums, &space->sums_bytes,
                                         frame_sums_bytes(spec, request->count), "sum in")
                           : status;
}

static enum ww_status make_fit(struct engine *engine, const struct run_request *request)
{
    if (request->plan == NULL) {
        return WW_OK;
    }
    enum ww_status status = reserve_codec(engine, request);
    if (status != WW_OK || fits(engine, request)) {
        return status;
    }
    const struct plan *plan = request->plan;
    if (!grow_runs(engine, plan) || !grow_space(&engine->space, plan)) {
        return log_failure(WW_NO_MEMORY, "no memory to run plans of %u chunks and %u messages",
                           plan->parts, plan->messages_max);
    }
    return reserve_scratch(engine, run_scratch_bytes(request), window_of(request));
}

static void take_way(struct run_request *request, const struct way *way)
{
    request->plan = way->plan;
    request->segment_bytes = way->segment_bytes;
    request->window = way->window;
    request->early = way->early;
}

/* Ways beside the plan that a request may go, by number. */
static const struct way *other_way(const struct run_request *request, int number)
{
    return number == 0 ? &request->viewed : &request->tuned[number - 1];
}

/* A request that goes one way alone may be like one with others in all else. */
static bool is_reserved(const struct engine *engine, const struct run_request *request)
{
    bool same = run_shape_same(&engine->reserved, request);
    for (int i = 0; same && i < OTHER_WAYS; i++) {
        const struct way *before = &engine->reserved_ways[i];
        const struct way *way = other_way(request, i);
        same = before->plan == way->plan && before->segment_bytes == way->segment_bytes &&
               before->window == way->window;
    }
    return same;
}

enum ww_status engine_reserve(struct engine *engine, const struct run_request *request)
{
    if (engine->status != WW_OK) {
        return engine->status;
    }
    assert(engine->oldest == engine->started);
    if (request->with_announcement || is_reserved(engine, request)) {
        return WW_OK;
    }
    struct run_request other = *request;
    enum ww_status status = make_fit(engine, request);
    for (int i = 0; i < OTHER_WAYS && status == WW_OK; i++) {
        take_way(&other, other_way(request, i));
        status = make_fit(engine, &other);
    }
    for (int i = 0; i < OTHER_WAYS && status == WW_OK; i++) {
        engine->reserved_ways[i] = *other_way(request, i);
    }
    if (status == WW_OK) {
        engine->reserved = run_shape(request);
    }
    return status;
}

/* ---- Starting --------------------------------------------------------------------------- */

/* A peer gave up, and nothing is left that it had done. */
static bool is_abandoned(const struct engine *engine)
{
    return engine->oldest == engine->started && gate_has_news(engine->gate);
}

bool engine_has_room(struct engine *engine)
{
    if (engine->status != WW_OK || is_abandoned(engine)) {
        return true; /* engine_start will say so */
    }
    return engine->started - engine->oldest < engine->run_count && gate_has_room(engine->gate);
}

enum ww_status engine_await_room(struct engine *engine, uint64_t since_ns, uint64_t now_ns)
{
    if (engine_has_room(engine)) {
        return WW_OK;
    }
    if (now_ns - since_ns <= engine->watch.timeout_ns) {
        return WW_PENDING;
    }
    return log_failure(WW_TIMED_OUT,
                       "the fabric did not take a control message within %.3g s (timeout_s)",
                       (double)engine->watch.timeout_ns / 1e9);
}

/* The fabric goes at once, so that the caller's memory is let go of before the failure is returned,
 * as far as the fabric can: MPI cannot take back every message (wirewise/mpi.h). */
static void close_fabric(struct engine *engine, bool failed)
{
    engine->space.transport->close(engine->space.fabric, failed);
    engine->space.fabric = NULL;
}

/* Peers leave the callers' buffers within the time of one local action. */
#define LEAVE_NS UINT64_C(200000000)

static void await_peers_leave(const struct engine *engine)
{
    if (engine->board == NULL || engine->clock_ns == NULL) {
        return;
    }
    uint64_t begin_ns = engine->clock_ns();
    int rank;
    while ((rank = board_inside(engine->board)) >= 0) {
        if (engine->clock_ns() - begin_ns > LEAVE_NS) {
            log_warn("rank %d (%s) was stopped or killed while it worked in buffers from ww_alloc: "
                     "keep those of the failed call until it is gone, it may still write there",
                     rank, engine->topology->host_name[engine->topology->host_of[rank]]);
            return;
        }
        sched_yield();
    }
}

enum ww_status engine_fail(struct engine *engine, enum ww_status status, const char *sentence)
{
    if (engine->status == WW_OK) {
        engine->status = status;
        log_hold_error(); /* `sentence` may be it, and telling those who are gone may fail */
        gate_report_failure(engine->gate, engine->oldest, status, sentence);
        await_peers_leave(engine);
        engine->space.transport->counters(engine->space.fabric, engine->final_traffic);
        close_fabric(engine, true);
        log_release_error();
    }
    return engine->status;
}

void engine_leave(struct engine *engine, const char *sentence)
{
    if (engine->status == WW_OK) {
        gate_leave(engine->gate, engine->oldest, sentence);
    }
}

void engine_be_idle(struct engine *engine, bool idle)
{
    gate_be_idle(engine->gate, idle);
}

size_t engine_area_bytes(int runs)
{
    return board_area_bytes(runs > 0 ? runs : ENGINE_RUNS_MAX);
}

/* Bytes of a rank's input and output. */
static size_t vector_bytes(const struct run_request *request, bool of_all)
{
    size_t bytes = request->count * ww_type_bytes(request->type);
    return of_all ? bytes * (size_t)request->plan->size : bytes;
}

static size_t input_bytes(const struct run_request *request)
{
    return vector_bytes(request, request->plan->collective == COLLECTIVE_REDUCE_SCATTER);
}

static size_t output_bytes(const struct run_request *request)
{
    return vector_bytes(request, request->plan->collective == COLLECTIVE_ALL_GATHER);
}

struct sight engine_sight(const struct engine *engine)
{
    struct sight sight = {.host = engine->board != NULL,
                          .values_bytes = gate_values_room(engine->gate)};
    const struct ww_transport *transport = engine->space.transport;
    sight.all = sight.host && engine->board->complete;
    sight.fetch = sight.host && transport->fetch != NULL &&
                  transport->fetches(engine->space.fabric);
    return sight;
}

/* Bits of the ways that there are. */
static unsigned ways_of(const struct run_request *request)
{
    unsigned ways = 1U << TUNED_STAGED;
    for (unsigned way = TUNED_STAGED + 1; way < TUNED_WAYS; way++) {
        ways |= request->tuned[way].plan != NULL ? 1U << way : 0;
    }
    return ways;
}

bool engine_is_tuned(const struct run_request *request)
{
    return ways_of(request) != 1U << TUNED_STAGED;
}

static bool is_tuned(const struct engine *engine, const struct run_request *request)
{
    return engine->topology->rank == 0 && engine_is_tuned(request);
}

static bool is_in_place(const struct run_request *request)
{
    uintptr_t input = (uintptr_t)request->input, output = (uintptr_t)request->output;
    return output < input + input_bytes(request) && input < output + output_bytes(request);
}

static struct tuner *tuner_of(struct engine *engine, const struct run_request *request)
{
    return &engine->tuners[request->plan->collective][is_in_place(request)];
}

static struct tuned_case case_of(const struct run_request *request)
{
    return (struct tuned_case){vector_bytes(request, false), request->input, request->output};
}

/* Tells peers where this rank's memory lies. */
static struct notice make_notice(struct engine *engine, const struct run_request *request,
                                 const uint8_t *places)
{
    const struct ww_transport *transport = engine->space.transport;
    void *fabric = engine->space.fabric;
    struct notice notice = {.input = (uintptr_t)request->input,
                            .output = (uintptr_t)request->output,
                            .place_bytes = engine->place_bytes};
    if (places != NULL) {
        transport->share(fabric, places, engine->place_bytes, &notice.scratch);
    }
    if (request->viewed.plan != NULL) {
        uint64_t keys[2];
        notice.viewed = transport->share(fabric, request->input, input_bytes(request), &keys[0]) &&
                        transport->share(fabric, request->output, output_bytes(request), &keys[1]);
        notice.input = notice.viewed ? keys[0] : notice.input;
        notice.output = notice.viewed ? keys[1] : notice.output;
    }
    if (is_tuned(engine, request)) {
        struct tuned_case which = case_of(request);
        notice.way = tuner_choose(tuner_of(engine, request), &which, ways_of(request));
    }
    return notice;
}

/* Where the places of a run begin. */
static uint8_t *places_of(const struct engine *engine, size_t index)
{
    uint8_t *scratch = engine->scratch;
    size_t places = index * (size_t)engine->window_room;
    return scratch == NULL ? NULL : scratch + places * engine->place_bytes;
}

static enum ww_status announce(struct engine *engine, const struct run *run)
{
    struct signature signature = run_signature(&run->request);
    struct luggage luggage = {.notice = NULL};
    struct notice notice;
    if (run->request.with_announcement) {
        luggage.values = run_announced_values(&run->request, &luggage.bytes);
        luggage.shares = run->request.plan->collective == COLLECTIVE_REDUCE_SCATTER;
    } else if (engine->board != NULL) {
        notice = make_notice(engine, &run->request,
                             places_of(engine, run_index(engine, engine->started)));
        luggage.notice = &notice;
    }
    return gate_announce(engine->gate, &signature, &luggage);
}

/* The fabric counted them just now, too, and between two looks at the counters there may be a
 * step's end; those on a board count when they are read. */
static void count_announced(struct engine *engine, const struct run_request *request)
{
    if (request->with_announcement && !gate_shows_values(engine->gate)) {
        run_announced_traffic(request, &engine->space, engine->space.seen_traffic);
    }
}

static void prepare(struct engine *engine, struct run *run, const struct run_request *request,
                    uint64_t number)
{
    size_t index = run_index(engine, number);
    run_prepare(run, request, engine->kernels, places_of(engine, index), engine->place_bytes,
                1 + (int)index * ENGINE_WINDOW_MAX);
}

/* Where announcements are messages, and no rank's notice decides which way the run goes. Nobody
 * asks for what was sent before it has passed the gate, so calls that do not match are found as
 * ever. */
static enum ww_status send_ahead(struct engine *engine, struct run *run)
{
    const struct run_request *request = &run->request;
    run->prepared = !gate_shows_values(engine->gate) && !request->with_announcement &&
                    !request->elsewhere && request->viewed.plan == NULL &&
                    !engine_is_tuned(request);
    if (!run->prepared) {
        return WW_OK;
    }
    struct run_request asked = *request;
    prepare(engine, run, &asked, engine->started);
    return run_send_ahead(run, &engine->space);
}

enum ww_status engine_start(struct engine *engine, const struct run_request *request,
                            uint64_t *number)
{
    assert(engine->started - engine->oldest < engine->run_count);
    if (engine->status != WW_OK) {
        return engine->status;
    }
    if (is_abandoned(engine)) {
        return engine_fail(engine, gate_hear(engine->gate), log_last_error());
    }
    struct run *run = &engine->runs[run_index(engine, engine->started)];
    run->request = *request;
    enum ww_status status = announce(engine, run);
    if (status == WW_OK) {
        count_announced(engine, request);
        status = send_ahead(engine, run);
    }
    if (status != WW_OK) {
        return engine_fail(engine, status, log_last_error());
    }
    if (engine->oldest == engine->started) {
        watch_rest(&engine->watch);
    }
    run->state = RUN_AT_GATE;
    *number = engine->started++;
    return WW_OK;
}

/* ---- Advancing -------------------------------------------------------------------------- */

static enum ww_status pass_gate(struct engine *engine)
{
    uint64_t passed;
    enum ww_status status = gate_advance(engine->gate, engine->oldest, &passed);
    if (status == WW_OK && passed > engine->passed) {
        engine->passed = passed;
        engine->space.moves++;
    }
    return status;
}

/* Results go past the caches where these could not hold, until a call ends, what the ranks of the
 * host touch in it; but not to lines that were just read, nor where the plan needs them again. Sums
 * alone, of a reduce-scatter, gain nothing by it. */
static bool goes_past(const struct engine *engine, const struct run_request *request)
{
    const struct topology *topology = engine->topology;
    enum collective collective = request->plan->collective;
    bool in_place = is_in_place(request);
    bool warm = collective == COLLECTIVE_ALL_REDUCE && in_place;
    if (request->plan->output_read || warm || collective == COLLECTIVE_REDUCE_SCATTER) {
        return false;
    }
    bool apart = !in_place && collective != COLLECTIVE_BROADCAST;
    double touched = (double)output_bytes(request) + (apart ? (double)input_bytes(request) : 0);
    return touched * topology->local_size >= cache_bytes_or_usual(topology->cache_bytes);
}

/* All ranks read the same notices and come to the same choice. */
static void choose_way(const struct engine *engine, struct run_request *request, uint64_t number)
{
    if (engine->board == NULL || (request->viewed.plan == NULL && !engine_is_tuned(request))) {
        return;
    }
    bool viewed = request->viewed.plan != NULL;
    for (int rank = 0; viewed && rank < engine->topology->size; rank++) {
        viewed = board_place(engine->board, rank, number)->notice.viewed;
    }
    unsigned way = board_place(engine->board, 0, number)->notice.way;
    if (viewed) {
        take_way(request, &request->viewed);
    } else if (way < TUNED_WAYS && request->tuned[way].plan != NULL) {
        take_way(request, &request->tuned[way]);
    }
}

/* The collective passed the gate: from here on its data moves. */
static void set_out(struct engine *engine, struct run *run, uint64_t number, uint64_t now_ns)
{
    run->passed_ns = now_ns;
    run->encode_ns = 0;
    run->decode_ns = 0;
    if (run->request.with_announcement) {
        run_announced(run, &engine->space, engine->kernels, number);
        engine_planned_bytes(engine, &run->request, engine->planned);
        run->number = number;
        run->state = RUN_MOVING;
        engine->space.moves++;
        return;
    }
    if (run->request.elsewhere) {
        run->state = RUN_DONE;
        engine->space.moves++;
        return;
    }
    if (!run->prepared) {
        struct run_request request = run->request;
        choose_way(engine, &request, number);
        prepare(engine, run, &request, number);
    }
    run->past = goes_past(engine, &run->request);
    run_see(run, &engine->space, number);
    run_planned_bytes(run, engine->topology, engine->planned);
    run->state = RUN_MOVING;
}

/* Keeps what there is to learn from a run that could have gone either way. */
static void keep_lesson(struct engine *engine, const struct run *run, uint64_t number)
{
    const struct run_request *request = &run->request;
    if (!request->with_announcement && is_tuned(engine, request) &&
        request->plan != request->viewed.plan) {
        engine->lesson = (struct lesson){
            .tuner = tuner_of(engine, request),
            .which = case_of(request),
            .way = (enum tuned_way)board_place(engine->board, 0, number)->notice.way,
            .begin_ns = run->passed_ns};
    }
}

void engine_learn(struct engine *engine, uint64_t now_ns)
{
    const struct lesson *lesson = &engine->lesson;
    if (lesson->begin_ns != 0 && now_ns > lesson->begin_ns) {
        tuner_note(lesson->tuner, &lesson->which, lesson->way, now_ns - lesson->begin_ns);
    }
    engine->lesson.begin_ns = 0;
}

/* Who has its result may leave, compute or fail: by then the others have what they need of it. */
static enum ww_status advance(struct engine *engine, struct run *run, uint64_t number)
{
    if (run->request.with_announcement) {
        return gate_has_told(engine->gate, number) ? WW_OK : WW_PENDING;
    }
    return run_advance(run, &engine->space);
}

static enum ww_status advance_runs(struct engine *engine, uint64_t now_ns)
{
    for (uint64_t number = engine->oldest; number < engine->started; number++) {
        struct run *run = &engine->runs[run_index(engine, number)];
        if (run->state == RUN_AT_GATE && number < engine->passed) {
            set_out(engine, run, number, now_ns);
        }
        if (run->state == RUN_MOVING) {
            enum ww_status status = advance(engine, run, number);
            if (status == WW_OK) {
                run->state = RUN_DONE;
                engine->space.moves++;
                keep_lesson(engine, run, number);
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

static enum ww_status look_at_clock(struct engine *engine, uint64_t now_ns)
{
    if (now_ns == 0) {
        return WW_PENDING;
    }
    struct watched watched = {engine->gate, engine->topology, &engine->space,
                              &engine->runs[run_index(engine, engine->oldest)]};
    return watch_look(&engine->watch, &watched, engine->space.moves, now_ns);
}

static void note_delay(struct engine *engine, uint64_t now_ns)
{
    bool under_way = engine->oldest < engine->started;
    if (now_ns != 0 && (under_way || engine->delay.since_ns != 0)) {
        delay_look(&engine->delay, under_way && engine->oldest >= engine->passed, engine->gate,
                   now_ns);
    }
}

/* What whoever gave up said may be so long still on its way when its connection is found closed. */
#define LAST_WORDS_NS UINT64_C(20000000)

/* The fabric lost a peer: because it ended, or because it gave up, told why and closed its end. In
 * the second case it is not to blame, and somebody said who is. */
static enum ww_status ask_why(struct engine *engine, enum ww_status status)
{
    uint64_t begin_ns = engine->clock_ns == NULL ? 0 : engine->clock_ns();
    enum ww_status told = gate_last_words(engine->gate);
    while (told == WW_OK && engine->clock_ns != NULL &&
           engine->clock_ns() - begin_ns < LAST_WORDS_NS) {
        sched_yield();
        told = gate_last_words(engine->gate);
    }
    return told == WW_OK ? status : told;
}

enum ww_status engine_advance(struct engine *engine, uint64_t now_ns)
{
    if (engine->status != WW_OK) {
        return engine->status;
    }
    enum ww_status status = pass_gate(engine);
    bool told = status != WW_OK && gate_has_news(engine->gate);
    note_delay(engine, now_ns);
    bool at_gate = engine->passed < engine->started;
    engine->space.wait = at_gate && engine->topology->hosts > 1 ? WW_WAIT_NETWORK : WW_WAIT_MEMORY;
    if (status == WW_OK) {
        status = advance_runs(engine, now_ns);
    }
    if (status == WW_PEER_FAILED && !told) {
        status = ask_why(engine, status);
    }
    if (status == WW_OK) {
        if (engine->oldest == engine->started) {
            return WW_OK;
        }
        status = look_at_clock(engine, now_ns);
    }
    return status == WW_PENDING ? WW_PENDING : engine_fail(engine, status, log_last_error());
}

bool engine_done(const struct engine *engine, uint64_t number)
{
    return number < engine->oldest || engine->runs[run_index(engine, number)].state == RUN_DONE;
}

struct run_times engine_times(const struct engine *engine, uint64_t number)
{
    const struct run *run = &engine->runs[run_index(engine, number)];
    return (struct run_times){run->passed_ns, run->encode_ns, run->decode_ns};
}

uint64_t engine_delay_ns(const struct engine *engine)
{
    return engine->delay.total_ns;
}

void engine_end_delay(struct engine *engine, uint64_t now_ns)
{
    delay_end(&engine->delay, now_ns);
}

int engine_take_slowest(struct engine *engine)
{
    int rank = engine->delay.longest_rank;
    engine->delay.longest_rank = -1;
    engine->delay.longest_ns = 0;
    return rank;
}

void engine_tell(struct engine *engine, uint64_t number)
{
    engine->told = number;
    if (engine->status == WW_OK && engine->board != NULL) {
        board_tell(engine->board, number);
    }
}

uint64_t engine_told(const struct engine *engine, int *ranks)
{
    *ranks = 1;
    bool sees = engine->status == WW_OK && engine->board != NULL;
    return sees ? board_told(engine->board, ranks) : engine->told;
}

bool engine_has_news(const struct engine *engine)
{
    return gate_has_news(engine->gate);
}

enum ww_status engine_tell_news(const struct engine *engine)
{
    return gate_tell_news(engine->gate);
}

void engine_call_roll(struct engine *engine)
{
    if (engine->status == WW_OK) {
        gate_call_roll(engine->gate, true);
    }
}

int engine_unanswered(const struct engine *engine, int *ranks, int most)
{
    return engine->status == WW_OK ? gate_unanswered(engine->gate, ranks, most) : 0;
}

enum ww_wait engine_wait(const struct engine *engine)
{
    return engine->space.wait;
}

uint64_t engine_moves(const struct engine *engine)
{
    return engine->space.moves;
}

void engine_counters(const struct engine *engine, uint64_t *planned_bytes,
                     struct ww_traffic *traffic)
{
    size_t levels = (size_t)engine->topology->levels;
    memcpy(planned_bytes, engine->planned, levels * sizeof *planned_bytes);
    if (engine->status == WW_OK) {
        engine->space.transport->counters(engine->space.fabric, traffic);
    } else {
        memcpy(traffic, engine->final_traffic, levels * sizeof *traffic);
    }
    for (size_t level = 0; level < levels; level++) {
        traffic[level].data_bytes += engine->space.seen_traffic[level].data_bytes;
        traffic[level].data_messages += engine->space.seen_traffic[level].data_messages;
        traffic[level].control_bytes -= engine->space.seen_traffic[level].control_bytes;
        planned_bytes[level] += engine->space.framed[level];
    }
}

void engine_planned_bytes(const struct engine *engine, const struct run_request *request,
                          uint64_t *bytes)
{
    if (!request->with_announcement) {
        run_plan_bytes(request, engine->topology, bytes);
        return;
    }
    struct ww_traffic traffic[WW_LEVELS_MAX] = {{0, 0, 0}};
    run_announced_traffic(request, &engine->space, traffic);
    for (int level = 0; level < engine->topology->levels; level++) {
        bytes[level] += traffic[level].data_bytes;
    }
}

/* ---- Life ------------------------------------------------------------------------------- */

/* The fabric's own memory goes before it while nothing is under way, else close sees to it; plain
 * memory goes when nothing can reach it any more. */
static void end_fabric(struct engine *engine, bool failed)
{
    bool plain = engine->space.transport->release == NULL;
    bool idle = engine->oldest == engine->started && !failed;
    if (engine->status == WW_OK) {
        if (idle && !plain) {
            release_scratch(engine);
        }
        close_fabric(engine, !idle);
    }
    if (plain) {
        release_scratch(engine);
    }
}

void engine_destroy(struct engine *engine, bool failed)
{
    if (engine == NULL) {
        return;
    }
    end_fabric(engine, failed);
    gate_destroy(engine->gate);
    board_destroy(engine->board);
    for (int i = 0; i < ENGINE_RUNS_MAX; i++) {
        run_finish(&engine->runs[i]);
    }
    memory_release(engine->space.codec_memory, engine->space.codec_bytes);
    memory_release(engine->space.sums, engine->space.sums_bytes);
    free(engine->space.messages);
    free(engine->space.sources);
    free(engine);
}

/* Where all ranks meet: the board, the gate, and room for the values of all in announcements. */
static enum ww_status make_gate(struct engine *engine)
{
    struct workspace *space = &engine->space;
    enum ww_status status = board_create(space->transport, space->fabric, engine->topology,
                                         (int)engine->run_count, &engine->board);
    if (status == WW_OK) {
        status = gate_create(space->transport, space->fabric, engine->topology, engine->board,
                             (int)engine->run_count, &engine->gate);
    }
    if (status != WW_OK) {
        return status;
    }
    space->board = engine->board;
    space->gate = engine->gate;
    space->peer_level = engine->topology->peer_level;
    space->sources_room = (uint32_t)engine->topology->size;
    return regrow((void **)&space->sources, space->sources_room, sizeof *space->sources)
               ? WW_OK
               : log_failure(WW_NO_MEMORY, "no memory for the values of %d ranks",
                             engine->topology->size);
}

enum ww_status engine_create(const struct engine_setup *setup, struct engine **engine)
{
    struct engine *made = calloc(1, sizeof *made);
    if (made == NULL) {
        setup->transport->close(setup->fabric, true);
        return log_failure(WW_NO_MEMORY, "no memory for an engine");
    }
    made->space.transport = setup->transport;
    made->space.fabric = setup->fabric;
    made->space.kernels = setup->kernels;
    made->topology = setup->topology;
    made->kernels = setup->kernels;
    made->clock_ns = setup->clock_ns;
    made->space.clock_ns = setup->clock_ns;
    made->delay.longest_rank = -1;
    made->run_count = setup->runs > 0 ? (uint64_t)setup->runs : ENGINE_RUNS_MAX;
    watch_init(&made->watch, setup->timeout_s, setup->warn_s);
    enum ww_status status = make_gate(made);
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
