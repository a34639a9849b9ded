/* SPDX-License-Identifier: BSD-3-Clause
 * progress.h: waiting without burning, and the thread that makes progress by itself. */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

/* What waiting depends on: what for, and whether anything moved since the last look. */
struct pulse {
    enum ww_wait wait;
    uint64_t moves;
};

/* One stretch of waiting; the first three are set at its begin, the rest zero. On a wire there is
 * no nap before so long without a move, nor before so long since the begin; 0 = a few yields. */
struct patience {
    bool crowded; /* more ranks than cores: never spin */
    uint64_t awake_ns;
    uint64_t call_awake_ns;
    uint64_t begin_ns;
    uint64_t since_ns; /* the latest move */
    unsigned turns;    /* since then */
    uint64_t moves;
};

/* awake_ns of pings that are measured: as long as most naps last. */
#define PINGS_AWAKE_NS UINT64_C(100000)

struct ww_context;
struct progress_thread;

/* Of a program's own thread, which has nothing to do but to wait. */
struct patience patience_of_caller(const struct ww_context *context);

/* Spends a moment: a pause, a yield or a short sleep, the longer nothing moves. */
void patience_spend(struct patience *patience, struct pulse pulse);

/* Starts a thread that advances the context's steps. Where the system gives none that is an error
 * if one must be there, else a warning, and *thread stays. WW_OK, WW_NO_MEMORY, WW_UNSUPPORTED. */
enum ww_status progress_start(struct ww_context *context, bool must,
                              struct progress_thread **thread);

/* Ends and joins it; NULL is fine. */
void progress_stop(struct progress_thread *thread);

/* Whether it is this one; NULL is not. */
bool progress_is_own(const struct progress_thread *thread);

/* Tells the thread that there is something to do. Cheap while it is awake. */
void progress_wake(struct progress_thread *thread);

/* Between the two the caller advances the steps by itself, and the thread rests. calls: what the
 * first gave; moves: something may still be on its way. */
unsigned progress_relieve(struct progress_thread *thread);
void progress_resume(struct progress_thread *thread, unsigned calls, bool moves);

#endif
