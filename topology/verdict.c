/* SPDX-License-Identifier: BSD-3-Clause
 * verdict.c: a machine in one line. */
#include "machine.h"

#include <string.h>

#include "line.h"

#define RATES_MAX 4

/* The least and greatest bandwidth of GPUs that are linked; 0, 0 where none is known. */
struct range {
    double least;
    double greatest;
};

static void widen(struct range *range, double value)
{
    range->least = range->least == 0 || value < range->least ? value : range->least;
    range->greatest = value > range->greatest ? value : range->greatest;
}

static void say_range(struct line *line, struct range range, const char *of)
{
    if (range.greatest == 0) {
        line_say(line, ", bandwidth unknown");
    } else if (range.least == range.greatest) {
        line_say(line, ", %.4g GB/s %s", range.least, of);
    } else {
        line_say(line, ", %.4g to %.4g GB/s %s", range.least, range.greatest, of);
    }
}

/* ---- Islands --------------------------------------------------------------------------------- */

struct islands {
    int unknown; /* GPUs whose links nobody told */
    int least;   /* GPUs of the smallest and of the largest island */
    int greatest;
    enum ww_link_kind kind; /* NVSWITCH where any pair goes through one */
    struct range pair;
    struct range gpu;
};

static int members_of(const struct ww_machine *machine, int island)
{
    int members = 0;
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        members += machine->gpus[gpu].island == island;
    }
    return members;
}

static struct islands survey(const struct ww_machine *machine)
{
    struct islands islands = {.kind = WW_LINK_NONE};
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        islands.unknown += machine->gpus[gpu].island < 0;
        if (fact_is_known(machine->gpus[gpu].links_gb_s)) {
            widen(&islands.gpu, machine->gpus[gpu].links_gb_s.value);
        }
        for (int peer = 0; peer < gpu; peer++) {
            const struct ww_link *link = &machine->links[gpu * machine->gpu_count + peer];
            bool wire = link->kind != WW_LINK_UNKNOWN && link->kind != WW_LINK_NONE;
            if (wire && islands.kind != WW_LINK_NVSWITCH) {
                islands.kind = link->kind;
            }
            if (wire && fact_is_known(link->gb_s)) {
                widen(&islands.pair, link->gb_s.value);
            }
        }
    }
    for (int island = 0; island < machine->island_count; island++) {
        int members = members_of(machine, island);
        islands.least = island == 0 || members < islands.least ? members : islands.least;
        islands.greatest = members > islands.greatest ? members : islands.greatest;
    }
    return islands;
}

static void say_islands(struct line *line, const struct ww_machine *machine)
{
    struct islands islands = survey(machine);
    if (machine->gpu_count < 2) {
        return;
    }
    if (islands.unknown == machine->gpu_count) {
        line_say(line, ", their links unknown");
        return;
    }
    if (islands.greatest < 2) {
        line_say(line, ", no links between them");
    } else {
        if (machine->island_count > 1 && islands.least == islands.greatest) {
            line_say(line, " in %d islands of %d", machine->island_count, islands.least);
        } else if (machine->island_count > 1) {
            line_say(line, " in %d islands of %d to %d", machine->island_count, islands.least,
                     islands.greatest);
        }
        line_say(line, " on %s", ww_link_kind_name(islands.kind));
        bool switched = islands.kind == WW_LINK_NVSWITCH;
        say_range(line, switched ? islands.gpu : islands.pair, switched ? "each" : "a pair");
    }
    if (islands.unknown > 0) {
        line_say(line, ", the links of %d unknown", islands.unknown);
    }
}

static void say_gpus(struct line *line, const struct ww_machine *machine)
{
    if (machine->gpu_count == 0) {
        line_say(line, fact_is_known(machine->gpus_known) ? "no GPU" : "GPUs unknown");
        return;
    }
    line_say(line, "%d GPU%s", machine->gpu_count, machine->gpu_count == 1 ? "" : "s");
    bool same = machine->gpus[0].model[0] != '\0';
    for (int gpu = 1; gpu < machine->gpu_count; gpu++) {
        same = same && strcmp(machine->gpus[gpu].model, machine->gpus[0].model) == 0;
    }
    if (same) {
        line_say(line, " (%s)", machine->gpus[0].model);
    }
    say_islands(line, machine);
}

/* ---- Ports ----------------------------------------------------------------------------------- */

struct ports {
    int up;
    int down;
    int unknown;
    int rates;
    double gbit_s[RATES_MAX]; /* of ports that are not DOWN */
    int of_rate[RATES_MAX];
    bool at_most[RATES_MAX]; /* it is what the card can do */
    int without_rate;
};

static void count_rate(struct ports *ports, struct ww_fact rate)
{
    int place = 0;
    bool at_most = rate.source == WW_SOURCE_PARTS;
    while (place < ports->rates &&
           (ports->gbit_s[place] != rate.value || ports->at_most[place] != at_most)) {
        place++;
    }
    if (!fact_is_known(rate) || place == RATES_MAX) {
        ports->without_rate++;
        return;
    }
    if (place == ports->rates) {
        ports->gbit_s[ports->rates] = rate.value;
        ports->at_most[ports->rates++] = at_most;
    }
    ports->of_rate[place]++;
}

static struct ports count_ports(const struct ww_machine *machine, enum ww_nic_kind kind)
{
    struct ports ports = {.up = 0};
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        for (int p = 0; p < nic->port_count; p++) {
            const struct ww_port *port = &nic->ports[p];
            if (port->kind != kind) {
                continue;
            }
            ports.up += port->state == WW_PORT_UP;
            ports.down += port->state == WW_PORT_DOWN;
            ports.unknown += port->state == WW_PORT_UNKNOWN;
            if (port->state != WW_PORT_DOWN) {
                count_rate(&ports, port->rate_gbit_s);
            }
        }
    }
    return ports;
}

static bool say_ports(struct line *line, const struct ww_machine *machine, enum ww_nic_kind kind)
{
    struct ports ports = count_ports(machine, kind);
    const char *name = ww_nic_kind_name(kind);
    if (ports.up + ports.down + ports.unknown == 0) {
        return false;
    }
    line_say(line, "; ");
    if (ports.up + ports.unknown == 0) {
        line_say(line, "%d x %s, all DOWN", ports.down, name);
        return true;
    }
    if (ports.rates == 0) {
        line_say(line, "%d x %s of unknown rate", ports.without_rate, name);
    }
    for (int i = 0; i < ports.rates; i++) {
        line_say(line, "%s%d x %s%.4g Gb/s", i > 0 ? " + " : "", ports.of_rate[i],
                 ports.at_most[i] ? "up to " : "", ports.gbit_s[i]);
    }
    if (ports.rates > 0 && ports.without_rate > 0) {
        line_say(line, " + %d x unknown rate", ports.without_rate);
    }
    if (ports.rates > 0) {
        line_say(line, " %s", name);
    }
    if (ports.unknown > 0) {
        line_say(line, ", state of %d unknown", ports.unknown);
    }
    if (ports.down > 0) {
        line_say(line, ", %d more DOWN", ports.down);
    }
    return true;
}

static void say_nics(struct line *line, const struct ww_machine *machine)
{
    bool rdma = false;
    for (int kind = WW_NIC_UNKNOWN; kind < WW_NIC_ETHERNET; kind++) {
        rdma = say_ports(line, machine, (enum ww_nic_kind)kind) || rdma;
    }
    if (rdma) {
        return;
    }
    if (!fact_is_known(machine->nics_known)) {
        line_say(line, "; network cards unknown");
        return;
    }
    line_say(line, "; no RDMA");
    if (!say_ports(line, machine, WW_NIC_ETHERNET)) {
        line_say(line, ", no network card");
    }
}

/* ---- Levels ---------------------------------------------------------------------------------- */

/* How many GPUs each package has, where all that have any have the same; 0 otherwise. */
static int gpus_per_package(const struct ww_machine *machine, int *packages)
{
    int count[64] = {0};
    int each = 0;
    *packages = 0;
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        struct ww_fact package = machine->gpus[gpu].package;
        if (!fact_is_known(package) || package.value >= 64) {
            return 0;
        }
        count[(int)package.value]++;
    }
    for (int package = 0; package < 64; package++) {
        if (count[package] > 0) {
            (*packages)++;
            each = each == 0 ? count[package] : each;
            if (count[package] != each) {
                return 0;
            }
        }
    }
    return each;
}

static int say_gpu_levels(const struct ww_machine *machine, struct line *lines)
{
    int levels = 0;
    int packages = 0;
    struct islands islands = survey(machine);
    if (islands.greatest > 1 && islands.unknown == 0) {
        const char *kind = ww_link_kind_name(islands.kind);
        if (machine->island_count == 1) {
            line_say(&lines[levels++], "%s island of %d GPUs", kind, islands.greatest);
        } else if (islands.least == islands.greatest) {
            line_say(&lines[levels++], "%d %s islands of %d GPUs", machine->island_count, kind,
                     islands.greatest);
        } else {
            line_say(&lines[levels++], "%d %s islands of %d to %d GPUs", machine->island_count,
                     kind, islands.least, islands.greatest);
        }
    }
    int each = gpus_per_package(machine, &packages);
    if (machine->island_count != 1 && each > islands.greatest && each > 1 && packages > 1) {
        line_say(&lines[levels++], "%d packages of %d GPUs", packages, each);
    }
    return levels;
}

static int say_core_levels(const struct ww_machine *machine, struct line *lines)
{
    int levels = 0;
    double packages = machine->packages.value;
    double nodes = machine->numa_nodes.value - machine->numa_without_cores.value;
    double cores = machine->cores.value;
    if (nodes > packages && nodes > 1 && cores >= nodes) {
        line_say(&lines[levels++], "%.0f NUMA nodes of %.3g cores", nodes, cores / nodes);
    }
    if (packages > 1 && cores >= packages) {
        line_say(&lines[levels++], "%.0f packages of %.3g cores", packages, cores / packages);
    }
    return levels;
}

/* The NIC of the first GPU that has one, else the first with RDMA that is UP. */
static const struct ww_nic *network_of(const struct ww_machine *machine)
{
    for (int gpu = 0; gpu < machine->gpu_count; gpu++) {
        if (machine->gpus[gpu].nic >= 0) {
            return &machine->nics[machine->gpus[gpu].nic];
        }
    }
    for (int nic = 0; nic < machine->nic_count; nic++) {
        if (machine->nics[nic].rdma && machine->nics[nic].state == WW_PORT_UP) {
            return &machine->nics[nic];
        }
    }
    return NULL;
}

#define LEVELS_MAX 4

int ww_machine_level(const struct ww_machine *machine, int level, char *text, size_t bytes)
{
    char room[LEVELS_MAX][96];
    struct line lines[LEVELS_MAX];
    if (machine == NULL) {
        return 0;
    }
    for (int i = 0; i < LEVELS_MAX; i++) {
        lines[i] = line_begin(room[i], sizeof room[i]);
    }
    int levels = machine->gpu_count > 1 ? say_gpu_levels(machine, lines)
                                        : say_core_levels(machine, lines);
    line_say(&lines[levels++], "the machine");
    const struct ww_nic *nic = network_of(machine);
    if (nic == NULL || nic->kind == WW_NIC_UNKNOWN) {
        line_say(&lines[levels++], "%s", nic == NULL ? "a network" : "a network with RDMA");
    } else {
        line_say(&lines[levels++], "%s network", ww_nic_kind_name(nic->kind));
    }
    if (level >= 0 && level < levels) {
        struct line out = line_begin(text, bytes);
        line_say(&out, "%s", room[level]);
    }
    return levels;
}

void ww_machine_verdict(const struct ww_machine *machine, char *text, size_t bytes)
{
    struct line line = line_begin(text, bytes);
    char level[96];
    if (machine == NULL) {
        return;
    }
    say_gpus(&line, machine);
    say_nics(&line, machine);
    int levels = ww_machine_level(machine, -1, NULL, 0);
    for (int i = 0; i < levels; i++) {
        ww_machine_level(machine, i, level, sizeof level);
        line_say(&line, "; level %d = %s", i + 1, level);
    }
}
