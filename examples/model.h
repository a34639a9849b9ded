/* SPDX-License-Identifier: BSD-3-Clause
 * model.h: a language model over bytes: a pre-norm transformer with learned positions, trained to
 * name the next byte. */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "parameters.h"

struct model;

/* Tells that the gradient of tensor `index` is complete: this pass will not touch it again, so
 * it may already travel while the pass goes on. */
typedef void gradient_ready(void *self, size_t index);

/* A model with room for `batch` sequences at once, all parameters zero. NULL when memory ran out.
 * size is borrowed until model_destroy; destroy takes NULL. */
struct model *model_create(const struct model_size *size, size_t batch);
void model_destroy(struct model *model);

/* As parameters_move_gradients; the memory outlives the model's last pass. */
void model_move_gradients(struct model *model, real *memory);

struct parameters *model_parameters(struct model *model);

/* Reads sequences of context + 1 bytes, one behind the other, and returns the mean cross entropy
 * in nats of naming bytes 1 .. context from those before them.
 * count   sequences: 1 .. batch. */
double model_forward(struct model *model, const uint8_t *sequences, size_t count);

/* Computes all gradients of the loss that model_forward returned last (once per forward: it uses
 * up what forward left). Calls ready for every tensor, the last layer's first. */
void model_backward(struct model *model, gradient_ready *ready, void *self);

#endif
