/* SPDX-License-Identifier: BSD-3-Clause
 * local.h: what the files of the local fabric share.
 *
 * The n-th fabric that each rank opens meets the others' n-th in a `meeting`. A meeting has one
 * `pair` per (sender, receiver) with the messages that wait for their other half. Whoever comes
 * second copies, in post. Small sends and control messages are copied at once, so that they never
 * wait, nobody reads the memory of a rank that gave up, and what it said is heard whole. */
#ifndef TRANSPORT_LOCAL_H
#define TRANSPORT_LOCAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "flights.h"
#include "internal/fabrics.h"

#define LINE_BYTES 64 /* what two cores must not write to in turn */

/* One message. It waits in a pair's queue until its other half is posted. */
struct letter {
    struct letter *next;
    struct pair *pair;
    struct flight *flight; /* NULL: a copy of a send, nobody polls it */
    void *memory;
    size_t bytes;
    int tag;
    int peer;
    enum ww_message_kind kind;
    bool control;
    bool queued; /* guarded by the pair's lock */
    atomic_bool done;
};

struct queue {
    struct letter *first;
    struct letter **end;
};

/* Messages from one rank to another. Only one of the queues has letters of a given tag. */
struct pair {
    pthread_mutex_t lock;
    struct queue waiting[2]; /* by enum ww_message_kind */
    struct letter *spare;    /* copied letters for the next small sends */
};

/* A posted round. Its last peer touches it when it lowers `pending`, and never again. */
struct flight {
    struct flight_link link;
    atomic_int pending; /* letters that are not done */
    bool posted;
    int count;
    int capacity;
    struct letter *letters;
};

/* A size disagreement that concerns one rank. The first one is told. */
enum { TROUBLE_NONE, TROUBLE_BEING_WRITTEN, TROUBLE_WRITTEN };
struct trouble {
    atomic_int state;
    int sender, receiver, tag;
    size_t sent_bytes, expected_bytes;
};

/* Reserved memory. Peers see it, so it stays until all ranks have left. */
struct block {
    struct block *next;
    void *memory;
    size_t bytes;
};

/* Where the fabrics of one generation meet. Freed when the last rank has left. */
struct meeting {
    struct meeting *next;
    unsigned generation;
    int left; /* ranks that closed; guarded by the world's lock */
    int size;
    struct trouble *troubles;      /* [size] */
    size_t area_bytes;             /* of one rank */
    unsigned char *areas;          /* [size * area_bytes] */
    struct block *blocks;          /* of all ranks; guarded by the world's lock */
    _Atomic(struct pair *) *pairs; /* [size * size], sender first; NULL until used */
};

struct seat {
    struct ww_local_world *local;
    int rank;
    unsigned opened; /* fabrics so far: the generation of the next; guarded by the world's lock */
};

/* ---- local_pair.c --------------------------------------------------------------------------- */

/* The pair is made by whoever asks first. NULL when there is no memory. */
struct pair *pair_between(struct meeting *meeting, int sender, int receiver);
void pair_destroy(struct pair *pair); /* NULL is fine */

/* Delivers the letter, or leaves it for its other half. WW_OK; WW_NO_MEMORY, and it is not done. */
enum ww_status letter_post(struct meeting *meeting, struct letter *letter);

/* Takes a letter back when nobody has come for it, and those of its tag that were posted later.
 * Otherwise it will be done within a copy. */
void letter_withdraw(struct letter *letter);

/* Says that nobody touches the letter's memory any more. Its flight may be gone afterwards. */
void letter_finish(struct letter *letter);

/* ---- local_world.c -------------------------------------------------------------------------- */

/* The rank's next meeting; it counts even when there is no memory for it (NULL). */
struct meeting *meeting_join(struct seat *seat, size_t area_bytes);
int seat_size(const struct seat *seat);

/* Memory that lasts as long as the meeting. NULL when there is none. */
void *meeting_reserve(struct seat *seat, struct meeting *meeting, size_t bytes);

/* The last rank to leave frees it. */
void meeting_leave(struct seat *seat, struct meeting *meeting);

#endif
