/* SPDX-License-Identifier: BSD-3-Clause
 * gpu.h: memory, streams and events of a GPU. Streams and events are cudaStream_t and cudaEvent_t,
 * but this header needs none of CUDA's. Calls act on the calling thread's current GPU; those that
 * return a status log what went wrong. Work behind a failure is void: the first one of a stream is
 * found by any later call. */
#ifndef INTERNAL_GPU_H
#define INTERNAL_GPU_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/status.h>

/* How many GPUs this process may use, 0 where there is none or no driver; then why, in
 * why[bytes]. */
int gpu_count(char *why, size_t bytes);

/* The GPU of this thread from now on. WW_OK, WW_UNSUPPORTED. */
enum ww_status gpu_use(int device);
int gpu_current(void);

/* "NVIDIA H200". Cut at bytes - 1. */
void gpu_name(int device, char *text, size_t bytes);

/* Memory of the GPU, contents undefined, aligned to 256; and memory of the host that it reads and
 * writes at full speed. 0 bytes give NULL. Freeing waits for work under way. WW_OK, WW_NO_MEMORY.
 */
enum ww_status gpu_alloc(size_t bytes, void **memory);
void gpu_free(void *memory);
enum ww_status gpu_alloc_pinned(size_t bytes, void **memory);
void gpu_free_pinned(void *memory);

/* Which GPU memory belongs to, -1 = none's: it is the host's, or unknown. */
int gpu_owner(const void *memory);

/* What all threads may use for a stream: cudaStreamPerThread is another one in each, and the
 * default stream, which waits for those of all threads as they wait for it, takes its place. */
void *gpu_stream_of_all(void *stream);
enum ww_status gpu_stream_create(void **stream); /* urgent; does not wait for the default stream */
void gpu_stream_destroy(void *stream);

/* Events that tell times, or only order. */
enum ww_status gpu_event_create(bool timed, void **event);
void gpu_event_destroy(void *event);

/* In the order of a stream. Copies go between any two memories; those of pageable host memory may
 * wait. WW_OK, WW_TRANSPORT_FAILED. */
enum ww_status gpu_copy(void *into, const void *from, size_t bytes, void *stream);
enum ww_status gpu_zero(void *into, size_t bytes, void *stream);
enum ww_status gpu_record(void *event, void *stream);
enum ww_status gpu_stream_await(void *stream, void *event); /* the stream waits, not the caller */

/* WW_OK once everything before the event is done, WW_PENDING, or WW_TRANSPORT_FAILED. */
enum ww_status gpu_event_look(void *event);
enum ww_status gpu_stream_look(void *stream);
enum ww_status gpu_stream_finish(void *stream); /* the caller waits */
bool gpu_stream_captures(void *stream);         /* it is being made into a graph */

/* From now on this thread's calls are none that forbid or break the graphs that others make, until
 * the mode that was before, which this returns, is set again. */
int gpu_spare_captures(void);
void gpu_mind_captures(int mode);

/* Between two timed events that are done. */
double gpu_seconds(void *from, void *to);

/* A status for what a launcher of kernels returned: 0 = WW_OK, else it is logged. */
enum ww_status gpu_status(int error, const char *what);

/* The same error in words, where it is no failure: it is forgotten then. */
const char *gpu_excuse(int error);

#endif
