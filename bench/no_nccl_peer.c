/* SPDX-License-Identifier: BSD-3-Clause
 * no_nccl_peer.c: stands in for nccl_peer.c in a build without NCCL's header or without CUDA. */
#include "nccl_peer.h"

#include "team.h"

struct nccl_peer *nccl_peer_open(const struct ww_world *world, struct CUstream_st *stream)
{
    (void)stream;
    team_fail(world, "--versus nccl: wirewise was built without NCCL's header");
}

void nccl_peer_close(struct nccl_peer *peer)
{
    (void)peer;
}

const char *nccl_peer_name(const struct nccl_peer *peer)
{
    (void)peer;
    return "none";
}

bool nccl_peer_all_reduce(struct nccl_peer *peer, void *values, size_t count, enum ww_type type,
                          enum ww_op op)
{
    (void)peer;
    (void)values;
    (void)count;
    (void)type;
    (void)op;
    return false;
}
