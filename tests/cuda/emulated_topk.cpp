/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_topk.cpp: kernels/cuda_topk.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda_topk.cu"
