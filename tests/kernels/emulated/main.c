/* SPDX-License-Identifier: BSD-3-Clause
 * main.c: checks the loops of codes for processors that are not here, over emulated instructions.
 */
#include <stdio.h>

#include "check.h"

void emulated_code_kernels_avx512(struct code_kernels *kernels);
void emulated_code_kernels_neon(struct code_kernels *kernels);

static const struct {
    const char *name;
    void (*init)(struct code_kernels *kernels);
} emulated[] = {
    {"avx512", emulated_code_kernels_avx512},
    {"neon", emulated_code_kernels_neon},
};

int main(void)
{
    struct code_kernels scalar;
    int failures = 0;
    code_kernels_scalar(&scalar);
    for (size_t i = 0; i < sizeof emulated / sizeof emulated[0]; i++) {
        struct code_kernels variant = {0};
        emulated[i].init(&variant);
        int here = check_codes(emulated[i].name, &variant, &scalar, 1);
        printf("%-8s %s\n", emulated[i].name, here == 0 ? "ok" : "FAILED");
        failures += here;
    }
    return failures == 0 ? 0 : 1;
}
