/* SPDX-License-Identifier: BSD-3-Clause
 * ucx.h: a fabric over UCX, for worlds whose ranks are on several hosts and need no MPI. */
#ifndef WIREWISE_UCX_H
#define WIREWISE_UCX_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The UCX transport, for ww_world.transport. Any world with an all_gather can have it;
 * ww_env_world_create gives it to its worlds by itself. The library of UCX is looked for when a
 * fabric is opened, and where it is not there that is an error of ww_context_create: whoever runs
 * on one host never loads it. UCX takes what it finds: InfiniBand, RoCE, TCP; its own variables
 * choose among them (UCX_TLS, UCX_NET_DEVICES).
 * A peer that dies makes collectives fail with WW_PEER_FAILED and its rank. So does one whose host
 * or network is silent for some 30 seconds, whatever timeout_s is: UCX asks after it then, and
 * UCX_TCP_KEEPIDLE says after how long. All memory is free when a context has ended, after a
 * failure as well.
 * Thread   any
 * A library that was built without UCX has neither this function nor this header. */
WW_API const struct ww_transport *ww_ucx_transport(void);

#ifdef __cplusplus
}
#endif
#endif
