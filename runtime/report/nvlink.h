/* SPDX-License-Identifier: BSD-3-Clause
 * nvlink.h: what this host's GPUs sent and received through NVLink, as NVML counts it (payload, by
 * whatever program). The GPUs that count are those of gpu_energy.h. */
#ifndef REPORT_NVLINK_H
#define REPORT_NVLINK_H

#include <stdint.h>
#include <sys/types.h>

#include "internal/nvml.h"

#define NVLINK_METER_MAX 64

struct nvlink_bytes {
    uint64_t sent;
    uint64_t received;
};

/* Zeroes are a meter that reads nothing. */
struct nvlink_meter {
    struct nvml nvml; /* initialised while there is a count */
    pid_t process;    /* that did so: NVML does not outlive a fork */
    int count;        /* 0 = no GPU has links that count */
    struct {
        void *device;
        struct nvlink_bytes since; /* the driver was loaded, when the meter was opened */
    } gpu[NVLINK_METER_MAX];
};

/* Loads and initialises NVML and reads all GPUs; those without links are left out. library  NULL =
 * the system's. Where anything is missing the meter reads nothing, and nobody complains. */
void nvlink_meter_open(struct nvlink_meter *meter, const char *library);

/* Bytes of all GPUs since the meter was opened. False = not known: nothing can be read, a GPU does
 * not answer, one began to count anew, or this process is a child of the meter's. It is false from
 * then on. */
bool nvlink_meter_read(struct nvlink_meter *meter, struct nvlink_bytes *bytes);

/* Afterwards *meter is zeroes. Takes zeroes. */
void nvlink_meter_close(struct nvlink_meter *meter);

#endif
