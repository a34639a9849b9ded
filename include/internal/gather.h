/* SPDX-License-Identifier: BSD-3-Clause
 * gather.h: the world's all_gather, with a sentence for when it fails. */
#ifndef INTERNAL_GATHER_H
#define INTERNAL_GATHER_H

#include <stddef.h>

#include <wirewise/wirewise.h>

/* Every rank's `bytes` into all[world->size * bytes], in the order of the ranks. Where the world
 * says itself why it failed, its sentence stays. Returns WW_OK, WW_TRANSPORT_FAILED. */
enum ww_status world_gather(const struct ww_world *world, const void *own, void *all, size_t bytes);

#endif
