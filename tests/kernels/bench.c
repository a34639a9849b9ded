/* SPDX-License-Identifier: BSD-3-Clause
 * bench.c: times the kernels. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAYS_MAX = 8 };

static const size_t sizes[] = {64 << 10, 64 << 20};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

/* One thing to time; kernel NULL is memcpy. */
struct timing {
    reduce_kernel *kernel;
    enum ww_type type;
    int ways;
    bool in_place; /* on source 0 */
    double scale;
};

double cpu_seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void call(const struct timing *timing, void *into, const void *const *from, size_t bytes)
{
    if (timing->kernel == NULL) {
        memcpy(into, from[0], bytes);
    } else {
        timing->kernel(timing->in_place ? (void *)(uintptr_t)from[0] : into, from, timing->ways,
                       bytes / element_bytes(timing->type), timing->scale);
    }
}

/* The best of many short rounds, in 1e9 bytes read and written a second. */
static double rate(const struct timing *timing, void *into, const void *const *from, size_t bytes)
{
    int calls = (int)(((size_t)1 << 20) / bytes) + 1;
    int rounds = bytes > (size_t)1 << 20 ? 5 : 100;
    double best_s = 1e9;
    for (int round = 0; round < rounds; round++) {
        double start_s = cpu_seconds_now();
        for (int i = 0; i < calls; i++) {
            call(timing, into, from, bytes);
        }
        double one_s = (cpu_seconds_now() - start_s) / calls;
        best_s = one_s < best_s ? one_s : best_s;
    }
    return (double)bytes * (timing->ways + 1) / best_s / 1e9;
}

static void line(const char *name, const struct timing *timing, void *into, const void *const *from)
{
    printf("%-30s %4d %-8s", name, timing->ways, timing->in_place ? "in place" : "out");
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        printf(" %9.2f", rate(timing, into, from, sizes[i]));
    }
    printf("\n");
    fflush(stdout);
}

static void lines_of_kernel(const struct variant *variant, enum ww_type type, enum ww_op op,
                            void *into, const void *const *from)
{
    static const int ways[] = {2, 4, 8};
    char name[64];
    struct timing timing = {.kernel = variant->kernels.reduce[type][op], .type = type};
    timing.scale = op == WW_MEAN ? 0.5 : 1.0; /* exact, and in place it stays finite */
    snprintf(name, sizeof name, "%s %s %s", variant->name, type_name(type), op_name(op));
    if (timing.kernel == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        timing.ways = ways[i];
        line(name, &timing, into, from);
    }
    timing.ways = 2;
    timing.in_place = true;
    line(name, &timing, into, from);
}

/* Zeros: no value costs more time than another, and sums in place stay what they are. */
static void *zeros(size_t bytes)
{
    void *memory = aligned_alloc(4096, bytes);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

int bench_run(const struct variant *variants, size_t variant_count)
{
    size_t bytes = sizes[SIZE_COUNT - 1];
    void *memory[WAYS_MAX + 1] = {NULL};
    const void *from[WAYS_MAX];
    int status = 0;
    for (int i = 0; i <= WAYS_MAX; i++) {
        memory[i] = zeros(bytes);
        if (memory[i] == NULL) {
            fprintf(stderr, "kernels: no memory: the bench needs %d times %zu bytes\n",
                    WAYS_MAX + 1, bytes);
            status = 1;
            goto release;
        }
    }
    for (int i = 0; i < WAYS_MAX; i++) {
        from[i] = memory[i];
    }
    printf("GB/s read and written, the best of many rounds; the size is one source's\n");
    printf("%-30s %4s %-8s %9s %9s\n", "kernel", "ways", "place", "64 KiB", "64 MiB");
    line("memcpy", &(struct timing){.ways = 1}, memory[WAYS_MAX], from);
    for (size_t i = 0; i < variant_count; i++) {
        for (enum ww_type type = WW_F32; type < WW_TYPE_COUNT; type++) {
            lines_of_kernel(&variants[i], type, WW_SUM, memory[WAYS_MAX], from);
            lines_of_kernel(&variants[i], type, WW_MEAN, memory[WAYS_MAX], from);
            lines_of_kernel(&variants[i], type, WW_MIN, memory[WAYS_MAX], from);
        }
    }
    line("memcpy", &(struct timing){.ways = 1}, memory[WAYS_MAX], from);
release:
    for (int i = 0; i <= WAYS_MAX; i++) {
        free(memory[i]);
    }
    return status;
}
