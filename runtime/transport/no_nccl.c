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

void nccl_abort(struct nccl *nccl)
{
    (void)nccl;
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
