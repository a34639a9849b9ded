/* SPDX-License-Identifier: BSD-3-Clause
 * shm.c: a fabric between the processes of one host. Its rounds are flights of letters. */
#include "shm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/fabrics.h"
#include "internal/log.h"

/* ---- Flights -------------------------------------------------------------------------------- */

/* A flight with room for so many letters. NULL when there is no memory. */
static struct flight *flight_take(struct fabric *fabric, int count)
{
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    if (!array_hold(&flight->letters, &flight->capacity, count, sizeof *flight->letters)) {
        flights_give(&fabric->flights, flight);
        return NULL;
    }
    flight->first = 0;
    flight->count = count;
    flight->pending = count;
    return flight;
}

static void flights_free(struct flights *flights)
{
    struct flight *flight;
    while ((flight = flights_pop(flights)) != NULL) {
        free(flight->letters);
        free(flight);
    }
}

static struct peer *peer_of(struct fabric *fabric, int rank)
{
    assert(rank >= 0 && rank < fabric->world_size && rank != fabric->rank);
    assert(fabric->place_of[rank] >= 0); /* other hosts are another fabric's */
    return &fabric->peers[fabric->place_of[rank]];
}

static void count_send(struct fabric *fabric, const struct ww_message *message, bool control)
{
    struct ww_traffic *traffic = &fabric->traffic[fabric->peer_level[message->peer]];
    if (control) {
        traffic->control_bytes += message->bytes;
    } else {
        traffic->data_bytes += message->bytes;
        traffic->data_messages++;
    }
}

/* Somebody must look after the peer until nothing is under way there. */
static void peer_watch(struct fabric *fabric, struct peer *peer)
{
    if (!peer->active && ring_is_busy(peer)) {
        peer->active = true;
        fabric->active[fabric->active_count++] = peer;
    }
}

static enum ww_status fail(struct fabric *fabric, enum ww_status status)
{
    fabric->status = status;
    return status;
}

static enum ww_status shm_post(void *self, int tag, bool control, const struct ww_message *messages,
                               int count, struct ww_flight *posted)
{
    assert(tag >= 0 && tag < WW_TRANSPORT_TAGS);
    struct fabric *fabric = self;
    if (fabric->status != WW_OK) {
        return fabric->status;
    }
    struct flight *flight = flight_take(fabric, count);
    if (flight == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    *posted = (struct ww_flight){flight, WW_WAIT_MEMORY};
    for (int index = 0; index < count; index++) {
        const struct ww_message *message = &messages[index];
        struct letter *letter = &flight->letters[index];
        *letter = (struct letter){.flight = flight,
                                  .memory = message->memory,
                                  .bytes = message->bytes,
                                  .tag = tag,
                                  .peer = peer_of(fabric, message->peer),
                                  .kind = message->kind,
                                  .control = control};
        if (message->kind == WW_SEND) {
            count_send(fabric, message, control);
        }
        enum ww_status status = ring_post(fabric, letter);
        if (status != WW_OK) {
            return fail(fabric, status);
        }
        peer_watch(fabric, letter->peer);
    }
    return WW_OK;
}

/* Moves what this flight waits for. */
static enum ww_status flight_progress(struct fabric *fabric, struct flight *flight)
{
    for (int index = flight->first; index < flight->count; index++) {
        struct letter *letter = &flight->letters[index];
        enum ww_status status = letter->done ? WW_OK : ring_progress(fabric, letter->peer);
        if (status != WW_OK) {
            return status;
        }
        flight->first += letter->done && index == flight->first;
    }
    return WW_OK;
}

/* One other peer a time: whoever polls one flight for long looks after all in turn, and whoever
 * polls many does not look after all each time. */
static enum ww_status others_progress(struct fabric *fabric)
{
    if (fabric->active_count == 0) {
        return WW_OK;
    }
    fabric->turn = (fabric->turn + 1) % fabric->active_count;
    struct peer *peer = fabric->active[fabric->turn];
    enum ww_status status = ring_progress(fabric, peer);
    if (!ring_is_busy(peer)) {
        peer->active = false;
        fabric->active[fabric->turn] = fabric->active[--fabric->active_count];
    }
    return status;
}

static enum ww_status shm_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    enum ww_status status = fabric->status;
    if (status == WW_OK && flight->pending > 0) {
        status = flight_progress(fabric, flight);
    }
    if (status == WW_OK && flight->pending > 0) {
        status = others_progress(fabric);
    }
    if (status != WW_OK) {
        return fail(fabric, status);
    }
    if (flight->pending > 0) {
        return WW_PENDING;
    }
    flights_give(&fabric->flights, flight);
    posted->state = NULL;
    return WW_OK;
}

static int shm_waits_for(void *self, const struct ww_flight *posted)
{
    (void)self;
    const struct flight *flight = posted->state;
    for (int index = flight->first; index < flight->count; index++) {
        if (!flight->letters[index].done) {
            return flight->letters[index].peer->rank;
        }
    }
    return -1;
}

static void shm_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    memcpy(traffic, fabric->traffic, (size_t)fabric->levels * sizeof *traffic);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static enum ww_status memory_failure(size_t bytes, int error)
{
    return log_failure(WW_NO_MEMORY, "no memory for %zu bytes that ranks of this host share: %s",
                       bytes, strerror(error));
}

static bool reserved_grow(struct fabric *fabric)
{
    if (fabric->reserved_count < fabric->reserved_capacity) {
        return true;
    }
    int capacity = 2 * fabric->reserved_capacity + 8;
    void **grown = realloc(fabric->reserved, (size_t)capacity * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    fabric->reserved = grown;
    fabric->reserved_capacity = capacity;
    return true;
}

static enum ww_status shm_reserve(void *self, size_t bytes, void **memory)
{
    struct fabric *fabric = self;
    void *taken = NULL;
    int error = reserved_grow(fabric) ? arena_take(bytes, BLOCK_RESERVED, &taken) : ENOMEM;
    if (error != 0) {
        return memory_failure(bytes, error);
    }
    fabric->reserved[fabric->reserved_count++] = taken;
    *memory = taken;
    return WW_OK;
}

static void shm_release(void *self, void *memory, size_t bytes)
{
    (void)bytes;
    struct fabric *fabric = self;
    for (int index = 0; index < fabric->reserved_count; index++) {
        if (fabric->reserved[index] == memory) {
            fabric->reserved[index] = fabric->reserved[--fabric->reserved_count];
            arena_give(memory);
            return;
        }
    }
    assert(memory == NULL);
}

void shm_keep_reserved(void *self)
{
    struct fabric *fabric = self;
    fabric->lends = true;
}

static void *shm_area(void *self, int rank)
{
    struct fabric *fabric = self;
    if (fabric->place_of[rank] < 0 || fabric->area_bytes == 0) {
        return NULL;
    }
    return fabric->peers[fabric->place_of[rank]].ground + ground_heads_bytes(fabric->size);
}

static bool shm_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    const struct fabric *fabric = self;
    uintptr_t offset = (uintptr_t)memory - (uintptr_t)fabric->base; /* huge when it lies before */
    if (offset >= fabric->arena_bytes || bytes > fabric->arena_bytes - offset) {
        return false;
    }
    *key = offset;
    return true;
}

static void *shm_view(void *self, int peer, uint64_t key)
{
    struct fabric *fabric = self;
    assert(fabric->place_of[peer] >= 0);
    const struct peer *owner = &fabric->peers[fabric->place_of[peer]];
    assert(key < owner->card.bytes);
    return owner->base + key;
}

static enum ww_status shm_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    struct fabric *fabric = self;
    assert(fabric->place_of[peer] >= 0);
    const struct peer *owner = &fabric->peers[fabric->place_of[peer]];
    int error = peer_read(owner, from, into, bytes);
    if (error == ESRCH) {
        char host[65] = "this host"; /* the sentence may be read on another one */
        gethostname(host, sizeof host);
        return log_failure(WW_PEER_FAILED,
                           "rank %d (pid %d on %s) is gone: its memory cannot be read", peer,
                           owner->card.pid, host);
    }
    if (error != 0) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "cannot read %zu bytes at 0x%llx of rank %d (pid %d): %s", bytes,
                           (unsigned long long)from, peer, owner->card.pid, strerror(error));
    }
    return WW_OK;
}

static bool shm_fetches(void *self)
{
    const struct fabric *fabric = self;
    return fabric->fetches;
}

static bool shm_ended(void *self, int peer)
{
    const struct fabric *fabric = self;
    int place = fabric->place_of[peer];
    return place >= 0 && peer_ended(&fabric->peers[place]);
}

/* Unsupported is an answer, not a failure: any memory works, this would be faster. */
static size_t memory_of_host(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static enum ww_status shm_allocate(size_t bytes, void **memory)
{
    int error = arena_take(bytes, BLOCK_ALLOCATED, memory);
    if (error == ENOTSUP) {
        return WW_UNSUPPORTED;
    }
    if (error == ENOSPC && bytes <= memory_of_host()) {
        log_warn(
            "the memory that ranks can share is used up (its size follows the machine's memory, "
            "ulimit -v and ulimit -f): these %zu bytes are plain memory, which is copied",
            bytes);
        return WW_UNSUPPORTED;
    }
    return error == 0 ? WW_OK : memory_failure(bytes, error);
}

static void shm_deallocate(void *memory, size_t bytes)
{
    (void)bytes;
    arena_give(memory);
}

/* ---- Life ----------------------------------------------------------------------------------- */

enum ww_status shm_open_quietly(const struct ww_transport_setup *setup, void **fabric,
                                char *sentence, size_t bytes)
{
    assert(setup->levels >= 1 && setup->levels <= WW_LEVELS_MAX);
    struct fabric *made = NULL;
    enum ww_status status = fabric_meet(setup, &made, sentence, bytes);
    if (status != WW_OK) {
        return status;
    }
    for (int place = 0; place < made->size; place++) {
        ring_begin(made, &made->peers[place]);
    }
    *fabric = made;
    return WW_OK;
}

static enum ww_status shm_open(const struct ww_transport_setup *setup, void **fabric)
{
    char sentence[LOG_SENTENCE_BYTES];
    enum ww_status status = shm_open_quietly(setup, fabric, sentence, sizeof sentence);
    return status == WW_UNSUPPORTED ? log_failure(status, "%s", sentence) : status;
}

static void shm_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    ring_finish(fabric);
    flights_free(&fabric->flights);
    fabric_part(fabric, failed);
}

const struct ww_transport ww_shm_transport = {
    .name = "shm",
    .yields_to_memory = false,
    .thread_trouble = NULL,
    .open = shm_open,
    .close = shm_close,
    .reserve = shm_reserve,
    .release = shm_release,
    .post = shm_post,
    .poll = shm_poll,
    .waits_for = shm_waits_for,
    .counters = shm_counters,
    .control_room = fabric_control_room,
    .area = shm_area,
    .share = shm_share,
    .view = shm_view,
    .fetch = shm_fetch,
    .fetches = shm_fetches,
    .ended = shm_ended,
    .allocate = shm_allocate,
    .deallocate = shm_deallocate,
};
