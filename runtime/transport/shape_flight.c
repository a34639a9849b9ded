/* SPDX-License-Identifier: BSD-3-Clause
 * shape_flight.c: rounds over imitated wires: their notes, and when they are over. */
#include "shape.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define UNKNOWN UINT64_MAX
#define NS_ROUNDING 1e-3

/* ---- Time ----------------------------------------------------------------------------------- */

uint64_t whole_ns(double ns)
{
    return (uint64_t)ceil(ns - NS_ROUNDING);
}

static struct port *port_of(const struct fabric *fabric, enum direction direction)
{
    const struct shape *shape = fabric->shape;
    return &shape->ports
                .port[shape->host_of[fabric->around.world.rank] * DIRECTIONS + (int)direction];
}

/* How long a message takes a port. Where ranks have even parts both ends must mean the same. */
static uint64_t span_ns(const struct fabric *fabric, const struct crossing *crossing)
{
    const struct shape *shape = fabric->shape;
    int own = shape->ranks_of[shape->host_of[fabric->around.world.rank]];
    int other = shape->ranks_of[shape->host_of[crossing->peer]];
    int parts = shape->ports.shared ? 1 : own > other ? own : other;
    return whole_ns((double)crossing->note.bytes * shape->byte_ns * parts);
}

static void depart(const struct fabric *fabric, struct crossing *crossing, uint64_t now_ns)
{
    uint64_t span = span_ns(fabric, crossing);
    uint64_t begin = port_take(port_of(fabric, PORT_OUT), now_ns, span);
    crossing->note.ns = begin + fabric->shape->latency_ns;
    crossing->over_ns = begin + span;
}

/* A message whose first byte is there goes through the port. */
static void arrive(const struct fabric *fabric, struct crossing *crossing, uint64_t now_ns)
{
    if (crossing->note.ns <= now_ns) {
        uint64_t span = span_ns(fabric, crossing);
        crossing->over_ns = port_take(port_of(fabric, PORT_IN), crossing->note.ns, span) + span;
    }
}

/* ---- Flights -------------------------------------------------------------------------------- */

static bool is_far(const struct fabric *fabric, int peer)
{
    return fabric->peer_level[peer] >= fabric->host_levels;
}

struct flight *flight_take(struct fabric *fabric, int count)
{
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    if (!array_hold(&flight->crossings, &flight->capacity, count, sizeof *flight->crossings)) {
        flight_give(fabric, flight);
        return NULL;
    }
    flight->first = 0;
    flight->count = 0;
    flight->lends = false;
    return flight;
}

void flight_give(struct fabric *fabric, struct flight *flight)
{
    flight->under_way = false;
    flights_give(&fabric->flights, flight);
}

int flight_widen(const struct fabric *fabric, struct flight *flight,
                 const struct ww_message *messages, int count, struct ww_message *widened)
{
    int used = 0;
    for (int index = 0; index < count; index++) {
        const struct ww_message *message = &messages[index];
        if (is_far(fabric, message->peer)) {
            struct crossing *crossing = &flight->crossings[flight->count++];
            *crossing = (struct crossing){.note = {UNKNOWN, message->bytes},
                                          .over_ns = UNKNOWN,
                                          .peer = message->peer,
                                          .kind = message->kind};
            widened[used++] = (struct ww_message){message->kind, message->peer, &crossing->note,
                                                  sizeof crossing->note};
        }
        widened[used++] = *message;
    }
    return used;
}

void flight_depart(const struct fabric *fabric, struct flight *flight, bool control)
{
    uint64_t now = flight->count > 0 ? fabric->shape->clock_ns() : 0;
    for (int index = 0; index < flight->count; index++) {
        if (flight->crossings[index].kind == WW_SEND) {
            depart(fabric, &flight->crossings[index], now);
            flight->lends = flight->lends || !control; /* control is copied below */
        }
    }
}

void flight_count_notes(struct fabric *fabric, const struct flight *flight, bool control)
{
    for (int index = 0; index < flight->count; index++) {
        const struct crossing *crossing = &flight->crossings[index];
        struct ww_traffic *notes = &fabric->notes[fabric->peer_level[crossing->peer]];
        if (crossing->kind != WW_SEND) {
            continue;
        }
        if (control) {
            notes->control_bytes += sizeof crossing->note;
        } else {
            notes->data_bytes += sizeof crossing->note;
            notes->data_messages++;
        }
    }
}

bool flight_is_over(const struct fabric *fabric, struct flight *flight)
{
    bool over = true;
    uint64_t now = flight->first < flight->count ? fabric->shape->clock_ns() : 0;
    for (int index = flight->first; index < flight->count; index++) {
        struct crossing *crossing = &flight->crossings[index];
        if (crossing->over_ns == UNKNOWN) {
            arrive(fabric, crossing, now);
        }
        over = over && crossing->over_ns <= now; /* UNKNOWN is later */
        flight->first += over;
    }
    return over;
}

/* ---- Ending --------------------------------------------------------------------------------- */

/* Flights whose notes the fabric below may read for ever. */
static struct {
    pthread_mutex_t lock;
    struct flight_link *flights;
} kept = {PTHREAD_MUTEX_INITIALIZER, NULL};

static void flight_keep(struct flight *flight)
{
    pthread_mutex_lock(&kept.lock);
    flight->link.next = kept.flights;
    kept.flights = &flight->link;
    pthread_mutex_unlock(&kept.lock);
}

void flights_end(struct fabric *fabric, bool failed)
{
    struct flight *flight;
    while ((flight = flights_pop(&fabric->flights)) != NULL) {
        if (flight->under_way && (failed || flight->lends)) {
            flight_keep(flight);
        } else {
            free(flight->crossings);
            free(flight);
        }
    }
}
