/* SPDX-License-Identifier: BSD-3-Clause
 * cut.c: the arithmetic of a run: segments, bytes that are sent, room. */
#include "run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- Cutting ---------------------------------------------------------------------------- */

/* The most elements a segment may have, counting one share only where there are shares. Element
 * sizes are powers of two, so this is a shift, and only shares need a division. */
static size_t segment_room(const struct run_request *request)
{
    size_t elements = request->segment_bytes >> __builtin_ctzl(ww_type_bytes(request->type));
    if (collective_has_shares(request->plan->collective)) {
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
    if (collective_has_shares(plan->collective)) {
        return slice->count * segment_count;
    }
    return plan_boundary(segment_count, plan->parts, slice->first + slice->count) -
           plan_boundary(segment_count, plan->parts, slice->first);
}

/* Bytes of a slice, dense or framed, in a segment. */
static uint64_t piece_bytes(const struct run_request *request, const struct slice *slice,
                            size_t segment_count)
{
    const struct plan *plan = request->plan;
    size_t count = slice_count(plan, slice, segment_count);
    return plan->slot_framed[slice->slot] ? frame_message_bytes(&request->coding.spec, count)
                                          : count * ww_type_bytes(request->type);
}

/* In all segments together. */
static uint64_t slice_bytes(const struct run_request *request, const struct slicing *slicing,
                            const struct slice *slice)
{
    size_t before = slicing->segments - 1;
    uint64_t full = before > 0 ? piece_bytes(request, slice, slicing->count) : 0;
    return before * full + piece_bytes(request, slice, slicing->last);
}

/* What is sent, and what is read or written in memory of peers. */
static void add_planned_bytes(const struct run_request *request, const struct slicing *slicing,
                              const uint8_t *peer_level, uint64_t *bytes)
{
    const struct plan *plan = request->plan;
    for (uint32_t i = 0; slicing->segments > 0 && i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        if (action->kind == ACTION_SEND && !action->head) {
            bytes[peer_level[action->peer]] += slice_bytes(request, slicing, &action->slice);
        }
        uint32_t others = (uint32_t)action->source_count + action->also_count;
        assert(action->slice.seen == 0); /* the first target is always the own memory */
        for (uint32_t s = 0; s < others; s++) {
            const struct slice *slice = &plan->sources[action->sources + s];
            if (slice->seen > 0) {
                bytes[peer_level[plan->peers_seen[slice->seen - 1]]] += slice_bytes(request,
                                                                                    slicing, slice);
            }
        }
    }
}

void run_plan_bytes(const struct run_request *request, const struct topology *topology,
                    uint64_t *bytes)
{
    struct slicing slicing = engine_slicing(request);
    add_planned_bytes(request, &slicing, topology->peer_level, bytes);
}

void run_planned_bytes(struct run *run, const struct topology *topology, uint64_t *bytes)
{
    if (!run->planned_known) {
        memset(run->planned, 0, sizeof run->planned);
        add_planned_bytes(&run->request, &run->slicing, topology->peer_level, run->planned);
        run->planned_known = true;
    }
    for (int level = 0; level < topology->levels; level++) {
        bytes[level] += run->planned[level];
    }
}

struct run_shape run_shape(const struct run_request *request)
{
    return (struct run_shape){request->plan->identity, request->count,  request->segment_bytes,
                              request->type,           request->window, request->coding.spec};
}

bool run_shape_same(const struct run_shape *shape, const struct run_request *request)
{
    return shape->plan == request->plan->identity && shape->count == request->count &&
           shape->segment_bytes == request->segment_bytes && shape->type == request->type &&
           shape->window == request->window &&
           codec_spec_same(&shape->codec, &request->coding.spec);
}

/* ---- Room ------------------------------------------------------------------------------- */

static size_t round_to_line(size_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

size_t run_slot_bytes(const struct run_request *request, size_t segment, uint16_t slot)
{
    const struct plan *plan = request->plan;
    size_t chunks = plan->slot_chunks[slot];
    size_t elements = collective_has_shares(plan->collective)
                          ? chunks * segment
                          : plan_chunks_max(segment, plan->parts, (uint32_t)chunks);
    return round_to_line(plan->slot_framed[slot] ? frame_slot_bytes(&request->coding.spec, elements)
                                                 : elements * ww_type_bytes(request->type));
}

size_t run_scratch_bytes(const struct run_request *request)
{
    size_t bytes = 0;
    size_t segment = engine_slicing(request).count;
    for (uint16_t slot = SLOT_SCRATCH; slot < request->plan->slot_count; slot++) {
        bytes += run_slot_bytes(request, segment, slot);
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
