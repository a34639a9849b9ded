/* SPDX-License-Identifier: BSD-3-Clause
 * gate_hear.c: takes in what the peers of a gate say, those first whose word is awaited. */
#include "gate_parts.h"

#include <string.h>

#include "internal/log.h"

#define HEAR_EVERY 8     /* looks at a board */
#define HEAR_REST_MOST 4 /* of the many that do not announce here: at once */

enum ww_status gate_listen(struct gate *gate, struct peer *peer)
{
    struct ww_message message = {.kind = WW_RECEIVE,
                                 .peer = peer->rank,
                                 .memory = peer->incoming,
                                 .bytes = HEAD_BYTES + gate->values_room};
    return gate->transport->post(gate->fabric, GATE_TAG, true, &message, 1, &peer->flight);
}

/* What a rank had done before it gave up all others can do as well, and only then fail: what their
 * callers see does not depend on who heard it first. */
static enum ww_status hear_failure(struct gate *gate, struct peer *peer)
{
    peer->gone = true;
    if (gate->news == NULL || peer->incoming->number < gate->limit) {
        gate->limit = peer->incoming->number;
        gate->news = peer;
    }
    return WW_PENDING;
}

/* Whoever leaves is still there: it may give up yet. */
static void hear_leaving(struct gate *gate, const struct peer *peer)
{
    if (gate->left_rank < 0 || peer->incoming->number < gate->left.number) {
        gate->left = *peer->incoming;
        gate->left_rank = peer->rank;
    }
}

enum ww_status gate_pass_on(const struct gate *gate, const struct message *said, int rank)
{
    char text[TEXT_BYTES];
    memcpy(text, said->text, sizeof text);
    text[sizeof text - 1] = '\0'; /* never trust a peer's terminator */
    bool shared = said->status == WW_MISMATCH || said->status == WW_TIMED_OUT;
    enum ww_status status = shared ? (enum ww_status)said->status : WW_PEER_FAILED;
    if (strstr(text, GATE_REPORTED) != NULL) {
        return log_failure(status, "%s", text); /* passed on: who saw it first is named already */
    }
    return log_failure(status, "rank %d (%s)" GATE_REPORTED "%s", rank, host_of(gate, rank), text);
}

static enum ww_status tell_news(const struct gate *gate)
{
    return gate_pass_on(gate, gate->news->incoming, gate->news->rank);
}

static void answer(struct gate *gate, struct peer *peer)
{
    gate_say(gate, peer, &peer->answer, MESSAGE_HERE);
}

static uint32_t wishes_said(const struct peer *peer)
{
    return peer->wishes == NULL ? 0 : peer->incoming->bytes / (uint32_t)sizeof(struct wish);
}

/* Never trust a peer's numbers. */
static bool is_sensible(const struct gate *gate, const struct peer *peer)
{
    const struct message *said = peer->incoming;
    uint32_t wishes = wishes_said(peer);
    bool sensible = peer->said != NULL && said->whom >= -1 && said->whom < gate->topology->size &&
                    wishes != 1 && wishes <= WISHES_MOST;
    for (uint32_t i = 0; sensible && i < wishes; i++) {
        int32_t rank = said->wishes[i].rank;
        sensible = rank >= 0 && rank < gate->topology->size;
    }
    return sensible;
}

/* The first that do not match are kept: nothing passes after them. */
static void keep_wishes(struct peer *peer)
{
    uint32_t count = wishes_said(peer);
    if (count > 0 && peer->wishes->count == 0) {
        peer->wishes_number = peer->announced;
        for (uint32_t i = 0; i < count; i++) {
            wishes_add(peer->wishes, &peer->incoming->wishes[i]);
        }
    }
}

static enum ww_status hear_announcement(struct gate *gate, struct peer *peer)
{
    if (!is_sensible(gate, peer)) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank %d (%s) announced a collective in a way that this rank does not "
                           "know: do all ranks load the same libwirewise?",
                           peer->rank, host_of(gate, peer->rank));
    }
    if (peer->announced >= gate->passed + gate->ahead) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank %d (%s) is %llu collectives ahead, more than it may be: do all "
                           "ranks load the same libwirewise?",
                           peer->rank, host_of(gate, peer->rank), (unsigned long long)gate->ahead);
    }
    struct message *said = peer->incoming;
    size_t slot = (size_t)(peer->announced & (gate->ahead - 1));
    peer->said[slot] = (struct said){said->signature, said->whom};
    keep_wishes(peer);
    if (peer->values != NULL && said->bytes <= gate->values_room) {
        memcpy(peer->values + slot * gate->values_room, values_of(said), said->bytes);
    }
    peer->announced++;
    return WW_OK;
}

static void hear_presence(struct peer *peer)
{
    peer->answered = true;
    peer->waits_for = peer->incoming->whom;
    peer->told = peer->incoming->number;
}

static enum ww_status take_in(struct gate *gate, struct peer *peer)
{
    switch (peer->incoming->kind) {
    case MESSAGE_ANNOUNCE:
        return hear_announcement(gate, peer);
    case MESSAGE_FAILED:
        return hear_failure(gate, peer);
    case MESSAGE_LEFT:
        hear_leaving(gate, peer);
        return WW_OK;
    case MESSAGE_ROLL_CALL:
        hear_presence(peer); /* who asks is there, too */
        answer(gate, peer);
        return WW_OK;
    case MESSAGE_HERE:
        hear_presence(peer);
        return WW_OK;
    default:
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank %d (%s) sent a control message of unknown kind %u: do all ranks "
                           "load the same libwirewise?",
                           peer->rank, host_of(gate, peer->rank), peer->incoming->kind);
    }
}

/* True when the gate opens no sooner than this peer announces. */
static bool is_awaited(const struct gate *gate, const struct peer *peer)
{
    bool above = peer == gate->above;
    uint64_t next = above ? gate->passed : gate->gathered;
    uint64_t ready = above ? gate->gathered : gate->announced;
    return ready > next && peer->announced <= next;
}

/* The next thing that a peer said: WW_PENDING when there is none. */
static enum ww_status hear_next(struct gate *gate, struct peer *peer)
{
    if (peer->gone) {
        return WW_PENDING;
    }
    enum ww_status status = gate->transport->poll(gate->fabric, &peer->flight);
    if (status == WW_OK) {
        status = take_in(gate, peer);
    }
    if (status == WW_OK) {
        status = gate_listen(gate, peer);
    }
    peer->gone = peer->gone || (status != WW_OK && status != WW_PENDING);
    return status;
}

/* Takes in what a peer said since: all, or until it announced what is awaited. */
static enum ww_status hear(struct gate *gate, struct peer *peer, bool all)
{
    enum ww_status status;
    do {
        status = hear_next(gate, peer);
    } while (status == WW_OK && (all || is_awaited(gate, peer)));
    return status == WW_PENDING ? WW_OK : status;
}

/* Who is not awaited has bad news at most: listening for it at every look would cost more than the
 * look, or a system call each time. */
static bool hears_the_rest_now(struct gate *gate)
{
    unsigned rarely = HEAR_REST_EVERY;
    if (gate->on_board) {
        rarely = gate->peer_count > HEAR_EVERY ? (unsigned)gate->peer_count : HEAR_EVERY;
    }
    return ++gate->looks % rarely == 0;
}

static enum ww_status hear_all(struct gate *gate)
{
    enum ww_status status = WW_OK;
    for (int i = 0; status == WW_OK && i < gate->peer_count; i++) {
        status = hear(gate, &gate->peers[i], true);
    }
    return status;
}

enum ww_status gate_hear_awaited(struct gate *gate)
{
    enum ww_status status = WW_OK;
    bool held = false;
    for (int i = 0; status == WW_OK && i < gate->near_count; i++) {
        struct peer *peer = gate->near[i];
        bool above = peer == gate->above;
        if ((above || !held) && is_awaited(gate, peer)) {
            status = hear(gate, peer, false);
            if (!above && is_awaited(gate, peer)) {
                gate->kept = peer;
                held = true;
            }
        }
    }
    return status;
}

/* Of a tree rank 0 hears the others by and by, unless it just called the roll. */
static enum ww_status hear_rest(struct gate *gate)
{
    bool asked = gate->roll_called && gate->roll_passed == gate->passed;
    if (!gate->relays || asked) {
        return hear_all(gate);
    }
    enum ww_status status = WW_OK;
    for (int i = 0; status == WW_OK && i < gate->near_count; i++) {
        status = hear(gate, gate->near[i], true);
    }
    for (int i = 0; status == WW_OK && i < HEAR_REST_MOST; i++) {
        status = hear(gate, &gate->peers[gate->rest++ % (unsigned)gate->peer_count], true);
    }
    return status;
}

/* On a board nobody's message is awaited. */
enum ww_status gate_hear_some(struct gate *gate)
{
    if (hears_the_rest_now(gate)) {
        return hear_rest(gate);
    }
    return gate->on_board ? WW_OK : gate_hear_awaited(gate);
}

enum ww_status gate_hear(struct gate *gate)
{
    enum ww_status status = gate->status;
    if (status == WW_OK) {
        status = hear_all(gate);
    }
    return fail(gate, status == WW_OK && gate->news != NULL ? tell_news(gate) : status);
}

enum ww_status gate_last_words(struct gate *gate)
{
    if (!hears_all(gate)) {
        hear(gate, &gate->peers[0], true); /* that the centre is gone explains what others do */
    }
    log_hold_error();
    for (int i = 0; i < gate->peer_count; i++) {
        hear(gate, &gate->peers[i], true);
    }
    log_release_error();
    return gate->news == NULL ? WW_OK : fail(gate, tell_news(gate));
}

bool gate_has_news(const struct gate *gate)
{
    return gate->news != NULL;
}

enum ww_status gate_tell_news(const struct gate *gate)
{
    return gate->news == NULL ? WW_OK : tell_news(gate);
}
