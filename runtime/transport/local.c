/* SPDX-License-Identifier: BSD-3-Clause
 * local.c: a fabric between threads of one process. Its rounds are flights of letters. */
#include "local.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal/log.h"

struct fabric {
    struct seat *seat;
    struct meeting *meeting;
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    struct flights flights;
    struct ww_traffic traffic[WW_LEVELS_MAX];
};

static void flight_give(struct fabric *fabric, struct flight *flight)
{
    flight->posted = false;
    flights_give(&fabric->flights, flight);
}

/* A flight with room for so many letters. NULL when there is no memory. */
static struct flight *flight_take(struct fabric *fabric, int count)
{
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight != NULL &&
        !array_hold(&flight->letters, &flight->capacity, count, sizeof *flight->letters)) {
        flight_give(fabric, flight);
        return NULL;
    }
    return flight;
}

static bool letter_fill(struct fabric *fabric, struct letter *letter,
                        const struct ww_message *message)
{
    int peer = message->peer;
    assert(peer >= 0 && peer < fabric->meeting->size && peer != fabric->seat->rank);
    bool send = message->kind == WW_SEND;
    letter->pair = pair_between(fabric->meeting, send ? fabric->seat->rank : peer,
                                send ? peer : fabric->seat->rank);
    letter->memory = message->memory;
    letter->bytes = message->bytes;
    letter->peer = peer;
    letter->kind = message->kind;
    letter->queued = false;
    atomic_store_explicit(&letter->done, false, memory_order_relaxed);
    return letter->pair != NULL;
}

static void count_send(struct fabric *fabric, const struct letter *letter, bool control)
{
    struct ww_traffic *traffic = &fabric->traffic[fabric->peer_level[letter->peer]];
    if (control) {
        traffic->control_bytes += letter->bytes;
    } else {
        traffic->data_bytes += letter->bytes;
        traffic->data_messages++;
    }
}

static enum ww_status local_open(const struct ww_transport_setup *setup, void **fabric)
{
    const struct ww_world *world = setup->world;
    struct seat *seat = world->self;
    if (seat == NULL || seat->rank != world->rank || seat_size(seat) != world->size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "rank %d of %d is not of a local world: fill the world with "
                           "ww_local_world_rank to use the local transport",
                           world->rank, world->size);
    }
    assert(setup->levels >= 1 && setup->levels <= WW_LEVELS_MAX);
    struct fabric *made = calloc(1, sizeof *made);
    struct meeting *meeting = meeting_join(seat, setup->area_bytes);
    if (made == NULL || meeting == NULL) {
        if (meeting != NULL) {
            meeting_leave(seat, meeting);
        }
        free(made);
        return log_failure(WW_NO_MEMORY, "no memory for a local fabric between %d ranks",
                           world->size);
    }
    made->seat = seat;
    made->meeting = meeting;
    made->levels = setup->levels;
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    *fabric = made;
    return WW_OK;
}

/* Withdraws what nobody has come for, and waits for the peers that are copying right now. */
static void flight_abandon(struct flight *flight)
{
    for (int index = 0; index < flight->count; index++) {
        if (!atomic_load_explicit(&flight->letters[index].done, memory_order_relaxed)) {
            letter_withdraw(&flight->letters[index]);
        }
    }
    while (atomic_load_explicit(&flight->pending, memory_order_acquire) > 0) {
        sched_yield();
    }
}

static void local_close(void *self, bool failed)
{
    (void)failed; /* nothing here is collective */
    struct fabric *fabric = self;
    struct flight *flight;
    while ((flight = flights_pop(&fabric->flights)) != NULL) {
        if (flight->posted) {
            flight_abandon(flight);
        }
        free(flight->letters);
        free(flight);
    }
    meeting_leave(fabric->seat, fabric->meeting);
    free(fabric);
}

/* Makes letters of the messages, none of them posted yet. False when there is no memory. */
static bool flight_fill(struct fabric *fabric, struct flight *flight, int tag, bool control,
                        const struct ww_message *messages, int count)
{
    bool filled = true;
    for (int index = 0; index < count; index++) {
        struct letter *letter = &flight->letters[index];
        filled = letter_fill(fabric, letter, &messages[index]) && filled;
        letter->flight = flight;
        letter->tag = tag;
        letter->control = control;
    }
    flight->count = count;
    return filled;
}

static enum ww_status flight_leave(struct fabric *fabric, struct flight *flight, bool control)
{
    enum ww_status status = WW_OK;
    flight->posted = true;
    atomic_store_explicit(&flight->pending, flight->count, memory_order_relaxed);
    for (int index = 0; index < flight->count; index++) {
        struct letter *letter = &flight->letters[index];
        if (status == WW_OK && letter->kind == WW_SEND) {
            count_send(fabric, letter, control);
        }
        status = status == WW_OK ? letter_post(fabric->meeting, letter) : status;
        if (status != WW_OK) {
            letter_finish(letter); /* it never left: close must not wait for it */
        }
    }
    return status;
}

static enum ww_status local_post(void *self, int tag, bool control,
                                 const struct ww_message *messages, int count,
                                 struct ww_flight *posted)
{
    assert(tag >= 0 && tag < WW_TRANSPORT_TAGS);
    struct fabric *fabric = self;
    struct flight *flight = flight_take(fabric, count);
    if (flight == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    if (!flight_fill(fabric, flight, tag, control, messages, count)) {
        flight_give(fabric, flight);
        return log_failure(WW_NO_MEMORY, "no memory to meet the peers of %d messages", count);
    }
    *posted = (struct ww_flight){flight, WW_WAIT_MEMORY};
    return flight_leave(fabric, flight, control);
}

static enum ww_status trouble_tell(const struct trouble *trouble)
{
    return log_failure(WW_TRANSPORT_FAILED,
                       "rank %d sent %zu bytes with tag %d to rank %d, which expected %zu bytes: "
                       "both ends must state the same size",
                       trouble->sender, trouble->sent_bytes, trouble->tag, trouble->receiver,
                       trouble->expected_bytes);
}

static enum ww_status local_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    int pending = atomic_load_explicit(&flight->pending, memory_order_acquire);
    /* Read after pending: who finds trouble notes it before it finishes the letter. */
    const struct trouble *trouble = &fabric->meeting->troubles[fabric->seat->rank];
    if (atomic_load_explicit(&trouble->state, memory_order_acquire) == TROUBLE_WRITTEN) {
        return trouble_tell(trouble);
    }
    if (pending > 0) {
        return WW_PENDING;
    }
    flight_give(fabric, flight);
    posted->state = NULL;
    return WW_OK;
}

static int local_waits_for(void *self, const struct ww_flight *posted)
{
    (void)self;
    const struct flight *flight = posted->state;
    for (int index = 0; index < flight->count; index++) {
        const struct letter *letter = &flight->letters[index];
        if (!atomic_load_explicit(&letter->done, memory_order_relaxed)) {
            return letter->peer;
        }
    }
    return -1;
}

static void local_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    memcpy(traffic, fabric->traffic, (size_t)fabric->levels * sizeof *traffic);
}

/* ---- Memory that is seen: all of it, between threads ---------------------------------------- */

static enum ww_status local_reserve(void *self, size_t bytes, void **memory)
{
    struct fabric *fabric = self;
    void *made = meeting_reserve(fabric->seat, fabric->meeting, bytes);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to reserve %zu bytes for messages", bytes);
    }
    *memory = made;
    return WW_OK;
}

/* Peers that are late may still look at it: it goes with the meeting. Its pages go at once. */
static void local_release(void *self, void *memory, size_t bytes)
{
    (void)self;
    madvise(memory, bytes, MADV_DONTNEED);
}

static void *local_area(void *self, int rank)
{
    const struct fabric *fabric = self;
    const struct meeting *meeting = fabric->meeting;
    bool here = fabric->peer_level[rank] < fabric->host_levels && meeting->areas != NULL;
    return here ? meeting->areas + (size_t)rank * meeting->area_bytes : NULL;
}

static bool local_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    (void)self, (void)bytes;
    *key = (uintptr_t)memory;
    return true;
}

static void *local_view(void *self, int peer, uint64_t key)
{
    (void)self, (void)peer;
    return (void *)(uintptr_t)key;
}

const struct ww_transport ww_local_transport = {
    .name = "local",
    .yields_to_memory = false,
    .thread_trouble = NULL,
    .open = local_open,
    .close = local_close,
    .reserve = local_reserve,
    .release = local_release,
    .post = local_post,
    .poll = local_poll,
    .waits_for = local_waits_for,
    .counters = local_counters,
    .control_room = fabric_control_room,
    .area = local_area,
    .share = local_share,
    .view = local_view,
    .fetch = NULL,
    .fetches = NULL,
    .allocate = NULL,
    .deallocate = NULL,
};
