/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_decode.cpp: kernels/cuda_decode.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_decode.cu"
