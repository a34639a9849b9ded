/* SPDX-License-Identifier: BSD-3-Clause
 * flush.h: a thread as programs built with -ffast-math have it: subnormal numbers are flushed. */
#ifndef TESTS_FLUSH_H
#define TESTS_FLUSH_H

#include <stdbool.h>

#if defined(__x86_64__)
#define MXCSR_FLUSHES 0x8040U

static inline unsigned flush_tiny_numbers(void)
{
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | MXCSR_FLUSHES);
    return before;
}

/* Whether the thread still does; it does no more from here on. */
static inline bool flushes(unsigned before)
{
    bool still = (__builtin_ia32_stmxcsr() & MXCSR_FLUSHES) == MXCSR_FLUSHES;
    __builtin_ia32_ldmxcsr(before);
    return still;
}
#else
static inline unsigned flush_tiny_numbers(void)
{
    return 0;
}

static inline bool flushes(unsigned before)
{
    return before == 0;
}
#endif

#endif
