/* SPDX-License-Identifier: BSD-3-Clause
 * compare.c: all comparisons of kernels for GPUs, one after the other. */
#include "compare.h"

#include <stdio.h>

static const struct {
    const char *name;
    int (*compare)(const struct device *device, const struct effort *effort);
} comparisons[] = {
    {"reduce", compare_reduce},          {"scale", compare_scale},
    {"squares", compare_squares},        {"pieces", compare_pieces},
    {"encode", compare_encode},          {"sum", compare_sum},
    {"damaged frames", compare_damaged}, {"choose", compare_choose},
    {"threshold", compare_threshold},
};

int compare_all(const struct device *device, const struct effort *effort)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        int here = comparisons[i].compare(device, effort);
        printf("%-15s %s\n", comparisons[i].name, here == 0 ? "ok" : "FAILED");
        fflush(stdout);
        failures += here;
    }
    return failures;
}
