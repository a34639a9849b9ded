/* SPDX-License-Identifier: BSD-3-Clause
 * gather.c: asks the world for what every rank has to say. */
#include "internal/gather.h"

#include <string.h>

#include "internal/log.h"

enum ww_status world_gather(const struct ww_world *world, const void *own, void *all, size_t bytes)
{
    if (world->size == 1) {
        memcpy(all, own, bytes);
        return WW_OK;
    }
    unsigned long errors = log_error_count();
    int failure = world->all_gather(world->self, own, all, bytes);
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
