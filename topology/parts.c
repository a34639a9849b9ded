/* SPDX-License-Identifier: BSD-3-Clause
 * parts.c: tables of parts: which GPU has which NVLink, what a network card can do at most. */
#include "machine.h"

#include <string.h>

/* One direction. */
const struct nvlink_generation nvlink_generations[6] = {{0, 0},   {20, 4},  {25, 6},
                                                        {25, 12}, {25, 18}, {50, 18}};

/* NVIDIA's PCI numbers, a chip at a time. */
static const struct {
    unsigned first;
    unsigned last;
    int generation;
} chips[] = {{0x15f0, 0x15ff, 1}, {0x1db0, 0x1dff, 2}, {0x2080, 0x20ff, 3},
             {0x2300, 0x23ff, 4}, {0x2900, 0x29ff, 5}, {0x3180, 0x31ff, 5}};

static const struct {
    const char *name;
    int generation;
} models[] = {{"P100", 1}, {"V100", 2}, {"A100", 3},  {"A800", 3}, {"H100", 4}, {"H800", 4},
              {"H200", 4}, {"H20", 4},  {"GH200", 4}, {"B200", 5}, {"B300", 5}};

/* Parts without any NVLink, not even a bridge on the card's top. */
static const unsigned without_links[] = {
    0x1eb8 /* T4 */,       0x2236 /* A10 */,  0x25b6 /* A2, A16 */,
    0x26b5 /* L40 */,      0x26b9 /* L40S */, 0x27b8 /* L4 */,
    0x2684 /* RTX 4090 */, 0x1b38 /* P40 */,  0x1bb3 /* P4 */};

static int generation_of(const struct ww_gpu *gpu)
{
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        if (gpu->device >= chips[i].first && gpu->device <= chips[i].last) {
            return chips[i].generation;
        }
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (gpu->device == 0 && strstr(gpu->model, models[i].name) != NULL) {
            return models[i].generation;
        }
    }
    return 0;
}

void part_of_gpu(struct ww_gpu *gpu)
{
    if (gpu->vendor != VENDOR_NVIDIA) {
        return;
    }
    if (gpu->generation == 0) {
        gpu->generation = generation_of(gpu);
    }
    for (size_t i = 0; i < sizeof without_links / sizeof *without_links; i++) {
        if (gpu->device == without_links[i] && gpu->links.known == WW_FACT_UNKNOWN) {
            gpu->links = fact_absent(WW_SOURCE_PARTS);
            gpu->links_gb_s = fact_absent(WW_SOURCE_PARTS);
        }
    }
}

/* What ATI made for the consoles of servers, before GPUs computed. */
static bool is_console(unsigned device)
{
    static const unsigned consoles[] = {0x4752 /* Rage XL */, 0x4758, 0x5159 /* RV100 */,
                                        0x515e /* ES1000 */, 0x5969 /* ES1000 */};
    for (size_t i = 0; i < sizeof consoles / sizeof *consoles; i++) {
        if (device == consoles[i]) {
            return true;
        }
    }
    return false;
}

/* Boards have a chip for their console as well: that is a display, mostly of another maker. */
bool part_is_gpu(unsigned class, unsigned vendor, unsigned device)
{
    bool display = class >> 8 == 0x03;
    bool accelerator = class >> 8 == 0x12;
    switch (vendor) {
    case VENDOR_AMD:
        return accelerator || (display && !is_console(device));
    case VENDOR_NVIDIA:
        return display || accelerator;
    case VENDOR_INTEL:
        return class == 0x0380 || class == 0x0302;
    default:
        return false;
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

enum ww_nic_kind part_nic_kind(const struct ww_nic *nic)
{
    static const struct {
        const char *name;
        enum ww_nic_kind kind;
    } names[] = {
        {"hfi1_", WW_NIC_OMNIPATH},  {"qib", WW_NIC_INFINIBAND},   {"mthca", WW_NIC_INFINIBAND},
        {"ehca", WW_NIC_INFINIBAND}, {"ipath", WW_NIC_INFINIBAND}, {"usnic", WW_NIC_USNIC},
        {"efa_", WW_NIC_EFA},        {"erdma", WW_NIC_IWARP},      {"ocrdma", WW_NIC_ROCE},
        {"qedr", WW_NIC_ROCE},       {"mana_", WW_NIC_ROCE},       {"cxgb4_", WW_NIC_IWARP},
        {"cxi", WW_NIC_SLINGSHOT},   {"bxi", WW_NIC_BXI},          {"i40iw", WW_NIC_IWARP},
        {"siw", WW_NIC_IWARP},       {"rxe", WW_NIC_ROCE},         {"bnxt_re", WW_NIC_ROCE},
        {"hns_", WW_NIC_ROCE},       {"roce", WW_NIC_ROCE},        {"iwp", WW_NIC_IWARP},
        {"rdmap", WW_NIC_EFA},       {"ibp", WW_NIC_INFINIBAND},   {"opap", WW_NIC_OMNIPATH}};
    if (nic->vendor == VENDOR_AMAZON && nic->rdma) {
        return WW_NIC_EFA;
    }
    /* Interfaces of other makers' cards are called hsn0 as well: Slingshot 10 had such cards. */
    if (nic->vendor == VENDOR_HPE_CRAY ||
        (nic->vendor == 0 && (begins(nic->name, "hsn") || begins(nic->name, "hsi")))) {
        return WW_NIC_SLINGSHOT;
    }
    if (nic->vendor == 0x14e4) { /* Broadcom has no other RDMA */
        return nic->rdma ? WW_NIC_ROCE : WW_NIC_UNKNOWN;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (begins(nic->name, names[i].name)) {
            return names[i].kind;
        }
    }
    return WW_NIC_UNKNOWN;
}

double part_port_gbit_s(const struct ww_nic *nic)
{
    static const struct {
        unsigned vendor;
        unsigned device;
        double gbit_s;
    } cards[] = {
        {VENDOR_MELLANOX, 0x1003, 56},  /* ConnectX-3 */
        {VENDOR_MELLANOX, 0x1007, 56},  /* ConnectX-3 Pro */
        {VENDOR_MELLANOX, 0x1011, 56},  /* Connect-IB */
        {VENDOR_MELLANOX, 0x1013, 100}, /* ConnectX-4 */
        {VENDOR_MELLANOX, 0x1015, 50},  /* ConnectX-4 Lx */
        {VENDOR_MELLANOX, 0x1017, 100}, /* ConnectX-5 */
        {VENDOR_MELLANOX, 0x1019, 100}, /* ConnectX-5 Ex */
        {VENDOR_MELLANOX, 0x101b, 200}, /* ConnectX-6 */
        {VENDOR_MELLANOX, 0x101d, 200}, /* ConnectX-6 Dx */
        {VENDOR_MELLANOX, 0x101f, 50},  /* ConnectX-6 Lx */
        {VENDOR_MELLANOX, 0x1021, 400}, /* ConnectX-7 */
        {VENDOR_MELLANOX, 0x1023, 800}, /* ConnectX-8 */
        {VENDOR_MELLANOX, 0xa2dc, 400}, /* BlueField-3 */
        {VENDOR_HPE_CRAY, 0x0501, 200}, /* Slingshot 11 */
        {VENDOR_AMAZON, 0xefa0, 100},   /* EFA */
        {VENDOR_AMAZON, 0xefa1, 100},   {VENDOR_AMAZON, 0xefa2, 100},
        {VENDOR_AMAZON, 0xefa3, 400},   {VENDOR_INTEL, 0x24f0, 100}, /* Omni-Path */
        {VENDOR_INTEL, 0x24f1, 100},
    };
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        if (nic->vendor == cards[i].vendor && nic->device == cards[i].device) {
            return cards[i].gbit_s;
        }
    }
    return 0;
}

double part_pcie_gb_s(double gt_s, double lanes)
{
    if (!(gt_s >= 2 && gt_s <= 256 && lanes >= 1 && lanes <= 32)) {
        return 0;
    }
    /* 8b/10b up to the second generation, 128b/130b to the fifth, flits from the sixth. */
    double useful = gt_s <= 5 ? 0.8 : gt_s < 64 ? 128.0 / 130 : 242.0 / 256;
    return gt_s * lanes * useful / 8;
}
