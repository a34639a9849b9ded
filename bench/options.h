/* SPDX-License-Identifier: BSD-3-Clause
 * options.h: what the command line of `wirewise bench` asks for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "cases.h"
#include "launch.h"
#include "team.h"

struct options {
    struct launch launch;
    const struct collective *collective;
    struct type_name types[WW_TYPE_COUNT];
    int type_count;
    struct op_name ops[WW_OP_COUNT];
    int op_count;
    int root;
    size_t bytes_min;
    size_t bytes_max;
    size_t step_bytes;
    int step_factor; /* 1 = step_bytes is added instead */
    int iters;
    int warmup_iters;
    int checks;      /* 0 = results are not looked at */
    double budget_s; /* timed calls per size and placement take about so long at most; 0 = no end */
    int average;     /* enum combine */
    int threads;
    const char *codec;
    bool versus_mpi;
    bool overhead;
    bool corrupt;  /* spoil one bit of every result, to see the check find it */
    bool over_mpi; /* the ranks are MPI's, not threads */
    bool refused;  /* the line cannot be used; the sentence is printed */
};

/* Reads the command line and nothing else.
 * Returns  true when there is something to run. Otherwise *code is what the process ends with: a
 *          sentence was printed by rank 0, which alone ends with EXIT_USAGE. --help and --version
 *          print and end the process. */
bool options_read(int argc, char **argv, struct options *options, int *code);

#endif
