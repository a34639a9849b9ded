/* SPDX-License-Identifier: BSD-3-Clause
 * table.h: what the bench prints. Admin tools read the first table, which is that of nccl-tests to
 * the letter; our own figures follow in blocks of comment lines. Every function prints nothing
 * when out is NULL: so only rank 0 prints. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"
#include "times.h"

/* Where a rank lives. */
struct place {
    int pid;
    char host[64];
    size_t memory_bytes; /* of the host */
};

/* The first five columns. */
struct subject {
    size_t bytes;
    size_t count;
    const char *type;
    const char *op; /* "none" where nothing is reduced */
    int root;       /* -1 where there is none */
};

/* Four columns: one placement of one subject. */
struct figures {
    double seconds; /* of one call, combined over ranks as -a says */
    double algorithm_gbps;
    double bus_gbps;
    bool checked;
    uint64_t wrong; /* elements, on all ranks together */
    int calls;
    struct summary per_call; /* seconds, of the slowest rank */
};

/* Ours and the peer's calls, taken in turn. */
struct contest {
    int rounds;
    int batch; /* calls per round, each on a buffer of its own */
    struct summary ours;
    struct summary peers;
    struct summary ratio; /* the peer's time / ours, round by round */
};

void table_open(FILE *out, const struct options *options, const char *mpi);
void table_places(FILE *out, const struct place *places, int size);
void table_columns(FILE *out);
void table_subject(FILE *out, const struct subject *subject);
void table_figures(FILE *out, const struct figures *figures);
void table_end_row(FILE *out);
void table_close(FILE *out, const struct options *options, int failures, double bus_gbps_mean);

/* Second table: one row per placement. */
void calls_columns(FILE *out);
void calls_row(FILE *out, const struct subject *subject, bool in_place, const char *codec,
               const struct figures *figures);

/* Third table, for --versus. */
void contest_columns(FILE *out, const char *peer);
void contest_row(FILE *out, const struct subject *subject, const struct contest *contest);

#endif
