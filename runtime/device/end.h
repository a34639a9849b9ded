/* SPDX-License-Identifier: BSD-3-Clause
 * end.h: a context's GPU, as the files of this folder share it. */
#ifndef DEVICE_END_H
#define DEVICE_END_H

#include <pthread.h>

#include "collectives.h"
#include "device.h"
#include "internal/gpu.h"
#include "internal/nccl.h"

/* Steps whose times are kept until the GPU has finished them. */
#define MARKED_STEPS 4

/* Events around one collective on the GPU. Without `begin` it counts as begun. */
struct mark {
    void *begin;
    void *end;
    _Atomic uint64_t step;     /* or call, counted from 1; 0 = never used */
    uint64_t over;             /* the step that the watch saw to be over */
    _Atomic uint64_t begun_ns; /* when the watch saw that it had begun; 0 = not yet */
};

/* What a GPU keeps of a bucket. */
struct device_bucket {
    void *ready;                     /* its values are there: in the program's stream, or staged */
    struct mark marks[MARKED_STEPS]; /* by step modulo that */
    struct cuda_notes *notes;        /* [MARKED_STEPS] on the GPU; NULL = never encoded */
    struct cuda_notes *told;         /* [MARKED_STEPS] as the host reads them, pinned */
    size_t encoded[MARKED_STEPS];    /* elements that this rank encoded */
};

/* What was sent by steps, and by calls. */
struct device_traffic {
    struct ww_traffic sent[WW_LEVELS_MAX];
    uint64_t planned[WW_LEVELS_MAX];
};

/* Among the ranks of all hosts that are the same of their host, see nested.c. */
#define NESTED_PLANS 4
struct nested_plan {
    const struct algorithm *algorithm;
    struct plan *plan; /* NULL = not written yet, as all behind it */
};

/* What the latest request that NCCL's own collectives ran sends, by its plan. */
struct counted {
    uint64_t plan; /* its identity; 0 = none */
    size_t count;
    enum ww_type type;
    uint64_t bytes[WW_LEVELS_MAX];
};

struct device_end {
    struct device base;
    int gpu;
    void *program;      /* the program's stream */
    void *stream;       /* the runtime's, for steps */
    struct nccl *nccl;  /* NULL = one rank, or staged */
    struct nccl *inner; /* of this host's ranks; NULL = NCCL does not nest encoded sums */
    struct nested_plan nested[NESTED_PLANS];
    _Atomic enum ww_status trouble; /* the first one of what cannot return any */
    pthread_mutex_t lock;           /* of plans and of what enqueues */
    _Atomic uint64_t entered_ns;    /* when somebody began to enqueue; 0 = nobody is at it */
    atomic_bool overdue;            /* ... and was given up */
    _Atomic uint64_t news_ns;       /* when the watch learned that a peer gave up; 0 = none did */
    struct topology topology;       /* the context's, without memory that ranks see in each other */
    struct selector *selector;
    struct shelf *shelf;
    struct enqueuer *enqueuer;
    struct counted counted;
    struct device_traffic steps;
    struct device_traffic calls;
    _Atomic uint64_t told_step; /* the latest one whose times were told */
    int launched;               /* what the first kernel gave: 0, or why none runs here */
    struct cuda_notes *blank;   /* on the GPU: what notes are before a run, ... */
    struct cuda_notes *unread; /* ... and those of calls, which are read when they are waited for */

    /* Single calls. An event costs as much as all else that is done for one, so the watch marks the
     * place of the latest one when it comes by. */
    struct mark call;
    _Atomic uint64_t calls_made;
    atomic_bool calls_coded; /* some, since their notes were read */
    const void *latest[3];   /* input, output and residual that were looked at last */
    float *next;             /* [next_count] of residuals */
    size_t next_count;
    atomic_bool stages; /* a call uses what follows */
    void *staging;      /* [staging_bytes] pinned, where calls are staged */
    size_t staging_bytes;

    struct watcher *watcher;
};

static inline struct device_end *end_of(struct device *device)
{
    return (struct device_end *)device; /* its first member */
}

/* Between the two the GPU is current, and graphs that other threads make are not disturbed; what
 * the thread had before. */
struct visit {
    int gpu;
    int captures;
};
struct visit end_enter(const struct device_end *end);
void end_leave(const struct device_end *end, struct visit before);

void mark_finish(struct mark *mark);

/* run.c: enqueues a collective that all ranks agreed on. */
enum ww_status end_run(struct device_end *end, const struct run_request *request,
                       struct cuda_notes *notes, struct device_traffic *traffic, void *stream);

/* Adds what a request's plan sends. */
void end_count_planned(const struct device_end *end, const struct run_request *request,
                       struct device_traffic *traffic);

/* nested.c: whether hosts are alike, so that this can be; all ranks connect; then, for an encoded
 * all-reduce, with end->lock held. */
bool nested_is_possible(const struct device_end *end);
enum ww_status nested_connect(struct device_end *end);
enum ww_status nested_reserve(struct device_end *end, const struct run_request *request);
enum ww_status nested_run(struct device_end *end, const struct run_request *request,
                          struct cuda_notes *notes, struct device_traffic *traffic, void *stream);
void nested_finish(struct device_end *end);

/* run.c, bucket.c and call.c: slots of struct device_ops. */
enum ww_status end_plan(struct device *device, const struct wish *wish, size_t count,
                        const struct codec_spec *spec, struct run_request *request);
void end_count(const struct device *device, bool calls, struct ww_traffic *traffic,
               uint64_t *planned);
enum ww_status end_add_bucket(struct device *device, struct bucket *bucket);
void end_remove_bucket(struct device *device, struct bucket *bucket);
enum ww_status end_note_ready(struct device *device, struct bucket *bucket);
enum ww_status end_look_ready(struct device *device, struct bucket *bucket);
enum ww_status end_run_bucket(struct device *device, struct bucket *bucket);
enum ww_status end_await_bucket(struct device *device, struct bucket *bucket);
enum ww_status end_end_step(struct device *device, struct ww_report *report);
enum ww_status end_reserve_call(struct device *device, const struct device_call *call);
enum ww_status end_run_call(struct device *device, const struct device_call *call);

/* vectors.c: of the GPU. Where gradients are staged only the copier is used: their residuals are
 * the host's. */
struct vectors end_vectors(struct device_end *end);
struct copier end_copier(struct device_end *end);

/* watch.c: a thread that finds out that the GPU does not go on, or that a rank failed, while the
 * program waits for the GPU. WW_OK, WW_NO_MEMORY. wake: something was enqueued. */
enum ww_status watcher_start(struct device_end *end);
void watcher_stop(struct watcher *watcher); /* NULL is fine */

/* call.c and bucket.c: whether frames came damaged that the program's stream has come past, and
 * that nobody was told of. */
enum ww_status end_check_calls(struct device_end *end);
enum ww_status end_check_steps(struct device_end *end);

/* Waits for the program's stream. */
enum ww_status end_settle(struct device *device);

/* NCCL holds whoever enqueues, and the locks that it has, while ranks connect: if one of them never
 * comes, it is let go after timeout_s. Whoever waits looks. */
void end_release(struct device *device);

#endif
