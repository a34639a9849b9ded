/* SPDX-License-Identifier: BSD-3-Clause
 * act.c: the local actions of a round: copies and reductions, also in memory of peers. */
#include "run.h"

#include "internal/cpu.h"
#include "internal/memory.h"

/* Results that several slices get are made in pieces, which stay in the cache. Of vectors that fit
 * the caches altogether peers' lines are asked for early, and at once for writing: else they come
 * twice, first to be read and then to be owned. Where caches are far apart this saves a sixth on
 * some processors, and costs a third on others: both are tried (tune.h). Of larger vectors the
 * memory behind the caches is what is waited for: there it costs more. */
#define CACHED_PIECE_BYTES 2048
#define CACHED_AHEAD_BYTES 8192
#define PIECE_BYTES 32768
#define PAST_PIECE_BYTES 8192 /* of what goes past the caches */

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

size_t run_vector_offset(const struct run *run, const struct place *place,
                         const struct slice *slice)
{
    return vector_offset(run, place, slice, run->request.plan->rank);
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

struct span run_span(const struct run *run, const struct place *place, const struct slice *slice)
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

static void copy_to(const struct run *run, uint16_t slot, void *into, const void *from,
                    size_t bytes)
{
    if (run->past && slot == SLOT_OUTPUT) {
        memory_copy_past(into, from, bytes);
    } else {
        memory_copy(into, from, bytes);
    }
}

/* Copies what was made at `from` to the action's further slices, from byte `first` on. */
static void copy_also(const struct workspace *space, const struct run *run,
                      const struct action *action, const uint8_t *from, size_t first, size_t bytes)
{
    const struct slice *slices = &run->request.plan->sources[action->sources];
    void *const *also = (void *const *)(const void *)(space->sources + action->source_count);
    for (uint32_t i = 0; i < action->also_count; i++) {
        copy_to(run, slices[action->source_count + i].slot, (uint8_t *)also[i] + first, from,
                bytes);
    }
}

static enum ww_status copy(struct workspace *space, const struct run *run,
                           const struct action *action, struct span into, struct span from)
{
    size_t bytes = into.count * run->element_bytes;
    const uint8_t *source = from.memory;
    if (source == NULL) {
        enum ww_status status = space->transport->fetch(space->fabric, from.rank, from.address,
                                                        into.memory, bytes);
        if (status != WW_OK) {
            return status;
        }
        source = into.memory;
    } else if (into.memory != source) {
        copy_to(run, action->slice.slot, into.memory, source, bytes);
    }
    return WW_OK;
}

/* Asks for bytes `from` .. `to` of the further slices. */
static void prefetch_also(const struct workspace *space, const struct action *action, size_t from,
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

/* Sources are read from the next piece on. */
static void pass_sources(struct workspace *space, const struct action *action, size_t bytes)
{
    const uint8_t **sources = (const uint8_t **)space->sources;
    for (uint32_t i = 0; i < action->source_count; i++) {
        sources[i] += bytes;
    }
}

/* Several targets get the result piece by piece, while it is in the cache. */
static void reduce_also(struct workspace *space, const struct run *run, const struct action *action,
                        struct span into, double scale)
{
    int shift = __builtin_ctzl(run->element_bytes); /* a power of two */
    bool cached = run->request.count << shift <= EARLY_BYTES;
    bool early = cached && run->request.early;
    size_t piece_bytes = cached ? CACHED_PIECE_BYTES : PIECE_BYTES;
    size_t bytes = into.count << shift;
    size_t asked = early ? least_of(CACHED_AHEAD_BYTES, bytes) : 0;
    prefetch_also(space, action, 0, asked);
    for (size_t first = 0; first < bytes; first += piece_bytes) {
        size_t piece = least_of(piece_bytes, bytes - first);
        uint8_t *made = into.memory + first;
        if (early) {
            size_t next = least_of(asked + piece_bytes, bytes);
            prefetch_also(space, action, asked, next);
            asked = next;
        }
        run->reduce(made, space->sources, action->source_count, piece >> shift, scale);
        copy_also(space, run, action, made, first, piece);
        pass_sources(space, action, piece);
    }
}

/* The same where the result goes past the caches: it is made aside. */
static void reduce_past(struct workspace *space, const struct run *run, const struct action *action,
                        struct span into, double scale)
{
    _Alignas(LINE_BYTES) uint8_t made[PAST_PIECE_BYTES];
    int shift = __builtin_ctzl(run->element_bytes);
    size_t bytes = into.count << shift;
    for (size_t first = 0; first < bytes; first += PAST_PIECE_BYTES) {
        size_t piece = least_of(PAST_PIECE_BYTES, bytes - first);
        run->reduce(made, space->sources, action->source_count, piece >> shift, scale);
        copy_also(space, run, action, made, first, piece);
        memory_copy_past(into.memory + first, made, piece);
        pass_sources(space, action, piece);
    }
}

/* True where a frame is among the sources: then the last one is, see plan.h. */
static bool reads_frames(const struct plan *plan, const struct action *action)
{
    return plan->coded && action->kind == ACTION_REDUCE &&
           plan->slot_framed[plan->sources[action->sources + action->source_count - 1u].slot];
}

static uint64_t time_of(const struct workspace *space)
{
    return space->clock_ns == NULL ? 0 : space->clock_ns();
}

static enum ww_status run_local(struct workspace *space, struct run *run, struct place *place,
                                const struct action *action)
{
    struct span into = run_span(run, place, &action->slice);
    if (into.count == 0) {
        return WW_OK;
    }
    if (action->kind == ACTION_ENCODE) {
        uint64_t since_ns = time_of(space);
        frame_encode(space, run, place, action);
        run->encode_ns += time_of(space) - since_ns;
        return WW_OK;
    }
    if (reads_frames(run->request.plan, action)) {
        uint64_t since_ns = time_of(space);
        enum ww_status status = frame_reduce(space, run, place, action);
        run->decode_ns += time_of(space) - since_ns;
        return status;
    }
    const struct slice *slices = &run->request.plan->sources[action->sources];
    uint32_t others = (uint32_t)action->source_count + action->also_count;
    struct span span = into;
    for (uint32_t i = others; i-- > 0;) { /* so that `span` ends as source 0 */
        span = run_span(run, place, &slices[i]);
        space->sources[i] = span.memory;
        count_seen(space, &slices[i], &span, run->element_bytes);
    }
    if (action->kind == ACTION_COPY) {
        return copy(space, run, action, into, span);
    }
    double scale = action->finish ? run->scale : 1.0;
    if (run->past && action->slice.slot == SLOT_OUTPUT) {
        reduce_past(space, run, action, into, scale);
    } else if (action->also_count > 0) {
        reduce_also(space, run, action, into, scale);
    } else {
        run->reduce(into.memory, space->sources, action->source_count, into.count, scale);
    }
    return WW_OK;
}

/* Plans without scratch that peers see touch the buffers of their callers. */
enum ww_status run_locals(struct workspace *space, struct run *run, struct place *place,
                          const struct action *actions, uint32_t count)
{
    const struct plan *plan = run->request.plan;
    bool enters = plan->seen_count > 0 && plan->shared_slots == 0 && count > 0;
    if (enters && !board_enter(space->board, plan->peers_seen, plan->seen_count)) {
        return WW_PENDING; /* a peer gave up: why will be heard */
    }
    enum ww_status status = WW_OK;
    unsigned before = cpu_exact_begin(); /* all ranks' bits are the same, whatever threads flush */
    for (uint32_t i = 0; status == WW_OK && i < count; i++) {
        status = run_local(space, run, place, &actions[i]);
    }
    cpu_exact_end(before);
    if (enters) {
        board_leave(space->board);
    }
    return status;
}
