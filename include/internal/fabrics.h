/* SPDX-License-Identifier: BSD-3-Clause
 * fabrics.h: the fabrics that the runtime chooses by itself. */
#ifndef INTERNAL_FABRICS_H
#define INTERNAL_FABRICS_H

#include <wirewise/transport.h>

/* Between threads of one process. */
extern const struct ww_transport ww_local_transport;

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

#endif
