/* SPDX-License-Identifier: BSD-3-Clause
 * hear.c: what every rank has to say, and what becomes of them when one says nothing.
 *
 * Words of all are gathered by dissemination: in step k a rank hands on what it knows so far, 2^k
 * ranks' words, to the one 2^k places before it (Hensgen, Finkel, Manber 1988).
 *
 * Where one rank stops, all soon wait, most of them for somebody who waits, too; and on slow wires
 * many wait for two who are busy with each other. So whoever is at it for some seconds tells all
 * others that it is there, and who has waited for as long listens to the one it waits for.
 * Only a rank that does not even say that, or whose process ended, is to blame; whoever finds out,
 * or fails for another reason, tells all others its sentence, which is theirs then. What was said
 * for nothing is taken in the end: the tags of notes are those of somebody's data later. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

/* Doubts begin after so long, where there is so much time. */
#define DOUBT_S 5.0
/* Others may be busy with each other for so many times the budget, and a little. */
#define BUSY_BUDGETS 3.0
#define BUSY_S 1.0
/* Who said that it is there has so much longer to come, or to say why it failed, but not more than
 * so many times as long. */
#define WAITING_S 30.0
#define WAITING_TIMES 4.0
/* Whoever is silent for so long is told of; as engines do. */
#define WARN_S 30.0
/* News of a failure is out after so long, or never. */
#define TELL_S 1.0
/* What a peer said before it ended is read after so long, or it said nothing. */
#define SAID_S 0.05

static const char *host_of(const struct meter *meter, int rank)
{
    const struct topology *topology = meter->setup->topology;
    return topology->host_name[topology->host_of[rank]];
}

struct silence meter_silence(const struct calibration_setup *setup)
{
    double busy_s = BUSY_S + BUSY_BUDGETS * setup->budget_s;
    double most_s = setup->timeout_s > busy_s ? setup->timeout_s : busy_s;
    double longer_s = most_s + WAITING_S;
    return (struct silence){
        .doubt_s = most_s / 2 < DOUBT_S ? most_s / 2 : DOUBT_S,
        .most_s = most_s,
        .waiting_s = longer_s < WAITING_TIMES * most_s ? longer_s : WAITING_TIMES * most_s};
}

/* ---- Gathering ------------------------------------------------------------------------------ */

#define CHUNK_BYTES ((size_t)64 << 10)

/* The words of `count` ranks from `first` on, round the ring, as one text. */
struct stretch {
    unsigned char *all;
    size_t bytes; /* of each rank */
    int first;
    int count;
    int size;
};

static void copy_words(const struct stretch *stretch, size_t at, unsigned char *words, size_t count,
                       bool out)
{
    for (size_t end = at + count; at < end;) {
        size_t rank = ((size_t)stretch->first + at / stretch->bytes) % (size_t)stretch->size;
        size_t inside = at % stretch->bytes;
        size_t part = stretch->bytes - inside < end - at ? stretch->bytes - inside : end - at;
        unsigned char *place = stretch->all + rank * stretch->bytes + inside;
        memcpy(out ? words : place, out ? place : words, part);
        words += part;
        at += part;
    }
}

static enum ww_status hand_on(struct meter *meter, unsigned char *all, size_t bytes, int have)
{
    const struct topology *topology = meter->setup->topology;
    int size = topology->size;
    int to = (topology->rank - have + size) % size;
    int from = (topology->rank + have) % size;
    int count = have < size - have ? have : size - have;
    const struct stretch known = {all, bytes, topology->rank, count, size};
    const struct stretch wanted = {all, bytes, from, count, size};
    size_t total = bytes * (size_t)count;
    size_t at = 0;
    do {
        size_t chunk = total - at < CHUNK_BYTES ? total - at : CHUNK_BYTES;
        const struct ww_message messages[2] = {{WW_RECEIVE, from, meter->in, chunk},
                                               {WW_SEND, to, meter->out, chunk}};
        copy_words(&known, at, meter->out, chunk, true);
        enum ww_status status = meter_pass(meter, messages, 2, from);
        if (status != WW_OK) {
            return status;
        }
        copy_words(&wanted, at, meter->in, chunk, false);
        at += chunk;
    } while (at < total);
    return WW_OK;
}

enum ww_status meter_gather(struct meter *meter, const void *mine, void *all, size_t bytes)
{
    const struct topology *topology = meter->setup->topology;
    enum ww_status status = WW_OK;
    if (bytes > 0) {
        memcpy((char *)all + (size_t)topology->rank * bytes, mine, bytes);
    }
    for (int have = 1; have < topology->size && status == WW_OK; have *= 2) {
        status = hand_on(meter, all, bytes, have);
    }
    return status;
}

/* ---- Notes ---------------------------------------------------------------------------------- */

/* A note on its way to one rank. */
struct telling {
    struct ww_flight flight;
    bool under_way;
};

/* To all others, each by itself: that one is lost keeps it from nobody else, and where it fails
 * nobody is the worse for it. tellings: [size], zero. */
static void tell(struct meter *meter, struct note *note, struct telling *tellings)
{
    const struct calibration_setup *setup = meter->setup;
    log_hold_error();
    for (int rank = 0; rank < setup->topology->size; rank++) {
        const struct ww_message message = {WW_SEND, rank, note, sizeof *note};
        struct telling *telling = &tellings[rank];
        telling->under_way = rank != setup->topology->rank &&
                             setup->transport->post(setup->fabric, TAG_NOTES, false, &message, 1,
                                                    &telling->flight) == WW_OK;
    }
    log_release_error();
}

/* The first that is still on its way. NULL = none is. */
static struct telling *tellings_look(struct meter *meter, struct telling *tellings)
{
    const struct calibration_setup *setup = meter->setup;
    struct telling *found = NULL;
    log_hold_error();
    for (int rank = 0; rank < setup->topology->size; rank++) {
        struct telling *telling = &tellings[rank];
        telling->under_way = telling->under_way &&
                             setup->transport->poll(setup->fabric, &telling->flight) == WW_PENDING;
        found = found == NULL && telling->under_way ? telling : found;
    }
    log_release_error();
    return found;
}

static struct telling *make_tellings(const struct meter *meter)
{
    return calloc((size_t)meter->setup->topology->size, sizeof(struct telling));
}

static void tell_failure(struct meter *meter, enum ww_status failure)
{
    const struct calibration_setup *setup = meter->setup;
    struct note *note = &meter->notes[NOTE_FAILURE];
    struct telling *tellings = make_tellings(meter);
    const struct telling *last;
    if (note->status == WW_OK) { /* else it is somebody else's, handed on */
        note->status = failure;
        snprintf(note->sentence, sizeof note->sentence, "rank %d (%s) reported: %.400s",
                 setup->topology->rank, host_of(meter, setup->topology->rank), log_last_error());
    }
    uint64_t begin_ns = meter_now_ns(meter);
    if (tellings == NULL) {
        return;
    }
    tell(meter, note, tellings);
    while ((last = tellings_look(meter, tellings)) != NULL &&
           (double)(meter_now_ns(meter) - begin_ns) * 1e-9 < TELL_S) {
        setup->wait(setup->waiter, last->flight.wait, meter->moves);
    }
    free(tellings);
}

void meter_tell_alive(struct meter *meter)
{
    if (meter->says_alive || meter->settles) {
        return;
    }
    meter->alive = make_tellings(meter);
    meter->says_alive = meter->alive != NULL;
    if (meter->says_alive) {
        tell(meter, &meter->notes[NOTE_ALIVE], meter->alive);
    }
}

static void listen(struct meter *meter, struct suspect *suspect)
{
    struct note *note = &meter->notes[NOTE_IN + (suspect - meter->suspects)];
    const struct ww_message message = {WW_RECEIVE, suspect->peer, note, sizeof *note};
    log_hold_error(); /* that it cannot be heard is not what went wrong */
    suspect->listening = meter_post(meter, TAG_NOTES, &message, 1, &suspect->flight) == WW_OK;
    log_release_error();
}

static struct suspect *suspect_of(struct meter *meter, int peer)
{
    for (int i = 0; i < meter->suspect_count; i++) {
        if (meter->suspects[i].peer == peer) {
            return &meter->suspects[i];
        }
    }
    struct suspect *suspect = &meter->suspects[meter->suspect_count++];
    *suspect = (struct suspect){.peer = peer};
    listen(meter, suspect);
    return suspect;
}

/* Its first note says that it is there, or why it failed; the second one can only say the latter.
 */
static enum ww_status hear(struct meter *meter, struct suspect *suspect)
{
    const struct calibration_setup *setup = meter->setup;
    struct note *note = &meter->notes[NOTE_IN + (suspect - meter->suspects)];
    log_hold_error();
    enum ww_status polled = suspect->listening
                                ? setup->transport->poll(setup->fabric, &suspect->flight)
                                : WW_PENDING;
    log_release_error();
    if (polled == WW_PENDING) {
        return WW_OK;
    }
    suspect->listening = false;
    if (polled != WW_OK) {
        return WW_OK; /* whoever waits for that peer learns it */
    }
    note->sentence[sizeof note->sentence - 1] = '\0'; /* never trust a peer's terminator */
    if (note->status == WW_OK) {
        suspect->alive = true;
        listen(meter, suspect);
        return WW_OK;
    }
    enum ww_status status = note->status == WW_TIMED_OUT ? WW_TIMED_OUT : WW_PEER_FAILED;
    meter->notes[NOTE_FAILURE] = *note;
    return log_failure(status, "%s", note->sentence);
}

/* What a peer did last may be seen only after it is found ended: only who is still awaited the next
 * time is gone. */
static bool is_gone(struct meter *meter, int peer)
{
    const struct calibration_setup *setup = meter->setup;
    bool before = meter->ended_peer == peer;
    bool ended = setup->transport->ended != NULL && setup->transport->ended(setup->fabric, peer);
    meter->ended_peer = ended ? peer : -1;
    return ended && before;
}

enum ww_status meter_doubt(struct meter *meter, int peer, double silent_s)
{
    int own = meter->setup->topology->rank;
    struct suspect *suspect = meter->settles ? NULL : suspect_of(meter, peer);
    enum ww_status status = suspect == NULL ? WW_OK : hear(meter, suspect);
    if (status != WW_OK) {
        return status;
    }
    if (is_gone(meter, peer)) {
        return log_failure(WW_PEER_FAILED,
                           "rank %d (%s) is gone: its process ended while the wires were measured",
                           peer, host_of(meter, peer));
    }
    bool alive = suspect != NULL && suspect->alive;
    if (silent_s < (alive ? meter->silence.waiting_s : meter->silence.most_s)) {
        if (!alive && !meter->warned && silent_s >= WARN_S) {
            meter->warned = true;
            log_warn("rank %d (%s) has not answered rank %d (%s) for %.0f s while the wires are "
                     "measured; that fails after %.0f s (timeout_s)",
                     peer, host_of(meter, peer), own, host_of(meter, own), silent_s,
                     meter->silence.most_s);
        }
        return WW_OK;
    }
    return log_failure(WW_TIMED_OUT,
                       "rank %d (%s) did not answer rank %d (%s) for %.0f s while the wires were "
                       "measured",
                       peer, host_of(meter, peer), own, host_of(meter, own), silent_s);
}

/* Of all peers that are listened to. Returns the first failure that one tells of. */
static enum ww_status hear_all(struct meter *meter)
{
    for (int i = 0; i < meter->suspect_count; i++) {
        enum ww_status status = hear(meter, &meter->suspects[i]);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

/* A peer that is gone may have given up, and said why: its words came ahead of its end. Returns
 * what it told; else WW_OK. */
static enum ww_status hear_the_gone(struct meter *meter)
{
    const struct calibration_setup *setup = meter->setup;
    uint64_t begin_ns = meter_now_ns(meter);
    enum ww_status status;
    for (int peer = 0; peer < setup->topology->size; peer++) {
        if (peer != setup->topology->rank) {
            suspect_of(meter, peer);
        }
    }
    while ((status = hear_all(meter)) == WW_OK &&
           (double)(meter_now_ns(meter) - begin_ns) * 1e-9 < SAID_S) {
        setup->wait(setup->waiter, WW_WAIT_NETWORK, meter->moves);
    }
    return status;
}

enum ww_status meter_end(struct meter *meter, enum ww_status own)
{
    enum ww_status status = own == WW_OK ? meter_gather(meter, NULL, NULL, 0) : own;
    bool told = meter->notes[NOTE_FAILURE].status != WW_OK; /* it is handed on */
    if (status == WW_PEER_FAILED && !told) {
        enum ww_status heard = hear_the_gone(meter);
        status = heard == WW_OK ? status : heard;
    }
    if (status != WW_OK) {
        tell_failure(meter, status);
    }
    return status;
}

/* ---- Quiet again ---------------------------------------------------------------------------- */

/* From each rank to each other one goes so many notes in all, as a suspect may be listened to again
 * after its first one. */
#define NOTES_OF_PAIR 2

static enum ww_status await_notes(struct meter *meter, struct ww_flight *flight, int peer)
{
    const struct calibration_setup *setup = meter->setup;
    uint64_t since_ns = meter_now_ns(meter);
    enum ww_status status;
    while ((status = setup->transport->poll(setup->fabric, flight)) == WW_PENDING) {
        status = meter_wait(meter, flight->wait, since_ns, peer);
        if (status != WW_OK) {
            return status;
        }
    }
    return status;
}

static enum ww_status await_alive(struct meter *meter)
{
    uint64_t since_ns = meter_now_ns(meter);
    enum ww_status status = WW_OK;
    const struct telling *telling;
    while (status == WW_OK && (telling = tellings_look(meter, meter->alive)) != NULL) {
        status = meter_wait(meter, telling->flight.wait, since_ns, (int)(telling - meter->alive));
    }
    return status;
}

static int listened_to(const struct meter *meter, int peer)
{
    for (int i = 0; i < meter->suspect_count; i++) {
        const struct suspect *suspect = &meter->suspects[i];
        if (suspect->peer == peer) {
            return suspect->alive + suspect->listening;
        }
    }
    return 0;
}

/* The notes that are missing, to the one and from the other. */
static enum ww_status even_out(struct meter *meter, int to, int from)
{
    struct note *heard = (struct note *)(void *)meter->in;
    struct ww_message messages[2 * NOTES_OF_PAIR];
    struct ww_flight flight;
    int count = 0;
    for (int i = listened_to(meter, from); i < NOTES_OF_PAIR; i++) {
        messages[count++] = (struct ww_message){WW_RECEIVE, from, &heard[i], sizeof *heard};
    }
    for (int i = meter->says_alive ? 1 : 0; i < NOTES_OF_PAIR; i++) {
        messages[count++] = (struct ww_message){WW_SEND, to, &meter->notes[NOTE_ALIVE],
                                                sizeof *heard};
    }
    enum ww_status status = meter_post(meter, TAG_NOTES, messages, count, &flight);
    return status == WW_OK ? await_notes(meter, &flight, from) : status;
}

enum ww_status meter_settle(struct meter *meter)
{
    const struct topology *topology = meter->setup->topology;
    int size = topology->size;
    enum ww_status status = WW_OK;
    meter->settles = true;
    for (int far = 1; far < size && status == WW_OK; far++) {
        status = even_out(meter, (topology->rank + far) % size,
                          (topology->rank - far + size) % size);
    }
    for (int i = 0; i < meter->suspect_count && status == WW_OK; i++) {
        struct suspect *suspect = &meter->suspects[i];
        if (suspect->listening) {
            status = await_notes(meter, &suspect->flight, suspect->peer);
        }
    }
    return status == WW_OK && meter->says_alive ? await_alive(meter) : status;
}
