/* SPDX-License-Identifier: BSD-3-Clause
 * enqueue.h: the other executor of plans: it enqueues a whole collective on a GPU's stream, kernels
 * and rounds of messages, and returns. The stream's order is the plan's, so nobody polls.
 *
 * It runs plans of messages among ranks that do not see each other's memory, with frames that are
 * all equally long. A round's messages are one call of post, in the same order on all ranks. */
#ifndef COLLECTIVES_ENQUEUE_H
#define COLLECTIVES_ENQUEUE_H

#include "engine.h"
#include "kernels/cuda.h"

struct enqueuer;

struct enqueue_setup {
    const struct kernels *kernels;

    /* Enqueues the messages of a round. */
    enum ww_status (*post)(void *self, const struct ww_message *messages, int count, void *stream);

    /* Memory of the GPU, aligned to 64; release waits for work under way in it. */
    enum ww_status (*reserve)(void *self, size_t bytes, void **memory);
    void (*release)(void *self, void *memory);
    void *self;
};

/* WW_OK, WW_NO_MEMORY. */
enum ww_status enqueuer_create(const struct enqueue_setup *setup, struct enqueuer **enqueuer);
void enqueuer_destroy(struct enqueuer *enqueuer); /* NULL is fine */

/* Reserves what such a request needs. Idempotent; before enqueue_run with the largest one of each
 * kind. WW_OK; WW_NO_MEMORY; WW_UNSUPPORTED for a plan that does not run so. */
enum ww_status enqueue_reserve(struct enqueuer *enqueuer, const struct run_request *request);

struct enqueue_tally {
    const uint8_t *peer_level;
    struct ww_traffic *traffic; /* [levels] grows by what is sent to peers of a level */
};

/* Enqueues the collective; its memory is the GPU's, as residuals are, and stays in use until the
 * stream has come past it. notes as in cuda.h, may be NULL. WW_OK, or what post or a launch
 * returned: the stream is of no use then. */
enum ww_status enqueue_run(struct enqueuer *enqueuer, const struct run_request *request,
                           struct cuda_notes *notes, const struct enqueue_tally *tally,
                           void *stream);

#endif
