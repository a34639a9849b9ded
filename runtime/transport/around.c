/* SPDX-License-Identifier: BSD-3-Clause
 * around.c: hands slots on to the transport below. */
#include "around.h"

struct ww_transport_setup around_setup(const struct ww_transport_setup *setup,
                                       const struct ww_transport *below, struct ww_world *world)
{
    struct ww_transport_setup inner = *setup;
    *world = *setup->world;
    world->transport = below;
    inner.world = world;
    return inner;
}

enum ww_status around_open(const struct ww_transport_setup *setup, const struct ww_transport *below,
                           struct around *around)
{
    struct ww_transport_setup inner = around_setup(setup, below, &around->world);
    around->below = below;
    return below->open(&inner, &around->fabric);
}

static enum ww_status hand_reserve(void *self, size_t bytes, void **memory)
{
    const struct around *around = self;
    return around->below->reserve(around->fabric, bytes, memory);
}

static void hand_release(void *self, void *memory, size_t bytes)
{
    const struct around *around = self;
    around->below->release(around->fabric, memory, bytes);
}

static void *hand_area(void *self, int rank)
{
    const struct around *around = self;
    return around->below->area(around->fabric, rank);
}

static bool hand_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    const struct around *around = self;
    return around->below->share(around->fabric, memory, bytes, key);
}

static void *hand_view(void *self, int peer, uint64_t key)
{
    const struct around *around = self;
    return around->below->view(around->fabric, peer, key);
}

static enum ww_status hand_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    const struct around *around = self;
    return around->below->fetch(around->fabric, peer, from, into, bytes);
}

static bool hand_fetches(void *self)
{
    const struct around *around = self;
    return around->below->fetches(around->fabric);
}

static size_t hand_control_room(void *self)
{
    const struct around *around = self;
    return around->below->control_room(around->fabric);
}

static bool hand_ended(void *self, int peer)
{
    const struct around *around = self;
    return around->below->ended(around->fabric, peer);
}

struct ww_transport around_slots(const struct ww_transport *below)
{
    return (struct ww_transport){
        .name = below->name,
        .yields_to_memory = below->yields_to_memory,
        .reserve = below->reserve == NULL ? NULL : hand_reserve,
        .release = below->release == NULL ? NULL : hand_release,
        .area = below->area == NULL ? NULL : hand_area,
        .share = below->share == NULL ? NULL : hand_share,
        .view = below->view == NULL ? NULL : hand_view,
        .fetch = below->fetch == NULL ? NULL : hand_fetch,
        .fetches = below->fetches == NULL ? NULL : hand_fetches,
        .ended = below->ended == NULL ? NULL : hand_ended,
        .control_room = below->control_room == NULL ? NULL : hand_control_room,
        .allocate = below->allocate,
        .deallocate = below->deallocate,
    };
}
