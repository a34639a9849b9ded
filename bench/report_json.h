/* SPDX-License-Identifier: BSD-3-Clause
 * report_json.h: a run as one JSON document. bench/README.md describes the fields. */
#ifndef BENCH_REPORT_JSON_H
#define BENCH_REPORT_JSON_H

#include <stdio.h>

/* report   const struct report *; a file_writer */
void report_json(FILE *to, const void *report);

#endif
