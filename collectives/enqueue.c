/* SPDX-License-Identifier: BSD-3-Clause
 * enqueue.c: walks a plan once for each segment and enqueues what it says. */
#include "enqueue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "run.h"

#define BODY_OFFSET 64 /* of a frame in its slot, as frame.c has it */

struct enqueuer {
    struct enqueue_setup setup;
    struct run run;
    struct ww_message *messages; /* [messages_room] */
    const void **frames;         /* [sources_room] */
    uint32_t messages_room;
    uint32_t sources_room;
    uint32_t parts_room;
    uint32_t slots_room;
    void *scratch; /* of the GPU, as the next */
    size_t scratch_bytes;
    void *codec_memory;
    size_t codec_bytes;
};

/* A collective on its way onto the stream. */
struct walk {
    struct enqueuer *enqueuer;
    struct run *run;
    struct place *place;
    struct cuda_notes *notes;
    const struct enqueue_tally *tally;
    void *stream;
};

/* ---- Room ------------------------------------------------------------------------------- */

enum ww_status enqueuer_create(const struct enqueue_setup *setup, struct enqueuer **enqueuer)
{
    struct enqueuer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for an executor of plans");
    }
    made->setup = *setup;
    *enqueuer = made;
    return WW_OK;
}

static void release(struct enqueuer *enqueuer, void **memory, size_t *bytes)
{
    if (*memory != NULL) {
        enqueuer->setup.release(enqueuer->setup.self, *memory);
    }
    *memory = NULL;
    *bytes = 0;
}

void enqueuer_destroy(struct enqueuer *enqueuer)
{
    if (enqueuer == NULL) {
        return;
    }
    release(enqueuer, &enqueuer->scratch, &enqueuer->scratch_bytes);
    release(enqueuer, &enqueuer->codec_memory, &enqueuer->codec_bytes);
    run_finish(&enqueuer->run);
    free(enqueuer->messages);
    free(enqueuer->frames);
    free(enqueuer);
}

static enum ww_status grow_memory(struct enqueuer *enqueuer, void **memory, size_t *room,
                                  size_t bytes)
{
    if (bytes <= *room) {
        return WW_OK;
    }
    release(enqueuer, memory, room);
    enum ww_status status = enqueuer->setup.reserve(enqueuer->setup.self, bytes, memory);
    *room = status == WW_OK ? bytes : 0;
    return status;
}

static bool grow_lists(struct enqueuer *enqueuer, const struct plan *plan)
{
    if (plan->messages_max > enqueuer->messages_room) {
        void *more = realloc(enqueuer->messages, plan->messages_max * sizeof *enqueuer->messages);
        enqueuer->messages = more != NULL ? more : enqueuer->messages;
        enqueuer->messages_room = more != NULL ? plan->messages_max : enqueuer->messages_room;
    }
    if (plan->sources_max > enqueuer->sources_room) {
        void *more = realloc(enqueuer->frames, plan->sources_max * sizeof *enqueuer->frames);
        enqueuer->frames = more != NULL ? more : enqueuer->frames;
        enqueuer->sources_room = more != NULL ? plan->sources_max : enqueuer->sources_room;
    }
    if (plan->parts > enqueuer->parts_room || plan->slot_count > enqueuer->slots_room) {
        uint32_t parts = plan->parts > enqueuer->parts_room ? plan->parts : enqueuer->parts_room;
        uint32_t slots = plan->slot_count > enqueuer->slots_room ? plan->slot_count
                                                                 : enqueuer->slots_room;
        if (!run_grow(&enqueuer->run, parts, slots, 0)) {
            return false;
        }
        enqueuer->run.shape = (struct run_shape){.plan = 0}; /* what was computed is gone */
        enqueuer->parts_room = parts;
        enqueuer->slots_room = slots;
    }
    return plan->messages_max <= enqueuer->messages_room &&
           plan->sources_max <= enqueuer->sources_room;
}

static enum ww_status check_plan(const struct run_request *request)
{
    const struct plan *plan = request->plan;
    const struct codec_spec *spec = &request->coding.spec;
    if (plan->seen_count > 0) {
        return log_failure(WW_UNSUPPORTED,
                           "plan %s reads memory of peers, which GPUs do not see: choose one of "
                           "messages",
                           plan->name);
    }
    if (plan->sources_max > CUDA_SOURCES_MAX) {
        return log_failure(WW_UNSUPPORTED, "plan %s sums %u sources at once; %d are possible here",
                           plan->name, plan->sources_max, CUDA_SOURCES_MAX);
    }
    if (plan->coded && !codecs[spec->kind]->is_fixed(spec)) {
        return log_failure(WW_UNSUPPORTED,
                           "frames of %s differ in length, which a stream cannot wait for: "
                           "topk:DENSITY:fixed does not",
                           codec_name(spec->kind));
    }
    return WW_OK;
}

enum ww_status enqueue_reserve(struct enqueuer *enqueuer, const struct run_request *request)
{
    size_t segment = engine_slicing(request).count;
    bool coded = request->plan->coded;
    size_t codec_bytes = coded ? cuda_encode_room(&request->coding.spec, segment) : 0;
    enum ww_status status = check_plan(request);
    if (status == WW_OK && !grow_lists(enqueuer, request->plan)) {
        status = log_failure(WW_NO_MEMORY, "no memory to run plan %s", request->plan->name);
    }
    if (status == WW_OK) {
        status = grow_memory(enqueuer, &enqueuer->scratch, &enqueuer->scratch_bytes,
                             run_scratch_bytes(request));
    }
    return status == WW_OK
               ? grow_memory(enqueuer, &enqueuer->codec_memory, &enqueuer->codec_bytes, codec_bytes)
               : status;
}

/* ---- Local actions ---------------------------------------------------------------------- */

static enum ww_status launched(int error, const char *what)
{
    return error == 0 ? WW_OK
                      : log_failure(WW_TRANSPORT_FAILED,
                                    "%s cannot be enqueued on the GPU: error %d", what, error);
}

static enum ww_status copy(const struct walk *walk, void *into, const void *from, size_t bytes)
{
    return into == from
               ? WW_OK
               : launched(cuda_copy_pieces(&into, &from, &bytes, 1, walk->stream), "a copy");
}

static bool is_framed(const struct walk *walk, const struct slice *slice)
{
    const struct plan *plan = walk->run->request.plan;
    return plan->coded && plan->slot_framed[slice->slot];
}

static enum ww_status encode(const struct walk *walk, const struct action *action)
{
    const struct run *run = walk->run;
    const struct coding *coding = &run->request.coding;
    const struct slice *source = &run->request.plan->sources[action->sources];
    struct span from = run_span(run, walk->place, source);
    size_t offset = run_vector_offset(run, walk->place, source);
    struct cuda_encoding job = {
        .spec = coding->spec,
        .in = {.values = (const float *)(const void *)from.memory, .count = from.count},
        .dither = {.seed = run_seed(run), .index = offset},
        .frame = run_span(run, walk->place, &action->slice).memory + BODY_OFFSET,
        .rank = run->request.plan->rank,
        .weighed = coding->weighed && coding->residual != NULL,
        .notes = walk->notes,
        .room = walk->enqueuer->codec_memory};
    if (coding->residual != NULL) {
        bool fresh = coding->residual ==
                     coding->next; /* zeros, which kernels read while they write */
        job.in.residual = fresh ? NULL : coding->residual + offset;
        job.in.next = coding->next + offset;
    }
    return launched(cuda_encode(&job, walk->stream), "encoding");
}

static enum ww_status sum_frames(const struct walk *walk, const struct action *action,
                                 const struct span *into)
{
    const struct run *run = walk->run;
    const struct slice *sources = &run->request.plan->sources[action->sources];
    struct cuda_sum job = {.spec = run->request.coding.spec,
                           .into = (float *)(void *)into->memory,
                           .count = into->count,
                           .ways = action->source_count,
                           .frames = walk->enqueuer->frames,
                           .scale = action->finish ? (float)run->scale : 1.0F,
                           .notes = walk->notes};
    for (uint32_t i = 0; i < action->source_count; i++) {
        struct span span = run_span(run, walk->place, &sources[i]);
        bool framed = is_framed(walk, &sources[i]);
        walk->enqueuer->frames[i] = framed ? span.memory + BODY_OFFSET : NULL;
        job.plain = framed ? job.plain : (const float *)(const void *)span.memory;
    }
    return launched(cuda_decode_sum(&job, walk->stream), "decoding");
}

static enum ww_status reduce(const struct walk *walk, const struct action *action,
                             const struct span *into)
{
    const struct run *run = walk->run;
    const struct run_request *request = &run->request;
    const struct slice *sources = &request->plan->sources[action->sources];
    for (uint32_t i = 0; i < action->source_count; i++) {
        walk->enqueuer->frames[i] = run_span(run, walk->place, &sources[i]).memory;
    }
    return launched(cuda_reduce(request->type, request->op, into->memory, walk->enqueuer->frames,
                                action->source_count, into->count,
                                action->finish ? run->scale : 1.0, walk->stream),
                    "a reduction");
}

static enum ww_status run_action(const struct walk *walk, const struct action *action)
{
    const struct run *run = walk->run;
    const struct slice *sources = &run->request.plan->sources[action->sources];
    struct span into = run_span(run, walk->place, &action->slice);
    if (into.count == 0) {
        return WW_OK;
    }
    if (action->kind == ACTION_ENCODE) {
        return encode(walk, action);
    }
    assert(action->also_count == 0); /* plans that see their peers have such */
    if (action->kind == ACTION_COPY) {
        return copy(walk, into.memory, run_span(run, walk->place, &sources[0]).memory,
                    into.count * run->element_bytes);
    }
    return is_framed(walk, &sources[action->source_count - 1u]) ? sum_frames(walk, action, &into)
                                                                : reduce(walk, action, &into);
}

/* ---- Messages --------------------------------------------------------------------------- */

/* A frame travels with its head, which lies before it; heads do not travel alone. */
static struct ww_message message_of(const struct walk *walk, const struct action *action)
{
    const struct run *run = walk->run;
    struct span span = run_span(run, walk->place, &action->slice);
    struct ww_message message = {.kind = action->kind == ACTION_SEND ? WW_SEND : WW_RECEIVE,
                                 .peer = action->peer,
                                 .memory = span.memory,
                                 .bytes = span.count * run->element_bytes};
    if (is_framed(walk, &action->slice)) {
        message.memory = span.memory + BODY_OFFSET - sizeof(struct cuda_head);
        message.bytes = action->head ? 0
                                     : frame_message_bytes(&run->request.coding.spec, span.count);
    }
    return message;
}

static enum ww_status post(const struct walk *walk, const struct action *actions, uint32_t count)
{
    const struct enqueue_setup *setup = &walk->enqueuer->setup;
    struct ww_message *messages = walk->enqueuer->messages;
    int filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ww_message message = message_of(walk, &actions[i]);
        if (message.bytes == 0) {
            continue;
        }
        messages[filled++] = message;
        if (message.kind == WW_SEND) {
            struct ww_traffic *traffic =
                &walk->tally->traffic[walk->tally->peer_level[message.peer]];
            traffic->data_bytes += message.bytes;
            traffic->data_messages++;
        }
    }
    return filled == 0 ? WW_OK : setup->post(setup->self, messages, filled, walk->stream);
}

/* ---- Walking ---------------------------------------------------------------------------- */

static enum ww_status walk_segment(const struct walk *walk)
{
    const struct plan *plan = walk->run->request.plan;
    enum ww_status status = WW_OK;
    for (uint32_t r = 0; status == WW_OK && r < plan->round_count; r++) {
        const struct round *round = &plan->rounds[r];
        const struct action *actions = &plan->actions[round->first];
        assert(round->awaits == 0);
        for (uint32_t i = 0; status == WW_OK && i < round->locals; i++) {
            status = run_action(walk, &actions[i]);
        }
        if (status == WW_OK) {
            status = post(walk, actions + round->locals, round->messages);
        }
    }
    return status;
}

enum ww_status enqueue_run(struct enqueuer *enqueuer, const struct run_request *request,
                           struct cuda_notes *notes, const struct enqueue_tally *tally,
                           void *stream)
{
    struct run *run = &enqueuer->run;
    struct run_request one_by_one = *request;
    one_by_one.window = 1; /* a stream has one order: segments follow each other */
    one_by_one.coding.outcome = NULL;
    run_prepare(run, &one_by_one, enqueuer->setup.kernels, enqueuer->scratch,
                enqueuer->scratch_bytes, 1);
    struct walk walk = {enqueuer, run, &run->places[0], notes, tally, stream};
    enum ww_status status = WW_OK;
    for (size_t s = 0; status == WW_OK && s < run->slicing.segments; s++) {
        run_place_segment(run, walk.place);
        status = walk_segment(&walk);
    }
    return status;
}
