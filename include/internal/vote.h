/* SPDX-License-Identifier: BSD-3-Clause
 * vote.h: finds who differs when everybody should have said the same. */
#ifndef INTERNAL_VOTE_H
#define INTERNAL_VOTE_H

#include <stddef.h>

/* Compares `count` records that lie `stride` bytes apart, by their first `bytes` bytes.
 * Returns the lowest index whose record is not the most frequent one, or -1 when all are equal.
 * *usual becomes the lowest index that holds the most frequent record; of two equally frequent
 * ones the one that appears first counts as usual. */
int vote_odd_one(const void *records, int count, size_t stride, size_t bytes, int *usual);

#endif
