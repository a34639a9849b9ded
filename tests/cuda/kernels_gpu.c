/* SPDX-License-Identifier: BSD-3-Clause
 * kernels_gpu.c: compares kernels for GPUs with the definitions, on the GPU that is there, or times
 * them. Exit 77 without a GPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "big.h"
#include "gpu.h"
#include "times.h"

static int usage(const char *text)
{
    fprintf(stderr,
            "kernels_gpu: cannot use '%s'. Usage: kernels_gpu [--time | --huge] [--seed NUMBER] "
            "[--trials NUMBER]\n",
            text);
    return 2;
}

struct options {
    bool time;
    bool huge;
    uint64_t seed;
    int trials;
};

/* Returns the word that it cannot use, NULL = none. */
static const char *options_read(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--time") == 0) {
            options->time = true;
        } else if (strcmp(argv[i], "--huge") == 0) {
            options->huge = true;
        } else if (strcmp(argv[i], "--seed") == 0 && more) {
            options->seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--trials") == 0 && more) {
            options->trials = atoi(argv[++i]);
        } else {
            return argv[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .trials = 400};
    struct device device;
    const char *why;
    const char *wrong = options_read(argc, argv, &options);
    if (wrong != NULL) {
        return usage(wrong);
    }
    if (!gpu_open(&device, &why)) {
        printf("SKIPPED: kernels for GPUs need one, and %s\n", why);
        return 77;
    }
    printf("on %s\n", gpu_name());
    if (options.time) {
        times_print(&device);
        return 0;
    }
    struct effort effort = {options.seed, options.trials, 300000};
    int failures = compare_all(&device, &effort);
    failures += big_compare(&device, options.huge);
    return failures == 0 ? 0 : 1;
}
