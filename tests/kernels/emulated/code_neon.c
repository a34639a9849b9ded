/* SPDX-License-Identifier: BSD-3-Clause
 * code_neon.c: kernels/code_neon.c over emulated instructions, under another name. */
#include <arm_neon.h>

#define code_kernels_neon emulated_code_kernels_neon
#include "kernels/code_parts.h"

#define __aarch64__ 1
#include "kernels/code_neon.c"
