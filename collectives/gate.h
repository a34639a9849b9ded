/* SPDX-License-Identifier: BSD-3-Clause
 * gate.h: before a collective moves data, all ranks say what they are about to do.
 *
 * Every collective passes the gate once, in the order in which it was started, which is the same
 * on all ranks. Ranks of one host that see each other's memory show it there (board.h). Else up to
 * GATE_DIRECT_SIZE ranks tell each other directly; more of them tell rank 0 along a tree (relay.h),
 * and its verdict comes back along it. Either way every rank learns the same: go, or who differs in
 * what. Messages also carry bad news, while data is on its way as well, and the roll call that
 * finds out who is silent when nothing moves any more. */
#ifndef COLLECTIVES_GATE_H
#define COLLECTIVES_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#include "board.h"
#include "signature.h"
#include "topology.h"

#define GATE_DIRECT_SIZE 16
/* Values in a message: so many always fit, and so many where fabrics take longer messages. */
#define GATE_VALUES_BYTES ((size_t)192)
#define GATE_VALUES_BYTES_LONG ((size_t)16 << 10)
/* Messages up to so many bytes may be sent before the gate is passed, and lie at the peers until
 * they ask for them: more than fabrics keep (a few KiB to 64 KiB) would gain nothing. */
#define GATE_AHEAD_BYTES ((size_t)32 << 10)
#define GATE_REPORTED " reported: " /* behind the rank whose sentence is passed on */

struct gate;

/* depth  the most collectives that may be announced and not passed or still under way, a power of
 *        two
 * board  made for the same depth, outlives the gate; NULL where ranks do not see each other */
enum ww_status gate_create(const struct ww_transport *transport, void *fabric,
                           const struct topology *topology, const struct board *board, int depth,
                           struct gate **gate);

/* Begins to listen to the peers; once, before anything else. */
enum ww_status gate_open(struct gate *gate);

/* The fabric is closed before: nothing of the gate is in use by it any more. NULL is fine. */
void gate_destroy(struct gate *gate);

/* True when the next collective may be announced. */
bool gate_has_room(struct gate *gate);

/* What goes with an announcement: where memory lies (for a board only), or, with notice NULL,
 * values, or shares of them, one for each rank. */
struct luggage {
    const struct notice *notice;
    const void *values;
    size_t bytes; /* at most gate_values_room; messages carry one share each */
    bool shares;
};

/* The most bytes of values that go with an announcement: where all ranks share a board, or tell
 * each other directly; else 0. */
size_t gate_values_room(const struct gate *gate);

/* Whether they lie on the board, where peers read what they need, or were sent to every peer. */
bool gate_shows_values(const struct gate *gate);

/* The values that a peer announced with collective `number`, which passed and is not done here:
 * until then nobody announces the one that takes their place. bytes: those that it announced; of
 * shares a message brings this rank's alone. */
const void *gate_values(const struct gate *gate, int rank, uint64_t number, size_t bytes);

/* Whether the values that this rank announced with collective `number`, which passed and is not
 * done here, left its hands: longer ones the fabric may keep until a peer takes them in, which
 * needs this rank. And a peer that has yet to, -1 = nobody knows. */
bool gate_has_told(struct gate *gate, uint64_t number);
int gate_tells(const struct gate *gate, uint64_t number);

/* Announces the next collective; its number is 0 for the first and counts up. */
enum ww_status gate_announce(struct gate *gate, const struct signature *signature,
                             const struct luggage *luggage);

/* Advances. done: how many collectives are done here. *passed = how many all ranks agreed on so
 * far. WW_OK, or the failure: a mismatch, the fabric's error, or that a peer gave up or left, once
 * all is done here that was done there, and more was announced. Never blocks. */
enum ww_status gate_advance(struct gate *gate, uint64_t done, uint64_t *passed);

/* A peer gave up: what it had done may still be done here, nothing else passes. */
bool gate_has_news(const struct gate *gate);

/* Why it did, told as a failure, although what it had done may still be done; WW_OK = none did. */
enum ww_status gate_tell_news(const struct gate *gate);

/* Takes in what peers said, now, whatever gate_advance would do. WW_OK, or the failure: bad news
 * whatever is done. */
enum ww_status gate_hear(struct gate *gate);

/* After the fabric failed: what became of it may be told by a peer that knows more. WW_OK when none
 * gave up, else that failure. Where rank 0, which hears of all, is lost, too, that is the latest
 * error. */
enum ww_status gate_last_words(struct gate *gate);

/* The ranks that the gate waits for: writes up to `most` and returns how many there are. On a board
 * those that gave up are none of them, unless they are all that is missing. In a tree rank 0 counts
 * all of a branch, until a roll call tells who of them did announce; others name whom they wait for
 * themselves. */
int gate_missing(const struct gate *gate, int *ranks, int most);

/* Those of them that did not answer the latest roll call. All of them on a board, or when none was
 * called. */
int gate_missing_silent(const struct gate *gate, int *ranks, int most);

/* True when gate_missing names all who are missing, not only those who would know. */
bool gate_sees_all(const struct gate *gate);

/* True when bad news and answers to the roll call of all reach rank 0 only. */
bool gate_is_star(const struct gate *gate);

/* True when announcements go along a tree. */
bool gate_relays(const struct gate *gate);

/* There: the peer that came last to what passed last; -1 = this rank did, or nobody knows. */
int gate_latest(const struct gate *gate);

/* Whom this rank waits for, -1 = nobody: what it answers when a peer calls the roll. */
void gate_waits_for(struct gate *gate, int rank);

/* Asks all peers whether they are there and whom they wait for. Amid data, who announced what comes
 * next need not answer; at the gate that may be all that it ever said. */
void gate_call_roll(struct gate *gate, bool at_gate);

/* After a roll call: the ranks that did not answer, up to `most` of them; how many there are. */
int gate_unanswered(const struct gate *gate, int *ranks, int most);

/* After a roll call: a rank that is silent and that somebody waits for, as far as this rank hears
 * (in a star only rank 0 hears of all); -1 when there is none. */
int gate_silent(const struct gate *gate);

/* Tells the peers that this rank starts nothing more, and why: those that announce more than it has
 * done fail with WW_MISMATCH and the sentence; what it had done they can do as well. Once. */
void gate_leave(struct gate *gate, uint64_t done, const char *sentence);

/* Whether nobody here waits for what was announced: then it is no failure that a peer left, as this
 * rank may leave next. At first somebody does. */
void gate_be_idle(struct gate *gate, bool idle);

/* Tells the peers that this rank gave up, why, and after how many collectives that were done, so
 * that they need not wait for their timeout. */
void gate_report_failure(struct gate *gate, uint64_t done, enum ww_status status,
                         const char *sentence);

#endif
