/* SPDX-License-Identifier: BSD-3-Clause
 * alone.c: opens UCX's fabric as a context of one rank would. */
#include "alone.h"

#include <string.h>

#include <wirewise/transport.h>
#include <wirewise/ucx.h>

static int gather_alone(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self;
    memcpy(all, mine, bytes);
    return 0;
}

enum ww_status alone_open(void **fabric)
{
    struct ww_world world = WW_WORLD_INIT;
    const uint8_t peer_level = 0;
    world.all_gather = gather_alone;
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &world,
                                       .levels = 1,
                                       .host_levels = 0,
                                       .peer_level = &peer_level};
    return ww_ucx_transport()->open(&setup, fabric);
}
