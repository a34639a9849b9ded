/* SPDX-License-Identifier: BSD-3-Clause
 * device.h: one rank's GPU: memory, copies, and the library's calls on it. In a build without CUDA
 * no process sees one, and nothing but device_count is ever called. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "cases.h"

#define DEVICE_NAME_BYTES 80
#define DEVICE_ADDRESS_BYTES 24
#define DEVICE_WHY_BYTES 160

/* How many threads of one process may be ranks with a GPU: NCCL wants a process for each. */
extern const int device_threads_most;

struct device;
struct CUstream_st;

/* GPUs that this process sees; where there is none, why[bytes] says why. */
int device_count(char *why, size_t bytes);

/* "NVIDIA H200" and "0000:19:00.0", cut at bytes - 1; "unknown" and "" where nobody tells. */
void device_describe(int gpu, char *name, size_t name_bytes, char *address, size_t address_bytes);

/* Makes the GPU this thread's, with a stream of its own for all that follows; after the context has
 * been destroyed, close gives it back. NULL, and *cause tells why. */
struct device *device_open(int gpu, const char **cause);
void device_close(struct device *device);
struct CUstream_st *device_stream(const struct device *device);

/* ww_cuda_attach with that stream, and ww_cuda_describe. All ranks call attach. */
enum ww_status device_attach(const struct device *device, struct ww_context *context);
const char *device_way(const struct ww_context *context);

/* Memory of the GPU; NULL, and *cause tells why. */
void *device_alloc(size_t bytes, const char **cause);
void device_free(void *memory);

/* Copies between any two memories, and fills memory of the GPU with one byte; in the order of the
 * stream. A copy from or to the host is done when the stream is. False = it failed. */
bool device_copy(const struct device *device, void *into, const void *from, size_t bytes);
bool device_set(const struct device *device, void *into, int byte, size_t bytes);

/* Waits until all is done: as cudaStreamSynchronize does, false = it failed; as ww_cuda_synchronize
 * does, which sees ranks that fail. */
bool device_finish(const struct device *device);
enum ww_status device_synchronize(struct ww_context *context);

/* The collective of that outcome on the GPU's memory, enqueued. Out of place a broadcast's root
 * copies first. */
enum ww_status device_run(const struct device *device, struct ww_context *context,
                          enum outcome outcome, const struct call *call);

/* ww_cuda_all_reduce_coded. */
enum ww_status device_run_coded(struct ww_context *context, const struct call *call,
                                const char *codec, float *residual);

#endif
