/* SPDX-License-Identifier: BSD-3-Clause
 * values.h: what ranks contribute in these tests, and what must come out, to the bit: small
 * integers, whose sums are exact in every type, and large ones in integer types, whose sums wrap.
 * Element i of a rank depends on i modulo a prime, so no chunk looks like its neighbour. */
#ifndef RUNTIME_VALUES_H
#define RUNTIME_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/wirewise.h>

#define VALUES_RANKS_MAX 8

/* into[count] = elements first ... of what a rank contributes. Thread: any. */
void values_fill(enum ww_type type, int rank, size_t first, void *into, size_t count);

/* True when got[count] is, bit for bit, the reduction over ranks 0 .. size - 1 of the elements
 * first ... Thread: any. */
bool values_reduced(enum ww_type type, enum ww_op op, int size, size_t first, const void *got,
                    size_t count);

/* True when got[count] is what that rank contributes. Thread: any. */
bool values_of_rank(enum ww_type type, int rank, size_t first, const void *got, size_t count);

#endif
