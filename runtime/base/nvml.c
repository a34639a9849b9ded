/* SPDX-License-Identifier: BSD-3-Clause
 * nvml.c: finds the calls of NVIDIA's management library. */
#include "internal/nvml.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* POSIX says that a function's address may be read out of dlsym's. */
static void find_symbol(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

static void find_symbols(struct nvml *nvml)
{
    find_symbol(nvml->library, "nvmlInit_v2", &nvml->init);
    find_symbol(nvml->library, "nvmlShutdown", &nvml->shutdown);
    find_symbol(nvml->library, "nvmlDeviceGetCount_v2", &nvml->count);
    find_symbol(nvml->library, "nvmlDeviceGetHandleByIndex_v2", &nvml->device);
    find_symbol(nvml->library, "nvmlDeviceGetPciInfo_v3", &nvml->pci);
    find_symbol(nvml->library, "nvmlDeviceGetName", &nvml->name);
    find_symbol(nvml->library, "nvmlDeviceGetUUID", &nvml->uuid);
    find_symbol(nvml->library, "nvmlDeviceGetNvLinkState", &nvml->link_state);
    find_symbol(nvml->library, "nvmlDeviceGetNvLinkRemotePciInfo_v2", &nvml->link_pci);
    find_symbol(nvml->library, "nvmlDeviceGetNvLinkRemoteDeviceType", &nvml->link_type);
    find_symbol(nvml->library, "nvmlDeviceGetMaxPcieLinkGeneration", &nvml->pcie_generation);
    find_symbol(nvml->library, "nvmlDeviceGetMaxPcieLinkWidth", &nvml->pcie_lanes);
    find_symbol(nvml->library, "nvmlDeviceGetTotalEnergyConsumption", &nvml->energy);
    find_symbol(nvml->library, "nvmlDeviceGetFieldValues", &nvml->fields);
}

/* A process that found none need not search again for each of its contexts. */
static atomic_bool is_absent;

bool nvml_load(struct nvml *nvml, const char *library)
{
    bool usual = library == NULL;
    *nvml = (struct nvml){.library = NULL};
    if (usual && atomic_load(&is_absent)) {
        return false;
    }
    nvml->library = dlopen(usual ? NVML_LIBRARY : library, RTLD_NOW | RTLD_LOCAL);
    if (nvml->library == NULL) {
        if (usual) {
            atomic_store(&is_absent, true);
        }
        return false;
    }
    find_symbols(nvml);
    return true;
}

bool nvml_is_usable(const struct nvml *nvml)
{
    return nvml->init != NULL && nvml->shutdown != NULL && nvml->count != NULL &&
           nvml->device != NULL && nvml->pci != NULL;
}

void nvml_unload(struct nvml *nvml)
{
    if (nvml->library != NULL) {
        dlclose(nvml->library);
    }
    *nvml = (struct nvml){.library = NULL};
}
