/* SPDX-License-Identifier: BSD-3-Clause
 * test_cost.c: what is expected of wires before anybody measures. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "topology.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(cost, .init = capture_start, .fini = capture_finish);

static struct topology two_levels(const char *port_name, double port_gbit_s)
{
    struct topology topology = {.size = 4, .hosts = 2, .levels = 2, .host_levels = 1, .cores = 8};
    topology.level_kind[0] = LEVEL_HOST;
    topology.level_kind[1] = LEVEL_NETWORK;
    topology.port_gbit_s = port_gbit_s;
    snprintf(topology.port_name, sizeof topology.port_name, "%s", port_name);
    return topology;
}

Test(cost, ports_reach_their_usual_share_of_the_nominal_rate)
{
    static const struct {
        const char *name;
        double gbit_s, port_gbit_s, flow_gbit_s, fixed_s;
        enum cost_source source;
    } cases[] = {
        {"InfiniBand", 400, 380, 380, 2.5e-6, COST_NOMINAL},
        {"RoCE", 100, 93, 93, 3e-6, COST_NOMINAL},
        {"Ethernet", 1, 0.956, 0.956, 30e-6, COST_NOMINAL},
        {"Ethernet", 100, 95.6, 23.9, 30e-6, COST_NOMINAL}, /* a core moves no more */
        {"", 0, 9.56, 9.56, 30e-6, COST_ASSUMED},
        {"carrier pigeon", 0, 9.56, 9.56, 30e-6, COST_ASSUMED},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct topology topology = two_levels(cases[i].name, cases[i].gbit_s);
        struct wires wires = wires_assumed(&topology);
        const struct link *link = &wires.link[1];
        cr_expect(fabs(link->port_byte_s * cases[i].port_gbit_s / 8e-9 - 1) < 1e-6, "case %zu", i);
        cr_expect(fabs(link->flow.byte_s * cases[i].flow_gbit_s / 8e-9 - 1) < 1e-6, "case %zu", i);
        cr_expect_eq(link->flow.fixed_s, cases[i].fixed_s, "case %zu", i);
        cr_expect_eq(link->source, cases[i].source, "case %zu", i);
        cr_expect_eq(link->spread, cases[i].source == COST_NOMINAL ? 0.25 : 0.5);
        cr_expect_eq(link->health, 0);
        cr_expect_str_eq(wires.link[0].name, "memory");
        cr_expect_eq(wires.cores, 8);
        cr_expect_lt(wires.link[0].flow.fixed_s, link->flow.fixed_s);
    }
}

Test(cost, ranks_that_share_cores_wait_for_each_other)
{
    static const struct {
        double cores;
        int ranks;
        double fixed_s, message_s, turns_s;
    } cases[] = {
        {0, 4, 30e-6, 5e-6, 0}, /* nobody knows */
        {8, 2, 30e-6, 5e-6, 0},         {2, 2, 30e-6, 5e-6, 0},
        {1, 2, 40e-6, 10e-6, 5e-6},     /* another one's message, and a turn */
        {0.5, 1, 40e-6, 10e-6, 5e-6},   /* the other one is not a rank of this host */
        {1, 4, 90e-6, 20e-6, 45e-6},    /* three others', who look three times each */
        {1, 11, 260e-6, 55e-6, 180e-6}, /* and take naps */
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct topology topology = two_levels("Ethernet", 1);
        struct wires wires = wires_assumed(&topology);
        double await_s = wires.memory.await_s;
        double inside_s = wires.link[0].flow.fixed_s + cases[i].turns_s;
        wires.cores = cases[i].cores;
        wires_share_cores(&wires, cases[i].ranks);
        cr_expect_float_eq(wires.link[1].flow.fixed_s, cases[i].fixed_s, 1e-12, "case %zu", i);
        cr_expect_float_eq(wires.link[1].message_s, cases[i].message_s, 1e-12, "case %zu", i);
        cr_expect_float_eq(wires.memory.await_s, await_s + cases[i].turns_s, 1e-12, "case %zu", i);
        cr_expect_geq(wires.link[0].flow.fixed_s, inside_s, "case %zu", i);
    }
}

Test(cost, sites_are_far_from_each_other)
{
    struct topology topology = two_levels("Ethernet", 10);
    topology.levels = 3;
    topology.level_kind[1] = LEVEL_SITE;
    topology.level_kind[2] = LEVEL_NETWORK;
    struct wires wires = wires_assumed(&topology);
    cr_expect_gt(wires.link[2].flow.fixed_s, 100 * wires.link[1].flow.fixed_s);
}

Test(cost, every_source_has_a_name)
{
    for (int source = 0; source < COST_SOURCES; source++) {
        cr_expect_not_null(cost_source_names[source]);
    }
}
