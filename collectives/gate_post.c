/* SPDX-License-Identifier: BSD-3-Clause
 * gate_post.c: sends messages to the peers of a gate. */
#include "gate_parts.h"

bool gate_outgoing_free(struct gate *gate, struct outgoing *outgoing)
{
    if (outgoing->under_way &&
        gate->transport->poll(gate->fabric, &outgoing->flight) != WW_PENDING) {
        outgoing->under_way = false; /* an error shows up in the next receive as well */
    }
    return !outgoing->under_way;
}

struct ww_message gate_message_to(const struct gate *gate, const struct peer *peer,
                                  struct message *message)
{
    size_t bytes = gate->as_long_as_said ? HEAD_BYTES + message->bytes : sizeof *message;
    return (struct ww_message){
        .kind = WW_SEND, .peer = peer->rank, .memory = message, .bytes = bytes};
}

static enum ww_status post_round(struct gate *gate, struct outgoing *outgoing, int count)
{
    if (count == 0) {
        return WW_OK;
    }
    enum ww_status status = gate->transport->post(gate->fabric, GATE_TAG, true, gate->round, count,
                                                  &outgoing->flight);
    outgoing->under_way = status == WW_OK;
    return status;
}

enum ww_status gate_post_to(struct gate *gate, struct outgoing *outgoing, const struct peer *peer)
{
    gate->round[0] = gate_message_to(gate, peer, outgoing->message);
    return post_round(gate, outgoing, 1);
}

enum ww_status gate_post_to_all(struct gate *gate, struct outgoing *outgoing)
{
    for (int i = 0; i < gate->peer_count; i++) {
        gate->round[i] = gate_message_to(gate, &gate->peers[i], message_of(outgoing, i));
    }
    return post_round(gate, outgoing, gate->peer_count);
}

enum ww_status gate_post_below(struct gate *gate, struct outgoing *outgoing)
{
    for (int i = 0; i < gate->relay.below; i++) {
        gate->round[i] = gate_message_to(gate, gate->near[i], outgoing->message);
    }
    return post_round(gate, outgoing, gate->relay.below);
}

void gate_say(struct gate *gate, const struct peer *peer, struct outgoing *outgoing,
              enum message_kind kind)
{
    if (gate_outgoing_free(gate, outgoing)) {
        *outgoing->message = (struct message){
            .kind = kind, .number = gate->announced, .whom = gate->waits_for};
        gate_post_to(gate, outgoing, peer);
    }
}
