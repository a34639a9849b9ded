/* SPDX-License-Identifier: BSD-3-Clause
 * plan.c: writes plans step by step, lays them out in rounds, and prints them. */
#include "plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

const char *const collective_names[COLLECTIVE_COUNT] = {"all_reduce", "reduce_scatter",
                                                        "all_gather", "broadcast"};

const char *const type_names[WW_TYPE_COUNT] = {"f32", "f64", "f16", "bf16", "i32", "i64"};

/* Chunks begin at multiples of so many elements ... */
#define GRAIN 16
/* ... once a chunk holds so many grains that rounding down moves it by a few per cent at most. */
#define GRAINS_MIN 16

/* An action as it was written, with the step it belongs to and the order it came in. */
struct draft {
    int step;
    uint32_t order;
    struct action action;
};

struct plan_writer {
    struct plan *plan;
    struct draft *drafts;
    uint32_t draft_room;
    uint32_t source_room;
    uint32_t sources_used; /* of plan->sources, by earlier actions */
    uint32_t also_count;   /* of the action that follows */
    uint32_t seen_room;
    bool no_memory;
    bool too_large; /* more slots than can be numbered */
};

bool collective_has_shares(enum collective collective)
{
    return collective == COLLECTIVE_REDUCE_SCATTER || collective == COLLECTIVE_ALL_GATHER;
}

size_t plan_boundary(size_t count, uint32_t parts, uint32_t chunk)
{
    assert(chunk <= parts);
    if (chunk == 0 || chunk == parts) {
        return chunk == 0 ? 0 : count; /* also spares small plans all divisions */
    }
    /* count / parts * chunk + the rest's share: exact, and cannot overflow as count * chunk can */
    size_t boundary = count / parts * chunk + count % parts * chunk / parts;
    if (count / parts >= GRAIN * GRAINS_MIN) {
        boundary -= boundary % GRAIN;
    }
    return boundary;
}

size_t plan_chunks_max(size_t count, uint32_t parts, uint32_t chunks)
{
    if (chunks >= parts) {
        return count;
    }
    size_t even = count / parts * chunks + (count % parts * chunks + parts - 1) / parts;
    size_t most = even + GRAIN;
    return most < count ? most : count;
}

void plan_destroy(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    free(plan->actions);
    free(plan->sources);
    free(plan->rounds);
    free(plan->slot_chunks);
    free(plan->slot_framed);
    free(plan->peers_seen);
    free(plan);
}

/* ---- Writing ---------------------------------------------------------------------------- */

struct plan_writer *plan_writer_create(const char *name, enum collective collective, int rank,
                                       int size, uint32_t parts)
{
    struct plan_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return NULL;
    }
    struct plan *plan = calloc(1, sizeof *plan);
    uint32_t *slot_chunks = calloc(SLOT_SCRATCH, sizeof *slot_chunks);
    bool *slot_framed = calloc(SLOT_SCRATCH, sizeof *slot_framed);
    if (plan == NULL || slot_chunks == NULL || slot_framed == NULL) {
        free(plan);
        free(slot_chunks);
        free(slot_framed);
        free(writer);
        return NULL;
    }
    snprintf(plan->name, sizeof plan->name, "%s", name);
    plan->collective = collective;
    plan->rank = rank;
    plan->size = size;
    plan->parts = parts;
    plan->slot_chunks = slot_chunks;
    plan->slot_framed = slot_framed;
    plan->slot_count = SLOT_SCRATCH;
    writer->plan = plan;
    return writer;
}

/* Makes room for `more` entries behind `count`; the array keeps its place on failure. */
static bool grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t entry_bytes)
{
    if (count + more <= *room) {
        return true;
    }
    uint32_t wanted = *room == 0 ? 16 : *room * 2;
    if (wanted < count + more) {
        wanted = count + more;
    }
    void *larger = realloc(*array, wanted * entry_bytes);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *room = wanted;
    return true;
}

static void add_action(struct plan_writer *writer, int step, struct action action)
{
    struct plan *plan = writer->plan;
    if (!grow((void **)&writer->drafts, &writer->draft_room, plan->action_count, 1,
              sizeof *writer->drafts)) {
        writer->no_memory = true;
        return;
    }
    assert(action.kind == ACTION_AWAIT ||
           (action.slice.count > 0 && action.slice.first + action.slice.count <= plan->parts));
    writer->drafts[plan->action_count] = (struct draft){step, plan->action_count, action};
    plan->action_count++;
}

static void add_message(struct plan_writer *writer, enum action_kind kind, int step, int peer,
                        struct slice slice, bool head)
{
    assert(peer >= 0 && peer < writer->plan->size && peer != writer->plan->rank);
    add_action(writer, step,
               (struct action){.kind = kind, .head = head, .peer = peer, .slice = slice});
}

void plan_send(struct plan_writer *writer, int step, int peer, struct slice slice)
{
    add_message(writer, ACTION_SEND, step, peer, slice, false);
}

void plan_receive(struct plan_writer *writer, int step, int peer, struct slice slice)
{
    add_message(writer, ACTION_RECEIVE, step, peer, slice, false);
}

void plan_send_head(struct plan_writer *writer, int step, int peer, struct slice frame)
{
    add_message(writer, ACTION_SEND, step, peer, frame, true);
}

void plan_receive_head(struct plan_writer *writer, int step, int peer, struct slice frame)
{
    add_message(writer, ACTION_RECEIVE, step, peer, frame, true);
}

void plan_source(struct plan_writer *writer, struct slice source)
{
    struct plan *plan = writer->plan;
    if (!grow((void **)&plan->sources, &writer->source_room, plan->source_count, 1,
              sizeof *plan->sources)) {
        writer->no_memory = true;
        return;
    }
    plan->sources[plan->source_count++] = source;
}

/* A local action on the sources named since the last one. */
static void add_local(struct plan_writer *writer, enum action_kind kind, int step,
                      struct slice into, bool finish)
{
    uint32_t first = writer->sources_used;
    uint32_t also = writer->also_count;
    uint32_t count = writer->plan->source_count - first - also;
    assert(writer->no_memory || (count > 0 && count <= UINT16_MAX && also <= UINT16_MAX));
    writer->sources_used = writer->plan->source_count;
    writer->also_count = 0;
    add_action(writer, step,
               (struct action){.kind = kind,
                               .finish = finish,
                               .source_count = (uint16_t)count,
                               .also_count = (uint16_t)also,
                               .peer = -1,
                               .sources = first,
                               .slice = into});
}

void plan_copy(struct plan_writer *writer, int step, struct slice into, struct slice from)
{
    plan_source(writer, from);
    add_local(writer, ACTION_COPY, step, into, false);
}

void plan_encode(struct plan_writer *writer, int step, struct slice into, struct slice from)
{
    plan_source(writer, from);
    add_local(writer, ACTION_ENCODE, step, into, false);
}

void plan_reduce(struct plan_writer *writer, int step, struct slice into, bool finish)
{
    add_local(writer, ACTION_REDUCE, step, into, finish);
}

void plan_also(struct plan_writer *writer, struct slice into)
{
    plan_source(writer, into);
    writer->also_count++;
}

/* The peer's number among those seen, from 1; 0 without memory. */
static uint16_t see(struct plan_writer *writer, int peer)
{
    struct plan *plan = writer->plan;
    for (uint32_t i = 0; i < plan->seen_count; i++) {
        if (plan->peers_seen[i] == peer) {
            return (uint16_t)(i + 1);
        }
    }
    assert(peer >= 0 && peer < plan->size && peer != plan->rank && plan->seen_count < UINT16_MAX);
    if (!grow((void **)&plan->peers_seen, &writer->seen_room, plan->seen_count, 1,
              sizeof *plan->peers_seen)) {
        writer->no_memory = true;
        return 0;
    }
    plan->peers_seen[plan->seen_count++] = peer;
    return (uint16_t)plan->seen_count;
}

void plan_await(struct plan_writer *writer, int step, int peer)
{
    assert(step > 0); /* before step 0 there is only the segment before */
    see(writer, peer);
    add_action(writer, step, (struct action){.kind = ACTION_AWAIT, .peer = peer});
}

struct slice plan_seen(struct plan_writer *writer, struct slice slice, int peer)
{
    slice.seen = see(writer, peer);
    return slice;
}

/* Makes room for one more; there is room for a power of two. */
static bool grow_slots(struct plan *plan)
{
    size_t count = plan->slot_count;
    if ((count & (count - 1)) != 0) {
        return true;
    }
    uint32_t *larger = realloc(plan->slot_chunks, 2 * count * sizeof *plan->slot_chunks);
    plan->slot_chunks = larger != NULL ? larger : plan->slot_chunks;
    bool *more = realloc(plan->slot_framed, 2 * count * sizeof *plan->slot_framed);
    plan->slot_framed = more != NULL ? more : plan->slot_framed;
    return larger != NULL && more != NULL;
}

uint16_t plan_scratch(struct plan_writer *writer, uint32_t chunks)
{
    struct plan *plan = writer->plan;
    if (plan->slot_count == UINT16_MAX) {
        writer->too_large = true;
        return SLOT_OUTPUT; /* never used: finish will fail */
    }
    if (!grow_slots(plan)) {
        writer->no_memory = true;
        return SLOT_OUTPUT; /* never used: finish will fail */
    }
    plan->slot_chunks[plan->slot_count] = chunks;
    plan->slot_framed[plan->slot_count] = false;
    return plan->slot_count++;
}

uint16_t plan_frame(struct plan_writer *writer, uint32_t chunks)
{
    uint16_t slot = plan_scratch(writer, chunks);
    if (slot >= SLOT_SCRATCH) {
        writer->plan->slot_framed[slot] = true;
        writer->plan->coded = true;
    }
    return slot;
}

uint16_t plan_scratch_shared(struct plan_writer *writer, uint32_t chunks)
{
    assert(writer->no_memory ||
           writer->plan->slot_count == SLOT_SCRATCH + writer->plan->shared_slots);
    writer->plan->shared_slots++;
    return plan_scratch(writer, chunks);
}

/* The order within a step. */
static int phase_of(const struct action *action)
{
    switch (action->kind) {
    case ACTION_AWAIT:
        return 0;
    case ACTION_SEND:
    case ACTION_RECEIVE:
        return 2;
    default:
        return 1;
    }
}

/* By step; what is awaited, local actions, messages; then as written. */
static int compare_drafts(const void *a, const void *b)
{
    const struct draft *x = a;
    const struct draft *y = b;
    if (x->step != y->step) {
        return x->step < y->step ? -1 : 1;
    }
    int phases = phase_of(&x->action) - phase_of(&y->action);
    if (phases != 0) {
        return phases;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Algorithms write most plans in this order. */
static bool are_sorted(const struct draft *drafts, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (compare_drafts(&drafts[i - 1], &drafts[i]) > 0) {
            return false;
        }
    }
    return true;
}

static uint32_t larger_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void count_action(struct plan *plan, struct round *round, const struct action *action)
{
    switch (phase_of(action)) {
    case 0:
        round->awaits++;
        break;
    case 1:
        round->locals++;
        plan->sources_max = larger_of(plan->sources_max,
                                      (uint32_t)action->source_count + action->also_count);
        break;
    default:
        round->messages++;
        plan->messages_max = larger_of(plan->messages_max, round->messages);
    }
}

/* Copies the sorted drafts into actions and cuts them into rounds: a new one at every step, which
 * leaves out the steps at which this rank has nothing to do. */
static void lay_out(struct plan *plan, const struct draft *drafts)
{
    int step = -1;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        plan->actions[i] = drafts[i].action;
        if (drafts[i].step != step) {
            step = drafts[i].step;
            plan->rounds[plan->round_count++] = (struct round){.first = i, .step = (uint32_t)step};
        }
        count_action(plan, &plan->rounds[plan->round_count - 1], &plan->actions[i]);
    }
}

/* FNV-1a, in words of 32 bits: records consist of those, and have no padding. */
static uint64_t hash_more(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, at + i, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_content(const struct plan *plan)
{
    _Static_assert(sizeof(struct action) == 16 + sizeof(struct slice), "no padding in actions");
    _Static_assert(sizeof(struct slice) == 12, "no padding in slices");
    _Static_assert(sizeof(struct round) == 20, "no padding in rounds");
    const uint32_t facts[] = {(uint32_t)plan->collective, (uint32_t)plan->rank,
                              (uint32_t)plan->size, plan->parts};
    uint64_t hash = hash_more(UINT64_C(0xcbf29ce484222325), facts, sizeof facts);
    hash = hash_more(hash, plan->actions, plan->action_count * sizeof *plan->actions);
    hash = hash_more(hash, plan->sources, plan->source_count * sizeof *plan->sources);
    hash = hash_more(hash, plan->peers_seen, plan->seen_count * sizeof *plan->peers_seen);
    return hash_more(hash, plan->rounds, plan->round_count * sizeof *plan->rounds);
}

/* A broadcast's root alone has its values there from the begin, and writes none. */
static bool reads_output(const struct plan *plan)
{
    bool reads = false;
    for (uint32_t a = 0; a < plan->action_count; a++) {
        const struct action *action = &plan->actions[a];
        reads |= action->kind == ACTION_SEND && action->slice.slot == SLOT_OUTPUT;
        for (uint32_t i = 0; i < action->source_count; i++) {
            const struct slice *source = &plan->sources[action->sources + i];
            bool of_root = source->seen > 0 && plan->collective == COLLECTIVE_BROADCAST;
            reads |= source->slot == SLOT_OUTPUT && !of_root;
        }
    }
    return reads;
}

enum ww_status plan_writer_finish(struct plan_writer *writer, struct plan **plan)
{
    static _Atomic uint64_t plans_written;
    struct plan *written = writer->plan;
    uint32_t count = written->action_count;
    written->actions = calloc(count + 1, sizeof *written->actions);
    written->rounds = calloc(count + 1, sizeof *written->rounds);
    enum ww_status status = WW_OK;
    if (writer->too_large) {
        status = log_failure(
            WW_UNSUPPORTED,
            "%s: rank %d of %d would hold more than %d pieces at once, as its host "
            "has so few ranks beside others: choose another algorithm, or as many "
            "ranks on all hosts",
            written->name, written->rank, written->size, UINT16_MAX);
        plan_destroy(written);
    } else if (writer->no_memory || written->actions == NULL || written->rounds == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for a plan of %u actions (%s, %d ranks)",
                             count, written->name, written->size);
        plan_destroy(written);
    } else {
        if (!are_sorted(writer->drafts, count)) {
            qsort(writer->drafts, count, sizeof *writer->drafts, compare_drafts);
        }
        lay_out(written, writer->drafts);
        assert(written->seen_count == 0 ||
               written->rounds[written->round_count - 1].step <= PLAN_STEPS_SEEN_MAX);
        written->identity = ++plans_written;
        written->content = hash_content(written);
        written->output_read = reads_output(written);
        *plan = written;
    }
    free(writer->drafts);
    free(writer);
    return status;
}

/* ---- Printing --------------------------------------------------------------------------- */

static void print_slice(const struct plan *plan, const struct slice *slice, FILE *to)
{
    static const char *const names[] = {"input", "output"};
    if (slice->seen > 0) {
        fprintf(to, "%d.", plan->peers_seen[slice->seen - 1]);
    }
    if (slice->slot < SLOT_SCRATCH) {
        fprintf(to, "%s", names[slice->slot]);
    } else {
        fprintf(to, "%s%d", plan->slot_framed[slice->slot] ? "frame" : "scratch",
                slice->slot - SLOT_SCRATCH);
    }
    if (slice->count == 1) {
        fprintf(to, "[%u]", slice->first);
    } else {
        fprintf(to, "[%u..%u]", slice->first, slice->first + slice->count - 1);
    }
}

static void print_local(const struct plan *plan, const struct action *action, FILE *to)
{
    const struct slice *sources = &plan->sources[action->sources];
    print_slice(plan, &action->slice, to);
    for (uint32_t i = 0; i < action->also_count; i++) {
        fprintf(to, ", ");
        print_slice(plan, &sources[action->source_count + i], to);
    }
    for (uint32_t i = 0; i < action->source_count; i++) {
        fprintf(to, "%s", i == 0 ? " = " : " + ");
        print_slice(plan, &sources[i], to);
    }
    fprintf(to, "%s", action->finish ? ", finish" : "");
}

static void print_action(const struct plan *plan, const struct action *action, FILE *to)
{
    static const char *const names[ACTION_KINDS] = {"copy",  "reduce", "encode",
                                                    "await", "send",   "receive"};
    fprintf(to, "    %-8s", names[action->kind]);
    switch (action->kind) {
    case ACTION_AWAIT:
        fprintf(to, "%d", action->peer);
        break;
    case ACTION_SEND:
    case ACTION_RECEIVE:
        print_slice(plan, &action->slice, to);
        fprintf(to, "%s %s %d", action->head ? " head" : "",
                action->kind == ACTION_SEND ? "to" : "from", action->peer);
        break;
    default:
        print_local(plan, action, to);
    }
    fprintf(to, "\n");
}

bool plan_sends_input_first(const struct plan *plan)
{
    const struct round *round = &plan->rounds[0];
    bool only = plan->round_count > 0 && round->awaits == 0 && !plan->coded;
    for (uint32_t i = 0; only && i < round->messages; i++) {
        const struct action *action = &plan->actions[round->first + round->locals + i];
        uint16_t slot = action->slice.slot;
        bool given = slot == SLOT_INPUT || (slot == SLOT_OUTPUT && round->locals == 0);
        only = action->kind != ACTION_SEND || given;
    }
    return only;
}

void plan_print(const struct plan *plan, FILE *to)
{
    fprintf(to, "%s %s, rank %d of %d: %u chunk%s, %u round%s\n",
            collective_names[plan->collective], plan->name, plan->rank, plan->size, plan->parts,
            plan->parts == 1 ? "" : "s", plan->round_count, plan->round_count == 1 ? "" : "s");
    for (uint32_t r = 0; r < plan->round_count; r++) {
        const struct round *round = &plan->rounds[r];
        fprintf(to, "  round %u\n", r);
        for (uint32_t i = 0; i < round->awaits + round->locals + round->messages; i++) {
            print_action(plan, &plan->actions[round->first + i], to);
        }
    }
}
