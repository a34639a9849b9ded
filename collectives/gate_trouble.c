/* SPDX-License-Identifier: BSD-3-Clause
 * gate_trouble.c: who is missing at a gate, who answers a roll call, and how bad news are told. */
#include "gate_parts.h"

#include <stdio.h>
#include <string.h>

#include "internal/log.h"

static void put_text(struct message *message, const char *text)
{
    snprintf(message->text, TEXT_BYTES, "%s", text);
    message->bytes = (uint32_t)strlen(message->text) + 1;
}

bool gate_sees_all(const struct gate *gate)
{
    return gate->on_board || hears_all(gate);
}

bool gate_is_star(const struct gate *gate)
{
    return !gate->direct;
}

bool gate_relays(const struct gate *gate)
{
    return gate->relays;
}

int gate_latest(const struct gate *gate)
{
    return gate->latest == gate->topology->rank ? -1 : gate->latest;
}

/* Those whose entry is not there, or those of them who took it back. */
static int unseen_on_board(const struct gate *gate, bool gave_up, int *ranks, int most)
{
    int unseen = 0;
    for (int rank = 0; rank < gate->topology->size; rank++) {
        bool own = rank == gate->topology->rank;
        if (!own && board_read(gate->board, rank, gate->passed) == NULL &&
            board_is_revoked(gate->board, rank) == gave_up) {
            if (unseen < most) {
                ranks[unseen] = rank;
            }
            unseen++;
        }
    }
    return unseen;
}

/* Who gave up waited for somebody as well: in a star why may still be on its way. */
static int missing_on_board(const struct gate *gate, int *ranks, int most)
{
    int absent = unseen_on_board(gate, false, ranks, most);
    return absent > 0 ? absent : unseen_on_board(gate, true, ranks, most);
}

/* To rank 0 of a tree: whether the peer's branch still lacks somebody. */
static bool branch_is_missing(const struct gate *gate, const struct peer *peer)
{
    return gate->near[relay_branch(&gate->relay, peer->rank)]->announced <= gate->passed;
}

/* In a tree rank 0 knows of whole branches, and of whom the roll call told. */
static bool is_missing(const struct gate *gate, const struct peer *peer)
{
    if (!gate->relays) {
        return peer->announced <= gate->passed;
    }
    if (gate->topology->rank == 0) {
        return peer->told <= gate->passed && branch_is_missing(gate, peer);
    }
    if (peer == gate->above) {
        return gate->gathered > gate->passed && peer->announced <= gate->passed;
    }
    return peer->said != NULL && peer->announced <= gate->passed;
}

static int list_peers(const struct gate *gate, bool silent, int *ranks, int most,
                      bool (*belongs)(const struct gate *gate, const struct peer *peer))
{
    int count = 0;
    for (int i = 0; i < gate->peer_count; i++) {
        const struct peer *peer = &gate->peers[i];
        if (belongs(gate, peer) && !(silent && peer->answered)) {
            if (count < most) {
                ranks[count] = peer->rank;
            }
            count++;
        }
    }
    return count;
}

/* Where all of a branch told that they announced, one of them does not pass it on. */
static int missing_peers(const struct gate *gate, bool silent, int *ranks, int most)
{
    int missing = list_peers(gate, silent, ranks, most, is_missing);
    if (missing > 0 || !gate->relays || gate->topology->rank != 0) {
        return missing;
    }
    return list_peers(gate, silent, ranks, most, branch_is_missing);
}

int gate_missing(const struct gate *gate, int *ranks, int most)
{
    return gate->on_board ? missing_on_board(gate, ranks, most)
                          : missing_peers(gate, false, ranks, most);
}

int gate_missing_silent(const struct gate *gate, int *ranks, int most)
{
    return gate->on_board ? missing_on_board(gate, ranks, most)
                          : missing_peers(gate, true, ranks, most);
}

void gate_waits_for(struct gate *gate, int rank)
{
    gate->waits_for = rank;
}

/* Who announced what comes next is there. */
static bool went_on(struct gate *gate, const struct peer *peer)
{
    if (gate->on_board) {
        return is_shown(gate, peer->rank);
    }
    bool knows_branches = gate->relays && gate->topology->rank == 0;
    return knows_branches ? !is_missing(gate, peer) : peer->announced > gate->passed;
}

void gate_call_roll(struct gate *gate, bool at_gate)
{
    gate->roll_called = true;
    gate->roll_at_gate = at_gate;
    gate->roll_passed = gate->passed;
    for (int i = 0; i < gate->peer_count; i++) {
        gate->peers[i].answered = false;
        gate->peers[i].excused = !at_gate && went_on(gate, &gate->peers[i]);
    }
    log_hold_error();
    for (int i = 0; i < gate->peer_count; i++) {
        gate_say(gate, &gate->peers[i], &gate->peers[i].roll_call, MESSAGE_ROLL_CALL);
    }
    log_release_error();
}

int gate_unanswered(const struct gate *gate, int *ranks, int most)
{
    int count = 0;
    for (int i = 0; i < gate->peer_count; i++) {
        if (!gate->peers[i].answered && count++ < most) {
            ranks[count - 1] = gate->peers[i].rank;
        }
    }
    return count;
}

/* In a tree, in the end, everybody waits at the gate for rank 0. */
static bool somebody_waits_for(const struct gate *gate, int rank)
{
    bool waits = gate->waits_for == rank || (gate->relays && gate->roll_at_gate && rank == 0);
    for (int i = 0; i < gate->peer_count; i++) {
        waits = waits || (gate->peers[i].answered && gate->peers[i].waits_for == rank);
    }
    return waits;
}

int gate_silent(const struct gate *gate)
{
    for (int i = 0; i < gate->peer_count; i++) {
        const struct peer *peer = &gate->peers[i];
        if (!peer->answered && !peer->excused && somebody_waits_for(gate, peer->rank)) {
            return peer->rank;
        }
    }
    return -1;
}

void gate_be_idle(struct gate *gate, bool idle)
{
    gate->idle = idle;
}

void gate_leave(struct gate *gate, uint64_t done, const char *sentence)
{
    struct message *message = gate->leaving.message;
    if (gate->status != WW_OK || message->kind == MESSAGE_LEFT) {
        return;
    }
    *message = (struct message){.kind = MESSAGE_LEFT, .status = WW_MISMATCH, .number = done};
    put_text(message, sentence);
    log_hold_error(); /* a peer that is lost is found elsewhere */
    gate_post_to_all(gate, &gate->leaving);
    log_release_error();
}

/* To each peer by itself: that one is lost keeps the word from nobody else. Once is enough, and its
 * memory stays as it is. */
static void post_failure(struct gate *gate, uint64_t done, enum ww_status status,
                         const char *sentence)
{
    if (gate->failure_told) {
        return;
    }
    gate->failure_told = true;
    gate->failure = (struct message){.kind = MESSAGE_FAILED,
                                     .status = status,
                                     .number = done < gate->limit ? done : gate->limit};
    put_text(&gate->failure, sentence);
    log_hold_error();
    for (int i = 0; i < gate->peer_count; i++) {
        struct ww_flight flight; /* of no interest */
        const struct ww_message message = gate_message_to(gate, &gate->peers[i], &gate->failure);
        gate->transport->post(gate->fabric, GATE_TAG, true, &message, 1, &flight);
    }
    log_release_error();
}

/* The word goes first: who finds an announcement gone finds the reason. */
void gate_report_failure(struct gate *gate, uint64_t done, enum ww_status status,
                         const char *sentence)
{
    post_failure(gate, done, status, sentence);
    if (gate->board != NULL) {
        /* What does not match lets nobody pass: peers may see it and judge for themselves. */
        bool mismatch = status == WW_MISMATCH;
        board_revoke(gate->board, mismatch ? gate->announced : gate->passed, gate->announced);
    }
}
