/* SPDX-License-Identifier: BSD-3-Clause
 * local_world.c: a world whose ranks are threads of one process, and where their fabrics meet. */
#include "local.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

#define RANKS_MAX 1024
#define PAGE_BYTES ((size_t)4096)

struct gift {
    const void *memory;
    size_t bytes;
};

struct ww_local_world {
    int size;
    pthread_mutex_t lock;
    struct meeting *meetings; /* that some rank has not left yet */
    struct seat *seats;       /* [size] */

    /* The all_gather: a barrier, and what each rank brings to it. */
    pthread_cond_t turned;
    uint64_t turn;
    int arrived;
    struct gift *gifts; /* [size] */
};

static void meeting_destroy(struct meeting *meeting)
{
    size_t places = (size_t)meeting->size * (size_t)meeting->size;
    for (size_t place = 0; meeting->pairs != NULL && place < places; place++) {
        pair_destroy(atomic_load(&meeting->pairs[place]));
    }
    while (meeting->blocks != NULL) {
        struct block *block = meeting->blocks;
        meeting->blocks = block->next;
        memory_release(block->memory, block->bytes);
        free(block);
    }
    memory_release(meeting->areas, (size_t)meeting->size * meeting->area_bytes);
    free((void *)meeting->pairs);
    free(meeting->troubles);
    free(meeting);
}

static struct meeting *meeting_create(unsigned generation, int size, size_t area_bytes)
{
    struct meeting *meeting = calloc(1, sizeof *meeting);
    if (meeting == NULL) {
        return NULL;
    }
    meeting->generation = generation;
    meeting->size = size;
    meeting->troubles = calloc((size_t)size, sizeof *meeting->troubles);
    meeting->pairs = calloc((size_t)size * (size_t)size, sizeof *meeting->pairs);
    meeting->area_bytes = (area_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    meeting->areas = memory_reserve((size_t)size * meeting->area_bytes); /* fresh, hence zero */
    if (meeting->troubles == NULL || meeting->pairs == NULL ||
        (area_bytes > 0 && meeting->areas == NULL)) {
        meeting_destroy(meeting);
        return NULL;
    }
    return meeting;
}

/* Counted first, whatever becomes of it: the generations of the ranks must not drift apart. */
struct meeting *meeting_join(struct seat *seat, size_t area_bytes)
{
    struct ww_local_world *local = seat->local;
    pthread_mutex_lock(&local->lock);
    unsigned generation = seat->opened++;
    struct meeting *meeting = local->meetings;
    while (meeting != NULL && meeting->generation != generation) {
        meeting = meeting->next;
    }
    if (meeting == NULL) {
        meeting = meeting_create(generation, local->size, area_bytes);
        if (meeting != NULL) {
            meeting->next = local->meetings;
            local->meetings = meeting;
        }
    }
    pthread_mutex_unlock(&local->lock);
    return meeting;
}

void *meeting_reserve(struct seat *seat, struct meeting *meeting, size_t bytes)
{
    struct block *block = calloc(1, sizeof *block);
    void *memory = block == NULL ? NULL : memory_reserve(bytes);
    if (memory == NULL) {
        free(block);
        return NULL;
    }
    block->memory = memory;
    block->bytes = bytes;
    pthread_mutex_lock(&seat->local->lock);
    block->next = meeting->blocks;
    meeting->blocks = block;
    pthread_mutex_unlock(&seat->local->lock);
    return memory;
}

int seat_size(const struct seat *seat)
{
    return seat->local->size;
}

void meeting_leave(struct seat *seat, struct meeting *meeting)
{
    struct ww_local_world *local = seat->local;
    pthread_mutex_lock(&local->lock);
    bool last = ++meeting->left == meeting->size;
    if (last) {
        struct meeting **link = &local->meetings;
        while (*link != meeting) {
            link = &(*link)->next;
        }
        *link = meeting->next;
    }
    pthread_mutex_unlock(&local->lock);
    if (last) {
        meeting_destroy(meeting);
    }
}

static void barrier(struct ww_local_world *local)
{
    pthread_mutex_lock(&local->lock);
    uint64_t turn = local->turn;
    if (++local->arrived == local->size) {
        local->arrived = 0;
        local->turn++;
        pthread_cond_broadcast(&local->turned);
    }
    while (local->turn == turn) {
        pthread_cond_wait(&local->turned, &local->lock);
    }
    pthread_mutex_unlock(&local->lock);
}

/* Every rank comes to the same answer, because all compare with rank 0. */
static bool gifts_agree(const struct ww_local_world *local)
{
    for (int rank = 1; rank < local->size; rank++) {
        if (local->gifts[rank].bytes != local->gifts[0].bytes) {
            log_failure(WW_MISMATCH, "all_gather of %zu bytes on rank 0, of %zu bytes on rank %d",
                        local->gifts[0].bytes, local->gifts[rank].bytes, rank);
            return false;
        }
    }
    return true;
}

static int local_all_gather(void *self, const void *mine, void *all, size_t bytes)
{
    struct seat *seat = self;
    struct ww_local_world *local = seat->local;
    local->gifts[seat->rank] = (struct gift){mine, bytes};
    barrier(local);
    bool agree = gifts_agree(local);
    for (int rank = 0; agree && bytes > 0 && rank < local->size; rank++) {
        memcpy((unsigned char *)all + (size_t)rank * bytes, local->gifts[rank].memory, bytes);
    }
    barrier(local); /* nobody's memory is read from here on */
    return agree ? 0 : 1;
}

void ww_local_world_destroy(struct ww_local_world *local)
{
    if (local == NULL) {
        return;
    }
    /* Meetings that some rank never came to. */
    while (local->meetings != NULL) {
        struct meeting *meeting = local->meetings;
        local->meetings = meeting->next;
        meeting_destroy(meeting);
    }
    pthread_cond_destroy(&local->turned);
    pthread_mutex_destroy(&local->lock);
    free(local->gifts);
    free(local->seats);
    free(local);
}

enum ww_status ww_local_world_rank(struct ww_local_world *local, int rank, struct ww_world *world)
{
    if (local == NULL || world == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_local_world_rank: %s is NULL",
                           local == NULL ? "local" : "world");
    }
    if (rank < 0 || rank >= local->size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_local_world_rank: rank is %d, but the world has ranks 0 to %d", rank,
                           local->size - 1);
    }
    *world = (struct ww_world)WW_WORLD_INIT;
    world->rank = rank;
    world->size = local->size;
    world->all_gather = local_all_gather;
    world->self = &local->seats[rank];
    world->transport = &ww_local_transport;
    return WW_OK;
}

enum ww_status ww_local_world_create(int size, struct ww_local_world **local)
{
    if (local == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_local_world_create: local is NULL");
    }
    if (size < 1 || size > RANKS_MAX) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_local_world_create: size is %d, but a local world has 1 to %d ranks",
                           size, RANKS_MAX);
    }
    struct ww_local_world *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a local world of %d ranks", size);
    }
    made->size = size;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->turned, NULL);
    made->seats = calloc((size_t)size, sizeof *made->seats);
    made->gifts = calloc((size_t)size, sizeof *made->gifts);
    if (made->seats == NULL || made->gifts == NULL) {
        ww_local_world_destroy(made);
        return log_failure(WW_NO_MEMORY, "no memory for the %d ranks of a local world", size);
    }
    for (int rank = 0; rank < size; rank++) {
        made->seats[rank] = (struct seat){made, rank, 0};
    }
    *local = made;
    return WW_OK;
}
