/* SPDX-License-Identifier: BSD-3-Clause
 * kernels.h: the loops over elements. scalar.c is the definition; every variant gives the same
 * bits. A table is filled scalar first, then overwritten by what the processor does better. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stddef.h>

#include <wirewise/wirewise.h>

#include "kernels/code.h"
#include "kernels/sparse.h"

/* into[i] = scale * (from[0][i] op from[1][i] op ... from[ways - 1][i]), from left to right.
 * Only sums of floating point scale; 1.0 means no multiplication at all; all others pass 1.0.
 * 16-bit types are widened to fp32, reduced and scaled there, and rounded once (nearest, ties to
 * even). Integer sums wrap. One way with scale 1.0 copies bits.
 * into may be the same address as one of from, but not overlap one otherwise. ways >= 1.
 * Every address is aligned to its element type.
 * NaN   the leftmost NaN is the result, with its sign and the upper bits of its payload; sums and
 *       16-bit types make it quiet. What Inf - Inf gives is the processor's default NaN.
 * Zero  min and max of +0 and -0 take the right one. */
typedef void reduce_kernel(void *into, const void *const *from, int ways, size_t count,
                           double scale);

/* WW_MEAN's slot holds the same function as WW_SUM's, NULL for integers. */
struct kernels {
    const char *name; /* of the best instruction set in the table */
    reduce_kernel *reduce[WW_TYPE_COUNT][WW_OP_COUNT];
    struct code_kernels code;
    struct sparse_kernels sparse;
};

/* The sum of values[i]^2 in fp64, and of (values[i] + more[i])^2. */
double kernel_squares_f32(const float *values, size_t count);
double kernel_squares_f64(const double *values, size_t count);
double kernel_squares_of_sum_f32(const float *values, const float *more, size_t count);

/* Fills the table for this processor (cpu_features). Never fails. */
void kernels_init(struct kernels *kernels);

/* Each overwrites the slots it does better. */
void kernels_init_scalar(struct kernels *kernels);
void kernels_init_avx2(struct kernels *kernels);
void kernels_init_avx512(struct kernels *kernels);
void kernels_init_neon(struct kernels *kernels);

#endif
