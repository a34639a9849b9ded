/* SPDX-License-Identifier: BSD-3-Clause
 * route.h: the fabric that joins shared memory inside hosts with a fabric between them. */
#ifndef TRANSPORT_ROUTE_H
#define TRANSPORT_ROUTE_H

#include <wirewise/transport.h>

/* Carries messages between ranks of one host through memory, the others through the transport that
 * the world names, which may be NULL where all ranks share one host. Neither is opened where it has
 * nothing to carry. Where memory is refused the world's transport carries everything, and rank 0
 * says so in one warning.
 *
 * open returns, beside what the world's transport returns: WW_UNSUPPORTED on every rank, with the
 * same sentence, where there is no way between two ranks; WW_PEER_FAILED where another rank could
 * not open the world's transport; WW_TRANSPORT_FAILED when all_gather failed; WW_NO_MEMORY. */
extern const struct ww_transport ww_route_transport;

/* What an open fabric of ww_route_transport joined: "shm", "shm + mpi", "mpi", or "nothing" for a
 * world of one. Valid until it is closed. */
const char *route_describe(const void *fabric);

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
