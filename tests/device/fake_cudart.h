/* SPDX-License-Identifier: BSD-3-Clause
 * fake_cudart.h: what tests tell the fake GPU. */
#ifndef DEVICE_FAKE_CUDART_H
#define DEVICE_FAKE_CUDART_H

#include <stdbool.h>

/* From now on collectives begin and never end. */
void fake_cuda_never_ends(bool never);

/* The program makes a graph of a stream that is none of the library's. */
void fake_cuda_captures(bool does);

/* The program's thread makes it its own. */
void fake_cuda_use(int device);

/* How often a thread made the GPU its own: that makes a context on it. */
int fake_cuda_uses(int device);

/* Memory, and what is enqueued, is to be this GPU's; and how often a thread enqueued with another
 * one. Where threads begin with GPU 0. */
void fake_cuda_wants(int device);
int fake_cuda_strays(void);

/* For the fake kernels: something is enqueued. */
void fake_cuda_enqueue(void);

/* How often a stream was used that is another one in each thread. */
int fake_cuda_uses_of_threads(void);

/* This address is no GPU's; any other one is that of the caller's GPU. */
void fake_cuda_hosts(const void *memory);

/* Pieces of memory that were not given back; and how many more there are, -1 = any number. */
long fake_cuda_allocations(void);
void fake_cuda_allocations_left(long count);

/* The calling thread gets none. */
void fake_cuda_be_poor(bool poor);

#endif
