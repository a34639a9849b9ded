/* SPDX-License-Identifier: BSD-3-Clause
 * nothing.c: the fabric that does nothing. What this rank sends as control comes back, in order
 * and per tag, to its control receives; a receive that comes first waits for its message. Of what
 * nobody fetches, the oldest is forgotten. */
#include "nothing.h"

#include <stdlib.h>
#include <string.h>

#define ECHOES 64       /* messages on their way back, or receives that wait */
#define ECHO_BYTES 1024 /* the longest control message */

/* One control message on its way, or one receive that waits; never both for one tag. */
struct echo {
    int tag;
    size_t bytes;
    char data[ECHO_BYTES];
};

struct waiting {
    int tag;
    size_t bytes;
    void *memory;
    int *open; /* messages of its flight that are not done */
};

struct nothing {
    struct echo echoes[ECHOES];
    int echo_count;
    struct waiting waiting[ECHOES];
    int waiting_count;
    int open[ECHOES]; /* a counter per flight that waits; 0 = free */
    struct ww_traffic traffic;
};

static enum ww_status nothing_open(const struct ww_transport_setup *setup, void **fabric)
{
    (void)setup;
    *fabric = calloc(1, sizeof(struct nothing));
    return *fabric != NULL ? WW_OK : WW_NO_MEMORY;
}

static void nothing_close(void *fabric, bool failed)
{
    (void)failed;
    free(fabric);
}

static void deliver(const struct waiting *receive, const void *data, size_t bytes)
{
    memcpy(receive->memory, data, bytes < receive->bytes ? bytes : receive->bytes);
}

static void forget(struct nothing *self, int index)
{
    self->echo_count--;
    memmove(&self->echoes[index], &self->echoes[index + 1],
            (size_t)(self->echo_count - index) * sizeof(self->echoes[0]));
}

static enum ww_status send_control(struct nothing *self, int tag, const struct ww_message *message)
{
    for (int i = 0; i < self->waiting_count; i++) {
        struct waiting *waiting = &self->waiting[i];
        if (waiting->tag == tag) {
            deliver(waiting, message->memory, message->bytes);
            (*waiting->open)--;
            self->waiting_count--;
            memmove(waiting, waiting + 1,
                    (size_t)(self->waiting_count - i) * sizeof(self->waiting[0]));
            return WW_OK;
        }
    }
    if (message->bytes > ECHO_BYTES) {
        return WW_TRANSPORT_FAILED;
    }
    if (self->echo_count == ECHOES) {
        forget(self, 0);
    }
    struct echo *echo = &self->echoes[self->echo_count++];
    echo->tag = tag;
    echo->bytes = message->bytes;
    memcpy(echo->data, message->memory, message->bytes);
    return WW_OK;
}

static enum ww_status receive_control(struct nothing *self, const struct waiting *receive)
{
    for (int i = 0; i < self->echo_count; i++) {
        struct echo *echo = &self->echoes[i];
        if (echo->tag == receive->tag) {
            deliver(receive, echo->data, echo->bytes);
            forget(self, i);
            return WW_OK;
        }
    }
    if (self->waiting_count == ECHOES) {
        return WW_TRANSPORT_FAILED;
    }
    (*receive->open)++;
    self->waiting[self->waiting_count++] = *receive;
    return WW_OK;
}

static int *free_counter(struct nothing *self)
{
    for (int i = 0; i < ECHOES; i++) {
        if (self->open[i] == 0) {
            return &self->open[i];
        }
    }
    return NULL;
}

static enum ww_status post_control(struct nothing *self, int tag, const struct ww_message *messages,
                                   int count, struct ww_flight *flight)
{
    int *open = free_counter(self);
    enum ww_status status = open != NULL ? WW_OK : WW_TRANSPORT_FAILED;
    for (int i = 0; i < count && status == WW_OK; i++) {
        const struct ww_message *message = &messages[i];
        if (message->kind == WW_SEND) {
            self->traffic.control_bytes += message->bytes;
            status = send_control(self, tag, message);
        } else {
            status = receive_control(self,
                                     &(struct waiting){tag, message->bytes, message->memory, open});
        }
    }
    flight->state = open;
    return status;
}

static enum ww_status nothing_post(void *fabric, int tag, bool control,
                                   const struct ww_message *messages, int count,
                                   struct ww_flight *flight)
{
    struct nothing *self = fabric;
    flight->state = NULL;
    flight->wait = WW_WAIT_MEMORY;
    if (control) {
        return post_control(self, tag, messages, count, flight);
    }
    for (int i = 0; i < count; i++) {
        if (messages[i].kind == WW_SEND) {
            self->traffic.data_bytes += messages[i].bytes;
            self->traffic.data_messages++;
        }
    }
    return WW_OK;
}

static enum ww_status nothing_poll(void *fabric, struct ww_flight *flight)
{
    (void)fabric;
    const int *open = flight->state;
    return open != NULL && *open > 0 ? WW_PENDING : WW_OK;
}

static void nothing_counters(void *fabric, struct ww_traffic *traffic)
{
    traffic[0] = ((struct nothing *)fabric)->traffic;
}

const struct ww_transport nothing_transport = {
    .name = "nothing",
    .open = nothing_open,
    .close = nothing_close,
    .reserve = NULL,
    .release = NULL,
    .post = nothing_post,
    .poll = nothing_poll,
    .waits_for = NULL,
    .counters = nothing_counters,
};
