/* SPDX-License-Identifier: BSD-3-Clause
 * paper.c: machines that never were. */
#include "paper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ww_machine *paper_machine(void)
{
    struct ww_machine *machine = calloc(1, sizeof *machine);
    if (machine == NULL || (machine->notes = calloc(64, sizeof *machine->notes)) == NULL ||
        machine_make_pairs(machine) != WW_OK) {
        abort();
    }
    return machine;
}

void paper_gpus(struct ww_machine *machine, int count, unsigned device)
{
    for (int i = 0; i < count; i++) {
        struct ww_gpu *gpu;
        if (machine_add_gpu(machine, &gpu) != WW_OK) {
            abort();
        }
        snprintf(gpu->pci, sizeof gpu->pci, "0000:%02x:00.0", i + 1);
        gpu->vendor = VENDOR_NVIDIA;
        gpu->device = device;
        part_of_gpu(gpu);
    }
    if (machine_make_pairs(machine) != WW_OK) {
        abort();
    }
}

bool paper_notes(const struct ww_machine *machine, const char *text)
{
    for (int i = 0; i < machine->note_count; i++) {
        if (strstr(machine->notes[i], text) != NULL) {
            return true;
        }
    }
    return false;
}
