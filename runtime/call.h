/* SPDX-License-Identifier: BSD-3-Clause
 * call.h: single calls, and the one that ends a context. */
#ifndef RUNTIME_CALL_H
#define RUNTIME_CALL_H

#include "context.h"

/* Waits until every rank is about to close the context. */
enum ww_status call_farewell(struct ww_context *context);

#endif
