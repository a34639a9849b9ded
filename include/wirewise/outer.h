/* SPDX-License-Identifier: BSD-3-Clause
 * outer.h: local steps with an outer optimizer, for sites with slow wires between them.
 *
 * Every rank trains by itself, with an optimizer of its own, and sends no gradients. Every H steps
 * the ranks average how far they came from where they all began (the outer gradient, start minus
 * local), an outer optimizer moves that start by it, and all go on from there. With plain averages
 * this is local SGD (Lin et al. 2018, "Don't Use Large Mini-Batches, Use Local SGD", which begins
 * with dense steps); with Nesterov's momentum outside and AdamW inside it is DiLoCo (Douillard et
 * al. 2023); in fragments that leave in turn and come back later it is Streaming DiLoCo (Douillard
 * et al. 2025). docs/async.md shows a loop and says what it costs.
 *
 *     ww_outer_create  ->  { the program's own optimizer step, ww_outer_step } per step
 *                      ->  ww_outer_meet  ->  ww_outer_destroy */
#ifndef WIREWISE_OUTER_H
#define WIREWISE_OUTER_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How ranks count in the mean of what they learned. */
enum ww_outer_weights {
    WW_OUTER_UNIFORM, /* alike, whatever they did */
    WW_OUTER_BY_STEPS /* by the local steps that they did since they sent last */
};

/* Settings; all ranks have the same. Fill with WW_OUTER_INIT, DiLoCo's, and change fields. Few
 * outer steps want less momentum: docs/async.md has figures. */
struct ww_outer_config {
    size_t struct_bytes;  /* sizeof(struct ww_outer_config), set by WW_OUTER_INIT */
    uint64_t local_steps; /* H, from one exchange of an element to its next: 1 .. 10^9 */
    double rate;          /* of the outer optimizer: 0 < rate <= 100; 1 with momentum 0 averages */
    double momentum;      /* 0 <= factor < 1. v = momentum v + mean, start -= rate v */
    bool nesterov;        /* start -= rate (mean + momentum v) instead */
    uint64_t dense_steps; /* the first so many steps end with a plain fp32 average each; meetings
                             are no steps */
    const char *codec;    /* how outer gradients travel, as in ww_config ("int8"), but not "auto",
                             which would choose by the time that calls take; copied. What encoding
                             leaves out is kept and added the next time, with every codec */
    int fragments;        /* P: equal parts of the vector that leave in turn, H / P steps apart;
                             1 .. local_steps, at most 4096 and the parameters' count */
    uint64_t delay;       /* tau: local steps between sending a part and taking its result, while a
                             thread exchanges it; 0 = the call waits. Less than local_steps. What
                             the part learns meanwhile is lost, but for the share mix */
    double mix;           /* the share of a rank's own value that stays when a result is taken:
                             local = mix local + (1 - mix) start; 0 <= mix < 1, 0 = adopt it */
    enum ww_outer_weights weights;
};
#define WW_OUTER_INIT                                                                              \
    {                                                                                              \
        sizeof(struct ww_outer_config), 20, 0.7, 0.9, true, 0, "none", 1, 0, 0, WW_OUTER_UNIFORM   \
    }

/* One tensor of the model, or the whole of it. */
struct ww_outer_region {
    float *values; /* [count] */
    size_t count;
};

/* This rank's part of such a training. */
struct ww_outer;

/* What it came to. Sums are since ww_outer_create; a state that is loaded brings its own. */
struct ww_outer_report {
    size_t struct_bytes;  /* sizeof(struct ww_outer_report), set by WW_OUTER_REPORT_INIT */
    int size;             /* ranks */
    uint64_t steps;       /* of this rank */
    uint64_t outer_steps; /* of the outer optimizer, one for each part that came back */
    uint64_t
        window_steps;     /* of this rank, that were not sent yet: of the part that waits longest */
    int changed;          /* parts whose parameters changed in this call; 0 = none did */
    int fragment;         /* the first of these; -1 = none */
    int in_flight;        /* parts that were sent and are not back */
    double drift;         /* L2 norm of start - local here, over what left in the latest exchange */
    uint64_t steps_least; /* local steps behind that exchange, of the rank that did fewest ... */
    uint64_t steps_most;  /* ... and of the one that did most */
    uint64_t discarded;   /* exchanges without effect: values or their mean were not finite */
    int wild_rank;        /* the lowest rank with such values in the latest of these; -1 = none */
    uint64_t sent_bytes;  /* payload that this rank sent in exchanges; what the start sent, once, is
                             not among it */
    uint64_t control_bytes; /* and agreement messages */
    uint64_t dense_bytes;   /* what its steps would have sent with a dense fp32 all-reduce in each:
                               2 (size - 1) / size of the elements * 4 bytes, see ww_report */
    double call_s;          /* this call took */
    double exposed_s;       /* all calls took: what was not hidden behind local steps */
    double communication_s; /* exchanges took, hidden or not, waiting for the slowest included */
};
#define WW_OUTER_REPORT_INIT                                                                       \
    {                                                                                              \
        sizeof(struct ww_outer_report), 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0     \
    }

/* Begins: all ranks call it with as many parameters and the same settings. Rank 0's parameters
 * replace everybody's.
 * context       exchanges are single calls of it (ww_calls_report counts them); with a delay and
 *               several ranks they have a context of their own, made here from the same world, and
 *               a thread where MPI's thread level (MPI_THREAD_MULTIPLE) and progress allow one.
 *               Where they do not a warning says why, and each exchange is made when it is sent,
 *               with the same results at the same steps. Outlives *outer
 * regions       [region_count], copied; the values they point to are the program's parameters, read
 *               and written by the calls below until ww_outer_destroy. They do
 *               not overlap, or are refused
 * Memory        8 bytes for each element, 4 more with momentum and 4 more with a codec
 * Thread        any, one at a time per ww_outer, and no other single call of the context meanwhile.
 * Returns       WW_OK; WW_BAD_ARGUMENT, WW_NO_MEMORY; WW_MISMATCH names the rank and the setting;
 *               WW_PEER_FAILED names a rank without memory; failures of the context. */
WW_API enum ww_status ww_outer_create(struct ww_context *context,
                                      const struct ww_outer_config *config,
                                      const struct ww_outer_region *regions, size_t region_count,
                                      struct ww_outer **outer);

/* Ends; before ww_context_destroy, by all ranks. Waits for what is in flight, unless it failed;
 * parameters stay as they are. NULL is fine. */
WW_API void ww_outer_destroy(struct ww_outer *outer);

/* After every local step of the program's optimizer, on every rank. In most calls nothing is sent.
 * Part p leaves in steps H (p + 1) / P (rounded down), H more, ...; its result is taken exactly
 * `delay` calls later, whenever it arrived.
 * Not finite   when a rank's outer gradient is not finite, the exchange has no effect on the start
 *              of any rank, all go back to it there, and a warning names the rank. So where the
 *              sum might go beyond fp32, by its norms, and residuals are kept.
 * report       filled on WW_OK; may be NULL.
 * Returns      WW_OK; WW_BAD_ARGUMENT; WW_MISMATCH when ranks are not at the same exchange;
 *              WW_TIMED_OUT, WW_PEER_FAILED, WW_TRANSPORT_FAILED. After a failure every later call
 *              returns it again, all but ww_outer_restore. */
WW_API enum ww_status ww_outer_step(struct ww_outer *outer, struct ww_outer_report *report);

/* Exchanges everything now, and begins to count the H steps anew: by all ranks, after however many
 * steps each of them did, none included. At the end of a training; or where ranks have uneven
 * speeds and each does as many steps as fit its time: the slowest is waited for. With one fragment
 * and no delay a rank may come by ww_outer_meet while another comes by its H-th ww_outer_step.
 * A rank without a step since the last exchange contributes nothing but counts as a rank; with
 * WW_OUTER_BY_STEPS it does not count either. */
WW_API enum ww_status ww_outer_meet(struct ww_outer *outer, struct ww_outer_report *report);

/* The same without a codec: what encoding had kept back is sent as well, and all ranks adopt the
 * start, whatever mix is. Then the state is the same on all ranks, and may be loaded by any number
 * of them; but not where an exchange of it had no effect (discarded grew): what that part keeps
 * back stays, and is sent by the next call. */
WW_API enum ww_status ww_outer_settle(struct ww_outer *outer, struct ww_outer_report *report);

/* Takes the results of all that is in flight now, instead of `delay` steps after it was sent. At
 * the same step on all ranks, or their parameters differ until the next exchange. */
WW_API enum ww_status ww_outer_drain(struct ww_outer *outer, struct ww_outer_report *report);

/* Throws this rank's steps since the last exchange away: its parameters are the start again, and it
 * counts no step since then. It asks nobody, may be called by one rank alone, and works after a
 * failure. Returns WW_OK, WW_BAD_ARGUMENT, WW_BAD_STATE (after fork). */
WW_API enum ww_status ww_outer_restore(struct ww_outer *outer);

/* The start that all ranks agree on, all regions behind each other, with the same bits on all
 * ranks: valid and changing until ww_outer_destroy. NULL for NULL. */
WW_API const float *ww_outer_start(const struct ww_outer *outer);

/* What encoding kept back here, by place, in units of the sum of all ranks: over all ranks it adds
 * up to `size` times what the mean still owes. Exchanges in flight write it from a thread of the
 * library: it holds still while a report's in_flight is 0. NULL = nothing is encoded. */
WW_API const float *ww_outer_residual(const struct ww_outer *outer);

/* "outer step 3 after 60 steps: sent 0.42 MiB of 31.50 dense (75 times fewer); drift 0.31, ...".
 * Returns the bytes needed, as snprintf does. */
WW_API size_t ww_outer_report_print(const struct ww_outer_report *report, char *text, size_t bytes);

/* ---- State, for checkpoints -------------------------------------------------------------------
 * Start, outer momentum, residual, counters and what the exchanges sent so far. The parameters
 * themselves and the inner optimizer are the program's to keep. Bytes are in the order of this
 * processor; they carry a version and their sizes, but no checksum: that is the file's. */

/* Bytes that a state of this rank takes; the same in every step. 0 for NULL. */
WW_API size_t ww_outer_state_bytes(const struct ww_outer *outer);

/* Writes it. buffer has `bytes`, at least ww_outer_state_bytes.
 * Returns  WW_OK; WW_BAD_ARGUMENT; WW_BAD_STATE when something is in flight (ww_outer_drain); the
 *          failure, after one. */
WW_API enum ww_status ww_outer_state_save(const struct ww_outer *outer, void *buffer, size_t bytes);

/* Goes on where a state was saved: with the program's own parameters and inner optimizer as they
 * were then, every later result has the same bits. Parameters are left as they are; after
 * ww_outer_settle, and only then, ww_outer_restore gives them. By all ranks, each with a state of
 * its own rank; one that ww_outer_settle was called right before serves every rank of any number.
 * rate, momentum's factor, nesterov, mix and weights are the new settings'.
 * Returns  WW_OK; WW_BAD_ARGUMENT for bytes that are no state, cut or of a newer version;
 *          WW_BAD_STATE when something is in flight; WW_MISMATCH names what does not fit. Then
 *          nothing has changed. */
WW_API enum ww_status ww_outer_state_load(struct ww_outer *outer, const void *buffer, size_t bytes);

/* The same as a part of checkpoints (wirewise/checkpoint.h): from now on those of its context hold
 * this state, until ww_outer_destroy. Parameters and inner optimizer are the program's to attach,
 * by WW_KEEP_MEAN. A save or a load while something is in flight is WW_BAD_STATE (ww_outer_drain).
 *   same ranks     go on with the same bits
 *   other number   all begin with the mean of the parameters, so what the ranks learned since the
 *                  last exchange counts as it would have; residuals are handed on, so that the mean
 *                  owes what it owed; all have done as many steps since then as the one that did
 *                  most
 * H, fragments and the number of parameters must be the same; the codec as well, unless nothing was
 * kept back; momentum may not become 0; and one rank alone, which encodes nothing, takes no
 * residual: WW_MISMATCH says so.
 * Another call takes the name before back, also where the new one turns out to be attached already:
 * checkpoints hold the state once, or not at all.
 * name     1 .. 48 bytes, unique in the context; copied. Sections have it, and more behind a dot
 * Thread   one at a time. All ranks call it, for they all save.
 * Returns  WW_OK, WW_BAD_ARGUMENT, WW_NO_MEMORY. */
WW_API enum ww_status ww_outer_keep(struct ww_outer *outer, const char *name);

#ifdef __cplusplus
}
#endif
#endif
