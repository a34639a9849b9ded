/* SPDX-License-Identifier: BSD-3-Clause
 * around.h: what transports that go around another one have in common: most slots hand on. */
#ifndef TRANSPORT_AROUND_H
#define TRANSPORT_AROUND_H

#include <wirewise/transport.h>

/* Their fabrics begin with it. */
struct around {
    const struct ww_transport *below;
    void *fabric;          /* of the one below */
    struct ww_world world; /* with the transport below */
};

/* The same setup for the fabric below; world is room for its world. */
struct ww_transport_setup around_setup(const struct ww_transport_setup *setup,
                                       const struct ww_transport *below, struct ww_world *world);

/* Opens the one below, and fills *around. What a fabric needs beside it is made behind that: a rank
 * without memory for it would be missing below. */
enum ww_status around_open(const struct ww_transport_setup *setup, const struct ww_transport *below,
                           struct around *around);

/* Slots for memory and what peers see of it, handed on; what `below` leaves empty stays empty. The
 * name is below's. All other slots are NULL. */
struct ww_transport around_slots(const struct ww_transport *below);

#endif
