/* SPDX-License-Identifier: BSD-3-Clause
 * gate.h: before a collective moves data, all ranks say what they are about to do.
 *
 * Every collective passes the gate once, in the order in which it was started, which is the same
 * on all ranks. Up to GATE_DIRECT_SIZE ranks tell each other directly; more of them tell rank 0,
 * which answers with its verdict. Either way every rank learns the same: go, or who differs in
 * what. The same messages carry bad news, also while data is on its way, and the roll call that
 * finds out who is silent when nothing moves any more. */
#ifndef COLLECTIVES_GATE_H
#define COLLECTIVES_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#include "topology.h"

#define GATE_DIRECT_SIZE 16

/* Labels of a context's own collectives, beyond any bucket number. */
#define GATE_LABEL_FAREWELL UINT32_MAX
#define GATE_LABEL_LAYOUT (UINT32_MAX - 1)
#define GATE_LABEL_ORDER (UINT32_MAX - 2)

/* What must be the same on all ranks. No padding: compared as bytes. */
struct signature {
    uint64_t count;      /* elements (per rank for reduce-scatter and all-gather) */
    uint64_t step;       /* of the trainer; 0 for single calls */
    uint32_t collective; /* enum collective */
    uint32_t type;       /* enum ww_type */
    uint32_t op;         /* enum ww_op; WW_OP_COUNT where there is none */
    int32_t root;        /* -1 where there is none */
    uint32_t label;      /* bucket number + 1; 0 for single calls; or GATE_LABEL_... */
    uint32_t reserved;   /* 0 */
};

/* "all_reduce of 1024 f32 (mean), bucket 2 of step 7". Returns what snprintf does. */
int signature_print(const struct signature *signature, char *text, size_t bytes);

struct gate;

/* depth is the most collectives that may be announced and not passed or still under way, a power
 * of two. */
enum ww_status gate_create(const struct ww_transport *transport, void *fabric,
                           const struct topology *topology, int depth, struct gate **gate);

/* Begins to listen to the peers; once, before anything else. */
enum ww_status gate_open(struct gate *gate);

/* The fabric is closed before: nothing of the gate is in use by it any more. NULL is fine. */
void gate_destroy(struct gate *gate);

/* True when the next collective may be announced. */
bool gate_has_room(struct gate *gate);

/* Announces the next collective; its number is 0 for the first and counts up. */
enum ww_status gate_announce(struct gate *gate, const struct signature *signature);

/* Advances. *passed = how many collectives all ranks agreed on so far. WW_OK, or the failure: a
 * mismatch, a peer's bad news, the fabric's error. Never blocks. */
enum ww_status gate_advance(struct gate *gate, uint64_t *passed);

/* The ranks that the gate waits for: writes up to `most` and returns how many there are. */
int gate_missing(const struct gate *gate, int *ranks, int most);

/* Whom this rank waits for, -1 = nobody: what it answers when a peer calls the roll. */
void gate_waits_for(struct gate *gate, int rank);

/* Asks all peers whether they are there and whom they wait for. */
void gate_call_roll(struct gate *gate);

/* After a roll call: a rank that is silent and that somebody waits for; -1 when there is none, or
 * when the gate is not direct and cannot know. */
int gate_silent(const struct gate *gate);

/* Tells the peers that this rank gave up, and why, so that they need not wait for their timeout. */
void gate_report_failure(struct gate *gate, enum ww_status status, const char *sentence);

#endif
