/* SPDX-License-Identifier: BSD-3-Clause
 * shape.h: what the files of the imitated wires share: the ports of hosts. */
#ifndef TRANSPORT_SHAPE_H
#define TRANSPORT_SHAPE_H

#include <stdatomic.h>

#include "internal/fabrics.h"

enum direction { PORT_OUT, PORT_IN, DIRECTIONS };

/* One direction of a host's port, in a line of its own. */
struct port {
    _Alignas(64) _Atomic uint64_t free_ns; /* until then it is taken */
};

struct ports {
    struct port *port; /* [hosts * DIRECTIONS] */
    void *memory;      /* it begins with a page that tells whose they are; NULL = not open */
    size_t bytes;
    bool shared; /* with all ranks; else they are this rank's alone */
};

/* How ports are looked for: rank 0 tells this to all. */
struct port_card {
    uint64_t nonce[2];
    int32_t pid;
    int32_t fd;
    int32_t error; /* errno of rank 0, which has none then; or whether a rank found them */
    int32_t reserved;
};

/* Makes ports of this rank's own. WW_OK, WW_NO_MEMORY. */
enum ww_status ports_open(struct ports *ports, int hosts);

/* Exchanges them for ports that all ranks share; collective. cards[world->size] is room. Where that
 * is not possible all keep their own, and rank 0 warns. WW_OK, WW_TRANSPORT_FAILED. */
enum ww_status ports_share(struct ports *ports, const struct ww_world *world, int hosts,
                           struct port_card *cards);

void ports_close(struct ports *ports);

/* Takes the port for span_ns, from first_ns on or as soon as it is free. Returns when that begins.
 * Any thread of any rank. */
uint64_t port_take(struct port *port, uint64_t first_ns, uint64_t span_ns);

#endif
