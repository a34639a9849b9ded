/* SPDX-License-Identifier: BSD-3-Clause
 * test_shape.c: machines that are alike have one shape, others are told apart in words. */
#include <stdio.h>
#include <string.h>

#include "paper.h"
#include "shape.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(shape, .init = capture_start, .fini = capture_finish);

/* ---- From machines -------------------------------------------------------------------------- */

/* So many ports of InfiniBand, some of them DOWN, on cards whose names begin with `name`. */
static struct ww_machine *machine_with(int ports, int down, const char *name)
{
    struct ww_machine *machine = paper_machine();
    for (int i = 0; i < ports; i++) {
        struct ww_nic *nic = NULL;
        cr_assert_eq(machine_add_nic(machine, &nic), WW_OK);
        snprintf(nic->name, sizeof nic->name, "%s%d", name, i);
        snprintf(nic->guid, sizeof nic->guid, "%s:%d", name, i);
        nic->rdma = true;
        nic->kind = WW_NIC_INFINIBAND;
        nic->port_count = 1;
        nic->ports[0].kind = WW_NIC_INFINIBAND;
        nic->ports[0].state = i < down ? WW_PORT_DOWN : WW_PORT_UP;
        if (i >= down) {
            nic->ports[0].rate_gbit_s = fact_known(400, WW_SOURCE_SYSFS);
            nic->rate_gbit_s = fact_known(i == ports - 1 ? 252 : 400, WW_SOURCE_SYSFS);
        }
    }
    struct ww_nic *bridge = NULL; /* of a container: not on PCI */
    cr_assert_eq(machine_add_nic(machine, &bridge), WW_OK);
    snprintf(bridge->name, sizeof bridge->name, "veth%s", name);
    bridge->kind = WW_NIC_ETHERNET;
    bridge->port_count = name[0] == 'a' ? 1 : 0;
    bridge->ports[0].kind = WW_NIC_ETHERNET;
    machine->cores = fact_known(64, WW_SOURCE_HWLOC);
    return machine;
}

static struct machine_shape shape_with(int ports, int down, const char *name)
{
    struct machine_shape shape;
    struct ww_machine *machine = machine_with(ports, down, name);
    shape_of_machine(machine, &shape);
    ww_machine_destroy(machine);
    return shape;
}

Test(shape, names_do_not_count)
{
    struct machine_shape a = shape_with(8, 0, "a");
    struct machine_shape b = shape_with(8, 0, "b");
    char text[256];
    cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
    shape_difference(&a, &b, text, sizeof text);
    cr_expect_str_empty(text);
}

Test(shape, the_network_is_what_is_up)
{
    struct machine_shape shape = shape_with(8, 1, "a");
    enum ww_nic_kind kind;
    cr_expect_eq(shape_network(&shape, &kind), 6 * 400 + 252);
    cr_expect_eq(kind, WW_NIC_INFINIBAND);
    shape = shape_with(2, 2, "a");
    cr_expect_eq(shape_network(&shape, &kind), 0);
}

static void expect_difference(const struct machine_shape *a, const struct machine_shape *b,
                              const char *words)
{
    char text[512];
    cr_expect_neq(memcmp(a, b, sizeof *a), 0);
    shape_difference(a, b, text, sizeof text);
    cr_expect_str_eq(text, words, "%s", text);
}

Test(shape, differences_are_told_in_words)
{
    struct machine_shape good = shape_with(8, 0, "a");
    struct machine_shape other = shape_with(8, 1, "a");
    expect_difference(&good, &other, "InfiniBand ports: 8 UP / 7 UP, 1 DOWN");
    other = good;
    other.cores = 32;
    other.packages = 2;
    expect_difference(&good, &other, "packages: unknown / 2; cores: 64 / 32");
    other = good;
    other.gpus = 8;
    strcpy(other.gpu, "H100");
    other.link_kind = WW_LINK_NVSWITCH;
    expect_difference(
        &good, &other,
        "GPUs: unknown / 8; GPU: unknown / H100; wires between GPUs: none / NVSwitch");
    other = good;
    other.ports[WW_NIC_INFINIBAND].least_gbit_s = 200;
    expect_difference(&good, &other, "Gb/s of the slowest InfiniBand port: 400 / 200");
    other = good;
    other.ports[WW_NIC_INFINIBAND].usable_gbit_s = 1;
    expect_difference(&good, &other, "PCIe carries different rates to their network cards");
    memset(&other, 0, sizeof other);
    expect_difference(&good, &other, "one of them could not be looked at");
}

/* ---- Told to all ranks ---------------------------------------------------------------------- */

struct fleet {
    const struct ww_world *world;
    int size;
    const char *hosts[6]; /* by rank */
    int down[6];          /* by rank: ports that are DOWN on its host, as its lowest rank sees it */
    int shapes;
    int shape_of_host[6];
    double port_gbit_s;
    const char *said[2];
    const char *warned;
};

/* Machines by rank: those who do not speak for a host must be blank. */
static int gather_machines(void *self, const void *mine, void *all, size_t bytes)
{
    const struct fleet *fleet = self;
    int failure = fleet->world->all_gather(fleet->world->self, mine, all, bytes);
    struct machine_shape *shapes = all;
    for (int rank = 0; bytes == sizeof *shapes && rank < fleet->size; rank++) {
        if (shapes[rank].version != 0) {
            shapes[rank] = shape_with(8, fleet->down[rank], fleet->hosts[rank]);
        } else {
            struct machine_shape blank = {.version = 0};
            check(memcmp(&blank, &shapes[rank], sizeof blank) == 0, "rank %d speaks too", rank);
        }
    }
    return failure;
}

static void look_around(const struct ww_world *world, void *shared)
{
    struct fleet fleet = *(struct fleet *)shared;
    struct ww_world around = *world;
    const struct ww_machine_query machine = {sizeof machine, SWITCHED, NULL, NULL};
    const struct topology_setup setup = {
        .host = fleet.hosts[world->rank], .settings = "", .discover = true, .machine = &machine};
    struct topology topology;
    fleet.world = world;
    around.all_gather = world->size == 1 ? NULL : gather_machines;
    around.self = &fleet;
    if (!check_status(topology_exchange(&around, &setup, &topology), WW_OK)) {
        return;
    }
    check(topology.shape_count == fleet.shapes, "%d shapes", topology.shape_count);
    for (int host = 0; host < topology.hosts; host++) {
        check(topology.shape_of_host[host] == fleet.shape_of_host[host], "host %d has shape %d",
              host, topology.shape_of_host[host]);
    }
    check(topology.port_gbit_s == fleet.port_gbit_s, "%g Gb/s", topology.port_gbit_s);
    check(strcmp(topology.port_name, "InfiniBand") == 0, "\"%s\"", topology.port_name);
    topology_finish(&topology);
}

Test(shape, hosts_that_differ_are_named_once)
{
    struct fleet fleets[] = {
        {.size = 3,
         .hosts = {"a", "a", "b"},
         .shapes = 1,
         .port_gbit_s = 7 * 400 + 252,
         .said = {"a: 4 GPUs", "(2 hosts, all alike)"}},
        {.size = 6,
         .hosts = {"a", "b", "b", "c", "d", "a"},
         .down = {0, 1},
         .shapes = 2,
         .shape_of_host = {0, 1, 0, 0},
         .port_gbit_s = 6 * 400 + 252,
         .said = {"a: 4 GPUs", "(4 hosts of 2 shapes)"},
         .warned = "hosts a (and 2 more) and b differ: InfiniBand ports: 8 UP / 7 UP, 1 DOWN"},
    };
    for (size_t i = 0; i < LENGTH(fleets); i++) {
        world_run(fleets[i].size, look_around, &fleets[i]);
        const char *line = capture_take(WW_LOG_INFO, fleets[i].said[0]);
        cr_assert_not_null(line, "%s", capture_all());
        cr_expect_not_null(strstr(line, fleets[i].said[1]), "%s", line);
        cr_expect_null(capture_take(WW_LOG_INFO, "GPUs"), "said twice");
        if (fleets[i].warned != NULL) {
            expect_line(WW_LOG_WARN, fleets[i].warned);
        }
        expect_no_warnings();
    }
}

/* ---- Agreement ------------------------------------------------------------------------------ */

struct opinion {
    int size;
    int odd; /* -1 = all agree */
    const char *words;
};

static void compare_opinions(const struct ww_world *world, void *shared)
{
    const struct opinion *opinion = shared;
    bool is_odd = world->rank == opinion->odd;
    bool same = is_odd;
    struct topology topology;
    int32_t votes[8];
    const struct topology_setup setup = {.host = is_odd ? "far" : "near", .settings = ""};
    check_status(topology_exchange(world, &setup, &topology), WW_OK);
    check_status(topology_agree(world, &topology, "the choice of plans", is_odd ? 1 : 2,
                                is_odd ? "ring" : "tree", votes, &same),
                 WW_OK);
    check(same == (opinion->odd < 0), "rank %d", world->rank);
    topology_finish(&topology);
}

Test(shape, ranks_that_conclude_otherwise_are_named)
{
    struct opinion opinions[] = {
        {1, -1, NULL},
        {4, -1, NULL},
        {3, 2, "rank 2 (far) and rank 0 (near) differ in the choice of plans: \"ring\" / \"tree\""},
        {5, 0, "rank 0 (far) and rank 1 (near) differ in the choice of plans: \"ring\" / \"tree\""},
    };
    for (size_t i = 0; i < LENGTH(opinions); i++) {
        world_run(opinions[i].size, compare_opinions, &opinions[i]);
        if (opinions[i].words != NULL) {
            expect_line(WW_LOG_WARN, opinions[i].words);
        }
        expect_no_warnings();
    }
}
