/* SPDX-License-Identifier: BSD-3-Clause
 * cpu.c: asks the processor what it can do. */
#define _GNU_SOURCE
#include "internal/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CORES_MOST (1 << 20)

static _Atomic unsigned allowed = ~0u;

#if defined(__x86_64__)
static unsigned detect(void)
{
    unsigned features = 0;
    /* Every processor with AVX2 and FMA has F16C; clang 14 cannot ask for it by name. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        features |= CPU_AVX2;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        features |= CPU_AVX512;
    }
    return features;
}

bool cpu_copies_stall(void)
{
    return __builtin_cpu_is("amd");
}

void cpu_pause(void)
{
    __builtin_ia32_pause();
}

#define MXCSR_FLUSHES 0x8040U /* flush to zero, denormals are zeros */

unsigned cpu_exact_begin(void)
{
    unsigned before = __builtin_ia32_stmxcsr();
    if ((before & MXCSR_FLUSHES) != 0) {
        __builtin_ia32_ldmxcsr(before & ~MXCSR_FLUSHES);
    }
    return before;
}

void cpu_exact_end(unsigned before)
{
    if ((before & MXCSR_FLUSHES) != 0) {
        __builtin_ia32_ldmxcsr(before);
    }
}
#elif defined(__aarch64__)
static unsigned detect(void)
{
    return CPU_NEON;
}

bool cpu_copies_stall(void)
{
    return false;
}

void cpu_pause(void)
{
    __asm__ volatile("yield");
}

#define FPCR_FLUSHES (UINT64_C(1) << 24)

unsigned cpu_exact_begin(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    if ((before & FPCR_FLUSHES) != 0) {
        __asm__ volatile("msr fpcr, %0" : : "r"(before & ~FPCR_FLUSHES));
    }
    return (unsigned)before;
}

void cpu_exact_end(unsigned before)
{
    if ((before & FPCR_FLUSHES) != 0) {
        __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)before));
    }
}
#else
static unsigned detect(void)
{
    return 0;
}

bool cpu_copies_stall(void)
{
    return false;
}

void cpu_pause(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

unsigned cpu_exact_begin(void)
{
    return 0;
}

void cpu_exact_end(unsigned before)
{
    (void)before;
}
#endif

unsigned cpu_features(void)
{
    return detect() & atomic_load(&allowed);
}

void cpu_features_mask(unsigned mask)
{
    atomic_store(&allowed, mask);
}

/* 0 = nobody tells. The kernel refuses a set that is smaller than its own, which may be of more
 * cores than CPU_SETSIZE. */
static int count_allowed(void)
{
    int count = 0;
    int error = EINVAL;
    for (int room = CPU_SETSIZE; error == EINVAL && room <= CORES_MOST; room *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)room);
        size_t bytes = CPU_ALLOC_SIZE((size_t)room);
        error = set == NULL ? ENOMEM : sched_getaffinity(0, bytes, set) == 0 ? 0 : errno;
        count = error == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
    }
    return count;
}

int cpu_count(void)
{
    int count = count_allowed();
    return count > 0 ? count : 1;
}

bool cpu_count_is_told(void)
{
    return count_allowed() > 0;
}
