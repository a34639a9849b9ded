/* SPDX-License-Identifier: BSD-3-Clause
 * main_emulated.c: runs the kernels for GPUs, emulated, and compares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"
#include "compare.h"

extern int emulated_capability;

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (memory == NULL) {
        fprintf(stderr, "cuda_emulated: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

static void put(void *memory, const void *from, size_t bytes)
{
    memcpy(memory, from, bytes);
}

static void get(void *into, const void *memory, size_t bytes)
{
    memcpy(into, memory, bytes);
}

static void finish(void)
{
}

/* cuda_emulated [SEED [TRIALS]] */
int main(int argc, char **argv)
{
    const struct device device = {allocate, free, put, get, finish, NULL};
    struct effort effort = {.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
                            .trials = argc > 2 ? atoi(argv[2]) : EFFORT(60, 12),
                            .count_most = 200000};
    int failures = compare_all(&device, &effort);
    emulated_capability = 8;
    effort.trials /= 2;
    effort.seed++;
    failures += compare_encode(&device, &effort);
    printf("%-15s %s\n", "without clusters", failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}
