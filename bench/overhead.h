/* SPDX-License-Identifier: BSD-3-Clause
 * overhead.h: what the library itself costs per call, without a wire. */
#ifndef BENCH_OVERHEAD_H
#define BENCH_OVERHEAD_H

/* Prints one row per case; calls = timed calls of each. Returns an exit_code. */
int overhead_run(int calls);

#endif
