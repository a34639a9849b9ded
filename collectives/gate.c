/* SPDX-License-Identifier: BSD-3-Clause
 * gate.c: lets a collective through when all ranks said the same.
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
#include "gate.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/fabrics.h"
#include "internal/log.h"
#include "internal/vote.h"
#include "relay.h"
#include "wishes.h"

#define GATE_TAG 0
#define TEXT_BYTES GATE_VALUES_BYTES
#define HEAR_EVERY 8      /* looks at a board */
#define HEAR_REST_EVERY 4 /* looks, for peers whose word is not awaited */
#define HEAR_REST_MOST 4  /* of the many that do not announce here: at once */

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
    struct peer **near; /* [near_count] who announces here; in a tree those below come first */
    struct peer *above; /* the last of them; NULL = none */
    const struct peer
        *kept;     /* who was awaited last, of those below; NULL = none since this rank came */
    int latest;    /* who came last to what passed last, -1 = nobody knows */
    unsigned rest; /* the next one that is heard of the rest */
    struct ww_message *round; /* [peer_count] room for one post to all peers */
    struct said *said;        /* [near_count * ahead] */
    struct wishes *wishes;    /* [near_count] in a tree */
    unsigned char *values;    /* [peer_count * ahead * values_room], NULL in a tree */
    unsigned char *messages;  /* what is sent and received lies here */
    struct signature *votes;  /* [size] */
};

static const char *host_of(const struct gate *gate, int rank)
{
    return gate->topology->host_name[gate->topology->host_of[rank]];
}

/* Where collective `number` is kept among the own ones; a mask, because a division would cost as
 * much as the rest of an announcement. */
static size_t own_slot(const struct gate *gate, uint64_t number)
{
    return (size_t)number & ((size_t)gate->depth - 1);
}

static enum ww_status fail(struct gate *gate, enum ww_status status)
{
    gate->status = status;
    return status;
}

/* ---- Sending ---------------------------------------------------------------------------- */

/* False while the fabric still reads the message. */
static bool outgoing_free(struct gate *gate, struct outgoing *outgoing)
{
    if (outgoing->under_way &&
        gate->transport->poll(gate->fabric, &outgoing->flight) != WW_PENDING) {
        outgoing->under_way = false; /* an error shows up in the next receive as well */
    }
    return !outgoing->under_way;
}

/* Values of a message may go on beyond the struct. */
static unsigned char *values_of(struct message *message)
{
    return (unsigned char *)message + HEAD_BYTES;
}

static struct message *message_of(const struct outgoing *outgoing, int peer)
{
    unsigned char *first = (unsigned char *)outgoing->message;
    return (void *)(first + (size_t)peer * outgoing->apart);
}

static void put_text(struct message *message, const char *text)
{
    snprintf(message->text, TEXT_BYTES, "%s", text);
    message->bytes = (uint32_t)strlen(message->text) + 1;
}

static struct ww_message message_to(const struct gate *gate, const struct peer *peer,
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

static enum ww_status post_to(struct gate *gate, struct outgoing *outgoing, const struct peer *peer)
{
    gate->round[0] = message_to(gate, peer, outgoing->message);
    return post_round(gate, outgoing, 1);
}

static enum ww_status post_to_all(struct gate *gate, struct outgoing *outgoing)
{
    for (int i = 0; i < gate->peer_count; i++) {
        gate->round[i] = message_to(gate, &gate->peers[i], message_of(outgoing, i));
    }
    return post_round(gate, outgoing, gate->peer_count);
}

static enum ww_status post_below(struct gate *gate, struct outgoing *outgoing)
{
    for (int i = 0; i < gate->relay.below; i++) {
        gate->round[i] = message_to(gate, gate->near[i], outgoing->message);
    }
    return post_round(gate, outgoing, gate->relay.below);
}

/* That this rank is there, what it announced, and whom it waits for, to one peer. */
static void say(struct gate *gate, const struct peer *peer, struct outgoing *outgoing,
                enum message_kind kind)
{
    if (outgoing_free(gate, outgoing)) {
        *outgoing->message = (struct message){
            .kind = kind, .number = gate->announced, .whom = gate->waits_for};
        post_to(gate, outgoing, peer);
    }
}

/* ---- Hearing ---------------------------------------------------------------------------- */

static enum ww_status listen(struct gate *gate, struct peer *peer)
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

/* What a rank said of itself becomes a failure here. */
static enum ww_status pass_on(const struct gate *gate, const struct message *said, int rank)
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
    return pass_on(gate, gate->news->incoming, gate->news->rank);
}

static void answer(struct gate *gate, struct peer *peer)
{
    say(gate, peer, &peer->answer, MESSAGE_HERE);
}

/* Never trust a peer's numbers. */
static bool is_rank(const struct gate *gate, int32_t rank)
{
    return rank >= 0 && rank < gate->topology->size;
}

/* The first that do not match are kept: nothing passes after them. */
static void keep_wishes(struct gate *gate, struct peer *peer)
{
    const struct message *said = peer->incoming;
    uint32_t count = said->bytes / sizeof(struct wish);
    if (peer->wishes == NULL || peer == gate->above || peer->wishes->count > 0) {
        return;
    }
    peer->wishes_number = peer->announced;
    for (uint32_t i = 0; i < count && i < WISHES_MOST; i++) {
        if (is_rank(gate, said->wishes[i].rank)) {
            wishes_add(peer->wishes, &said->wishes[i]);
        }
    }
}

static enum ww_status hear_announcement(struct gate *gate, struct peer *peer)
{
    if (peer->said == NULL || peer->announced >= gate->passed + gate->ahead) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank %d (%s) is %llu collectives ahead, more than it may be: do all "
                           "ranks load the same libwirewise?",
                           peer->rank, host_of(gate, peer->rank), (unsigned long long)gate->ahead);
    }
    struct message *said = peer->incoming;
    size_t slot = (size_t)(peer->announced & (gate->ahead - 1));
    peer->said[slot] = (struct said){said->signature, is_rank(gate, said->whom) ? said->whom : -1};
    keep_wishes(gate, peer);
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
        status = listen(gate, peer);
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

/* ---- Verdict ---------------------------------------------------------------------------- */

/* True when the rank's announcement of the next collective is on the board. */
static bool is_shown(struct gate *gate, int rank)
{
    if (gate->shown[rank] <= gate->passed && board_read(gate->board, rank, gate->passed) != NULL) {
        gate->shown[rank] = gate->passed + 1;
    }
    return gate->shown[rank] > gate->passed;
}

static bool all_shown(struct gate *gate)
{
    for (int rank = 0; rank < gate->topology->size; rank++) {
        if (!is_shown(gate, rank)) {
            return false;
        }
    }
    return true;
}

/* True when this rank and all below it announced the next collective that is to be told above. */
static bool came_together(const struct gate *gate)
{
    bool all = gate->announced > gate->gathered;
    for (int i = 0; all && i < gate->near_count; i++) {
        const struct peer *peer = gate->near[i];
        all = peer == gate->above || peer->announced > gate->gathered;
    }
    return all;
}

static bool all_announced(struct gate *gate)
{
    if (gate->on_board) {
        return gate->announced > gate->passed && all_shown(gate);
    }
    bool told = gate->above == NULL || gate->above->announced > gate->passed;
    return told && gate->gathered > gate->passed;
}

/* The odd rank out, by majority; all who hear the same votes come to the same words. */
static void collect_votes(struct gate *gate, const struct signature *own)
{
    uint64_t slot = gate->passed & (gate->ahead - 1);
    for (int rank = 0; gate->on_board && rank < gate->topology->size; rank++) {
        gate->votes[rank] = board_place(gate->board, rank, gate->passed)->signature;
    }
    for (int i = 0; !gate->on_board && i < gate->peer_count; i++) {
        gate->votes[gate->peers[i].rank] = gate->peers[i].said[slot].signature;
    }
    gate->votes[gate->topology->rank] = *own;
}

static enum ww_status tell_mismatch(const struct gate *gate, int odd,
                                    const struct signature *theirs, int usual,
                                    const struct signature *ours)
{
    char odd_text[SIGNATURE_TEXT_BYTES];
    char usual_text[SIGNATURE_TEXT_BYTES];
    signature_print(theirs, odd_text, sizeof odd_text);
    signature_print(ours, usual_text, sizeof usual_text);
    return log_failure(WW_MISMATCH, "rank %d (%s) wants %s, rank %d (%s) wants %s", odd,
                       host_of(gate, odd), odd_text, usual, host_of(gate, usual), usual_text);
}

static enum ww_status name_mismatch(struct gate *gate, const struct signature *own)
{
    collect_votes(gate, own);
    int usual;
    int odd = vote_odd_one(gate->votes, gate->topology->size, sizeof *gate->votes,
                           sizeof *gate->votes, &usual);
    return tell_mismatch(gate, odd, &gate->votes[odd], usual, &gate->votes[usual]);
}

static bool hears_all(const struct gate *gate)
{
    return gate->direct || gate->topology->rank == 0;
}

static bool same(const struct signature *one, const struct signature *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

static enum ww_status judge_board(struct gate *gate, const struct signature *own)
{
    for (int rank = 0; rank < gate->topology->size; rank++) {
        if (!same(&board_place(gate->board, rank, gate->passed)->signature, own)) {
            return name_mismatch(gate, own);
        }
    }
    return WW_OK;
}

/* Whether all that announced collective `number` here want the same. */
static bool agree(const struct gate *gate, uint64_t number)
{
    const struct signature *own = &gate->own[own_slot(gate, number)].signature;
    for (int i = 0; i < gate->near_count; i++) {
        const struct peer *peer = gate->near[i];
        bool differ = peer->wishes != NULL && peer->wishes->count > 0 &&
                      peer->wishes_number == number;
        if (peer != gate->above &&
            (differ || !same(&peer->said[number & (gate->ahead - 1)].signature, own))) {
            return false;
        }
    }
    return true;
}

/* What this rank and those below it want. */
static struct wishes collect_wishes(const struct gate *gate, uint64_t number)
{
    struct wishes wishes = {.count = 1};
    wishes.wish[0] = (struct wish){gate->own[own_slot(gate, number)].signature,
                                   gate->topology->rank, 1};
    for (int i = 0; i < gate->relay.below; i++) {
        const struct peer *peer = gate->near[i];
        bool differ = peer->wishes->count > 0 && peer->wishes_number == number;
        for (int w = 0; differ && w < peer->wishes->count; w++) {
            wishes_add(&wishes, &peer->wishes->wish[w]);
        }
        if (!differ) {
            wishes_add(&wishes, &(struct wish){peer->said[number & (gate->ahead - 1)].signature,
                                               peer->rank, peer->speaks_for});
        }
    }
    return wishes;
}

static enum ww_status name_odd_wish(const struct gate *gate, uint64_t number)
{
    const struct wishes wishes = collect_wishes(gate, number);
    const struct wish *usual;
    const struct wish *odd = wishes_odd(&wishes, &usual);
    return tell_mismatch(gate, odd->rank, &odd->signature, usual->rank, &usual->signature);
}

static enum ww_status judge(struct gate *gate)
{
    const struct signature *own = &gate->own[own_slot(gate, gate->passed)].signature;
    if (gate->on_board) {
        return judge_board(gate, own);
    }
    if (gate->above != NULL || agree(gate, gate->passed)) {
        return WW_OK; /* rank 0 of a tree compared, and the word from above is "go" */
    }
    return gate->relays ? name_odd_wish(gate, gate->passed) : name_mismatch(gate, own);
}

static enum ww_status tell_above(struct gate *gate)
{
    struct outgoing *outgoing = &gate->announcing[own_slot(gate, gate->gathered)];
    struct message *message = outgoing->message;
    message->whom = gate->own[own_slot(gate, gate->gathered)].latest;
    if (!agree(gate, gate->gathered)) {
        struct wishes wishes = collect_wishes(gate, gate->gathered);
        memcpy(message->wishes, wishes.wish, sizeof wishes.wish);
        message->bytes = (uint32_t)((size_t)wishes.count * sizeof *wishes.wish);
    }
    return post_to(gate, outgoing, gate->above);
}

/* Who was last: whoever was awaited last here or, below that one, there; nobody was since this rank
 * announced = itself. */
static int find_latest(const struct gate *gate)
{
    return gate->kept == NULL ? gate->topology->rank
                              : gate->kept->said[gate->gathered & (gate->ahead - 1)].latest;
}

/* Nobody is there any more to tell, or nothing of what is announced here will be done. */
static bool is_vain(const struct gate *gate)
{
    return gate->gathered >= gate->limit || (gate->above != NULL && gate->above->gone);
}

/* What came together below this rank is told above it. */
static enum ww_status gather(struct gate *gate)
{
    enum ww_status status = WW_OK;
    while (status == WW_OK && !gate->on_board && !is_vain(gate) && came_together(gate)) {
        gate->own[own_slot(gate, gate->gathered)].latest = gate->relays ? find_latest(gate) : -1;
        status = gate->above == NULL ? WW_OK : tell_above(gate);
        gate->gathered++;
    }
    return status;
}

/* All agree: so says rank 0, and everybody to those below. */
static enum ww_status tell_verdict(struct gate *gate)
{
    *gate->verdict.message = (struct message){
        .kind = MESSAGE_ANNOUNCE, .number = gate->passed, .whom = gate->latest};
    return post_below(gate, &gate->verdict);
}

static enum ww_status pass(struct gate *gate)
{
    enum ww_status status = judge(gate);
    if (status == WW_OK && gate->relays) {
        gate->latest = gate->above == NULL
                           ? gate->own[own_slot(gate, gate->passed)].latest
                           : gate->above->said[gate->passed & (gate->ahead - 1)].latest;
        status = tell_verdict(gate);
    }
    gate->passed += status == WW_OK;
    return status;
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

/* Of those below all are awaited, so the first who has not spoken is as good as any: one poll a
 * look. */
static enum ww_status hear_awaited(struct gate *gate)
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
static enum ww_status hear_some(struct gate *gate)
{
    if (hears_the_rest_now(gate)) {
        return hear_rest(gate);
    }
    return gate->on_board ? WW_OK : hear_awaited(gate);
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

static bool may_pass(struct gate *gate)
{
    return gate->passed < gate->limit && all_announced(gate) && outgoing_free(gate, &gate->verdict);
}

/* What is announced here next will never be done, once so many are: whoever would have to take part
 * gave up, or left. */
static enum ww_status judge_hope(const struct gate *gate, uint64_t done)
{
    if (gate->announced == done) {
        return WW_OK;
    }
    if (done >= gate->limit) {
        return tell_news(gate);
    }
    bool without = !gate->idle && gate->left_rank >= 0 && done >= gate->left.number;
    return without ? pass_on(gate, &gate->left, gate->left_rank) : WW_OK;
}

enum ww_status gate_advance(struct gate *gate, uint64_t done, uint64_t *passed)
{
    enum ww_status status = gate->status;
    if (status == WW_OK) {
        status = hear_some(gate);
    }
    if (status == WW_OK) {
        status = gather(gate);
    }
    while (status == WW_OK && may_pass(gate)) {
        status = pass(gate);
        if (status == WW_OK && !gate->on_board) {
            status = hear_awaited(gate);
        }
        if (status == WW_OK) {
            status = gather(gate);
        }
    }
    *passed = gate->passed;
    return fail(gate, status == WW_OK ? judge_hope(gate, done) : status);
}

bool gate_has_room(struct gate *gate)
{
    return outgoing_free(gate, &gate->announcing[own_slot(gate, gate->announced)]);
}

/* ---- Values ------------------------------------------------------------------------------- */

size_t gate_values_room(const struct gate *gate)
{
    if (gate->on_board) {
        return BOARD_VALUES_BYTES;
    }
    return gate->direct ? gate->values_room : 0;
}

bool gate_shows_values(const struct gate *gate)
{
    return gate->on_board;
}

const void *gate_values(const struct gate *gate, int rank, uint64_t number, size_t bytes)
{
    assert(rank != gate->topology->rank && bytes <= gate_values_room(gate));
    if (gate->on_board) {
        return board_values(board_place(gate->board, rank, number), bytes);
    }
    size_t slot = (size_t)(number & (gate->ahead - 1));
    const struct peer *peer = &gate->peers[rank - (rank > gate->topology->rank)];
    return peer->values + slot * gate->values_room;
}

bool gate_has_told(struct gate *gate, uint64_t number)
{
    struct outgoing *outgoing = &gate->announcing[own_slot(gate, number)];
    return gate->on_board || outgoing->message->bytes <= GATE_VALUES_BYTES ||
           outgoing_free(gate, outgoing);
}

int gate_tells(const struct gate *gate, uint64_t number)
{
    const struct outgoing *outgoing = &gate->announcing[own_slot(gate, number)];
    bool knows = outgoing->under_way && gate->transport->waits_for != NULL;
    return knows ? gate->transport->waits_for(gate->fabric, &outgoing->flight) : -1;
}

/* ---- Announcing --------------------------------------------------------------------------- */

/* How many values a peer gets. */
static size_t told_bytes(const struct gate *gate, const struct luggage *luggage)
{
    bool parted = luggage->shares && !gate->on_board;
    return parted ? luggage->bytes / (size_t)gate->topology->size : luggage->bytes;
}

static void write_announcement(const struct gate *gate, struct outgoing *outgoing,
                               const struct signature *signature, const struct luggage *luggage)
{
    size_t bytes = told_bytes(gate, luggage);
    int messages = luggage->shares ? gate->peer_count : 1;
    outgoing->apart = luggage->shares ? HEAD_BYTES + gate->values_room : 0;
    for (int i = 0; i < messages; i++) {
        struct message *message = message_of(outgoing, i);
        size_t share = luggage->shares ? (size_t)gate->peers[i].rank : 0;
        *message = (struct message){.kind = MESSAGE_ANNOUNCE,
                                    .number = gate->announced,
                                    .signature = *signature,
                                    .bytes = (uint32_t)bytes};
        if (bytes > 0) {
            memcpy(values_of(message), (const unsigned char *)luggage->values + share * bytes,
                   bytes);
        }
    }
}

enum ww_status gate_announce(struct gate *gate, const struct signature *signature,
                             const struct luggage *luggage)
{
    if (gate->status != WW_OK) {
        return gate->status;
    }
    size_t slot = own_slot(gate, gate->announced);
    struct outgoing *outgoing = &gate->announcing[slot];
    assert(!outgoing->under_way && told_bytes(gate, luggage) <= gate_values_room(gate));
    gate->own[slot].signature = *signature;
    gate->kept = gate->announced == gate->gathered ? NULL : gate->kept;
    if (gate->board != NULL) {
        board_write(gate->board, gate->announced, signature, luggage->notice, luggage->values,
                    gate->on_board ? luggage->bytes : 0);
    }
    if (gate->on_board) {
        gate->announced++;
        return WW_OK;
    }
    write_announcement(gate, outgoing, signature, luggage);
    gate->announced++;
    gate->looks = HEAR_REST_EVERY - 1; /* who comes late hears first what became of the others */
    enum ww_status status = gate->direct ? post_to_all(gate, outgoing) : WW_OK;
    return fail(gate, status == WW_OK ? gather(gate) : status);
}

/* ---- Trouble ---------------------------------------------------------------------------- */

bool gate_sees_all(const struct gate *gate)
{
    return gate->on_board || hears_all(gate);
}

bool gate_is_star(const struct gate *gate)
{
    return !gate->direct;
}

bool gate_relays(const struct gate *gate)
{
    return gate->relays;
}

int gate_latest(const struct gate *gate)
{
    return gate->latest == gate->topology->rank ? -1 : gate->latest;
}

/* Those whose entry is not there, or those of them who took it back. */
static int unseen_on_board(const struct gate *gate, bool gave_up, int *ranks, int most)
{
    int unseen = 0;
    for (int rank = 0; rank < gate->topology->size; rank++) {
        bool own = rank == gate->topology->rank;
        if (!own && board_read(gate->board, rank, gate->passed) == NULL &&
            board_is_revoked(gate->board, rank) == gave_up) {
            if (unseen < most) {
                ranks[unseen] = rank;
            }
            unseen++;
        }
    }
    return unseen;
}

/* Who gave up waited for somebody as well: in a star why may still be on its way. */
static int missing_on_board(const struct gate *gate, int *ranks, int most)
{
    int absent = unseen_on_board(gate, false, ranks, most);
    return absent > 0 ? absent : unseen_on_board(gate, true, ranks, most);
}

/* To rank 0 of a tree: whether the peer's branch still lacks somebody. */
static bool branch_is_missing(const struct gate *gate, const struct peer *peer)
{
    return gate->near[relay_branch(&gate->relay, peer->rank)]->announced <= gate->passed;
}

/* In a tree rank 0 knows of whole branches, and of whom the roll call told. */
static bool is_missing(const struct gate *gate, const struct peer *peer)
{
    if (!gate->relays) {
        return peer->announced <= gate->passed;
    }
    if (gate->topology->rank == 0) {
        return peer->told <= gate->passed && branch_is_missing(gate, peer);
    }
    if (peer == gate->above) {
        return gate->gathered > gate->passed && peer->announced <= gate->passed;
    }
    return peer->said != NULL && peer->announced <= gate->passed;
}

static int list_peers(const struct gate *gate, bool silent, int *ranks, int most,
                      bool (*belongs)(const struct gate *gate, const struct peer *peer))
{
    int count = 0;
    for (int i = 0; i < gate->peer_count; i++) {
        const struct peer *peer = &gate->peers[i];
        if (belongs(gate, peer) && !(silent && peer->answered)) {
            if (count < most) {
                ranks[count] = peer->rank;
            }
            count++;
        }
    }
    return count;
}

/* Where all of a branch told that they announced, one of them does not pass it on. */
static int missing_peers(const struct gate *gate, bool silent, int *ranks, int most)
{
    int missing = list_peers(gate, silent, ranks, most, is_missing);
    if (missing > 0 || !gate->relays || gate->topology->rank != 0) {
        return missing;
    }
    return list_peers(gate, silent, ranks, most, branch_is_missing);
}

int gate_missing(const struct gate *gate, int *ranks, int most)
{
    return gate->on_board ? missing_on_board(gate, ranks, most)
                          : missing_peers(gate, false, ranks, most);
}

int gate_missing_silent(const struct gate *gate, int *ranks, int most)
{
    return gate->on_board ? missing_on_board(gate, ranks, most)
                          : missing_peers(gate, true, ranks, most);
}

void gate_waits_for(struct gate *gate, int rank)
{
    gate->waits_for = rank;
}

/* Who announced what comes next is there. */
static bool went_on(struct gate *gate, const struct peer *peer)
{
    if (gate->on_board) {
        return is_shown(gate, peer->rank);
    }
    bool knows_branches = gate->relays && gate->topology->rank == 0;
    return knows_branches ? !is_missing(gate, peer) : peer->announced > gate->passed;
}

void gate_call_roll(struct gate *gate, bool at_gate)
{
    gate->roll_called = true;
    gate->roll_at_gate = at_gate;
    gate->roll_passed = gate->passed;
    for (int i = 0; i < gate->peer_count; i++) {
        gate->peers[i].answered = false;
        gate->peers[i].excused = !at_gate && went_on(gate, &gate->peers[i]);
    }
    log_hold_error();
    for (int i = 0; i < gate->peer_count; i++) {
        say(gate, &gate->peers[i], &gate->peers[i].roll_call, MESSAGE_ROLL_CALL);
    }
    log_release_error();
}

int gate_unanswered(const struct gate *gate, int *ranks, int most)
{
    int count = 0;
    for (int i = 0; i < gate->peer_count; i++) {
        if (!gate->peers[i].answered && count++ < most) {
            ranks[count - 1] = gate->peers[i].rank;
        }
    }
    return count;
}

/* In a tree, in the end, everybody waits at the gate for rank 0. */
static bool somebody_waits_for(const struct gate *gate, int rank)
{
    bool waits = gate->waits_for == rank || (gate->relays && gate->roll_at_gate && rank == 0);
    for (int i = 0; i < gate->peer_count; i++) {
        waits = waits || (gate->peers[i].answered && gate->peers[i].waits_for == rank);
    }
    return waits;
}

int gate_silent(const struct gate *gate)
{
    for (int i = 0; i < gate->peer_count; i++) {
        const struct peer *peer = &gate->peers[i];
        if (!peer->answered && !peer->excused && somebody_waits_for(gate, peer->rank)) {
            return peer->rank;
        }
    }
    return -1;
}

void gate_be_idle(struct gate *gate, bool idle)
{
    gate->idle = idle;
}

void gate_leave(struct gate *gate, uint64_t done, const char *sentence)
{
    struct message *message = gate->leaving.message;
    if (gate->status != WW_OK || message->kind == MESSAGE_LEFT) {
        return;
    }
    *message = (struct message){.kind = MESSAGE_LEFT, .status = WW_MISMATCH, .number = done};
    put_text(message, sentence);
    log_hold_error(); /* a peer that is lost is found elsewhere */
    post_to_all(gate, &gate->leaving);
    log_release_error();
}

/* To each peer by itself: that one is lost keeps the word from nobody else. Once is enough, and its
 * memory stays as it is. */
static void post_failure(struct gate *gate, uint64_t done, enum ww_status status,
                         const char *sentence)
{
    if (gate->failure_told) {
        return;
    }
    gate->failure_told = true;
    gate->failure = (struct message){.kind = MESSAGE_FAILED,
                                     .status = status,
                                     .number = done < gate->limit ? done : gate->limit};
    put_text(&gate->failure, sentence);
    log_hold_error();
    for (int i = 0; i < gate->peer_count; i++) {
        struct ww_flight flight; /* of no interest */
        const struct ww_message message = message_to(gate, &gate->peers[i], &gate->failure);
        gate->transport->post(gate->fabric, GATE_TAG, true, &message, 1, &flight);
    }
    log_release_error();
}

/* The word goes first: who finds an announcement gone finds the reason. */
void gate_report_failure(struct gate *gate, uint64_t done, enum ww_status status,
                         const char *sentence)
{
    post_failure(gate, done, status, sentence);
    if (gate->board != NULL) {
        /* What does not match lets nobody pass: peers may see it and judge for themselves. */
        bool mismatch = status == WW_MISMATCH;
        board_revoke(gate->board, mismatch ? gate->announced : gate->passed, gate->announced);
    }
}

/* ---- Life ------------------------------------------------------------------------------- */

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

/* Whom this rank hears: everybody, or rank 0 and who is next to it in the tree. */
static int count_peers(const struct gate *gate)
{
    const struct relay *relay = &gate->relay;
    if (hears_all(gate)) {
        return gate->topology->size - 1;
    }
    return gate->relays ? 1 + (relay->parent > 0) + relay->below : 1;
}

static int peer_rank(const struct gate *gate, int index)
{
    const struct relay *relay = &gate->relay;
    int first_below = 1 + (relay->parent > 0);
    if (hears_all(gate)) {
        return index + (index >= gate->topology->rank);
    }
    if (index == 0) {
        return 0;
    }
    return index < first_below ? relay->parent : relay->ranks_below[index - first_below];
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
    for (int i = 0; i < gate->relay.below; i++) {
        gate->near[i]->speaks_for = 0;
    }
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
    for (int i = 0; i < gate->near_count; i++) {
        int below = gate->relays ? gate->relay.below : gate->near_count;
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
        status = listen(gate, &gate->peers[i]);
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
