/* SPDX-License-Identifier: BSD-3-Clause
 * wires.h: the two faces of a machine. */
#ifndef BENCH_WIRES_H
#define BENCH_WIRES_H

#include <stdio.h>

#include <wirewise/tools.h>

/* A screen for people. */
void wires_print(const struct ww_machine *machine, FILE *to);

/* One JSON document, schema wirewise.wires/1. unmet: what --require did not find, NULL = nothing
 * was required. */
void wires_write_json(const struct ww_machine *machine, const char *unmet, FILE *to);

#endif
