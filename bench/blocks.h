/* SPDX-License-Identifier: BSD-3-Clause
 * blocks.h: what the bench prints beyond the table of nccl-tests, in comment lines behind its rows.
 * Every function prints nothing when out is NULL: so only rank 0 prints. */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include <stdio.h>

#include "report.h"
#include "ways.h"

/* A line per host: cores, processor, kernel. */
void block_hosts(FILE *out, const struct place *places, int size);

/* A line per placement of each record: what the calls took one by one. */
void block_calls(FILE *out, const struct report *report);

/* The peer's function, whose it is, and the columns; then a line per contest. */
void block_contests(FILE *out, const char *function, const char *peer);
void block_contest(FILE *out, const struct contest_record *record);

/* The columns of contests with NCCL on a GPU. */
void block_contests_on_gpu(FILE *out, const char *peer);

/* How gradients travel between the ranks' GPUs, and whether ranks share one. */
void block_gpus(FILE *out, const struct report *report);

void block_marker(FILE *out, const struct marker *marker, int hosts);

/* How much of a buffer of `bytes` lies on huge pages, on the rank that got least. */
void block_huge_pages(FILE *out, size_t bytes, size_t huge_bytes);

/* What was expected, on `out`; what was not met, as sentences on stderr, too. */
void block_verdicts(FILE *out, const struct report *report);

/* What the library knows about the wires, a line each; then the columns of what follows. */
void block_wires(FILE *out, const char *lines);

/* A line per way of one job. */
void block_ways(FILE *out, const struct job *job, const struct ways *ways);
void block_ways_verdict(FILE *out, const struct ways_verdict *verdict);

void block_resident(FILE *out, const struct resident *resident, int threads);

#endif
