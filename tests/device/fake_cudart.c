/* SPDX-License-Identifier: BSD-3-Clause
 * fake_cudart.c: the calls of CUDA's runtime that gpu.c makes, for tests without a GPU. Memory of
 * the GPU is the host's, and what is enqueued is done at once. A test can let events never come. */
#include "fake_cudart.h"

#include <cuda_runtime_api.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GPUS 2

static _Thread_local int current;
static _Thread_local enum cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
static atomic_int uses[GPUS];
static atomic_bool captures;
static atomic_bool never_ends;
static const void *_Atomic hosts_memory;
static atomic_long allocations;
static atomic_long allocations_left = -1;
static _Thread_local bool is_poor;

void fake_cuda_never_ends(bool never)
{
    atomic_store(&never_ends, never);
}

void fake_cuda_captures(bool does)
{
    atomic_store(&captures, does);
}

void fake_cuda_hosts(const void *memory)
{
    atomic_store(&hosts_memory, memory);
}

long fake_cuda_allocations(void)
{
    return atomic_load(&allocations);
}

void fake_cuda_allocations_left(long count)
{
    atomic_store(&allocations_left, count);
}

void fake_cuda_be_poor(bool poor)
{
    is_poor = poor;
}

struct event {
    bool begins; /* the first of a timed pair that its thread made: it always comes */
    double time_s;
};

static atomic_int wanted = -1;
static atomic_int strays;

void fake_cuda_wants(int device)
{
    atomic_store(&wanted, device);
}

int fake_cuda_strays(void)
{
    return atomic_load(&strays);
}

void fake_cuda_enqueue(void)
{
    int device = atomic_load(&wanted);
    atomic_fetch_add(&strays, device >= 0 && device != current);
}

static atomic_int uses_of_threads;

int fake_cuda_uses_of_threads(void)
{
    return atomic_load(&uses_of_threads);
}

static void use_stream(cudaStream_t stream)
{
    fake_cuda_enqueue();
    atomic_fetch_add(&uses_of_threads, stream == cudaStreamPerThread);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = GPUS;
    return cudaSuccess;
}

void fake_cuda_use(int device)
{
    current = device;
}

int fake_cuda_uses(int device)
{
    return atomic_load(&uses[device]);
}

cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= GPUS) {
        return cudaErrorInvalidDevice;
    }
    atomic_fetch_add(&uses[device], 1);
    current = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return cudaSuccess;
}

#undef cudaGetDeviceProperties
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    memset(properties, 0, sizeof *properties);
    memcpy(properties->name, "fake GPU", sizeof "fake GPU");
    return device < GPUS ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    snprintf(text, (size_t)bytes, "0000:%02x:00.0", (unsigned)device + 1);
    return cudaSuccess;
}

/* While any thread makes a graph, whoever does not say that it may spoils it by what is not
 * enqueued: looks, waits, memory. */
static bool spoils_graph(void)
{
    return atomic_load(&captures) && capture_mode != cudaStreamCaptureModeRelaxed;
}

/* What a GPU's memory holds at first is anything but zeros. */
static cudaError_t allocate(void **memory, size_t bytes)
{
    fake_cuda_enqueue();
    if (spoils_graph()) {
        return cudaErrorStreamCaptureUnsupported;
    }
    long left = atomic_load(&allocations_left);
    while (left > 0 && !atomic_compare_exchange_weak(&allocations_left, &left, left - 1)) {
        continue;
    }
    if (left == 0 || is_poor) {
        return cudaErrorMemoryAllocation;
    }
    *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*memory == NULL) {
        return cudaErrorMemoryAllocation;
    }
    memset(*memory, 0xa5, bytes);
    atomic_fetch_add(&allocations, 1);
    return cudaSuccess;
}

static cudaError_t give_back(void *memory)
{
    if (spoils_graph()) {
        return cudaErrorStreamCaptureUnsupported;
    }
    atomic_fetch_sub(&allocations, memory != NULL);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    return allocate(memory, bytes);
}

cudaError_t cudaFree(void *memory)
{
    return give_back(memory);
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    return allocate(memory, bytes);
}

cudaError_t cudaFreeHost(void *memory)
{
    return give_back(memory);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *memory)
{
    bool host = memory == atomic_load(&hosts_memory);
    *attributes = (struct cudaPointerAttributes){
        .type = host ? cudaMemoryTypeUnregistered : cudaMemoryTypeDevice,
        .device = atomic_load(&wanted) >= 0 ? atomic_load(&wanted) : current};
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *most)
{
    *least = 0;
    *most = -1;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    (void)flags;
    (void)priority;
    *stream = malloc(1);
    return *stream == NULL ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    use_stream(stream);
    (void)event;
    (void)flags;
    return cudaSuccess;
}

static cudaError_t whether_ended(void)
{
    if (spoils_graph()) {
        return cudaErrorStreamCaptureUnsupported;
    }
    return atomic_load(&never_ends) ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    use_stream(stream);
    return whether_ended();
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    use_stream(stream);
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    enum cudaStreamCaptureMode before = capture_mode;
    capture_mode = *mode;
    *mode = before;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    use_stream(stream);
    return spoils_graph() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

static _Thread_local unsigned timed_events;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    struct event *made = calloc(1, sizeof *made);
    fake_cuda_enqueue();
    bool timed = flags == cudaEventDefault;
    made->begins = timed && timed_events++ % 2 == 0;
    *event = (cudaEvent_t)(void *)made;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    use_stream(stream);
    ((struct event *)(void *)event)->time_s = now_s();
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    const struct event *asked = (struct event *)(void *)event;
    return asked->begins ? cudaSuccess : whether_ended();
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    const struct event *first = (struct event *)(void *)from;
    const struct event *last = (struct event *)(void *)to;
    *milliseconds = (float)((last->time_s - first->time_s) * 1e3);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *into, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)kind;
    use_stream(stream);
    memmove(into, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *into, int value, size_t bytes, cudaStream_t stream)
{
    use_stream(stream);
    memset(into, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorMemoryAllocation ? "out of memory" : "an error of the fake GPU";
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorFake";
}
