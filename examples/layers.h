/* SPDX-License-Identifier: BSD-3-Clause
 * layers.h: the pieces of a transformer, each forward and backward.
 *
 * A row is the vector of one byte of one sequence; the rows of a batch lie behind each other, a
 * sequence at a time. Every backward function writes the gradients of its parameters (it does
 * not add to them) and says what it does with the gradient of its input. */
#ifndef TRAIN_LAYERS_H
#define TRAIN_LAYERS_H

#include <stddef.h>
#include <stdint.h>

#include "real.h"

/* A parameter and its gradient, `count` numbers each. */
struct weight {
    real *values;
    real *gradient;
};

/* Rows of `in` numbers become rows of `out`: y = x W + b, W[in][out]. */
struct linear {
    struct weight weight;
    struct weight bias;
    size_t in;
    size_t out;
};

/* output = input W + b, or output += ... where keep is 1. */
void linear_forward(const struct linear *linear, real *input, size_t rows, real keep, real *output);

/* Overwrites input_gradient. */
void linear_backward(const struct linear *linear, real *input, real *output_gradient, size_t rows,
                     real *input_gradient);

/* Layer norm of rows of `width` numbers (Ba, Kiros, Hinton 2016). */
struct norm {
    struct weight gain;
    struct weight shift;
    size_t width;
};

/* What the backward pass needs again: mean and 1 / deviation of each row. */
struct row_moments {
    real mean;
    real inverse;
};

void norm_forward(const struct norm *norm, const real *input, size_t rows,
                  struct row_moments *moments, real *output);

/* Adds to input_gradient: the residual path already flows there. */
void norm_backward(const struct norm *norm, const real *input, const struct row_moments *moments,
                   size_t rows, const real *output_gradient, real *input_gradient);

/* GELU by its sigmoid of a cubic (Hendrycks, Gimpel 2016), elementwise. */
void gelu_forward(const real *input, size_t count, real *output);

/* Turns the gradient of the output into that of the input, in place. */
void gelu_backward(const real *input, size_t count, real *gradient);

/* Causal attention of `heads` heads over sequences of `context` rows. */
struct attention {
    size_t heads;
    size_t context;
    size_t width; /* of a row, all heads together */
};

/* qkv        [sequences * context][3 * width]: queries, keys, values
 * shares     [sequences * heads * context * context]: how much each row takes from each
 * output     [sequences * context][width] */
void attention_forward(const struct attention *attention, real *qkv, size_t sequences, real *shares,
                       real *output);

/* Overwrites qkv_gradient; scratch holds context * context numbers. */
void attention_backward(const struct attention *attention, real *qkv, size_t sequences,
                        real *shares, real *output_gradient, real *qkv_gradient, real *scratch);

/* The cross entropy of one row in nats. logits[count] become its gradient times `scale`. */
double cross_entropy(real *logits, size_t count, uint8_t target, real scale);

#endif
