/* SPDX-License-Identifier: BSD-3-Clause
 * report_csv.h: a run as CSV (RFC 4180, lines end in a line feed). bench/README.md describes the
 * columns. */
#ifndef BENCH_REPORT_CSV_H
#define BENCH_REPORT_CSV_H

#include <stdio.h>

/* report   const struct report *; a file_writer */
void report_csv(FILE *to, const void *report);

#endif
