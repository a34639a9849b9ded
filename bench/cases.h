/* SPDX-License-Identifier: BSD-3-Clause
 * cases.h: what can be measured: collectives, element types, operations, with the names and the
 * sizes that nccl-tests gives them. */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/wirewise.h>

/* Elements of one call. `count` is what the library is told, the others are what a rank hands in
 * and gets back. */
struct shape {
    size_t count;
    size_t input_count;
    size_t output_count;
};

/* One call. In place, input and output follow the library's rules for it. */
struct call {
    const void *input;
    void *output;
    size_t count;
    enum ww_type type;
    enum ww_op op;
    int root;
};

/* What a rank's output holds afterwards. */
enum outcome {
    OUTCOME_REDUCED,       /* the reduction of all vectors */
    OUTCOME_REDUCED_SHARE, /* this rank's share of it */
    OUTCOME_GATHERED,      /* all vectors, one behind the other */
    OUTCOME_COPIED         /* the root's vector */
};

struct collective {
    const char *name;         /* "all_reduce" */
    const char *mpi_function; /* "MPI_Allreduce": what MPI has for it */
    enum outcome outcome;
    bool has_op;
    bool has_root;
    /* In place all lies in one buffer: is the input (output) only this rank's share of it? */
    bool input_is_share;
    bool output_is_share;
    struct shape (*shape)(size_t bytes, size_t type_bytes, int size);
    double (*bus_factor)(int size); /* bus bandwidth / algorithm bandwidth */
    enum ww_status (*run)(struct ww_context *context, const struct call *call);
};

struct type_name {
    const char *name;
    enum ww_type type;
};

struct op_name {
    const char *name;
    enum ww_op op;
};

extern const struct collective collectives[];
extern const size_t collective_count;
extern const struct type_name type_names[WW_TYPE_COUNT];
extern const struct op_name op_names[WW_OP_COUNT];

bool type_is_integer(enum ww_type type);

#endif
