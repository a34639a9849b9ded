/* SPDX-License-Identifier: BSD-3-Clause
 * arm_neon.h: stands in for the compiler's, so that kernels for Arm run on other processors. What
 * SIMDe 0.7.4 lacks is made of what it has. */
#ifndef EMULATED_ARM_NEON_H
#define EMULATED_ARM_NEON_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>

static inline int32x4_t emulated_vcvtnq_s32_f32(float32x4_t a)
{
    return vcvtq_s32_f32(vrndnq_f32(a));
}
#undef vcvtnq_s32_f32
#define vcvtnq_s32_f32 emulated_vcvtnq_s32_f32

#endif
