/* SPDX-License-Identifier: BSD-3-Clause
 * code_avx512.c: kernels/code_avx512.c over emulated instructions, under another name. */
#include <immintrin.h>

#define code_kernels_avx512 emulated_code_kernels_avx512
#include "kernels/code_parts.h"

#define __AVX512F__ 1
#define __AVX512BW__ 1
#include "kernels/code_avx512.c"
