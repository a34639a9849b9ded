/* SPDX-License-Identifier: BSD-3-Clause
 * nic.c: ports, rates and PCI links as sysfs tells them. The root is an argument, so that a tree
 * gathered elsewhere is read like the machine's own. */
#include "machine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal/log.h"
#include "internal/number.h"

#define PATH_BYTES 1024
#define LINE_BYTES 128
#define STATE_ACTIVE 4
#define PHYS_LINK_UP 5

/* ---- Small files ----------------------------------------------------------------------------- */

/* The first line of folder/name without its end; "" when it cannot be read. */
static const char *read_line(const char *folder, const char *name, char line[LINE_BYTES])
{
    char path[PATH_BYTES];
    line[0] = '\0';
    int bytes = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = bytes < (int)sizeof path ? fopen(path, "re") : NULL;
    if (file != NULL) {
        char raw[LINE_BYTES];
        if (fgets(raw, sizeof raw, file) != NULL) {
            raw[strcspn(raw, "\n")] = '\0';
            text_copy(line, LINE_BYTES, raw);
        }
        fclose(file);
    }
    return line;
}

/* The number that a file begins with; -1 when there is none. */
static double read_number(const char *folder, const char *name)
{
    char line[LINE_BYTES];
    char *end = NULL;
    double value = number_read(read_line(folder, name, line), &end);
    return end != line && value >= 0 && value < 1e9 ? value : -1;
}

static unsigned read_hexadecimal(const char *folder, const char *name)
{
    char line[LINE_BYTES];
    return (unsigned)strtoul(read_line(folder, name, line), NULL, 16) & 0xffff;
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static int is_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Joins; false when it does not fit. */
static bool join(char path[PATH_BYTES], const char *folder, const char *name)
{
    return snprintf(path, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES;
}

/* ---- PCI ------------------------------------------------------------------------------------- */

/* The PCI address of what folder/device points to, or of what that hangs on: a virtual card is a
 * device of its own below PCI. "" where there is none. */
static void read_pci_address(const char *folder, char pci[24])
{
    char path[PATH_BYTES];
    pci[0] = '\0';
    char *target = join(path, folder, "device") ? realpath(path, NULL) : NULL;
    char *last = target == NULL ? NULL : strrchr(target, '/');
    while (last != NULL && !pci_normalise(last + 1, pci)) {
        *last = '\0';
        last = strrchr(target, '/');
    }
    if (last == NULL) {
        pci[0] = '\0';
    }
    free(target);
}

/* steady: a NIC's link keeps its speed, an idle GPU's slows down. */
static void read_pcie(struct ww_machine *machine, const char *root, const char *pci,
                      const char *name, bool steady, struct ww_fact *fact)
{
    char folder[PATH_BYTES];
    if (pci[0] == '\0' ||
        snprintf(folder, sizeof folder, "%s/bus/pci/devices/%s", root, pci) >= PATH_BYTES) {
        return;
    }
    double lanes = read_number(folder, "current_link_width");
    double lanes_max = read_number(folder, "max_link_width");
    double gt_s = read_number(folder, steady ? "current_link_speed" : "max_link_speed");
    double gb_s = part_pcie_gb_s(gt_s, lanes);
    if (gb_s <= 0) {
        return;
    }
    *fact = fact_known(gb_s, WW_SOURCE_SYSFS);
    if (lanes_max > lanes && lanes_max <= 32) {
        machine_note(machine, "%s (%s) runs with %.0f of its %.0f PCIe lanes", name, pci, lanes,
                     lanes_max);
    }
}

/* ---- Ports ----------------------------------------------------------------------------------- */

static enum ww_nic_kind kind_of_layer(const char *layer, bool rnic, const struct ww_nic *nic)
{
    enum ww_nic_kind by_part = part_nic_kind(nic);
    if (by_part != WW_NIC_UNKNOWN) {
        return by_part;
    }
    if (strcmp(layer, "InfiniBand") == 0) {
        return WW_NIC_INFINIBAND;
    }
    if (strcmp(layer, "Ethernet") == 0) {
        return rnic ? WW_NIC_IWARP : WW_NIC_ROCE;
    }
    return WW_NIC_UNKNOWN;
}

static enum ww_port_state read_state(const char *folder)
{
    int state = (int)read_number(folder, "state");
    int phys = (int)read_number(folder, "phys_state");
    if (state < 0) {
        return WW_PORT_UNKNOWN;
    }
    return state == STATE_ACTIVE && (phys < 0 || phys == PHYS_LINK_UP) ? WW_PORT_UP : WW_PORT_DOWN;
}

/* "100 Gb/sec (2X HDR)": a cable of four lanes that found two. Only InfiniBand always has four: one
 * lane of Ethernet is a port of 25 Gb/s. */
static void check_width(struct ww_machine *machine, const struct ww_nic *nic, int port,
                        const char *rate)
{
    const char *bracket = strchr(rate, '(');
    int lanes = bracket == NULL ? 0 : atoi(bracket + 1);
    if (lanes == 2 && (strstr(rate, "HDR") != NULL || strstr(rate, "NDR") != NULL)) {
        machine_note(machine,
                     "%s port %d says \"%s\": 2 of 4 lanes, as on a split cable (HDR100, NDR200); "
                     "without one it is a fault",
                     nic->name, port, rate);
    } else if (lanes > 0 && lanes < 4 && strstr(rate, "SDR") == NULL) {
        machine_note(machine,
                     "FAULT: %s port %d says \"%s\": %d of 4 lanes; look at the cable and at "
                     "`mlxlink`",
                     nic->name, port, rate, lanes);
    }
}

static void read_port(struct ww_machine *machine, struct ww_nic *nic, const char *folder,
                      int number, bool rnic)
{
    int place = 0;
    while (place < nic->port_count && nic->ports[place].number != number) {
        place++;
    }
    if (place == WW_PORTS_MAX) {
        machine_note(machine, "%s has more than %d ports: the rest was left out", nic->name,
                     WW_PORTS_MAX);
        return;
    }
    nic->port_count += place == nic->port_count;
    struct ww_port *port = &nic->ports[place];
    char line[LINE_BYTES];
    *port = (struct ww_port){.number = number};
    port->kind = kind_of_layer(read_line(folder, "link_layer", line), rnic, nic);
    nic->kind_source = WW_SOURCE_SYSFS;
    port->state = read_state(folder);
    port->state_source = WW_SOURCE_SYSFS;
    double gbit_s = read_number(folder, "rate");
    port->rate_gbit_s = fact_positive(gbit_s, WW_SOURCE_SYSFS);
    if (port->state == WW_PORT_UP && port->kind == WW_NIC_INFINIBAND) {
        check_width(machine, nic, number, read_line(folder, "rate", line));
    }
}

static void read_ports(struct ww_machine *machine, struct ww_nic *nic, const char *folder)
{
    char path[PATH_BYTES];
    char port[PATH_BYTES];
    struct dirent **entries = NULL;
    char type[LINE_BYTES];
    bool rnic = atoi(read_line(folder, "node_type", type)) == 4;
    int count = join(path, folder, "ports") ? scandir(path, &entries, is_entry, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        int number = atoi(entries[i]->d_name);
        if (number > 0 && number < 1000 && join(port, path, entries[i]->d_name)) {
            read_port(machine, nic, port, number, rnic);
        }
        free(entries[i]);
    }
    free(entries);
}

static enum ww_port_state state_of(const struct ww_nic *nic)
{
    bool down = true;
    for (int i = 0; i < nic->port_count; i++) {
        if (nic->ports[i].state == WW_PORT_UP) {
            return WW_PORT_UP;
        }
        down = down && nic->ports[i].state == WW_PORT_DOWN;
    }
    return down ? WW_PORT_DOWN : WW_PORT_UNKNOWN;
}

/* ---- Devices --------------------------------------------------------------------------------- */

static struct ww_nic *nic_named(struct ww_machine *machine, const char *name)
{
    for (int nic = 0; nic < machine->nic_count; nic++) {
        if (strcmp(machine->nics[nic].name, name) == 0) {
            return &machine->nics[nic];
        }
    }
    return NULL;
}

/* Finds the NIC of this name, or makes one. */
static enum ww_status find_nic(struct ww_machine *machine, const char *name, const char *folder,
                               bool rdma, struct ww_nic **found)
{
    char device[PATH_BYTES];
    struct ww_nic *nic = *found = nic_named(machine, name);
    enum ww_status status = nic == NULL ? machine_add_nic(machine, &nic) : WW_OK;
    if (status != WW_OK || *found != NULL) {
        return status;
    }
    text_copy(nic->name, sizeof nic->name, name);
    nic->rdma = rdma;
    read_pci_address(folder, nic->pci);
    if (join(device, folder, "device")) {
        nic->vendor = read_hexadecimal(device, "vendor");
        nic->device = read_hexadecimal(device, "device");
        double numa = read_number(device, "numa_node");
        nic->numa = numa >= 0 ? fact_known(numa, WW_SOURCE_SYSFS) : fact_unknown();
    }
    *found = nic;
    return WW_OK;
}

static enum ww_status read_infiniband(struct ww_machine *machine, const char *folder,
                                      const char *name)
{
    struct ww_nic *nic;
    enum ww_status status = find_nic(machine, name, folder, true, &nic);
    if (status == WW_OK) {
        nic->rdma = true;
        read_ports(machine, nic, folder);
    }
    return status;
}

/* Interfaces of a NIC with RDMA lend it their name; others are NICs of their own. */
static enum ww_status nic_of_interface(struct ww_machine *machine, const char *folder,
                                       const char *name, struct ww_nic **found)
{
    char pci[24];
    read_pci_address(folder, pci);
    for (int i = 0; i < machine->nic_count; i++) {
        struct ww_nic *nic = &machine->nics[i];
        if (strcmp(nic->name, name) != 0 && nic->rdma && pci[0] != '\0' &&
            strcmp(nic->pci, pci) == 0) {
            if (nic->interface[0] == '\0' && nic->port_count < 2) {
                text_copy(nic->interface, sizeof nic->interface, name);
            }
            *found = nic;
            return WW_OK;
        }
    }
    return find_nic(machine, name, folder, false, found);
}

static enum ww_status read_interface(struct ww_machine *machine, const char *folder,
                                     const char *name)
{
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    if (!join(path, folder, "device") || !is_folder(path)) {
        return WW_OK; /* a loop, a bridge, a container's end: no wire */
    }
    struct ww_nic *nic;
    enum ww_status status = nic_of_interface(machine, folder, name, &nic);
    if (status != WW_OK || strcmp(nic->name, name) != 0) {
        return status; /* its RDMA device says more */
    }
    const char *state = read_line(folder, "operstate", line);
    nic->port_count = 1;
    nic->ports[0] = (struct ww_port){.number = 1, .state_source = WW_SOURCE_SYSFS};
    nic->ports[0].state = strcmp(state, "up") == 0     ? WW_PORT_UP
                          : strcmp(state, "down") == 0 ? WW_PORT_DOWN
                                                       : WW_PORT_UNKNOWN;
    nic->ports[0].rate_gbit_s = fact_positive(read_number(folder, "speed") / 1000, WW_SOURCE_SYSFS);
    return WW_OK;
}

typedef enum ww_status read_device(struct ww_machine *machine, const char *folder,
                                   const char *name);

/* Reads every device of a class; false in *there when the class is not there. */
static enum ww_status read_class(struct ww_machine *machine, const char *root, const char *class,
                                 read_device *read, bool *there)
{
    char path[PATH_BYTES];
    char folder[PATH_BYTES];
    struct dirent **entries = NULL;
    enum ww_status status = WW_OK;
    int count = join(path, root, class) ? scandir(path, &entries, is_entry, alphasort) : -1;
    *there = count >= 0;
    for (int i = 0; i < count; i++) {
        if (status == WW_OK && join(folder, path, entries[i]->d_name) && is_folder(folder)) {
            status = read(machine, folder, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* NICs that were added stand at the end: their places are unknown. */
static enum ww_status widen_places(struct ww_machine *machine, int before)
{
    int gpus = machine->gpu_count;
    int nics = machine->nic_count;
    enum ww_place *wider = malloc(((size_t)gpus * (size_t)nics + 1) * sizeof *wider);
    if (wider == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the wires of %d GPUs and %d NICs", gpus,
                           nics);
    }
    for (int gpu = 0; gpu < gpus; gpu++) {
        for (int nic = 0; nic < nics; nic++) {
            wider[gpu * nics + nic] = nic < before ? machine->places[gpu * before + nic]
                                                   : WW_PLACE_UNKNOWN;
        }
    }
    free(machine->places);
    machine->places = wider;
    return WW_OK;
}

/* ---- Virtual functions ----------------------------------------------------------------------- */

/* The NIC of whose card this one is a virtual function, and which can do as much; NULL = none. */
static const struct ww_nic *owner_of(const struct ww_machine *machine, const char *root,
                                     const struct ww_nic *nic)
{
    char path[PATH_BYTES];
    char pci[24];
    int bytes = snprintf(path, sizeof path, "%s/bus/pci/devices/%s/physfn", root, nic->pci);
    char *target = nic->pci[0] != '\0' && bytes < PATH_BYTES ? realpath(path, NULL) : NULL;
    bool is_function = target != NULL && pci_normalise(strrchr(target, '/') + 1, pci);
    free(target);
    for (int i = 0; i < machine->nic_count && is_function; i++) {
        const struct ww_nic *owner = &machine->nics[i];
        if (strcmp(owner->pci, pci) == 0 && owner->rdma >= nic->rdma &&
            (state_of(owner) == WW_PORT_UP || state_of(nic) != WW_PORT_UP)) {
            return owner;
        }
    }
    return NULL;
}

/* Keeps kept[0 .. count - 1] of the NICs, in ascending order, and their places. */
static void keep_nics(struct ww_machine *machine, const int *kept, int count)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        for (int nic = 0; nic < count; nic++) {
            machine->places[gpu * count + nic] =
                machine->places[gpu * machine->nic_count + kept[nic]];
        }
    }
    for (int nic = 0; nic < count; nic++) {
        machine->nics[nic] = machine->nics[kept[nic]];
    }
    machine->nic_count = count;
}

/* Virtual functions of a card that is there too send through its ports: they add none. */
static void leave_out_functions(struct ww_machine *machine, const char *root)
{
    int kept[MACHINE_NICS_MAX];
    int count = 0;
    for (int nic = 0; nic < machine->nic_count; nic++) {
        if (owner_of(machine, root, &machine->nics[nic]) == NULL) {
            kept[count++] = nic;
        }
    }
    int left_out = machine->nic_count - count;
    keep_nics(machine, kept, count);
    if (left_out > 0) {
        machine_note(machine, "%d virtual function%s of cards that are listed: left out", left_out,
                     left_out == 1 ? "" : "s");
    }
}

enum ww_status nic_read_sysfs(struct ww_machine *machine, const char *root)
{
    bool infiniband = false;
    bool net = false;
    int before = machine->nic_count;
    if (!is_folder(root)) {
        return log_failure(WW_BAD_ARGUMENT, "%s is no folder: sysfs cannot be read there", root);
    }
    enum ww_status status = read_class(machine, root, "class/infiniband", read_infiniband,
                                       &infiniband);
    if (status == WW_OK) {
        status = read_class(machine, root, "class/net", read_interface, &net);
    }
    if (status == WW_OK) {
        status = widen_places(machine, before);
    }
    if (status != WW_OK) {
        return status;
    }
    leave_out_functions(machine, root);
    if (infiniband || net) {
        machine->nics_known = fact_known(machine->nic_count, WW_SOURCE_SYSFS);
    } else if (machine->nic_count == 0) {
        machine->nics_known = fact_unknown();
        machine_note(machine,
                     "%s has neither class/net nor class/infiniband: network cards are "
                     "unknown",
                     root);
    }
    for (int i = 0; i < machine->nic_count; i++) {
        struct ww_nic *nic = &machine->nics[i];
        read_pcie(machine, root, nic->pci, nic->name, true, &nic->pcie_gb_s);
    }
    for (int i = 0; i < machine->gpu_count; i++) {
        struct ww_gpu *gpu = &machine->gpus[i];
        read_pcie(machine, root, gpu->pci, "A GPU", false, &gpu->pcie_gb_s);
    }
    return WW_OK;
}

static int is_verbs(const struct dirent *entry)
{
    return strncmp(entry->d_name, "uverbs", strlen("uverbs")) == 0;
}

void nic_check_devices(struct ww_machine *machine, const char *folder)
{
    struct dirent **entries = NULL;
    int rdma = 0;
    for (int i = 0; i < machine->nic_count; i++) {
        rdma += machine->nics[i].rdma;
    }
    int count = rdma > 0 ? scandir(folder, &entries, is_verbs, alphasort) : 1;
    if (count <= 0) {
        machine_note(machine,
                     "sysfs shows %d NIC%s with RDMA, but there is no %s/uverbs*: this process "
                     "cannot use them; a container without the devices, or no ib_uverbs",
                     rdma, rdma == 1 ? "" : "s", folder);
    }
    for (int i = 0; entries != NULL && i < count; i++) {
        free(entries[i]);
    }
    free(entries);
}

/* ---- What follows ---------------------------------------------------------------------------- */

static void conclude_ports(struct ww_nic *nic)
{
    enum ww_nic_kind by_part = part_nic_kind(nic);
    double most = nic->rdma ? part_port_gbit_s(nic) : 0;
    if (nic->port_count == 0) {
        nic->port_count = 1;
        nic->ports[0] = (struct ww_port){.number = 1};
    }
    for (int i = 0; i < nic->port_count; i++) {
        struct ww_port *port = &nic->ports[i];
        if (port->kind == WW_NIC_UNKNOWN) {
            port->kind = nic->rdma ? by_part : WW_NIC_ETHERNET;
        }
        if (!fact_is_known(port->rate_gbit_s)) {
            port->rate_gbit_s = fact_positive(most, WW_SOURCE_PARTS);
        }
    }
    if (nic->kind_source == WW_SOURCE_NONE && by_part != WW_NIC_UNKNOWN) {
        nic->kind_source = WW_SOURCE_PARTS;
    }
}

/* Old InfiniBand (SDR, DDR, QDR) counts the bits of its line code: ten for eight. */
static double data_rate(const struct ww_port *port)
{
    static const double old[] = {2.5, 5, 10, 20, 40};
    double gbit_s = port->rate_gbit_s.value;
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (port->kind == WW_NIC_INFINIBAND && port->rate_gbit_s.source == WW_SOURCE_SYSFS &&
            gbit_s == old[i]) {
            return 0.8 * gbit_s;
        }
    }
    return gbit_s;
}

static void conclude_rate(struct ww_machine *machine, struct ww_nic *nic)
{
    double gbit_s = 0;
    enum ww_source source = WW_SOURCE_NONE;
    for (int i = 0; i < nic->port_count; i++) {
        if (nic->ports[i].state == nic->state && fact_is_known(nic->ports[i].rate_gbit_s)) {
            gbit_s += data_rate(&nic->ports[i]);
            source = nic->ports[i].rate_gbit_s.source;
        }
    }
    double pcie = 8 * nic->pcie_gb_s.value;
    if (fact_is_known(nic->pcie_gb_s) && gbit_s > pcie) {
        if (source != WW_SOURCE_PARTS && nic->state == WW_PORT_UP) {
            machine_note(machine, "%s: its ports carry %.4g Gb/s, its PCIe link only %.4g",
                         nic->name, gbit_s, pcie);
        }
        gbit_s = pcie;
    }
    nic->rate_gbit_s = fact_positive(gbit_s, source);
}

/* NCCL's files list what a job uses, sockets among them. */
static bool is_wanted(const struct ww_machine *machine, const struct ww_nic *nic)
{
    return nic->rdma || machine->nics_known.source == WW_SOURCE_NCCL_FILE;
}

void nic_conclude(struct ww_machine *machine)
{
    for (int i = 0; i < machine->nic_count; i++) {
        struct ww_nic *nic = &machine->nics[i];
        nic->rdma = nic->rdma || part_nic_kind(nic) == WW_NIC_SLINGSHOT;
        conclude_ports(nic);
        nic->state = state_of(nic);
        nic->kind = nic->ports[0].kind;
        for (int port = nic->port_count - 1; port >= 0; port--) {
            if (nic->ports[port].state == WW_PORT_UP) {
                nic->kind = nic->ports[port].kind;
            }
        }
        conclude_rate(machine, nic);
        nic->wanted = is_wanted(machine, nic);
    }
}
