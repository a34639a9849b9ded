/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_main.c: checks the loops of top-k for processors that are not here, over emulated
 * instructions. */
#include <stdio.h>

#include "check.h"

void emulated_sparse_kernels_avx512(struct sparse_kernels *kernels);
void emulated_sparse_kernels_neon(struct sparse_kernels *kernels);

static const struct {
    const char *name;
    void (*init)(struct sparse_kernels *kernels);
} emulated[] = {
    {"avx512", emulated_sparse_kernels_avx512},
    {"neon", emulated_sparse_kernels_neon},
};

int main(void)
{
    struct variant scalar = {.name = "scalar"};
    int failures = 0;
    kernels_init_scalar(&scalar.kernels);
    for (size_t i = 0; i < sizeof emulated / sizeof emulated[0]; i++) {
        struct variant variant = scalar;
        variant.name = emulated[i].name;
        emulated[i].init(&variant.kernels.sparse);
        int here = check_sparse(&variant, &scalar, 1);
        printf("%-8s %s\n", variant.name, here == 0 ? "ok" : "FAILED");
        failures += here;
    }
    return failures == 0 ? 0 : 1;
}
