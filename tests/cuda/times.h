/* SPDX-License-Identifier: BSD-3-Clause
 * times.h: times kernels for GPUs. */
#ifndef TIMES_H
#define TIMES_H

#include "compare.h"

/* Prints what every function takes for 64 Mi elements, beside copying on the device; encoding of
 * 25 MiB, by codec; and choosing 1 % of 100 M elements. */
void times_print(const struct device *device);

#endif
