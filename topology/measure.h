/* SPDX-License-Identifier: BSD-3-Clause
 * measure.h: what one rank does with one other to measure the wire between them. */
#ifndef TOPOLOGY_MEASURE_H
#define TOPOLOGY_MEASURE_H

#include "topology.h"
#include "fit.h"

/* What one rank tells all others when it is at it for long, and when it fails (hear.c). */
struct note {
    int32_t status; /* enum ww_status; WW_OK = it is there, and waits or is busy with another one */
    char sentence[508];
};

/* A peer that has said nothing for long: its notes are listened to. */
struct suspect {
    int peer;
    bool listening;
    bool alive;
    struct ww_flight flight;
};

/* How long a peer may say nothing. */
struct silence {
    double doubt_s;   /* then it is asked about */
    double most_s;    /* timeout_s, or what others may need who measure */
    double waiting_s; /* when it said that it is there */
};

/* A rank's means to measure. */
struct meter {
    const struct calibration_setup *setup;
    struct silence silence;
    uint64_t begin_ns;  /* when all ranks began */
    unsigned char *out; /* what is sent, and what is received: STREAM_WINDOW pieces each */
    unsigned char *in;
    struct note *notes;       /* from NOTE_IN on one of each suspect */
    struct suspect *suspects; /* [size] */
    int suspect_count;
    bool says_alive;
    struct telling *alive; /* its saying so, to each; hear.c's */
    bool settles;          /* nothing new is told */
    bool warned;
    int ended_peer; /* found ended while it was awaited, -1 = none */
    uint64_t moves; /* messages done so far */
};
enum { NOTE_ALIVE, NOTE_FAILURE, NOTE_IN };

/* Memory for messages, touched. WW_OK, WW_NO_MEMORY, what reserve returns. */
enum ww_status meter_init(struct meter *meter, const struct calibration_setup *setup);

/* Gives the memory back. After a failure the fabric may still use it: then it stays where it is. */
void meter_finish(struct meter *meter, bool failed);

static inline uint64_t meter_now_ns(const struct meter *meter)
{
    return meter->setup->clock_ns();
}

/* Sends to, or receives from a peer, and waits: at most PIECE_BYTES_MAX. Errors: WW_TIMED_OUT when
 * nothing comes for timeout_s, the fabric's own; logged. */
enum ww_status meter_send(struct meter *meter, int peer, const void *values, size_t bytes);
enum ww_status meter_receive(struct meter *meter, int peer, void *values, size_t bytes);

/* Time from one rank to another and no further: half a round trip of `messages` messages of 8
 * bytes each way. Both ends call it, one of them as the leader, who learns the time. */
struct ping {
    int peer;
    bool leads;
    int messages; /* 1 .. PING_MESSAGES_MAX */
    int warm;     /* round trips before those that count */
    int times;    /* 1 .. PING_TIMES_MAX */
};
#define PING_MESSAGES_MAX 8
#define PING_TIMES_MAX 64
/* What pings took. */
struct pinged {
    struct estimate oneway;
    double least_s; /* of them */
    double most_s;
};
enum ww_status meter_ping(struct meter *meter, const struct ping *ping, struct pinged *pinged);

/* Exchanges `copies` messages of 8 bytes with each of the peers, all at once. At most
 * EXCHANGE_MAX in all, each way. */
#define EXCHANGE_MAX 32
enum ww_status meter_exchange(struct meter *meter, const int *peers, int count, int copies);

/* A stream of pieces as a plan in flight sends them: several under way, for a while. The leader
 * says when it ends, and how large pieces are. Its time is taken on one clock, from the first byte
 * that counts until the answer that all are there: what disturbs can only make it longer. */
struct stream {
    int peer;
    bool leads;
    bool both;          /* both ways at once; else from the leader to the other */
    int sharers;        /* streams that begin at the same time on the same port, 1 or more */
    size_t piece_bytes; /* the leader's wish */
    double slot_s;      /* about how long; the leader's, too */
    double answer_s;    /* what a round trip takes at least, which is no part of it */
};
#define STREAM_WINDOW 4
#define PIECE_BYTES_MAX ((size_t)512 << 10)
#define PIECE_BYTES_MIN ((size_t)16 << 10)

/* Both ends learn the same. */
struct pour {
    double bytes; /* in one direction */
    double seconds;
    double core_byte_s; /* of the end that needed more time on its core */
};
enum ww_status meter_stream(struct meter *meter, const struct stream *stream, struct pour *pour);

static inline double pour_byte_s(const struct pour *pour)
{
    return pour->bytes > 0 && pour->seconds > 0 ? pour->seconds / pour->bytes : 0;
}

/* Waits a moment for something from a peer that has been silent since since_ns. WW_TIMED_OUT,
 * logged, when that is longer than timeout_s and it does not say either that it is there. */
enum ww_status meter_wait(struct meter *meter, enum ww_wait wait, uint64_t since_ns, int peer);

/* Posts and waits; `peer` is named if it never ends. */
enum ww_status meter_pass(struct meter *meter, const struct ww_message *messages, int count,
                          int peer);

enum ww_status meter_post(struct meter *meter, int tag, const struct ww_message *messages,
                          int count, struct ww_flight *flight);
#define TAG_PIECES 0 /* .. STREAM_WINDOW - 1 */
#define TAG_WORDS STREAM_WINDOW
#define TAG_NOTES (STREAM_WINDOW + 1)

/* ---- All ranks (hear.c) ------------------------------------------------------------------------
 */

/* Every rank's `bytes` into all[size * bytes], in the order of the ranks, over the fabric: the
 * world's all_gather cannot give up. Returns WW_OK, or as any waiting does. All ranks call it. */
enum ww_status meter_gather(struct meter *meter, const void *mine, void *all, size_t bytes);

/* The last thing that each rank calls, with how it fared: all others hear of a failure. Returns
 * WW_OK when all came through. */
enum ww_status meter_end(struct meter *meter, enum ww_status own);

/* After meter_end, where all came through and any rank said that it is alive: all take what was
 * said and not heard, so that the fabric is quiet. Returns as any waiting does. All ranks call it.
 */
enum ww_status meter_settle(struct meter *meter);

/* Says to all others that this rank is there, once. */
void meter_tell_alive(struct meter *meter);

/* What becomes of waiting for a peer that has been silent for so long: WW_OK = more waiting. */
enum ww_status meter_doubt(struct meter *meter, int peer, double silent_s);
struct silence meter_silence(const struct calibration_setup *setup);

#endif
