/* SPDX-License-Identifier: BSD-3-Clause
 * nvml.h: NVIDIA's management library. It is loaded when the program runs: nothing is needed to
 * build, and a machine without it does without. */
#ifndef INTERNAL_NVML_H
#define INTERNAL_NVML_H

#include <stdbool.h>

#define NVML_LIBRARY "libnvidia-ml.so.1"

/* As NVML has them since 2018; its header is not needed. 0 is success everywhere. */
struct nvml_pci {
    char legacy[16];
    unsigned domain;
    unsigned bus;
    unsigned device;
    unsigned device_id; /* device << 16 | vendor */
    unsigned subsystem_id;
    char address[32];
};

/* A counter that is asked for by its number, as NVML has them since 2017. */
#define NVML_FIELD_U64 3
struct nvml_field {
    unsigned id;
    unsigned scope; /* of which part of the GPU: for links, one of them */
    long long timestamp_us;
    long long latency_us;
    int type;    /* of the value: NVML_FIELD_U64 or another */
    int failure; /* of this field alone, 0 = it was read */
    union {
        double f64;
        unsigned long long u64;
    } value;
};
_Static_assert(sizeof(struct nvml_field) == 40, "NVML fills an array of these");

/* NULL where the library lacks a call. Those up to pci are there if nvml_is_usable says so. */
struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*device)(unsigned index, void **device);
    int (*pci)(void *device, struct nvml_pci *pci);
    int (*name)(void *device, char *name, unsigned bytes);
    int (*uuid)(void *device, char *uuid, unsigned bytes);
    int (*link_state)(void *device, unsigned link, int *active);
    int (*link_pci)(void *device, unsigned link, struct nvml_pci *pci);
    int (*link_type)(void *device, unsigned link, int *type);
    int (*pcie_generation)(void *device, unsigned *generation);
    int (*pcie_lanes)(void *device, unsigned *lanes);
    int (*energy)(void *device, unsigned long long *millijoules);
    int (*fields)(void *device, int count, struct nvml_field *fields);
};

/* Loads the library of that name, NULL = NVML_LIBRARY, and finds what it has; calls nothing of it.
 * False = it cannot be loaded, dlerror() tells why, and *nvml is zeroes. Nothing is logged. */
bool nvml_load(struct nvml *nvml, const char *library);

bool nvml_is_usable(const struct nvml *nvml);

/* Afterwards *nvml is zeroes. Takes zeroes. */
void nvml_unload(struct nvml *nvml);

#endif
