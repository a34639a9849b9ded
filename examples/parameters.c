/* SPDX-License-Identifier: BSD-3-Clause
 * parameters.c: names the model's tensors, lays them out behind each other and draws their first
 * values. */
#include "parameters.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define ALIGNMENT 64 /* a cache line */

/* One row of a table of tensors. Sizes are in model widths; rows 0 makes it a vector. */
struct form {
    const char *name;
    size_t rows;
    size_t columns;
    enum fill fill;
    bool residual; /* its output is added to the residual path */
};

static const struct form layer_forms[LAYER_TENSORS] = {
    [NORM1_GAIN] = {"norm1.gain", 0, 1, FILL_ONE, false},
    [NORM1_SHIFT] = {"norm1.shift", 0, 1, FILL_ZERO, false},
    [QKV_WEIGHT] = {"attention.qkv.weight", 1, 3, FILL_NORMAL, false},
    [QKV_BIAS] = {"attention.qkv.bias", 0, 3, FILL_ZERO, false},
    [PROJECT_WEIGHT] = {"attention.project.weight", 1, 1, FILL_NORMAL, true},
    [PROJECT_BIAS] = {"attention.project.bias", 0, 1, FILL_ZERO, false},
    [NORM2_GAIN] = {"norm2.gain", 0, 1, FILL_ONE, false},
    [NORM2_SHIFT] = {"norm2.shift", 0, 1, FILL_ZERO, false},
    [EXPAND_WEIGHT] = {"mlp.expand.weight", 1, 4, FILL_NORMAL, false},
    [EXPAND_BIAS] = {"mlp.expand.bias", 0, 4, FILL_ZERO, false},
    [CONTRACT_WEIGHT] = {"mlp.contract.weight", 4, 1, FILL_NORMAL, true},
    [CONTRACT_BIAS] = {"mlp.contract.bias", 0, 1, FILL_ZERO, false},
};

size_t layer_tensor(size_t layer, enum layer_tensor tensor)
{
    return BEFORE_LAYERS + layer * LAYER_TENSORS + (size_t)tensor;
}

size_t end_tensor(const struct model_size *size, enum end_tensor tensor)
{
    return BEFORE_LAYERS + size->layers * LAYER_TENSORS + (size_t)tensor;
}

/* Appends a tensor of rows x columns, or a vector of columns where rows is 0. */
static struct tensor *add(struct parameters *parameters, size_t rows, size_t columns,
                          enum fill fill)
{
    struct tensor *tensor = &parameters->tensors[parameters->tensor_count];
    tensor->dims = rows > 0 ? 2 : 1;
    tensor->shape[0] = rows > 0 ? rows : columns;
    tensor->shape[1] = columns;
    tensor->fill = fill;
    tensor->deviation = 0.02;
    tensor->first = parameters->count;
    tensor->count = rows > 0 ? rows * columns : columns;
    parameters->count += tensor->count;
    parameters->tensor_count++;
    return tensor;
}

static struct tensor *add_named(struct parameters *parameters, const char *name, size_t rows,
                                size_t columns, enum fill fill)
{
    struct tensor *tensor = add(parameters, rows, columns, fill);
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    return tensor;
}

static void add_layer(struct parameters *parameters, const struct model_size *size, size_t layer)
{
    for (size_t i = 0; i < LAYER_TENSORS; i++) {
        const struct form *form = &layer_forms[i];
        assert(parameters->tensor_count == layer_tensor(layer, (enum layer_tensor)i));
        struct tensor *tensor = add(parameters, form->rows * size->width,
                                    form->columns * size->width, form->fill);
        snprintf(tensor->name, sizeof tensor->name, "layer%zu.%s", layer, form->name);
        if (form->residual) {
            /* 2 * layers such outputs add up; together they shall weigh as much as one. */
            tensor->deviation /= sqrt(2.0 * (double)size->layers);
        }
    }
}

static void lay_out(struct parameters *parameters, const struct model_size *size)
{
    /* The first norm divides by the size of these, so small ones would make every step of theirs
     * a leap: with 0.02 the loss jumps about in the first steps. */
    add_named(parameters, "embedding", VOCABULARY, size->width, FILL_NORMAL)->deviation = 0.5;
    add_named(parameters, "position", size->context, size->width, FILL_NORMAL)->deviation = 0.1;
    for (size_t layer = 0; layer < size->layers; layer++) {
        add_layer(parameters, size, layer);
    }
    add_named(parameters, "final.gain", 0, size->width, FILL_ONE);
    add_named(parameters, "final.shift", 0, size->width, FILL_ZERO);
    add_named(parameters, "head.weight", size->width, VOCABULARY, FILL_NORMAL);
    add_named(parameters, "head.bias", 0, VOCABULARY, FILL_ZERO);
    assert(parameters->tensor_count == end_tensor(size, BEHIND_LAYERS));
}

static real *zeros(size_t count)
{
    size_t bytes = (count * sizeof(real) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    real *values = aligned_alloc(ALIGNMENT, bytes);
    if (values != NULL) {
        memset(values, 0, bytes);
    }
    return values;
}

static void draw(const struct tensor *tensor, real *values, uint64_t *stream)
{
    for (size_t i = 0; i < tensor->count; i++) {
        switch (tensor->fill) {
        case FILL_ZERO:
            values[i] = 0;
            break;
        case FILL_ONE:
            values[i] = 1;
            break;
        case FILL_NORMAL:
            values[i] = (real)(tensor->deviation * random_normal(stream));
            break;
        }
    }
}

void parameters_draw(struct parameters *parameters, uint64_t seed)
{
    uint64_t stream = random_hash(seed);
    for (size_t i = 0; i < parameters->tensor_count; i++) {
        const struct tensor *tensor = &parameters->tensors[i];
        draw(tensor, parameters->values + tensor->first, &stream);
    }
}

void parameters_move_gradients(struct parameters *parameters, real *memory)
{
    free(parameters->gradients);
    parameters->gradients = memory;
    parameters->gradients_lent = true;
}

void parameters_finish(struct parameters *parameters)
{
    if (!parameters->gradients_lent) {
        free(parameters->gradients);
    }
    free(parameters->values);
    free(parameters->tensors);
    *parameters = (struct parameters){0};
}

bool parameters_init(struct parameters *parameters, const struct model_size *size)
{
    *parameters = (struct parameters){0};
    parameters->tensors = calloc(end_tensor(size, BEHIND_LAYERS), sizeof *parameters->tensors);
    if (parameters->tensors == NULL) {
        return false;
    }
    lay_out(parameters, size);
    parameters->values = zeros(parameters->count);
    parameters->gradients = zeros(parameters->count);
    if (parameters->values == NULL || parameters->gradients == NULL) {
        parameters_finish(parameters);
        return false;
    }
    return true;
}
