/* SPDX-License-Identifier: BSD-3-Clause
 * prove.c: schedules all ranks and segments and lets their messages meet.
 *
 * A lane is one rank's position in the window: it runs segments position, position + window, ...
 * one after the other, round by round, just as the engine does. */
#include "prove.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "order.h"

const char *const flaw_names[FLAW_KINDS] = {
    "none",  "form",   "peer",     "slice",    "slot",   "sight", "hazard",   "undefined", "range",
    "twice", "finish", "mismatch", "deadlock", "result", "bits",  "rounding", "frame"};

struct lane {
    struct place place;
    uint32_t outstanding; /* messages of the round that were posted and did not meet */
    uint32_t awaited;     /* awaits of the round that are over */
    uint32_t waiters;     /* the first lane that awaits this one, or NOBODY */
    uint32_t next_waiter; /* where this lane awaits another */
    bool begun;
    bool awaits; /* a peer that has not come so far */
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
    struct order *order;     /* NULL where nobody sees a peer */
    bool blind;              /* looks at the order only, not at contents */
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
    sum->order = fingerprint_sum(sum->order, value->order);
    sum->depth = value->depth > sum->depth ? value->depth : sum->depth;
    return true;
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

/* The memory that a slice of the plan at `place` lies in. */
static struct memory *memory_of(struct proof *proof, const struct place *place,
                                const struct slice *slice)
{
    return &proof->memories[slice_owner(place->plan, slice)];
}

static bool run_reduce(struct proof *proof, const struct place *place, const struct action *action)
{
    struct value *sums = proof->scratchpad;
    const struct slice *slice = &action->slice;
    memset(sums, 0, slice->count * sizeof(*sums));
    for (uint32_t s = 0; s < action->source_count; s++) {
        const struct slice *source = &place->plan->sources[action->sources + s];
        const struct value *values = memory_read(memory_of(proof, place, source), place, source,
                                                 proof->verdict);
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
    return true;
}

/* Encoding rounds, and its own residual goes with it: a finished sum is not a rank's to change. */
static bool run_copy(struct proof *proof, const struct place *place, const struct action *action)
{
    const struct slice *source = &place->plan->sources[action->sources];
    const struct value *values = memory_read(memory_of(proof, place, source), place, source,
                                             proof->verdict);
    if (values == NULL) {
        return false;
    }
    memcpy(proof->scratchpad, values, source->count * sizeof(*values));
    for (uint32_t i = 0; action->kind == ACTION_ENCODE && i < source->count; i++) {
        if (values[i].finished) {
            return flawed(proof->verdict, FLAW_FINISH, place, "encodes chunk %u, which is finished",
                          source->first + i);
        }
        proof->scratchpad[i].depth++;
    }
    return true;
}

/* The targets of a local action: its slice, and those behind the sources. */
static const struct slice *target_of(const struct plan *plan, const struct action *action,
                                     uint32_t target)
{
    return target == 0 ? &action->slice
                       : &plan->sources[action->sources + action->source_count + target - 1];
}

/* All sources are read before any target is written; a copy onto itself writes nothing. */
static bool touch_local(struct proof *proof, const struct place *place, const struct action *action)
{
    const struct slice *sources = &place->plan->sources[action->sources];
    for (uint32_t i = 0; i < action->source_count; i++) {
        if (!order_touch(proof->order, place, &sources[i], false, proof->verdict)) {
            return false;
        }
    }
    bool idle = action->kind == ACTION_COPY &&
                slices_overlap(proof->claim, place->plan, &action->slice, &sources[0]);
    for (uint32_t i = idle; i <= action->also_count; i++) {
        const struct slice *target = target_of(place->plan, action, i);
        if (!order_touch(proof->order, place, target, true, proof->verdict)) {
            return false;
        }
    }
    return true;
}

static bool run_local(struct proof *proof, const struct place *place)
{
    const struct action *action = &place->plan->actions[place->action];
    if (proof->order != NULL && !touch_local(proof, place, action)) {
        return false;
    }
    if (proof->blind) {
        return true;
    }
    if (!(action->kind == ACTION_REDUCE ? run_reduce : run_copy)(proof, place, action)) {
        return false;
    }
    for (uint32_t i = 0; i <= action->also_count; i++) {
        const struct slice *target = target_of(place->plan, action, i);
        memory_write(memory_of(proof, place, target), place, target, proof->scratchpad);
    }
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
        send->head != receive->head || from->segment != to->segment) {
        return flawed(proof->verdict, FLAW_MISMATCH, to,
                      "expects %s%u chunks from %u of segment %u, but round %u, action %u of rank "
                      "%d sends %s%u from %u of segment %u",
                      receive->head ? "the head of " : "", receive->slice.count,
                      receive->slice.first, to->segment, from->round, from->action,
                      from->plan->rank, send->head ? "the head of " : "", send->slice.count,
                      send->slice.first, from->segment);
    }
    bool framed = to->plan->slot_framed[receive->slice.slot];
    if (framed != from->plan->slot_framed[send->slice.slot]) {
        return flawed(proof->verdict, FLAW_FRAME, to, "expects %s", framed ? "a frame" : "values");
    }
    order_receive(proof->order, from, to);
    proof->verdict->messages++;
    proof->verdict->chunks += send->head ? 0 : send->slice.count;
    if (proof->blind) {
        return true;
    }
    const struct value *values = memory_read(&proof->memories[from->plan->rank], from, &send->slice,
                                             proof->verdict);
    if (values == NULL) {
        return false;
    }
    struct memory *target = &proof->memories[to->plan->rank];
    if (receive->head) {
        memory_tell(target, to, &receive->slice);
        return true;
    }
    if (framed && !memory_is_told(target, to, &receive->slice)) {
        return flawed(proof->verdict, FLAW_FRAME, to, "receives a frame whose head did not come");
    }
    memory_write(target, to, &receive->slice, values);
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
    if (action->kind == ACTION_SEND && !proof->blind &&
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

/* Rounds of a segment that a rank must have ended before it has done all that comes before `step`;
 * not so many where it has nothing to do before. */
static uint32_t rounds_before(const struct plan *plan, uint32_t step)
{
    uint32_t rounds = 0;
    while (rounds < plan->round_count && plan->rounds[rounds].step < step) {
        rounds++;
    }
    return rounds;
}

static struct lane *lane_of(struct proof *proof, int rank, uint32_t position)
{
    return &proof->lanes[(uint32_t)rank * proof->claim->window + position];
}

/* Whether a lane sees the peer where it awaits it. A rank says how far it is whenever it ends a
 * round, so it ends one at least before anybody sees it in the segment. */
static bool has_come(const struct lane *peer, const struct place *place)
{
    uint32_t rounds = rounds_before(peer->place.plan, place->plan->rounds[place->round].step);
    return peer->place.segment > place->segment ||
           (peer->place.segment == place->segment && peer->begun && peer->place.round > 0 &&
            peer->place.round >= rounds);
}

/* False, and the lane is made ready later, when a peer has not come. */
static bool await_peers(struct proof *proof, uint32_t lane_index)
{
    struct lane *lane = &proof->lanes[lane_index];
    struct place *place = &lane->place;
    const struct round *round = &place->plan->rounds[place->round];
    for (; lane->awaited < round->awaits; lane->awaited++) {
        place->action = round->first + lane->awaited;
        int rank = place->plan->actions[place->action].peer;
        struct lane *peer = lane_of(proof, rank, place->position);
        if (!has_come(peer, place)) {
            lane->next_waiter = peer->waiters;
            peer->waiters = lane_index;
            return false;
        }
        order_await(proof->order, place, rank, rounds_before(peer->place.plan, round->step));
    }
    return true;
}

/* Lets those go on that awaited this lane where it is now. */
static void wake_waiters(struct proof *proof, struct lane *lane)
{
    uint32_t *link = &lane->waiters;
    while (*link != NOBODY) {
        uint32_t waiter = *link;
        if (has_come(lane, &proof->lanes[waiter].place)) {
            *link = proof->lanes[waiter].next_waiter;
            make_ready(proof, waiter);
        } else {
            link = &proof->lanes[waiter].next_waiter;
        }
    }
}

/* Ends the round and goes to the next one, or to the next segment of this position. */
static bool leave_round(struct proof *proof, struct lane *lane)
{
    struct place *place = &lane->place;
    if (is_over(proof, lane)) {
        return true;
    }
    if (lane->begun) {
        order_end_round(proof->order, place);
        place->round++;
    } else {
        order_take_up(proof->order, place);
    }
    lane->begun = true;
    lane->awaited = 0;
    while (!is_over(proof, lane) && place->round == place->plan->round_count) {
        if (!order_give_back(proof->order, place, proof->verdict)) {
            return false;
        }
        place->round = 0;
        place->segment += proof->claim->window;
        if (!is_over(proof, lane)) {
            order_take_up(proof->order, place);
        }
    }
    wake_waiters(proof, lane);
    return true;
}

static bool touch_messages(struct proof *proof, struct place *place, const struct round *round)
{
    order_messages(proof->order, place);
    for (uint32_t i = 0; i < round->messages; i++) {
        place->action = round->first + round->awaits + round->locals + i;
        const struct action *action = &place->plan->actions[place->action];
        if (!order_touch(proof->order, place, &action->slice, action->kind == ACTION_RECEIVE,
                         proof->verdict)) {
            return false;
        }
    }
    return true;
}

/* Runs the local actions of a round whose awaits are over, and posts its messages. */
static bool run_round(struct proof *proof, uint32_t lane_index)
{
    struct lane *lane = &proof->lanes[lane_index];
    struct place *place = &lane->place;
    const struct round *round = &place->plan->rounds[place->round];
    order_locals(proof->order, place);
    for (uint32_t i = 0; i < round->locals; i++) {
        place->action = round->first + round->awaits + i;
        if (!run_local(proof, place)) {
            return false;
        }
    }
    if (proof->order != NULL && !touch_messages(proof, place, round)) {
        return false;
    }
    for (uint32_t i = 0; i < round->messages; i++) {
        place->action = round->first + round->awaits + round->locals + i;
        if (!post(proof, lane_index)) {
            return false;
        }
    }
    if (lane->outstanding == 0) {
        make_ready(proof, lane_index);
    }
    return true;
}

/* A lane becomes ready when its round's messages are done, or when what it awaits has come. */
static bool move(struct proof *proof, uint32_t lane_index)
{
    struct lane *lane = &proof->lanes[lane_index];
    if (!lane->awaits && !leave_round(proof, lane)) {
        return false;
    }
    if (is_over(proof, lane)) {
        return true;
    }
    lane->awaits = !await_peers(proof, lane_index);
    return lane->awaits || run_round(proof, lane_index);
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

/* Says whom a lane waits for; never true. */
static bool stuck(struct proof *proof, uint32_t lane_index)
{
    const struct lane *lane = &proof->lanes[lane_index];
    struct place place = lane->place;
    const struct round *round = &place.plan->rounds[place.round];
    const struct action *action = &place.plan->actions[place.action];
    if (lane->awaits) {
        const struct place *peer = &lane_of(proof, action->peer, place.position)->place;
        return flawed(proof->verdict, FLAW_DEADLOCK, &place,
                      "awaits rank %d at step %u for ever, which has ended %u of %u rounds of "
                      "segment %u",
                      action->peer, round->step, peer->round, peer->plan->round_count,
                      peer->segment);
    }
    place.action = waiting_action_of(proof, lane_index);
    action = &place.plan->actions[place.action];
    return flawed(proof->verdict, FLAW_DEADLOCK, &place,
                  "waits for ever for rank %d to %s %u chunks from %u (%u of %u messages of the "
                  "round are left)",
                  action->peer, action->kind == ACTION_SEND ? "receive" : "send",
                  action->slice.count, action->slice.first, lane->outstanding, round->messages);
}

static bool check_all_over(struct proof *proof)
{
    for (uint32_t i = 0; i < proof->lane_count; i++) {
        if (!is_over(proof, &proof->lanes[i])) {
            return stuck(proof, i);
        }
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

/* ---- Setting up --------------------------------------------------------------------------- */

static void init_lanes(struct proof *proof)
{
    uint32_t window = proof->claim->window;
    for (uint32_t i = 0; i < proof->lane_count; i++) {
        uint32_t position = i % window;
        proof->lanes[i] = (struct lane){.place = {.plan = proof->claim->plans[i / window],
                                                  .segment = position,
                                                  .position = position},
                                        .waiters = NOBODY};
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
    return order_create(claim, &proof->order);
}

static void proof_finish(struct proof *proof)
{
    for (int rank = 0; proof->memories != NULL && rank < proof->claim->size; rank++) {
        memory_finish(&proof->memories[rank]);
    }
    order_destroy(proof->order);
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
        if (!form_check_header(claim, claim->plans[rank], verdict)) {
            return false;
        }
    }
    for (int rank = 0; rank < claim->size; rank++) {
        if (!form_check(claim, claim->plans[rank], verdict)) {
            return false;
        }
    }
    return true;
}

/* *sees: whether anybody sees a peer. */
static bool run_proof(const struct claim *claim, bool blind, bool *sees, struct verdict *verdict)
{
    struct proof proof = {
        .claim = claim, .verdict = verdict, .blind = blind, .chance = claim->seed};
    bool fine = proof_init(&proof);
    if (!fine) {
        struct place place = {.plan = claim->plans[0]};
        flawed(verdict, FLAW_FORM, &place, "no memory for the proof");
    }
    *sees = proof.order != NULL;
    fine = fine && run_lanes(&proof);
    fine = fine && (blind || judge_results(claim, proof.memories, verdict));
    proof_finish(&proof);
    return fine;
}

bool prove(const struct claim *claim, struct verdict *verdict)
{
    *verdict = (struct verdict){0};
    if (!check_forms(claim, verdict)) {
        return false;
    }
    bool sees;
    bool fine = run_proof(claim, false, &sees, verdict);
    if (!fine && sees) {
        /* What a race leaves behind is chance: where there is one, it is what to name. */
        struct verdict order = {0};
        run_proof(claim, true, &sees, &order);
        if (order.flaw == FLAW_HAZARD) {
            *verdict = order;
        }
    }
    return fine;
}
