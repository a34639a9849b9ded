/* SPDX-License-Identifier: BSD-3-Clause
 * links.c: from counted links to bandwidths and islands. Counts are believed only when they can
 * be: no GPU has more links than its generation, none ends where it begins, both ends agree. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

enum ww_status link_counts_init(struct link_counts *counts, int gpus)
{
    size_t size = (size_t)gpus;
    *counts = (struct link_counts){gpus, calloc(size * size + 1, sizeof(int)),
                                   calloc(size + 1, sizeof(int)), calloc(size + 1, sizeof(int)),
                                   calloc(size + 1, sizeof(bool))};
    if (counts->direct == NULL || counts->to_switch == NULL || counts->to_cpu == NULL ||
        counts->told == NULL) {
        link_counts_finish(counts);
        return log_failure(WW_NO_MEMORY, "no memory for the links of %d GPUs", gpus);
    }
    return WW_OK;
}

void link_counts_finish(struct link_counts *counts)
{
    free(counts->direct);
    free(counts->to_switch);
    free(counts->to_cpu);
    free(counts->told);
    *counts = (struct link_counts){.gpus = 0};
}

/* ---- From bandwidths to counts --------------------------------------------------------------- */

/* Adds one cell of the matrix; false when it is no whole number of links. */
static bool count_cell(struct ww_machine *machine, const struct link_matrix *matrix, int row,
                       int column, struct link_counts *counts)
{
    uint64_t mb_s = matrix->mb_s[(size_t)row * (size_t)matrix->size + (size_t)column];
    int gpu = matrix->gpu[row];
    int generation = machine->gpus[gpu].generation;
    uint64_t unit = (uint64_t)(1000 * nvlink_generations[generation].link_gb_s);
    if (generation == 3 && matrix->doubled_a100) {
        unit *= 2;
    }
    if (mb_s == 0) {
        return true;
    }
    if (unit == 0 || mb_s % unit != 0 || mb_s / unit > 1000) {
        machine_note(machine,
                     "The matrix of NVLink bandwidths is not believed: %llu MB/s of GPU %d are no "
                     "number of links of its generation",
                     (unsigned long long)mb_s, gpu);
        return false;
    }
    int links = (int)(mb_s / unit);
    if (matrix->end[column] == LINK_END_GPU) {
        counts->direct[gpu * counts->gpus + matrix->gpu[column]] += links;
    } else if (matrix->end[column] == LINK_END_SWITCH) {
        counts->to_switch[gpu] += links;
    } else if (matrix->end[column] == LINK_END_CPU) {
        counts->to_cpu[gpu] += links;
    }
    return true;
}

/* A matrix of zeros was written by an hwloc that does not know these links, or sees no peers. */
static bool is_empty(const struct link_matrix *matrix)
{
    size_t size = (size_t)matrix->size;
    for (size_t i = 0; i < size * size; i++) {
        if (i / size != i % size && matrix->mb_s[i] != 0) {
            return false;
        }
    }
    return true;
}

bool links_count(struct ww_machine *machine, const struct link_matrix *matrix,
                 struct link_counts *counts)
{
    if (is_empty(matrix)) {
        machine_note(machine,
                     "The matrix of NVLink bandwidths is not believed: it holds only zeros");
        return false;
    }
    for (int row = 0; row < matrix->size; row++) {
        if (matrix->end[row] != LINK_END_GPU) {
            continue;
        }
        counts->told[matrix->gpu[row]] = true;
        for (int column = 0; column < matrix->size; column++) {
            /* The diagonal holds a made-up number. */
            if (column != row && !count_cell(machine, matrix, row, column, counts)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- Can that be? ---------------------------------------------------------------------------- */

static int total_of(const struct link_counts *counts, int gpu)
{
    int total = counts->to_switch[gpu] + counts->to_cpu[gpu];
    for (int peer = 0; peer < counts->gpus; peer++) {
        if (peer != gpu) {
            total += counts->direct[gpu * counts->gpus + peer];
        }
    }
    return total;
}

/* Both ends count a link, or one of them was not asked; where they differ the lesser counts. */
static int direct_links(const struct link_counts *counts, int a, int b)
{
    int there = counts->direct[a * counts->gpus + b];
    int back = counts->direct[b * counts->gpus + a];
    if (!counts->told[a] || !counts->told[b]) {
        return there > back ? there : back;
    }
    return there < back ? there : back;
}

static bool check_total(struct ww_machine *machine, const struct link_counts *counts, int gpu)
{
    int most = nvlink_generations[machine->gpus[gpu].generation].links_max;
    int total = total_of(counts, gpu);
    if (most > 0 && total > most) {
        machine_note(machine,
                     "The links are not believed: GPU %d (%s) would have %d, such a part has %d at "
                     "most",
                     gpu, machine->gpus[gpu].pci, total, most);
        return false;
    }
    return true;
}

static void note_oddities(struct ww_machine *machine, const struct link_counts *counts, int gpu)
{
    if (counts->direct[gpu * counts->gpus + gpu] > 0) {
        machine_note(machine, "GPU %d (%s) is said to have links to itself: left out", gpu,
                     machine->gpus[gpu].pci);
    }
    for (int peer = 0; peer < gpu; peer++) {
        int there = counts->direct[gpu * counts->gpus + peer];
        int back = counts->direct[peer * counts->gpus + gpu];
        if (counts->told[gpu] && counts->told[peer] && there != back) {
            machine_note(
                machine,
                "FAULT: GPU %d counts %d links to GPU %d, which counts %d back: the lesser "
                "number is used",
                gpu, there, peer, back);
        }
    }
}

/* Equal parts should have as many NVLinks; one that lost some slows all others. The widths of xGMI
 * differ by design. */
static void compare_totals(struct ww_machine *machine, const struct link_counts *counts)
{
    for (int gpu = 1; gpu < counts->gpus; gpu++) {
        int total = total_of(counts, gpu);
        int first = total_of(counts, 0);
        if (counts->told[gpu] && counts->told[0] && total != first &&
            machine->gpus[gpu].device == machine->gpus[0].device && machine->gpus[0].device != 0) {
            machine_note(machine,
                         "FAULT: GPU 0 has %d active links, GPU %d, the same part, has %d: look at "
                         "`nvidia-smi nvlink -s`",
                         first, gpu, total);
            return;
        }
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

static struct ww_fact rate_of(double links, double link_gb_s, enum ww_source source)
{
    return links > 0 && link_gb_s > 0 ? fact_known(links * link_gb_s, source) : fact_unknown();
}

/* One xGMI link of these parts, one direction. */
static double xgmi_gb_s(unsigned device)
{
    switch (device) {
    case 0x738c: /* MI100 */
    case 0x738e:
        return 46;
    case 0x7408: /* MI250X, MI250, MI210 */
    case 0x740c:
    case 0x740f:
        return 50;
    case 0x74a1: /* MI300X, MI325X */
    case 0x74a5:
    case 0x74b5:
        return 64;
    case 0x75a0: /* MI350X, MI355X */
    case 0x75a3:
        return 76.8;
    default:
        return 0;
    }
}

static double link_gb_s(const struct ww_gpu *gpu, enum ww_link_kind kind)
{
    return kind == WW_LINK_XGMI ? xgmi_gb_s(gpu->device)
                                : nvlink_generations[gpu->generation].link_gb_s;
}

static void write_gpu(struct ww_gpu *gpu, const struct link_counts *counts, int number,
                      enum ww_link_kind kind, enum ww_source source)
{
    int total = total_of(counts, number);
    double each = link_gb_s(gpu, kind);
    if (total == 0) {
        gpu->links = fact_absent(source);
        gpu->links_gb_s = fact_absent(source);
        gpu->cpu_gb_s = fact_absent(source);
        return;
    }
    gpu->links = fact_known(total, source);
    gpu->links_gb_s = rate_of(total, each, source);
    gpu->cpu_gb_s = counts->to_cpu[number] > 0 ? rate_of(counts->to_cpu[number], each, source)
                                               : fact_absent(source);
}

static struct ww_link link_between(const struct ww_machine *machine,
                                   const struct link_counts *counts, int a, int b,
                                   enum ww_link_kind kind, enum ww_source source)
{
    double each = link_gb_s(&machine->gpus[a], kind);
    double other = link_gb_s(&machine->gpus[b], kind);
    int direct = direct_links(counts, a, b);
    int switched = counts->to_switch[a] < counts->to_switch[b] ? counts->to_switch[a]
                                                               : counts->to_switch[b];
    each = other < each ? other : each;
    if (direct + switched > 0) {
        return (struct ww_link){switched > 0 ? WW_LINK_NVSWITCH : kind,
                                fact_known(direct + switched, source),
                                rate_of(direct + switched, each, source)};
    }
    if (counts->told[a] && counts->told[b]) {
        return (struct ww_link){WW_LINK_NONE, fact_absent(source), fact_absent(source)};
    }
    return (struct ww_link){WW_LINK_UNKNOWN, fact_unknown(), fact_unknown()};
}

void links_settle(struct ww_machine *machine, const struct link_counts *counts,
                  enum ww_link_kind kind, enum ww_source source)
{
    for (int gpu = 0; gpu < counts->gpus; gpu++) {
        if (kind == WW_LINK_NVLINK && !check_total(machine, counts, gpu)) {
            return;
        }
    }
    if (kind == WW_LINK_NVLINK) {
        compare_totals(machine, counts);
    }
    for (int gpu = 0; gpu < counts->gpus; gpu++) {
        note_oddities(machine, counts, gpu);
        if (counts->told[gpu]) {
            write_gpu(&machine->gpus[gpu], counts, gpu, kind, source);
        }
        for (int peer = 0; peer < gpu; peer++) {
            struct ww_link link = link_between(machine, counts, gpu, peer, kind, source);
            machine->links[gpu * counts->gpus + peer] = link;
            machine->links[peer * counts->gpus + gpu] = link;
        }
    }
}

void links_connect(struct ww_machine *machine, const struct link_matrix *matrix,
                   enum ww_link_kind kind, bool rates_hold)
{
    for (int row = 0; row < matrix->size; row++) {
        for (int column = 0; column < matrix->size; column++) {
            int a = matrix->gpu[row];
            int b = matrix->gpu[column];
            if (a < 0 || b < 0 || a == b) {
                continue;
            }
            double mb_s = (double)matrix->mb_s[row * matrix->size + column];
            struct ww_link link = {WW_LINK_NONE, fact_absent(WW_SOURCE_HWLOC),
                                   fact_absent(WW_SOURCE_HWLOC)};
            if (mb_s > 0) {
                link = (struct ww_link){kind, fact_unknown(),
                                        rates_hold ? fact_known(mb_s / 1000, WW_SOURCE_HWLOC)
                                                   : fact_unknown()};
            }
            machine->links[a * machine->gpu_count + b] = link;
        }
    }
}

/* ---- Islands --------------------------------------------------------------------------------- */

static bool is_wire(enum ww_link_kind kind)
{
    return kind != WW_LINK_UNKNOWN && kind != WW_LINK_NONE;
}

/* Gives the island to the GPU and to all that it reaches. */
static void fill_island(struct ww_machine *machine, int gpu, int island)
{
    machine->gpus[gpu].island = island;
    for (int peer = 0; peer < machine->gpu_count; peer++) {
        if (machine->gpus[peer].island < 0 &&
            is_wire(machine->links[gpu * machine->gpu_count + peer].kind)) {
            fill_island(machine, peer, island);
        }
    }
}

static bool all_told(const struct ww_machine *machine, int gpu)
{
    for (int peer = 0; peer < machine->gpu_count; peer++) {
        if (peer != gpu &&
            machine->links[gpu * machine->gpu_count + peer].kind == WW_LINK_UNKNOWN) {
            return false;
        }
    }
    return true;
}

/* Parts that have no links cannot be linked. */
static void mark_absent(struct ww_machine *machine)
{
    for (int a = 0; a < machine->gpu_count; a++) {
        for (int b = 0; b < machine->gpu_count; b++) {
            struct ww_link *link = &machine->links[a * machine->gpu_count + b];
            bool none = machine->gpus[a].links.known == WW_FACT_ABSENT ||
                        machine->gpus[b].links.known == WW_FACT_ABSENT;
            if (a != b && none && link->kind == WW_LINK_UNKNOWN) {
                *link = (struct ww_link){WW_LINK_NONE, fact_absent(WW_SOURCE_PARTS),
                                         fact_absent(WW_SOURCE_PARTS)};
            }
        }
    }
}

/* A GPU with links to a switch is told, even where no other one is. */
static void note_unknown(struct ww_machine *machine)
{
    int unknown = 0;
    int generation = 0; /* of all of them; 0 = they differ */
    for (int i = 0; i < machine->gpu_count; i++) {
        const struct ww_gpu *gpu = &machine->gpus[i];
        if (gpu->island < 0 && !fact_is_known(gpu->links)) {
            bool same = unknown == 0 || gpu->generation == generation;
            generation = same ? gpu->generation : 0;
            unknown++;
        }
    }
    if (unknown == 0 || machine->gpu_count < 2) {
        return;
    }
    const char *s = unknown == 1 ? "" : "s";
    if (generation > 0) {
        machine_note(machine,
                     "The links of %d GPU%s are unknown, not absent: nobody told them. Such a part "
                     "has up to %d NVLinks (%.0f GB/s) where it is no PCIe card",
                     unknown, s, nvlink_generations[generation].links_max,
                     nvlink_generations[generation].links_max *
                         nvlink_generations[generation].link_gb_s);
    } else {
        machine_note(machine, "The links of %d GPU%s are unknown, not absent: nobody told them",
                     unknown, s);
    }
}

void links_finish(struct ww_machine *machine)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        part_of_gpu(&machine->gpus[gpu]);
        machine->gpus[gpu].island = -1;
    }
    mark_absent(machine);
    machine->island_count = 0;
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (machine->gpus[gpu].island >= 0) {
            continue;
        }
        bool wired = false;
        for (int peer = 0; peer < machine->gpu_count; peer++) {
            wired = wired || is_wire(machine->links[gpu * machine->gpu_count + peer].kind);
        }
        if (wired || all_told(machine, gpu)) {
            fill_island(machine, gpu, machine->island_count++);
        }
    }
    note_unknown(machine);
}
