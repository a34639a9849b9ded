/* SPDX-License-Identifier: BSD-3-Clause
 * progress.c: how this library waits; the only file that sleeps. */
#include "progress.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "internal/clock.h"
#include "internal/cpu.h"
#include "internal/thread.h"

/* A core's answer comes within a microsecond or so: pause so often before yielding. */
#define PAUSES 200
/* After so long without an answer the other side computes or is away: sleeping costs little then
 * (at most 2.5 % of what was waited already) and leaves the core to others. */
#define AWAKE_NS UINT64_C(2000000)
#define SLEEP_NS UINT64_C(50000)
/* On a wire: a few yields, because yielding for ever keeps the kernel's network work waiting for
 * the next scheduler tick. Then naps. */
#define NETWORK_YIELDS 20
#define NETWORK_SLEEP_NS UINT64_C(20000)
/* But a nap is longer by the kernel's slack for timers (50 us unless prctl says otherwise), and in
 * virtual machines by as much again, so a peer that is a little late is seen late. Who has a core
 * and nothing else to do waits awake for as long as that slack first, and all of a call's first
 * half millisecond, in which a nap would be a large part of the whole. Longer, and transfers of
 * megabytes lose a few per cent where others use the core. */
#define CALL_AWAKE_NS UINT64_C(500000)
#define NETWORK_AWAKE_NS UINT64_C(50000)
/* Then a share of what was waited: a look costs tens of microseconds of whoever computes on that
 * core, and to be so much later is not felt. */
#define NETWORK_SHARE 32
#define NETWORK_SLEEP_MOST_NS UINT64_C(500000)
/* An idle thread stays awake so long after its last work: hand-over then costs no system call. */
#define IDLE_NS UINT64_C(100000)

static uint64_t waited_ns(struct patience *patience)
{
    uint64_t now = clock_now_ns();
    if (patience->begin_ns == 0) {
        patience->begin_ns = now;
    }
    if (patience->since_ns == 0) {
        patience->since_ns = now;
    }
    return now - patience->since_ns;
}

static void wait_for_memory(struct patience *patience)
{
    if (!patience->crowded && patience->turns < PAUSES) {
        cpu_pause();
    } else if (patience->turns % 16 == 0 && waited_ns(patience) > AWAKE_NS) {
        clock_sleep_ns(SLEEP_NS);
    } else {
        sched_yield();
    }
}

static bool is_awake(const struct patience *patience, uint64_t waited)
{
    uint64_t since_begin = patience->since_ns + waited - patience->begin_ns;
    return patience->turns < NETWORK_YIELDS || waited < patience->awake_ns ||
           since_begin < patience->call_awake_ns;
}

static void wait_for_network(struct patience *patience)
{
    uint64_t waited = waited_ns(patience);
    uint64_t share_ns = waited / NETWORK_SHARE;
    if (is_awake(patience, waited)) {
        sched_yield();
    } else if (share_ns < NETWORK_SLEEP_MOST_NS) {
        clock_sleep_ns(share_ns > NETWORK_SLEEP_NS ? share_ns : NETWORK_SLEEP_NS);
    } else {
        clock_sleep_ns(NETWORK_SLEEP_MOST_NS);
    }
}

struct patience patience_of_caller(const struct ww_context *context)
{
    struct patience patience = {.crowded = context->crowded};
    if (!context->crowded) {
        patience.awake_ns = NETWORK_AWAKE_NS;
        patience.call_awake_ns = CALL_AWAKE_NS;
    }
    return patience;
}

void patience_spend(struct patience *patience, struct pulse pulse)
{
    if (pulse.moves != patience->moves) {
        patience->moves = pulse.moves;
        patience->turns = 0;
        patience->since_ns = 0;
    }
    if (pulse.wait == WW_WAIT_MEMORY) {
        wait_for_memory(patience);
    } else {
        wait_for_network(patience);
    }
    patience->turns++;
}

/* ---- Thread ----------------------------------------------------------------------------- */

struct progress_thread {
    struct ww_context *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool ending;
    atomic_bool asleep;
    atomic_uint calls;   /* of progress_wake */
    atomic_int relieved; /* callers that wait, and advance meanwhile */
};

/* Sleeps until somebody wakes it, unless that happened since `seen`. */
static void sleep_until_woken(struct progress_thread *self, unsigned seen)
{
    pthread_mutex_lock(&self->lock);
    atomic_store(&self->asleep, true);
    while (atomic_load(&self->calls) == seen && !atomic_load(&self->ending)) {
        pthread_cond_wait(&self->wake, &self->lock);
    }
    atomic_store(&self->asleep, false);
    pthread_mutex_unlock(&self->lock);
}

/* Two that advance one lane, where cores are few, only take them from each other. */
static enum ww_status advance(struct progress_thread *self, uint64_t *now_ns)
{
    return atomic_load(&self->relieved) > 0 ? WW_OK : step_advance(self->context, now_ns);
}

static void *run(void *argument)
{
    struct progress_thread *self = argument;
    struct ww_context *context = self->context;
    struct patience patience = {.crowded = context->crowded};
    uint64_t idle_since = clock_now_ns();
    context_name_rank(context);
    while (!atomic_load(&self->ending)) {
        unsigned seen = atomic_load(&self->calls);
        uint64_t now = clock_now_ns();
        enum ww_status status = advance(self, &now);
        if (status == WW_PENDING) {
            patience_spend(&patience, step_pulse(context));
            idle_since = 0;
            continue;
        }
        idle_since = idle_since == 0 ? now : idle_since;
        if (now - idle_since > IDLE_NS || status != WW_OK) {
            sleep_until_woken(self, seen);
            idle_since = 0;
        } else {
            patience_spend(&patience, (struct pulse){WW_WAIT_MEMORY, patience.moves});
        }
    }
    return NULL;
}

bool progress_is_own(const struct progress_thread *thread)
{
    return thread != NULL && pthread_equal(thread->thread, pthread_self()) != 0;
}

void progress_wake(struct progress_thread *thread)
{
    atomic_fetch_add(&thread->calls, 1);
    if (atomic_load(&thread->asleep)) {
        pthread_mutex_lock(&thread->lock);
        pthread_cond_signal(&thread->wake);
        pthread_mutex_unlock(&thread->lock);
    }
}

unsigned progress_relieve(struct progress_thread *thread)
{
    atomic_fetch_add(&thread->relieved, 1);
    return atomic_load(&thread->calls);
}

/* What came meanwhile found the thread at rest, and may have come behind the caller's last look. */
void progress_resume(struct progress_thread *thread, unsigned calls, bool moves)
{
    atomic_fetch_sub(&thread->relieved, 1);
    if (moves || atomic_load(&thread->calls) != calls) {
        progress_wake(thread);
    }
}

enum ww_status progress_start(struct ww_context *context, bool must,
                              struct progress_thread **thread)
{
    struct progress_thread *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a progress thread");
    }
    self->context = context;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake, NULL);
    int failure = thread_start(&self->thread, run, self);
    if (failure != 0) {
        pthread_mutex_destroy(&self->lock);
        pthread_cond_destroy(&self->wake);
        free(self);
    }
    if (failure != 0 && must) {
        return log_failure(WW_UNSUPPORTED, "a progress thread cannot be started: %s",
                           strerror(failure));
    }
    if (failure != 0) {
        log_warn("a progress thread cannot be started: %s; messages move inside calls alone, which "
                 "hides fewer of them (are threads limited, ulimit -u?)",
                 strerror(failure));
        return WW_OK;
    }
    *thread = self;
    return WW_OK;
}

void progress_stop(struct progress_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    atomic_store(&thread->ending, true);
    pthread_mutex_lock(&thread->lock);
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->thread, NULL);
    pthread_mutex_destroy(&thread->lock);
    pthread_cond_destroy(&thread->wake);
    free(thread);
}
