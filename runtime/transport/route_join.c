/* SPDX-License-Identifier: BSD-3-Clause
 * route_join.c: chooses and opens the parts of a joined fabric.
 *
 * All ranks make the same calls in the same order: each tells the others where it stands, hears
 * the same answers and comes to the same choice. Whatever may fail on one rank alone is followed
 * by such a round before the next thing that all must do together. */
#include "route_join.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/gather.h"
#include "internal/log.h"
#include "shm.h"

#define TEXT_BYTES 496

/* What one rank tells all others. */
struct word {
    int32_t status;
    int32_t near;          /* another rank is of its host */
    int32_t far;           /* a rank of another host; -1 = none */
    char text[TEXT_BYTES]; /* what is wrong when the status is not WW_OK */
};

/* What this rank knows so far. All but `setup` is the same on all ranks. */
struct opening {
    const struct ww_transport_setup *setup;
    const struct ww_transport *network; /* NULL = the world names none */
    struct word *words;                 /* [size] what all ranks told last */
    bool near;                          /* ranks share hosts */
    int far[2];                         /* two ranks of different hosts; -1 = there are none */
    int troubled;                       /* a rank whose thread cannot use the network; -1 = none */
    char trouble[TEXT_BYTES];
    bool refused; /* memory, by the system */
    char refusal[TEXT_BYTES];
};

const struct route_memory *route_memory_instead;

static const struct route_memory shared_memory = {&ww_shm_transport, shm_open_quietly};

const struct route_memory *route_memory(void)
{
    return route_memory_instead != NULL ? route_memory_instead : &shared_memory;
}

static enum ww_status tell_all(struct opening *opening, const struct word *own)
{
    return world_gather(opening->setup->world, own, opening->words, sizeof *own);
}

/* The lowest rank that told of a failure; -1 = none did. */
static int first_failed(const struct opening *opening)
{
    for (int rank = 0; rank < opening->setup->world->size; rank++) {
        if (opening->words[rank].status != WW_OK) {
            return rank;
        }
    }
    return -1;
}

int route_far_rank(const struct ww_transport_setup *setup)
{
    for (int rank = 0; rank < setup->world->size; rank++) {
        if (rank != setup->world->rank && setup->peer_level[rank] >= setup->host_levels) {
            return rank;
        }
    }
    return -1;
}

static bool has_neighbour(const struct ww_transport_setup *setup)
{
    for (int rank = 0; rank < setup->world->size; rank++) {
        if (rank != setup->world->rank && setup->peer_level[rank] < setup->host_levels) {
            return true;
        }
    }
    return false;
}

const char *route_network_trouble(const struct ww_transport_setup *setup)
{
    const struct ww_transport *network = setup->world->transport;
    return network == NULL || network->thread_trouble == NULL ? NULL
                                                              : network->thread_trouble(setup);
}

/* Tells where this rank stands and learns where all stand. */
static enum ww_status survey(struct opening *opening)
{
    const struct ww_transport_setup *setup = opening->setup;
    const char *trouble = setup->own_thread ? route_network_trouble(setup) : NULL;
    struct word own = {.status = trouble == NULL ? WW_OK : WW_UNSUPPORTED,
                       .near = has_neighbour(setup),
                       .far = route_far_rank(setup)};
    snprintf(own.text, sizeof own.text, "%s", trouble == NULL ? "" : trouble);
    enum ww_status status = tell_all(opening, &own);
    if (status != WW_OK) {
        return status;
    }
    for (int rank = setup->world->size - 1; rank >= 0; rank--) {
        opening->near = opening->near || opening->words[rank].near;
        if (opening->words[rank].far >= 0) {
            opening->far[0] = rank;
            opening->far[1] = opening->words[rank].far;
        }
    }
    opening->troubled = first_failed(opening);
    if (opening->troubled >= 0) {
        memcpy(opening->trouble, opening->words[opening->troubled].text, sizeof opening->trouble);
    }
    return WW_OK;
}

/* Opens memory on all ranks, or notes why not and opens it on none. */
static enum ww_status open_memory(struct opening *opening, struct part *memory)
{
    const struct route_memory *door = route_memory();
    struct word own = {.status = WW_OK};
    void *fabric = NULL;
    own.status = door->open_quietly(opening->setup, &fabric, own.text, sizeof own.text);
    if (own.status == WW_TRANSPORT_FAILED) {
        return WW_TRANSPORT_FAILED; /* the world itself does not work: nothing to agree by */
    }
    if (own.status != WW_OK && own.status != WW_UNSUPPORTED) {
        snprintf(own.text, sizeof own.text, "%s", log_last_error());
    }
    enum ww_status status = tell_all(opening, &own);
    int refused = status == WW_OK ? first_failed(opening) : -1;
    if (status == WW_OK && refused < 0) {
        *memory = (struct part){door->transport, fabric};
        return WW_OK;
    }
    if (own.status == WW_OK) {
        door->transport->close(fabric, true);
    }
    if (refused >= 0) {
        opening->refused = true;
        memcpy(opening->refusal, opening->words[refused].text, sizeof opening->refusal);
    }
    return status;
}

static bool needs_network(const struct opening *opening)
{
    return opening->far[0] >= 0 || opening->refused;
}

static enum ww_status network_is_missing(const struct opening *opening)
{
    if (opening->far[0] >= 0) {
        return log_failure(WW_UNSUPPORTED,
                           "ranks %d and %d are on different hosts, and the world names no "
                           "transport between hosts: make it with ww_mpi_world, or in a build with "
                           "UCX with ww_env_world_create, or run all ranks on one host",
                           opening->far[0], opening->far[1]);
    }
    return log_failure(WW_UNSUPPORTED,
                       "shared memory is refused: %s; and the world names no transport that could "
                       "take its place: make it with ww_mpi_world, or in a build with UCX with "
                       "ww_env_world_create",
                       opening->refusal);
}

/* What all ranks know alike, before any of them waits for the others in the network's open. */
static enum ww_status network_check(const struct opening *opening)
{
    if (opening->network == NULL) {
        return network_is_missing(opening);
    }
    if (opening->troubled < 0) {
        return WW_OK;
    }
    if (opening->refused) {
        return log_failure(WW_UNSUPPORTED,
                           "shared memory is refused: %s; and %s cannot take its place beside the "
                           "progress thread of rank %d (progress=inline needs none): %s",
                           opening->refusal, opening->network->name, opening->troubled,
                           opening->trouble);
    }
    return log_failure(WW_UNSUPPORTED, "a progress thread of rank %d cannot use %s: %s",
                       opening->troubled, opening->network->name, opening->trouble);
}

static enum ww_status open_network(struct opening *opening, struct part *network)
{
    const struct ww_transport *transport = opening->network;
    struct word own = {.status = WW_OK};
    void *fabric = NULL;
    own.status = transport->open(opening->setup, &fabric);
    if (own.status != WW_OK) {
        snprintf(own.text, sizeof own.text, "%s", log_last_error());
    }
    enum ww_status status = tell_all(opening, &own);
    int failed = status == WW_OK ? first_failed(opening) : -1;
    if (status == WW_OK && failed < 0) {
        *network = (struct part){transport, fabric};
        return WW_OK;
    }
    if (own.status != WW_OK) {
        return own.status;
    }
    transport->close(fabric, true); /* peers of it are missing */
    return failed < 0 ? status
                      : log_failure(WW_PEER_FAILED, "rank %d could not open %s: %s", failed,
                                    transport->name, opening->words[failed].text);
}

/* A context opens several fabrics, all refused for one reason: it is said once. */
static void warn_of_refusal(const struct opening *opening)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char told[sizeof opening->refusal];
    if (opening->setup->world->rank != 0 || !opening->refused) {
        return;
    }
    pthread_mutex_lock(&lock);
    bool news = strcmp(told, opening->refusal) != 0;
    memcpy(told, opening->refusal, sizeof told);
    pthread_mutex_unlock(&lock);
    if (news) {
        log_warn("shared memory is refused: %s; messages inside hosts go through %s, which is "
                 "slower",
                 opening->refusal, opening->network->name);
    }
}

static enum ww_status open_parts(struct opening *opening, struct part part[PARTS])
{
    enum ww_status status = survey(opening);
    if (status == WW_OK && opening->near) {
        status = open_memory(opening, &part[MEMORY]);
    }
    if (status != WW_OK || !needs_network(opening)) {
        return status;
    }
    status = network_check(opening);
    if (status == WW_OK) {
        status = open_network(opening, &part[NETWORK]);
    }
    if (status != WW_OK && part[MEMORY].transport != NULL) {
        part[MEMORY].transport->close(part[MEMORY].fabric, false); /* it did nothing yet */
    }
    return status;
}

enum ww_status route_join(const struct ww_transport_setup *setup, struct part part[PARTS])
{
    size_t size = (size_t)setup->world->size;
    struct part opened[PARTS] = {{NULL, NULL}, {NULL, NULL}};
    struct opening opening = {
        .setup = setup, .network = setup->world->transport, .far = {-1, -1}, .troubled = -1};
    enum ww_status status = WW_OK;
    opening.words = calloc(size, sizeof *opening.words);
    if (opening.words == NULL || part == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for a fabric between %zu ranks", size);
    }
    status = world_all_well(setup->world, status, "open its fabric");
    if (status == WW_OK) {
        status = open_parts(&opening, opened);
    }
    if (status == WW_OK) {
        warn_of_refusal(&opening);
        memcpy(part, opened, sizeof opened);
    }
    free(opening.words);
    return status;
}
