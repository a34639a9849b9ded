/* SPDX-License-Identifier: BSD-3-Clause
 * line.h: what only the whole command line can tell. */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include "options.h"

struct argp_state;

/* Fills what was not given, and refuses what does not go together. */
void line_finish(struct argp_state *state, struct options *options);

#endif
