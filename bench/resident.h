/* SPDX-License-Identifier: BSD-3-Clause
 * resident.h: how much memory this process really occupies. */
#ifndef BENCH_RESIDENT_H
#define BENCH_RESIDENT_H

#include <stddef.h>

/* The most bytes that were resident at once so far (VmHWM of /proc/self/status); 0 where the system
 * does not tell. Thread: any. */
size_t resident_most(void);

#endif
