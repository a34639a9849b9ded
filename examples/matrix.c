/* SPDX-License-Identifier: BSD-3-Clause
 * matrix.c: products of matrices by OpenBLAS; the only file that knows cblas.h. */
#include "matrix.h"

#include <assert.h>
#include <cblas.h>

#ifdef TRAIN_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

static CBLAS_TRANSPOSE turn(struct matrix matrix)
{
    return matrix.transposed ? CblasTrans : CblasNoTrans;
}

struct matrix matrix_of(real *values, size_t rows, size_t columns)
{
    return matrix_part(values, rows, columns, columns);
}

struct matrix matrix_part(real *values, size_t rows, size_t columns, size_t stride)
{
    return (struct matrix){values, rows, columns, stride, false};
}

struct matrix matrix_transposed(struct matrix matrix)
{
    return (struct matrix){matrix.values, matrix.columns, matrix.rows, matrix.stride,
                           !matrix.transposed};
}

void matrix_multiply(struct matrix left, struct matrix right, real scale, real keep,
                     struct matrix out)
{
    assert(left.columns == right.rows && !out.transposed);
    assert(left.rows == out.rows && right.columns == out.columns);
    cblas_gemm(CblasRowMajor, turn(left), turn(right), (blasint)out.rows, (blasint)out.columns,
               (blasint)left.columns, scale, left.values, (blasint)left.stride, right.values,
               (blasint)right.stride, keep, out.values, (blasint)out.stride);
}

void matrix_use_one_thread(void)
{
    openblas_set_num_threads(1);
}
