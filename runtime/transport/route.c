/* SPDX-License-Identifier: BSD-3-Clause
 * route.c: joins shared memory inside hosts with a fabric between them.
 *
 * A message between one pair of ranks always goes the same way, by the level that it crosses, so
 * the order that each part keeps is the order of the whole. Where only one part is open its flights
 * are the caller's; where both are, a journey holds a flight of each. */
#include "route_join.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flights.h"
#include "internal/fabrics.h"
#include "internal/log.h"
#include "internal/memory.h"
#include "shm.h"

/* A posted round of a fabric with both parts. */
struct journey {
    struct flight_link link;
    struct ww_flight flight[PARTS];
    bool pending[PARTS];
    bool lends; /* the network works in shared memory */
};

/* Memory that route_reserve gave away. */
struct reserved {
    struct reserved *next;
    unsigned char *memory;
    size_t bytes;
};

struct route {
    struct part only; /* of both the one that is open; NULL = both or none */
    struct part part[PARTS];
    int host_levels;
    const uint8_t *peer_level;
    int levels;
    bool failed; /* a round went wrong: nobody knows what the network still does */
    struct flights journeys;
    struct ww_message *sorted; /* room to part the messages of a round */
    int sorted_capacity;
    struct reserved *reserved;
    char name[64];
};

/* The fabric whose network this thread closes; NULL = none. */
static _Thread_local const struct route *closing;

static bool reserved_holds(const struct reserved *reserved, const unsigned char *memory)
{
    while (reserved != NULL &&
           (memory < reserved->memory || memory >= reserved->memory + reserved->bytes)) {
        reserved = reserved->next;
    }
    return reserved != NULL;
}

bool route_keeps(const void *memory)
{
    return closing != NULL && closing->part[MEMORY].transport != NULL &&
           reserved_holds(closing->reserved, memory);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void name_parts(struct route *route)
{
    const struct ww_transport *memory = route->part[MEMORY].transport;
    const struct ww_transport *network = route->part[NETWORK].transport;
    if (memory != NULL && network != NULL) {
        snprintf(route->name, sizeof route->name, "%s + %s", memory->name, network->name);
    } else {
        route->only = route->part[memory != NULL ? MEMORY : NETWORK];
        snprintf(route->name, sizeof route->name, "%s",
                 route->only.transport == NULL ? "nothing" : route->only.transport->name);
    }
}

/* Nobody but memory is needed where all ranks share one host. */
static const char *route_thread_trouble(const struct ww_transport_setup *setup)
{
    assert(setup->peer_level != NULL);
    return route_far_rank(setup) < 0 ? NULL : route_network_trouble(setup);
}

static enum ww_status route_open(const struct ww_transport_setup *setup, void **fabric)
{
    assert(setup->levels >= 1 && setup->levels <= WW_LEVELS_MAX);
    assert(setup->world->transport != &ww_route_transport);
    struct route *made = calloc(1, sizeof *made);
    enum ww_status status = route_join(setup, made == NULL ? NULL : made->part);
    if (status != WW_OK) {
        free(made);
        return status;
    }
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    made->levels = setup->levels;
    name_parts(made);
    *fabric = made;
    return WW_OK;
}

const char *route_describe(const void *fabric)
{
    const struct route *route = fabric;
    return route->name;
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Shared memory serves both parts; without it the network may want its own kind. */
static const struct part *reserving_part(const struct route *route)
{
    const struct part *part = &route->part[MEMORY];
    if (part->transport == NULL) {
        part = &route->part[NETWORK];
    }
    return part->transport != NULL && part->transport->reserve != NULL ? part : NULL;
}

static enum ww_status reserve_from(const struct part *part, size_t bytes, void **memory)
{
    if (part != NULL) {
        return part->transport->reserve(part->fabric, bytes, memory);
    }
    void *made = memory_reserve(bytes);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to reserve %zu bytes for messages", bytes);
    }
    *memory = made;
    return WW_OK;
}

static enum ww_status route_reserve(void *self, size_t bytes, void **memory)
{
    struct route *route = self;
    struct reserved *reserved = malloc(sizeof *reserved);
    if (reserved == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to reserve %zu bytes for messages", bytes);
    }
    void *made = NULL;
    enum ww_status status = reserve_from(reserving_part(route), bytes, &made);
    if (status != WW_OK) {
        free(reserved);
        return status;
    }
    *reserved = (struct reserved){route->reserved, made, bytes};
    route->reserved = reserved;
    *memory = made;
    return WW_OK;
}

static void route_release(void *self, void *memory, size_t bytes)
{
    struct route *route = self;
    const struct part *part = reserving_part(route);
    struct reserved **link = &route->reserved;
    while ((*link)->memory != memory) {
        link = &(*link)->next;
    }
    struct reserved *reserved = *link;
    *link = reserved->next;
    assert(reserved->bytes == bytes);
    if (part != NULL) {
        part->transport->release(part->fabric, memory, bytes);
    } else {
        memory_release(memory, bytes);
    }
    free(reserved);
}

static bool is_far(const struct route *route, int peer)
{
    return route->peer_level[peer] >= route->host_levels;
}

static int far_count(const struct route *route, const struct ww_message *messages, int count)
{
    int far = 0;
    for (int index = 0; index < count; index++) {
        far += is_far(route, messages[index].peer);
    }
    return far;
}

/* The near messages, then the far ones, each kind in the order given. NULL without memory. */
static const struct ww_message *sort_messages(struct route *route,
                                              const struct ww_message *messages, int count, int far)
{
    if (!array_hold(&route->sorted, &route->sorted_capacity, count, sizeof *route->sorted)) {
        return NULL;
    }
    int next[PARTS] = {0, count - far};
    for (int index = 0; index < count; index++) {
        int part = is_far(route, messages[index].peer) ? NETWORK : MEMORY;
        route->sorted[next[part]++] = messages[index];
    }
    return route->sorted;
}

/* Would the network, closed too early, go on in memory that ranks of the host share? Control is
 * copied before it is sent. */
static bool are_lent(const struct route *route, bool control, const struct ww_message *messages,
                     int count)
{
    const struct part *memory = &route->part[MEMORY];
    for (int index = 0; index < count; index++) {
        const struct ww_message *message = &messages[index];
        uint64_t key;
        if (message->bytes > 0 && !(control && message->kind == WW_SEND) &&
            memory->transport->share(memory->fabric, message->memory, message->bytes, &key)) {
            return true;
        }
    }
    return false;
}

/* The network first: it has the longer way. */
static enum ww_status journey_post(struct route *route, struct journey *journey, int tag,
                                   bool control, const struct ww_message *messages, int near,
                                   int far)
{
    const struct part *memory = &route->part[MEMORY], *network = &route->part[NETWORK];
    enum ww_status status = WW_OK;
    journey->pending[MEMORY] = near > 0;
    journey->pending[NETWORK] = far > 0;
    if (far > 0) {
        journey->lends = are_lent(route, control, messages + near, far);
        status = network->transport->post(network->fabric, tag, control, messages + near, far,
                                          &journey->flight[NETWORK]);
    }
    if (status == WW_OK && near > 0) {
        status = memory->transport->post(memory->fabric, tag, control, messages, near,
                                         &journey->flight[MEMORY]);
    }
    return status;
}

static enum ww_wait journey_wait(const struct journey *journey)
{
    if (journey->pending[NETWORK]) {
        return journey->flight[NETWORK].wait;
    }
    return journey->pending[MEMORY] ? journey->flight[MEMORY].wait : WW_WAIT_MEMORY;
}

static enum ww_status journey_begin(struct route *route, int tag, bool control,
                                    const struct ww_message *messages, int count,
                                    struct ww_flight *posted)
{
    int far = far_count(route, messages, count);
    struct journey *journey = flights_take(&route->journeys, sizeof *journey);
    if (journey != NULL && far > 0 && far < count) {
        messages = sort_messages(route, messages, count, far);
    }
    if (journey == NULL || messages == NULL) {
        if (journey != NULL) {
            flights_give(&route->journeys, journey);
        }
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    enum ww_status status = journey_post(route, journey, tag, control, messages, count - far, far);
    if (status != WW_OK) {
        route->failed = true;
        flights_give(&route->journeys, journey);
        return status;
    }
    *posted = (struct ww_flight){journey, journey_wait(journey)};
    return WW_OK;
}

static enum ww_status part_poll(struct route *route, struct journey *journey, int which)
{
    const struct part *part = &route->part[which];
    if (!journey->pending[which]) {
        return WW_OK;
    }
    enum ww_status status = part->transport->poll(part->fabric, &journey->flight[which]);
    if (status == WW_OK) {
        journey->pending[which] = false;
    }
    return status;
}

static enum ww_status journey_poll(struct route *route, struct ww_flight *posted)
{
    struct journey *journey = posted->state;
    enum ww_status memory = part_poll(route, journey, MEMORY);
    if (memory != WW_OK && memory != WW_PENDING) {
        route->failed = true;
        return memory;
    }
    enum ww_status network = part_poll(route, journey, NETWORK);
    if (network != WW_OK && network != WW_PENDING) {
        route->failed = true;
        return network;
    }
    posted->wait = journey_wait(journey);
    if (memory == WW_PENDING || network == WW_PENDING) {
        return WW_PENDING;
    }
    posted->state = NULL;
    flights_give(&route->journeys, journey);
    return WW_OK;
}

static int part_waits_for(const struct part *part, const struct ww_flight *flight)
{
    return part->transport->waits_for == NULL ? -1
                                              : part->transport->waits_for(part->fabric, flight);
}

static int journey_waits_for(const struct route *route, const struct journey *journey)
{
    int peer = -1;
    for (int which = 0; which < PARTS && peer < 0; which++) {
        if (journey->pending[which]) {
            peer = part_waits_for(&route->part[which], &journey->flight[which]);
        }
    }
    return peer;
}

/* ---- The fabric's slots --------------------------------------------------------------------- */

static enum ww_status route_post(void *self, int tag, bool control,
                                 const struct ww_message *messages, int count,
                                 struct ww_flight *posted)
{
    struct route *route = self;
    const struct part *only = &route->only;
    if (only->transport != NULL) {
        return only->transport->post(only->fabric, tag, control, messages, count, posted);
    }
    return journey_begin(route, tag, control, messages, count, posted);
}

static enum ww_status route_poll(void *self, struct ww_flight *posted)
{
    struct route *route = self;
    const struct part *only = &route->only;
    if (only->transport != NULL) {
        return only->transport->poll(only->fabric, posted);
    }
    return journey_poll(route, posted);
}

static int route_waits_for(void *self, const struct ww_flight *posted)
{
    const struct route *route = self;
    return route->only.transport != NULL ? part_waits_for(&route->only, posted)
                                         : journey_waits_for(route, posted->state);
}

static void route_counters(void *self, struct ww_traffic *traffic)
{
    const struct route *route = self;
    memset(traffic, 0, (size_t)route->levels * sizeof *traffic);
    for (int which = 0; which < PARTS; which++) {
        const struct part *part = &route->part[which];
        struct ww_traffic own[WW_LEVELS_MAX];
        if (part->transport == NULL) {
            continue;
        }
        part->transport->counters(part->fabric, own);
        for (int level = 0; level < route->levels; level++) {
            traffic[level].data_bytes += own[level].data_bytes;
            traffic[level].data_messages += own[level].data_messages;
            traffic[level].control_bytes += own[level].control_bytes;
        }
    }
}

/* The network may still work in shared memory when it is closed before it is done. */
static bool network_lends(const struct route *route)
{
    bool lends = route->failed;
    const struct journey *journey = flights_first(&route->journeys);
    for (; journey != NULL && !lends; journey = flights_next(journey)) {
        lends = journey->pending[NETWORK] && journey->lends;
    }
    return lends;
}

static void free_reserved(struct route *route, bool plain)
{
    while (route->reserved != NULL) {
        struct reserved *reserved = route->reserved;
        route->reserved = reserved->next;
        if (plain) {
            memory_release(reserved->memory, reserved->bytes);
        }
        free(reserved);
    }
}

/* Memory last, and for good where the network may still work in it. */
static void route_close(void *self, bool failed)
{
    struct route *route = self;
    const struct part *memory = &route->part[MEMORY], *network = &route->part[NETWORK];
    bool plain = reserving_part(route) == NULL;
    if (network->transport != NULL) {
        closing = route;
        network->transport->close(network->fabric, failed);
        closing = NULL;
    }
    bool lends = memory->transport != NULL && network_lends(route);
    if (lends) {
        shm_keep_reserved(memory->fabric);
    }
    if (memory->transport != NULL) {
        memory->transport->close(memory->fabric, failed || lends);
    }
    free_reserved(route, plain);
    struct journey *journey;
    while ((journey = flights_pop(&route->journeys)) != NULL) {
        free(journey);
    }
    free(route->sorted);
    free(route);
}

static void *route_area(void *self, int rank)
{
    const struct part *memory = &((struct route *)self)->part[MEMORY];
    return memory->transport == NULL ? NULL : memory->transport->area(memory->fabric, rank);
}

static bool route_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    const struct part *part = &((struct route *)self)->part[MEMORY];
    return part->transport != NULL && part->transport->share(part->fabric, memory, bytes, key);
}

static void *route_view(void *self, int peer, uint64_t key)
{
    const struct part *memory = &((struct route *)self)->part[MEMORY];
    assert(memory->transport != NULL);
    return memory->transport->view(memory->fabric, peer, key);
}

static enum ww_status route_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    const struct part *memory = &((struct route *)self)->part[MEMORY];
    assert(memory->transport != NULL);
    return memory->transport->fetch(memory->fabric, peer, from, into, bytes);
}

static bool route_fetches(void *self)
{
    const struct part *memory = &((struct route *)self)->part[MEMORY];
    return memory->transport != NULL && memory->transport->fetches(memory->fabric);
}

/* What both parts take. */
static size_t route_control_room(void *self)
{
    const struct route *route = self;
    size_t room = FABRIC_CONTROL_ROOM;
    for (int which = 0; which < PARTS; which++) {
        const struct part *part = &route->part[which];
        size_t own = part->transport == NULL ? room
                                             : control_room_of(part->transport, part->fabric);
        room = own < room ? own : room;
    }
    return room;
}

static bool route_ended(void *self, int peer)
{
    const struct part *memory = &((struct route *)self)->part[MEMORY];
    return memory->transport != NULL && memory->transport->ended != NULL &&
           memory->transport->ended(memory->fabric, peer);
}

/* Shared memory of the process; refused by itself where no fabric has opened it. */
static enum ww_status route_allocate(size_t bytes, void **memory)
{
    return route_memory()->transport->allocate(bytes, memory);
}

static void route_deallocate(void *memory, size_t bytes)
{
    route_memory()->transport->deallocate(memory, bytes);
}

const struct ww_transport ww_route_transport = {
    .name = "route",
    .yields_to_memory = false,
    .thread_trouble = route_thread_trouble,
    .open = route_open,
    .close = route_close,
    .reserve = route_reserve,
    .release = route_release,
    .post = route_post,
    .poll = route_poll,
    .waits_for = route_waits_for,
    .counters = route_counters,
    .area = route_area,
    .share = route_share,
    .view = route_view,
    .fetch = route_fetch,
    .fetches = route_fetches,
    .ended = route_ended,
    .control_room = route_control_room,
    .allocate = route_allocate,
    .deallocate = route_deallocate,
};
