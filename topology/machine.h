/* SPDX-License-Identifier: BSD-3-Clause
 * machine.h: what the finders of this room share to fill a struct ww_machine. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/tools.h>

#define MACHINE_GPUS_MAX 256
#define MACHINE_NICS_MAX 1024
#define VENDOR_NVIDIA 0x10deu
#define VENDOR_AMD 0x1002u
#define VENDOR_INTEL 0x8086u
#define VENDOR_MELLANOX 0x15b3u
#define VENDOR_AMAZON 0x1d0fu
#define VENDOR_HPE_CRAY 0x17dbu

struct xml;

/* ---- Facts ------------------------------------------------------------------------------- */

static inline struct ww_fact fact_known(double value, enum ww_source source)
{
    return (struct ww_fact){WW_FACT_KNOWN, source, value};
}

static inline struct ww_fact fact_absent(enum ww_source source)
{
    return (struct ww_fact){WW_FACT_ABSENT, source, 0};
}

static inline struct ww_fact fact_unknown(void)
{
    return (struct ww_fact){WW_FACT_UNKNOWN, WW_SOURCE_NONE, 0};
}

static inline bool fact_is_known(struct ww_fact fact)
{
    return fact.known == WW_FACT_KNOWN;
}

/* A positive number, or unknown. */
static inline struct ww_fact fact_positive(double value, enum ww_source source)
{
    return value > 0 ? fact_known(value, source) : fact_unknown();
}

/* ---- Filling a machine --------------------------------------------------------------------- */

/* Each adds one with everything unknown, on success only. WW_NO_MEMORY, or WW_BAD_ARGUMENT when
 * there are too many. */
enum ww_status machine_add_gpu(struct ww_machine *machine, struct ww_gpu **gpu);
enum ww_status machine_add_nic(struct ww_machine *machine, struct ww_nic **nic);

/* Makes links and places for the present GPUs and NICs, all unknown; what was there is forgotten.
 * Returns WW_OK or WW_NO_MEMORY. */
enum ww_status machine_make_pairs(struct ww_machine *machine);

/* Notes a sentence, once; behind the 63rd all is dropped. */
void machine_note(struct ww_machine *machine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The GPU or NIC at this PCI address, -1 = none. */
int machine_gpu_at(const struct ww_machine *machine, const char *pci);

/* "0000:43:00.0" of whatever way to write it ("43:00.0", "00000000:43:00.0", capitals).
 * Returns false when it is no PCI address. */
bool pci_normalise(const char *text, char pci[24]);

/* Copies text, without control characters and blanks at its ends; cut at bytes - 1. */
void text_copy(char *to, size_t bytes, const char *from);

/* ---- Parts: what devices are, by their PCI numbers and names (parts.c) ---------------------- */

struct nvlink_generation {
    double link_gb_s;
    int links_max; /* of one GPU */
};
extern const struct nvlink_generation nvlink_generations[6]; /* by ww_gpu.generation */

/* Fills generation, and the links of a part that has none. */
void part_of_gpu(struct ww_gpu *gpu);

/* Whether a PCI device is a GPU that computes. class as in PCI: 0x0302. */
bool part_is_gpu(unsigned class, unsigned vendor, unsigned device);

/* The kind of a NIC as far as maker and names tell; WW_NIC_UNKNOWN where they do not. */
enum ww_nic_kind part_nic_kind(const struct ww_nic *nic);

/* What one port of the card does at most, in 10^9 bits per second; 0 = unknown. */
double part_port_gbit_s(const struct ww_nic *nic);

/* One direction of a PCI link: transfers per second in 10^9, lanes. 0 = unknown. */
double part_pcie_gb_s(double gt_s, double lanes);

/* ---- Links between GPUs (links.c) ----------------------------------------------------------- */

/* Active NVLink or xGMI links as somebody counted them. */
struct link_counts {
    int gpus;
    int *direct;    /* [gpus * gpus], from row to column */
    int *to_switch; /* [gpus] */
    int *to_cpu;    /* [gpus] */
    bool *told;     /* [gpus] whether anything was told about this GPU */
};
enum ww_status link_counts_init(struct link_counts *counts, int gpus);
void link_counts_finish(struct link_counts *counts);

/* What stands at the ends of a matrix of bandwidths. */
enum link_end { LINK_END_GPU, LINK_END_SWITCH, LINK_END_CPU, LINK_END_OTHER };
struct link_matrix {
    int size;
    enum link_end *end; /* [size] */
    int *gpu;           /* [size] number of the GPU, -1 = none */
    uint64_t *mb_s;     /* [size * size], 10^6 bytes per second, one direction */
    bool doubled_a100;  /* written by hwloc 2.9.0, which counts an A100's links twice */
};

/* Turns bandwidths into counts; refuses, with a note and false, what cannot be links. */
bool links_count(struct ww_machine *machine, const struct link_matrix *matrix,
                 struct link_counts *counts);

/* Checks counts and writes links, totals and islands. What cannot be is noted and stays unknown. */
void links_settle(struct ww_machine *machine, const struct link_counts *counts,
                  enum ww_link_kind kind, enum ww_source source);

/* Takes from a matrix only who is connected: the numbers are made up (hwloc's XGMIBandwidth). */
void links_connect(struct ww_machine *machine, const struct link_matrix *matrix,
                   enum ww_link_kind kind, bool rates_hold);

/* Numbers the islands, and says in words why links are unknown where they are. */
void links_finish(struct ww_machine *machine);

/* ---- Finders -------------------------------------------------------------------------------- */

/* hwloc (discover.c). text[bytes + 1] is a file that `xml` has taken apart already. */
enum ww_status discover_file(struct ww_machine *machine, const struct xml *xml, const char *text,
                             size_t bytes);
/* *here is set when it was this machine that hwloc looked at, not a tree or file that the
 * environment put in its place. Without hwloc nothing is known, which is no failure. */
enum ww_status discover_here(struct ww_machine *machine, bool *here);

/* A topology in NCCL's format (nccl_file.c). */
enum ww_status nccl_file_read(struct ww_machine *machine, const struct xml *xml);

/* Asks NVML about names and links (nvlink.c). A library that is not there is no failure. */
enum ww_status nvlink_ask(struct ww_machine *machine, const char *library);

/* Reads ports, rates and PCI links below `root` (nic.c), and finds RDMA devices that nobody named.
 * A root that is not there is WW_BAD_ARGUMENT. */
enum ww_status nic_read_sysfs(struct ww_machine *machine, const char *root);

/* Notes when ports are shown, but `folder` (/dev/infiniband) has no device to use them by. */
void nic_check_devices(struct ww_machine *machine, const char *folder);

/* Fills kinds, states and rates that follow from what is known already (nic.c). */
void nic_conclude(struct ww_machine *machine);

/* What ports of a kind are worth, 0 to 2; of those that work the worthiest are used. RDMA on
 * Ethernet often serves storage: it is chosen only where there is no other. Sockets come last
 * (near.c). */
int near_worth(enum ww_nic_kind kind, bool rdma);

/* Which NIC is near and which one each GPU should use (near.c). */
void near_choose(struct ww_machine *machine);

#endif
