/* SPDX-License-Identifier: BSD-3-Clause
 * csv.h: texts as fields of CSV (RFC 4180). */
#ifndef BENCH_CSV_H
#define BENCH_CSV_H

#include <stdio.h>

/* Writes a field, quoted where it must be, and a comma: the last one of a line takes its place by a
 * line feed. */
void csv_text(FILE *to, const char *text);

#endif
