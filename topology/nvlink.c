/* SPDX-License-Identifier: BSD-3-Clause
 * nvlink.c: asks NVIDIA's management library for names and active links; each call that an old one
 * lacks is done without. */
#include "machine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "internal/log.h"
#include "internal/nvml.h"

#define LINK_NUMBERS 36 /* as many as a GPU may answer for; only active ones count */
#define NAME_BYTES 96
#define UUID_BYTES 96
#define REMOTE_GPU 0
#define REMOTE_CPU 1
#define REMOTE_SWITCH 2

/* ---- One GPU --------------------------------------------------------------------------------- */

static bool read_address(const struct nvml_pci *pci, char text[24])
{
    char address[sizeof pci->address + 1] = "";
    memcpy(address, pci->address, sizeof pci->address);
    return pci_normalise(address, text);
}

static struct ww_fact read_pcie(const struct nvml *nvml, void *device, struct ww_fact before)
{
    static const double gt_s[] = {0, 2.5, 5, 8, 16, 32, 64};
    unsigned generation = 0;
    unsigned lanes = 0;
    if (nvml->pcie_generation == NULL || nvml->pcie_lanes == NULL ||
        nvml->pcie_generation(device, &generation) != 0 || nvml->pcie_lanes(device, &lanes) != 0 ||
        generation >= sizeof gt_s / sizeof *gt_s) {
        return before;
    }
    double gb_s = part_pcie_gb_s(gt_s[generation], lanes);
    return gb_s > 0 ? fact_known(gb_s, WW_SOURCE_NVML) : before;
}

static void read_names(const struct nvml *nvml, void *device, struct ww_gpu *gpu)
{
    char name[NAME_BYTES + 1] = "";
    char uuid[UUID_BYTES + 1] = "";
    if (nvml->name != NULL && nvml->name(device, name, NAME_BYTES) == 0 && name[0] != '\0') {
        text_copy(gpu->model, sizeof gpu->model, name);
    }
    if (nvml->uuid != NULL && nvml->uuid(device, uuid, UUID_BYTES) == 0 && uuid[0] != '\0') {
        text_copy(gpu->uuid, sizeof gpu->uuid, uuid);
    }
    gpu->pcie_gb_s = read_pcie(nvml, device, gpu->pcie_gb_s);
}

/* Where a link ends. A peer that PCI does not show is a switch that a virtual machine hides. */
static void count_link(const struct nvml *nvml, struct ww_machine *machine, void *device, int gpu,
                       unsigned link, struct link_counts *counts)
{
    struct nvml_pci pci = {.domain = 0};
    char address[24];
    int type = -1;
    if (nvml->link_type != NULL && nvml->link_type(device, link, &type) != 0) {
        type = -1;
    }
    int peer = nvml->link_pci != NULL && nvml->link_pci(device, link, &pci) == 0 &&
                       read_address(&pci, address)
                   ? machine_gpu_at(machine, address)
                   : -1;
    if (peer >= 0) {
        counts->direct[gpu * counts->gpus + peer]++;
    } else if (type == REMOTE_CPU) {
        counts->to_cpu[gpu]++;
    } else if (type == REMOTE_SWITCH || type != REMOTE_GPU) {
        counts->to_switch[gpu]++;
    } else {
        machine_note(machine, "GPU %d has a link to a GPU that this machine does not show", gpu);
    }
}

static void count_links(const struct nvml *nvml, struct ww_machine *machine, void *device, int gpu,
                        struct link_counts *counts)
{
    for (unsigned link = 0; nvml->link_state != NULL && link < LINK_NUMBERS; link++) {
        int active = 0;
        if (nvml->link_state(device, link, &active) != 0) {
            continue;
        }
        counts->told[gpu] = true;
        if (active == 1) {
            count_link(nvml, machine, device, gpu, link, counts);
        }
    }
}

/* ---- All GPUs -------------------------------------------------------------------------------- */

/* Several logical GPUs may share one PCI function: they are one GPU here. */
static enum ww_status find_gpu(struct ww_machine *machine, const struct nvml_pci *pci, int *gpu)
{
    char address[24];
    *gpu = -1;
    if (!read_address(pci, address)) {
        return WW_OK;
    }
    *gpu = machine_gpu_at(machine, address);
    if (*gpu >= 0) {
        return WW_OK;
    }
    struct ww_gpu *added;
    enum ww_status status = machine_add_gpu(machine, &added);
    if (status != WW_OK) {
        return status;
    }
    memcpy(added->pci, address, sizeof address);
    added->vendor = pci->device_id & 0xffff;
    added->device = pci->device_id >> 16;
    *gpu = machine->gpu_count - 1;
    return WW_OK;
}

static enum ww_status name_gpus(const struct nvml *nvml, struct ww_machine *machine, unsigned count)
{
    int before = machine->gpu_count;
    for (unsigned index = 0; index < count && index < MACHINE_GPUS_MAX; index++) {
        void *device = NULL;
        struct nvml_pci pci = {.domain = 0};
        int gpu = -1;
        if (nvml->device(index, &device) != 0 || nvml->pci(device, &pci) != 0) {
            machine_note(machine, "NVML does not tell about GPU %u of %u", index, count);
            continue;
        }
        enum ww_status status = find_gpu(machine, &pci, &gpu);
        if (status != WW_OK) {
            return status;
        }
        if (gpu >= 0) {
            read_names(nvml, device, &machine->gpus[gpu]);
            part_of_gpu(&machine->gpus[gpu]);
        }
    }
    machine->gpus_known = fact_known(machine->gpu_count, WW_SOURCE_NVML);
    return machine->gpu_count > before ? machine_make_pairs(machine) : WW_OK;
}

static enum ww_status link_gpus(const struct nvml *nvml, struct ww_machine *machine, unsigned count)
{
    struct link_counts counts;
    bool told = false;
    enum ww_status status = link_counts_init(&counts, machine->gpu_count);
    if (status != WW_OK) {
        return status;
    }
    for (unsigned index = 0; index < count && index < MACHINE_GPUS_MAX; index++) {
        void *device = NULL;
        struct nvml_pci pci = {.domain = 0};
        int gpu = -1;
        if (nvml->device(index, &device) == 0 && nvml->pci(device, &pci) == 0 &&
            find_gpu(machine, &pci, &gpu) == WW_OK && gpu >= 0 && gpu < counts.gpus &&
            !counts.told[gpu]) {
            count_links(nvml, machine, device, gpu, &counts);
            told = told || counts.told[gpu];
        }
    }
    if (told) {
        links_settle(machine, &counts, WW_LINK_NVLINK, WW_SOURCE_NVML);
    }
    link_counts_finish(&counts);
    return WW_OK;
}

static bool has_links(const struct ww_machine *machine)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (machine->gpus[gpu].vendor == VENDOR_NVIDIA &&
            machine->gpus[gpu].links.known == WW_FACT_UNKNOWN) {
            return false;
        }
    }
    return machine->gpu_count > 0;
}

static enum ww_status ask(const struct nvml *nvml, struct ww_machine *machine)
{
    unsigned count = 0;
    int failure = nvml->init();
    if (failure != 0) {
        machine_note(machine, "NVML refuses with its code %d: is the driver loaded?", failure);
        return WW_OK;
    }
    enum ww_status status = WW_OK;
    if (nvml->count(&count) != 0) {
        machine_note(machine, "NVML does not tell how many GPUs there are");
    } else {
        status = name_gpus(nvml, machine, count);
        if (status == WW_OK) {
            status = link_gpus(nvml, machine, count);
        }
    }
    nvml->shutdown();
    return status;
}

static bool has_nvidia(const struct ww_machine *machine)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (machine->gpus[gpu].vendor == VENDOR_NVIDIA) {
            return true;
        }
    }
    return false;
}

enum ww_status nvlink_ask(struct ww_machine *machine, const char *library)
{
    struct nvml nvml;
    bool known = machine->gpus_known.known == WW_FACT_KNOWN;
    if (library == NULL && (has_links(machine) || (known && !has_nvidia(machine)))) {
        return WW_OK;
    }
    if (!nvml_load(&nvml, library)) {
        if (library != NULL) {
            return log_failure(WW_BAD_ARGUMENT, "NVML cannot be loaded: %s", dlerror());
        }
        if (has_nvidia(machine)) {
            machine_note(machine, "There are NVIDIA GPUs, but NVML (" NVML_LIBRARY
                                  ") cannot be loaded: is the driver installed?");
        }
        return WW_OK;
    }
    enum ww_status status = WW_OK;
    if (nvml_is_usable(&nvml)) {
        status = ask(&nvml, machine);
    } else if (library != NULL) {
        status = log_failure(WW_BAD_ARGUMENT, "%s is no NVML: it lacks nvmlInit_v2 and others",
                             library);
    } else {
        machine_note(machine, NVML_LIBRARY " is too old to tell about links");
    }
    nvml_unload(&nvml);
    return status;
}
