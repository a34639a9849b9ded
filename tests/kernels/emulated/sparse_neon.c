/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_neon.c: kernels/sparse_neon.c over emulated instructions, under another name. */
#include <arm_neon.h>

#define sparse_kernels_neon emulated_sparse_kernels_neon
#include "kernels/sparse_one.h"

#define __aarch64__ 1
#include "kernels/sparse_neon.c"
