/* SPDX-License-Identifier: BSD-3-Clause
 * outer.h: what the files of local steps share: the vector in its parts, and how one of them is
 * exchanged. */
#ifndef RUNTIME_OUTER_H
#define RUNTIME_OUTER_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/outer.h>

#include "context.h"
#include "store/shard.h"

#define OUTER_CODEC_BYTES 64

/* A region of the program's, by place in the vector. */
struct region {
    float *values;
    size_t first;
    size_t count;
};

/* Why a part is exchanged: ranks must agree on that. */
enum occasion {
    OCCASION_STEP,   /* its turn has come */
    OCCASION_MEET,   /* the program asked for it */
    OCCASION_SETTLE, /* likewise, without a codec */
    OCCASION_DENSE   /* one of the dense steps */
};

/* One exchange of one part, and what came of it. */
struct exchange {
    uint64_t number;    /* counts all of them, alike on all ranks */
    int64_t occasion;   /* enum occasion; those that may meet each other are told as one */
    uint64_t own_steps; /* of this rank, behind its outer gradient */
    double squares;     /* of that gradient; not finite where it is not */
    bool beyond;        /* the sum might not be finite: it was not made */
    bool plain;         /* no codec, and no part in what it keeps */
    bool clears;        /* no codec, and what it keeps is sent */

    enum ww_status status;
    uint64_t steps_least;
    uint64_t steps_most;
    int wild_rank; /* the lowest whose gradient is not finite: nothing is summed; -1 = none */
    uint64_t sent_bytes;
    uint64_t control_bytes;
    uint64_t taken_ns;
};

/* A part of the vector, [first, first + count), that leaves by itself. */
struct fragment {
    int index;
    size_t first;
    size_t count;
    uint64_t turn;      /* the step of the window in which it leaves, 1 .. local_steps */
    uint64_t own_steps; /* of this rank, since it left */
    bool away;          /* it left and is not back */
    uint64_t due;       /* while it is away: the clock at which its result is taken */
    struct exchange exchange;
    bool back; /* guarded by the courier's lock: the exchange is done */
};

/* Sums for reports; saved with the state. Words of uint64 alone. */
struct outer_sums {
    uint64_t steps;
    uint64_t outer_steps;
    uint64_t discarded;
    uint64_t sent_bytes;
    uint64_t control_bytes;
    uint64_t exposed_ns;
    uint64_t communication_ns;
};
#define OUTER_SUMS (sizeof(struct outer_sums) / sizeof(uint64_t))

/* What a state has of what encoding kept back. */
enum debt {
    DEBT_ABSENT, /* no vector for it */
    DEBT_OWED,   /* a vector, and some rank may owe something */
    DEBT_NIL     /* a vector of zeros, on all ranks */
};

/* What a state begins with. No padding: it goes to the bytes as it is. */
struct outer_head {
    char magic[8];
    uint32_t version;
    int32_t rank;
    int32_t size;
    int32_t fragments;
    uint64_t bytes; /* of the whole state */
    uint64_t count;
    uint64_t local_steps;
    uint64_t has_velocity;
    uint64_t debt;      /* enum debt */
    uint64_t is_common; /* nothing in it belongs to one rank */
    uint64_t clock;
    uint64_t dense_left;
    uint64_t exchanges;
    struct outer_sums sums;
    char codec[OUTER_CODEC_BYTES];
};

struct courier;

/* What outer_keep.c attaches to checkpoints. */
struct kept {
    char name[SHARD_NAME_BYTES]; /* "" = nothing is attached */
    struct outer_head head;
    uint64_t *counts; /* [fragments + 1 + OUTER_SUMS] of this rank */
};

struct ww_outer {
    struct ww_context *context; /* the program's */
    struct ww_context *own;     /* for what goes on beside local steps; NULL = none is needed */
    struct ww_context *carrier; /* the one of both that exchanges */
    struct courier *courier;    /* a thread; NULL = the caller exchanges */
    struct ww_outer_config config;
    struct codec_spec codec;
    char codec_name[OUTER_CODEC_BYTES];
    struct region *regions;
    size_t region_count;
    size_t count;
    struct fragment *fragments; /* [config.fragments] */

    float *start;    /* [count] */
    float *velocity; /* [count] the outer momentum; NULL = none */
    float *residual; /* [count] of the sum; NULL = nothing is encoded */
    float *delta;    /* [count] ww_alloc's, of the carrier: outer gradients, then their means */
    int64_t *votes;  /* of all ranks, before each exchange */

    uint64_t clock;      /* steps since the ranks counted anew */
    uint64_t dense_left; /* dense steps to come */
    uint64_t exchanges;  /* begun */
    bool settled;        /* no rank keeps anything back */
    enum ww_status failure;
    struct outer_sums sums;
    struct kept kept;
    struct ww_outer_report latest; /* what the present call came to */
    double squares;                /* of its drift */
};

/* exchange.c: makes the exchange of one part: its delta becomes the mean of all ranks. On the
 * thread that uses the carrier. Fills what came of it, status too. */
void exchange_run(struct ww_outer *outer, struct fragment *fragment);
#define OUTER_VOTE_WORDS 5 /* of each rank */

/* courier.c: a thread that makes exchanges in the order in which they are handed over. Until a
 * fragment is awaited, it and its delta are the courier's. stop makes those handed over first.
 * start: where the system gives no thread that is an error if one must be there, else a warning,
 * and *courier stays. */
enum ww_status courier_start(struct ww_outer *outer, bool must, struct courier **courier);
void courier_send(struct courier *courier, struct fragment *fragment);
void courier_await(struct courier *courier, struct fragment *fragment);
void courier_stop(struct courier *courier);

/* outer_step.c: parameters become the start again. */
void outer_adopt_all(struct ww_outer *outer);

/* outer_state.c: the head of a state of so many bytes; whether it is one that this version reads,
 * and whether it goes with these settings: "holds 5 local_steps ..." in why[bytes], if not. A state
 * that serves other ranks need not be this rank's. take goes on from it, but for vectors and
 * each rank's own counts. Trouble: something is in flight; NULL = nothing is. */
void outer_head_fill(const struct ww_outer *outer, size_t bytes, struct outer_head *head);
bool outer_head_fits(const struct ww_outer *outer, const struct outer_head *head,
                     bool serves_others, char *why, size_t bytes);
void outer_head_take(struct ww_outer *outer, const struct outer_head *head);
const char *outer_trouble(const struct ww_outer *outer);

/* outer_keep.c: out of checkpoints again. */
void outer_forget(struct ww_outer *outer);

#endif
