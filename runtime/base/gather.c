/* SPDX-License-Identifier: BSD-3-Clause
 * gather.c: asks the world for what every rank has to say. */
#include "internal/gather.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

/* An all_gather may say 0 without having done anything, as a callback of Python's does that raises.
 * So the own place holds what no rank said: whoever leaves it so wrote nothing. */
static void place_spoil(unsigned char *place, const unsigned char *own, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        place[i] = (unsigned char)(255 - own[i]);
    }
}

static bool place_is_spoilt(const unsigned char *place, const unsigned char *own, size_t bytes)
{
    size_t i = 0;
    while (i < bytes && place[i] + own[i] == 255) {
        i++;
    }
    return i == bytes && bytes > 0;
}

enum ww_status world_gather(const struct ww_world *world, const void *own, void *all, size_t bytes)
{
    if (world->size == 1) {
        memcpy(all, own, bytes);
        return WW_OK;
    }
    unsigned char *place = (unsigned char *)all + (size_t)world->rank * bytes;
    unsigned long errors = log_error_count();
    place_spoil(place, own, bytes);
    int failure = world->all_gather(world->self, own, all, bytes);
    if (failure == 0 && place_is_spoilt(place, own, bytes)) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "the world's all_gather returned 0, but wrote none of %zu bytes from "
                           "each of %d ranks",
                           bytes, world->size);
    }
    if (failure == 0) {
        return WW_OK;
    }
    if (log_error_count() != errors) {
        return WW_TRANSPORT_FAILED; /* the worlds of this library know more */
    }
    return log_failure(WW_TRANSPORT_FAILED,
                       "the world's all_gather returned %d for %zu bytes from each of %d ranks",
                       failure, bytes, world->size);
}

#define VOTES_ON_STACK 8192

enum ww_status world_vote(const struct ww_world *world, enum ww_status own, int *odd,
                          enum ww_status *its)
{
    int8_t few[VOTES_ON_STACK];
    int8_t mine = (int8_t)own;
    int8_t *votes = world->size <= VOTES_ON_STACK ? few : malloc((size_t)world->size);
    if (votes == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", world->size);
    }
    memset(votes, WW_OK, (size_t)world->size);
    if (own != WW_OK) {
        log_hold_error(); /* the world may end with it */
    }
    enum ww_status status = world_gather(world, &mine, votes, sizeof mine);
    if (own != WW_OK) {
        log_release_error();
    }
    *odd = -1;
    for (int rank = world->size - 1; rank >= 0 && status == WW_OK; rank--) {
        if (votes[rank] != WW_OK) {
            *odd = rank;
            *its = (enum ww_status)votes[rank];
        }
    }
    if (votes != few) {
        free(votes);
    }
    return status;
}

enum ww_status world_all_well(const struct ww_world *world, enum ww_status own, const char *what)
{
    int odd;
    enum ww_status its;
    enum ww_status status = world_vote(world, own, &odd, &its);
    if (own != WW_OK) {
        return own;
    }
    if (status == WW_OK && odd >= 0) {
        status = log_failure(WW_PEER_FAILED, "rank %d could not %s: %s", odd, what,
                             ww_status_text(its));
    }
    return status;
}
