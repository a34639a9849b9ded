/* SPDX-License-Identifier: BSD-3-Clause
 * layers.c: the pieces of a transformer, each forward and, below it, backward. */
#include "layers.h"

#include <string.h>

#include "matrix.h"

/* ---- Linear ------------------------------------------------------------------------------ */

static void add_row(const real *row, size_t rows, size_t width, real *into)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < width; i++) {
            into[r * width + i] += row[i];
        }
    }
}

static void sum_rows(const real *from, size_t rows, size_t width, real *sum)
{
    memset(sum, 0, width * sizeof *sum);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < width; i++) {
            sum[i] += from[r * width + i];
        }
    }
}

void linear_forward(const struct linear *linear, real *input, size_t rows, real keep, real *output)
{
    matrix_multiply(matrix_of(input, rows, linear->in),
                    matrix_of(linear->weight.values, linear->in, linear->out), 1, keep,
                    matrix_of(output, rows, linear->out));
    add_row(linear->bias.values, rows, linear->out, output);
}

void linear_backward(const struct linear *linear, real *input, real *output_gradient, size_t rows,
                     real *input_gradient)
{
    struct matrix x = matrix_of(input, rows, linear->in);
    struct matrix dy = matrix_of(output_gradient, rows, linear->out);
    struct matrix w = matrix_of(linear->weight.values, linear->in, linear->out);
    matrix_multiply(matrix_transposed(x), dy, 1, 0,
                    matrix_of(linear->weight.gradient, linear->in, linear->out));
    sum_rows(output_gradient, rows, linear->out, linear->bias.gradient);
    matrix_multiply(dy, matrix_transposed(w), 1, 0, matrix_of(input_gradient, rows, linear->in));
}

/* ---- Norm -------------------------------------------------------------------------------- */

static struct row_moments moments_of(const real *row, size_t width)
{
    const real epsilon = (real)1e-5;
    real sum = 0;
    for (size_t i = 0; i < width; i++) {
        sum += row[i];
    }
    real mean = sum / (real)width;
    real squares = 0;
    for (size_t i = 0; i < width; i++) {
        squares += (row[i] - mean) * (row[i] - mean);
    }
    return (struct row_moments){mean, 1 / real_sqrt(squares / (real)width + epsilon)};
}

void norm_forward(const struct norm *norm, const real *input, size_t rows,
                  struct row_moments *moments, real *output)
{
    for (size_t r = 0; r < rows; r++) {
        const real *x = input + r * norm->width;
        real *y = output + r * norm->width;
        struct row_moments m = moments_of(x, norm->width);
        for (size_t i = 0; i < norm->width; i++) {
            y[i] = (x[i] - m.mean) * m.inverse * norm->gain.values[i] + norm->shift.values[i];
        }
        moments[r] = m;
    }
}

static void norm_backward_row(const struct norm *norm, const real *x, struct row_moments m,
                              const real *dy, real *dx)
{
    const real *gain = norm->gain.values;
    real sum = 0;
    real along = 0;
    for (size_t i = 0; i < norm->width; i++) {
        real scaled = (x[i] - m.mean) * m.inverse;
        sum += dy[i] * gain[i];
        along += dy[i] * gain[i] * scaled;
        norm->gain.gradient[i] += dy[i] * scaled;
        norm->shift.gradient[i] += dy[i];
    }
    sum /= (real)norm->width;
    along /= (real)norm->width;
    for (size_t i = 0; i < norm->width; i++) {
        real scaled = (x[i] - m.mean) * m.inverse;
        dx[i] += m.inverse * (dy[i] * gain[i] - sum - scaled * along);
    }
}

void norm_backward(const struct norm *norm, const real *input, const struct row_moments *moments,
                   size_t rows, const real *output_gradient, real *input_gradient)
{
    memset(norm->gain.gradient, 0, norm->width * sizeof(real));
    memset(norm->shift.gradient, 0, norm->width * sizeof(real));
    for (size_t r = 0; r < rows; r++) {
        size_t first = r * norm->width;
        norm_backward_row(norm, input + first, moments[r], output_gradient + first,
                          input_gradient + first);
    }
}

/* ---- GELU -------------------------------------------------------------------------------- */

/* x * sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): the usual tanh form, rewritten. */
#define GELU_LINEAR ((real)1.5957691216057308)
#define GELU_CUBIC ((real)(1.5957691216057308 * 0.044715))

static real gelu_gate(real x)
{
    return 1 / (1 + real_exp(-x * (GELU_LINEAR + GELU_CUBIC * x * x)));
}

void gelu_forward(const real *restrict input, size_t count, real *restrict output)
{
    for (size_t i = 0; i < count; i++) {
        output[i] = input[i] * gelu_gate(input[i]);
    }
}

void gelu_backward(const real *restrict input, size_t count, real *restrict gradient)
{
    for (size_t i = 0; i < count; i++) {
        real x = input[i];
        real gate = gelu_gate(x);
        real slope = GELU_LINEAR + 3 * GELU_CUBIC * x * x;
        gradient[i] *= gate + x * gate * (1 - gate) * slope;
    }
}

/* ---- Attention --------------------------------------------------------------------------- */

/* Where one head of one sequence finds its matrices. */
struct head {
    struct matrix query;
    struct matrix key;
    struct matrix value;
};

static real *head_first(const struct attention *attention, real *rows, size_t sequence, size_t head,
                        size_t stride)
{
    return rows + sequence * attention->context * stride +
           head * (attention->width / attention->heads);
}

static struct head head_of(const struct attention *attention, real *qkv, size_t sequence,
                           size_t head)
{
    size_t stride = 3 * attention->width;
    size_t columns = attention->width / attention->heads;
    real *first = head_first(attention, qkv, sequence, head, stride);
    return (struct head){
        matrix_part(first, attention->context, columns, stride),
        matrix_part(first + attention->width, attention->context, columns, stride),
        matrix_part(first + 2 * attention->width, attention->context, columns, stride),
    };
}

/* One head's columns of an output row. */
static struct matrix mixed_of(const struct attention *attention, real *rows, size_t sequence,
                              size_t head)
{
    return matrix_part(head_first(attention, rows, sequence, head, attention->width),
                       attention->context, attention->width / attention->heads, attention->width);
}

static struct matrix shares_of(const struct attention *attention, real *shares, size_t sequence,
                               size_t head)
{
    size_t square = attention->context * attention->context;
    return matrix_of(shares + (sequence * attention->heads + head) * square, attention->context,
                     attention->context);
}

static real head_scale(const struct attention *attention)
{
    return 1 / real_sqrt((real)(attention->width / attention->heads));
}

/* Row r sees rows 0 .. r only. */
static void softmax_causal(real *scores, size_t context)
{
    for (size_t r = 0; r < context; r++) {
        real *row = scores + r * context;
        real most = row[0];
        for (size_t i = 1; i <= r; i++) {
            most = row[i] > most ? row[i] : most;
        }
        real sum = 0;
        for (size_t i = 0; i <= r; i++) {
            row[i] = real_exp(row[i] - most);
            sum += row[i];
        }
        for (size_t i = 0; i <= r; i++) {
            row[i] /= sum;
        }
        memset(row + r + 1, 0, (context - r - 1) * sizeof *row);
    }
}

/* gradient: of the shares on entry, of the scores on return. */
static void softmax_backward(const real *shares, size_t context, real *gradient)
{
    for (size_t r = 0; r < context; r++) {
        const real *share = shares + r * context;
        real *row = gradient + r * context;
        real along = 0;
        for (size_t i = 0; i <= r; i++) {
            along += row[i] * share[i];
        }
        for (size_t i = 0; i < context; i++) {
            row[i] = share[i] * (row[i] - along);
        }
    }
}

void attention_forward(const struct attention *attention, real *qkv, size_t sequences, real *shares,
                       real *output)
{
    for (size_t s = 0; s < sequences; s++) {
        for (size_t h = 0; h < attention->heads; h++) {
            struct head head = head_of(attention, qkv, s, h);
            struct matrix share = shares_of(attention, shares, s, h);
            matrix_multiply(head.query, matrix_transposed(head.key), head_scale(attention), 0,
                            share);
            softmax_causal(share.values, attention->context);
            matrix_multiply(share, head.value, 1, 0, mixed_of(attention, output, s, h));
        }
    }
}

void attention_backward(const struct attention *attention, real *qkv, size_t sequences,
                        real *shares, real *output_gradient, real *qkv_gradient, real *scratch)
{
    real scale = head_scale(attention);
    struct matrix scores = matrix_of(scratch, attention->context, attention->context);
    for (size_t s = 0; s < sequences; s++) {
        for (size_t h = 0; h < attention->heads; h++) {
            struct head head = head_of(attention, qkv, s, h);
            struct head out = head_of(attention, qkv_gradient, s, h);
            struct matrix share = shares_of(attention, shares, s, h);
            struct matrix dy = mixed_of(attention, output_gradient, s, h);
            matrix_multiply(matrix_transposed(share), dy, 1, 0, out.value);
            matrix_multiply(dy, matrix_transposed(head.value), 1, 0, scores);
            softmax_backward(share.values, attention->context, scratch);
            matrix_multiply(scores, head.key, scale, 0, out.query);
            matrix_multiply(matrix_transposed(scores), head.query, scale, 0, out.key);
        }
    }
}

/* ---- Loss -------------------------------------------------------------------------------- */

double cross_entropy(real *logits, size_t count, uint8_t target, real scale)
{
    real most = logits[0];
    for (size_t i = 1; i < count; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    double at_target = (double)logits[target] - (double)most;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        logits[i] = real_exp(logits[i] - most);
        sum += (double)logits[i];
    }
    real share = (real)((double)scale / sum);
    for (size_t i = 0; i < count; i++) {
        logits[i] *= share;
    }
    logits[target] -= scale;
    return log(sum) - at_target;
}
