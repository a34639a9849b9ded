/* SPDX-License-Identifier: BSD-3-Clause
 * big.h: comparisons of large vectors, for a GPU. */
#ifndef BIG_H
#define BIG_H

#include "compare.h"

/* 64 Mi elements by codec, and vectors beyond 2^31 bytes; huge: beyond 2^31 elements too, 13 GiB.
 * Returns how many failed. */
int big_compare(const struct device *device, bool huge);

#endif
