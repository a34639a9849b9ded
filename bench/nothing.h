/* SPDX-License-Identifier: BSD-3-Clause
 * nothing.h: a fabric between two ranks that carries nothing. The peer is made to say whatever
 * this rank says, so that the library is content and what remains is its own cost. */
#ifndef BENCH_NOTHING_H
#define BENCH_NOTHING_H

#include <wirewise/transport.h>

/* Data messages are done as soon as they are posted and leave memory as it is: results mean
 * nothing. */
extern const struct ww_transport nothing_transport;

#endif
