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
};

/* Loads the library of that name, NULL = NVML_LIBRARY, and finds what it has; calls nothing of it.
 * False = it cannot be loaded, dlerror() tells why, and *nvml is zeroes. Nothing is logged. */
bool nvml_load(struct nvml *nvml, const char *library);

bool nvml_is_usable(const struct nvml *nvml);

/* Afterwards *nvml is zeroes. Takes zeroes. */
void nvml_unload(struct nvml *nvml);

#endif
