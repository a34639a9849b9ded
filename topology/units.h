/* SPDX-License-Identifier: BSD-3-Clause
 * units.h: numbers what ranks have in common, in time n log n. */
#ifndef UNITS_H
#define UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/status.h>

/* Ranks with equal labels, inside one unit of `outer`, form a unit.
 * outer   [size] numbers of the units around them; NULL = one for all
 * labels  [size]
 * unit    [size] becomes the number of the rank's unit, in the order of the lowest rank
 * count   becomes how many there are
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status units_number(int size, const int *outer, const uint64_t *labels, int *unit,
                            int *count);

/* Every unit of `inner` lies within one of `outer`; both numbered as above. room[size] is used. */
bool units_nest(int size, const int *inner, const int *outer, int *room);

/* A label for bytes; start with HASH_BEGIN, or go on with what came before. */
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
uint64_t hash_more(uint64_t hash, const void *data, size_t bytes);
uint64_t hash_text(uint64_t hash, const char *text); /* with its end: "a", "b" is not "ab" */

#endif
