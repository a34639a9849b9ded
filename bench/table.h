/* SPDX-License-Identifier: BSD-3-Clause
 * table.h: the table of nccl-tests to the letter, as many tools read it. Every function prints
 * nothing when out is NULL: so only rank 0 prints. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdio.h>

#include "report.h"

void table_open(FILE *out, const struct options *options, const char *mpi);
void table_places(FILE *out, const struct place *places, int size);
void table_columns(FILE *out);

/* A row is built in three steps and leaves with the last. */
void table_subject(FILE *out, const struct subject *subject);
void table_figures(FILE *out, const struct figures *figures);
void table_end_row(FILE *out);

void table_close(FILE *out, const struct options *options, int failures, double bus_gbps_mean);

#endif
