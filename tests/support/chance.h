/* SPDX-License-Identifier: BSD-3-Clause
 * chance.h: numbers that look random and are the same in every run. */
#ifndef TESTS_SUPPORT_CHANCE_H
#define TESTS_SUPPORT_CHANCE_H

#include <stdint.h>

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit. */
static inline uint64_t chance_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The next of a row: SplitMix64 itself. */
static inline uint64_t chance_next(uint64_t *state)
{
    return chance_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

#endif
