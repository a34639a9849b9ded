/* SPDX-License-Identifier: BSD-3-Clause
 * pattern.h: input values whose reduction is known to the last bit, whatever the order of the
 * additions. */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#include "cases.h"

struct pattern {
    enum ww_type type;
    enum ww_op op;
    int size;       /* ranks */
    uint64_t round; /* other values in every round */
};

/* Splitmix64: neighbouring inputs give unrelated outputs. */
uint64_t pattern_scramble(uint64_t x);

/* Writes elements first .. first + count - 1 of a rank's vector. */
void pattern_fill(const struct pattern *pattern, int rank, size_t first, size_t count,
                  void *values);

/* How many of values[count] differ, in any bit, from elements first .. of the reduction ... */
size_t pattern_wrong_sums(const struct pattern *pattern, size_t first, size_t count,
                          const void *values);

/* ... or of one rank's vector. */
size_t pattern_wrong_copies(const struct pattern *pattern, int rank, size_t first, size_t count,
                            const void *values);

/* How many of the values that such a call left on `rank` do. `values` begin with its output. */
size_t pattern_wrong(const struct pattern *pattern, enum outcome outcome, int rank,
                     const struct call *call, const void *values);

#endif
