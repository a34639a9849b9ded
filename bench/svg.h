/* SPDX-License-Identifier: BSD-3-Clause
 * svg.h: what drawings have in common. */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stddef.h>
#include <stdio.h>

/* Colours of Okabe and Ito, which the colour-blind can tell apart. */
#define SVG_COLOURS 7
extern const char *const svg_colours[SVG_COLOURS];

/* Text of an element: escaped, without what XML cannot hold, and at most so many letters. */
void svg_text(FILE *to, const char *text, size_t letters);

/* 1, 2 or 5 times a power of ten, so that about six steps reach the greatest value, which is more
 * than 0. */
double svg_step(double greatest);

#endif
