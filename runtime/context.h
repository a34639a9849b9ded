/* SPDX-License-Identifier: BSD-3-Clause
 * context.h: what the files of this room share: the context, its lanes, tensors and buckets. */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <wirewise/transport.h>
#include <wirewise/wirewise.h>

#include "auto.h"
#include "collectives.h"
#include "config.h"
#include "internal/fabrics.h"
#include "internal/log.h"
#include "ledger.h"
#include "menu.h"
#include "preempt.h"
#include "progress.h"
#include "topology.h"
#include "vectors.h"

/* One way through the fabric, used by whoever holds its lock. Buckets have one, single calls the
 * other, so that neither has to agree on an order with the other. */
struct lane {
    pthread_mutex_t lock;
    struct engine *engine;
    struct shelf *shelf;
};

/* The latest single call, as it was planned. */
struct latest_call {
    bool known;
    enum collective collective;
    struct run_request request;
};

/* Which codec tensors have: those of one class may share a bucket. */
struct codec_class {
    bool follows;           /* the context's codec */
    struct codec_spec spec; /* else this one */
};

#define HOLDERS_LOADED 1 /* ... and this, no plan at all: out of a checkpoint */

/* Who keeps what of a bucket after a step. */
struct keepers {
    uint64_t holders; /* of residuals: a fingerprint of plan and cut; 0 = nobody ... */
    unsigned settled; /* steps behind the first one with these holders, up to 1 */
    bool has_momentum;
    bool common_momentum; /* all ranks have the same: the mean of what each of them had */
};

/* What encoding one bucket keeps from step to step. */
struct bucket_coding {
    size_t offset; /* of its first element in the context's residuals */
    struct keepers now;
    struct keepers before; /* the latest step */
    struct coding_outcome outcome;
};

enum tensor_state { TENSOR_IDLE, TENSOR_STARTED, TENSOR_SKIPPED };

struct ww_tensor {
    struct ww_context *context;
    struct ww_tensor *next; /* in the order of registration */
    char *name;
    enum ww_type type;
    int dims;
    size_t shape[8];
    size_t count;
    bool has_codec;          /* an override ... */
    struct codec_spec codec; /* ... this one */
    struct bucket *bucket;
    size_t offset;      /* in the bucket, elements */
    void *values;       /* this step's; NULL = the result is not wanted */
    const void *placed; /* the latest that was found to be memory of the context's GPU */
    atomic_int state;
};

enum bucket_state {
    BUCKET_FILLING, /* some of its tensors are missing */
    BUCKET_READY,   /* may leave */
    BUCKET_MOVING,
    BUCKET_DONE /* results are in place */
};

/* One bucket of one step on its way, where results come later than gradients (delayed.c). */
struct parcel {
    void *memory;     /* [memory_bytes] of its bucket; NULL = it has no elements */
    atomic_int state; /* enum bucket_state */
    struct run_request request;
    struct coding_outcome outcome;
    uint64_t number; /* the engine's */
    struct run_times times;
    uint64_t start_ns;
    uint64_t ready_ns;
    uint64_t done_ns;
};

/* Neighbouring tensors of one type and codec that travel together. */
struct bucket {
    int index; /* 0 holds the tensors registered last */
    enum ww_type type;
    struct codec_class codec;
    struct bucket_coding coding;
    struct ww_tensor **tensors; /* in the order of registration; points into context->by_bucket */
    int tensor_count;
    size_t count;
    void *memory; /* reserved where its tensors are copied together; pages appear with the first
                     use */
    struct device_bucket *on_device; /* what a GPU keeps of it; NULL = it is not on one */
    size_t memory_bytes;
    int unit;          /* of the ledger's policy; where the codec follows the context's */
    uint64_t start_ns; /* when it left */
    uint64_t ready_ns; /* and further times, where ledger_wants_times */
    uint64_t done_ns;
    struct run_times times;
    struct run_request request;  /* what is the same in every step */
    struct parcel *parcels;      /* [delayed.depth], by step modulo that; then what follows tells of
                                    the results that came last. NULL = results are not delayed */
    struct codec_spec travelled; /* how these came */

    atomic_int missing; /* tensors not yet started in this step */
    atomic_int state;
    uint64_t ready_rank; /* how many buckets were ready before it, this step */
    void *values;        /* where the collective works: the tensors themselves or memory */
    bool apart;          /* it is memory: results are brought to the tensors */
    uint64_t number;     /* the engine's */
};

/* What encoding the steps of a context keeps (coding.c). */
struct coding_state {
    struct menu menu;    /* of tensors that have no codec of their own */
    size_t count;        /* elements of all coded buckets */
    float *residuals[2]; /* [count] of the sum; [now] is the latest; NULL = no error feedback */
    float *momenta[2];   /* [count] likewise; NULL = no momentum correction */
    int now;
    bool may_discard;  /* the latest step can be taken back */
    bool discarded;    /* it was, which the peers are told in the next one */
    bool changeable;   /* some buckets follow the menu */
    bool carries;      /* what was loaded may belong to any fp32 tensor */
    bool dense_next;   /* the next step, or the present one, goes dense */
    uint64_t steps;    /* that counted: for the warm-up of top-k */
    uint64_t wild_row; /* steps in a row, the latest one among them, that were not finite */
};

/* What holds for all buckets of one step when they leave. */
struct step_terms {
    uint64_t number;
    double loss_scale;
    int reads; /* the set of residuals and momenta, out of two; the other one is written */
};

/* A step whose results were not taken yet. */
struct delayed_step {
    struct step_terms terms;
    uint64_t taken; /* results of earlier steps that were there when it began */
};

/* Steps on their way, where results come later than gradients (delayed.c). Guarded by the lock of
 * the steps' lane; numbers are changed by the thread of the steps only. */
struct delayed {
    int depth;                  /* so many at most; 0 = every step ends with its own results */
    struct delayed_step *steps; /* [depth], by number modulo depth */
    uint64_t oldest;            /* oldest .. newest are on their way; none when oldest > newest */
    uint64_t newest;
    uint64_t leaving; /* the step whose buckets leave, and ... */
    int launched;     /* ... how many of them did */
};

/* The present step. */
struct step {
    uint64_t number;
    struct step_terms *terms; /* its own, or where delayed.c keeps them */
    struct step_terms own;
    atomic_bool open;
    atomic_int waiters; /* threads that wait for a bucket */
    int launched;       /* buckets that left */
    int moving;         /* of these, not yet done */
    uint64_t begin_ns;
    uint64_t moving_since_ns;
    uint64_t communication_ns;
    atomic_ullong exposed_ns;
    atomic_ullong inside; /* how many threads of the program are, and since when: step.c */
    atomic_ullong ready_count;
    atomic_int wait;     /* the engine's, for those who wait without the lock */
    atomic_ullong moves; /* guarded likewise */
    struct ww_traffic traffic[WW_LEVELS_MAX]; /* at the begin */
    uint64_t planned[WW_LEVELS_MAX];
    uint64_t side_bytes;   /* sent by small collectives between steps, since the last report */
    uint64_t shadow_bytes; /* sent by shadows, since the last report */
};

struct ww_context {
    struct ww_world given; /* as the program gave it */
    struct ww_world world;
    struct ww_local_world *alone;         /* a world of one needs no transport of the program's */
    struct voice voice;                   /* of a transport that the program brought */
    struct imitation imitation;           /* of slower wires; hosts 0 = none */
    struct shape *shape;                  /* it, around the transport that the program gave */
    const struct ww_transport *transport; /* the world's, or route over it */
    char fabric_name[64];                 /* "shm + mpi" */
    struct settings settings;
    struct topology topology;
    struct sight sight; /* of the ranks on each other, equal on all */
    struct wires wires; /* what they cost, equal on all */
    struct calibration calibration;
    bool measures; /* wires are measured, and ways tried, when the context is made */
    struct selector *selector;
    int32_t *votes; /* [size] for agreements while the context is made */
    struct kernels kernels;
    struct vectors vectors; /* of the steps */
    struct copier copier;   /* of tensors */
    struct device
        *device; /* the GPU that gradients lie on, see device.h; NULL = the host's memory */
    struct lane steps;
    struct lane calls;
    atomic_bool calling; /* a thread is inside a single call; others hold the lane for moments */
    struct ww_traffic calls_since[WW_LEVELS_MAX]; /* before the program's first call ... */
    uint64_t calls_planned_since[WW_LEVELS_MAX];  /* ... the library's own were counted so far */
    uint64_t calls_made;            /* single calls of the program's; guarded likewise */
    struct latest_call latest_call; /* guarded by the lock of its lane */
    struct choice forced;           /* what all-reduces take instead; algorithm NULL = nothing;
                                       guarded likewise */
    unsigned generation;            /* of the process: differs after fork */
    double ranks_per_cpu;           /* on this host */
    bool crowded;                   /* more ranks than cores */

    pthread_mutex_t error_lock;
    _Atomic int failure; /* the status that broke the context, WW_OK while it is whole */
    char error[LOG_SENTENCE_BYTES];
    char error_copy[LOG_SENTENCE_BYTES]; /* what ww_last_error handed out */

    struct ww_tensor *tensors;
    struct ww_tensor **tensors_end;
    void *names; /* of tensors: a set (name_set.h) */
    int tensor_count;
    atomic_bool committed;        /* the watch of a GPU looks at buckets then */
    struct ww_tensor **by_bucket; /* [tensor_count] */
    struct pieces pieces;         /* room for that many; guarded by the steps' lane */
    struct bucket *buckets;
    int bucket_count;
    struct coding_state coding;
    struct ledger ledger;
    struct autos autos; /* guarded by the lock of the calls' lane */
    int *order;         /* [bucket_count] in which buckets leave */
    int *order_offered; /* [bucket_count] by rank 0, not looked at yet */
    struct step step;
    struct preemption preemption;
    struct attachment *attachments; /* to checkpoints */
    struct delayed delayed;
    struct progress_thread *thread; /* NULL = inline */
    pthread_mutex_t allocations_lock;
    struct allocation *allocations; /* of ww_alloc */
};

/* Keeps the thread's latest error as the context's; a failure of a collective breaks it, which the
 * peers are told, unless every rank comes to it alike. The sentence of what broke it stays. `held`
 * is the lane whose lock the caller holds, or NULL. Returns the status that broke it first. */
enum ww_status context_fail(struct ww_context *context, enum ww_status status);
enum ww_status context_break(struct ww_context *context, enum ww_status status,
                             const struct lane *held);
void context_break_calls(struct ww_context *context); /* its part for the single calls */
/* Where peers gave up because this rank did not come, warns of what it was in meanwhile. */
void context_tell_where(struct ww_context *context, const char *where);
enum ww_status context_break_alike(struct ww_context *context, enum ww_status status);

/* True in a child of the process that made the context: its threads and messages are not here. */
bool context_is_parents(const struct ww_context *context);

/* What this thread logs from now on begins with "[rank N]" of the context's world. */
void context_name_rank(const struct ww_context *context);

/* WW_OK when the context may be used here and now: not NULL, not forked, not broken. Names the rank
 * that the thread speaks for. */
enum ww_status context_check(struct ww_context *context, const char *call);

/* bucket.c: fusing tensors, once all ranks agree on them. */
enum ww_status buckets_agree(struct ww_context *context);
enum ww_status buckets_create(struct ww_context *context);
void buckets_destroy(struct ww_context *context);
void buckets_reset(struct ww_context *context);
enum ww_status bucket_reserve(struct ww_context *context, struct bucket *bucket);
enum ww_status bucket_gather(struct ww_context *context, struct bucket *bucket);
void bucket_scatter(struct ww_context *context, struct bucket *bucket);

/* Chooses how a bucket travels, and reserves what that needs; the lane is locked. */
enum ww_status bucket_plan(struct ww_context *context, struct bucket *bucket);

/* coding.c: behind a dense step that was asked for. */
enum ww_status coding_share_momentum(struct ww_context *context);

/* coding.c: whether encoding keeps the momentum, and begins it anew where it sends. */
bool coding_masks(const struct ww_config *config, const struct codec_spec *spec);

/* coding.c: codecs of tensors and buckets, residuals, what a step does to them. */
struct codec_class coding_class(const struct ww_context *context, const struct ww_tensor *tensor);
bool coding_same_class(const struct codec_class *one, const struct codec_class *other);
struct codec_spec coding_spec(const struct ww_context *context, const struct bucket *bucket);
enum ww_status coding_reserve(struct ww_context *context); /* once buckets are known */
void coding_tell_if_idle(const struct ww_context *context);
void coding_destroy(struct ww_context *context);

/* Where residuals of buckets lie, in offset[bucket_count], and how many there are; with `carries`
 * every fp32 bucket has a place. Whether memory is needed for residuals, for momentum. */
struct coding_places {
    size_t count;
    bool residuals;
    bool momenta;
};
struct coding_places coding_place(const struct ww_context *context, bool carries, size_t *offset);

/* A bucket's values are gathered, in the request's output: divides by the loss scale, hands
 * residuals on where others hold them now, and fills the request's coding. */
void coding_launch(struct ww_context *context, struct bucket *bucket,
                   const struct step_terms *terms, struct run_request *request);

/* Whether the next step's begin has to plan buckets anew: not while any is on its way. */
bool coding_changes(const struct ww_context *context);

/* Whether steps read what the step before left. */
bool coding_keeps(const struct ww_context *context);

/* At the begin of a step, and at its end, when all results are in place: clips, keeps what the step
 * left, and fills the report. */
enum ww_status coding_begin_step(struct ww_context *context);
void coding_end_step(struct ww_context *context, struct ww_report *report);

/* Why no thread beside the caller's may move messages; NULL = one may. quiet: the program makes no
 * call of MPI while that thread does. */
const char *context_thread_trouble(const struct ww_context *context, bool quiet);

/* While a context is made: all ranks learn whether all of them succeeded, so that none waits for
 * one that gave up. All ranks call it. */
enum ww_status context_agree(struct ww_context *context, enum ww_status own);

/* learn.c: what the wires cost, from what is known about them, from earlier measurements or from
 * new ones over `fabric`, which is open and not used by anybody yet. All ranks call it. */
enum ww_status context_learn_wires(struct ww_context *context, void *fabric);

/* Makes the choices, on this rank alone; then sees to it that all ranks made the same ones: all
 * ranks call that, and fall back to fixed rules together where they differ. */
enum ww_status context_choose(struct ww_context *context);
enum ww_status context_agree_choices(struct ww_context *context);

#define TRIAL_SHARE 0.65 /* of the time for measuring */

/* trial.c: runs the ways that all-reduces can go at a few sizes, so that prices know what no model
 * does. All ranks call it, while nothing else runs. */
enum ww_status context_try_ways(struct ww_context *context);

/* One line on the wires between hosts and what is chosen because of them; none on one host. */
void context_announce_wires(const struct ww_context *context);

/* alloc.c: gives back what the program did not. */
void allocations_end(struct ww_context *context);

/* step.c: moves the step on; the caller holds no lock. *now_ns is the time, and becomes a later one
 * where it had to be read again. WW_OK when nothing is under way, WW_PENDING, or the failure. */
enum ww_status step_advance(struct ww_context *context, uint64_t *now_ns);
struct pulse step_pulse(const struct ww_context *context);
void step_note_pulse(struct ww_context *context); /* the lane is locked */

/* What moving buckets on has in common, whoever keeps them; the lane is locked. A bucket leaves;
 * one was found done: takes its times, and notes when nothing is on its way any more. */
void step_note_leaving(struct ww_context *context, uint64_t now_ns);
struct run_times step_take_times(struct ww_context *context, const struct run_request *request,
                                 uint64_t number);
void step_note_arrival(struct ww_context *context, uint64_t *now_ns);

/* Waits until a bucket's state is BUCKET_DONE, while inline progress is made. */
enum ww_status step_await(struct ww_context *context, const struct bucket *bucket,
                          atomic_int *state);

/* delayed.c: memory for steps on their way, once buckets are known. */
enum ww_status delayed_reserve(struct ww_context *context);
void delayed_destroy(struct ww_context *context);

static inline bool delayed_is_on(const struct ww_context *context)
{
    return context->delayed.depth > 0;
}

/* Steps on their way whose results were not taken yet; 0 where results are not delayed. */
static inline uint64_t delayed_count(const struct ww_context *context)
{
    return delayed_is_on(context) ? context->delayed.newest + 1 - context->delayed.oldest : 0;
}

/* Step step.number begins, once nothing hinders it: its terms, which the caller may change before
 * it hands anything over. The lane is locked. */
struct step_terms *delayed_begin(struct ww_context *context);

/* Steps go on behind context->step.number, which was changed; nothing is on its way. */
void delayed_go_on(struct ww_context *context);

/* Copies what a tensor was given, or zeros; marks its bucket as complete. */
void delayed_fill(struct ww_tensor *tensor, bool has_values);
void delayed_complete(struct bucket *bucket);

/* Lets the next bucket leave; false when there is none, it is not ready, or there is no room.
 * Whether one is ready. Looks after those on their way. The lane is locked for all of them. */
bool delayed_launch(struct ww_context *context, uint64_t now_ns, enum ww_status *status);
bool delayed_is_ready(struct ww_context *context);
void delayed_finish(struct ww_context *context, uint64_t *now_ns);

/* Waits until the results of the oldest step, or of all steps, are there. */
enum ww_status delayed_await(struct ww_context *context, bool all);

/* Brings the oldest step's results to where tensors were handed over last, and returns its number;
 * or zeros, where there are none yet. *staleness is how many other results were taken since its
 * gradients were made. */
uint64_t delayed_take(struct ww_context *context, int *staleness);
void delayed_take_none(struct ww_context *context);

/* side.c: one small collective on values[count] in place, between steps; broadcasts come from rank
 * 0. All ranks call it. `then`, unless NULL, runs before others may find a failure. side_reserve
 * finds room beforehand. side_run_request is for a locked lane and a request that has room. */
struct side_call {
    enum collective collective;
    void *values;
    size_t count;
    enum ww_type type;
    enum ww_op op;
    uint32_t label;
};
enum ww_status side_reserve(struct ww_context *context, const struct side_call *call);
enum ww_status side_run(struct ww_context *context, const struct side_call *call,
                        enum ww_status (*then)(struct ww_context *context));
enum ww_status side_run_request(struct ww_context *context, const struct run_request *request);
/* What this rank sends for it, over all levels. */
uint64_t side_planned_bytes(const struct ww_context *context, const struct run_request *request);

/* order.c: once buckets are known; whether the order is shared after this step; sharing it. */
enum ww_status order_reserve(struct ww_context *context);
bool order_is_due(const struct ww_context *context);
enum ww_status order_share(struct ww_context *context);

/* ledger.c: once buckets are known (the lane is locked), when the menu changed, at the end. */
enum ww_status ledger_begin(struct ww_context *context);
void ledger_change_menu(struct ww_context *context);
void ledger_destroy(struct ww_context *context, enum ww_status failure);

/* At the begin of a step; when the program comes to end it; with its counters (lane locked for this
 * and the first); with the finished report. */
void ledger_begin_step(struct ww_context *context);
void ledger_begin_end(struct ww_context *context, uint64_t now_ns);
void ledger_collect(struct ww_context *context, struct ww_report *report);
void ledger_note(struct ww_context *context, struct ww_report *report);

/* Results came that are so stale; a drain's report, which is no step of its own. */
void ledger_note_staleness(struct ww_context *context, int staleness);
void ledger_note_drain(struct ww_context *context, struct ww_report *report);

bool ledger_wants_times(const struct ww_context *context);     /* of buckets */
bool ledger_weighs(uint64_t step);                             /* residuals, in this step */
void ledger_note_calls(struct ww_context *context);            /* the calls' lane is locked */
uint64_t ledger_handover_ns(const struct ww_context *context); /* of this step */
double ledger_others_coding_s(const struct ww_context *context, const struct ww_report *report);
bool ledger_may_encode(const struct bucket *bucket);

/* compare.c: the policy of a menu; the codec of a bucket in the present step, before the warm-up of
 * its density; and, where ledger.compares, once a step's results are there, at now_ns: what the
 * next one will be, decided together where that is due. */
void compare_begin(struct ww_context *context);
struct codec_spec compare_codec(const struct ww_context *context, const struct bucket *bucket);
enum ww_status compare_end_step(struct ww_context *context, uint64_t now_ns,
                                struct ww_report *report);

/* yardstick.c: bytes and prices of dense plans; room for shadows; running them, into
 * ledger.shadow_ns. */
enum ww_status yardstick_measure(struct ww_context *context);
void yardstick_price(struct ww_context *context);
enum ww_status yardstick_reserve_shadow(struct ww_context *context);
enum ww_status yardstick_run_shadows(struct ww_context *context);

/* report.c: snapshots at the begin (lane locked), bytes, then seconds. */
void report_begin(struct ww_context *context);
void report_counters(struct ww_context *context, struct ww_report *report);
void report_end(struct ww_context *context, struct ww_report *report);

#endif
