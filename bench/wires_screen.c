/* SPDX-License-Identifier: BSD-3-Clause
 * wires_screen.c: a machine on one screen. "?" is unknown, "-" is known to be absent. */
#include "wires.h"

#include "text.h"

#define CELL_BYTES 48
#define VERDICT_BYTES 1024
#define MATRIX_GPUS_MAX 16

/* "12", "<= 400", "-", "?". */
static const char *cell(struct ww_fact fact, char text[CELL_BYTES])
{
    if (fact.known == WW_FACT_KNOWN) {
        snprintf(text, CELL_BYTES, "%s%.4g", fact.source == WW_SOURCE_PARTS ? "<= " : "",
                 fact.value);
    } else {
        snprintf(text, CELL_BYTES, "%s", fact.known == WW_FACT_ABSENT ? "-" : "?");
    }
    return text;
}

static const char *known_text(const char *text)
{
    return text[0] == '\0' ? "?" : text;
}

static void print_machine(const struct ww_machine *machine, FILE *to)
{
    char cells[4][CELL_BYTES];
    fprintf(to, "Machine    %s, %s, %s\n", known_text(machine->name), known_text(machine->product),
            known_text(machine->cpu));
    fprintf(to, "           told by %s, about %s\n", known_text(machine->writer), machine->origin);
    fprintf(to, "           packages %s, NUMA nodes %s", cell(machine->packages, cells[0]),
            cell(machine->numa_nodes, cells[1]));
    if (machine->numa_without_cores.value > 0) {
        fprintf(to, " (%.0f without cores)", machine->numa_without_cores.value);
    }
    fprintf(to, ", cores %s, threads %s", cell(machine->cores, cells[2]),
            cell(machine->threads, cells[3]));
    for (int i = 0; i < machine->cache_count; i++) {
        char size[CELL_BYTES];
        text_size((size_t)machine->caches[i].each_bytes, size, sizeof size);
        fprintf(to, ", %d x L%d %s", machine->caches[i].count, machine->caches[i].level, size);
    }
    fputc('\n', to);
}

/* ---- GPUs ------------------------------------------------------------------------------------ */

static void print_gpu(const struct ww_machine *machine, int number, FILE *to)
{
    const struct ww_gpu *gpu = &machine->gpus[number];
    char cells[5][CELL_BYTES];
    char chosen[128] = "-";
    char model[sizeof gpu->model];
    snprintf(model, sizeof model, "%s", known_text(gpu->model));
    if (gpu->model[0] == '\0' && gpu->vendor != 0) {
        snprintf(model, sizeof model, "%04x:%04x", gpu->vendor, gpu->device);
    }
    if (gpu->nic >= 0) {
        snprintf(chosen, sizeof chosen, "%s %s", machine->nics[gpu->nic].name,
                 ww_place_name(machine->places[gpu->nic + number * machine->nic_count]));
    } else if (machine->nics_known.known != WW_FACT_KNOWN) {
        snprintf(chosen, sizeof chosen, "?");
    }
    fprintf(to, "  %-3d %-12s  %-28.28s %4s %4s %7s %5s %8s   %s\n", number, known_text(gpu->pci),
            model, cell(gpu->package, cells[0]), cell(gpu->numa, cells[1]),
            cell(gpu->pcie_gb_s, cells[2]), cell(gpu->links, cells[3]),
            cell(gpu->links_gb_s, cells[4]), chosen);
}

/* What stands between two GPUs: "NV6", "SW18", "XG", "-", "?". */
static void print_pair(const struct ww_machine *machine, int a, int b, FILE *to)
{
    static const char *const signs[WW_LINK_KIND_COUNT] = {"?", "-", "NV", "SW", "XG", "XE"};
    char text[CELL_BYTES];
    const struct ww_link *link = &machine->links[a * machine->gpu_count + b];
    if (a == b) {
        snprintf(text, sizeof text, "x");
    } else if (link->links.known == WW_FACT_KNOWN) {
        snprintf(text, sizeof text, "%s%.0f", signs[link->kind], link->links.value);
    } else {
        snprintf(text, sizeof text, "%s", signs[link->kind]);
    }
    fprintf(to, " %4s", text);
}

static void print_links(const struct ww_machine *machine, FILE *to)
{
    int gpus = machine->gpu_count;
    if (gpus < 2) {
        return;
    }
    if (gpus > MATRIX_GPUS_MAX) {
        fprintf(to, "Links      %d GPUs: too many for a screen; --json has the pairs\n", gpus);
        return;
    }
    fprintf(to, "Links      NV NVLink, SW NVSwitch, XG xGMI, XE Xe Link, and how many\n      ");
    for (int b = 0; b < gpus; b++) {
        fprintf(to, " %4d", b);
    }
    fputc('\n', to);
    for (int a = 0; a < gpus; a++) {
        fprintf(to, "  %-3d ", a);
        for (int b = 0; b < gpus; b++) {
            print_pair(machine, a, b, to);
        }
        fputc('\n', to);
    }
}

static void print_gpus(const struct ww_machine *machine, FILE *to)
{
    if (machine->gpu_count == 0) {
        fprintf(to, "GPUs       %s\n",
                machine->gpus_known.known == WW_FACT_KNOWN ? "none" : "unknown");
        return;
    }
    fprintf(to, "GPUs       of %s\n", ww_source_name(machine->gpus_known.source));
    fprintf(to, "  %-3s %-12s  %-28s %4s %4s %7s %5s %8s   %s\n", "", "PCI", "model", "pkg", "NUMA",
            "PCIe", "links", "GB/s", "NIC to use");
    for (int i = 0; i < machine->gpu_count; i++) {
        print_gpu(machine, i, to);
    }
    print_links(machine, to);
}

/* ---- NICs ------------------------------------------------------------------------------------ */

static void print_port(const struct ww_nic *nic, int number, FILE *to)
{
    const struct ww_port *port = &nic->ports[number];
    char cells[4][CELL_BYTES];
    fprintf(to, "  %-16.16s %-12s  %4d  %-20s %-7s %8s %4s %4s %7s   %s\n", nic->name,
            known_text(nic->pci), port->number, ww_nic_kind_name(port->kind),
            ww_port_state_name(port->state), cell(port->rate_gbit_s, cells[0]),
            cell(nic->package, cells[1]), cell(nic->numa, cells[2]), cell(nic->pcie_gb_s, cells[3]),
            nic->interface);
}

static void print_nics(const struct ww_machine *machine, FILE *to)
{
    if (machine->nic_count == 0) {
        fprintf(to, "NICs       %s\n",
                machine->nics_known.known == WW_FACT_KNOWN ? "none" : "unknown");
        return;
    }
    fprintf(to, "NICs       of %s\n", ww_source_name(machine->nics_known.source));
    fprintf(to, "  %-16s %-12s  %4s  %-20s %-7s %8s %4s %4s %7s   %s\n", "", "PCI", "port", "kind",
            "state", "Gb/s", "pkg", "NUMA", "PCIe", "interface");
    for (int i = 0; i < machine->nic_count; i++) {
        for (int port = 0; port < machine->nics[i].port_count; port++) {
            print_port(&machine->nics[i], port, to);
        }
    }
}

/* ---- Words ----------------------------------------------------------------------------------- */

static void print_words(const struct ww_machine *machine, FILE *to)
{
    char text[VERDICT_BYTES];
    int levels = ww_machine_level(machine, -1, NULL, 0);
    for (int i = 0; i < levels; i++) {
        ww_machine_level(machine, i, text, sizeof text);
        fprintf(to, "%-10s %d = %s\n", i == 0 ? "Levels" : "", i + 1, text);
    }
    for (int i = 0; i < machine->note_count; i++) {
        fprintf(to, "%-10s %s.\n", i == 0 ? "Notes" : "", machine->notes[i]);
    }
    ww_machine_verdict(machine, text, sizeof text);
    fprintf(to, "Verdict    %s\n", text);
}

void wires_print(const struct ww_machine *machine, FILE *to)
{
    print_machine(machine, to);
    print_gpus(machine, to);
    print_nics(machine, to);
    print_words(machine, to);
}
