/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_reduce.cpp: kernels/cuda_reduce.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_reduce.cu"
