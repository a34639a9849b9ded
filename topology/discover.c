/* SPDX-License-Identifier: BSD-3-Clause
 * discover.c: a machine as hwloc sees it: cores, caches, PCI, GPUs, NICs, and the matrix of links.
 * hwloc trusts the files that it reads, so screen.c looks at them first. */
#include "machine.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/cpu.h"
#include "internal/log.h"
#include "screen.h"

#define MATRIX_MAX 1024

/* A device of the tree, and where it is on PCI. */
struct device {
    hwloc_obj_t object;
    hwloc_obj_t pci; /* itself or its parent; NULL = not on PCI */
    char name[24];   /* PCI address */
};

struct finder {
    struct ww_machine *machine;
    hwloc_topology_t topology;
    hwloc_obj_t *gpu_object; /* [MACHINE_GPUS_MAX] PCI devices */
    hwloc_obj_t *nic_object; /* [MACHINE_NICS_MAX] what carries the name */
};

/* ---- Reading the tree ------------------------------------------------------------------------ */

static const char *info_of(hwloc_obj_t object, const char *name)
{
    const char *value = hwloc_obj_get_info_by_name(object, name);
    return value == NULL ? "" : value;
}

static hwloc_obj_t pci_of(hwloc_obj_t object)
{
    while (object != NULL && object->type != HWLOC_OBJ_PCI_DEVICE) {
        object = object->parent;
    }
    return object;
}

static void write_pci(hwloc_obj_t pci, char text[24])
{
    text[0] = '\0';
    if (pci != NULL) {
        const struct hwloc_pcidev_attr_s *at = &pci->attr->pcidev;
        snprintf(text, 24, "%04x:%02x:%02x.%x", (unsigned)at->domain & 0xffffffffu, at->bus,
                 at->dev, at->func);
    }
}

/* The only package that shares cores with the place where an object hangs. */
static struct ww_fact package_of(const struct finder *finder, hwloc_obj_t object)
{
    hwloc_obj_t around = hwloc_get_non_io_ancestor_obj(finder->topology, object);
    hwloc_obj_t found = NULL;
    hwloc_obj_t next = NULL;
    if (around == NULL || around->cpuset == NULL) {
        return fact_unknown();
    }
    while ((next = hwloc_get_next_obj_by_type(finder->topology, HWLOC_OBJ_PACKAGE, next)) != NULL) {
        if (next->cpuset == NULL || !hwloc_bitmap_intersects(around->cpuset, next->cpuset)) {
            continue;
        }
        if (found != NULL) {
            return fact_unknown();
        }
        found = next;
    }
    return found == NULL ? fact_unknown() : fact_known(found->logical_index, WW_SOURCE_HWLOC);
}

/* The NUMA node around an object. Memory without cores is near nobody. */
static struct ww_fact numa_of(const struct finder *finder, hwloc_obj_t object)
{
    hwloc_obj_t around = hwloc_get_non_io_ancestor_obj(finder->topology, object);
    hwloc_obj_t numa = NULL;
    hwloc_obj_t next = NULL;
    if (around == NULL || around->cpuset == NULL || hwloc_bitmap_iszero(around->cpuset)) {
        return fact_unknown();
    }
    while ((next = hwloc_get_next_obj_by_type(finder->topology, HWLOC_OBJ_NUMANODE, next)) !=
           NULL) {
        bool holds = next->cpuset != NULL && hwloc_bitmap_isincluded(around->cpuset, next->cpuset);
        if (holds && (numa == NULL || next->os_index < numa->os_index)) {
            numa = next;
        }
    }
    return numa == NULL ? fact_unknown() : fact_known(numa->os_index, WW_SOURCE_HWLOC);
}

static hwloc_obj_t common_ancestor(hwloc_obj_t a, hwloc_obj_t b)
{
    for (; a != NULL; a = a->parent) {
        for (hwloc_obj_t around = b; around != NULL; around = around->parent) {
            if (around == a) {
                return a;
            }
        }
    }
    return NULL;
}

static enum ww_place place_of(hwloc_obj_t gpu, hwloc_obj_t nic)
{
    hwloc_obj_t common = common_ancestor(gpu, nic);
    if (common == NULL) {
        return WW_PLACE_UNKNOWN;
    }
    if (common->type == HWLOC_OBJ_PCI_DEVICE) {
        return WW_PLACE_PIX;
    }
    if (common->type == HWLOC_OBJ_BRIDGE) {
        return common->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST ? WW_PLACE_PHB
                                                                           : WW_PLACE_PIX;
    }
    return WW_PLACE_UNKNOWN; /* near.c goes by NUMA node and package */
}

/* ---- Cores ----------------------------------------------------------------------------------- */

static struct ww_fact count_of(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    return fact_positive(hwloc_get_nbobjs_by_type(topology, type), WW_SOURCE_HWLOC);
}

static void add_cache(struct ww_machine *machine, hwloc_obj_t object)
{
    const struct hwloc_cache_attr_s *cache = &object->attr->cache;
    for (int i = 0; i < machine->cache_count; i++) {
        struct ww_cache *same = &machine->caches[i];
        if (same->level == (int)cache->depth && same->each_bytes == (double)cache->size) {
            same->count++;
            return;
        }
    }
    if (machine->cache_count < WW_CACHES_MAX && cache->size > 0) {
        machine->caches[machine->cache_count++] = (struct ww_cache){(int)cache->depth, 1,
                                                                    (double)cache->size};
    }
}

static void read_cores(struct finder *finder)
{
    static const hwloc_obj_type_t levels[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE,
                                              HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE};
    struct ww_machine *machine = finder->machine;
    int without_cores = 0;
    hwloc_obj_t numa = NULL;
    while ((numa = hwloc_get_next_obj_by_type(finder->topology, HWLOC_OBJ_NUMANODE, numa)) !=
           NULL) {
        without_cores += numa->cpuset == NULL || hwloc_bitmap_iszero(numa->cpuset);
    }
    machine->packages = count_of(finder->topology, HWLOC_OBJ_PACKAGE);
    machine->numa_nodes = count_of(finder->topology, HWLOC_OBJ_NUMANODE);
    machine->numa_without_cores = fact_known(without_cores, WW_SOURCE_HWLOC);
    machine->cores = count_of(finder->topology, HWLOC_OBJ_CORE);
    machine->threads = count_of(finder->topology, HWLOC_OBJ_PU);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        hwloc_obj_t cache = NULL;
        while ((cache = hwloc_get_next_obj_by_type(finder->topology, levels[i], cache)) != NULL) {
            add_cache(machine, cache);
        }
    }
}

/* The package knows its model where the machine does not. */
static void read_names(struct finder *finder)
{
    struct ww_machine *machine = finder->machine;
    hwloc_obj_t root = hwloc_get_root_obj(finder->topology);
    hwloc_obj_t package = hwloc_get_obj_by_type(finder->topology, HWLOC_OBJ_PACKAGE, 0);
    const char *product = info_of(root, "DMIProductName");
    const char *cpu = info_of(root, "CPUModel");
    const char *version = info_of(root, "hwlocVersion");
    text_copy(machine->name, sizeof machine->name, info_of(root, "HostName"));
    text_copy(machine->product, sizeof machine->product,
              *product != '\0' ? product : info_of(root, "PlatformModel"));
    text_copy(machine->cpu, sizeof machine->cpu,
              *cpu == '\0' && package != NULL ? info_of(package, "CPUModel") : cpu);
    snprintf(machine->writer, sizeof machine->writer, "hwloc %.50s",
             *version == '\0' ? "of unknown version" : version);
}

/* ---- GPUs ------------------------------------------------------------------------------------ */

static int compare_devices(const void *left, const void *right)
{
    const struct device *a = left;
    const struct device *b = right;
    int order = strcmp(a->name, b->name);
    if (order != 0) {
        /* Domains of more than four digits come last. */
        size_t length_a = strlen(a->name);
        size_t length_b = strlen(b->name);
        return length_a != length_b ? (length_a < length_b ? -1 : 1) : order;
    }
    const char *name_a = a->object->name == NULL ? "" : a->object->name;
    const char *name_b = b->object->name == NULL ? "" : b->object->name;
    return strcmp(name_a, name_b);
}

static bool starts(const char *text, const char *with)
{
    return text != NULL && strncmp(text, with, strlen(with)) == 0;
}

/* Something that computes hangs below this PCI device. */
static bool has_gpu_name(hwloc_obj_t pci)
{
    for (hwloc_obj_t child = pci->io_first_child; child != NULL; child = child->next_sibling) {
        if (child->type == HWLOC_OBJ_OS_DEVICE &&
            (starts(child->name, "cuda") || starts(child->name, "nvml") ||
             starts(child->name, "rsmi") || starts(child->name, "ze"))) {
            return true;
        }
    }
    return false;
}

/* What the backends of hwloc say about one GPU under their different names. */
static void read_gpu_names(hwloc_obj_t pci, struct ww_gpu *gpu)
{
    static const char *const uuids[] = {"NVIDIAUUID", "AMDUUID", "LevelZeroUUID"};
    for (hwloc_obj_t child = pci->io_first_child; child != NULL; child = child->next_sibling) {
        const char *model = info_of(child, "GPUModel");
        if (gpu->model[0] == '\0') {
            text_copy(gpu->model, sizeof gpu->model, model);
        }
        for (size_t i = 0; i < sizeof uuids / sizeof *uuids; i++) {
            if (gpu->uuid[0] == '\0') {
                text_copy(gpu->uuid, sizeof gpu->uuid, info_of(child, uuids[i]));
            }
        }
    }
    if (gpu->model[0] == '\0') {
        text_copy(gpu->model, sizeof gpu->model, info_of(pci, "PCIDevice"));
    }
}

/* A GPU cut into parts (MIG, CPX, TPX) shows each of them under one PCI device. */
static void note_parts(struct finder *finder, hwloc_obj_t pci, const struct ww_gpu *gpu)
{
    static const char *const backends[] = {"cuda", "nvml", "rsmi", "ze"};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        int parts = 0;
        for (hwloc_obj_t child = pci->io_first_child; child != NULL; child = child->next_sibling) {
            parts += child->type == HWLOC_OBJ_OS_DEVICE && starts(child->name, backends[i]);
        }
        if (parts > 1) {
            machine_note(finder->machine,
                         "GPU %d (%s) is cut into %d parts: here it is one; its parts share its "
                         "wires",
                         finder->machine->gpu_count - 1, gpu->pci, parts);
        }
    }
}

/* An idle GPU lowers its link to the first generation: so slow a link tells nothing. */
#define PCIE_BELIEVED_GB_S 7.0

static enum ww_status add_gpu(struct finder *finder, const struct device *device)
{
    const struct hwloc_pcidev_attr_s *at = &device->pci->attr->pcidev;
    struct ww_gpu *gpu;
    enum ww_status status = machine_add_gpu(finder->machine, &gpu);
    if (status != WW_OK) {
        return status;
    }
    finder->gpu_object[finder->machine->gpu_count - 1] = device->pci;
    memcpy(gpu->pci, device->name, sizeof gpu->pci);
    gpu->vendor = at->vendor_id;
    gpu->device = at->device_id;
    gpu->package = package_of(finder, device->pci);
    gpu->numa = numa_of(finder, device->pci);
    double gb_s = (double)at->linkspeed;
    gpu->pcie_gb_s = fact_positive(gb_s < PCIE_BELIEVED_GB_S || gb_s > 1000 ? 0 : gb_s,
                                   WW_SOURCE_HWLOC);
    read_gpu_names(device->pci, gpu);
    part_of_gpu(gpu);
    note_parts(finder, device->pci, gpu);
    return WW_OK;
}

/* ---- NICs ------------------------------------------------------------------------------------ */

/* An InfiniBand port that is up has a LID. One that is down has a GID made of its GUID, while those
 * of Ethernet are made of a MAC address, with ff:fe in the middle. */
static enum ww_nic_kind guess_kind(hwloc_obj_t object, int port)
{
    char name[32];
    snprintf(name, sizeof name, "Port%dLID", port);
    const char *lid = info_of(object, name);
    snprintf(name, sizeof name, "Port%dGID0", port);
    const char *gid = info_of(object, name);
    snprintf(name, sizeof name, "Port%dState", port);
    bool active = strtol(info_of(object, name), NULL, 10) == 4;
    if (*lid == '\0') {
        return WW_NIC_UNKNOWN;
    }
    if (strtol(lid, NULL, 16) != 0) {
        /* Drivers of iWARP answer with a LID of 1. Only Mellanox has InfiniBand on Ethernet cards.
         */
        hwloc_obj_t pci = pci_of(object);
        bool ethernet = pci != NULL && pci->attr->pcidev.class_id == 0x0200 &&
                        pci->attr->pcidev.vendor_id != VENDOR_MELLANOX;
        return ethernet ? WW_NIC_UNKNOWN : WW_NIC_INFINIBAND;
    }
    if (active) {
        return WW_NIC_ROCE;
    }
    if (strlen(gid) != 39) {
        return WW_NIC_UNKNOWN;
    }
    return strncmp(gid + 27, "ff:fe", 5) == 0 ? WW_NIC_ROCE : WW_NIC_INFINIBAND;
}

static void read_ports(hwloc_obj_t object, struct ww_nic *nic)
{
    bool by_part = part_nic_kind(nic) != WW_NIC_UNKNOWN;
    for (int number = 1; number <= WW_PORTS_MAX; number++) {
        char name[32];
        snprintf(name, sizeof name, "Port%dState", number);
        const char *state = info_of(object, name);
        if (*state == '\0') {
            continue;
        }
        struct ww_port *port = &nic->ports[nic->port_count++];
        *port = (struct ww_port){.number = number, .state_source = WW_SOURCE_HWLOC};
        port->state = strtol(state, NULL, 10) == 4 ? WW_PORT_UP : WW_PORT_DOWN;
        if (!by_part) {
            port->kind = guess_kind(object, number);
            nic->kind_source = WW_SOURCE_HWLOC;
        }
    }
}

static enum ww_status add_nic(struct finder *finder, const struct device *device, bool rdma)
{
    struct ww_nic *nic;
    enum ww_status status = machine_add_nic(finder->machine, &nic);
    if (status != WW_OK) {
        return status;
    }
    finder->nic_object[finder->machine->nic_count - 1] = device->object;
    text_copy(nic->name, sizeof nic->name, device->object->name);
    text_copy(nic->guid, sizeof nic->guid, info_of(device->object, "NodeGUID"));
    memcpy(nic->pci, device->name, sizeof nic->pci);
    nic->rdma = rdma;
    nic->package = package_of(finder, device->object);
    nic->numa = numa_of(finder, device->object);
    if (device->pci != NULL) {
        const struct hwloc_pcidev_attr_s *at = &device->pci->attr->pcidev;
        nic->vendor = at->vendor_id;
        nic->device = at->device_id;
        nic->pcie_gb_s = fact_positive(at->linkspeed > 1000 ? 0 : (double)at->linkspeed,
                                       WW_SOURCE_HWLOC);
    }
    if (rdma) {
        read_ports(device->object, nic);
    }
    return WW_OK;
}

/* An interface of a NIC that speaks RDMA lends it its name. */
static bool lend_name(struct ww_machine *machine, const struct device *device)
{
    for (int i = 0; i < machine->nic_count; i++) {
        struct ww_nic *nic = &machine->nics[i];
        if (nic->rdma && nic->pci[0] != '\0' && strcmp(nic->pci, device->name) == 0) {
            if (nic->interface[0] == '\0' && nic->port_count < 2) {
                text_copy(nic->interface, sizeof nic->interface, device->object->name);
            }
            return true;
        }
    }
    return false;
}

/* ---- All devices ----------------------------------------------------------------------------- */

typedef bool is_wanted(hwloc_obj_t object);

static bool is_gpu(hwloc_obj_t object)
{
    const struct hwloc_pcidev_attr_s *at = object->type == HWLOC_OBJ_PCI_DEVICE
                                               ? &object->attr->pcidev
                                               : NULL;
    return at != NULL &&
           (part_is_gpu(at->class_id, at->vendor_id, at->device_id) || has_gpu_name(object));
}

static bool is_rdma(hwloc_obj_t object)
{
    return object->type == HWLOC_OBJ_OS_DEVICE &&
           object->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS;
}

/* Interfaces of wires: what hangs on no PCI device is a bridge or a container's end. */
static bool is_network(hwloc_obj_t object)
{
    return object->type == HWLOC_OBJ_OS_DEVICE &&
           object->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK && pci_of(object) != NULL;
}

/* Puts what is wanted into `devices`, which has room for all, by PCI address; returns how many. */
static int list_devices(hwloc_topology_t topology, is_wanted *wanted, struct device *devices)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_PCI_DEVICE, HWLOC_OBJ_OS_DEVICE};
    int count = 0;
    for (size_t i = 0; i < 2; i++) {
        hwloc_obj_t object = NULL;
        while ((object = hwloc_get_next_obj_by_type(topology, types[i], object)) != NULL) {
            if (wanted(object)) {
                devices[count] = (struct device){.object = object, .pci = pci_of(object)};
                write_pci(devices[count].pci, devices[count].name);
                count++;
            }
        }
    }
    if (count > 0) {
        qsort(devices, (size_t)count, sizeof *devices, compare_devices);
    }
    return count;
}

static enum ww_status read_devices(struct finder *finder, struct device *devices)
{
    enum ww_status status = WW_OK;
    int gpus = list_devices(finder->topology, is_gpu, devices);
    for (int i = 0; i < gpus && status == WW_OK; i++) {
        status = add_gpu(finder, &devices[i]);
    }
    int nics = status == WW_OK ? list_devices(finder->topology, is_rdma, devices) : 0;
    for (int i = 0; i < nics && status == WW_OK; i++) {
        status = add_nic(finder, &devices[i], true);
    }
    int interfaces = status == WW_OK ? list_devices(finder->topology, is_network, devices) : 0;
    for (int i = 0; i < interfaces && status == WW_OK; i++) {
        if (!lend_name(finder->machine, &devices[i])) {
            status = add_nic(finder, &devices[i], false);
        }
    }
    return status;
}

static bool on_one_bus(hwloc_obj_t a, hwloc_obj_t b)
{
    hwloc_obj_t one = pci_of(a);
    hwloc_obj_t other = pci_of(b);
    return one == NULL || other == NULL ||
           (one->attr->pcidev.domain == other->attr->pcidev.domain &&
            one->attr->pcidev.bus == other->attr->pcidev.bus);
}

/* A card that several hosts or sockets plug into shows its ports to each of them. Other makers give
 * one SysImageGUID to all cards of a machine. */
static void note_shared_cards(struct finder *finder)
{
    struct ww_machine *machine = finder->machine;
    for (int b = 1; b < machine->nic_count; b++) {
        const char *guid = info_of(finder->nic_object[b], "SysImageGUID");
        if (guid[strspn(guid, "0:")] == '\0' || machine->nics[b].vendor != VENDOR_MELLANOX) {
            continue;
        }
        for (int a = 0; a < b; a++) {
            if (strcmp(info_of(finder->nic_object[a], "SysImageGUID"), guid) == 0 &&
                !on_one_bus(finder->nic_object[a], finder->nic_object[b])) {
                machine_note(machine,
                             "%s and %s are one card, seen from two places (SysImageGUID): they "
                             "may share ports and their rate",
                             machine->nics[a].name, machine->nics[b].name);
                break;
            }
        }
    }
}

/* ---- Links ----------------------------------------------------------------------------------- */

static void name_end(const struct finder *finder, hwloc_obj_t object, struct link_matrix *matrix,
                     int place)
{
    hwloc_obj_t pci = object == NULL ? NULL : pci_of(object);
    matrix->end[place] = LINK_END_OTHER;
    matrix->gpu[place] = -1;
    if (object != NULL && object->type == HWLOC_OBJ_PACKAGE) {
        matrix->end[place] = LINK_END_CPU;
    }
    for (int gpu = 0; pci != NULL && gpu < finder->machine->gpu_count; gpu++) {
        if (finder->gpu_object[gpu] == pci) {
            matrix->end[place] = LINK_END_GPU;
            matrix->gpu[place] = gpu;
        }
    }
    /* Some switches show neither class nor maker, some no name. */
    if (pci != NULL && matrix->gpu[place] < 0 &&
        (pci->attr->pcidev.vendor_id == VENDOR_NVIDIA || pci->attr->pcidev.class_id == 0x0680 ||
         (pci->subtype != NULL && strcmp(pci->subtype, "NVSwitch") == 0))) {
        matrix->end[place] = LINK_END_SWITCH;
    }
}

static enum ww_status settle_nvlink(struct finder *finder, const struct link_matrix *matrix)
{
    struct link_counts counts;
    enum ww_status status = link_counts_init(&counts, finder->machine->gpu_count);
    if (status == WW_OK) {
        if (links_count(finder->machine, matrix, &counts)) {
            links_settle(finder->machine, &counts, WW_LINK_NVLINK, WW_SOURCE_HWLOC);
        }
        link_counts_finish(&counts);
    }
    return status;
}

/* One of hwloc's matrices by its name. */
static enum ww_status read_matrix(struct finder *finder, const struct hwloc_distances_s *distances,
                                  enum ww_link_kind kind)
{
    size_t size = distances->nbobjs;
    if (size > MATRIX_MAX) {
        machine_note(finder->machine, "A matrix of %zu links is not believed", size);
        return WW_OK;
    }
    struct link_matrix matrix = {(int)size, calloc(size, sizeof(enum link_end)),
                                 calloc(size, sizeof(int)), calloc(size * size, sizeof(uint64_t)),
                                 starts(finder->machine->writer, "hwloc 2.9.0")};
    enum ww_status status = WW_OK;
    if (matrix.end == NULL || matrix.gpu == NULL || matrix.mb_s == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for a matrix of %zu links", size);
    } else {
        for (size_t i = 0; i < size; i++) {
            name_end(finder, distances->objs[i], &matrix, (int)i);
        }
        for (size_t i = 0; i < size * size; i++) {
            matrix.mb_s[i] = distances->values[i];
        }
        if (kind == WW_LINK_NVLINK) {
            status = settle_nvlink(finder, &matrix);
        } else {
            links_connect(finder->machine, &matrix, kind, kind == WW_LINK_XELINK);
        }
    }
    free(matrix.end);
    free(matrix.gpu);
    free(matrix.mb_s);
    return status;
}

static enum ww_status read_links(struct finder *finder)
{
    static const struct {
        const char *name;
        enum ww_link_kind kind;
    } names[] = {{"NVLinkBandwidth", WW_LINK_NVLINK},
                 {"XGMIBandwidth", WW_LINK_XGMI},
                 {"XeLinkBandwidth", WW_LINK_XELINK}};
    enum ww_status status = WW_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == WW_OK; i++) {
        struct hwloc_distances_s *distances = NULL;
        unsigned count = 1;
        if (hwloc_distances_get_by_name(finder->topology, names[i].name, &count, &distances, 0) ==
                0 &&
            count > 0 && distances != NULL) {
            status = read_matrix(finder, distances, names[i].kind);
            hwloc_distances_release(finder->topology, distances);
        }
    }
    return status;
}

/* ---- The machine ----------------------------------------------------------------------------- */

/* Counts what might be a GPU or is a network card, and carries no name by which to know it. */
static void count_nameless(struct finder *finder, int *gpus, int *nics)
{
    hwloc_obj_t pci = NULL;
    while ((pci = hwloc_get_next_pcidev(finder->topology, pci)) != NULL) {
        unsigned class = pci->attr->pcidev.class_id >> 8;
        *gpus += (class == 0x03 || class == 0x12) && pci->attr->pcidev.vendor_id == 0;
        *nics += class == 0x02 && pci->io_first_child == NULL;
    }
}

/* Whether devices were there to be seen: a container or a virtual machine may hide all of PCI. */
static void judge_sight(struct finder *finder)
{
    struct ww_machine *machine = finder->machine;
    int gpus = 0;
    int nics = 0;
    count_nameless(finder, &gpus, &nics);
    if (nics > 0) {
        machine_note(machine,
                     "%d network card%s on PCI without a device of the system: no driver, or "
                     "another container's. Left out",
                     nics, nics == 1 ? "" : "s");
    }
    if (hwloc_get_nbobjs_by_type(finder->topology, HWLOC_OBJ_PCI_DEVICE) > 0) {
        machine->gpus_known = fact_known(machine->gpu_count, WW_SOURCE_HWLOC);
        if (nics == 0 || machine->nic_count > 0) {
            machine->nics_known = fact_known(machine->nic_count, WW_SOURCE_HWLOC);
        }
        if (gpus > 0 && machine->gpu_count == 0) {
            machine->gpus_known = fact_unknown();
            machine_note(machine, "%d devices may be GPUs: their maker is not told", gpus);
        }
        return;
    }
    bool file = machine->origin[0] == '\0'; /* it is named when it has been read */
    machine_note(
        machine,
        "No PCI device can be seen: whether there are GPUs and network cards is unknown. %s",
        file ? "The file may have been written without devices, or where they are hidden"
             : "A container or a virtual machine may hide them");
}

static enum ww_status read_all(struct finder *finder)
{
    struct ww_machine *machine = finder->machine;
    int most = hwloc_get_nbobjs_by_type(finder->topology, HWLOC_OBJ_PCI_DEVICE) +
               hwloc_get_nbobjs_by_type(finder->topology, HWLOC_OBJ_OS_DEVICE);
    struct device *devices = calloc((size_t)most + 1, sizeof *devices);
    if (devices == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the devices of a machine");
    }
    read_names(finder);
    read_cores(finder);
    enum ww_status status = read_devices(finder, devices);
    free(devices);
    if (status == WW_OK) {
        status = machine_make_pairs(machine);
    }
    if (status != WW_OK) {
        return status;
    }
    judge_sight(finder);
    note_shared_cards(finder);
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        for (int nic = 0; nic < machine->nic_count; nic++) {
            machine->places[gpu * machine->nic_count + nic] = place_of(finder->gpu_object[gpu],
                                                                       finder->nic_object[nic]);
        }
    }
    return read_links(finder);
}

static enum ww_status read_topology(struct ww_machine *machine, hwloc_topology_t topology)
{
    struct finder finder = {machine, topology, calloc(MACHINE_GPUS_MAX, sizeof(hwloc_obj_t)),
                            calloc(MACHINE_NICS_MAX, sizeof(hwloc_obj_t))};
    enum ww_status status = WW_NO_MEMORY;
    if (finder.gpu_object == NULL || finder.nic_object == NULL) {
        log_failure(WW_NO_MEMORY, "no memory for the devices of a machine");
    } else {
        status = read_all(&finder);
    }
    free(finder.gpu_object);
    free(finder.nic_object);
    return status;
}

static enum ww_status begin(hwloc_topology_t *topology)
{
    if (hwloc_topology_init(topology) != 0) {
        return log_failure(WW_NO_MEMORY, "hwloc %x cannot begin", hwloc_get_api_version());
    }
    hwloc_topology_set_io_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_ALL);
    return WW_OK;
}

enum ww_status discover_file(struct ww_machine *machine, const struct xml *xml, const char *text,
                             size_t bytes)
{
    hwloc_topology_t topology;
    enum ww_status status = screen_hwloc(xml);
    if (status == WW_OK) {
        status = begin(&topology);
    }
    if (status != WW_OK) {
        return status;
    }
    /* The cores that the file's writer could not use are there. */
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    /* A topology whose file was refused would be loaded from this machine: never go on. */
    if (hwloc_topology_set_xmlbuffer(topology, text, (int)bytes + 1) != 0 ||
        hwloc_topology_load(topology) != 0) {
        const char *version = screen_version(xml);
        status = log_failure(
            WW_BAD_ARGUMENT,
            "this hwloc (API %u.%u) cannot make a machine of %s (format %s): it was "
            "cut, edited, or written by a later hwloc (then: lstopo --of xml "
            "--export-xml-flags v2)",
            hwloc_get_api_version() >> 16, hwloc_get_api_version() >> 8 & 0xff, screen_path(xml),
            version);
    } else {
        status = read_topology(machine, topology);
    }
    hwloc_topology_destroy(topology);
    return status;
}

/* hwloc 2.9 would ask for ever. */
static enum ww_status discover_without_cores(struct ww_machine *machine, bool *here)
{
    char name[sizeof machine->name] = "";
    if (gethostname(name, sizeof name - 1) == 0) {
        text_copy(machine->name, sizeof machine->name, name);
    }
    machine_note(machine, "The system does not tell which cores may be used (sched_getaffinity is "
                          "refused), so hwloc was not asked: cores, caches and GPUs are unknown");
    *here = true;
    return WW_OK;
}

enum ww_status discover_here(struct ww_machine *machine, bool *here)
{
    /* The first three open the devices; pci loses memory, and sysfs tells hwloc the same. */
    static const char *const intrusive[] = {"cuda", "opencl", "gl", "pci"};
    hwloc_topology_t topology;
    if (!cpu_count_is_told()) {
        return discover_without_cores(machine, here);
    }
    enum ww_status status = begin(&topology);
    if (status != WW_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof intrusive / sizeof *intrusive; i++) {
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                      intrusive[i]);
    }
    /* Devices next to cores that this process may not use must not move. */
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    if (hwloc_topology_load(topology) != 0) {
        status = log_failure(WW_BAD_ARGUMENT,
                             "hwloc cannot load this machine; HWLOC_ variables may name a file or "
                             "a tree that is broken");
    } else {
        *here = hwloc_topology_is_thissystem(topology) != 0;
        if (!*here) {
            text_copy(machine->origin, sizeof machine->origin,
                      "a tree or file that HWLOC_ variables name");
        }
        status = read_topology(machine, topology);
    }
    hwloc_topology_destroy(topology);
    return status;
}
