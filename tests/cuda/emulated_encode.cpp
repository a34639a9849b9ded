/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_encode.cpp: kernels/cuda_encode.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_encode.cu"
