/* SPDX-License-Identifier: BSD-3-Clause
 * gpu_energy.c: adds up NVML's counters of energy. A sum that would lack a GPU is none. */
#include "gpu_energy.h"

#include <stddef.h>
#include <unistd.h>

#define NO_PERMISSION 4 /* NVML counts GPUs that a container keeps from this process */
#define MILLI 1e3

/* Takes in the GPUs that this process may ask; false where one of them cannot tell its energy. */
static bool find_gpus(struct gpu_meter *meter)
{
    unsigned shown = 0;
    if (meter->nvml.count(&shown) != 0) {
        return false;
    }
    for (unsigned index = 0; index < shown; index++) {
        void *device = NULL;
        int failure = meter->nvml.device(index, &device);
        if (failure == NO_PERMISSION) {
            continue;
        }
        if (failure != 0 || meter->count == GPU_METER_MAX ||
            meter->nvml.energy(device, &meter->gpu[meter->count].millijoules) != 0) {
            return false;
        }
        meter->gpu[meter->count++].device = device;
    }
    return meter->count > 0;
}

void gpu_meter_open(struct gpu_meter *meter, const char *library)
{
    *meter = (struct gpu_meter){.process = getpid()};
    if (!nvml_load(&meter->nvml, library)) {
        return;
    }
    if (!nvml_is_usable(&meter->nvml) || meter->nvml.energy == NULL || meter->nvml.init() != 0) {
        nvml_unload(&meter->nvml);
    } else if (!find_gpus(meter)) {
        gpu_meter_close(meter);
    }
}

/* Millijoules of one GPU since its last reading; false where they are not known. */
static bool read_gpu(struct gpu_meter *meter, int gpu, unsigned long long *since)
{
    unsigned long long before = meter->gpu[gpu].millijoules;
    unsigned long long now = 0;
    if (meter->nvml.energy(meter->gpu[gpu].device, &now) != 0 || now < before) {
        return false;
    }
    meter->gpu[gpu].millijoules = now;
    *since = now - before;
    return true;
}

double gpu_meter_joules(struct gpu_meter *meter)
{
    double joules = 0;
    if (meter->count == 0 || meter->process != getpid()) {
        return -1;
    }
    for (int gpu = 0; gpu < meter->count; gpu++) {
        unsigned long long since;
        if (!read_gpu(meter, gpu, &since)) {
            gpu_meter_close(meter);
            return -1;
        }
        joules += (double)since / MILLI;
    }
    return joules;
}

/* What a child has of NVML is its parent's. */
void gpu_meter_close(struct gpu_meter *meter)
{
    if (meter->nvml.library != NULL && meter->process == getpid()) {
        meter->nvml.shutdown();
        nvml_unload(&meter->nvml);
    }
    *meter = (struct gpu_meter){.count = 0};
}
