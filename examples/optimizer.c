/* SPDX-License-Identifier: BSD-3-Clause
 * optimizer.c: the two rules, elementwise, so that every rank that starts with the same values and
 * gets the same gradients keeps the same values. */
#include "optimizer.h"

#include <stdlib.h>
#include <string.h>

/* velocity = momentum * velocity + gradient; value -= rate * velocity */
static void apply_sgd(struct optimizer *optimizer, const real *restrict gradients,
                      real *restrict values)
{
    real *restrict velocity = optimizer->state;
    real rate = (real)optimizer->rate;
    real momentum = (real)optimizer->momentum;
    for (size_t i = 0; i < optimizer->count; i++) {
        velocity[i] = momentum * velocity[i] + gradients[i];
        values[i] -= rate * velocity[i];
    }
}

/* Kingma, Ba 2014. Both means begin at zero; the two corrections take that bias out. */
static void apply_adam(struct optimizer *optimizer, const real *restrict gradients,
                       real *restrict values)
{
    const double beta1 = optimizer->momentum;
    const double beta2 = 0.99;
    const real epsilon = (real)1e-8;
    real *restrict mean = optimizer->state;
    real *restrict square = optimizer->state + optimizer->count;
    real rate = (real)(optimizer->rate / (1 - pow(beta1, (double)optimizer->step)));
    real unbias = (real)(1 / (1 - pow(beta2, (double)optimizer->step)));
    real keep1 = (real)beta1;
    real keep2 = (real)beta2;
    for (size_t i = 0; i < optimizer->count; i++) {
        real g = gradients[i];
        mean[i] = keep1 * mean[i] + (1 - keep1) * g;
        square[i] = keep2 * square[i] + (1 - keep2) * g * g;
        values[i] -= rate * mean[i] / (real_sqrt(square[i] * unbias) + epsilon);
    }
}

static const struct optimizer_kind kinds[] = {
    {"adam", 1e-3, 2, apply_adam},
    {"sgd", 0.1, 1, apply_sgd},
};

const struct optimizer_kind *optimizer_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

void optimizer_finish(struct optimizer *optimizer)
{
    free(optimizer->state);
    optimizer->state = NULL;
}

bool optimizer_init(struct optimizer *optimizer)
{
    optimizer->step = 0;
    optimizer->state = calloc((size_t)optimizer->kind->states * optimizer->count, sizeof(real));
    return optimizer->state != NULL;
}

void optimizer_apply(struct optimizer *optimizer, const real *gradients, real *values)
{
    optimizer->step++;
    optimizer->kind->apply(optimizer, gradients, values);
}
