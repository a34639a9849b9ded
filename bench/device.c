/* SPDX-License-Identifier: BSD-3-Clause
 * device.c: a GPU by CUDA's runtime. The program has a runtime of its own beside the library's:
 * both stand on the same driver, and share its streams and its memory. */
#include "device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>

#include <wirewise/cuda.h>

struct device {
    int gpu;
    cudaStream_t stream;
};

int device_count(char *why, size_t bytes)
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

void device_describe(int gpu, char *name, size_t name_bytes, char *address, size_t address_bytes)
{
    struct cudaDeviceProp properties;
    bool known = cudaGetDeviceProperties(&properties, gpu) == cudaSuccess;
    snprintf(name, name_bytes, "%s", known ? properties.name : "unknown");
    if (cudaDeviceGetPCIBusId(address, (int)address_bytes, gpu) != cudaSuccess) {
        address[0] = '\0';
    }
}

static bool succeeds(cudaError_t error, const char **cause)
{
    if (error != cudaSuccess) {
        cudaGetLastError();
        *cause = cudaGetErrorString(error);
    }
    return error == cudaSuccess;
}

struct device *device_open(int gpu, const char **cause)
{
    struct device *device = calloc(1, sizeof(*device));
    if (device == NULL) {
        *cause = "no memory";
        return NULL;
    }
    device->gpu = gpu;
    if (!succeeds(cudaSetDevice(gpu), cause) ||
        !succeeds(cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking), cause)) {
        free(device);
        return NULL;
    }
    return device;
}

void device_close(struct device *device)
{
    if (device != NULL) {
        cudaStreamDestroy(device->stream);
        free(device);
    }
}

struct CUstream_st *device_stream(const struct device *device)
{
    return device->stream;
}

enum ww_status device_attach(const struct device *device, struct ww_context *context)
{
    return ww_cuda_attach(context, device->gpu, device->stream);
}

const char *device_way(const struct ww_context *context)
{
    return ww_cuda_describe(context);
}

void *device_alloc(size_t bytes, const char **cause)
{
    void *memory = NULL;
    return succeeds(cudaMalloc(&memory, bytes), cause) ? memory : NULL;
}

void device_free(void *memory)
{
    cudaFree(memory);
}

bool device_copy(const struct device *device, void *into, const void *from, size_t bytes)
{
    return bytes == 0 ||
           cudaMemcpyAsync(into, from, bytes, cudaMemcpyDefault, device->stream) == cudaSuccess;
}

bool device_set(const struct device *device, void *into, int byte, size_t bytes)
{
    return bytes == 0 || cudaMemsetAsync(into, byte, bytes, device->stream) == cudaSuccess;
}

bool device_finish(const struct device *device)
{
    return cudaStreamSynchronize(device->stream) == cudaSuccess;
}

enum ww_status device_synchronize(struct ww_context *context)
{
    return ww_cuda_synchronize(context);
}

static enum ww_status broadcast(const struct device *device, struct ww_context *context,
                                const struct call *call)
{
    size_t bytes = call->count * ww_type_bytes(call->type);
    if (call->input != call->output && ww_rank(context) == call->root &&
        !device_copy(device, call->output, call->input, bytes)) {
        return WW_TRANSPORT_FAILED;
    }
    return ww_cuda_broadcast(context, call->output, call->count, call->type, call->root);
}

enum ww_status device_run(const struct device *device, struct ww_context *context,
                          enum outcome outcome, const struct call *call)
{
    switch (outcome) {
    case OUTCOME_REDUCED_SHARE:
        return ww_cuda_reduce_scatter(context, call->input, call->output, call->count, call->type,
                                      call->op);
    case OUTCOME_GATHERED:
        return ww_cuda_all_gather(context, call->input, call->output, call->count, call->type);
    case OUTCOME_COPIED:
        return broadcast(device, context, call);
    default:
        return ww_cuda_all_reduce(context, call->input, call->output, call->count, call->type,
                                  call->op);
    }
}

enum ww_status device_run_coded(struct ww_context *context, const struct call *call,
                                const char *codec, float *residual)
{
    return ww_cuda_all_reduce_coded(context, call->input, call->output, call->count, call->op,
                                    codec, residual);
}
