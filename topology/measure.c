/* SPDX-License-Identifier: BSD-3-Clause
 * measure.c: pings and streams between two ranks. */
#include "measure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

/* Shaped links let so many bytes pass at full speed after a rest: they go ahead of what counts. */
#define HEAD_BYTES ((size_t)512 << 10)
#define HEAD_PIECE_BYTES ((size_t)64 << 10)
/* What the head shows of the speed keeps pieces from being too large; it may be a burst's. */
#define PIECES_LEAST 8
/* So many pieces over so long a time say enough. */
#define PIECES_PLENTY 100
#define LONG_ENOUGH_S 0.005

#define PIECES_BYTES (STREAM_WINDOW * PIECE_BYTES_MAX)

static size_t memory_bytes(const struct calibration_setup *setup)
{
    size_t notes = NOTE_IN + (size_t)setup->topology->size;
    return 2 * PIECES_BYTES + notes * sizeof(struct note);
}

enum ww_status meter_init(struct meter *meter, const struct calibration_setup *setup)
{
    void *memory = NULL;
    size_t bytes = memory_bytes(setup);
    *meter = (struct meter){.setup = setup, .silence = meter_silence(setup), .ended_peer = -1};
    meter->suspects = calloc((size_t)setup->topology->size, sizeof *meter->suspects);
    if (meter->suspects == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to listen to %d ranks", setup->topology->size);
    }
    if (setup->transport->reserve != NULL) {
        enum ww_status status = setup->transport->reserve(setup->fabric, bytes, &memory);
        if (status != WW_OK) {
            return status;
        }
    } else if ((memory = memory_reserve(bytes)) == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to measure wires: %zu bytes", bytes);
    }
    meter->out = memset(memory, 0, bytes);
    meter->in = meter->out + PIECES_BYTES;
    meter->notes = (struct note *)(void *)(meter->in + PIECES_BYTES);
    return WW_OK;
}

void meter_finish(struct meter *meter, bool failed)
{
    const struct calibration_setup *setup = meter->setup;
    free(meter->alive);
    free(meter->suspects);
    meter->alive = NULL;
    meter->suspects = NULL;
    if (failed) {
        return;
    }
    if (meter->out != NULL && setup->transport->reserve != NULL) {
        setup->transport->release(setup->fabric, meter->out, memory_bytes(setup));
    } else {
        memory_release(meter->out, memory_bytes(setup));
    }
    meter->out = NULL;
}

/* ---- Flights ------------------------------------------------------------------------------ */

static double silent_since(const struct meter *meter, uint64_t since_ns)
{
    return (double)(meter_now_ns(meter) - since_ns) * 1e-9;
}

enum ww_status meter_wait(struct meter *meter, enum ww_wait wait, uint64_t since_ns, int peer)
{
    const struct calibration_setup *setup = meter->setup;
    double silent_s = silent_since(meter, since_ns);
    if (silent_since(meter, meter->begin_ns) >= meter->silence.doubt_s) {
        meter_tell_alive(meter);
    }
    enum ww_status status = silent_s < meter->silence.doubt_s ? WW_OK
                                                              : meter_doubt(meter, peer, silent_s);
    if (status == WW_OK) {
        setup->wait(setup->waiter, wait, meter->moves);
    }
    return status;
}

enum ww_status meter_post(struct meter *meter, int tag, const struct ww_message *messages,
                          int count, struct ww_flight *flight)
{
    const struct calibration_setup *setup = meter->setup;
    return setup->transport->post(setup->fabric, tag, false, messages, count, flight);
}

/* Whom a flight waits for, as far as the fabric knows; else `peer`. */
static int awaited(const struct meter *meter, const struct ww_flight *flight, int peer)
{
    const struct calibration_setup *setup = meter->setup;
    int found = setup->transport->waits_for == NULL
                    ? -1
                    : setup->transport->waits_for(setup->fabric, flight);
    return found < 0 ? peer : found;
}

static enum ww_status finish_flight(struct meter *meter, struct ww_flight *flight, int peer)
{
    const struct calibration_setup *setup = meter->setup;
    uint64_t since_ns = meter_now_ns(meter);
    for (;;) {
        enum ww_status status = setup->transport->poll(setup->fabric, flight);
        if (status == WW_PENDING) {
            bool doubtful = silent_since(meter, since_ns) >= meter->silence.doubt_s;
            status = meter_wait(meter, flight->wait, since_ns,
                                doubtful ? awaited(meter, flight, peer) : peer);
        } else {
            meter->moves++;
            return status;
        }
        if (status != WW_OK) {
            return status;
        }
    }
}

enum ww_status meter_pass(struct meter *meter, const struct ww_message *messages, int count,
                          int peer)
{
    struct ww_flight flight;
    enum ww_status status = meter_post(meter, TAG_WORDS, messages, count, &flight);
    return status != WW_OK ? status : finish_flight(meter, &flight, peer);
}

static enum ww_status pass(struct meter *meter, const struct ww_message *messages, int count)
{
    return meter_pass(meter, messages, count, messages[0].peer);
}

enum ww_status meter_send(struct meter *meter, int peer, const void *values, size_t bytes)
{
    memcpy(meter->out, values, bytes);
    return pass(meter, &(struct ww_message){WW_SEND, peer, meter->out, bytes}, 1);
}

enum ww_status meter_receive(struct meter *meter, int peer, void *values, size_t bytes)
{
    enum ww_status status = pass(meter, &(struct ww_message){WW_RECEIVE, peer, meter->in, bytes},
                                 1);
    if (status == WW_OK) {
        memcpy(values, meter->in, bytes);
    }
    return status;
}

/* ---- Pings -------------------------------------------------------------------------------- */

#define PING_BYTES 8
#define PING_STRIDE 64 /* each message in a line of its own */

static enum ww_status ping_half(struct meter *meter, const struct ping *ping, bool sends)
{
    struct ww_message messages[PING_MESSAGES_MAX];
    for (int i = 0; i < ping->messages; i++) {
        unsigned char *memory = (sends ? meter->out : meter->in) + (size_t)i * PING_STRIDE;
        messages[i] = (struct ww_message){sends ? WW_SEND : WW_RECEIVE, ping->peer, memory,
                                          PING_BYTES};
    }
    return pass(meter, messages, ping->messages);
}

enum ww_status meter_ping(struct meter *meter, const struct ping *ping, struct pinged *pinged)
{
    double times[PING_TIMES_MAX];
    assert(ping->messages <= PING_MESSAGES_MAX && ping->times <= PING_TIMES_MAX);
    for (int i = -ping->warm; i < ping->times; i++) {
        uint64_t begin_ns = meter_now_ns(meter);
        enum ww_status status = ping_half(meter, ping, ping->leads);
        if (status == WW_OK) {
            status = ping_half(meter, ping, !ping->leads);
        }
        if (status != WW_OK) {
            return status;
        }
        times[i < 0 ? 0 : i] = (double)(meter_now_ns(meter) - begin_ns) * 0.5e-9;
    }
    pinged->oneway = fit_estimate(times, ping->times); /* sorts them */
    pinged->least_s = times[0];
    pinged->most_s = times[ping->times - 1];
    return WW_OK;
}

enum ww_status meter_exchange(struct meter *meter, const int *peers, int count, int copies)
{
    struct ww_message messages[2 * EXCHANGE_MAX];
    int filled = 0;
    assert(count > 0 && count * copies <= EXCHANGE_MAX);
    for (int i = 0; i < count * copies; i++) {
        size_t place = (size_t)i * PING_STRIDE;
        int peer = peers[i / copies];
        messages[filled++] = (struct ww_message){WW_RECEIVE, peer, meter->in + place, PING_BYTES};
        messages[filled++] = (struct ww_message){WW_SEND, peer, meter->out + place, PING_BYTES};
    }
    return pass(meter, messages, filled);
}

/* ---- Streams ------------------------------------------------------------------------------ */

/* How far a stream has come. Piece k says whether piece k + STREAM_WINDOW will not exist any more:
 * the other end posts that one only after it has read this. */
struct flow {
    const struct stream *stream;
    size_t piece_bytes;
    struct ww_flight flights[STREAM_WINDOW];
    uint64_t posted;
    uint64_t done;
    uint64_t end; /* pieces; UINT64_MAX = not known yet */
    uint64_t begin_ns;
    uint64_t enough; /* pieces */
    double least_s;  /* but not before that */
};

static double seconds_of(struct meter *meter, const struct flow *flow)
{
    return (double)(meter_now_ns(meter) - flow->begin_ns) * 1e-9;
}

static bool is_enough(struct meter *meter, const struct flow *flow)
{
    double spent_s = seconds_of(meter, flow);
    return spent_s >= flow->stream->slot_s ||
           (flow->posted >= flow->enough && spent_s >= flow->least_s);
}

static enum ww_status post_piece(struct meter *meter, struct flow *flow)
{
    const struct stream *stream = flow->stream;
    int slot = (int)(flow->posted % STREAM_WINDOW);
    unsigned char *out = meter->out + (size_t)slot * PIECE_BYTES_MAX;
    unsigned char *in = meter->in + (size_t)slot * PIECE_BYTES_MAX;
    struct ww_message messages[2];
    int count = 0;
    if (stream->both || !stream->leads) {
        messages[count++] = (struct ww_message){WW_RECEIVE, stream->peer, in, flow->piece_bytes};
    }
    if (stream->leads && flow->end == UINT64_MAX && is_enough(meter, flow)) {
        flow->end = flow->posted + STREAM_WINDOW;
    }
    if (stream->both || stream->leads) {
        *out = flow->end != UINT64_MAX;
        messages[count++] = (struct ww_message){WW_SEND, stream->peer, out, flow->piece_bytes};
    }
    flow->posted++;
    return meter_post(meter, TAG_PIECES + slot, messages, count, &flow->flights[slot]);
}

static enum ww_status run_pieces(struct meter *meter, struct flow *flow)
{
    const struct stream *stream = flow->stream;
    flow->begin_ns = meter_now_ns(meter);
    while (flow->done < flow->end) {
        enum ww_status status = WW_OK;
        while (status == WW_OK && flow->posted < flow->end &&
               flow->posted - flow->done < STREAM_WINDOW) {
            status = post_piece(meter, flow);
        }
        int slot = (int)(flow->done % STREAM_WINDOW);
        if (status == WW_OK) {
            status = finish_flight(meter, &flow->flights[slot], stream->peer);
        }
        if (status != WW_OK) {
            return status;
        }
        const unsigned char *in = meter->in + (size_t)slot * PIECE_BYTES_MAX;
        if (!stream->leads && *in != 0 && flow->end == UINT64_MAX) {
            flow->end = flow->done + STREAM_WINDOW;
        }
        flow->done++;
    }
    return WW_OK;
}

/* From the follower to the leader, or back. */
static enum ww_status hand_over(struct meter *meter, const struct stream *stream, bool to_leader,
                                void *values, size_t bytes)
{
    return stream->leads == to_leader ? meter_receive(meter, stream->peer, values, bytes)
                                      : meter_send(meter, stream->peer, values, bytes);
}

/* What passes at the speed of bursts. When the leader hears that it is there, it says how large
 * the pieces are that count. */
static enum ww_status run_head(struct meter *meter, const struct stream *stream,
                               size_t *piece_bytes)
{
    struct flow head = {.stream = stream, .piece_bytes = HEAD_PIECE_BYTES, .end = UINT64_MAX};
    size_t head_bytes = HEAD_BYTES / (size_t)stream->sharers;
    uint64_t word = 0;
    enum ww_status status = hand_over(meter, stream, true, &word, sizeof word);
    head.enough = head_bytes / HEAD_PIECE_BYTES; /* and what is under way then */
    head.enough = head.enough > STREAM_WINDOW ? head.enough - STREAM_WINDOW : 0;
    if (status == WW_OK) {
        status = run_pieces(meter, &head);
    }
    if (status == WW_OK) {
        status = hand_over(meter, stream, true, &word, sizeof word);
    }
    if (stream->leads) {
        double byte_s = seconds_of(meter, &head) / (double)(head.done * HEAD_PIECE_BYTES);
        double most = stream->slot_s / (PIECES_LEAST * byte_s);
        word = most < (double)stream->piece_bytes ? (uint64_t)most : stream->piece_bytes;
        word = word / 4096 * 4096;
        word = word < PIECE_BYTES_MIN ? PIECE_BYTES_MIN : word;
    }
    if (status == WW_OK) {
        status = hand_over(meter, stream, false, &word, sizeof word);
    }
    *piece_bytes = word < PIECE_BYTES_MAX ? (size_t)word : PIECE_BYTES_MAX;
    return status;
}

/* The follower tells what its core did, the leader what came out. */
static enum ww_status conclude(struct meter *meter, const struct flow *flow, struct pour *pour)
{
    double core_byte_s = pour->core_byte_s;
    enum ww_status status = hand_over(meter, flow->stream, true, &core_byte_s, sizeof core_byte_s);
    if (flow->stream->leads) {
        double seconds = seconds_of(meter, flow);
        pour->bytes = (double)(flow->done * flow->piece_bytes);
        pour->seconds = seconds - flow->stream->answer_s;
        pour->seconds = pour->seconds > 0 ? pour->seconds : seconds;
        pour->core_byte_s = core_byte_s > pour->core_byte_s ? core_byte_s : pour->core_byte_s;
    }
    return status == WW_OK ? hand_over(meter, flow->stream, false, pour, sizeof *pour) : status;
}

enum ww_status meter_stream(struct meter *meter, const struct stream *stream, struct pour *pour)
{
    struct flow flow = {
        .stream = stream, .end = UINT64_MAX, .enough = PIECES_PLENTY, .least_s = LONG_ENOUGH_S};
    enum ww_status status = run_head(meter, stream, &flow.piece_bytes);
    uint64_t core_ns = meter->setup->core_ns();
    if (status == WW_OK) {
        status = run_pieces(meter, &flow);
    }
    if (status != WW_OK) {
        return status;
    }
    *pour = (struct pour){.core_byte_s = (double)(meter->setup->core_ns() - core_ns) * 1e-9 /
                                         (double)(flow.done * flow.piece_bytes)};
    return conclude(meter, &flow, pour);
}
