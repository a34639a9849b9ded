/* SPDX-License-Identifier: BSD-3-Clause
 * options.h: what the command line of `wirewise bench` asks for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"
#include "cases.h"
#include "launch.h"
#include "team.h"

#define EXPECTATIONS_MAX 64

/* --expect-busbw */
struct expectation {
    size_t bytes; /* as the command line counts sizes */
    double gbps;  /* least bus bandwidth */
};

struct options {
    int argc; /* the command line itself */
    char **argv;
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
    int checks;       /* 0 = results are not looked at */
    int blocking;     /* as given; calls return when they are done, whatever it says */
    double budget_s;  /* timed calls per size and placement take about so long at most; 0 = any */
    double timeout_s; /* what a stage of the run may take; 0 = any time */
    int average;      /* enum combine */
    int threads;
    int devices;        /* per thread: 1 */
    enum memory memory; /* of the buffers behind the table */
    bool memory_asked;  /* by --memory */
    bool on_gpu;        /* --device cuda */
    const char *codec;
    bool lossy;      /* it is not "none" */
    bool feeds_back; /* it comes with residuals */
    struct expectation expectations[EXPECTATIONS_MAX];
    int expectation_count;
    const char *json_path; /* NULL = not asked for */
    const char *csv_path;
    const char *cluster_path;
    const char *plot_path;
    const char *versus; /* the peer's name; NULL = none */
    bool versus_mpi;
    bool versus_nccl;
    bool predict;
    bool overhead;
    bool beside_overhead; /* something was given that says nothing to it */
    bool corrupt;         /* spoil one bit of every result, to see the check find it */
    bool processes;       /* the ranks are processes, not threads */
    bool over_mpi;        /* and MPI's */
    bool refused;         /* the line cannot be used; the sentence is printed */
};

/* Reads the command line and nothing else; argv is borrowed for as long as *options is used.
 * Returns  true when there is something to run. Otherwise *code is what the process ends with: a
 *          sentence was printed by rank 0, which alone ends with EXIT_USAGE. --help and --version
 *          print and end the process. */
bool options_read(int argc, char **argv, struct options *options, int *code);

#endif
