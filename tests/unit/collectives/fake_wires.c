/* SPDX-License-Identifier: BSD-3-Clause
 * fake_wires.c: clusters and wires on paper. */
#include "fake_wires.h"

#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#define CORES 1024

static void place(const struct paper_cluster *cluster, int size, uint64_t *labels,
                  char (*names)[HOST_NAME_BYTES])
{
    int rank = 0;
    for (int host = 0; host < cluster->hosts; host++) {
        int ranks = cluster->ranks_on != NULL ? cluster->ranks_on[host] : cluster->per_host;
        snprintf(names[host], HOST_NAME_BYTES, "host%d", host);
        for (int local = 0; local < ranks; local++, rank++) {
            labels[LEVEL_HOST * size + rank] = (uint64_t)host;
            if (cluster->racks > 0) {
                labels[LEVEL_RACK * size + rank] = (uint64_t)(host * cluster->racks /
                                                              cluster->hosts);
            }
            if (cluster->packages > 0) {
                labels[LEVEL_PACKAGE * size + rank] = (uint64_t)(local * cluster->packages / ranks);
            }
        }
    }
}

struct topology paper_topology(const struct paper_cluster *cluster)
{
    int size = 0;
    for (int host = 0; host < cluster->hosts; host++) {
        size += cluster->ranks_on != NULL ? cluster->ranks_on[host] : cluster->per_host;
    }
    struct topology topology;
    uint64_t *labels = malloc((size_t)size * LEVEL_NETWORK * sizeof *labels);
    char(*names)[HOST_NAME_BYTES] = calloc((size_t)cluster->hosts, sizeof *names);
    cr_assert(labels != NULL && names != NULL);
    for (int i = 0; i < size * LEVEL_NETWORK; i++) {
        labels[i] = LABEL_UNKNOWN;
    }
    place(cluster, size, labels, names);
    cr_assert_eq(topology_make(&topology, 0, size, labels, (const char(*)[HOST_NAME_BYTES])names,
                               level_cost_usual),
                 WW_OK);
    free(labels);
    free(names);
    return topology;
}

struct wires paper_wires(const struct topology *topology, const struct cost *cost)
{
    struct wires wires = {.levels = topology->levels, .cores = CORES};
    for (int level = 0; level < topology->levels; level++) {
        wires.link[level] = (struct link){.flow = cost[level],
                                          .duplex = 1,
                                          .port_byte_s = cost[level].byte_s,
                                          .spread = 0.1,
                                          .source = COST_GIVEN};
    }
    return wires;
}
