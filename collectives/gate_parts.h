/* SPDX-License-Identifier: BSD-3-Clause
 * gate_parts.h: what the files of the gate share, and nobody else sees.
 *
 *     gate.c          announces, and lets through
 *     gate_make.c     begins and ends it
 *     gate_post.c     sends
 *     gate_hear.c     takes in what peers say
 *     gate_judge.c    compares what ranks want
 *     gate_trouble.c  who is missing, the roll call, bad news
 *
 * A message (256 bytes, never cut, so its fields need no byte order: all ranks run one build):
 *
 *     kind | status | number | signature | whom | bytes | values, wishes, or the text of a failure
 *
 * Where the fabric takes control messages that are longer, or shorter than their receive, a message
 * ends behind its `bytes`, up to 16 KiB of values.
 *
 * One receive per peer stands posted all the time; whatever a peer has to say arrives there, in
 * the order in which it was said.
 *
 * Many ranks announce along a tree (relay.h): a rank says so above once it and all below it have,
 * and where these do not want the same, what they want instead, counted. Rank 0 judges, and its
 * word goes down the tree. Bad news and the roll call do not depend on who stands in between:
 * they go to and from rank 0, and to the ranks above and below as well. */
#ifndef COLLECTIVES_GATE_PARTS_H
#define COLLECTIVES_GATE_PARTS_H

#include <stddef.h>
#include <string.h>

#include "gate.h"
#include "internal/fabrics.h"
#include "relay.h"
#include "wishes.h"

#define GATE_TAG 0
#define TEXT_BYTES GATE_VALUES_BYTES
#define HEAR_REST_EVERY 4 /* looks, for peers whose word is not awaited */

enum message_kind {
    MESSAGE_ANNOUNCE = 0x7701, /* a collective begins here; from above: all agree */
    MESSAGE_FAILED,            /* the sender gave up: status and text say why */
    MESSAGE_LEFT,              /* the sender starts no collective from `number` on */
    MESSAGE_ROLL_CALL,         /* answer, if you can */
    MESSAGE_HERE               /* the answer */
};

struct message {
    uint32_t kind;
    int32_t status;
    uint64_t number;
    struct signature signature;
    int32_t whom;   /* the sender waits for; in a tree: who of all that it speaks for came last */
    uint32_t bytes; /* of values or wishes, or of the text with its end */
    union {
        char text[TEXT_BYTES];
        struct wish wishes[WISHES_MOST]; /* where those below do not want the same */
        unsigned char values[GATE_VALUES_BYTES];
    };
};
#define HEAD_BYTES offsetof(struct message, values)
_Static_assert(sizeof(struct message) == WW_CONTROL_BYTES, "every fabric takes a gate message");
_Static_assert(HEAD_BYTES + GATE_VALUES_BYTES_LONG == FABRIC_CONTROL_ROOM, "ours take a long one");
_Static_assert(sizeof(struct signature) == 40, "signatures are compared as bytes");
_Static_assert(sizeof(struct wish) * WISHES_MOST <= GATE_VALUES_BYTES, "wishes fit a message");

/* A message on its way to one peer or to all of them. */
struct outgoing {
    struct message *message;
    size_t apart; /* each peer has its own message, so many bytes behind the one before; 0 = all
                     have the same */
    struct ww_flight flight;
    bool under_way;
};

struct said {
    struct signature signature;
    int32_t latest; /* in a tree: see `whom` */
};

/* One peer that this rank hears. */
struct peer {
    int rank;
    uint64_t announced; /* collectives so far */
    struct said *said;  /* [ahead] the latest of them, by number; NULL = it announces elsewhere */
    unsigned char *values;  /* [ahead * values_room] that came with them; NULL in a tree */
    uint32_t speaks_for;    /* so many ranks: itself and those below */
    struct wishes *wishes;  /* that it announced first for those who differ; NULL but in a tree */
    uint64_t wishes_number; /* of what */
    uint64_t told;          /* collectives that it announced, as it said in a roll call */
    bool answered;          /* the roll call */
    bool excused;           /* from it: it announced what comes next, and may compute */
    bool gone;              /* it gave up, as the latest message says, or the fabric lost it */
    int waits_for;          /* as it said in a roll call */
    struct ww_flight flight;
    struct message *incoming;
    struct outgoing answer;
    struct outgoing roll_call;
};

struct gate {
    const struct ww_transport *transport;
    void *fabric;
    const struct topology *topology;
    const struct board *board;
    bool on_board;   /* all ranks read each other's announcements there */
    unsigned looks;  /* at the gate, since something was heard for */
    uint64_t *shown; /* [size] collectives that each rank has shown on the board */
    bool direct;     /* everybody hears everybody: no rank is above others */
    struct relay relay;
    bool relays;          /* announcements go along it */
    size_t values_room;   /* of a message */
    bool as_long_as_said; /* messages end behind what they say */
    enum ww_status status;
    uint64_t announced;
    uint64_t gathered; /* of these, by all below as well: those that are told above */
    uint64_t passed;
    uint64_t limit;          /* collectives that whoever gave up had done: more will not be */
    const struct peer *news; /* who says so; NULL = nobody */
    struct message left;     /* by the first to leave: `number` was done there, as with a limit */
    int left_rank;           /* -1 = nobody left */
    bool idle;               /* nobody here waits for what was announced */
    int depth;
    uint64_t ahead;   /* a peer passes only what this rank announced, and announces depth more */
    struct said *own; /* [depth] by number */
    struct outgoing *announcing; /* [depth] */
    struct outgoing verdict;     /* to those below */
    struct outgoing leaving;
    struct message failure;
    bool failure_told;
    int waits_for;
    bool roll_called;
    bool roll_at_gate;    /* the latest one was called there, ... */
    uint64_t roll_passed; /* ... when so many had passed */
    int peer_count;
    struct peer *peers; /* in a tree: all to rank 0, to others rank 0, who is above, who is below */
    int near_count;
    struct peer **near;      /* [near_count] who announces here; in a tree those below come first */
    struct peer *above;      /* the last of them; NULL = none */
    const struct peer *kept; /* the last of those below that was awaited, since this rank came */
    int latest;              /* who came last to what passed last, -1 = nobody knows */
    unsigned rest;           /* the next one that is heard of the rest */
    struct ww_message *round; /* [peer_count] room for one post to all peers */
    struct said *said;        /* [near_count * ahead] */
    struct wishes *wishes;    /* [near_count] in a tree */
    unsigned char *values;    /* [peer_count * ahead * values_room], NULL in a tree */
    unsigned char *messages;  /* what is sent and received lies here */
    struct signature *votes;  /* [size] */
};

static inline const char *host_of(const struct gate *gate, int rank)
{
    return gate->topology->host_name[gate->topology->host_of[rank]];
}

/* Where collective `number` is kept among the own ones; a mask, because a division would cost as
 * much as the rest of an announcement. */
static inline size_t own_slot(const struct gate *gate, uint64_t number)
{
    return (size_t)number & ((size_t)gate->depth - 1);
}

/* What a peer announced as collective `number`. */
static inline struct said *said_of(const struct gate *gate, const struct peer *peer,
                                   uint64_t number)
{
    return &peer->said[number & (gate->ahead - 1)];
}

static inline enum ww_status fail(struct gate *gate, enum ww_status status)
{
    gate->status = status;
    return status;
}

static inline bool hears_all(const struct gate *gate)
{
    return gate->direct || gate->topology->rank == 0;
}

static inline bool same(const struct signature *one, const struct signature *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

/* Values of a message may go on beyond the struct. */
static inline unsigned char *values_of(struct message *message)
{
    return (unsigned char *)message + HEAD_BYTES;
}

static inline struct message *message_of(const struct outgoing *outgoing, int peer)
{
    unsigned char *first = (unsigned char *)outgoing->message;
    return (void *)(first + (size_t)peer * outgoing->apart);
}

/* True when the rank's announcement of the next collective is on the board. */
static inline bool is_shown(struct gate *gate, int rank)
{
    if (gate->shown[rank] <= gate->passed && board_read(gate->board, rank, gate->passed) != NULL) {
        gate->shown[rank] = gate->passed + 1;
    }
    return gate->shown[rank] > gate->passed;
}

/* ---- gate_post.c ---------------------------------------------------------------------------- */

/* False while the fabric still reads the message. */
bool gate_outgoing_free(struct gate *gate, struct outgoing *outgoing);
/* A message to one peer, as long as the fabric wants it. */
struct ww_message gate_message_to(const struct gate *gate, const struct peer *peer,
                                  struct message *message);
/* Posted to one peer, all of them, or those below. */
enum ww_status gate_post_to(struct gate *gate, struct outgoing *outgoing, const struct peer *peer);
enum ww_status gate_post_to_all(struct gate *gate, struct outgoing *outgoing);
enum ww_status gate_post_below(struct gate *gate, struct outgoing *outgoing);
/* That this rank is there, what it announced, and whom it waits for, to one peer. */
void gate_say(struct gate *gate, const struct peer *peer, struct outgoing *outgoing,
              enum message_kind kind);

/* ---- gate_hear.c ---------------------------------------------------------------------------- */

/* Posts the receive for what the peer says next. */
enum ww_status gate_listen(struct gate *gate, struct peer *peer);
/* What a rank said of itself becomes a failure here. */
enum ww_status gate_pass_on(const struct gate *gate, const struct message *said, int rank);
/* Of those below all are awaited, so the first who has not spoken is as good as any: one poll a
 * look. */
enum ww_status gate_hear_awaited(struct gate *gate);
/* What is awaited, and now and then the rest. */
enum ww_status gate_hear_some(struct gate *gate);

/* ---- gate_judge.c --------------------------------------------------------------------------- */

/* Whether all that announced collective `number` here want the same. */
bool gate_agree(const struct gate *gate, uint64_t number);
/* What this rank and those below it want. */
struct wishes gate_collect_wishes(const struct gate *gate, uint64_t number);
/* Whether the next collective passes, once all announced it: WW_OK, or WW_MISMATCH, told. */
enum ww_status gate_judge(struct gate *gate);

#endif
