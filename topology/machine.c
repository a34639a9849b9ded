/* SPDX-License-Identifier: BSD-3-Clause
 * machine.c: asks the finders in turn, and keeps what they found. */
#include "machine.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "xml.h"

#define NOTES_MAX 64
#define SYSFS "/sys"
#define DEVICES "/dev/infiniband"

bool pci_normalise(const char *text, char pci[24])
{
    unsigned domain = 0;
    unsigned bus;
    unsigned device;
    unsigned function = 0;
    int used = 0;
    char sign = '\0';
    if (sscanf(text, "%8x:%2x:%2x%n", &domain, &bus, &device, &used) != 3) {
        domain = 0;
        if (sscanf(text, "%2x:%2x%n", &bus, &device, &used) != 2) {
            return false;
        }
    }
    const char *rest = text + used;
    if (*rest == '.') {
        int more = 0;
        if (sscanf(rest, "%c%1x%n", &sign, &function, &more) != 2) {
            return false;
        }
        rest += more;
    }
    if (*rest != '\0' || device > 0x1f || function > 7) {
        return false;
    }
    snprintf(pci, 24, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return true;
}

void text_copy(char *to, size_t bytes, const char *from)
{
    size_t used = 0;
    while (from != NULL && isspace((unsigned char)*from)) {
        from++;
    }
    for (; from != NULL && *from != '\0' && used + 1 < bytes; from++) {
        to[used++] = iscntrl((unsigned char)*from) ? '?' : *from;
    }
    while (used > 0 && to[used - 1] == ' ') {
        used--;
    }
    to[used] = '\0';
}

int machine_gpu_at(const struct ww_machine *machine, const char *pci)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (strcmp(machine->gpus[gpu].pci, pci) == 0) {
            return gpu;
        }
    }
    return -1;
}

/* Room for count + 1 elements, whatever was there before. */
static enum ww_status one_more(void **array, int count, int most, size_t bytes, const char *what)
{
    if (count >= most) {
        return log_failure(WW_BAD_ARGUMENT, "more than %d %s in one machine cannot be", most, what);
    }
    void *more = realloc(*array, ((size_t)count + 1) * bytes);
    if (more == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %d %s", count + 1, what);
    }
    *array = more;
    return WW_OK;
}

enum ww_status machine_add_gpu(struct ww_machine *machine, struct ww_gpu **gpu)
{
    void *gpus = machine->gpus;
    enum ww_status status = one_more(&gpus, machine->gpu_count, MACHINE_GPUS_MAX,
                                     sizeof *machine->gpus, "GPUs");
    machine->gpus = gpus;
    if (status == WW_OK) {
        *gpu = &machine->gpus[machine->gpu_count++];
        **gpu = (struct ww_gpu){
            .island = -1, .near = WW_PLACE_UNKNOWN, .near_up = WW_PLACE_UNKNOWN, .nic = -1};
    }
    return status;
}

enum ww_status machine_add_nic(struct ww_machine *machine, struct ww_nic **nic)
{
    void *nics = machine->nics;
    enum ww_status status = one_more(&nics, machine->nic_count, MACHINE_NICS_MAX,
                                     sizeof *machine->nics, "NICs");
    machine->nics = nics;
    if (status == WW_OK) {
        *nic = &machine->nics[machine->nic_count++];
        **nic = (struct ww_nic){.kind = WW_NIC_UNKNOWN};
    }
    return status;
}

enum ww_status machine_make_pairs(struct ww_machine *machine)
{
    size_t gpus = (size_t)machine->gpu_count;
    size_t nics = (size_t)machine->nic_count;
    free(machine->links);
    free(machine->places);
    machine->links = calloc(gpus * gpus + 1, sizeof *machine->links);
    machine->places = calloc(gpus * nics + 1, sizeof *machine->places);
    if (machine->links == NULL || machine->places == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the wires of %zu GPUs and %zu NICs", gpus,
                           nics);
    }
    for (size_t i = 0; i < gpus * nics; i++) {
        machine->places[i] = WW_PLACE_UNKNOWN;
    }
    return WW_OK;
}

void machine_note(struct ww_machine *machine, const char *format, ...)
{
    char sentence[sizeof *machine->notes];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    for (int i = 0; i < machine->note_count; i++) {
        if (strcmp(machine->notes[i], sentence) == 0) {
            return;
        }
    }
    if (machine->note_count < NOTES_MAX) {
        if (machine->note_count == NOTES_MAX - 1) {
            snprintf(sentence, sizeof sentence, "More notes were left out");
        }
        memcpy(machine->notes[machine->note_count++], sentence, sizeof sentence);
    }
}

/* ---- The door -------------------------------------------------------------------------------- */

static enum ww_status read_file(struct ww_machine *machine, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    struct xml xml;
    enum ww_status status = xml_read_file(path, &text, &bytes);
    if (status != WW_OK) {
        return status;
    }
    status = xml_parse(path, text, bytes, &xml);
    if (status == WW_OK) {
        const char *root = xml.nodes[0].name;
        if (strcmp(root, "topology") == 0) {
            bytes = xml_simplify(text);
            status = discover_file(machine, &xml, text, bytes);
        } else if (strcmp(root, "system") == 0) {
            status = nccl_file_read(machine, &xml);
        } else {
            status = log_failure(WW_BAD_ARGUMENT,
                                 "%s begins with <%.40s>: a machine is described by hwloc "
                                 "(<topology>, lstopo --of xml) or by NCCL (<system>)",
                                 path, root);
        }
        xml_finish(&xml);
    }
    free(text);
    return status;
}

static enum ww_status read_here(struct ww_machine *machine, const struct ww_machine_query *query)
{
    bool here = false;
    text_copy(machine->origin, sizeof machine->origin, "this machine");
    enum ww_status status = discover_here(machine, &here);
    if (status == WW_OK && (here || query->nvml != NULL)) {
        status = nvlink_ask(machine, query->nvml);
    }
    if (status == WW_OK && here && query->sysfs == NULL) {
        status = nic_read_sysfs(machine, SYSFS);
        nic_check_devices(machine, DEVICES);
    }
    return status;
}

static enum ww_status discover(struct ww_machine *machine, const struct ww_machine_query *query)
{
    enum ww_status status = query->xml == NULL ? read_here(machine, query)
                                               : read_file(machine, query->xml);
    if (status == WW_OK && query->xml != NULL && query->nvml != NULL) {
        status = log_failure(WW_BAD_ARGUMENT,
                             "NVML tells about this machine, %s about another one: give one of "
                             "them",
                             query->xml);
    }
    if (status == WW_OK && query->xml != NULL) {
        text_copy(machine->origin, sizeof machine->origin, query->xml);
    }
    if (status == WW_OK && query->sysfs != NULL) {
        status = nic_read_sysfs(machine, query->sysfs);
    }
    if (status == WW_OK) {
        nic_conclude(machine);
        links_finish(machine);
        near_choose(machine);
    }
    return status;
}

enum ww_status ww_machine_discover(const struct ww_machine_query *query,
                                   struct ww_machine **machine)
{
    if (query == NULL || machine == NULL || query->struct_bytes != sizeof *query) {
        return log_failure(WW_BAD_ARGUMENT, "ww_machine_discover got %s",
                           query == NULL || machine == NULL
                               ? "NULL"
                               : "a query that was not made by WW_MACHINE_QUERY_INIT");
    }
    struct ww_machine *found = calloc(1, sizeof *found);
    if (found != NULL) {
        found->notes = calloc(NOTES_MAX, sizeof *found->notes);
    }
    if (found == NULL || found->notes == NULL) {
        ww_machine_destroy(found);
        return log_failure(WW_NO_MEMORY, "no memory for the description of a machine");
    }
    enum ww_status status = machine_make_pairs(found);
    if (status == WW_OK) {
        status = discover(found, query);
    }
    if (status != WW_OK) {
        ww_machine_destroy(found);
        return status;
    }
    *machine = found;
    return WW_OK;
}

void ww_machine_destroy(struct ww_machine *machine)
{
    if (machine == NULL) {
        return;
    }
    free(machine->gpus);
    free(machine->links);
    free(machine->nics);
    free(machine->places);
    free(machine->notes);
    free(machine);
}
