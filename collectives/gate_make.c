/* SPDX-License-Identifier: BSD-3-Clause
 * gate_make.c: makes a gate: who tells whom, and room for what they say. */
#include "gate_parts.h"

#include <assert.h>
#include <stdlib.h>

#include "internal/log.h"

/* Values go with announcements that are messages to all. */
static void measure_messages(struct gate *gate)
{
    size_t room = control_room_of(gate->transport, gate->fabric);
    gate->direct = gate->topology->size <= GATE_DIRECT_SIZE;
    gate->relays = !gate->direct && !gate->on_board;
    gate->as_long_as_said = room > WW_CONTROL_BYTES;
    bool longer = gate->direct && !gate->on_board && room >= FABRIC_CONTROL_ROOM;
    gate->values_room = longer ? GATE_VALUES_BYTES_LONG : GATE_VALUES_BYTES;
}

/* Announcements, to each peer where they may differ, and what comes in have room for values, of the
 * rest there are two messages, and two for each peer. */
static bool allocate_messages(struct gate *gate, size_t peers)
{
    size_t room = HEAD_BYTES + gate->values_room;
    size_t depth = (size_t)gate->depth;
    size_t apart = gate->direct ? peers : 1;
    size_t long_ones = depth * apart + peers;
    gate->messages = calloc(long_ones * room + (2 + 2 * peers) * sizeof(struct message), 1);
    if (gate->messages == NULL) {
        return false;
    }
    unsigned char *next = gate->messages;
    for (size_t i = 0; i < depth; i++, next += apart * room) {
        gate->announcing[i].message = (void *)next;
    }
    for (size_t i = 0; i < peers; i++, next += room) {
        gate->peers[i].incoming = (void *)next;
    }
    struct message *rest = (void *)next;
    gate->verdict.message = rest++;
    gate->leaving.message = rest++;
    for (size_t i = 0; i < peers; i++) {
        gate->peers[i].answer.message = rest++;
        gate->peers[i].roll_call.message = rest++;
    }
    return true;
}

/* Rank 0 is the first peer of those that do not hear all, be it above them or not. */
static int first_below(const struct gate *gate)
{
    return gate->relay.parent > 0 ? 2 : 1;
}

/* Whom this rank hears: everybody, or rank 0 and who is next to it in the tree, if there is one. */
static int count_peers(const struct gate *gate)
{
    return hears_all(gate) ? gate->topology->size - 1 : first_below(gate) + gate->relay.below;
}

static int peer_rank(const struct gate *gate, int index)
{
    int below = index - first_below(gate);
    if (hears_all(gate)) {
        return index + (index >= gate->topology->rank);
    }
    if (index == 0) {
        return 0;
    }
    return below < 0 ? gate->relay.parent : gate->relay.ranks_below[below];
}

static struct peer *peer_of(const struct gate *gate, int rank)
{
    int index = 0;
    while (gate->peers[index].rank != rank) {
        index++;
    }
    return &gate->peers[index];
}

static enum ww_status allocate(struct gate *gate)
{
    const struct topology *topology = gate->topology;
    gate->peer_count = count_peers(gate);
    gate->near_count = gate->relays ? gate->relay.below + (gate->relay.parent >= 0)
                                    : gate->peer_count;
    size_t peers = (size_t)gate->peer_count + 1; /* never zero */
    size_t near = (size_t)gate->near_count + 1;
    gate->own = calloc((size_t)gate->depth, sizeof *gate->own);
    gate->announcing = calloc((size_t)gate->depth, sizeof *gate->announcing);
    gate->peers = calloc(peers, sizeof *gate->peers);
    gate->near = calloc(near, sizeof(struct peer *));
    gate->round = calloc(peers, sizeof *gate->round);
    gate->said = calloc(near * gate->ahead, sizeof *gate->said);
    gate->wishes = calloc(near, sizeof *gate->wishes);
    gate->votes = calloc((size_t)topology->size, sizeof *gate->votes);
    gate->shown = calloc((size_t)topology->size, sizeof *gate->shown);
    bool roomy = true;
    if (gate->direct && !gate->on_board) {
        gate->values = calloc(peers * gate->ahead, gate->values_room);
        roomy = gate->values != NULL;
    }
    if (!roomy || gate->shown == NULL || gate->own == NULL || gate->announcing == NULL ||
        gate->peers == NULL || gate->near == NULL || gate->round == NULL || gate->said == NULL ||
        gate->wishes == NULL || gate->votes == NULL || !allocate_messages(gate, peers)) {
        return log_failure(WW_NO_MEMORY, "no memory for the gate of %d ranks", topology->size);
    }
    return WW_OK;
}

static void name_peers(struct gate *gate)
{
    for (int i = 0; i < gate->peer_count; i++) {
        gate->peers[i].rank = peer_rank(gate, i);
        gate->peers[i].waits_for = -1;
        gate->peers[i].values = gate->values == NULL
                                    ? NULL
                                    : gate->values + (uint64_t)i * gate->ahead * gate->values_room;
    }
}

static void count_spoken_for(struct gate *gate)
{
    for (int rank = 1; rank < gate->topology->size; rank++) {
        int branch = relay_branch(&gate->relay, rank);
        if (branch >= 0) {
            gate->near[branch]->speaks_for++;
        }
    }
}

/* Who announces here. */
static void name_near(struct gate *gate)
{
    int below = gate->relays ? gate->relay.below : gate->near_count;
    for (int i = 0; i < gate->near_count; i++) {
        int rank = i < below ? gate->relay.ranks_below[i] : gate->relay.parent;
        struct peer *peer = gate->relays ? peer_of(gate, rank) : &gate->peers[i];
        gate->near[i] = peer;
        peer->said = gate->said + (uint64_t)i * gate->ahead;
        peer->wishes = gate->relays ? &gate->wishes[i] : NULL;
        gate->above = i < below ? NULL : peer;
    }
    if (gate->relays) {
        count_spoken_for(gate);
    }
}

enum ww_status gate_open(struct gate *gate)
{
    enum ww_status status = WW_OK;
    for (int i = 0; status == WW_OK && i < gate->peer_count; i++) {
        status = gate_listen(gate, &gate->peers[i]);
    }
    return fail(gate, status);
}

enum ww_status gate_create(const struct ww_transport *transport, void *fabric,
                           const struct topology *topology, const struct board *board, int depth,
                           struct gate **gate)
{
    assert(depth > 0 && (depth & (depth - 1)) == 0);
    struct gate *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a gate");
    }
    made->transport = transport;
    made->fabric = fabric;
    made->topology = topology;
    made->board = board;
    made->on_board = board != NULL && board->complete;
    made->depth = depth;
    made->ahead = 2 * (uint64_t)depth;
    made->limit = UINT64_MAX;
    made->left_rank = -1;
    made->waits_for = -1;
    made->latest = -1;
    measure_messages(made);
    enum ww_status status = made->relays ? relay_init(topology, &made->relay) : WW_OK;
    if (status == WW_OK) {
        status = allocate(made);
    }
    if (status != WW_OK) {
        gate_destroy(made);
        return status;
    }
    name_peers(made);
    name_near(made);
    *gate = made;
    return WW_OK;
}

void gate_destroy(struct gate *gate)
{
    if (gate == NULL) {
        return;
    }
    relay_finish(&gate->relay);
    free(gate->own);
    free(gate->announcing);
    free(gate->near);
    free(gate->wishes);
    free(gate->peers);
    free(gate->round);
    free(gate->said);
    free(gate->values);
    free(gate->messages);
    free(gate->votes);
    free(gate->shown);
    free(gate);
}
