/* SPDX-License-Identifier: BSD-3-Clause
 * real.h: the number the model is made of: float, or double where the gradients are checked.
 *
 * Numeric derivatives need more digits than a float has, so the check compiles the very same
 * model with TRAIN_DOUBLE. */
#ifndef TRAIN_REAL_H
#define TRAIN_REAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* e^x without a branch, so that a loop over it becomes vector instructions: GELU takes millions
 * per step. x = n ln 2 + rest, then a Taylor polynomial of the rest, times 2^n by its exponent
 * bits. Within 3e-7 of e^x, relative, for x in -87 .. 88; beyond, x counts as that end; NaN stays
 * NaN. */
static inline float real_exp_float(float x)
{
    float held = x > -87.0f ? x : -87.0f;
    held = held > 88.0f ? 88.0f : held;
    float turns = held * 1.44269504f;
    int32_t n = (int32_t)(turns + (turns < 0 ? -0.5f : 0.5f));
    /* ln 2 in two parts: the first times n is exact */
    float rest = held - (float)n * 0.693359375f;
    rest = rest + (float)n * 2.12194440e-4f;
    float sum = 1.0f / 720;
    sum = sum * rest + 1.0f / 120;
    sum = sum * rest + 1.0f / 24;
    sum = sum * rest + 1.0f / 6;
    sum = sum * rest + 0.5f;
    sum = sum * rest + 1.0f;
    sum = sum * rest + 1.0f;
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x == x ? sum * power : x;
}

#ifdef TRAIN_DOUBLE
typedef double real;
#define real_exp exp
#define real_sqrt sqrt
#else
typedef float real;
#define real_exp real_exp_float
#define real_sqrt sqrtf
#endif

#endif
