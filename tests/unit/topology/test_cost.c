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
