/* SPDX-License-Identifier: BSD-3-Clause
 * parameters.h: the model's parameters as named tensors, all values in one block of memory and
 * all gradients in another, in the same order. */
#ifndef TRAIN_PARAMETERS_H
#define TRAIN_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "real.h"

#define VOCABULARY 256 /* every byte is a word */

/* The measures of a model. heads divides width. */
struct model_size {
    const char *name;
    size_t layers;
    size_t width;
    size_t heads;
    size_t context;
    size_t batch; /* the global batch where the user names none */
};

/* How a tensor begins. */
enum fill { FILL_ZERO, FILL_ONE, FILL_NORMAL };

struct tensor {
    char name[48];
    int dims; /* 1 or 2 */
    size_t shape[2];
    enum fill fill;
    double deviation; /* of FILL_NORMAL */
    size_t first;     /* where it begins in values and gradients */
    size_t count;
};

/* A layer's tensors, in the order of the forward pass. */
enum layer_tensor {
    NORM1_GAIN,
    NORM1_SHIFT,
    QKV_WEIGHT,
    QKV_BIAS,
    PROJECT_WEIGHT,
    PROJECT_BIAS,
    NORM2_GAIN,
    NORM2_SHIFT,
    EXPAND_WEIGHT,
    EXPAND_BIAS,
    CONTRACT_WEIGHT,
    CONTRACT_BIAS,
    LAYER_TENSORS
};

/* The tensors before the first layer and, counted from the last layer's end, behind it. */
enum outer_tensor { EMBEDDING, POSITION, BEFORE_LAYERS };
enum end_tensor { FINAL_GAIN, FINAL_SHIFT, HEAD_WEIGHT, HEAD_BIAS, BEHIND_LAYERS };

struct parameters {
    struct tensor *tensors;
    size_t tensor_count;
    real *values;    /* [count] */
    real *gradients; /* [count] */
    size_t count;
    bool gradients_lent; /* by parameters_move_gradients */
};

/* Lays out a model's tensors; everything starts as zeros. False when memory ran out; otherwise
 * parameters_finish frees what was taken, and takes zeroes. */
bool parameters_init(struct parameters *parameters, const struct model_size *size);
void parameters_finish(struct parameters *parameters);

/* From now on gradients lie in memory[count], which is zero and stays the caller's. */
void parameters_move_gradients(struct parameters *parameters, real *memory);

/* Draws the values a training begins with; the same for the same seed, always. */
void parameters_draw(struct parameters *parameters, uint64_t seed);

/* The index of a tensor. */
size_t layer_tensor(size_t layer, enum layer_tensor tensor);
size_t end_tensor(const struct model_size *size, enum end_tensor tensor);

#endif
