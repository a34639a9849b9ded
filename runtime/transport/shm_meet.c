/* SPDX-License-Identifier: BSD-3-Clause
 * shm_meet.c: how the ranks of a fabric find each other's memory, and agree whether all did.
 *
 * Whatever happens to a rank, it makes the same calls of all_gather as all others:
 *
 *     hello     who shares a host, how much each can map
 *     record    where my arena and my ground are
 *     verdict   did I map my host's arenas by way of /proc; may I fetch
 *
 * and only where somebody could not map, once more with descriptors over sockets: one gather when
 * all sockets are there, one for each distance between places (each descriptor is under way alone:
 * the kernel allows a user few of them), and a second verdict. */
#define _GNU_SOURCE
#include "shm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal/gather.h"
#include "internal/log.h"

/* Why a rank cannot take part. The order has no meaning. */
enum trouble_kind {
    TROUBLE_NONE,
    TROUBLE_MEMORY, /* for the fabric itself */
    TROUBLE_ARENA,
    TROUBLE_HOST,   /* another rank sees the host otherwise */
    TROUBLE_MAP,    /* another rank's arena */
    TROUBLE_FOREIGN /* there is something else instead of it */
};

struct trouble {
    int32_t kind;
    int32_t peer;
    int32_t error; /* errno */
    int32_t pid;   /* whose trouble it is */
    struct room_limit limit;
};

struct hello {
    uint64_t area_bytes;
    uint64_t room_bytes; /* the largest arena that it can map for each rank of the host */
    int32_t first;       /* lowest rank of its host */
    int32_t size;        /* ranks of its host */
};

struct record {
    struct card card;
    uint64_t ground; /* offset */
    struct trouble trouble;
};

struct verdict {
    struct trouble trouble;
    int32_t fetches;
    int32_t reserved;
};

struct meeting {
    const struct ww_transport_setup *setup;
    const struct ww_world *world;
    struct fabric *fabric;
    struct trouble own; /* the first trouble of this rank */
    int proc_error;     /* why the first way was closed */
    struct card card;
    void *all;     /* [world->size] of what is gathered */
    int size_most; /* ranks of the fullest host */
};

static void note(struct meeting *meeting, enum trouble_kind kind, int peer, int error)
{
    if (meeting->own.kind == TROUBLE_NONE) {
        kind = kind == TROUBLE_MAP && error == ESTALE ? TROUBLE_FOREIGN : kind;
        meeting->own = (struct trouble){
            .kind = (int32_t)kind, .peer = peer, .error = error, .pid = (int32_t)getpid()};
    }
}

static enum ww_status gather(struct meeting *meeting, const void *mine, size_t bytes)
{
    return world_gather(meeting->world, mine, meeting->all, bytes);
}

/* ---- Hello ---------------------------------------------------------------------------------- */

static bool is_here(const struct meeting *meeting, int rank)
{
    return rank == meeting->world->rank ||
           meeting->setup->peer_level[rank] < meeting->setup->host_levels;
}

static struct hello hello_make(const struct meeting *meeting)
{
    struct hello hello = {.area_bytes = meeting->setup->area_bytes, .first = -1};
    for (int rank = 0; rank < meeting->world->size; rank++) {
        if (is_here(meeting, rank)) {
            hello.first = hello.first < 0 ? rank : hello.first;
            hello.size++;
        }
    }
    hello.room_bytes = room_for_arenas(hello.size);
    return hello;
}

/* All ranks of a host must mean the same host. Returns the largest arena that suits all of them. */
static uint64_t hellos_read(struct meeting *meeting, const struct hello *own)
{
    const struct hello *all = meeting->all;
    uint64_t room = own->room_bytes;
    if (room == 0) {
        note(meeting, TROUBLE_ARENA, -1, ENOMEM); /* its own trouble: others go on without it */
        if (meeting->own.kind == TROUBLE_ARENA) {
            meeting->own.limit = room_limit_find(own->size);
        }
    }
    for (int rank = 0; rank < meeting->world->size; rank++) {
        const struct hello *hello = &all[rank];
        meeting->size_most = hello->size > meeting->size_most ? hello->size : meeting->size_most;
        if (!is_here(meeting, rank)) {
            continue;
        }
        room = hello->room_bytes > 0 && hello->room_bytes < room ? hello->room_bytes : room;
        if (hello->first != own->first || hello->size != own->size ||
            hello->area_bytes != own->area_bytes) {
            note(meeting, TROUBLE_HOST, rank, 0);
        }
    }
    return room;
}

/* ---- The own part --------------------------------------------------------------------------- */

static void fabric_destroy(struct fabric *fabric)
{
    if (fabric == NULL) {
        return;
    }
    free(fabric->peers);
    free(fabric->active);
    free(fabric->place_of);
    free(fabric->remnant);
    free(fabric->reserved);
    free(fabric);
}

/* Everything that the fabric will ever need; NULL when there is no memory. */
static struct fabric *fabric_create(const struct ww_transport_setup *setup, int size)
{
    int world_size = setup->world->size;
    struct fabric *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->pid = getpid();
    made->size = size;
    made->world_size = world_size;
    made->peers = calloc((size_t)size, sizeof *made->peers);
    made->active = calloc((size_t)size, sizeof(struct peer *));
    made->place_of = calloc((size_t)world_size, sizeof *made->place_of);
    made->remnant = calloc(1, sizeof *made->remnant);
    if (made->peers == NULL || made->active == NULL || made->place_of == NULL ||
        made->remnant == NULL) {
        fabric_destroy(made);
        return NULL;
    }
    return made;
}

static void places_number(const struct meeting *meeting, struct fabric *fabric)
{
    const struct ww_transport_setup *setup = meeting->setup;
    int place = 0;
    fabric->rank = meeting->world->rank;
    fabric->levels = setup->levels;
    fabric->peer_level = setup->peer_level;
    fabric->area_bytes = setup->area_bytes;
    for (int rank = 0; rank < fabric->world_size; rank++) {
        fabric->place_of[rank] = -1;
        if (is_here(meeting, rank)) {
            fabric->place = rank == fabric->rank ? place : fabric->place;
            fabric->peers[place].rank = rank;
            fabric->peers[place].place = place;
            fabric->place_of[rank] = place++;
        }
    }
}

/* Heads and area come now; cells come when the first message of their ring is sent. */
static int ground_make(struct fabric *fabric)
{
    void *ground = NULL;
    int error = arena_take(ground_bytes(fabric->size, fabric->area_bytes), BLOCK_GROUND, &ground);
    if (error != 0) {
        return error;
    }
    error = arena_populate(ground, ground_cells_offset(fabric->size, fabric->area_bytes));
    if (error != 0) {
        arena_give(ground);
        return error;
    }
    fabric->ground = ground;
    return 0;
}

static void own_part_make(struct meeting *meeting, uint64_t room)
{
    struct fabric *fabric = meeting->fabric;
    if (fabric == NULL || meeting->own.kind != TROUBLE_NONE) {
        return;
    }
    int error = arena_join(room);
    if (error != 0) {
        note(meeting, TROUBLE_ARENA, -1, error);
        return;
    }
    meeting->card = arena_card();
    fabric->base = arena_base();
    fabric->arena_bytes = meeting->card.bytes;
    error = ground_make(fabric);
    if (error != 0) {
        arena_leave(false);
        fabric->base = NULL;
        note(meeting, TROUBLE_ARENA, -1, error);
    }
}

static struct record record_make(const struct meeting *meeting)
{
    struct record record = {.card = meeting->card, .trouble = meeting->own};
    if (meeting->own.kind == TROUBLE_NONE) {
        record.ground = (uint64_t)(meeting->fabric->ground - meeting->fabric->base);
    }
    return record;
}

/* ---- The peers' part ------------------------------------------------------------------------ */

static void peer_place(struct peer *peer, struct mapping *mapping)
{
    peer->mapping = mapping;
    peer->base = mapping->base;
    peer->ground = mapping->base + peer->ground_offset;
}

static void peer_map(struct meeting *meeting, struct peer *peer)
{
    struct mapping *mapping = NULL;
    int error = mapping_open(&peer->card, &mapping);
    if (error != 0) {
        note(meeting, TROUBLE_MAP, peer->rank, error);
    } else {
        peer_place(peer, mapping);
    }
}

/* Maps whom it can; a peer in trouble of its own is not the trouble of this rank. */
static void peers_map(struct meeting *meeting)
{
    const struct record *all = meeting->all;
    struct fabric *fabric = meeting->fabric;
    if (fabric == NULL || fabric->ground == NULL) {
        return;
    }
    for (int place = 0; place < fabric->size; place++) {
        struct peer *peer = &fabric->peers[place];
        const struct record *record = &all[peer->rank];
        if (record->trouble.kind != TROUBLE_NONE) {
            continue;
        }
        peer->card = record->card;
        peer->ground_offset = record->ground;
        peer_map(meeting, peer);
    }
}

/* Reads the peer's nonce where it is not shared. */
static bool peer_can_be_fetched(const struct peer *peer)
{
    uint64_t nonce[2] = {0, 0};
    return peer_read(peer, peer->card.proof, nonce, sizeof nonce) == 0 &&
           memcmp(nonce, peer->card.nonce, sizeof nonce) == 0;
}

static bool all_can_be_fetched(const struct meeting *meeting)
{
    const struct fabric *fabric = meeting->fabric;
    bool fetches = fabric != NULL && meeting->own.kind == TROUBLE_NONE;
    for (int place = 0; fetches && place < fabric->size; place++) {
        fetches = peer_can_be_fetched(&fabric->peers[place]);
    }
    return fetches;
}

/* ---- Verdict -------------------------------------------------------------------------------- */

/* The lowest rank in trouble, or -1. */
static int rank_in_trouble(const struct meeting *meeting)
{
    const struct verdict *all = meeting->all;
    for (int rank = 0; rank < meeting->world->size; rank++) {
        if (all[rank].trouble.kind != TROUBLE_NONE) {
            return rank;
        }
    }
    return -1;
}

/* Every trouble is of the kind that descriptors over sockets can heal. */
static bool sockets_may_help(const struct meeting *meeting)
{
    const struct verdict *all = meeting->all;
    for (int rank = 0; rank < meeting->world->size; rank++) {
        int32_t kind = all[rank].trouble.kind;
        if (kind != TROUBLE_NONE && kind != TROUBLE_MAP && kind != TROUBLE_FOREIGN) {
            return false;
        }
    }
    return rank_in_trouble(meeting) >= 0;
}

static enum ww_status verdict_gather(struct meeting *meeting)
{
    struct verdict verdict = {.trouble = meeting->own, .fetches = all_can_be_fetched(meeting)};
    return gather(meeting, &verdict, sizeof verdict);
}

static bool all_fetch(const struct meeting *meeting)
{
    const struct verdict *all = meeting->all;
    bool fetch = true;
    for (int rank = 0; rank < meeting->world->size; rank++) {
        fetch = fetch && all[rank].fetches != 0;
    }
    return fetch;
}

static void limit_tell(const struct room_limit *limit, char *text, size_t bytes)
{
    if (limit->option == 0) {
        *text = '\0';
        return;
    }
    snprintf(text, bytes,
             "; ulimit -%c is %" PRIu64 " (KiB) there, and at least %" PRIu64
             " of it are needed for this alone",
             limit->option, limit->kib, limit->needed_kib);
}

static void trouble_tell(int rank, const struct trouble *trouble, char *sentence, size_t bytes)
{
    char limit[128];
    const char *cause = strerror(trouble->error);
    limit_tell(&trouble->limit, limit, sizeof limit);
    switch (trouble->kind) {
    case TROUBLE_MAP:
        snprintf(sentence, bytes, "rank %d (pid %d) cannot map the memory of rank %d: %s", rank,
                 trouble->pid, trouble->peer, cause);
        return;
    case TROUBLE_FOREIGN:
        snprintf(sentence, bytes,
                 "rank %d (pid %d) finds something else where rank %d announced its memory: do "
                 "they run in different containers, or as different users?",
                 rank, trouble->pid, trouble->peer);
        return;
    case TROUBLE_HOST:
        snprintf(sentence, bytes,
                 "rank %d (pid %d) and rank %d disagree on which ranks share their host or on the "
                 "bytes of their area",
                 rank, trouble->pid, trouble->peer);
        return;
    default:
        snprintf(sentence, bytes, "rank %d (pid %d) cannot make memory to share: %s%s", rank,
                 trouble->pid, cause, limit);
    }
}

/* ---- The second way ------------------------------------------------------------------------- */

static int place_at(const struct fabric *fabric, int distance)
{
    return (fabric->place + distance + fabric->size) % fabric->size;
}

static void envoy_take(struct meeting *meeting, int socket_fd, struct peer *peer)
{
    int fd = -1;
    struct mapping *mapping = NULL;
    int error = envoy_receive(socket_fd, &peer->card, &fd);
    if (error == 0 && peer->mapping == NULL) {
        error = mapping_open_fd(&peer->card, fd, &mapping);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (mapping != NULL) {
        peer_place(peer, mapping);
    } else if (peer->mapping == NULL) {
        /* A descriptor that did not come says less than why one was needed. */
        note(meeting, TROUBLE_MAP, peer->rank, error == EAGAIN ? meeting->proc_error : error);
    }
}

/* Each rank sends its descriptor to the place at `distance` after it; a gather makes sure that
 * everything has been sent. */
static enum ww_status envoys_step(struct meeting *meeting, int socket_fd, int distance)
{
    const struct fabric *fabric = meeting->fabric;
    int32_t nothing = 0;
    bool takes_part = socket_fd >= 0 && distance < fabric->size;
    if (takes_part) {
        const struct peer *to = &fabric->peers[place_at(fabric, distance)];
        envoy_send(socket_fd, &meeting->card, &to->card,
                   to->ground_offset); /* who lacks it tells */
    }
    enum ww_status status = gather(meeting, &nothing, sizeof nothing);
    if (status == WW_OK && takes_part) {
        envoy_take(meeting, socket_fd, &fabric->peers[place_at(fabric, -distance)]);
    }
    return status;
}

/* Troubles begin anew: they may be healed. The own memory, which had no room to be noted down, is
 * in nobody's parcel. */
static enum ww_status envoys_exchange(struct meeting *meeting)
{
    int socket_fd = -1;
    int32_t nothing = 0;
    struct fabric *fabric = meeting->fabric;
    struct peer *self = &fabric->peers[fabric->place];
    struct trouble before = meeting->own;
    meeting->proc_error = before.error;
    meeting->own = (struct trouble){.kind = TROUBLE_NONE};
    if (self->mapping == NULL) {
        peer_map(meeting, self);
    }
    uint64_t number = (uint64_t)(fabric->ground - fabric->base);
    int error = envoy_open(&meeting->card, number, &socket_fd);
    enum ww_status status = gather(meeting, &nothing, sizeof nothing);
    for (int distance = 1; status == WW_OK && distance < meeting->size_most; distance++) {
        status = envoys_step(meeting, socket_fd, distance);
    }
    if (socket_fd >= 0) {
        close(socket_fd);
    }
    if (error != 0) {
        meeting->own = before; /* nothing changed */
    }
    return status;
}

/* ---- Together ------------------------------------------------------------------------------- */

/* Everything up to the first verdict. */
static enum ww_status introduce(struct meeting *meeting)
{
    struct hello hello = hello_make(meeting);
    meeting->fabric = fabric_create(meeting->setup, hello.size);
    if (meeting->fabric == NULL) {
        note(meeting, TROUBLE_MEMORY, -1, ENOMEM);
    } else {
        places_number(meeting, meeting->fabric);
    }
    enum ww_status status = gather(meeting, &hello, sizeof hello);
    if (status != WW_OK) {
        return status;
    }
    own_part_make(meeting, hellos_read(meeting, &hello));
    struct record record = record_make(meeting);
    status = gather(meeting, &record, sizeof record);
    if (status != WW_OK) {
        return status;
    }
    peers_map(meeting);
    return verdict_gather(meeting);
}

static enum ww_status agree(struct meeting *meeting, char *sentence, size_t bytes)
{
    enum ww_status status = introduce(meeting);
    if (status == WW_OK && sockets_may_help(meeting)) {
        status = envoys_exchange(meeting);
        status = status == WW_OK ? verdict_gather(meeting) : status;
    }
    int troubled = status == WW_OK ? rank_in_trouble(meeting) : -1;
    if (troubled >= 0) {
        const struct verdict *all = meeting->all;
        trouble_tell(troubled, &all[troubled].trouble, sentence, bytes);
        status = WW_UNSUPPORTED;
    }
    return status;
}

/* A refused fabric: nobody has used its ground. */
static void fabric_withdraw(struct fabric *fabric)
{
    for (int place = 0; fabric != NULL && place < fabric->size; place++) {
        mapping_close(fabric->peers[place].mapping);
    }
    if (fabric != NULL && fabric->ground != NULL) {
        arena_give(fabric->ground);
        arena_leave(false);
    }
    fabric_destroy(fabric);
}

enum ww_status fabric_meet(const struct ww_transport_setup *setup, struct fabric **fabric,
                           char *sentence, size_t bytes)
{
    struct meeting meeting = {.setup = setup, .world = setup->world};
    int odd = -1;
    enum ww_status its = WW_OK;
    meeting.all = calloc((size_t)setup->world->size, sizeof(struct record));
    enum ww_status status = world_vote(setup->world, meeting.all == NULL ? WW_NO_MEMORY : WW_OK,
                                       &odd, &its);
    if (status == WW_OK && odd >= 0) {
        snprintf(sentence, bytes, "rank %d has no memory to hear from %d ranks", odd,
                 setup->world->size);
        status = WW_UNSUPPORTED;
    }
    if (status == WW_OK) {
        status = agree(&meeting, sentence, bytes);
    }
    if (status == WW_OK) {
        meeting.fabric->fetches = all_fetch(&meeting);
        *fabric = meeting.fabric;
    } else {
        fabric_withdraw(meeting.fabric);
    }
    free(meeting.all);
    return status;
}

/* The peers' grounds are theirs again; the own one may still be read, and a peer that is amid a
 * collective works in what was reserved. */
static void ground_retire(struct fabric *fabric)
{
    for (int place = 0; place < fabric->size; place++) {
        struct peer *peer = &fabric->peers[place];
        struct head *head = &((struct head *)(void *)peer->ground)[fabric->place];
        if (place != fabric->place) {
            atomic_store_explicit(&head->left, 1, memory_order_release);
        }
    }
    *fabric->remnant = (struct remnant){.heads = (const struct head *)(const void *)fabric->ground,
                                        .size = fabric->size,
                                        .place = fabric->place,
                                        .reserved = fabric->reserved,
                                        .reserved_count = fabric->lends ? 0
                                                                        : fabric->reserved_count};
    fabric->reserved = NULL;
    arena_retire(fabric->remnant);
    fabric->remnant = NULL;
}

void fabric_part(struct fabric *fabric, bool failed)
{
    if (fabric->pid == getpid()) {
        ground_retire(fabric);
        for (int place = 0; place < fabric->size; place++) {
            mapping_close(fabric->peers[place].mapping);
        }
        arena_leave(failed);
    }
    fabric_destroy(fabric);
}
