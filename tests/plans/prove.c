/* SPDX-License-Identifier: BSD-3-Clause
 * prove.c: schedules all ranks and segments, lets their messages meet, and judges the result.
 *
 * A lane is one rank's position in the window: it runs segments position, position + window, ...
 * one after the other, round by round, just as the engine does. */
#include "prove.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

const char *const flaw_names[FLAW_KINDS] = {"none",     "form",      "peer",   "slice", "slot",
                                            "hazard",   "undefined", "range",  "twice", "finish",
                                            "mismatch", "deadlock",  "result", "bits",  "rounding"};

#define NOBODY UINT32_MAX

struct lane {
    struct place place;
    uint32_t outstanding; /* messages of the round that were posted and did not meet */
    bool begun;
};

/* A message that waits for its other end. */
struct waiting {
    uint32_t lane;
    uint32_t action;
    uint32_t next;
};

/* Messages of one (sender, receiver, tag) that wait: all sends or all receives. */
struct queue {
    uint32_t head;
    uint32_t tail;
};

struct proof {
    const struct claim *claim;
    struct verdict *verdict;
    uint32_t lane_count;
    struct lane *lanes; /* [size * window], rank by rank */
    uint32_t *ready;    /* lanes that can move */
    uint32_t ready_count;
    struct memory *memories; /* [size] */
    struct queue *queues;    /* [size * size * window] */
    struct waiting *waiting; /* pool */
    uint32_t waiting_free;
    struct value *scratchpad; /* [parts] */
    uint64_t chance;
};

bool flawed(struct verdict *verdict, enum flaw flaw, const struct place *place, const char *format,
            ...)
{
    if (verdict->flaw != FLAW_NONE) {
        return false;
    }
    verdict->flaw = flaw;
    const struct plan *plan = place->plan;
    int used = snprintf(verdict->sentence, sizeof(verdict->sentence),
                        "%s %s, rank %d of %d, segment %u, round %u, action %u: ",
                        collective_names[plan->collective], plan->name, plan->rank, plan->size,
                        place->segment, place->round, place->action);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(verdict->sentence + used, sizeof(verdict->sentence) - (size_t)used, format,
              arguments);
    va_end(arguments);
    return false;
}

/* ---- Chance ------------------------------------------------------------------------------- */

static uint64_t chance_next(uint64_t *state)
{
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Which of the ready lanes moves: the seed also decides on the habit, because a lane that runs
 * ahead as far as it can, or one that always comes last, finds other bugs than an even mix. */
static uint32_t pick_ready(struct proof *proof)
{
    uint64_t draw = chance_next(&proof->chance);
    switch (proof->claim->seed % 4) {
    case 0:
        return proof->ready_count - 1;
    case 1:
        return draw % 8 == 0 ? (uint32_t)((draw >> 8) % proof->ready_count) : 0;
    default:
        return (uint32_t)((draw >> 8) % proof->ready_count);
    }
}

/* ---- Local actions ------------------------------------------------------------------------ */

/* Not symmetric: (a, b) and (b, a) differ, as NaNs and signed zeros do. */
static uint64_t order_of(uint64_t left, uint64_t right)
{
    uint64_t x = left * UINT64_C(0xff51afd7ed558ccd) + (right ^ (right >> 31));
    return (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
}

static bool add_source(struct proof *proof, const struct place *place, uint32_t chunk,
                       struct value *sum, const struct value *value)
{
    if (value->finished) {
        return flawed(proof->verdict, FLAW_FINISH, place, "reduces chunk %u, which is finished",
                      chunk);
    }
    if ((sum->ranks & value->ranks) != 0) {
        return flawed(proof->verdict, FLAW_TWICE, place,
                      "chunk %u gets the contribution of rank %d twice", chunk,
                      __builtin_ctzll(sum->ranks & value->ranks));
    }
    sum->ranks |= value->ranks;
    sum->order = order_of(sum->order, value->order);
    sum->depth = value->depth > sum->depth ? value->depth : sum->depth;
    return true;
}

static uint64_t everybody(int size)
{
    return size == 64 ? UINT64_MAX : (UINT64_C(1) << size) - 1;
}

static bool finish_sum(struct proof *proof, const struct place *place, uint32_t chunk,
                       struct value *sum)
{
    uint64_t missing = everybody(proof->claim->size) & ~sum->ranks;
    if (missing != 0) {
        return flawed(proof->verdict, FLAW_FINISH, place,
                      "finishes chunk %u without the contribution of rank %d", chunk,
                      __builtin_ctzll(missing));
    }
    sum->finished = true;
    return true;
}

static bool run_reduce(struct proof *proof, struct memory *memory, const struct place *place,
                       const struct action *action)
{
    struct value *sums = proof->scratchpad;
    const struct slice *slice = &action->slice;
    memset(sums, 0, slice->count * sizeof(*sums));
    for (uint32_t s = 0; s < action->source_count; s++) {
        const struct slice *source = &place->plan->sources[action->sources + s];
        const struct value *values = memory_read(memory, place, source, proof->verdict);
        if (values == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < slice->count; i++) {
            if (!add_source(proof, place, slice->first + i, &sums[i], &values[i])) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < slice->count; i++) {
        sums[i].defined = true;
        sums[i].depth++;
        if (action->finish && !finish_sum(proof, place, slice->first + i, &sums[i])) {
            return false;
        }
    }
    memory_write(memory, place, slice, sums);
    return true;
}

static bool run_local(struct proof *proof, const struct lane *lane, struct memory *memory)
{
    const struct place *place = &lane->place;
    const struct action *action = &place->plan->actions[place->action];
    if (action->kind == ACTION_REDUCE) {
        return run_reduce(proof, memory, place, action);
    }
    const struct value *values = memory_read(memory, place, &place->plan->sources[action->sources],
                                             proof->verdict);
    if (values == NULL) {
        return false;
    }
    memory_write(memory, place, &action->slice, values);
    return true;
}

/* ---- Messages ----------------------------------------------------------------------------- */

static const struct action *waiting_action(const struct proof *proof, const struct waiting *waiting)
{
    return &proof->lanes[waiting->lane].place.plan->actions[waiting->action];
}

static struct queue *queue_of(struct proof *proof, const struct place *place,
                              const struct action *action)
{
    int size = proof->claim->size;
    int rank = place->plan->rank;
    int from = action->kind == ACTION_SEND ? rank : action->peer;
    int to = action->kind == ACTION_SEND ? action->peer : rank;
    size_t pair = (size_t)from * (size_t)size + (size_t)to;
    return &proof->queues[pair * proof->claim->window + place->position];
}

static void enqueue(struct proof *proof, struct queue *queue, uint32_t lane, uint32_t action)
{
    uint32_t node = proof->waiting_free;
    proof->waiting_free = proof->waiting[node].next;
    proof->waiting[node] = (struct waiting){lane, action, NOBODY};
    if (queue->head == NOBODY) {
        queue->head = node;
    } else {
        proof->waiting[queue->tail].next = node;
    }
    queue->tail = node;
}

static struct waiting dequeue(struct proof *proof, struct queue *queue)
{
    uint32_t node = queue->head;
    struct waiting waiting = proof->waiting[node];
    queue->head = waiting.next;
    proof->waiting[node].next = proof->waiting_free;
    proof->waiting_free = node;
    return waiting;
}

/* Carries the values from the sender's memory to the receiver's. */
static bool meet(struct proof *proof, struct place *from, struct place *to)
{
    const struct action *send = &from->plan->actions[from->action];
    const struct action *receive = &to->plan->actions[to->action];
    if (send->slice.first != receive->slice.first || send->slice.count != receive->slice.count ||
        from->segment != to->segment) {
        return flawed(proof->verdict, FLAW_MISMATCH, to,
                      "expects %u chunks from %u of segment %u, but round %u, action %u of rank %d "
                      "sends %u from %u of segment %u",
                      receive->slice.count, receive->slice.first, to->segment, from->round,
                      from->action, from->plan->rank, send->slice.count, send->slice.first,
                      from->segment);
    }
    const struct value *values = memory_read(&proof->memories[from->plan->rank], from, &send->slice,
                                             proof->verdict);
    if (values == NULL) {
        return false;
    }
    memory_write(&proof->memories[to->plan->rank], to, &receive->slice, values);
    proof->verdict->messages++;
    proof->verdict->chunks += send->slice.count;
    return true;
}

static void make_ready(struct proof *proof, uint32_t lane)
{
    proof->ready[proof->ready_count++] = lane;
}

/* Posts one message of the lane's round; it may meet another lane's. */
static bool post(struct proof *proof, uint32_t lane_index)
{
    struct lane *lane = &proof->lanes[lane_index];
    const struct action *action = &lane->place.plan->actions[lane->place.action];
    struct queue *queue = queue_of(proof, &lane->place, action);
    /* Reading at once finds undefined contents even where the message never meets another. */
    if (action->kind == ACTION_SEND &&
        memory_read(&proof->memories[lane->place.plan->rank], &lane->place, &action->slice,
                    proof->verdict) == NULL) {
        return false;
    }
    if (queue->head == NOBODY ||
        waiting_action(proof, &proof->waiting[queue->head])->kind == action->kind) {
        enqueue(proof, queue, lane_index, lane->place.action);
        lane->outstanding++;
        return true;
    }
    struct waiting other = dequeue(proof, queue);
    struct lane *peer = &proof->lanes[other.lane];
    struct place there = peer->place;
    there.action = other.action;
    bool sends = action->kind == ACTION_SEND;
    if (!meet(proof, sends ? &lane->place : &there, sends ? &there : &lane->place)) {
        return false;
    }
    peer->outstanding--;
    if (peer->outstanding == 0) {
        make_ready(proof, other.lane);
    }
    return true;
}

/* ---- Lanes -------------------------------------------------------------------------------- */

static bool is_over(const struct proof *proof, const struct lane *lane)
{
    return lane->place.segment >= proof->claim->segments;
}

/* Goes to the next round, or to the next segment of this position. */
static void skip_ends(struct proof *proof, struct lane *lane)
{
    struct place *place = &lane->place;
    while (!is_over(proof, lane) && place->round == place->plan->round_count) {
        place->round = 0;
        place->segment += proof->claim->window;
    }
}

/* A lane becomes ready when its round's messages are done; this moves it into its next round. */
static bool move(struct proof *proof, uint32_t lane_index)
{
    struct lane *lane = &proof->lanes[lane_index];
    struct place *place = &lane->place;
    if (lane->begun) {
        place->round++;
    }
    lane->begun = true;
    skip_ends(proof, lane);
    if (is_over(proof, lane)) {
        return true;
    }
    const struct round *round = &place->plan->rounds[place->round];
    struct memory *memory = &proof->memories[place->plan->rank];
    for (uint32_t i = 0; i < round->locals; i++) {
        place->action = round->first + i;
        if (!run_local(proof, lane, memory)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < round->messages; i++) {
        place->action = round->first + round->locals + i;
        if (!post(proof, lane_index)) {
            return false;
        }
    }
    if (lane->outstanding == 0) {
        make_ready(proof, lane_index);
    }
    return true;
}

/* The last of a lane's messages that wait for their other end. */
static uint32_t waiting_action_of(const struct proof *proof, uint32_t lane)
{
    size_t size = (size_t)proof->claim->size;
    uint32_t action = 0;
    for (size_t q = 0; q < size * size * proof->claim->window; q++) {
        for (uint32_t w = proof->queues[q].head; w != NOBODY; w = proof->waiting[w].next) {
            action = proof->waiting[w].lane == lane ? proof->waiting[w].action : action;
        }
    }
    return action;
}

static bool check_all_over(struct proof *proof)
{
    for (uint32_t i = 0; i < proof->lane_count; i++) {
        const struct lane *lane = &proof->lanes[i];
        if (is_over(proof, lane)) {
            continue;
        }
        struct place place = lane->place;
        place.action = waiting_action_of(proof, i);
        const struct action *action = &place.plan->actions[place.action];
        return flawed(proof->verdict, FLAW_DEADLOCK, &place,
                      "waits for ever for rank %d to %s %u chunks from %u (%u of %u messages of "
                      "the round are left)",
                      action->peer, action->kind == ACTION_SEND ? "receive" : "send",
                      action->slice.count, action->slice.first, lane->outstanding,
                      place.plan->rounds[place.round].messages);
    }
    return true;
}

static bool run_lanes(struct proof *proof)
{
    bool fine = true;
    while (fine && proof->ready_count > 0) {
        uint32_t at = pick_ready(proof);
        uint32_t lane = proof->ready[at];
        proof->ready[at] = proof->ready[--proof->ready_count];
        fine = move(proof, lane);
    }
    return fine && check_all_over(proof);
}

/* ---- Results ------------------------------------------------------------------------------ */

/* The contributions that a chunk of the output must hold in the end. */
static uint64_t wanted_ranks(const struct claim *claim, enum collective collective, uint32_t chunk)
{
    switch (collective) {
    case COLLECTIVE_ALL_GATHER:
        return UINT64_C(1) << chunk;
    case COLLECTIVE_BROADCAST:
        return UINT64_C(1) << claim->root;
    default:
        return everybody(claim->size);
    }
}

static bool check_value(struct proof *proof, const struct place *place, uint32_t chunk,
                        const struct value *value, const struct value *first)
{
    const struct claim *claim = proof->claim;
    uint64_t wanted = wanted_ranks(claim, place->plan->collective, chunk);
    bool reduced = place->plan->collective == COLLECTIVE_ALL_REDUCE ||
                   place->plan->collective == COLLECTIVE_REDUCE_SCATTER;
    if (!value->defined || value->ranks != wanted) {
        return flawed(proof->verdict, FLAW_RESULT, place,
                      "the output's chunk %u ends with ranks %#llx, not %#llx", chunk,
                      (unsigned long long)value->ranks, (unsigned long long)wanted);
    }
    if (reduced && claim->size > 1 && !value->finished) {
        return flawed(proof->verdict, FLAW_FINISH, place, "the output's chunk %u is not finished",
                      chunk);
    }
    if (claim->one_rounding && value->depth > 1) {
        return flawed(proof->verdict, FLAW_ROUNDING, place,
                      "the output's chunk %u was rounded %u times", chunk, value->depth);
    }
    if (place->plan->collective != COLLECTIVE_REDUCE_SCATTER && value->order != first->order) {
        return flawed(proof->verdict, FLAW_BITS, place,
                      "the output's chunk %u was added in another order than on rank 0", chunk);
    }
    return true;
}

static bool check_rank(struct proof *proof, int rank)
{
    const struct plan *plan = proof->claim->plans[rank];
    const struct value *values = proof->memories[rank].vector[SLOT_OUTPUT];
    const struct value *firsts = proof->memories[0].vector[SLOT_OUTPUT];
    struct place place = {.plan = plan, .round = plan->round_count, .action = plan->action_count};
    for (place.segment = 0; place.segment < proof->claim->segments; place.segment++) {
        for (uint32_t chunk = 0; chunk < plan->parts; chunk++) {
            if (plan->collective == COLLECTIVE_REDUCE_SCATTER && chunk != (uint32_t)rank) {
                continue;
            }
            size_t at = (size_t)place.segment * plan->parts + chunk;
            if (!check_value(proof, &place, chunk, &values[at], &firsts[at])) {
                return false;
            }
        }
    }
    return true;
}

/* ---- Setting up --------------------------------------------------------------------------- */

static void init_lanes(struct proof *proof)
{
    uint32_t window = proof->claim->window;
    for (uint32_t i = 0; i < proof->lane_count; i++) {
        uint32_t position = i % window;
        proof->lanes[i].place = (struct place){
            .plan = proof->claim->plans[i / window], .segment = position, .position = position};
        make_ready(proof, i);
    }
}

/* The messages that may wait at once: every lane's largest round. */
static uint32_t pool_size(const struct claim *claim)
{
    uint32_t pool = 1;
    for (int rank = 0; rank < claim->size; rank++) {
        pool += claim->window * claim->plans[rank]->messages_max;
    }
    return pool;
}

static bool proof_init(struct proof *proof)
{
    const struct claim *claim = proof->claim;
    size_t size = (size_t)claim->size;
    size_t queues = size * size * claim->window;
    uint32_t pool = pool_size(claim);
    proof->lane_count = (uint32_t)size * claim->window;
    proof->lanes = calloc(proof->lane_count, sizeof(*proof->lanes));
    proof->ready = calloc(proof->lane_count, sizeof(*proof->ready));
    proof->memories = calloc(size, sizeof(*proof->memories));
    proof->queues = malloc(queues * sizeof(*proof->queues));
    proof->waiting = malloc(pool * sizeof(*proof->waiting));
    proof->scratchpad = calloc(claim->plans[0]->parts, sizeof(*proof->scratchpad));
    if (proof->lanes == NULL || proof->ready == NULL || proof->memories == NULL ||
        proof->queues == NULL || proof->waiting == NULL || proof->scratchpad == NULL) {
        return false;
    }
    for (size_t i = 0; i < queues; i++) {
        proof->queues[i] = (struct queue){NOBODY, NOBODY};
    }
    for (uint32_t i = 0; i < pool; i++) {
        proof->waiting[i].next = i + 1;
    }
    for (int rank = 0; rank < claim->size; rank++) {
        if (!memory_init(&proof->memories[rank], claim, claim->plans[rank])) {
            return false;
        }
    }
    init_lanes(proof);
    return true;
}

static void proof_finish(struct proof *proof)
{
    for (int rank = 0; proof->memories != NULL && rank < proof->claim->size; rank++) {
        memory_finish(&proof->memories[rank]);
    }
    free(proof->lanes);
    free(proof->ready);
    free(proof->memories);
    free(proof->queues);
    free(proof->waiting);
    free(proof->scratchpad);
}

static bool check_forms(const struct claim *claim, struct verdict *verdict)
{
    for (int rank = 0; rank < claim->size; rank++) {
        if (claim->plans[rank]->rank != rank) {
            struct place place = {.plan = claim->plans[rank]};
            return flawed(verdict, FLAW_FORM, &place, "stands at the place of rank %d", rank);
        }
        if (!form_check(claim, claim->plans[rank], verdict)) {
            return false;
        }
    }
    return true;
}

bool prove(const struct claim *claim, struct verdict *verdict)
{
    *verdict = (struct verdict){0};
    if (!check_forms(claim, verdict)) {
        return false;
    }
    struct proof proof = {.claim = claim, .verdict = verdict, .chance = claim->seed};
    bool fine = proof_init(&proof);
    if (!fine) {
        struct place place = {.plan = claim->plans[0]};
        flawed(verdict, FLAW_FORM, &place, "no memory for the proof");
    }
    fine = fine && run_lanes(&proof);
    for (int rank = 0; fine && rank < claim->size; rank++) {
        fine = check_rank(&proof, rank);
    }
    proof_finish(&proof);
    return fine;
}
