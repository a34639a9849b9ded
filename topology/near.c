/* SPDX-License-Identifier: BSD-3-Clause
 * near.c: which NIC is near a GPU, and which one it should use. All GPUs of a machine are served
 * at once, so that every rank that reads the same machine comes to the same table. */
#include "machine.h"

/* What NUMA nodes and packages say where nobody looked at PCI. */
static enum ww_place place_of_facts(const struct ww_gpu *gpu, const struct ww_nic *nic)
{
    if (fact_is_known(gpu->numa) && fact_is_known(nic->numa) &&
        gpu->numa.value == nic->numa.value) {
        return WW_PLACE_NODE;
    }
    if (fact_is_known(gpu->package) && fact_is_known(nic->package)) {
        return gpu->package.value == nic->package.value ? WW_PLACE_PACKAGE : WW_PLACE_SYS;
    }
    return WW_PLACE_UNKNOWN;
}

static enum ww_place *place_at(struct ww_machine *machine, int gpu, int nic)
{
    return &machine->places[gpu * machine->nic_count + nic];
}

/* The state that a NIC must have to count as one that works: UP, or where no wanted NIC is
 * known to be UP, unknown. Never DOWN. */
static enum ww_port_state state_wanted(const struct ww_machine *machine)
{
    for (int nic = 0; nic < machine->nic_count; nic++) {
        if (machine->nics[nic].wanted && machine->nics[nic].state == WW_PORT_UP) {
            return WW_PORT_UP;
        }
    }
    return WW_PORT_UNKNOWN;
}

static bool works(const struct ww_machine *machine, int nic, enum ww_port_state wanted)
{
    return machine->nics[nic].wanted && machine->nics[nic].state == wanted;
}

static void find_nearest(struct ww_machine *machine, int gpu, enum ww_port_state wanted)
{
    struct ww_gpu *about = &machine->gpus[gpu];
    about->near = WW_PLACE_UNKNOWN;
    about->near_up = WW_PLACE_UNKNOWN;
    for (int nic = 0; nic < machine->nic_count; nic++) {
        enum ww_place place = *place_at(machine, gpu, nic);
        if (machine->nics[nic].wanted && place < about->near) {
            about->near = place;
        }
        if (works(machine, nic, wanted) && place < about->near_up) {
            about->near_up = place;
        }
    }
}

/* Nearer, then less shared, then faster; then the order of PCI addresses. */
static bool is_better(const struct ww_machine *machine, int gpu, int nic, int than)
{
    enum ww_place place = machine->places[gpu * machine->nic_count + nic];
    enum ww_place other = machine->places[gpu * machine->nic_count + than];
    int users[2] = {0, 0};
    for (int peer = 0; peer < gpu; peer++) {
        users[0] += machine->gpus[peer].nic == nic;
        users[1] += machine->gpus[peer].nic == than;
    }
    if (place != other || users[0] != users[1]) {
        return place != other ? place < other : users[0] < users[1];
    }
    return machine->nics[nic].rate_gbit_s.value > machine->nics[than].rate_gbit_s.value;
}

static int worth_of(const struct ww_machine *machine, int nic)
{
    return near_worth(machine->nics[nic].kind, machine->nics[nic].rdma);
}

static void choose_nic(struct ww_machine *machine, int gpu, enum ww_port_state wanted)
{
    int worth = 0; /* of the best NIC that works */
    int best = -1;
    for (int nic = 0; nic < machine->nic_count; nic++) {
        int its = worth_of(machine, nic);
        worth = works(machine, nic, wanted) && its > worth ? its : worth;
    }
    for (int nic = 0; nic < machine->nic_count; nic++) {
        if (works(machine, nic, wanted) && worth_of(machine, nic) == worth &&
            (best < 0 || is_better(machine, gpu, nic, best))) {
            best = nic;
        }
    }
    machine->gpus[gpu].nic = best;
}

int near_worth(enum ww_nic_kind kind, bool rdma)
{
    if (!rdma) {
        return 0;
    }
    bool ethernet = kind == WW_NIC_ROCE || kind == WW_NIC_IWARP || kind == WW_NIC_USNIC ||
                    kind == WW_NIC_ETHERNET;
    return ethernet ? 1 : 2;
}

void near_choose(struct ww_machine *machine)
{
    enum ww_port_state wanted = state_wanted(machine);
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        for (int nic = 0; nic < machine->nic_count; nic++) {
            enum ww_place *place = place_at(machine, gpu, nic);
            if (*place == WW_PLACE_UNKNOWN) {
                *place = place_of_facts(&machine->gpus[gpu], &machine->nics[nic]);
            }
        }
        find_nearest(machine, gpu, wanted);
        choose_nic(machine, gpu, wanted);
    }
}
