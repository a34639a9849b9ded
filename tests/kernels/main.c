/* SPDX-License-Identifier: BSD-3-Clause
 * main.c: checks every variant of the kernels this processor can run, or times them. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/cpu.h"

static const struct {
    const char *name;
    unsigned features;
} known[] = {
    {"scalar", 0},
    {"avx2", CPU_AVX2},
    {"avx512", CPU_AVX2 | CPU_AVX512},
    {"neon", CPU_NEON},
};
enum { KNOWN_COUNT = sizeof known / sizeof known[0] };

/* The variants that this processor can run; the first is scalar. */
static size_t variants_find(struct variant variants[KNOWN_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        cpu_features_mask(known[i].features);
        if (cpu_features() != known[i].features) {
            printf("%-8s not on this processor\n", known[i].name);
            continue;
        }
        variants[count].name = known[i].name;
        kernels_init(&variants[count].kernels);
        count++;
    }
    cpu_features_mask(~0u);
    return count;
}

static int check_all(const struct variant *variants, size_t count, uint64_t seed)
{
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        const struct variant *variant = &variants[i];
        int before = failures;
        if (strcmp(variant->kernels.name, variant->name) != 0) {
            fprintf(stderr, "%s: kernels_init chose %s\n", variant->name, variant->kernels.name);
            failures++;
        }
        failures += check_match(variant, &variants[0], seed);
        failures += check_reference(variant, seed);
        failures += check_rounding(variant, seed);
        failures += check_codes(variant->name, &variant->kernels.code, &variants[0].kernels.code,
                                seed);
        failures += check_sparse(variant, &variants[0], seed);
        printf("%-8s %s\n", variant->name, failures == before ? "ok" : "FAILED");
    }
    return failures;
}

static int usage(const char *text)
{
    fprintf(stderr,
            "kernels: cannot use '%s'. Usage: kernels [--bench | --bench-codecs | --seed NUMBER]\n",
            text);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    bool bench = argc == 2 && strcmp(argv[1], "--bench") == 0;
    bool codes_bench = argc == 2 && strcmp(argv[1], "--bench-codecs") == 0;
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        char *end;
        seed = strtoull(argv[2], &end, 10);
        if (end == argv[2] || *end != '\0') {
            return usage(argv[2]);
        }
    } else if (argc > 1 && !bench && !codes_bench) {
        return usage(argv[1]);
    }
    struct variant variants[KNOWN_COUNT];
    size_t count = variants_find(variants);
    if (bench) {
        return bench_run(variants, count);
    }
    if (codes_bench) {
        int status = codes_bench_run(variants, count);
        return status == 0 ? bench_sparse(variants, count) : status;
    }
    return check_all(variants, count, seed) == 0 ? 0 : 1;
}
