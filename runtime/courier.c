/* SPDX-License-Identifier: BSD-3-Clause
 * courier.c: a thread that exchanges parts of the vector while the caller makes local steps. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal/thread.h"
#include "outer.h"

struct courier {
    struct ww_outer *outer;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fragment **queue; /* [capacity] a ring; each fragment is in it once at most */
    int capacity;
    int first;
    int waiting;
    bool ending;
};

/* The next fragment to exchange, in the order of sending; NULL when there will be none any more. */
static struct fragment *await_work(struct courier *courier)
{
    struct fragment *next = NULL;
    pthread_mutex_lock(&courier->lock);
    while (courier->waiting == 0 && !courier->ending) {
        pthread_cond_wait(&courier->changed, &courier->lock);
    }
    if (courier->waiting > 0) {
        next = courier->queue[courier->first];
        courier->first = (courier->first + 1) % courier->capacity;
        courier->waiting--;
    }
    pthread_mutex_unlock(&courier->lock);
    return next;
}

static void hand_back(struct courier *courier, struct fragment *fragment)
{
    pthread_mutex_lock(&courier->lock);
    fragment->back = true;
    pthread_cond_broadcast(&courier->changed);
    pthread_mutex_unlock(&courier->lock);
}

static void *run(void *argument)
{
    struct courier *courier = argument;
    struct fragment *fragment;
    context_name_rank(courier->outer->carrier);
    while ((fragment = await_work(courier)) != NULL) {
        exchange_run(courier->outer, fragment); /* after a failure it returns that one at once */
        hand_back(courier, fragment);
    }
    return NULL;
}

void courier_send(struct courier *courier, struct fragment *fragment)
{
    pthread_mutex_lock(&courier->lock);
    fragment->back = false;
    courier->queue[(courier->first + courier->waiting) % courier->capacity] = fragment;
    courier->waiting++;
    pthread_cond_broadcast(&courier->changed);
    pthread_mutex_unlock(&courier->lock);
}

void courier_await(struct courier *courier, struct fragment *fragment)
{
    pthread_mutex_lock(&courier->lock);
    while (!fragment->back) {
        pthread_cond_wait(&courier->changed, &courier->lock);
    }
    pthread_mutex_unlock(&courier->lock);
}

static void destroy(struct courier *courier)
{
    pthread_mutex_destroy(&courier->lock);
    pthread_cond_destroy(&courier->changed);
    free(courier->queue);
    free(courier);
}

enum ww_status courier_start(struct ww_outer *outer, bool must, struct courier **courier)
{
    struct courier *made = calloc(1, sizeof *made);
    struct fragment **queue = calloc((size_t)outer->config.fragments, sizeof(struct fragment *));
    if (made == NULL || queue == NULL) {
        free(made);
        free(queue);
        return log_failure(WW_NO_MEMORY, "no memory for a thread that exchanges fragments");
    }
    made->outer = outer;
    made->queue = queue;
    made->capacity = outer->config.fragments;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    int failure = thread_start(&made->thread, run, made);
    if (failure != 0) {
        destroy(made);
    }
    if (failure != 0 && must) {
        return log_failure(WW_UNSUPPORTED,
                           "a thread that exchanges fragments cannot be started: %s",
                           strerror(failure));
    }
    if (failure != 0) {
        log_warn("a thread that exchanges fragments cannot be started: %s; local steps wait for "
                 "exchanges (are threads limited, ulimit -u?)",
                 strerror(failure));
        return WW_OK;
    }
    *courier = made;
    return WW_OK;
}

void courier_stop(struct courier *courier)
{
    if (courier == NULL) {
        return;
    }
    pthread_mutex_lock(&courier->lock);
    courier->ending = true;
    pthread_cond_broadcast(&courier->changed);
    pthread_mutex_unlock(&courier->lock);
    pthread_join(courier->thread, NULL);
    destroy(courier);
}
