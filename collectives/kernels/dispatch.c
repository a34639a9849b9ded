/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch.c: chooses the kernels for this processor. */
#include "kernels/kernels.h"

#include "internal/cpu.h"

/* From plain to best: each runs where the processor has all its features. */
static const struct variant {
    unsigned features;
    void (*init)(struct kernels *kernels);
} variants[] = {
    {0, kernels_init_scalar},
    {CPU_AVX2, kernels_init_avx2},
    {CPU_AVX512, kernels_init_avx512},
    {CPU_NEON, kernels_init_neon},
};

void kernels_init(struct kernels *kernels)
{
    unsigned present = cpu_features();
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        if ((present & variants[i].features) == variants[i].features) {
            variants[i].init(kernels);
        }
    }
}
