/* SPDX-License-Identifier: BSD-3-Clause
 * cpu.h: what the processor can do. */
#ifndef INTERNAL_CPU_H
#define INTERNAL_CPU_H

#include <stdbool.h>

/* Instruction sets that kernels use. */
enum cpu_feature {
    CPU_AVX2 = 1 << 0,   /* with FMA and F16C */
    CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
    CPU_NEON = 1 << 2    /* every 64-bit Arm processor's */
};

/* The features present and not masked out. */
unsigned cpu_features(void);

/* For tests: only these features are reported from now on. ~0u undoes it. */
void cpu_features_mask(unsigned mask);

/* True where copies by vectors, and by the processor's own instruction to copy strings, stall when
 * the target lies a little further into its page than the source does: AMD's (of the second, see
 * glibc's bug 30994). */
bool cpu_copies_stall(void);

/* Cores this process may run on, at least 1; whether the system tells at all. */
int cpu_count(void);
bool cpu_count_is_told(void);

/* From here on the calling thread neither flushes subnormal numbers to zero nor takes them for
 * zeros, as programs built with -ffast-math have it; *_end brings back what was before. */
unsigned cpu_exact_begin(void);
void cpu_exact_end(unsigned before);

/* A hint to the core that this is a spinning loop. */
void cpu_pause(void);

#endif
