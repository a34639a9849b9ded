/* SPDX-License-Identifier: BSD-3-Clause
 * shape.c: slower wires between groups of ranks of one machine, imitated.
 *
 * Everything is handed to the fabric below at once, so a rank that computes holds up nobody else's
 * message. What takes time is only told:
 *
 *     sender    takes its host's port for as long as the bytes need, and sends the time at which
 *               the first of them reaches the other host in a note ahead of the message
 *     receiver  once that time has come takes its own host's port likewise, and calls the receive
 *               done when the last byte is through
 *
 * Ports are taken in the order in which messages come to them: one host that sends to many and
 * many that send to one share a rate, and nobody waits behind what has not come yet. */
#include "shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define NS_PER_S 1e9

/* ---- The fabric's slots --------------------------------------------------------------------- */

static const struct shape *shape_of(const struct ww_transport *transport)
{
    return (const struct shape *)(const void *)transport;
}

static const char *shape_thread_trouble(const struct ww_transport_setup *setup)
{
    struct ww_world world;
    struct ww_transport_setup below = around_setup(setup, shape_of(setup->world->transport)->below,
                                                   &world);
    return world.transport->thread_trouble(&below);
}

static enum ww_status shape_open(const struct ww_transport_setup *setup, void **fabric)
{
    const struct shape *shape = shape_of(setup->world->transport);
    struct around around;
    enum ww_status status = around_open(setup, shape->below, &around);
    if (status != WW_OK) {
        return status;
    }
    struct fabric *made = calloc(1, sizeof *made);
    if (made == NULL) {
        around.below->close(around.fabric, true);
        return log_failure(WW_NO_MEMORY, "no memory for imitated wires between %d ranks",
                           setup->world->size);
    }
    made->around = around;
    made->shape = shape;
    made->levels = setup->levels;
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    *fabric = made;
    return WW_OK;
}

/* What was sent is below already, and arrives; only the notes' memory may be needed longer. */
static void shape_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    fabric->around.below->close(fabric->around.fabric, failed);
    flights_end(fabric, failed);
    free(fabric->widened);
    free(fabric);
}

/* NULL without memory. */
static struct ww_message *room_for(struct fabric *fabric, int count)
{
    bool held = array_hold(&fabric->widened, &fabric->widened_capacity, count,
                           sizeof *fabric->widened);
    return held ? fabric->widened : NULL;
}

static enum ww_status shape_post(void *self, int tag, bool control,
                                 const struct ww_message *messages, int count,
                                 struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct ww_message *widened = room_for(fabric, 2 * count);
    struct flight *flight = flight_take(fabric, count);
    if (flight == NULL || (widened == NULL && count > 0)) {
        if (flight != NULL) {
            flight_give(fabric, flight);
        }
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    int used = flight_widen(fabric, flight, messages, count, widened);
    flight_depart(fabric, flight, control);
    flight->under_way = true;
    enum ww_status status = fabric->around.below->post(fabric->around.fabric, tag, control, widened,
                                                       used, &flight->below);
    if (status != WW_OK) {
        return status; /* nobody knows what of it is under way */
    }
    flight_count_notes(fabric, flight, control);
    *posted = (struct ww_flight){flight, flight->count > 0 ? WW_WAIT_NETWORK : flight->below.wait};
    return WW_OK;
}

static enum ww_status shape_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    if (flight->under_way) {
        enum ww_status status = fabric->around.below->poll(fabric->around.fabric, &flight->below);
        if (status != WW_OK) {
            posted->wait = flight->count > 0 ? WW_WAIT_NETWORK : flight->below.wait;
            return status;
        }
        flight->under_way = false;
    }
    if (!flight_is_over(fabric, flight)) {
        posted->wait = WW_WAIT_NETWORK;
        return WW_PENDING;
    }
    flight_give(fabric, flight);
    posted->state = NULL;
    return WW_OK;
}

static int shape_waits_for(void *self, const struct ww_flight *posted)
{
    const struct fabric *fabric = self;
    const struct flight *flight = posted->state;
    if (!flight->under_way) {
        return flight->first < flight->count ? flight->crossings[flight->first].peer : -1;
    }
    return fabric->around.below->waits_for == NULL
               ? -1
               : fabric->around.below->waits_for(fabric->around.fabric, &flight->below);
}

static void shape_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    fabric->around.below->counters(fabric->around.fabric, traffic);
    for (int level = 0; level < fabric->levels; level++) {
        traffic[level].data_bytes -= fabric->notes[level].data_bytes;
        traffic[level].data_messages -= fabric->notes[level].data_messages;
        traffic[level].control_bytes -= fabric->notes[level].control_bytes;
    }
}

static struct ww_transport transport_around(const struct ww_transport *below, const char *name)
{
    struct ww_transport transport = around_slots(below);
    transport.name = name;
    transport.thread_trouble = below->thread_trouble == NULL ? NULL : shape_thread_trouble;
    transport.open = shape_open;
    transport.close = shape_close;
    transport.post = shape_post;
    transport.poll = shape_poll;
    transport.waits_for = shape_waits_for;
    transport.counters = shape_counters;
    return transport;
}

/* ---- The shape ------------------------------------------------------------------------------ */

void shape_destroy(struct shape *shape)
{
    if (shape == NULL) {
        return;
    }
    ports_close(&shape->ports);
    free(shape->ranks_of);
    free(shape->cards);
    free(shape);
}

const struct ww_transport *shape_transport(const struct shape *shape)
{
    return &shape->transport;
}

enum ww_status shape_meet(struct shape *shape)
{
    return shape->apart ? WW_OK
                        : ports_share(&shape->ports, &shape->world, shape->hosts, shape->cards);
}

static enum ww_status shape_fill(struct shape *shape, const struct shape_setup *setup)
{
    size_t size = (size_t)setup->world->size;
    shape->below = setup->world->transport;
    shape->world = *setup->world;
    shape->host_of = setup->host_of;
    shape->hosts = setup->hosts;
    shape->byte_ns = setup->byte_s * NS_PER_S;
    shape->latency_ns = whole_ns(setup->latency_s * NS_PER_S);
    shape->apart = setup->apart;
    shape->clock_ns = setup->clock_ns;
    snprintf(shape->name, sizeof shape->name, "shaped %s", shape->below->name);
    shape->transport = transport_around(shape->below, shape->name);
    shape->ranks_of = calloc((size_t)setup->hosts, sizeof *shape->ranks_of);
    shape->cards = calloc(size, sizeof *shape->cards);
    if (shape->ranks_of == NULL || shape->cards == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for imitated wires between %zu ranks", size);
    }
    for (size_t rank = 0; rank < size; rank++) {
        shape->ranks_of[setup->host_of[rank]]++;
    }
    return ports_open(&shape->ports, setup->hosts);
}

enum ww_status shape_create(const struct shape_setup *setup, struct shape **shape)
{
    if (setup->world->transport == NULL) {
        return log_failure(WW_UNSUPPORTED,
                           "imitated hosts need a transport between them, and the world of %d "
                           "ranks names none: make it with ww_mpi_world, or unset shape",
                           setup->world->size);
    }
    struct shape *made = calloc(1, sizeof *made);
    enum ww_status status = made == NULL ? log_failure(WW_NO_MEMORY, "no memory for imitated wires")
                                         : shape_fill(made, setup);
    if (status != WW_OK) {
        shape_destroy(made);
        return status;
    }
    *shape = made;
    return WW_OK;
}
