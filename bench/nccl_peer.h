/* SPDX-License-Identifier: BSD-3-Clause
 * nccl_peer.h: NCCL's own all-reduce as a peer, loaded at run time and apart from the library's. */
#ifndef BENCH_NCCL_PEER_H
#define BENCH_NCCL_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/wirewise.h>

struct nccl_peer;
struct CUstream_st;

/* Loads NCCL (WIREWISE_NCCL names it, else libnccl.so.2) and connects all ranks, which call it
 * together, each with its GPU current. Ends all ranks with a sentence where that fails. */
struct nccl_peer *nccl_peer_open(const struct ww_world *world, struct CUstream_st *stream);
void nccl_peer_close(struct nccl_peer *peer);

/* "NCCL 2.28.9" */
const char *nccl_peer_name(const struct nccl_peer *peer);

/* ncclAllReduce in place, enqueued. False = it failed. */
bool nccl_peer_all_reduce(struct nccl_peer *peer, void *values, size_t count, enum ww_type type,
                          enum ww_op op);

#endif
