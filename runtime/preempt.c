/* SPDX-License-Identifier: BSD-3-Clause
 * preempt.c: signals that say that a machine will be taken away. A handler counts them, and that
 * is all it does; contexts look at the counts. */
#include "preempt.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <wirewise/checkpoint.h>

#include "call.h"
#include "context.h"

static struct {
    pthread_mutex_t lock;
    atomic_uint came[PREEMPT_SIGNALS];
    int watchers[PREEMPT_SIGNALS];
    struct sigaction before[PREEMPT_SIGNALS];
} signals = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note_signal(int number)
{
    atomic_fetch_add_explicit(&signals.came[number], 1, memory_order_relaxed);
}

/* ---- Handlers: the lock is held ------------------------------------------------------------ */

static bool is_ours(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
           now.sa_handler == note_signal;
}

static bool install(int number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    return sigaction(number, &action, &signals.before[number]) == 0;
}

/* A handler that somebody else put in place since is left alone. */
static void restore(int number)
{
    if (is_ours(number)) {
        sigaction(number, &signals.before[number], NULL);
    }
}

/* A forked child has no context that looks at the counts: it may be ended as ever. */
void preempt_after_fork(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&signals.lock, &fresh, sizeof fresh);
    for (int number = 1; number < PREEMPT_SIGNALS; number++) {
        if (signals.watchers[number] > 0) {
            restore(number);
            signals.watchers[number] = 0; /* of contexts that are its parent's */
        }
    }
}

void preempt_end(struct preemption *preemption)
{
    pthread_mutex_lock(&signals.lock);
    for (int number = 1; number < PREEMPT_SIGNALS; number++) {
        if (atomic_load(&preemption->watches[number]) && --signals.watchers[number] == 0) {
            restore(number);
        }
        atomic_store(&preemption->watches[number], false);
    }
    pthread_mutex_unlock(&signals.lock);
}

/* ---- The door ------------------------------------------------------------------------------ */

static bool was_told(struct preemption *preemption)
{
    for (int number = 1; number < PREEMPT_SIGNALS; number++) {
        if (atomic_load(&preemption->watches[number]) &&
            atomic_load(&signals.came[number]) != preemption->seen[number]) {
            atomic_store(&preemption->told, true);
        }
    }
    return atomic_load(&preemption->told);
}

enum ww_status ww_preemption_watch(struct ww_context *context, int signal)
{
    enum ww_status status = context_check(context, "ww_preemption_watch");
    if (status != WW_OK) {
        return status;
    }
    struct preemption *preemption = &context->preemption;
    bool known = signal >= 1 && signal < PREEMPT_SIGNALS && signal != SIGKILL && signal != SIGSTOP;
    pthread_mutex_lock(&signals.lock);
    if (known) {
        known = (signals.watchers[signal] > 0 && is_ours(signal)) || install(signal);
    }
    if (known && !atomic_load(&preemption->watches[signal])) {
        signals.watchers[signal]++;
        preemption->seen[signal] = atomic_load(&signals.came[signal]);
        atomic_store(&preemption->watches[signal], true);
    }
    pthread_mutex_unlock(&signals.lock);
    return known ? WW_OK
                 : context_fail(context, log_failure(WW_BAD_ARGUMENT,
                                                     "ww_preemption_watch got signal %d, which no "
                                                     "program can watch: SIGTERM is %d",
                                                     signal, SIGTERM));
}

enum ww_status ww_preemption_notice(struct ww_context *context)
{
    enum ww_status status = context_check(context, "ww_preemption_notice");
    if (status == WW_OK) {
        atomic_store(&context->preemption.told, true);
    }
    return status;
}

enum ww_status ww_preempted(struct ww_context *context, bool *any)
{
    enum ww_status status = context_check(context, "ww_preempted");
    if (status != WW_OK) {
        return status;
    }
    if (any == NULL) {
        return context_fail(
            context, log_failure(WW_BAD_ARGUMENT, "ww_preempted got NULL for where to tell"));
    }
    int32_t told = was_told(&context->preemption);
    status = call_highest(context, &(struct call_purpose){"ww_preempted", GATE_LABEL_PREEMPTION},
                          &told);
    if (status == WW_OK) {
        atomic_store(&context->preemption.told, told != 0);
        *any = told != 0;
    }
    return status;
}
