/* SPDX-License-Identifier: BSD-3-Clause
 * neon.c: what 64-bit Arm processors do better than scalar.c: codes and choosing. Its reductions
 * are left to the compiler, which knows their instructions. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
void kernels_init_neon(struct kernels *kernels)
{
    kernels->name = "neon";
    code_kernels_neon(&kernels->code);
    sparse_kernels_neon(&kernels->sparse);
}
#else
void kernels_init_neon(struct kernels *kernels)
{
    (void)kernels;
}
#endif
