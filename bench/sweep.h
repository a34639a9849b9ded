/* SPDX-License-Identifier: BSD-3-Clause
 * sweep.h: walks through everything that the command line asks for, in the order of the table. */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

#include "options.h"

/* The first five columns of the table. */
struct subject {
    size_t bytes;
    size_t count;
    const char *type;
    const char *op; /* "none" where nothing is reduced */
    int root;       /* -1 where there is none */
};

/* One line of the table. */
struct job {
    enum ww_type type;
    enum ww_op op;
    struct shape shape;
    size_t asked_bytes; /* as the command line counts; bytes may be less */
    size_t bytes;       /* the larger of a rank's input and output */
    struct subject subject;
};

typedef void sweep_visit(void *self, const struct job *job);

/* Calls visit once per job of `size` ranks. */
void sweep(const struct options *options, int size, sweep_visit *visit, void *self);

/* What the whole sweep needs. */
struct sweep_needs {
    size_t jobs;
    size_t input_bytes;  /* the largest input of a rank */
    size_t widest_bytes; /* the largest job's bytes */
};
struct sweep_needs sweep_needs(const struct options *options, int size);

/* True when the sweep measures this size. */
bool sweep_has_size(const struct options *options, size_t bytes);

#endif
