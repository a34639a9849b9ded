/* SPDX-License-Identifier: BSD-3-Clause
 * plot.h: bus bandwidth over size as an SVG picture that stands alone: no scripts, no fonts, no
 * links. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdio.h>

#include "curves.h"

struct plot {
    const struct report *report;
    const struct curves *curves;
};

/* plot   const struct plot *; a file_writer */
void plot_write(FILE *to, const void *plot);

#endif
