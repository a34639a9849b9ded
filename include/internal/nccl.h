/* SPDX-License-Identifier: BSD-3-Clause
 * nccl.h: NVIDIA's collectives, loaded when the program runs: the same library works where there
 * are none. A communicator joins all ranks of a world, or those of one host. Whatever is enqueued
 * here is enqueued by all ranks in the same order; streams are cudaStream_t. Bytes of messages are
 * equal on both ends.
 */
#ifndef INTERNAL_NCCL_H
#define INTERNAL_NCCL_H

#include <wirewise/transport.h>

#define NCCL_LIBRARY "libnccl.so.2"

struct nccl;

/* Loads the library of that name, NULL = NCCL_LIBRARY, once per process, and keeps it. 0 = it
 * cannot be used, and why[bytes] says why; else its version, 22809 for 2.28.9. */
int nccl_load(const char *library, char *why, size_t bytes);

struct nccl_setup {
    const struct ww_world *world; /* its all_gather is called once, by all its ranks */
    int leader;                   /* the lowest of the ranks that are connected with each other; */
    int size;                     /* so many are, and this one is ... */
    int rank;                     /* ... the so-manyeth of them */
    int device;                   /* of this rank */
    double timeout_s;             /* the most that connecting may take, and parting */
};

/* Opens this rank's end; nccl_load succeeded on all ranks, all call it.
 * WW_OK; WW_UNSUPPORTED (two ranks on one GPU), WW_TRANSPORT_FAILED, WW_TIMED_OUT, WW_NO_MEMORY. */
enum ww_status nccl_open(const struct nccl_setup *setup, struct nccl **nccl);

/* After abort too. NULL is fine. Otherwise it waits for what is under way, and for the other ranks
 * to close; those that do not in time are warned of. */
void nccl_close(struct nccl *nccl);

/* Ends whatever is under way on the GPU, so that streams go on; results are undefined. Two that
 * share a stream are aborted together, as the end of each waits for what lies before it there; NULL
 * is none. Any thread, any time. */
void nccl_abort(struct nccl *nccl, struct nccl *other);

/* WW_OK, or the failure that it found out by itself. Never blocks. */
enum ww_status nccl_look(struct nccl *nccl);

/* Enqueues all messages of a round. One thread at a time, as for all that follows. They wait for
 * peers only where ranks speak to each other for the first time, and return once aborted. */
enum ww_status nccl_post(struct nccl *nccl, const struct ww_message *messages, int count,
                         void *stream);

/* Whether NCCL's own collective gives what wirewise.h promises for these: it rounds 16-bit types
 * more than once, and its min and max lose NaN. */
bool nccl_suits(enum ww_type type, enum ww_op op);

/* Sums are not divided: WW_MEAN is WW_SUM here. */
enum ww_status nccl_all_reduce(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, enum ww_op op, void *stream);
enum ww_status nccl_reduce_scatter(struct nccl *nccl, const void *input, void *output, size_t count,
                                   enum ww_type type, enum ww_op op, void *stream);
enum ww_status nccl_all_gather(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, void *stream);
enum ww_status nccl_broadcast(struct nccl *nccl, void *values, size_t count, enum ww_type type,
                              int root, void *stream);

#endif
