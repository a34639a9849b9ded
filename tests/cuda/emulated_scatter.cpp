/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_scatter.cpp: kernels/cuda_scatter.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_scatter.cu"
