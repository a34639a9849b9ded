/* SPDX-License-Identifier: BSD-3-Clause
 * call.h: the collective calls that a context makes for itself. */
#ifndef RUNTIME_CALL_H
#define RUNTIME_CALL_H

#include "context.h"

/* Waits until every rank has come to the same place, `label` (GATE_LABEL_...), before something
 * that must not wait for a rank in vain: ranks that do something else or do not come are named.
 * A failure breaks the context. */
enum ww_status call_meet(struct ww_context *context, const char *name, uint32_t label);

/* For whom a call is made: the name that begins sentences, and what ranks at another place are told
 * apart by, GATE_LABEL_... */
struct call_purpose {
    const char *name;
    uint32_t label;
};

/* As ww_all_gather of int64_t. */
enum ww_status call_gather(struct ww_context *context, const struct call_purpose *purpose,
                           const int64_t *mine, int64_t *all, size_t count);

/* As ww_all_reduce_coded with WW_MEAN in place; what is drawn depends on the seed alone. */
struct call_mean {
    float *values;
    size_t count;
    const struct codec_spec *codec;
    float *residual; /* NULL = no error feedback */
    uint64_t seed;
};
enum ww_status call_mean(struct ww_context *context, const struct call_purpose *purpose,
                         const struct call_mean *mean);

#endif
