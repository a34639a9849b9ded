/* SPDX-License-Identifier: BSD-3-Clause
 * gather.h: the world's all_gather, with a sentence for when it fails. */
#ifndef INTERNAL_GATHER_H
#define INTERNAL_GATHER_H

#include <stddef.h>

#include <wirewise/wirewise.h>

/* Every rank's `bytes` into all[world->size * bytes], in the order of the ranks. Where the world
 * says itself why it failed, its sentence stays. Returns WW_OK, WW_TRANSPORT_FAILED. */
enum ww_status world_gather(const struct ww_world *world, const void *own, void *all, size_t bytes);

/* A vote before something that all ranks must do together, so that nobody waits in it for one that
 * cannot. It needs no memory, as that may be what one of them lacks (worlds of more than 8192
 * ranks do need some). `own` is how this rank fares; its sentence stays the latest error.
 * Writes the lowest rank that does not fare well, -1 = all do, and how that one fares.
 * Returns WW_OK, WW_TRANSPORT_FAILED, WW_NO_MEMORY. */
enum ww_status world_vote(const struct ww_world *world, enum ww_status own, int *odd,
                          enum ww_status *its);

/* The same, with a sentence: "rank 3 could not `what`: ...". Returns `own` where it is not WW_OK;
 * WW_PEER_FAILED where another rank fares badly; else what world_vote returns. */
enum ww_status world_all_well(const struct ww_world *world, enum ww_status own, const char *what);

#endif
