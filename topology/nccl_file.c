/* SPDX-License-Identifier: BSD-3-Clause
 * nccl_file.c: a machine out of a topology in NCCL's or RCCL's format:
 *     <system><cpu numaid><pci busid class link_speed link_width>...<gpu sm><nvlink target count/>
 *                                                                   <nic><net name speed port/>
 * What clouds ship in this format often leaves links and rates out: that is unknown, not zero. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/number.h"
#include "xml.h"

#define LINKS_AT_MOST 1000
#define PORT_GBIT_S_MOST 10000.0 /* some plug-ins tell 10^3 bits per second, not 10^6 */
#define GPU_GB_S_LEAST 7.0       /* an idle GPU's link, or a made-up bridge's */
#define NIC_GB_S_LEAST 0.9       /* one lane of what virtual machines make up */
#define SOCKET_GBIT_S 10.0       /* what NCCL writes where nobody tells an interface's rate */

struct reader {
    struct ww_machine *machine;
    const struct xml *xml;
    int *gpu_node; /* [MACHINE_GPUS_MAX] the element of each GPU and NIC */
    int *nic_node; /* [MACHINE_NICS_MAX] */
    bool *nic_far; /* [MACHINE_NICS_MAX] listed under several CPUs, near none */
    int nameless;  /* PCI devices of which the file does not say what they are */
};

static bool is_named(const struct xml *xml, int node, const char *name)
{
    return strcmp(xml->nodes[node].name, name) == 0;
}

/* The first child of that name from `child` on; -1 = none. */
static int find_named(const struct xml *xml, int child, const char *name)
{
    while (child >= 0 && !is_named(xml, child, name)) {
        child = xml->nodes[child].next;
    }
    return child;
}

/* The element itself or the nearest one around it of that name; -1 = none. */
static int around(const struct xml *xml, int node, const char *name)
{
    while (node >= 0 && !is_named(xml, node, name)) {
        node = xml->nodes[node].parent;
    }
    return node;
}

static enum ww_status complain(const struct xml *xml, int node, const char *what)
{
    return log_failure(WW_BAD_ARGUMENT, "%s:%d: <%s> %s", xml->path, xml->nodes[node].line,
                       xml->nodes[node].name, what);
}

/* ---- One element ----------------------------------------------------------------------------- */

static enum ww_status read_pci(const struct xml *xml, int node, char pci[24], unsigned *vendor,
                               unsigned *device)
{
    const char *busid = xml_value(xml, node, "busid");
    long long numbers[2];
    if (busid == NULL || !pci_normalise(busid, pci)) {
        return complain(xml, node, "has no busid that is a PCI address");
    }
    enum ww_status status = xml_number(xml, node, "vendor", 0, 0xffff, 0, &numbers[0]);
    if (status == WW_OK) {
        status = xml_number(xml, node, "device", 0, 0xffff, 0, &numbers[1]);
    }
    if (status == WW_OK) {
        *vendor = (unsigned)numbers[0];
        *device = (unsigned)numbers[1];
    }
    return status;
}

/* "32.0 GT/s PCIe" and "16"; below `least` it is not believed. */
static struct ww_fact read_pcie(const struct xml *xml, int node, double least)
{
    const char *speed = xml_value(xml, node, "link_speed");
    const char *width = xml_value(xml, node, "link_width");
    if (speed == NULL || width == NULL) {
        return fact_unknown();
    }
    double gb_s = part_pcie_gb_s(number_read(speed, NULL), number_read(width, NULL));
    return fact_positive(gb_s < least ? 0 : gb_s, WW_SOURCE_NCCL_FILE);
}

static struct ww_fact read_numa(const struct xml *xml, int node)
{
    int cpu = around(xml, node, "cpu");
    const char *numa = cpu < 0 ? NULL : xml_value(xml, cpu, "numaid");
    return numa != NULL && numa[0] >= '0' && numa[0] <= '9'
               ? fact_known(strtod(numa, NULL), WW_SOURCE_NCCL_FILE)
               : fact_unknown();
}

static int generation_of_sm(long long sm)
{
    switch (sm) {
    case 60:
        return 1;
    case 70:
        return 2;
    case 80:
        return 3;
    case 90:
        return 4;
    case 100:
    case 103:
        return 5;
    default:
        return 0;
    }
}

/* RCCL names the architecture where it leaves PCI numbers out. */
static unsigned device_of_gcn(const char *gcn)
{
    static const struct {
        const char *name;
        unsigned device;
    } names[] = {
        {"908", 0x738c}, {"90a", 0x7408}, {"910", 0x7408}, {"942", 0x74a1}, {"950", 0x75a0}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strstr(gcn, names[i].name) != NULL) {
            return names[i].device;
        }
    }
    return 0;
}

/* Several ranks that share a GPU, or parts of it (MLOPart), stand in one <pci>, each with all links
 * of the GPU: it is one. */
static void note_shared(struct reader *reader, int node, const struct ww_gpu *gpu)
{
    const struct xml *xml = reader->xml;
    int count = 0;
    int about = find_named(xml, xml->nodes[node].child, "gpu");
    while (about >= 0) {
        count++;
        about = find_named(xml, xml->nodes[about].next, "gpu");
    }
    if (count > 1) {
        machine_note(reader->machine, "GPU %s is listed %d times, once for each rank or part of it",
                     gpu->pci, count);
    }
}

static enum ww_status add_gpu(struct reader *reader, int node)
{
    const struct xml *xml = reader->xml;
    int about = find_named(xml, xml->nodes[node].child, "gpu");
    struct ww_gpu *gpu;
    long long sm = 0;
    enum ww_status status = machine_add_gpu(reader->machine, &gpu);
    if (status != WW_OK) {
        return status;
    }
    reader->gpu_node[reader->machine->gpu_count - 1] = node;
    status = read_pci(xml, node, gpu->pci, &gpu->vendor, &gpu->device);
    if (status == WW_OK && about >= 0) {
        status = xml_number(xml, about, "sm", -1, 100000, 0, &sm);
    }
    if (status != WW_OK) {
        return status;
    }
    bool amd = about >= 0 && xml_value(xml, about, "gcn") != NULL;
    if (gpu->vendor == 0 && sm > 0) {
        gpu->vendor = amd ? VENDOR_AMD : VENDOR_NVIDIA;
    }
    if (amd && gpu->device == 0) {
        gpu->device = device_of_gcn(xml_value(xml, about, "gcn"));
    }
    if (gpu->vendor == VENDOR_NVIDIA) {
        gpu->generation = generation_of_sm(sm);
    }
    gpu->pcie_gb_s = read_pcie(xml, node, GPU_GB_S_LEAST);
    gpu->numa = read_numa(xml, node);
    part_of_gpu(gpu);
    note_shared(reader, node, gpu);
    return WW_OK;
}

static unsigned class_of(const struct xml *xml, int node)
{
    const char *class = xml_value(xml, node, "class");
    return class == NULL ? 0 : (unsigned)(strtoul(class, NULL, 16) >> 8) & 0xffff;
}

/* NCCL's sockets have the port 0; whatever they run over, RDMA it is not. Where it is RDMA, the PCI
 * class tells InfiniBand from Ethernet. */
static void name_kind(struct ww_nic *nic, unsigned class, bool socket)
{
    enum ww_nic_kind kind = WW_NIC_UNKNOWN;
    if (socket) {
        kind = WW_NIC_ETHERNET;
    } else if (class == 0x0207) {
        kind = WW_NIC_INFINIBAND;
    } else if (class == 0x0200 && nic->vendor == VENDOR_MELLANOX) {
        kind = WW_NIC_ROCE;
    }
    nic->rdma = !socket;
    if (kind != WW_NIC_UNKNOWN && (socket || part_nic_kind(nic) == WW_NIC_UNKNOWN)) {
        nic->ports[0].kind = kind;
        nic->kind_source = WW_SOURCE_NCCL_FILE;
    }
}

static void read_rate(struct reader *reader, struct ww_nic *nic, long long speed)
{
    double gbit_s = (double)speed / 1000;
    if (gbit_s > PORT_GBIT_S_MOST) {
        machine_note(reader->machine, "%s is said to carry %.0f Gb/s: not believed", nic->name,
                     gbit_s);
        gbit_s = 0;
    }
    nic->ports[0].rate_gbit_s = fact_positive(gbit_s, WW_SOURCE_NCCL_FILE);
}

/* What a <net> tells about a NIC. */
static enum ww_status read_net(struct reader *reader, struct ww_nic *nic, int net, unsigned class)
{
    const struct xml *xml = reader->xml;
    const char *name = xml_value(xml, net, "name");
    const char *guid = xml_value(xml, net, "guid");
    long long speed = 0;
    long long port = 1;
    if (name == NULL || *name == '\0') {
        return complain(xml, net, "has no name");
    }
    enum ww_status status = xml_number(xml, net, "speed", -1, 1000000000000, 0, &speed);
    if (status == WW_OK) {
        status = xml_number(xml, net, "port", -1, 1000, 1, &port);
    }
    if (status == WW_OK) {
        text_copy(nic->name, sizeof nic->name, name);
        text_copy(nic->guid, sizeof nic->guid, guid == NULL ? "" : guid);
        nic->ports[0].number = port > 0 ? (int)port : 1;
        name_kind(nic, class, port == 0);
        read_rate(reader, nic, speed);
    }
    return status;
}

static bool is_same_value(const struct xml *xml, int a, int b, const char *key)
{
    const char *one = xml_value(xml, a, key);
    const char *other = xml_value(xml, b, key);
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* A NIC without a PCI device, as a socket of a virtual machine, is listed under every <cpu>: it is
 * one all the same, and nobody knows where. False where it was not there before. */
static bool is_seen(struct reader *reader, int net)
{
    static const char *const keys[] = {"name", "dev", "port", "guid"};
    const struct xml *xml = reader->xml;
    for (int nic = 0; nic < reader->machine->nic_count && around(xml, net, "pci") < 0; nic++) {
        int before = reader->nic_node[nic];
        bool same = is_named(xml, before, "net") && around(xml, before, "pci") < 0;
        for (size_t key = 0; key < sizeof keys / sizeof *keys; key++) {
            same = same && is_same_value(xml, before, net, keys[key]);
        }
        if (same) {
            reader->machine->nics[nic].numa = fact_unknown();
            reader->nic_far[nic] = true;
            return true;
        }
    }
    return false;
}

/* A NIC by its <net>, or by its PCI element alone (net = -1). */
static enum ww_status add_nic(struct reader *reader, int node, int net)
{
    const struct xml *xml = reader->xml;
    int pci = around(xml, node, "pci");
    unsigned class = pci < 0 ? 0 : class_of(xml, pci);
    struct ww_nic *nic;
    enum ww_status status = machine_add_nic(reader->machine, &nic);
    if (status != WW_OK) {
        return status;
    }
    reader->nic_node[reader->machine->nic_count - 1] = node;
    nic->numa = read_numa(xml, node);
    nic->port_count = 1;
    nic->ports[0] = (struct ww_port){.number = 1};
    if (pci >= 0) {
        status = read_pci(xml, pci, nic->pci, &nic->vendor, &nic->device);
        if (status != WW_OK) {
            return status;
        }
        nic->pcie_gb_s = read_pcie(xml, pci, NIC_GB_S_LEAST);
    }
    if (net >= 0) {
        return read_net(reader, nic, net, class);
    }
    text_copy(nic->name, sizeof nic->name, nic->pci);
    name_kind(nic, class, false);
    return WW_OK;
}

/* ---- All elements ---------------------------------------------------------------------------- */

/* A <pci> that holds others is a bridge, one without is a device. */
static enum ww_status visit_pci(struct reader *reader, int node)
{
    const struct xml *xml = reader->xml;
    int child = xml->nodes[node].child;
    unsigned class = class_of(xml, node);
    bool told = find_named(xml, child, "gpu") >= 0;
    bool net = find_named(xml, child, "nic") >= 0 || find_named(xml, child, "net") >= 0;
    if (told || class >> 8 == 0x03 || class >> 8 == 0x12) {
        return add_gpu(reader, node);
    }
    if (!net && class >> 8 == 0x02) {
        return add_nic(reader, node, -1);
    }
    reader->nameless += class == 0 && child < 0;
    return WW_OK;
}

static enum ww_status visit_all(struct reader *reader)
{
    const struct xml *xml = reader->xml;
    enum ww_status status = WW_OK;
    const char *host = NULL;
    bool others = false;
    for (int node = 0; node < xml->node_count && status == WW_OK; node++) {
        int cpu = around(xml, node, "cpu");
        const char *hash = cpu < 0 ? NULL : xml_value(xml, cpu, "host_hash");
        host = host == NULL ? hash : host;
        if (hash != NULL && strcmp(hash, host) != 0) {
            others = true;
            continue;
        }
        if (is_named(xml, node, "pci")) {
            status = visit_pci(reader, node);
        } else if (is_named(xml, node, "net") && !is_seen(reader, node)) {
            status = add_nic(reader, node, node);
        }
    }
    if (others) {
        machine_note(reader->machine, "The file describes several hosts: this is the first one");
    }
    return status;
}

/* What carries the traffic of cards that have no address, so that they are not listed. */
static bool is_bundle(const char *name)
{
    static const char *const names[] = {"bond", "team", "vlan", "macvlan", "ipvlan"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncmp(name, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A socket of which the file tells neither a card nor a rate. */
static bool is_untold(const struct ww_nic *nic)
{
    struct ww_fact rate = nic->ports[0].rate_gbit_s;
    return !nic->rdma && nic->pci[0] == '\0' && !is_bundle(nic->name) &&
           (!fact_is_known(rate) || rate.value == SOCKET_GBIT_S);
}

/* NCCL lists each interface that has an address, bridges and the ends of containers too. Where
 * another one is a card's, they are no wires. */
static void leave_out_untold(struct reader *reader)
{
    struct ww_machine *machine = reader->machine;
    int told = 0;
    int kept = 0;
    char first[sizeof machine->nics[0].name] = "";
    for (int nic = 0; nic < machine->nic_count; nic++) {
        told += !machine->nics[nic].rdma && !is_untold(&machine->nics[nic]);
    }
    for (int nic = 0; nic < machine->nic_count && told > 0; nic++) {
        if (!is_untold(&machine->nics[nic])) {
            machine->nics[kept] = machine->nics[nic];
            reader->nic_node[kept] = reader->nic_node[nic];
            reader->nic_far[kept++] = reader->nic_far[nic];
        } else if (first[0] == '\0') {
            snprintf(first, sizeof first, "%s", machine->nics[nic].name);
        }
    }
    int left_out = told > 0 ? machine->nic_count - kept : 0;
    machine->nic_count -= left_out;
    if (left_out > 0) {
        machine_note(machine,
                     "%d interface%s without a card and a rate, as bridges and containers have: "
                     "left out (%s%s)",
                     left_out, left_out == 1 ? "" : "s", first, left_out == 1 ? "" : " ...");
    }
}

/* ---- Places and links ------------------------------------------------------------------------ */

static int depth_of(const struct xml *xml, int node)
{
    int depth = 0;
    while (node >= 0) {
        node = xml->nodes[node].parent;
        depth++;
    }
    return depth;
}

static int common_ancestor(const struct xml *xml, int a, int b)
{
    int depth_a = depth_of(xml, a);
    int depth_b = depth_of(xml, b);
    while (a != b) {
        if (depth_a >= depth_b) {
            a = xml->nodes[a].parent;
            depth_a--;
        } else {
            b = xml->nodes[b].parent;
            depth_b--;
        }
    }
    return a;
}

static enum ww_place place_of(const struct xml *xml, int gpu, int nic)
{
    int device = around(xml, nic, "pci");
    int common = common_ancestor(xml, gpu, nic);
    if (is_named(xml, common, "pci")) {
        bool one = xml->nodes[gpu].parent == common && device >= 0 &&
                   xml->nodes[device].parent == common;
        return one ? WW_PLACE_PIX : WW_PLACE_PXB;
    }
    return is_named(xml, common, "cpu") ? WW_PLACE_NODE : WW_PLACE_SYS;
}

/* What stands at the other end of a link, by its PCI class as NCCL writes it: 0x068000 an NVSwitch,
 * 0x068001 and other bridges a CPU. */
static int *count_of_class(struct link_counts *counts, int gpu, const char *class)
{
    unsigned long number = class == NULL ? 0 : strtoul(class, NULL, 16);
    if (number == 0x068000) {
        return &counts->to_switch[gpu];
    }
    return number >> 16 == 0x06 ? &counts->to_cpu[gpu] : NULL;
}

/* Adds one <nvlink> or <xgmi>; self-links and odd classes are left to links_settle. */
static enum ww_status count_link(struct reader *reader, int gpu, int node,
                                 struct link_counts *counts)
{
    const struct xml *xml = reader->xml;
    const char *target = xml_value(xml, node, "target");
    char pci[24];
    long long count = 0;
    enum ww_status status = xml_number(xml, node, "count", 0, LINKS_AT_MOST, 0, &count);
    if (status != WW_OK) {
        return status;
    }
    if (target == NULL) {
        return complain(xml, node, "has no target");
    }
    int peer = pci_normalise(target, pci) ? machine_gpu_at(reader->machine, pci) : -1;
    int *other = count_of_class(counts, gpu, xml_value(xml, node, "tclass"));
    /* Some files that clouds ship join each GPU to itself only: that tells nothing. */
    counts->told[gpu] = counts->told[gpu] || peer != gpu;
    if (peer >= 0) {
        counts->direct[gpu * counts->gpus + peer] += (int)count;
    } else if (other != NULL) {
        *other += (int)count;
    } else {
        machine_note(reader->machine, "GPU %d has links to %.24s, which the file does not have",
                     gpu, target);
    }
    return WW_OK;
}

static enum ww_status count_links(struct reader *reader, const char *name,
                                  struct link_counts *counts, int *found)
{
    const struct xml *xml = reader->xml;
    for (int gpu = 0; gpu < counts->gpus; gpu++) {
        int about = find_named(xml, xml->nodes[reader->gpu_node[gpu]].child, "gpu");
        int node = about < 0 ? -1 : find_named(xml, xml->nodes[about].child, name);
        while (node >= 0) {
            enum ww_status status = count_link(reader, gpu, node, counts);
            if (status != WW_OK) {
                return status;
            }
            (*found)++;
            node = find_named(xml, xml->nodes[node].next, name);
        }
    }
    return WW_OK;
}

/* A GPU without links among others of its kind that have some is a fault of its own. */
static void note_linkless(struct reader *reader, const struct link_counts *counts)
{
    const struct ww_machine *machine = reader->machine;
    for (int gpu = 0; gpu < counts->gpus; gpu++) {
        bool same = false;
        for (int peer = 0; peer < counts->gpus; peer++) {
            same = same || (counts->told[peer] && machine->gpus[peer].device != 0 &&
                            machine->gpus[peer].device == machine->gpus[gpu].device);
        }
        if (same && !counts->told[gpu]) {
            machine_note(reader->machine,
                         "FAULT: the file has no links of GPU %d (%s), while others of the same "
                         "part have some: unknown, not absent",
                         gpu, machine->gpus[gpu].pci);
        }
    }
}

static enum ww_status read_links(struct reader *reader, const char *name, enum ww_link_kind kind)
{
    struct link_counts counts;
    int found = 0;
    enum ww_status status = link_counts_init(&counts, reader->machine->gpu_count);
    if (status != WW_OK) {
        return status;
    }
    status = count_links(reader, name, &counts, &found);
    if (status == WW_OK && found > 0) {
        links_settle(reader->machine, &counts, kind, WW_SOURCE_NCCL_FILE);
        note_linkless(reader, &counts);
    }
    link_counts_finish(&counts);
    return status;
}

/* NVLink-C2C joins a GPU to its CPU: <c2c bw="44712" count="10"/>, 10^6 bytes per second each. */
static enum ww_status read_c2c(struct reader *reader, int gpu)
{
    const struct xml *xml = reader->xml;
    int about = find_named(xml, xml->nodes[reader->gpu_node[gpu]].child, "gpu");
    int node = about < 0 ? -1 : find_named(xml, xml->nodes[about].child, "c2c");
    long long mb_s = 0;
    long long count = 0;
    if (node < 0) {
        return WW_OK;
    }
    enum ww_status status = xml_number(xml, node, "bw", 0, 100000000, 0, &mb_s);
    if (status == WW_OK) {
        status = xml_number(xml, node, "count", 0, LINKS_AT_MOST, 0, &count);
    }
    if (status == WW_OK && mb_s * count > 0) {
        reader->machine->gpus[gpu].cpu_gb_s = fact_known((double)(mb_s * count) / 1000,
                                                         WW_SOURCE_NCCL_FILE);
    }
    return status;
}

/* ---- The machine ----------------------------------------------------------------------------- */

/* Those of the first host, as visit_all reads it. */
static void read_cpus(struct reader *reader)
{
    const struct xml *xml = reader->xml;
    const char *host = NULL;
    int cpus = 0;
    for (int node = 0; node < xml->node_count; node++) {
        if (!is_named(xml, node, "cpu")) {
            continue;
        }
        const char *hash = xml_value(xml, node, "host_hash");
        host = host == NULL ? hash : host;
        cpus += hash == NULL || strcmp(hash, host) == 0;
    }
    reader->machine->numa_nodes = fact_positive(cpus, WW_SOURCE_NCCL_FILE);
}

/* Devices of unknown class may be what is missed. */
static void judge_sight(struct reader *reader)
{
    struct ww_machine *machine = reader->machine;
    int nameless = reader->nameless;
    if (nameless > 0) {
        machine_note(machine,
                     "The file does not say what %d of its PCI devices are: GPUs and network cards "
                     "may be among them",
                     nameless);
    }
    if (machine->gpu_count > 0) {
        machine->gpus_known = fact_known(machine->gpu_count, WW_SOURCE_NCCL_FILE);
    }
    if (machine->nic_count > 0) {
        machine->nics_known = fact_known(machine->nic_count, WW_SOURCE_NCCL_FILE);
    } else if (nameless == 0) {
        machine_note(machine, "The file lists no network card: NCCL writes only those that a job "
                              "used, so whether there are any is unknown");
    }
}

static enum ww_status check_addresses(const struct reader *reader)
{
    const struct ww_machine *machine = reader->machine;
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (machine_gpu_at(machine, machine->gpus[gpu].pci) != gpu) {
            return complain(reader->xml, reader->gpu_node[gpu],
                            "is the second GPU at the same PCI address");
        }
    }
    return WW_OK;
}

static enum ww_status read_machine(struct reader *reader)
{
    struct ww_machine *machine = reader->machine;
    enum ww_status status = visit_all(reader);
    leave_out_untold(reader);
    if (status == WW_OK) {
        status = check_addresses(reader);
    }
    if (status == WW_OK && machine->gpu_count + machine->nic_count + reader->nameless == 0) {
        status = complain(reader->xml, 0, "holds neither a GPU nor a NIC");
    }
    if (status == WW_OK) {
        status = machine_make_pairs(machine);
    }
    if (status != WW_OK) {
        return status;
    }
    read_cpus(reader);
    judge_sight(reader);
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        for (int nic = 0; nic < machine->nic_count; nic++) {
            machine->places[gpu * machine->nic_count + nic] = reader->nic_far[nic]
                                                                  ? WW_PLACE_UNKNOWN
                                                                  : place_of(reader->xml,
                                                                             reader->gpu_node[gpu],
                                                                             reader->nic_node[nic]);
        }
    }
    status = read_links(reader, "nvlink", WW_LINK_NVLINK);
    if (status == WW_OK) {
        status = read_links(reader, "xgmi", WW_LINK_XGMI);
    }
    for (int gpu = 0; gpu < machine->gpu_count && status == WW_OK; gpu++) {
        status = read_c2c(reader, gpu);
    }
    return status;
}

enum ww_status nccl_file_read(struct ww_machine *machine, const struct xml *xml)
{
    struct reader reader = {machine,
                            xml,
                            calloc(MACHINE_GPUS_MAX, sizeof(int)),
                            calloc(MACHINE_NICS_MAX, sizeof(int)),
                            calloc(MACHINE_NICS_MAX, sizeof(bool)),
                            0};
    enum ww_status status = WW_NO_MEMORY;
    if (reader.gpu_node == NULL || reader.nic_node == NULL || reader.nic_far == NULL) {
        log_failure(WW_NO_MEMORY, "no memory to read %s", xml->path);
    } else {
        text_copy(machine->writer, sizeof machine->writer, "NCCL's format");
        status = read_machine(&reader);
    }
    free(reader.gpu_node);
    free(reader.nic_node);
    free(reader.nic_far);
    return status;
}
