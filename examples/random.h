/* SPDX-License-Identifier: BSD-3-Clause
 * random.h: chance as an argument: a hash of 64 bits and a stream made of it. */
#ifndef TRAIN_RANDOM_H
#define TRAIN_RANDOM_H

#include <math.h>
#include <stdint.h>

/* The finisher of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of
 * the output. */
static inline uint64_t random_hash(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* The next number of the stream, in (0, 1]. */
static inline double random_unit(uint64_t *stream)
{
    *stream += 0x9e3779b97f4a7c15u;
    return (double)((random_hash(*stream) >> 11) + 1) * 0x1p-53;
}

/* The next number of the stream, normal with mean 0 and deviation 1 (Box and Muller 1958). */
static inline double random_normal(uint64_t *stream)
{
    const double two_pi = 6.283185307179586;
    double radius = sqrt(-2.0 * log(random_unit(stream)));
    return radius * cos(two_pi * random_unit(stream));
}

#endif
