/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_avx512.c: kernels/sparse_avx512.c over emulated instructions, under another name. */
#include <immintrin.h>

#define sparse_kernels_avx512 emulated_sparse_kernels_avx512
#include "kernels/sparse_one.h"

#define __AVX512F__ 1
#include "kernels/sparse_avx512.c"
