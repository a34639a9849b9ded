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

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define UNKNOWN UINT64_MAX
#define NS_PER_S 1e9
#define NS_ROUNDING 1e-3

/* A message between hosts. */
struct crossing {
    uint64_t note_ns; /* travels: the first byte is at the receiver's port */
    uint64_t over_ns; /* the last byte has passed this end's port; UNKNOWN = it has no turn yet */
    size_t bytes;
    int peer;
    enum ww_message_kind kind;
};

/* A posted round. */
struct flight {
    struct ww_flight below;
    bool under_way; /* below */
    bool lends;     /* the fabric below may still read the notes after it is closed */
    int first;      /* crossings before it are over */
    int count;
    int capacity;
    struct crossing *crossings;
    struct flight *next; /* of all flights of the fabric */
    struct flight *next_free;
};

struct shape {
    struct ww_transport transport; /* first: a fabric finds its shape by it */
    char name[32];
    const struct ww_transport *below;
    struct ww_world world;
    const int *host_of;
    int *ranks_of; /* [hosts] */
    int hosts;
    double byte_ns;
    uint64_t latency_ns;
    bool apart;
    uint64_t (*clock_ns)(void);
    struct ports ports;
    struct port_card *cards; /* [size] */
};

struct fabric {
    const struct shape *shape;
    const struct ww_transport *below;
    void *fabric; /* of the one below */
    struct ww_world world;
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    struct flight *flights;
    struct flight *free;
    struct ww_message *widened; /* room for a round with its notes */
    int widened_capacity;
    struct ww_traffic notes[WW_LEVELS_MAX]; /* sent, as the fabric below counts them */
};

/* Flights whose notes the fabric below may read for ever. */
static struct {
    pthread_mutex_t lock;
    struct flight *flights;
} kept = {PTHREAD_MUTEX_INITIALIZER, NULL};

/* ---- Time ----------------------------------------------------------------------------------- */

/* No less than asked for; but a product that is meant to be whole may be a little more. */
static uint64_t whole_ns(double ns)
{
    return (uint64_t)ceil(ns - NS_ROUNDING);
}

static struct port *port_of(const struct fabric *fabric, enum direction direction)
{
    const struct shape *shape = fabric->shape;
    return &shape->ports.port[shape->host_of[fabric->world.rank] * DIRECTIONS + (int)direction];
}

/* How long a message takes a port. Where ranks have even parts both ends must mean the same. */
static uint64_t span_ns(const struct fabric *fabric, const struct crossing *crossing)
{
    const struct shape *shape = fabric->shape;
    int own = shape->ranks_of[shape->host_of[fabric->world.rank]];
    int other = shape->ranks_of[shape->host_of[crossing->peer]];
    int parts = shape->ports.shared ? 1 : own > other ? own : other;
    return whole_ns((double)crossing->bytes * shape->byte_ns * parts);
}

static void depart(const struct fabric *fabric, struct crossing *crossing, uint64_t now_ns)
{
    uint64_t span = span_ns(fabric, crossing);
    uint64_t begin = port_take(port_of(fabric, PORT_OUT), now_ns, span);
    crossing->note_ns = begin + fabric->shape->latency_ns;
    crossing->over_ns = begin + span;
}

/* A message whose first byte is there goes through the port. */
static void arrive(const struct fabric *fabric, struct crossing *crossing, uint64_t now_ns)
{
    if (crossing->note_ns <= now_ns) {
        uint64_t span = span_ns(fabric, crossing);
        crossing->over_ns = port_take(port_of(fabric, PORT_IN), crossing->note_ns, span) + span;
    }
}

/* ---- Flights -------------------------------------------------------------------------------- */

static bool is_far(const struct fabric *fabric, int peer)
{
    return fabric->peer_level[peer] >= fabric->host_levels;
}

static struct flight *flight_create(struct fabric *fabric)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    flight->next = fabric->flights;
    fabric->flights = flight;
    flight->next_free = fabric->free;
    fabric->free = flight;
    return flight;
}

/* The first free flight, with room for so many crossings. NULL when there is no memory. */
static struct flight *flight_take(struct fabric *fabric, int count)
{
    struct flight *flight = fabric->free != NULL ? fabric->free : flight_create(fabric);
    if (flight == NULL) {
        return NULL;
    }
    if (count > flight->capacity) {
        struct crossing *crossings = realloc(flight->crossings, (size_t)count * sizeof *crossings);
        if (crossings == NULL) {
            return NULL;
        }
        flight->crossings = crossings;
        flight->capacity = count;
    }
    fabric->free = flight->next_free;
    flight->first = 0;
    flight->count = 0;
    flight->lends = false;
    return flight;
}

static void flight_give(struct fabric *fabric, struct flight *flight)
{
    flight->under_way = false;
    flight->next_free = fabric->free;
    fabric->free = flight;
}

/* NULL without memory. */
static struct ww_message *room_for(struct fabric *fabric, int count)
{
    if (count > fabric->widened_capacity) {
        struct ww_message *widened = realloc(fabric->widened, (size_t)count * sizeof *widened);
        if (widened == NULL) {
            return NULL;
        }
        fabric->widened = widened;
        fabric->widened_capacity = count;
    }
    return fabric->widened;
}

/* Puts a note before each message between hosts: on both ends a pair's messages of one tag are then
 * note, message, note, message, however they are parted into rounds. Returns how many there are. */
static int widen(const struct fabric *fabric, struct flight *flight,
                 const struct ww_message *messages, int count, struct ww_message *widened)
{
    int used = 0;
    for (int index = 0; index < count; index++) {
        const struct ww_message *message = &messages[index];
        if (is_far(fabric, message->peer)) {
            struct crossing *crossing = &flight->crossings[flight->count++];
            *crossing = (struct crossing){UNKNOWN, UNKNOWN, message->bytes, message->peer,
                                          message->kind};
            widened[used++] = (struct ww_message){message->kind, message->peer, &crossing->note_ns,
                                                  sizeof crossing->note_ns};
        }
        widened[used++] = *message;
    }
    return used;
}

static void flight_depart(const struct fabric *fabric, struct flight *flight, bool control)
{
    uint64_t now = flight->count > 0 ? fabric->shape->clock_ns() : 0;
    for (int index = 0; index < flight->count; index++) {
        if (flight->crossings[index].kind == WW_SEND) {
            depart(fabric, &flight->crossings[index], now);
            flight->lends = flight->lends || !control; /* control is copied below */
        }
    }
}

static void count_notes(struct fabric *fabric, const struct flight *flight, bool control)
{
    for (int index = 0; index < flight->count; index++) {
        const struct crossing *crossing = &flight->crossings[index];
        struct ww_traffic *notes = &fabric->notes[fabric->peer_level[crossing->peer]];
        if (crossing->kind != WW_SEND) {
            continue;
        }
        if (control) {
            notes->control_bytes += sizeof crossing->note_ns;
        } else {
            notes->data_bytes += sizeof crossing->note_ns;
            notes->data_messages++;
        }
    }
}

/* True when all its messages have passed this end. */
static bool flight_is_over(const struct fabric *fabric, struct flight *flight)
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

/* ---- The fabric's slots --------------------------------------------------------------------- */

static const struct shape *shape_of(const struct ww_transport *transport)
{
    return (const struct shape *)(const void *)transport;
}

/* The same setup for the fabric below; world is room for its world. */
static struct ww_transport_setup setup_below(const struct ww_transport_setup *setup,
                                             struct ww_world *world)
{
    struct ww_transport_setup below = *setup;
    *world = *setup->world;
    world->transport = shape_of(setup->world->transport)->below;
    below.world = world;
    return below;
}

static const char *shape_thread_trouble(const struct ww_transport_setup *setup)
{
    struct ww_world world;
    struct ww_transport_setup below = setup_below(setup, &world);
    return world.transport->thread_trouble(&below);
}

static enum ww_status shape_open(const struct ww_transport_setup *setup, void **fabric)
{
    struct fabric *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for imitated wires between %d ranks",
                           setup->world->size);
    }
    struct ww_transport_setup below = setup_below(setup, &made->world);
    made->shape = shape_of(setup->world->transport);
    made->below = made->shape->below;
    made->levels = setup->levels;
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    enum ww_status status = made->below->open(&below, &made->fabric);
    if (status != WW_OK) {
        free(made);
        return status;
    }
    *fabric = made;
    return WW_OK;
}

static void flight_keep(struct flight *flight)
{
    pthread_mutex_lock(&kept.lock);
    flight->next = kept.flights;
    kept.flights = flight;
    pthread_mutex_unlock(&kept.lock);
}

/* What was sent is below already, and arrives; only the notes' memory may be needed longer. */
static void shape_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    fabric->below->close(fabric->fabric, failed);
    while (fabric->flights != NULL) {
        struct flight *flight = fabric->flights;
        fabric->flights = flight->next;
        if (flight->under_way && (failed || flight->lends)) {
            flight_keep(flight);
        } else {
            free(flight->crossings);
            free(flight);
        }
    }
    free(fabric->widened);
    free(fabric);
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
    int used = widen(fabric, flight, messages, count, widened);
    flight_depart(fabric, flight, control);
    flight->under_way = true;
    enum ww_status status = fabric->below->post(fabric->fabric, tag, control, widened, used,
                                                &flight->below);
    if (status != WW_OK) {
        return status; /* nobody knows what of it is under way */
    }
    count_notes(fabric, flight, control);
    *posted = (struct ww_flight){flight, flight->count > 0 ? WW_WAIT_NETWORK : flight->below.wait};
    return WW_OK;
}

static enum ww_status shape_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    if (flight->under_way) {
        enum ww_status status = fabric->below->poll(fabric->fabric, &flight->below);
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
    return fabric->below->waits_for == NULL
               ? -1
               : fabric->below->waits_for(fabric->fabric, &flight->below);
}

static void shape_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    fabric->below->counters(fabric->fabric, traffic);
    for (int level = 0; level < fabric->levels; level++) {
        traffic[level].data_bytes -= fabric->notes[level].data_bytes;
        traffic[level].data_messages -= fabric->notes[level].data_messages;
        traffic[level].control_bytes -= fabric->notes[level].control_bytes;
    }
}

/* ---- What is handed on ---------------------------------------------------------------------- */

static enum ww_status shape_reserve(void *self, size_t bytes, void **memory)
{
    const struct fabric *fabric = self;
    return fabric->below->reserve(fabric->fabric, bytes, memory);
}

static void shape_release(void *self, void *memory, size_t bytes)
{
    const struct fabric *fabric = self;
    fabric->below->release(fabric->fabric, memory, bytes);
}

static void *shape_area(void *self, int rank)
{
    const struct fabric *fabric = self;
    return fabric->below->area(fabric->fabric, rank);
}

static bool shape_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    const struct fabric *fabric = self;
    return fabric->below->share(fabric->fabric, memory, bytes, key);
}

static void *shape_view(void *self, int peer, uint64_t key)
{
    const struct fabric *fabric = self;
    return fabric->below->view(fabric->fabric, peer, key);
}

static enum ww_status shape_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    const struct fabric *fabric = self;
    return fabric->below->fetch(fabric->fabric, peer, from, into, bytes);
}

static bool shape_fetches(void *self)
{
    const struct fabric *fabric = self;
    return fabric->below->fetches(fabric->fabric);
}

/* Slots that the one below leaves empty stay empty. */
static struct ww_transport transport_around(const struct ww_transport *below, const char *name)
{
    return (struct ww_transport){
        .name = name,
        .yields_to_memory = below->yields_to_memory,
        .thread_trouble = below->thread_trouble == NULL ? NULL : shape_thread_trouble,
        .open = shape_open,
        .close = shape_close,
        .reserve = below->reserve == NULL ? NULL : shape_reserve,
        .release = below->release == NULL ? NULL : shape_release,
        .post = shape_post,
        .poll = shape_poll,
        .waits_for = shape_waits_for,
        .counters = shape_counters,
        .area = below->area == NULL ? NULL : shape_area,
        .share = below->share == NULL ? NULL : shape_share,
        .view = below->view == NULL ? NULL : shape_view,
        .fetch = below->fetch == NULL ? NULL : shape_fetch,
        .fetches = below->fetches == NULL ? NULL : shape_fetches,
        .allocate = below->allocate,
        .deallocate = below->deallocate,
    };
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
