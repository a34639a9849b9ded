/* SPDX-License-Identifier: BSD-3-Clause
 * model.c: puts the layers together, forward, and in the opposite order backward.
 *
 *     bytes -> embedding + position -> [ x += project(attention(norm1 x))
 *                                        x += contract(gelu(expand(norm2 x))) ] per layer
 *           -> final norm -> head -> cross entropy
 *
 * All sequences of a batch go through each matrix at once: rows = sequences * context. */
#include "model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"

/* What the backward pass of one layer reads again. Widths are numbers per row. */
struct layer {
    struct norm norm1, norm2;
    struct linear qkv, project, expand, contract;

    real *input;                  /* width */
    struct row_moments *moments1; /* one per row */
    real *normed1;                /* width */
    real *qkvs;                   /* 3 width */
    real *shares;                 /* heads * context */
    real *mixed;                  /* width */
    real *middle;                 /* width: the residual path between the two halves */
    struct row_moments *moments2;
    real *normed2;  /* width */
    real *expanded; /* 4 width */
    real *active;   /* 4 width */
};

struct model {
    const struct model_size *size;
    size_t batch;
    struct parameters parameters;
    struct attention attention;
    struct layer *layers;
    struct norm final_norm;
    struct linear head;

    uint8_t *bytes; /* of the last forward: [batch * (context + 1)] */
    size_t count;   /* its sequences */

    real *output; /* the last layer's, width */
    struct row_moments *final_moments;
    real *final_normed;  /* width */
    real *logits;        /* VOCABULARY; their gradient once the loss is known */
    real *flow;          /* width: the gradient along the residual path */
    real *into_branch;   /* width: that of a branch's input or attention's output */
    real *wide_gradient; /* 4 width: that of qkvs or of the mlp's inside */
    real *scores;        /* context * context */

    void *memory; /* holds all of the above activations */
};

/* ---- Memory: one block, laid out twice: first to count, then to hand out ------------------- */

struct arena {
    char *base; /* NULL while counting */
    size_t used;
};

static void *take(struct arena *arena, size_t count, size_t bytes_each)
{
    void *taken = arena->base != NULL ? arena->base + arena->used : NULL;
    arena->used += (count * bytes_each + 63) / 64 * 64;
    return taken;
}

static real *take_reals(struct arena *arena, size_t rows, size_t width)
{
    return take(arena, rows * width, sizeof(real));
}

static void lay_out_layer(struct layer *layer, const struct model_size *size, size_t rows,
                          struct arena *arena)
{
    size_t width = size->width;
    layer->input = take_reals(arena, rows, width);
    layer->moments1 = take(arena, rows, sizeof *layer->moments1);
    layer->normed1 = take_reals(arena, rows, width);
    layer->qkvs = take_reals(arena, rows, 3 * width);
    layer->shares = take_reals(arena, rows, size->heads * size->context);
    layer->mixed = take_reals(arena, rows, width);
    layer->middle = take_reals(arena, rows, width);
    layer->moments2 = take(arena, rows, sizeof *layer->moments2);
    layer->normed2 = take_reals(arena, rows, width);
    layer->expanded = take_reals(arena, rows, 4 * width);
    layer->active = take_reals(arena, rows, 4 * width);
}

static void lay_out(struct model *model, struct arena *arena)
{
    const struct model_size *size = model->size;
    size_t rows = model->batch * size->context;
    for (size_t i = 0; i < size->layers; i++) {
        lay_out_layer(&model->layers[i], size, rows, arena);
    }
    model->bytes = take(arena, model->batch, size->context + 1);
    model->output = take_reals(arena, rows, size->width);
    model->final_moments = take(arena, rows, sizeof *model->final_moments);
    model->final_normed = take_reals(arena, rows, size->width);
    model->logits = take_reals(arena, rows, VOCABULARY);
    model->flow = take_reals(arena, rows, size->width);
    model->into_branch = take_reals(arena, rows, size->width);
    model->wide_gradient = take_reals(arena, rows, 4 * size->width);
    model->scores = take_reals(arena, size->context, size->context);
}

static bool take_memory(struct model *model)
{
    struct arena arena = {NULL, 0};
    lay_out(model, &arena);
    model->memory = aligned_alloc(64, arena.used);
    if (model->memory == NULL) {
        return false;
    }
    arena = (struct arena){model->memory, 0};
    lay_out(model, &arena);
    return true;
}

/* ---- Parameters ---------------------------------------------------------------------------- */

static struct weight weight_at(const struct parameters *parameters, size_t index)
{
    size_t first = parameters->tensors[index].first;
    return (struct weight){parameters->values + first, parameters->gradients + first};
}

/* A linear map whose bias follows its weight. */
static struct linear linear_at(const struct parameters *parameters, size_t index)
{
    const struct tensor *weight = &parameters->tensors[index];
    return (struct linear){weight_at(parameters, index), weight_at(parameters, index + 1),
                           weight->shape[0], weight->shape[1]};
}

/* A norm whose shift follows its gain. */
static struct norm norm_at(const struct parameters *parameters, size_t index)
{
    return (struct norm){weight_at(parameters, index), weight_at(parameters, index + 1),
                         parameters->tensors[index].count};
}

static void bind_parameters(struct model *model)
{
    const struct parameters *parameters = &model->parameters;
    for (size_t i = 0; i < model->size->layers; i++) {
        struct layer *layer = &model->layers[i];
        layer->norm1 = norm_at(parameters, layer_tensor(i, NORM1_GAIN));
        layer->qkv = linear_at(parameters, layer_tensor(i, QKV_WEIGHT));
        layer->project = linear_at(parameters, layer_tensor(i, PROJECT_WEIGHT));
        layer->norm2 = norm_at(parameters, layer_tensor(i, NORM2_GAIN));
        layer->expand = linear_at(parameters, layer_tensor(i, EXPAND_WEIGHT));
        layer->contract = linear_at(parameters, layer_tensor(i, CONTRACT_WEIGHT));
    }
    model->final_norm = norm_at(parameters, end_tensor(model->size, FINAL_GAIN));
    model->head = linear_at(parameters, end_tensor(model->size, HEAD_WEIGHT));
}

/* ---- Forward ------------------------------------------------------------------------------- */

static size_t row_count(const struct model *model)
{
    return model->count * model->size->context;
}

static const uint8_t *sequence_at(const struct model *model, size_t index)
{
    return model->bytes + index * (model->size->context + 1);
}

static void embed(const struct model *model, real *into)
{
    size_t width = model->size->width;
    const real *embedding = weight_at(&model->parameters, EMBEDDING).values;
    const real *position = weight_at(&model->parameters, POSITION).values;
    for (size_t s = 0; s < model->count; s++) {
        const uint8_t *bytes = sequence_at(model, s);
        for (size_t t = 0; t < model->size->context; t++) {
            for (size_t i = 0; i < width; i++) {
                into[i] = embedding[bytes[t] * width + i] + position[t * width + i];
            }
            into += width;
        }
    }
}

static void layer_forward(const struct model *model, struct layer *layer, real *output)
{
    size_t rows = row_count(model);
    size_t width = model->size->width;
    norm_forward(&layer->norm1, layer->input, rows, layer->moments1, layer->normed1);
    linear_forward(&layer->qkv, layer->normed1, rows, 0, layer->qkvs);
    attention_forward(&model->attention, layer->qkvs, model->count, layer->shares, layer->mixed);
    memcpy(layer->middle, layer->input, rows * width * sizeof(real));
    linear_forward(&layer->project, layer->mixed, rows, 1, layer->middle);

    norm_forward(&layer->norm2, layer->middle, rows, layer->moments2, layer->normed2);
    linear_forward(&layer->expand, layer->normed2, rows, 0, layer->expanded);
    gelu_forward(layer->expanded, rows * 4 * width, layer->active);
    memcpy(output, layer->middle, rows * width * sizeof(real));
    linear_forward(&layer->contract, layer->active, rows, 1, output);
}

/* Turns the logits into the gradient of the mean loss and returns that loss. */
static double loss_of_logits(struct model *model)
{
    size_t context = model->size->context;
    real scale = 1 / (real)row_count(model);
    double sum = 0;
    for (size_t s = 0; s < model->count; s++) {
        const uint8_t *targets = sequence_at(model, s) + 1;
        for (size_t t = 0; t < context; t++) {
            real *row = model->logits + (s * context + t) * VOCABULARY;
            sum += cross_entropy(row, VOCABULARY, targets[t], scale);
        }
    }
    return sum / (double)row_count(model);
}

double model_forward(struct model *model, const uint8_t *sequences, size_t count)
{
    assert(count >= 1 && count <= model->batch);
    model->count = count;
    memcpy(model->bytes, sequences, count * (model->size->context + 1));
    embed(model, model->layers[0].input);
    for (size_t i = 0; i < model->size->layers; i++) {
        bool last = i + 1 == model->size->layers;
        layer_forward(model, &model->layers[i], last ? model->output : model->layers[i + 1].input);
    }
    size_t rows = row_count(model);
    norm_forward(&model->final_norm, model->output, rows, model->final_moments,
                 model->final_normed);
    linear_forward(&model->head, model->final_normed, rows, 0, model->logits);
    return loss_of_logits(model);
}

/* ---- Backward ------------------------------------------------------------------------------ */

/* Who is told about finished gradients, tensor by tensor. */
struct listener {
    gradient_ready *ready;
    void *self;
};

/* Weight and bias, or gain and shift: the second tensor follows the first. */
static void tell_pair(const struct listener *listener, size_t index)
{
    listener->ready(listener->self, index + 1);
    listener->ready(listener->self, index);
}

static void mlp_backward(struct model *model, size_t index, const struct listener *listener)
{
    struct layer *layer = &model->layers[index];
    size_t rows = row_count(model);
    linear_backward(&layer->contract, layer->active, model->flow, rows, model->wide_gradient);
    tell_pair(listener, layer_tensor(index, CONTRACT_WEIGHT));
    gelu_backward(layer->expanded, rows * 4 * model->size->width, model->wide_gradient);
    linear_backward(&layer->expand, layer->normed2, model->wide_gradient, rows, model->into_branch);
    tell_pair(listener, layer_tensor(index, EXPAND_WEIGHT));
    norm_backward(&layer->norm2, layer->middle, layer->moments2, rows, model->into_branch,
                  model->flow);
    tell_pair(listener, layer_tensor(index, NORM2_GAIN));
}

static void attention_half_backward(struct model *model, size_t index,
                                    const struct listener *listener)
{
    struct layer *layer = &model->layers[index];
    size_t rows = row_count(model);
    linear_backward(&layer->project, layer->mixed, model->flow, rows, model->into_branch);
    tell_pair(listener, layer_tensor(index, PROJECT_WEIGHT));
    attention_backward(&model->attention, layer->qkvs, model->count, layer->shares,
                       model->into_branch, model->wide_gradient, model->scores);
    linear_backward(&layer->qkv, layer->normed1, model->wide_gradient, rows, model->into_branch);
    tell_pair(listener, layer_tensor(index, QKV_WEIGHT));
    norm_backward(&layer->norm1, layer->input, layer->moments1, rows, model->into_branch,
                  model->flow);
    tell_pair(listener, layer_tensor(index, NORM1_GAIN));
}

static void add_into(const real *from, size_t count, real *into)
{
    for (size_t i = 0; i < count; i++) {
        into[i] += from[i];
    }
}

static void embed_backward(struct model *model)
{
    size_t width = model->size->width;
    size_t context = model->size->context;
    real *embedding = weight_at(&model->parameters, EMBEDDING).gradient;
    real *position = weight_at(&model->parameters, POSITION).gradient;
    memset(embedding, 0, VOCABULARY * width * sizeof(real));
    memset(position, 0, context * width * sizeof(real));
    for (size_t s = 0; s < model->count; s++) {
        const uint8_t *bytes = sequence_at(model, s);
        for (size_t t = 0; t < context; t++) {
            const real *flow = model->flow + (s * context + t) * width;
            add_into(flow, width, embedding + bytes[t] * width);
            add_into(flow, width, position + t * width);
        }
    }
}

void model_backward(struct model *model, gradient_ready *ready, void *self)
{
    struct listener listener = {ready, self};
    size_t rows = row_count(model);
    linear_backward(&model->head, model->final_normed, model->logits, rows, model->into_branch);
    tell_pair(&listener, end_tensor(model->size, HEAD_WEIGHT));
    memset(model->flow, 0, rows * model->size->width * sizeof(real));
    norm_backward(&model->final_norm, model->output, model->final_moments, rows, model->into_branch,
                  model->flow);
    tell_pair(&listener, end_tensor(model->size, FINAL_GAIN));
    for (size_t i = model->size->layers; i-- > 0;) {
        mlp_backward(model, i, &listener);
        attention_half_backward(model, i, &listener);
    }
    embed_backward(model);
    tell_pair(&listener, EMBEDDING);
}

/* ---- Life ---------------------------------------------------------------------------------- */

struct parameters *model_parameters(struct model *model)
{
    return &model->parameters;
}

void model_destroy(struct model *model)
{
    if (model == NULL) {
        return;
    }
    free(model->memory);
    parameters_finish(&model->parameters);
    free(model->layers);
    free(model);
}

void model_move_gradients(struct model *model, real *memory)
{
    parameters_move_gradients(&model->parameters, memory);
    bind_parameters(model);
}

struct model *model_create(const struct model_size *size, size_t batch)
{
    assert(size->layers > 0 && size->width % size->heads == 0 && batch > 0);
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return NULL;
    }
    model->size = size;
    model->batch = batch;
    model->attention = (struct attention){size->heads, size->context, size->width};
    model->layers = calloc(size->layers, sizeof *model->layers);
    if (model->layers == NULL || !parameters_init(&model->parameters, size) ||
        !take_memory(model)) {
        model_destroy(model);
        return NULL;
    }
    bind_parameters(model);
    return model;
}
