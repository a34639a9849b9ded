/* SPDX-License-Identifier: BSD-3-Clause
 * no_nccl.c: takes the place of nccl.c in a library that was built without NCCL's header. */
#include "internal/nccl.h"

#include <stdio.h>

int nccl_load(const char *library, char *why, size_t bytes)
{
    (void)library;
    snprintf(why, bytes, "this libwirewise was built without NCCL's header");
    return 0;
}

/* Nothing is opened where nothing was loaded. */
enum ww_status nccl_open(const struct nccl_setup *setup, struct nccl **nccl)
{
    (void)setup;
    *nccl = NULL;
    return WW_UNSUPPORTED;
}

void nccl_close(struct nccl *nccl)
{
    (void)nccl;
}

void nccl_abort(struct nccl *nccl, struct nccl *other)
{
    (void)nccl;
    (void)other;
}

enum ww_status nccl_look(struct nccl *nccl)
{
    (void)nccl;
    return WW_UNSUPPORTED;
}

enum ww_status nccl_post(struct nccl *nccl, const struct ww_message *messages, int count,
                         void *stream)
{
    (void)nccl;
    (void)messages;
    (void)count;
    (void)stream;
    return WW_UNSUPPORTED;
}

bool nccl_suits(enum ww_type type, enum ww_op op)
{
    (void)type;
    (void)op;
    return false;
}

enum ww_status nccl_all_reduce(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, enum ww_op op, void *stream)
{
    (void)nccl;
    (void)input;
    (void)output;
    (void)count;
    (void)type;
    (void)op;
    (void)stream;
    return WW_UNSUPPORTED;
}

enum ww_status nccl_reduce_scatter(struct nccl *nccl, const void *input, void *output, size_t count,
                                   enum ww_type type, enum ww_op op, void *stream)
{
    return nccl_all_reduce(nccl, input, output, count, type, op, stream);
}

enum ww_status nccl_all_gather(struct nccl *nccl, const void *input, void *output, size_t count,
                               enum ww_type type, void *stream)
{
    return nccl_all_reduce(nccl, input, output, count, type, WW_SUM, stream);
}

enum ww_status nccl_broadcast(struct nccl *nccl, void *values, size_t count, enum ww_type type,
                              int root, void *stream)
{
    (void)root;
    return nccl_all_reduce(nccl, values, values, count, type, WW_SUM, stream);
}
