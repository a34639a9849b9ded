/* SPDX-License-Identifier: BSD-3-Clause
 * gpu.c: the few calls of CUDA's runtime that there are. */
#include "internal/gpu.h"

#include <cuda_runtime_api.h>
#include <stdio.h>

#include "internal/log.h"

enum ww_status gpu_status(int error, const char *what)
{
    if (error == cudaSuccess) {
        return WW_OK;
    }
    return log_failure(WW_TRANSPORT_FAILED, "%s failed: %s (%s)", what,
                       cudaGetErrorString((cudaError_t)error),
                       cudaGetErrorName((cudaError_t)error));
}

const char *gpu_excuse(int error)
{
    cudaGetLastError();
    return cudaGetErrorString((cudaError_t)error);
}

static enum ww_status memory_status(cudaError_t error, const char *what, size_t bytes)
{
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* it is no failure of a stream */
        return log_failure(WW_NO_MEMORY, "no memory for %zu bytes %s", bytes, what);
    }
    return gpu_status((int)error, "allocating memory");
}

int gpu_count(char *why, size_t bytes)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError();
        snprintf(why, bytes, "%s", cudaGetErrorString(error));
        return 0;
    }
    if (count == 0) {
        snprintf(why, bytes, "the driver shows none");
    }
    return count;
}

enum ww_status gpu_use(int device)
{
    cudaError_t error = cudaSetDevice(device);
    if (error != cudaSuccess) {
        cudaGetLastError();
        return log_failure(WW_UNSUPPORTED, "GPU %d cannot be used: %s", device,
                           cudaGetErrorString(error));
    }
    return WW_OK;
}

int gpu_current(void)
{
    int device = -1;
    return cudaGetDevice(&device) == cudaSuccess ? device : -1;
}

void gpu_name(int device, char *text, size_t bytes)
{
    struct cudaDeviceProp properties;
    bool known = cudaGetDeviceProperties(&properties, device) == cudaSuccess;
    snprintf(text, bytes, "%s", known ? properties.name : "unknown");
}

enum ww_status gpu_alloc(size_t bytes, void **memory)
{
    *memory = NULL;
    return bytes == 0 ? WW_OK : memory_status(cudaMalloc(memory, bytes), "on the GPU", bytes);
}

void gpu_free(void *memory)
{
    cudaFree(memory);
}

enum ww_status gpu_alloc_pinned(size_t bytes, void **memory)
{
    *memory = NULL;
    return bytes == 0 ? WW_OK
                      : memory_status(cudaMallocHost(memory, bytes), "that the GPU reads", bytes);
}

void gpu_free_pinned(void *memory)
{
    cudaFreeHost(memory);
}

int gpu_owner(const void *memory)
{
    struct cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
        cudaGetLastError();
        return -1;
    }
    bool device = attributes.type == cudaMemoryTypeDevice ||
                  attributes.type == cudaMemoryTypeManaged;
    return device ? attributes.device : -1;
}

void *gpu_stream_of_all(void *stream)
{
    return stream == (void *)cudaStreamPerThread ? NULL : stream;
}

enum ww_status gpu_stream_create(void **stream)
{
    int least;
    int most;
    cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &most);
    if (error == cudaSuccess) {
        error = cudaStreamCreateWithPriority((cudaStream_t *)stream, cudaStreamNonBlocking, most);
    }
    return gpu_status((int)error, "making a stream");
}

void gpu_stream_destroy(void *stream)
{
    if (stream != NULL) {
        cudaStreamDestroy(stream);
    }
}

enum ww_status gpu_event_create(bool timed, void **event)
{
    unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
    return gpu_status((int)cudaEventCreateWithFlags((cudaEvent_t *)event, flags),
                      "making an event");
}

void gpu_event_destroy(void *event)
{
    if (event != NULL) {
        cudaEventDestroy(event);
    }
}

enum ww_status gpu_copy(void *into, const void *from, size_t bytes, void *stream)
{
    return bytes == 0
               ? WW_OK
               : gpu_status((int)cudaMemcpyAsync(into, from, bytes, cudaMemcpyDefault, stream),
                            "a copy");
}

enum ww_status gpu_zero(void *into, size_t bytes, void *stream)
{
    return bytes == 0 ? WW_OK
                      : gpu_status((int)cudaMemsetAsync(into, 0, bytes, stream), "clearing memory");
}

enum ww_status gpu_record(void *event, void *stream)
{
    return gpu_status((int)cudaEventRecord(event, stream), "recording an event");
}

enum ww_status gpu_stream_await(void *stream, void *event)
{
    return gpu_status((int)cudaStreamWaitEvent(stream, event, 0), "waiting for an event");
}

static enum ww_status look(cudaError_t error, const char *what)
{
    if (error == cudaErrorNotReady || error == cudaErrorCudartUnloading) {
        cudaGetLastError(); /* it is no failure, but kept like one; nor is a process that ends */
        return WW_PENDING;
    }
    return gpu_status((int)error, what);
}

enum ww_status gpu_event_look(void *event)
{
    return look(cudaEventQuery(event), "work on the GPU");
}

enum ww_status gpu_stream_look(void *stream)
{
    return look(cudaStreamQuery(stream), "work on the GPU");
}

enum ww_status gpu_stream_finish(void *stream)
{
    return gpu_status((int)cudaStreamSynchronize(stream), "work on the GPU");
}

bool gpu_stream_captures(void *stream)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaError_t error = cudaStreamIsCapturing(stream, &status);
    return error != cudaSuccess || status != cudaStreamCaptureStatusNone;
}

int gpu_spare_captures(void)
{
    enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cudaThreadExchangeStreamCaptureMode(&mode);
    return (int)mode;
}

void gpu_mind_captures(int mode)
{
    enum cudaStreamCaptureMode before = (enum cudaStreamCaptureMode)mode;
    cudaThreadExchangeStreamCaptureMode(&before);
}

double gpu_seconds(void *from, void *to)
{
    float milliseconds = 0;
    bool known = cudaEventElapsedTime(&milliseconds, from, to) == cudaSuccess;
    return known ? (double)milliseconds / 1e3 : 0;
}
