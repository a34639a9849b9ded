/* SPDX-License-Identifier: BSD-3-Clause
 * gpu.c: memory, stream and clock of a GPU. */
#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#define ALONE 21 /* calls whose median counts */
#define ROW 16   /* calls in a row, after as many that warm up */

static cudaStream_t stream;
static struct cudaDeviceProp properties;

void gpu_check(int status, const char *what)
{
    if (status != (int)cudaSuccess) {
        fprintf(stderr, "kernels_gpu: %s: %s\n", what, cudaGetErrorString((cudaError_t)status));
        exit(1);
    }
}

static void *allocate(size_t bytes)
{
    void *memory;
    gpu_check(cudaMalloc(&memory, bytes > 0 ? bytes : 1), "cudaMalloc");
    return memory;
}

static void release(void *memory)
{
    gpu_check(cudaFree(memory), "cudaFree");
}

static void finish(void)
{
    gpu_check(cudaStreamSynchronize(stream), "waiting for the stream");
}

static void put(void *memory, const void *from, size_t bytes)
{
    gpu_check(cudaMemcpyAsync(memory, from, bytes, cudaMemcpyHostToDevice, stream), "copying in");
    finish();
}

static void get(void *into, const void *memory, size_t bytes)
{
    gpu_check(cudaMemcpyAsync(into, memory, bytes, cudaMemcpyDeviceToHost, stream), "copying out");
    finish();
}

bool gpu_open(struct device *device, const char **why)
{
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
        *why = status != cudaSuccess ? cudaGetErrorString(status) : "no GPU is visible";
        return false;
    }
    gpu_check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    gpu_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    *device = (struct device){allocate, release, put, get, finish, stream};
    return true;
}

const char *gpu_name(void)
{
    return properties.name;
}

void gpu_copy(void *into, const void *from, size_t bytes, void *on)
{
    gpu_check(cudaMemcpyAsync(into, from, bytes, cudaMemcpyDeviceToDevice, (cudaStream_t)on),
              "copying on the device");
}

void gpu_tile(const struct device *device, void *into, size_t bytes, const void *block,
              size_t block_bytes)
{
    unsigned char *memory = into;
    size_t done = bytes < block_bytes ? bytes : block_bytes;
    device->put(memory, block, done);
    while (done < bytes) {
        size_t more = bytes - done < block_bytes ? bytes - done : block_bytes;
        gpu_copy(memory + done, memory, more, device->stream);
        done += more;
    }
    device->finish();
}

static int ascending(const void *a, const void *b)
{
    float one = *(const float *)a;
    float other = *(const float *)b;
    return one < other ? -1 : one > other;
}

static float calls_ms(gpu_work *work, void *argument, void *on, int first, int calls,
                      const cudaEvent_t events[2])
{
    float ms;
    gpu_check(cudaEventRecord(events[0], (cudaStream_t)on), "cudaEventRecord");
    for (int i = 0; i < calls; i++) {
        work(argument, first + i, on);
    }
    gpu_check(cudaEventRecord(events[1], (cudaStream_t)on), "cudaEventRecord");
    gpu_check(cudaEventSynchronize(events[1]), "a kernel");
    gpu_check(cudaEventElapsedTime(&ms, events[0], events[1]), "cudaEventElapsedTime");
    return ms;
}

struct gpu_times gpu_time(gpu_work *work, void *argument, void *on)
{
    cudaEvent_t events[2];
    float alone[ALONE];
    float row[3];
    gpu_check(cudaEventCreate(&events[0]), "cudaEventCreate");
    gpu_check(cudaEventCreate(&events[1]), "cudaEventCreate");
    calls_ms(work, argument, on, 0, ROW, events);
    for (int i = 0; i < ALONE; i++) {
        alone[i] = calls_ms(work, argument, on, i, 1, events);
    }
    for (int i = 0; i < 3; i++) {
        row[i] = calls_ms(work, argument, on, 0, ROW, events) / ROW;
    }
    qsort(alone, ALONE, sizeof alone[0], ascending);
    qsort(row, 3, sizeof row[0], ascending);
    gpu_check(cudaEventDestroy(events[0]), "cudaEventDestroy");
    gpu_check(cudaEventDestroy(events[1]), "cudaEventDestroy");
    return (struct gpu_times){(double)alone[ALONE / 2] * 1e3, (double)row[1] * 1e3};
}
