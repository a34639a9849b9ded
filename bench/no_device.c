/* SPDX-License-Identifier: BSD-3-Clause
 * no_device.c: stands in for device.c in a build without CUDA: there is no GPU, so that nothing but
 * device_count is called. */
#include "device.h"

#include <stdio.h>

int device_count(char *why, size_t bytes)
{
    snprintf(why, bytes, "wirewise was built without CUDA; build with -DWIREWISE_CUDA=ON");
    return 0;
}

void device_describe(int gpu, char *name, size_t name_bytes, char *address, size_t address_bytes)
{
    (void)gpu;
    snprintf(name, name_bytes, "unknown");
    snprintf(address, address_bytes, "%s", "");
}

struct device *device_open(int gpu, const char **cause)
{
    (void)gpu;
    *cause = "wirewise was built without CUDA";
    return NULL;
}

void device_close(struct device *device)
{
    (void)device;
}

struct CUstream_st *device_stream(const struct device *device)
{
    (void)device;
    return NULL;
}

enum ww_status device_attach(const struct device *device, struct ww_context *context)
{
    (void)device;
    (void)context;
    return WW_UNSUPPORTED;
}

const char *device_way(const struct ww_context *context)
{
    (void)context;
    return "";
}

void *device_alloc(size_t bytes, const char **cause)
{
    (void)bytes;
    *cause = "wirewise was built without CUDA";
    return NULL;
}

void device_free(void *memory)
{
    (void)memory;
}

bool device_copy(const struct device *device, void *into, const void *from, size_t bytes)
{
    (void)device;
    (void)into;
    (void)from;
    (void)bytes;
    return false;
}

bool device_set(const struct device *device, void *into, int byte, size_t bytes)
{
    (void)device;
    (void)into;
    (void)byte;
    (void)bytes;
    return false;
}

bool device_finish(const struct device *device)
{
    (void)device;
    return false;
}

enum ww_status device_synchronize(struct ww_context *context)
{
    (void)context;
    return WW_UNSUPPORTED;
}

enum ww_status device_run(const struct device *device, struct ww_context *context,
                          enum outcome outcome, const struct call *call)
{
    (void)device;
    (void)context;
    (void)outcome;
    (void)call;
    return WW_UNSUPPORTED;
}

enum ww_status device_run_coded(struct ww_context *context, const struct call *call,
                                const char *codec, float *residual)
{
    (void)context;
    (void)call;
    (void)codec;
    (void)residual;
    return WW_UNSUPPORTED;
}
