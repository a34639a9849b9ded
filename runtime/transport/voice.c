/* SPDX-License-Identifier: BSD-3-Clause
 * voice.c: speaks for fabrics that a program brings. All they can say is a status; whoever reads
 * ww_last_error wants to know what failed, and between which ranks. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

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
    const struct ww_transport *below;
    void *fabric;
    struct ww_world world; /* with the transport that the program gave */
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
    return say(fabric->below, status, errors, what);
}

/* ---- Slots ----------------------------------------------------------------------------------- */

/* The same setup for the fabric below; world is room for its world. */
static struct ww_transport_setup setup_below(const struct ww_transport_setup *setup,
                                             struct ww_world *world)
{
    const struct voice *voice = (const struct voice *)(const void *)setup->world->transport;
    struct ww_transport_setup below = *setup;
    *world = *setup->world;
    world->transport = voice->below;
    below.world = world;
    return below;
}

static const char *voice_thread_trouble(const struct ww_transport_setup *setup)
{
    struct ww_world world;
    struct ww_transport_setup below = setup_below(setup, &world);
    return world.transport->thread_trouble(&below);
}

static enum ww_status voice_open(const struct ww_transport_setup *setup, void **fabric)
{
    struct fabric *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a fabric of %d ranks", setup->world->size);
    }
    struct ww_transport_setup below = setup_below(setup, &made->world);
    made->below = made->world.transport;
    unsigned long errors = log_error_count();
    enum ww_status status = made->below->open(&below, &made->fabric);
    if (status != WW_OK) {
        status = say(made->below, status, errors, "when it was opened");
        free(made);
        return status;
    }
    *fabric = made;
    return WW_OK;
}

static void voice_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    fabric->below->close(fabric->fabric, failed);
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
    enum ww_status status = fabric->below->reserve(fabric->fabric, bytes, memory);
    if (status == WW_OK) {
        return WW_OK;
    }
    snprintf(what, sizeof what, "for %zu bytes of memory", bytes);
    return say(fabric->below, status, errors, what);
}

static void voice_release(void *self, void *memory, size_t bytes)
{
    const struct fabric *fabric = self;
    fabric->below->release(fabric->fabric, memory, bytes);
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
    enum ww_status status = fabric->below->post(fabric->fabric, tag, control, messages, count,
                                                &flight->below);
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
    enum ww_status status = fabric->below->poll(fabric->fabric, &flight->below);
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
    return fabric->below->waits_for(fabric->fabric, &flight->below);
}

static void voice_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    fabric->below->counters(fabric->fabric, traffic);
}

static void *voice_area(void *self, int rank)
{
    const struct fabric *fabric = self;
    return fabric->below->area(fabric->fabric, rank);
}

static bool voice_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    const struct fabric *fabric = self;
    return fabric->below->share(fabric->fabric, memory, bytes, key);
}

static void *voice_view(void *self, int peer, uint64_t key)
{
    const struct fabric *fabric = self;
    return fabric->below->view(fabric->fabric, peer, key);
}

static enum ww_status voice_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    const struct fabric *fabric = self;
    char what[96];
    unsigned long errors = log_error_count();
    enum ww_status status = fabric->below->fetch(fabric->fabric, peer, from, into, bytes);
    if (status == WW_OK) {
        return WW_OK;
    }
    snprintf(what, sizeof what, "when it was to fetch %zu bytes from rank %d", bytes, peer);
    return say(fabric->below, status, errors, what);
}

static bool voice_fetches(void *self)
{
    const struct fabric *fabric = self;
    return fabric->below->fetches(fabric->fabric);
}

/* ---- The voice ------------------------------------------------------------------------------- */

const struct ww_transport *voice_give(struct voice *voice, const struct ww_transport *below)
{
    if (below == NULL || below == &ww_local_transport || below == mpi_network() ||
        below == env_network()) {
        return below; /* they speak for themselves */
    }
    voice->below = below;
    voice->transport = (struct ww_transport){
        .name = below->name,
        .yields_to_memory = below->yields_to_memory,
        .thread_trouble = below->thread_trouble == NULL ? NULL : voice_thread_trouble,
        .open = voice_open,
        .close = voice_close,
        .reserve = below->reserve == NULL ? NULL : voice_reserve,
        .release = below->release == NULL ? NULL : voice_release,
        .post = voice_post,
        .poll = voice_poll,
        .waits_for = below->waits_for == NULL ? NULL : voice_waits_for,
        .counters = voice_counters,
        .area = below->area == NULL ? NULL : voice_area,
        .share = below->share == NULL ? NULL : voice_share,
        .view = below->view == NULL ? NULL : voice_view,
        .fetch = below->fetch == NULL ? NULL : voice_fetch,
        .fetches = below->fetches == NULL ? NULL : voice_fetches,
        .allocate = below->allocate,
        .deallocate = below->deallocate,
    };
    return &voice->transport;
}
