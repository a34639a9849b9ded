/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_choice.cpp: kernels/cuda.cu, emulated. */
#include "emulated_cuda.h"

#include "kernels/cuda.cu"
