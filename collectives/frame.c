/* SPDX-License-Identifier: BSD-3-Clause
 * frame.c: frames in slots: encoding, decoding sums, and what travels of them.
 *
 *     slot:  | ........ 48 bytes ........ | head, 16 bytes | the codec's frame ...
 *
 * The head tells the frame's length and whether values were not finite. Where frames of the codec
 * are all equally long, head and frame are one message; else the head goes ahead. */
#include "run.h"

#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

#define LINE_BYTES 64          /* of the caches */
#define BODY_OFFSET LINE_BYTES /* frames begin on a line */

/* From vectors of so many elements on, memory is written past the caches. The next residual is not
 * read before all of the next step's gradients were made; sums are, at once perhaps, so they must
 * be more than a core's share of any last cache. Below, both cost: 1.3 times at 1 Mi and 1.1 at 6
 * Mi (an Intel server with 2 MiB of second cache; far above they save 15 to 25 %). */
#define COLD_NEXT ((size_t)4 << 20)
#define COLD_SUMS ((size_t)16 << 20)

struct head {
    uint32_t bytes;    /* of the frame */
    int32_t wild_rank; /* who had values that are not finite, -1 = nobody */
    uint32_t reserved[2];
};
#define HEAD_BYTES sizeof(struct head)
_Static_assert(HEAD_BYTES == 16 && HEAD_BYTES <= BODY_OFFSET, "drawn above");

static uint8_t *head_of(uint8_t *slot)
{
    return slot + BODY_OFFSET - HEAD_BYTES;
}

static struct head read_head(uint8_t *slot)
{
    struct head head;
    memcpy(&head, head_of(slot), sizeof head);
    return head;
}

size_t frame_slot_bytes(const struct codec_spec *spec, size_t count)
{
    return BODY_OFFSET + codecs[spec->kind]->frame_bytes_max(spec, count);
}

size_t frame_codec_bytes(const struct codec_spec *spec, size_t segment)
{
    const struct codec *codec = codecs[spec->kind];
    return codec != NULL && codec->room_bytes != NULL ? codec->room_bytes(spec, segment) : 0;
}

size_t frame_sums_bytes(const struct codec_spec *spec, size_t count)
{
    const struct codec *codec = codecs[spec->kind];
    bool cold = codec != NULL && codec->is_sparse && count >= COLD_SUMS;
    return cold ? CODEC_CHUNK * sizeof(float) + LINE_BYTES : 0;
}

size_t frame_message_bytes(const struct codec_spec *spec, size_t count)
{
    const struct codec *codec = codecs[spec->kind];
    return count > 0 && codec->is_fixed(spec) ? HEAD_BYTES + codec->frame_bytes_max(spec, count)
                                              : 0;
}

static const float *floats(const uint8_t *memory)
{
    return (const float *)(const void *)memory;
}

/* ---- Encoding ----------------------------------------------------------------------------- */

uint64_t run_seed(const struct run *run)
{
    return run->request.coding.seed ^
           ((uint64_t)run->request.plan->rank + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void note_encoded(struct coding_outcome *outcome, size_t count,
                         const struct encode_result *result, const struct momentum *momentum)
{
    if (outcome != NULL) {
        outcome->encoded += count;
        outcome->chosen += result->chosen;
        outcome->wild += result->wild;
        outcome->masked += (double)momentum->masked;
    }
}

/* Squares of what is encoded: values or, where momentum is kept, what they make of it, and what was
 * kept back before. */
static double squares_given(const struct stretch *in, const struct momentum *momentum)
{
    if (momentum == NULL) {
        return kernel_squares_of_sum_f32(in->values, in->residual, in->count);
    }
    float sums[256];
    const size_t room = sizeof sums / sizeof sums[0];
    double squares = 0;
    for (size_t first = 0; first < in->count; first += room) {
        size_t count = in->count - first < room ? in->count - first : room;
        for (size_t i = 0; i < count; i++) {
            sums[i] = momentum->factor * momentum->u[first + i] + in->values[first + i];
        }
        squares += kernel_squares_of_sum_f32(sums, in->residual + first, count);
    }
    return squares;
}

void frame_encode(struct workspace *space, struct run *run, struct place *place,
                  const struct action *action)
{
    const struct coding *coding = &run->request.coding;
    const struct slice *source = &run->request.plan->sources[action->sources];
    struct span from = run_span(run, place, source);
    uint8_t *slot = run_span(run, place, &action->slice).memory;
    size_t offset = run_vector_offset(run, place, source);
    bool weighed = coding->weighed && coding->residual != NULL && coding->outcome != NULL;
    struct momentum momentum = {.factor = coding->momentum_factor};
    struct encode_input in = {.stretch = {.values = floats(from.memory), .count = from.count},
                              .dither = {.seed = run_seed(run), .index = offset}};
    if (coding->residual != NULL) {
        in.stretch.residual = coding->residual + offset;
        in.stretch.next = coding->next + offset;
        in.stretch.cold = !weighed && in.stretch.next != in.stretch.residual &&
                          run->request.count >= COLD_NEXT;
    }
    if (coding->momentum != NULL) {
        momentum.u = coding->momentum + offset;
        in.momentum = &momentum;
    }
    struct encode_result result = {0, 0, 0};
    if (weighed) {
        coding->outcome->given += squares_given(&in.stretch, in.momentum);
    }
    run->codec->encode(&coding->spec, space->kernels, &in, slot + BODY_OFFSET, space->codec_memory,
                       &result);
    if (weighed) {
        coding->outcome->left += kernel_squares_f32(in.stretch.next, from.count);
    }
    if (result.wild > 0 && place->wild_rank < 0) {
        place->wild_rank = run->request.plan->rank;
    }
    struct head head = {.bytes = (uint32_t)result.bytes,
                        .wild_rank = result.wild > 0 ? place->wild_rank : -1};
    memcpy(head_of(slot), &head, sizeof head);
    note_encoded(coding->outcome, from.count, &result, &momentum);
}

/* ---- Decoding ----------------------------------------------------------------------------- */

static enum ww_status damaged(const struct run *run, size_t bytes, size_t count)
{
    return log_failure(WW_TRANSPORT_FAILED,
                       "a %s frame of %zu bytes for %zu elements is damaged: do all ranks load the "
                       "same libwirewise, and is the network's memory sound?",
                       run->codec->name, bytes, count);
}

static void note_wild(const struct run *run, struct place *place, int rank)
{
    struct coding_outcome *outcome = run->request.coding.outcome;
    if (rank < 0 || rank >= run->request.plan->size) {
        return;
    }
    if (place->wild_rank < 0 || rank < place->wild_rank) {
        place->wild_rank = rank;
    }
    if (outcome != NULL && (outcome->wild_rank < 0 || rank < outcome->wild_rank)) {
        outcome->wild_rank = rank;
    }
}

/* One source of a range: stored, or added to what lies there. */
static bool add_source(const struct workspace *space, const struct run *run,
                       const struct place *place, const struct slice *source,
                       const struct decode_output *out)
{
    struct span span = run_span(run, place, source);
    if (run->request.plan->slot_framed[source->slot]) {
        return run->codec->decode(&run->request.coding.spec, space->kernels,
                                  span.memory + BODY_OFFSET, read_head(span.memory).bytes, out);
    }
    const float *from = floats(span.memory) + out->first;
    if (from != out->unpack.into) {
        memory_copy(out->unpack.into, from, out->unpack.count * sizeof *from);
    }
    return true;
}

/* One chunk, while it is in the cache: a single frame is scaled as it is decoded, a sum behind. */
static bool sum_chunk(const struct workspace *space, const struct run *run,
                      const struct place *place, const struct action *action,
                      struct decode_output *out)
{
    const struct slice *sources = &run->request.plan->sources[action->sources];
    float scale = action->finish ? (float)run->scale : 1.0F;
    bool single = action->source_count == 1;
    out->unpack.scale = single ? scale : 1.0F;
    for (uint32_t i = 0; i < action->source_count; i++) {
        out->unpack.add = i > 0;
        if (!add_source(space, run, place, &sources[i], out)) {
            return false;
        }
    }
    if (!single && scale != 1.0F) {
        const void *sum = out->unpack.into;
        run->reduce(out->unpack.into, &sum, 1, out->unpack.count, run->scale);
    }
    return true;
}

/* Lengths come from peers: no more is read than there can be. */
static enum ww_status look_at_heads(const struct run *run, struct place *place,
                                    const struct action *action, size_t count)
{
    const struct plan *plan = run->request.plan;
    size_t most = run->codec->frame_bytes_max(&run->request.coding.spec, count);
    for (uint32_t i = 0; i < action->source_count; i++) {
        const struct slice *source = &plan->sources[action->sources + i];
        if (!plan->slot_framed[source->slot]) {
            continue;
        }
        struct head head = read_head(run_span(run, place, source).memory);
        if (head.bytes > most) {
            return damaged(run, head.bytes, count);
        }
        note_wild(run, place, head.wild_rank);
    }
    return WW_OK;
}

/* Whether a sum goes past the caches. A part of a segment does not: it is encoded or sent next. */
static bool is_cold_sum(const struct workspace *space, const struct run *run,
                        const struct place *place, size_t count)
{
    return count == place->count && space->kernels->sparse.pour_streams &&
           frame_sums_bytes(&run->request.coding.spec, run->request.count) > 0;
}

/* Where a chunk is summed on its way to `into`: as far into a line of the caches as that is, since
 * what malloc gives is 16 bytes into one, and a pour between the two crossed lines at every other
 * load and store. That took three times as long (Zen 3: 25 instead of 9 ms for 64 Mi elements). */
static float *sums_for(const struct workspace *space, const void *into)
{
    return (float *)space->sums + (uintptr_t)into % LINE_BYTES / sizeof(float);
}

enum ww_status frame_reduce(struct workspace *space, struct run *run, struct place *place,
                            const struct action *action)
{
    struct span into = run_span(run, place, &action->slice);
    enum ww_status status = look_at_heads(run, place, action, into.count);
    float *aside = is_cold_sum(space, run, place, into.count) ? sums_for(space, into.memory) : NULL;
    for (size_t first = 0; status == WW_OK && first < into.count; first += CODEC_CHUNK) {
        size_t rest = into.count - first;
        float *sums = (float *)(void *)into.memory + first;
        struct decode_output out = {.frame_count = into.count,
                                    .first = first,
                                    .unpack = {.into = aside != NULL ? aside : sums,
                                               .count = rest < CODEC_CHUNK ? rest : CODEC_CHUNK,
                                               .clear = aside != NULL}};
        if (!sum_chunk(space, run, place, action, &out)) {
            status = damaged(run, 0, into.count);
        }
        if (aside != NULL) {
            space->kernels->sparse.pour(sums, aside, out.unpack.count);
        }
    }
    return status;
}

/* ---- Messages ----------------------------------------------------------------------------- */

enum ww_status frame_message(struct workspace *space, const struct run *run,
                             const struct place *place, const struct action *action,
                             struct ww_message *message)
{
    const struct codec_spec *spec = &run->request.coding.spec;
    struct span span = run_span(run, place, &action->slice);
    message->memory = head_of(span.memory);
    if (!run->heads_travel) {
        message->bytes = action->head ? 0 : frame_message_bytes(spec, span.count);
        return WW_OK;
    }
    message->bytes = action->head && span.count > 0 ? HEAD_BYTES : 0;
    if (!action->head && span.count > 0) {
        message->memory = span.memory + BODY_OFFSET;
        message->bytes = read_head(span.memory).bytes;
        if (message->bytes > run->codec->frame_bytes_max(spec, span.count)) {
            return damaged(run, message->bytes, span.count);
        }
    }
    if (action->kind == ACTION_SEND) {
        space->framed[space->peer_level[action->peer]] += message->bytes;
    }
    return WW_OK;
}
