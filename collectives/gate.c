/* SPDX-License-Identifier: BSD-3-Clause
 * gate.c: announces collectives, and lets them through when all ranks said the same. */
#include "gate.h"

#include <assert.h>
#include <string.h>

#include "gate_parts.h"

static bool all_shown(struct gate *gate)
{
    for (int rank = 0; rank < gate->topology->size; rank++) {
        if (!is_shown(gate, rank)) {
            return false;
        }
    }
    return true;
}

/* True when this rank and all below it announced the next collective that is to be told above. */
static bool came_together(const struct gate *gate)
{
    bool all = gate->announced > gate->gathered;
    for (int i = 0; all && i < gate->near_count; i++) {
        const struct peer *peer = gate->near[i];
        all = peer == gate->above || peer->announced > gate->gathered;
    }
    return all;
}

static bool all_announced(struct gate *gate)
{
    if (gate->on_board) {
        return gate->announced > gate->passed && all_shown(gate);
    }
    bool told = gate->above == NULL || gate->above->announced > gate->passed;
    return told && gate->gathered > gate->passed;
}

static enum ww_status tell_above(struct gate *gate)
{
    struct outgoing *outgoing = &gate->announcing[own_slot(gate, gate->gathered)];
    struct message *message = outgoing->message;
    message->whom = gate->own[own_slot(gate, gate->gathered)].latest;
    if (!gate_agree(gate, gate->gathered)) {
        struct wishes wishes = gate_collect_wishes(gate, gate->gathered);
        memcpy(message->wishes, wishes.wish, sizeof wishes.wish);
        message->bytes = (uint32_t)((size_t)wishes.count * sizeof *wishes.wish);
    }
    return gate_post_to(gate, outgoing, gate->above);
}

/* Who was last: whoever was awaited last here or, below that one, there; nobody was since this rank
 * announced = itself. */
static int find_latest(const struct gate *gate)
{
    return gate->kept == NULL ? gate->topology->rank
                              : said_of(gate, gate->kept, gate->gathered)->latest;
}

/* Nobody is there any more to tell, or nothing of what is announced here will be done. */
static bool is_vain(const struct gate *gate)
{
    return gate->gathered >= gate->limit || (gate->above != NULL && gate->above->gone);
}

/* What came together below this rank is told above it. */
static enum ww_status gather(struct gate *gate)
{
    enum ww_status status = WW_OK;
    while (status == WW_OK && !gate->on_board && !is_vain(gate) && came_together(gate)) {
        gate->own[own_slot(gate, gate->gathered)].latest = gate->relays ? find_latest(gate) : -1;
        status = gate->above == NULL ? WW_OK : tell_above(gate);
        gate->gathered++;
    }
    return status;
}

/* All agree: so says rank 0, and everybody to those below. */
static enum ww_status tell_verdict(struct gate *gate)
{
    *gate->verdict.message = (struct message){
        .kind = MESSAGE_ANNOUNCE, .number = gate->passed, .whom = gate->latest};
    return gate_post_below(gate, &gate->verdict);
}

static enum ww_status pass(struct gate *gate)
{
    enum ww_status status = gate_judge(gate);
    if (status == WW_OK && gate->relays) {
        gate->latest = gate->above == NULL ? gate->own[own_slot(gate, gate->passed)].latest
                                           : said_of(gate, gate->above, gate->passed)->latest;
        status = tell_verdict(gate);
    }
    gate->passed += status == WW_OK;
    return status;
}

static bool may_pass(struct gate *gate)
{
    return gate->passed < gate->limit && all_announced(gate) &&
           gate_outgoing_free(gate, &gate->verdict);
}

/* What is announced here next will never be done, once so many are: whoever would have to take part
 * gave up, or left. */
static enum ww_status judge_hope(const struct gate *gate, uint64_t done)
{
    if (gate->announced == done) {
        return WW_OK;
    }
    if (done >= gate->limit) {
        return gate_tell_news(gate);
    }
    bool without = !gate->idle && gate->left_rank >= 0 && done >= gate->left.number;
    return without ? gate_pass_on(gate, &gate->left, gate->left_rank) : WW_OK;
}

enum ww_status gate_advance(struct gate *gate, uint64_t done, uint64_t *passed)
{
    enum ww_status status = gate->status;
    if (status == WW_OK) {
        status = gate_hear_some(gate);
    }
    if (status == WW_OK) {
        status = gather(gate);
    }
    while (status == WW_OK && may_pass(gate)) {
        status = pass(gate);
        if (status == WW_OK && !gate->on_board) {
            status = gate_hear_awaited(gate);
        }
        if (status == WW_OK) {
            status = gather(gate);
        }
    }
    *passed = gate->passed;
    return fail(gate, status == WW_OK ? judge_hope(gate, done) : status);
}

bool gate_has_room(struct gate *gate)
{
    return gate_outgoing_free(gate, &gate->announcing[own_slot(gate, gate->announced)]);
}

/* ---- Values ------------------------------------------------------------------------------- */

size_t gate_values_room(const struct gate *gate)
{
    if (gate->on_board) {
        return BOARD_VALUES_BYTES;
    }
    return gate->direct ? gate->values_room : 0;
}

bool gate_shows_values(const struct gate *gate)
{
    return gate->on_board;
}

const void *gate_values(const struct gate *gate, int rank, uint64_t number, size_t bytes)
{
    assert(rank != gate->topology->rank && bytes <= gate_values_room(gate));
    if (gate->on_board) {
        return board_values(board_place(gate->board, rank, number), bytes);
    }
    size_t slot = (size_t)(number & (gate->ahead - 1));
    const struct peer *peer = &gate->peers[rank - (rank > gate->topology->rank)];
    return peer->values + slot * gate->values_room;
}

bool gate_has_told(struct gate *gate, uint64_t number)
{
    struct outgoing *outgoing = &gate->announcing[own_slot(gate, number)];
    return gate->on_board || outgoing->message->bytes <= GATE_VALUES_BYTES ||
           gate_outgoing_free(gate, outgoing);
}

int gate_tells(const struct gate *gate, uint64_t number)
{
    const struct outgoing *outgoing = &gate->announcing[own_slot(gate, number)];
    bool knows = outgoing->under_way && gate->transport->waits_for != NULL;
    return knows ? gate->transport->waits_for(gate->fabric, &outgoing->flight) : -1;
}

/* ---- Announcing --------------------------------------------------------------------------- */

/* How many values a peer gets. */
static size_t told_bytes(const struct gate *gate, const struct luggage *luggage)
{
    bool parted = luggage->shares && !gate->on_board;
    return parted ? luggage->bytes / (size_t)gate->topology->size : luggage->bytes;
}

static void write_announcement(const struct gate *gate, struct outgoing *outgoing,
                               const struct signature *signature, const struct luggage *luggage)
{
    size_t bytes = told_bytes(gate, luggage);
    int messages = luggage->shares ? gate->peer_count : 1;
    outgoing->apart = luggage->shares ? HEAD_BYTES + gate->values_room : 0;
    for (int i = 0; i < messages; i++) {
        struct message *message = message_of(outgoing, i);
        size_t share = luggage->shares ? (size_t)gate->peers[i].rank : 0;
        *message = (struct message){.kind = MESSAGE_ANNOUNCE,
                                    .number = gate->announced,
                                    .signature = *signature,
                                    .bytes = (uint32_t)bytes};
        if (bytes > 0) {
            memcpy(values_of(message), (const unsigned char *)luggage->values + share * bytes,
                   bytes);
        }
    }
}

enum ww_status gate_announce(struct gate *gate, const struct signature *signature,
                             const struct luggage *luggage)
{
    if (gate->status != WW_OK) {
        return gate->status;
    }
    size_t slot = own_slot(gate, gate->announced);
    struct outgoing *outgoing = &gate->announcing[slot];
    assert(!outgoing->under_way && told_bytes(gate, luggage) <= gate_values_room(gate));
    gate->own[slot].signature = *signature;
    gate->kept = gate->announced == gate->gathered ? NULL : gate->kept;
    if (gate->board != NULL) {
        board_write(gate->board, gate->announced, signature, luggage->notice, luggage->values,
                    gate->on_board ? luggage->bytes : 0);
    }
    if (gate->on_board) {
        gate->announced++;
        return WW_OK;
    }
    write_announcement(gate, outgoing, signature, luggage);
    gate->announced++;
    gate->looks = HEAR_REST_EVERY - 1; /* who comes late hears first what became of the others */
    enum ww_status status = gate->direct ? gate_post_to_all(gate, outgoing) : WW_OK;
    return fail(gate, status == WW_OK ? gather(gate) : status);
}
