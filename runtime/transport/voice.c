/* SPDX-License-Identifier: BSD-3-Clause
 * voice.c: speaks for fabrics that a program brings. All they can say is a status; whoever reads
 * ww_last_error wants to know what failed, and between which ranks. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "around.h"
#include "env_world.h"
#include "flights.h"
#include "internal/fabrics.h"
#include "internal/log.h"

struct flight {
    struct flight_link link;
    struct ww_flight below;
    int count; /* messages, with ranks ... */
    int lowest;
    int highest;
};

struct fabric {
    struct around around;
    struct flights flights;
};

/* ---- What is said ---------------------------------------------------------------------------- */

/* What the slot returned means: the fabric may be one of this library's within another, which said
 * already what there was. */
static enum ww_status say(const struct ww_transport *below, enum ww_status status,
                          unsigned long errors, const char *what)
{
    enum ww_status meant = status < 0 ? status : WW_TRANSPORT_FAILED;
    return log_error_count() != errors
               ? meant
               : log_failure(meant, "the transport \"%s\" returned %s (%d) %s", below->name,
                             ww_status_name(status), (int)status, what);
}

static enum ww_status say_of_messages(const struct fabric *fabric, const struct flight *flight,
                                      enum ww_status status, unsigned long errors, const char *when)
{
    char peers[64] = "nobody", what[128];
    if (flight->count > 0 && flight->lowest == flight->highest) {
        snprintf(peers, sizeof peers, "rank %d", flight->lowest);
    } else if (flight->count > 1) {
        snprintf(peers, sizeof peers, "ranks %d %s %d", flight->lowest,
                 flight->count > 2 ? "to" : "and", flight->highest);
    }
    snprintf(what, sizeof what, "%s %d message%s with %s", when, flight->count,
             flight->count == 1 ? "" : "s", peers);
    return say(fabric->around.below, status, errors, what);
}

/* ---- Slots ----------------------------------------------------------------------------------- */

static const struct voice *voice_of(const struct ww_transport *transport)
{
    return (const struct voice *)(const void *)transport;
}

static const char *voice_thread_trouble(const struct ww_transport_setup *setup)
{
    struct ww_world world;
    struct ww_transport_setup below = around_setup(setup, voice_of(setup->world->transport)->below,
                                                   &world);
    return world.transport->thread_trouble(&below);
}

static enum ww_status voice_open(const struct ww_transport_setup *setup, void **fabric)
{
    const struct ww_transport *below = voice_of(setup->world->transport)->below;
    struct around around;
    unsigned long errors = log_error_count();
    enum ww_status status = around_open(setup, below, &around);
    if (status != WW_OK) {
        return say(below, status, errors, "when it was opened");
    }
    struct fabric *made = calloc(1, sizeof *made);
    if (made == NULL) {
        below->close(around.fabric, true);
        return log_failure(WW_NO_MEMORY, "no memory for a fabric of %d ranks", setup->world->size);
    }
    made->around = around;
    *fabric = made;
    return WW_OK;
}

static void voice_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    fabric->around.below->close(fabric->around.fabric, failed);
    struct flight *flight;
    while ((flight = flights_pop(&fabric->flights)) != NULL) {
        free(flight);
    }
    free(fabric);
}

static enum ww_status voice_reserve(void *self, size_t bytes, void **memory)
{
    const struct fabric *fabric = self;
    char what[64];
    unsigned long errors = log_error_count();
    enum ww_status status = fabric->around.below->reserve(fabric->around.fabric, bytes, memory);
    if (status == WW_OK) {
        return WW_OK;
    }
    snprintf(what, sizeof what, "for %zu bytes of memory", bytes);
    return say(fabric->around.below, status, errors, what);
}

static enum ww_status voice_post(void *self, int tag, bool control,
                                 const struct ww_message *messages, int count,
                                 struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    flight->count = count;
    flight->lowest = INT_MAX;
    flight->highest = -1;
    for (int i = 0; i < count; i++) {
        int peer = messages[i].peer;
        flight->lowest = peer < flight->lowest ? peer : flight->lowest;
        flight->highest = peer > flight->highest ? peer : flight->highest;
    }
    unsigned long errors = log_error_count();
    enum ww_status status = fabric->around.below->post(fabric->around.fabric, tag, control,
                                                       messages, count, &flight->below);
    if (status != WW_OK) { /* nobody knows what of it is under way */
        return say_of_messages(fabric, flight, status, errors, "when it was given");
    }
    *posted = (struct ww_flight){flight, flight->below.wait};
    return WW_OK;
}

static enum ww_status voice_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    unsigned long errors = log_error_count();
    enum ww_status status = fabric->around.below->poll(fabric->around.fabric, &flight->below);
    posted->wait = flight->below.wait;
    if (status == WW_PENDING) {
        return WW_PENDING;
    }
    if (status != WW_OK) {
        return say_of_messages(fabric, flight, status, errors, "while it carried");
    }
    flights_give(&fabric->flights, flight);
    posted->state = NULL;
    return WW_OK;
}

static int voice_waits_for(void *self, const struct ww_flight *posted)
{
    const struct fabric *fabric = self;
    const struct flight *flight = posted->state;
    return fabric->around.below->waits_for(fabric->around.fabric, &flight->below);
}

static void voice_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    fabric->around.below->counters(fabric->around.fabric, traffic);
}

static enum ww_status voice_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    const struct fabric *fabric = self;
    char what[96];
    unsigned long errors = log_error_count();
    enum ww_status status = fabric->around.below->fetch(fabric->around.fabric, peer, from, into,
                                                        bytes);
    if (status == WW_OK) {
        return WW_OK;
    }
    snprintf(what, sizeof what, "when it was to fetch %zu bytes from rank %d", bytes, peer);
    return say(fabric->around.below, status, errors, what);
}

/* ---- The voice ------------------------------------------------------------------------------- */

const struct ww_transport *voice_give(struct voice *voice, const struct ww_transport *below)
{
    if (below == NULL || below == &ww_local_transport || below == mpi_network() ||
        below == env_network()) {
        return below; /* they speak for themselves */
    }
    voice->below = below;
    struct ww_transport *transport = &voice->transport;
    *transport = around_slots(below);
    transport->thread_trouble = below->thread_trouble == NULL ? NULL : voice_thread_trouble;
    transport->open = voice_open;
    transport->close = voice_close;
    transport->reserve = below->reserve == NULL ? NULL : voice_reserve;
    transport->post = voice_post;
    transport->poll = voice_poll;
    transport->waits_for = below->waits_for == NULL ? NULL : voice_waits_for;
    transport->counters = voice_counters;
    transport->fetch = below->fetch == NULL ? NULL : voice_fetch;
    return transport;
}
