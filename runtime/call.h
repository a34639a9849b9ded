/* SPDX-License-Identifier: BSD-3-Clause
 * call.h: the collective calls that a context makes for itself. */
#ifndef RUNTIME_CALL_H
#define RUNTIME_CALL_H

#include "context.h"

/* Waits until every rank has come to the same place, `label` (GATE_LABEL_...), before something
 * that must not wait for a rank in vain: ranks that do something else or do not come are named.
 * A failure breaks the context. */
enum ww_status call_meet(struct ww_context *context, const char *name, uint32_t label);

#endif
