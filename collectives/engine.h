/* SPDX-License-Identifier: BSD-3-Clause
 * engine.h: runs plans. One engine serves one fabric and one thread at a time; several
 * collectives may be under way in it, each with several segments in flight. It never blocks,
 * sleeps, allocates after engine_reserve, or reads a clock: the caller hands the time in. */
#ifndef COLLECTIVES_ENGINE_H
#define COLLECTIVES_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#include "codecs/codec.h"
#include "gate.h"
#include "kernels/kernels.h"
#include "plan.h"
#include "topology.h"
#include "tune.h"

#define ENGINE_RUNS_MAX 4
#define ENGINE_WINDOW_MAX 16

/* Vectors up to this size may ask for peers' lines early, see act.c. */
#define EARLY_BYTES ((size_t)4 << 20)

struct engine;

struct engine_setup {
    const struct ww_transport *transport;
    void *fabric; /* the engine closes it */
    const struct topology *topology;
    const struct kernels *kernels;
    int runs; /* collectives under way at once: a power of two up to ENGINE_RUNS_MAX; 0 = that */
    double timeout_s;
    double warn_s;              /* says once whom it waits for after so long */
    uint64_t (*clock_ns)(void); /* after a failure, and around encoding and decoding; NULL = nobody
                                   is waited for then, and those take no time */
};

/* Another way to run a collective. */
struct way {
    const struct plan *plan; /* NULL = there is none */
    size_t segment_bytes;
    int window;
    bool early; /* lines of peers are asked for early, see act.c */
};

/* What this rank's encoding came to, in one run. */
struct coding_outcome {
    uint64_t encoded; /* elements, at all its encoding points */
    uint64_t chosen;  /* of these, travelled */
    uint64_t wild;    /* of these, not finite */
    int wild_rank; /* the lowest rank that a frame seen here names for values that were not finite;
                      -1 = none */
    double masked; /* momentum that was discarded, the sum of its magnitudes */
    double
        given;   /* where it is weighed: squares of what was encoded, residuals included, and ... */
    double left; /* ... of the residuals that this left */
};

/* How a coded plan's frames are made: fp32 sums and means only. */
struct coding {
    struct codec_spec spec; /* CODEC_NONE exactly where the plan is not coded */
    const float
        *residual;   /* [count] by place in the vector, see kernels/code.h: what this rank's */
    float *next;     /* encoding left, in units of the sum; NULL = no error feedback */
    float *momentum; /* [count] likewise, see kernels/sparse.h; NULL = none */
    float momentum_factor;
    uint64_t seed;                  /* of stochastic rounding and sampling; another in every step */
    struct coding_outcome *outcome; /* filled until the run is done; NULL = not wanted */
    bool asked_dense;               /* by the program, for this step; equal on all ranks, as ... */
    bool discarded;                 /* ... that it took the step before back, and ... */
    float scale;  /* ... that of its gradients, which is out of them; 0 or 1 = none */
    bool weighed; /* two more passes, over what is in the cache */
};

/* One collective to run. */
struct run_request {
    const struct plan *plan; /* outlives the run, and does not change */
    const void *input;       /* slot 0; for a broadcast the same as output */
    void *output;            /* slot 1 */
    size_t count;            /* elements of the vector; of one rank's share for reduce-scatter and
                                all-gather */
    enum ww_type type;
    enum ww_op op;        /* WW_OP_COUNT where nothing is reduced */
    int root;             /* -1 where there is none */
    size_t segment_bytes; /* of the vector, all ranks' shares together; >= 1 */
    int window;           /* segments in flight, 1 .. ENGINE_WINDOW_MAX */
    uint64_t step;
    uint32_t label;
    struct coding coding; /* spec equal on all ranks */

    /* Ranks only agree on it here: what is agreed on travels another way. The plan names the
     * collective. Equal on all ranks. */
    bool elsewhere;

    /* The values travel with the announcement; the plan only names the collective. For vectors, on
     * a board all shares together, of up to sight.values_bytes. Equal on all ranks. */
    bool with_announcement;

    /* Where all ranks see each other. Equal on all ranks. */
    struct way viewed;            /* taken when all ranks' input and output are seen */
    bool early;                   /* as in struct way */
    struct way tuned[TUNED_WAYS]; /* taken when rank 0 finds them faster than the plan, which is way
                                     TUNED_STAGED */
};

/* Bytes of the area that an engine of so many runs needs (struct ww_transport_setup). */
size_t engine_area_bytes(int runs);

/* True when the ranks of this host see each other's memory; when all ranks do; whether they can
 * fetch; and what announcements have room for. */
struct sight {
    bool host;
    bool all;
    bool fetch;
    size_t values_bytes; /* so many values go with an announcement: BOARD_VALUES_BYTES where all
                            share a board, GATE_VALUES_BYTES or GATE_VALUES_BYTES_LONG, or 0 */
};
struct sight engine_sight(const struct engine *engine);

/* On an error the fabric is closed as well. */
enum ww_status engine_create(const struct engine_setup *setup, struct engine **engine);
void engine_destroy(struct engine *engine, bool failed); /* closes the fabric; NULL is fine */

/* Reserves the scratch memory that such a request needs in every run. Idempotent; call it before
 * engine_start with the largest request of each kind. Not while runs are under way. */
enum ww_status engine_reserve(struct engine *engine, const struct run_request *request);

/* True when engine_start would find a free run and the gate takes another announcement. */
bool engine_has_room(struct engine *engine);

/* The same for a caller who waits since `since_ns` with nothing under way, so that only the
 * fabric's hold on an old announcement can be in the way: WW_OK, WW_PENDING, or WW_TIMED_OUT. */
enum ww_status engine_await_room(struct engine *engine, uint64_t since_ns, uint64_t now_ns);

/* Starts a collective and numbers it: 0 for the engine's first, counting up. All ranks start the
 * same collectives in the same order. request is copied, its plan is not. */
enum ww_status engine_start(struct engine *engine, const struct run_request *request,
                            uint64_t *number);

/* Advances everything under way as far as it goes without waiting. now_ns 0 = the caller does not
 * know the time: timeouts are not looked at this time.
 * Returns WW_OK when nothing is under way any more, WW_PENDING, or the failure; a failure stays. A
 * peer's failure is told by what can no longer be done: not before all that was done there is done
 * here, as far as it still comes, and not while nothing is under way. */
enum ww_status engine_advance(struct engine *engine, uint64_t now_ns);

/* True where a request names several ways, so that engine_learn has something to learn. */
bool engine_is_tuned(const struct run_request *request);

/* Tells the time right after a collective was done: from it the engine learns which way is faster,
 * where a request names several. */
void engine_learn(struct engine *engine, uint64_t now_ns);

/* True once collective `number` is done. */
bool engine_done(const struct engine *engine, uint64_t number);

/* What a collective spent, from when it is done until another one is started. */
struct run_times {
    uint64_t passed_ns; /* when it passed the gate; 0 = the caller did not know */
    uint64_t encode_ns; /* spent in encoding, and ... */
    uint64_t decode_ns; /* ... in decoding and adding */
};
struct run_times engine_times(const struct engine *engine, uint64_t number);

/* Nanoseconds that nothing moved because a rank had not come, since creation, as far as the caller
 * told the time; and the rank of the longest such wait since this was asked, -1 = none. */
uint64_t engine_delay_ns(const struct engine *engine);
int engine_take_slowest(struct engine *engine);

/* A wait that is under way is told until now; should it go on, that is another. */
void engine_end_delay(struct engine *engine, uint64_t now_ns);

/* Shows a number to the ranks of this host; their sum, this rank's included, and how many there
 * are: 1 where ranks do not see each other. */
void engine_tell(struct engine *engine, uint64_t number);
uint64_t engine_told(const struct engine *engine, int *ranks);

/* How the caller may wait while engine_advance returns WW_PENDING, and a count that grows with
 * whatever moves: waiting anew begins when it changes. */
enum ww_wait engine_wait(const struct engine *engine);
uint64_t engine_moves(const struct engine *engine);

/* Asks all ranks, while nothing is under way, whether they are there; and which did not answer
 * until now, up to `most`: how many there are. A rank answers when it advances. */
void engine_call_roll(struct engine *engine);
int engine_unanswered(const struct engine *engine, int *ranks, int most);

/* Whether a peer gave up, as far as it was heard, and why, told as a failure: WW_OK = none did.
 * What is done here may not be done elsewhere, on a GPU: whoever waits there asks. */
bool engine_has_news(const struct engine *engine);
enum ww_status engine_tell_news(const struct engine *engine);

/* This rank starts nothing more here: peers that would go on without it fail with WW_MISMATCH and
 * this sentence, those that do not are left alone. Once; the engine is good for engine_destroy
 * then. */
void engine_leave(struct engine *engine, const char *sentence);

/* Whether what is under way is moved for later, and nobody waits for it: then it is no failure that
 * a peer left, as this rank may leave next. At first somebody waits. */
void engine_be_idle(struct engine *engine, bool idle);

/* Makes the engine fail now: tells the peers why, and closes the fabric, so that the callers'
 * memory is theirs again. The first failure stays, and so does the thread's latest error. Returns
 * the first. */
enum ww_status engine_fail(struct engine *engine, enum ww_status status, const char *sentence);

/* How a request's vector is cut: `segments` pieces of `count` elements (of every share, where the
 * collective has shares), the last one of `last`. */
struct slicing {
    size_t segments;
    size_t count;
    size_t last;
};
struct slicing engine_slicing(const struct run_request *request);

/* Totals since creation, [levels]: bytes sent by the plans, and traffic by the transport. Where
 * frames differ in length their own bytes count as planned. After a failure, what they were then.
 */
void engine_counters(const struct engine *engine, uint64_t *planned_bytes,
                     struct ww_traffic *traffic);

/* Bytes that this rank sends over each level when the request runs once, by its plan alone, or with
 * the announcement; added to bytes[topology->levels]. Frames of no fixed length are left out. */
void engine_planned_bytes(const struct engine *engine, const struct run_request *request,
                          uint64_t *bytes);

#endif
