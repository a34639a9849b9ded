/* SPDX-License-Identifier: BSD-3-Clause
 * test_cpu.c: the processor is asked once and right, and tests can make it look older. */
#define _GNU_SOURCE
#include "internal/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"

TestSuite(cpu, .init = capture_start, .fini = capture_finish);

/* What the kernel says of the processor, as a second witness. */
static bool kernel_says(const char *flag)
{
    static char line[16384];
    char word[32];
    snprintf(word, sizeof word, " %s ", flag);
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, (int)sizeof line, file) != NULL) {
        if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0) {
            line[strcspn(line, "\n")] = ' ';
            found = strstr(line, word) != NULL;
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

Test(cpu, features_are_those_the_kernel_names)
{
    bool avx2 = kernel_says("avx2") && kernel_says("fma") && kernel_says("f16c");
    bool avx512 = kernel_says("avx512f") && kernel_says("avx512bw") && kernel_says("avx512dq") &&
                  kernel_says("avx512vl");
    cr_expect_eq((cpu_features() & CPU_AVX2) != 0, avx2);
    cr_expect_eq((cpu_features() & CPU_AVX512) != 0, avx512);
    cr_expect_eq((cpu_features() & CPU_NEON) != 0, kernel_says("asimd"));
}

Test(cpu, a_mask_hides_features_and_can_be_undone)
{
    unsigned all = cpu_features();
    cpu_features_mask(0);
    cr_expect_eq(cpu_features(), 0u);
    cpu_features_mask(CPU_AVX2);
    cr_expect_eq(cpu_features(), all & CPU_AVX2);
    cpu_features_mask(~0u);
    cr_expect_eq(cpu_features(), all);
}

Test(cpu, the_count_follows_the_cores_the_process_may_use)
{
    cpu_set_t before;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_expect_eq(cpu_count(), CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; core++) {
        if (CPU_ISSET(core, &before)) {
            CPU_SET(core, &one);
        }
    }
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_expect_eq(cpu_count(), 1);
}

/* The linker leads sched_getaffinity here (--wrap). */
int __real_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);

static size_t kernel_bytes;

int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
    if (bytes < kernel_bytes) {
        errno = EINVAL;
        return -1;
    }
    return __real_sched_getaffinity(pid, bytes, set);
}

Test(cpu, kernels_for_more_cores_than_a_plain_set_has_are_counted_too)
{
    cpu_set_t usable;
    cr_assert_eq(sched_getaffinity(0, sizeof usable, &usable), 0);
    kernel_bytes = CPU_ALLOC_SIZE(8192);
    cr_expect_eq(cpu_count(), CPU_COUNT(&usable));
    cr_expect(cpu_count_is_told());
    kernel_bytes = SIZE_MAX;
    cr_expect_eq(cpu_count(), 1);
    cr_expect_not(cpu_count_is_told());
    kernel_bytes = 0;
}

Test(cpu, a_pause_returns)
{
    for (int i = 0; i < 1000; i++) {
        cpu_pause();
    }
}
