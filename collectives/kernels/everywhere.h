/* SPDX-License-Identifier: BSD-3-Clause
 * everywhere.h: marks small functions that kernels for GPUs share with those for processors. */
#ifndef KERNELS_EVERYWHERE_H
#define KERNELS_EVERYWHERE_H

#if defined(__CUDACC__)
#define EVERYWHERE __host__ __device__ static inline
#else
#define EVERYWHERE static inline
#endif

#endif
