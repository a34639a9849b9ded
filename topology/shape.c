/* SPDX-License-Identifier: BSD-3-Clause
 * shape.c: boils a machine down to what can be compared. */
#include "shape.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "line.h"
#include "machine.h"
#include "units.h"

_Static_assert(sizeof(struct machine_shape) == 10 * sizeof(int32_t) + 3 * sizeof(double) + 128 +
                                                   WW_NIC_KIND_COUNT * sizeof(struct shape_ports),
               "shapes are compared as bytes: no holes");

/* ---- From a machine ------------------------------------------------------------------------- */

static int32_t count_of(struct ww_fact fact)
{
    return fact.known == WW_FACT_UNKNOWN ? -1 : (int32_t)fact.value;
}

static double last_cache_bytes(const struct ww_machine *machine)
{
    int level = 0;
    double bytes = 0;
    for (int i = 0; i < machine->cache_count; i++) {
        const struct ww_cache *cache = &machine->caches[i];
        if (cache->level > level) {
            level = cache->level;
            bytes = 0;
        }
        bytes += cache->level == level ? cache->count * cache->each_bytes : 0;
    }
    return bytes;
}

static void take_gpus(const struct ww_machine *machine, struct machine_shape *shape)
{
    shape->gpus = fact_is_known(machine->gpus_known) || machine->gpu_count > 0
                      ? (int32_t)machine->gpu_count
                      : -1;
    shape->islands = (int32_t)machine->island_count;
    shape->links_least = shape->links_most = -1;
    for (int i = 0; i < machine->gpu_count; i++) {
        const struct ww_gpu *gpu = &machine->gpus[i];
        int32_t links = count_of(gpu->links);
        double gb_s = gpu->links_gb_s.value;
        shape->links_least = i == 0 || links < shape->links_least ? links : shape->links_least;
        shape->links_most = links > shape->links_most ? links : shape->links_most;
        shape->link_gb_s_least = i == 0 || gb_s < shape->link_gb_s_least ? gb_s
                                                                         : shape->link_gb_s_least;
        shape->link_gb_s_most = gb_s > shape->link_gb_s_most ? gb_s : shape->link_gb_s_most;
    }
    if (machine->gpu_count > 0) {
        text_copy(shape->gpu, sizeof shape->gpu, machine->gpus[0].model);
    }
}

static void take_link_kind(const struct ww_machine *machine, struct machine_shape *shape)
{
    shape->link_kind = machine->gpu_count > 1 ? WW_LINK_UNKNOWN : WW_LINK_NONE;
    for (int i = 0; i < machine->gpu_count * machine->gpu_count; i++) {
        int32_t kind = machine->links[i].kind;
        bool off_diagonal = i / machine->gpu_count != i % machine->gpu_count;
        if (off_diagonal && kind != WW_LINK_UNKNOWN && shape->link_kind != WW_LINK_NVSWITCH &&
            (kind != WW_LINK_NONE || shape->link_kind == WW_LINK_UNKNOWN)) {
            shape->link_kind = kind;
        }
    }
}

static void take_port(const struct ww_port *port, struct shape_ports *ports)
{
    double gbit_s = port->rate_gbit_s.value;
    ports->up += port->state == WW_PORT_UP;
    ports->down += port->state == WW_PORT_DOWN;
    ports->unknown += port->state == WW_PORT_UNKNOWN;
    if (port->state == WW_PORT_UP && gbit_s > 0) {
        bool first = ports->greatest_gbit_s == 0;
        ports->least_gbit_s = first || gbit_s < ports->least_gbit_s ? gbit_s : ports->least_gbit_s;
        ports->greatest_gbit_s = gbit_s > ports->greatest_gbit_s ? gbit_s : ports->greatest_gbit_s;
    }
}

static void take_nics(const struct ww_machine *machine, struct machine_shape *shape)
{
    for (int i = 0; i < machine->nic_count; i++) {
        const struct ww_nic *nic = &machine->nics[i];
        if (!nic->rdma && nic->pci[0] == '\0') {
            continue;
        }
        for (int port = 0; port < nic->port_count; port++) {
            take_port(&nic->ports[port], &shape->ports[nic->ports[port].kind]);
        }
        shape->ports[nic->kind].usable_gbit_s += nic->rate_gbit_s.value;
    }
}

void shape_of_machine(const struct ww_machine *machine, struct machine_shape *shape)
{
    memset(shape, 0, sizeof *shape);
    shape->version = SHAPE_VERSION;
    shape->packages = count_of(machine->packages);
    shape->numa_nodes = count_of(machine->numa_nodes);
    shape->cores = count_of(machine->cores);
    shape->threads = count_of(machine->threads);
    shape->cache_bytes = last_cache_bytes(machine);
    text_copy(shape->cpu, sizeof shape->cpu, machine->cpu);
    take_gpus(machine, shape);
    take_link_kind(machine, shape);
    take_nics(machine, shape);
}

double shape_network(const struct machine_shape *shape, enum ww_nic_kind *kind)
{
    double best = 0;
    *kind = WW_NIC_ETHERNET;
    for (int k = 0; k < WW_NIC_ETHERNET; k++) {
        if (shape->ports[k].usable_gbit_s > best) {
            best = shape->ports[k].usable_gbit_s;
            *kind = (enum ww_nic_kind)k;
        }
    }
    return best > 0 ? best : shape->ports[WW_NIC_ETHERNET].usable_gbit_s;
}

/* ---- In words ------------------------------------------------------------------------------- */

static void say_name(struct line *line, const char *what)
{
    line_say(line, "%s%s: ", line->used > 0 ? "; " : "", what);
}

static void compare_numbers(struct line *line, const char *what, double a, double b)
{
    if (a != b) {
        say_name(line, what);
        line_say(line, a < 0 ? "unknown" : "%.6g", a);
        line_say(line, b < 0 ? " / unknown" : " / %.6g", b);
    }
}

static void compare_texts(struct line *line, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) != 0) {
        say_name(line, what);
        line_say(line, "%s / %s", a[0] == '\0' ? "unknown" : a, b[0] == '\0' ? "unknown" : b);
    }
}

static void say_ports(struct line *line, const struct shape_ports *ports)
{
    const struct {
        int count;
        const char *state;
    } parts[] = {{ports->up, "UP"}, {ports->down, "DOWN"}, {ports->unknown, "in unknown state"}};
    bool none = true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].count > 0) {
            line_say(line, "%s%d %s", none ? "" : ", ", parts[i].count, parts[i].state);
            none = false;
        }
    }
    if (none) {
        line_say(line, "none");
    }
}

static void compare_ports(struct line *line, const char *kind, const struct shape_ports *a,
                          const struct shape_ports *b)
{
    char what[64];
    if (a->up != b->up || a->down != b->down || a->unknown != b->unknown) {
        snprintf(what, sizeof what, "%s ports", kind);
        say_name(line, what);
        say_ports(line, a);
        line_say(line, " / ");
        say_ports(line, b);
    }
    if (a->up > 0 && b->up > 0) {
        bool least = a->least_gbit_s != b->least_gbit_s;
        snprintf(what, sizeof what, "Gb/s of the %s %s port", least ? "slowest" : "fastest", kind);
        compare_numbers(line, what, least ? a->least_gbit_s : a->greatest_gbit_s,
                        least ? b->least_gbit_s : b->greatest_gbit_s);
    }
}

static void compare_gpus(struct line *line, const struct machine_shape *a,
                         const struct machine_shape *b)
{
    compare_numbers(line, "GPUs", a->gpus, b->gpus);
    compare_texts(line, "GPU", a->gpu, b->gpu);
    compare_texts(line, "wires between GPUs", ww_link_kind_name((enum ww_link_kind)a->link_kind),
                  ww_link_kind_name((enum ww_link_kind)b->link_kind));
    compare_numbers(line, "islands of GPUs", a->islands, b->islands);
    compare_numbers(line, "links of the GPU with fewest", a->links_least, b->links_least);
    compare_numbers(line, "links of the GPU with most", a->links_most, b->links_most);
    compare_numbers(line, "GB/s of the slowest GPU's links", a->link_gb_s_least,
                    b->link_gb_s_least);
    compare_numbers(line, "GB/s of the fastest GPU's links", a->link_gb_s_most, b->link_gb_s_most);
}

void shape_difference(const struct machine_shape *a, const struct machine_shape *b, char *text,
                      size_t bytes)
{
    struct line line = line_begin(text, bytes);
    if (a->version != b->version) {
        line_say(&line, "one of them could not be looked at");
        return;
    }
    compare_gpus(&line, a, b);
    for (int kind = 0; kind < WW_NIC_KIND_COUNT; kind++) {
        compare_ports(&line, ww_nic_kind_name((enum ww_nic_kind)kind), &a->ports[kind],
                      &b->ports[kind]);
    }
    compare_texts(&line, "processor", a->cpu, b->cpu);
    compare_numbers(&line, "packages", a->packages, b->packages);
    compare_numbers(&line, "NUMA nodes", a->numa_nodes, b->numa_nodes);
    compare_numbers(&line, "cores", a->cores, b->cores);
    compare_numbers(&line, "threads", a->threads, b->threads);
    compare_numbers(&line, "MiB of last cache", a->cache_bytes / 1048576, b->cache_bytes / 1048576);
    if (line.used == 0 && memcmp(a, b, sizeof *a) != 0) {
        line_say(&line, "PCIe carries different rates to their network cards");
    }
}

/* ---- This machine --------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    bool looked;
    enum ww_status status;
    struct machine_shape shape;
    char verdict[SHAPE_VERDICT_BYTES];
} here = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum ww_status look(const struct ww_machine_query *query, struct machine_shape *shape,
                           char verdict[SHAPE_VERDICT_BYTES])
{
    struct ww_machine *machine;
    memset(shape, 0, sizeof *shape);
    verdict[0] = '\0';
    enum ww_status status = ww_machine_discover(query, &machine);
    if (status == WW_OK) {
        shape_of_machine(machine, shape);
        ww_machine_verdict(machine, verdict, SHAPE_VERDICT_BYTES);
        ww_machine_destroy(machine);
    }
    return status;
}

enum ww_status shape_discover(const struct ww_machine_query *query, struct machine_shape *shape,
                              char verdict[SHAPE_VERDICT_BYTES])
{
    static const struct ww_machine_query this_machine = WW_MACHINE_QUERY_INIT;
    if (query != NULL) {
        return look(query, shape, verdict);
    }
    pthread_mutex_lock(&here.lock);
    if (!here.looked) {
        here.status = look(&this_machine, &here.shape, here.verdict);
        here.looked = true;
    }
    *shape = here.shape;
    memcpy(verdict, here.verdict, sizeof here.verdict);
    enum ww_status status = here.status;
    pthread_mutex_unlock(&here.lock);
    return status;
}
