/* SPDX-License-Identifier: BSD-3-Clause
 * matrix.h: a rectangle of numbers in somebody's memory, and the product of two. */
#ifndef TRAIN_MATRIX_H
#define TRAIN_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "real.h"

/* rows x columns numbers, borrowed. Row r begins at values + r * stride; transposed says that
 * memory holds columns where the matrix has rows. */
struct matrix {
    real *values;
    size_t rows;
    size_t columns;
    size_t stride;
    bool transposed;
};

/* The whole of values[rows * columns]. */
struct matrix matrix_of(real *values, size_t rows, size_t columns);

/* A part of wider rows: `columns` of every `stride` numbers. */
struct matrix matrix_part(real *values, size_t rows, size_t columns, size_t stride);

/* The same memory with rows and columns exchanged. */
struct matrix matrix_transposed(struct matrix matrix);

/* out = scale * left * right + keep * out. The inner sizes agree, out is not transposed and
 * overlaps neither factor; with keep 0 its old contents are not read. */
void matrix_multiply(struct matrix left, struct matrix right, real scale, real keep,
                     struct matrix out);

/* Keeps BLAS on the calling thread: every rank is a process of its own. */
void matrix_use_one_thread(void);

#endif
