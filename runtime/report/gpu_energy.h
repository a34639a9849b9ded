/* SPDX-License-Identifier: BSD-3-Clause
 * gpu_energy.h: the energy that this host's GPUs took, as NVML tells it (Volta and newer). What
 * NVML shows counts: whole GPUs, whoever else works on them or on parts of them (MIG), those too
 * that CUDA_VISIBLE_DEVICES hides from CUDA; none that a container keeps from this process. */
#ifndef REPORT_GPU_ENERGY_H
#define REPORT_GPU_ENERGY_H

#include <sys/types.h>

#include "internal/nvml.h"

#define GPU_METER_MAX 64

/* Zeroes are a meter that reads nothing. */
struct gpu_meter {
    struct nvml nvml; /* initialised while there is a count */
    pid_t process;    /* that did so: NVML does not outlive a fork */
    int count;        /* 0 = energy cannot be read */
    struct {
        void *device;
        unsigned long long millijoules; /* since the driver was loaded, at the last reading */
    } gpu[GPU_METER_MAX];
};

/* Loads and initialises NVML, once for all readings, and reads all GPUs. library  NULL = the
 * system's. Where anything is missing the meter reads nothing, and nobody complains. */
void gpu_meter_open(struct gpu_meter *meter, const char *library);

/* Joules of all GPUs since the last reading, or since the meter was opened. -1 = not known: nothing
 * can be read, a GPU does not answer, one began to count anew, or this process is a child of the
 * meter's. It is -1 from then on. */
double gpu_meter_joules(struct gpu_meter *meter);

/* Afterwards *meter is zeroes. Takes zeroes. */
void gpu_meter_close(struct gpu_meter *meter);

#endif
