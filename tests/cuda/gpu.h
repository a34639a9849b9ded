/* SPDX-License-Identifier: BSD-3-Clause
 * gpu.h: the GPU that the program kernels_gpu uses: memory, one stream, and a clock. Failures end
 * the program with a sentence. */
#ifndef GPU_H
#define GPU_H

#include "compare.h"

/* False where there is no GPU: *why is a sentence. */
bool gpu_open(struct device *device, const char **why);

const char *gpu_name(void);

/* Ends the program unless status is 0. */
void gpu_check(int status, const char *what);

void gpu_copy(void *into, const void *from, size_t bytes, void *stream);

/* What is timed: the turn-th call, on buffers of its own where turns are many. */
typedef void gpu_work(void *argument, int turn, void *stream);

struct gpu_times {
    double alone_us; /* the median of single calls, with what it takes to launch one */
    double row_us;   /* of a call among several in a row */
};
struct gpu_times gpu_time(gpu_work *work, void *argument, void *stream);

/* Fills a vector on the device with repetitions of what lies at `block`, on the host. */
void gpu_tile(const struct device *device, void *into, size_t bytes, const void *block,
              size_t block_bytes);

#endif
