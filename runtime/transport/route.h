/* SPDX-License-Identifier: BSD-3-Clause
 * route.h: the fabric that joins shared memory inside hosts with a fabric between them. */
#ifndef TRANSPORT_ROUTE_H
#define TRANSPORT_ROUTE_H

#include "internal/fabrics.h"

/* For the fabric between hosts, while a fabric of ww_route_transport closes it: true for memory
 * that was reserved from shared memory. It stays mapped for good when messages in it are cut short,
 * so nobody has to be asked to keep it. */
bool route_keeps(const void *memory);

/* For tests: another fabric in the place of shared memory. */
struct route_memory {
    const struct ww_transport *transport;
    /* As shm_open_quietly: a refusal is told in sentence[bytes] and not logged. */
    enum ww_status (*open_quietly)(const struct ww_transport_setup *setup, void **fabric,
                                   char *sentence, size_t bytes);
};
extern const struct route_memory *route_memory_instead; /* NULL = shared memory */

#endif
