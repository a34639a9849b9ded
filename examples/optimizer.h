/* SPDX-License-Identifier: BSD-3-Clause
 * optimizer.h: what a training does with its gradients: SGD with momentum, or Adam. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "real.h"

struct optimizer;

/* A rule, one of a table. */
struct optimizer_kind {
    const char *name;
    double rate; /* the learning rate where the user names none */
    int states;  /* numbers it remembers per parameter */
    void (*apply)(struct optimizer *optimizer, const real *gradients, real *values);
};

struct optimizer {
    const struct optimizer_kind *kind;
    double rate;     /* of the next step */
    double momentum; /* of SGD; of Adam, how much of its mean stays */
    size_t count;    /* parameters */
    size_t step;     /* applied so far */
    real *state;     /* [kind->states * count] */
};

/* NULL for a name that is none. */
const struct optimizer_kind *optimizer_kind_find(const char *name);

/* Begins with zeroed state; fill kind, momentum and count before, and rate before each step. False
 * when memory ran out. optimizer_finish frees the state. */
bool optimizer_init(struct optimizer *optimizer);
void optimizer_finish(struct optimizer *optimizer);

/* Moves values[count] by the mean gradients[count]. */
void optimizer_apply(struct optimizer *optimizer, const real *gradients, real *values);

#endif
