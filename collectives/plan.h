/* SPDX-License-Identifier: BSD-3-Clause
 * plan.h: what a collective will do, as plain data.
 *
 * A plan is one rank's part in a collective over one segment of a vector. It knows no sizes: it
 * divides the segment into `parts` chunks and speaks of chunk numbers, so one plan serves every
 * count and type. A plan is a list of rounds. A round first waits for the peers it awaits, then
 * runs its local actions in order, then posts its messages together, and ends when all of them are
 * done.
 *
 * Slot 0 is the caller's input, slot 1 its output (the same memory when in place). Every further
 * slot is scratch: it holds one slice at a time, at its beginning.
 *
 * A framed slot holds its slice encoded, as one frame. The plan does not know the codec: the same
 * one serves all. Where frames of the codec differ in length, a message with a frame's head tells
 * it at an earlier step than the frame itself; where they do not, heads do not travel alone.
 *
 * Local actions may read and write slots of a peer whose memory is seen in place. No message orders
 * that, so plans await: who awaits a peer at step s goes on once the peer has done everything that
 * it has to do before step s. Only ranks that see or await somebody themselves can be awaited, and
 * not at step 0. A plan is *closed*: when a rank comes to its end, no peer touches its
 * memory any more, so the next segment, and the caller, may use it. */
#ifndef COLLECTIVES_PLAN_H
#define COLLECTIVES_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <wirewise/wirewise.h>

enum collective {
    COLLECTIVE_ALL_REDUCE,     /* chunks divide the vector */
    COLLECTIVE_REDUCE_SCATTER, /* chunk c is rank c's share: `parts` equals the ranks */
    COLLECTIVE_ALL_GATHER,     /* likewise */
    COLLECTIVE_BROADCAST,      /* chunks divide the vector; slot 1 only */
    COLLECTIVE_COUNT
};
extern const char *const collective_names[COLLECTIVE_COUNT];

/* True where chunk c is rank c's share and counts are those of one share. */
bool collective_has_shares(enum collective collective);

extern const char *const type_names[WW_TYPE_COUNT];

/* Plans that await end by this step. */
#define PLAN_STEPS_SEEN_MAX 65535

enum { SLOT_INPUT, SLOT_OUTPUT, SLOT_SCRATCH };

/* Chunks first .. first + count - 1 of a slot. */
struct slice {
    uint16_t slot;
    uint16_t seen; /* 0 = the own slot; else that of rank plan->peers_seen[seen - 1] */
    uint32_t first;
    uint32_t count;
};

enum action_kind {
    ACTION_COPY,    /* slice = source 0; always of the own memory, further ones need not be */
    ACTION_REDUCE,  /* slice = source 0 op source 1 op ..., in this order; framed sources are
                       decoded, and where there are any only source 0 may be not framed */
    ACTION_ENCODE,  /* the frame in slice = source 0, of slot 0 or 1 */
    ACTION_AWAIT,   /* peer has done what comes before this step */
    ACTION_SEND,    /* slice to peer */
    ACTION_RECEIVE, /* slice from peer */
    ACTION_KINDS
};

struct action {
    uint8_t kind;
    uint8_t finish;        /* REDUCE: every rank's contribution is in now: a mean divides here */
    uint16_t source_count; /* COPY and ENCODE 1, REDUCE >= 1, others 0 */
    uint16_t also_count;   /* REDUCE: further slices that get the same result; never frames */
    uint16_t head;         /* SEND, RECEIVE: 1 = of the frame in slice, only how long it is */
    int32_t peer;          /* -1 for local actions */
    uint32_t sources;      /* index of the first source in plan->sources; the further slices follow
                              the sources */
    struct slice slice;    /* AWAIT: all zero */
};

struct round {
    uint32_t first;    /* index in plan->actions; what is awaited comes first */
    uint32_t awaits;   /* how many of these */
    uint32_t locals;   /* local actions behind them */
    uint32_t messages; /* and messages behind those */
    uint32_t step;     /* on the clock that all ranks share */
};

struct plan {
    char name[32];     /* the algorithm */
    uint64_t identity; /* differs for every plan that this process wrote */
    uint64_t content;  /* of what it does: equal plans have the same, in other processes too */
    enum collective collective;
    int rank;
    int size;
    uint32_t parts; /* chunks per segment, >= 1 */

    uint32_t action_count;
    struct action *actions;
    uint32_t source_count;
    struct slice *sources;
    uint32_t round_count;
    struct round *rounds;
    uint32_t messages_max; /* of one round */
    uint32_t sources_max;  /* of one action */

    uint32_t seen_count; /* peers whose memory is seen, or who are awaited */
    int32_t *peers_seen; /* [seen_count] */

    uint16_t slot_count;   /* >= 2 */
    uint16_t shared_slots; /* so many scratch slots from SLOT_SCRATCH on are seen by peers: they are
                              the same on all ranks that see each other */
    uint32_t *slot_chunks; /* [slot_count] most chunks that a scratch slot holds; 0 for 0 and 1 */
    bool *slot_framed;     /* [slot_count] */
    bool coded;            /* some slots are framed */
    bool output_read;      /* of what it writes to outputs something is read or sent on */
};

void plan_destroy(struct plan *plan);

/* Where chunk `chunk` (0 .. parts) begins in a segment of `count` elements: chunks are equal to
 * within 16 elements and begin at multiples of 16 elements once they are large enough for that to
 * be fair. plan_boundary(parts) == count. */
size_t plan_boundary(size_t count, uint32_t parts, uint32_t chunk);

/* The most elements that `chunks` neighbouring chunks of such a segment hold. */
size_t plan_chunks_max(size_t count, uint32_t parts, uint32_t chunks);

/* Whether all that the first round sends is what the caller handed in, whatever else it does: such
 * messages may be posted before anything of the plan is run. */
bool plan_sends_input_first(const struct plan *plan);

/* Prints the plan, a line per round and action; the format of tests/plans/golden. */
void plan_print(const struct plan *plan, FILE *to);

/* ---- Writing -------------------------------------------------------------------------------
 * Algorithms place actions at steps, a clock that all ranks share: a message is sent and received
 * at the same step on both ends, and a local action at step s runs before the messages of step s.
 * Hence a plan cannot deadlock, and plans of groups side by side at the same steps cannot either.
 * Rounds are the steps at which this rank has something to do. */

struct plan_writer;

/* NULL when there is no memory. */
struct plan_writer *plan_writer_create(const char *name, enum collective collective, int rank,
                                       int size, uint32_t parts);

/* These remember a failure; plan_writer_finish reports it. A message with the own rank as its
 * peer is a bug. */
void plan_send(struct plan_writer *writer, int step, int peer, struct slice slice);
void plan_receive(struct plan_writer *writer, int step, int peer, struct slice slice);
void plan_copy(struct plan_writer *writer, int step, struct slice into, struct slice from);

/* Names the next source of the reduction that follows: plan_reduce takes all sources named since
 * the last one, in this order. */
void plan_source(struct plan_writer *writer, struct slice source);
void plan_reduce(struct plan_writer *writer, int step, struct slice into, bool finish);

/* Names a further slice that the reduction which follows writes as well; after all of its sources
 * are named. */
void plan_also(struct plan_writer *writer, struct slice into);

/* A new scratch slot for a frame of up to `chunks` chunks, not shared; what fills it, and the
 * messages that tell its length. */
uint16_t plan_frame(struct plan_writer *writer, uint32_t chunks);
void plan_encode(struct plan_writer *writer, int step, struct slice into, struct slice from);
void plan_send_head(struct plan_writer *writer, int step, int peer, struct slice frame);
void plan_receive_head(struct plan_writer *writer, int step, int peer, struct slice frame);

/* Waits, before the local actions of `step`, until `peer` has done everything before `step`. */
void plan_await(struct plan_writer *writer, int step, int peer);

/* The same chunks of the same slot, in the memory of `peer`. */
struct slice plan_seen(struct plan_writer *writer, struct slice slice, int peer);

/* A new scratch slot for slices of up to `chunks` chunks. */
uint16_t plan_scratch(struct plan_writer *writer, uint32_t chunks);

/* One that peers see. All ranks that see each other ask for the same ones, in the same order, and
 * before any other scratch. */
uint16_t plan_scratch_shared(struct plan_writer *writer, uint32_t chunks);

/* Ends writing and frees the writer, also on an error. WW_OK, WW_NO_MEMORY; WW_UNSUPPORTED where it
 * has more slots than can be numbered. */
enum ww_status plan_writer_finish(struct plan_writer *writer, struct plan **plan);

#endif
