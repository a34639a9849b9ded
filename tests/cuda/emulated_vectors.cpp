/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_vectors.cpp: kernels/cuda_vectors.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_vectors.cu"
