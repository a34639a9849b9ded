/* SPDX-License-Identifier: BSD-3-Clause
 * measure.h: what one rank does with one other to measure the wire between them. */
#ifndef TOPOLOGY_MEASURE_H
#define TOPOLOGY_MEASURE_H

#include "topology.h"
#include "fit.h"

/* A rank's means to measure. */
struct meter {
    const struct calibration_setup *setup;
    unsigned char *out; /* what is sent, and what is received: STREAM_WINDOW pieces each */
    unsigned char *in;
    uint64_t moves; /* messages done so far */
};

/* Memory for messages, touched. WW_OK, WW_NO_MEMORY, what reserve returns. */
enum ww_status meter_init(struct meter *meter, const struct calibration_setup *setup);

/* Gives the memory back. After a failure the fabric may still use it: then it stays where it is. */
void meter_finish(struct meter *meter, bool failed);

static inline uint64_t meter_now_ns(const struct meter *meter)
{
    return meter->setup->clock_ns();
}

/* Sends to, or receives from a peer, and waits: at most PIECE_BYTES_MAX. Errors: WW_TIMED_OUT when
 * nothing comes for 10 s, the fabric's own; logged. */
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
enum ww_status meter_ping(struct meter *meter, const struct ping *ping, struct estimate *oneway);

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
    double answer_s;    /* a round trip, which is no part of it */
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

/* The world's all_gather. WW_OK; WW_TRANSPORT_FAILED, logged. */
enum ww_status meter_gather(struct meter *meter, const void *mine, void *all, size_t bytes);

/* Waits a moment; WW_TIMED_OUT, logged, when nothing came since since_ns for 10 s. */
enum ww_status meter_wait(struct meter *meter, enum ww_wait wait, uint64_t since_ns, int peer);

#endif
