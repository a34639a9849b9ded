/* SPDX-License-Identifier: BSD-3-Clause
 * test_scale.c: a thousand ranks in one thread. */
#include <criterion/criterion.h>
#include <string.h>

#include "cluster.h"

#define RANKS 1000

static void run_thousand(const char *algorithm, bool hierarchical, uint64_t seed)
{
    struct cluster_options options = cluster_options(RANKS, sim_seed(seed));
    options.ranks_per_host = 8;
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithm, 5000);
    job.type = WW_I32;
    job.hierarchical = hierarchical;
    job.segment_bytes = 16384;
    struct exercise exercise = exercise_init(cluster, &job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, 100.0), "%s on %d ranks is stuck", algorithm, RANKS);
    for (int rank = 0; rank < RANKS; rank++) {
        cr_expect_eq(cluster->members[rank].status, WW_OK, "rank %d: %s", rank,
                     cluster->members[rank].sentence);
    }
    cr_expect_str_empty(sim_complaint(cluster->sim), "%s", sim_complaint(cluster->sim));
    cr_expect_eq(exercise_wrong_rank(&exercise), -1);
    uint64_t sent;
    uint64_t planned;
    cluster_bytes(cluster, &sent, &planned);
    cr_expect_eq(sent, planned);
    cr_expect_eq(sent, exercise_planned_bytes(&exercise));
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

Test(scale, a_thousand_ranks_reduce_along_a_tree)
{
    run_thousand("tree", false, 1);
}

Test(scale, a_thousand_ranks_reduce_in_a_hierarchy_with_halving_on_top)
{
    run_thousand("halving", true, 2);
}

Test(scale, one_of_a_thousand_ranks_that_stays_away_is_named_by_all)
{
    struct cluster_options options = cluster_options(RANKS, sim_seed(3));
    options.timeout_s = 1.0;
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "doubling", 10);
    struct exercise exercise = exercise_init(cluster, &job);
    for (int rank = 0; rank < RANKS; rank++) {
        if (rank != 617) {
            exercise_start(&exercise, rank);
        }
    }
    cr_expect(cluster_run(cluster, 4.0));
    for (int rank = 0; rank < RANKS; rank++) {
        if (rank != 617) {
            cr_expect_eq(cluster->members[rank].status, WW_TIMED_OUT);
            cr_expect_not_null(strstr(cluster->members[rank].sentence, "rank 617 "), "%s",
                               cluster->members[rank].sentence);
        }
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

/* From the announcement of an empty collective until the last rank is done: nothing but the gate.
 * Wires as of InfiniBand: 2 us, and 0.2 us for each message of a gate. */
static double gate_us(int size, int ranks_per_host)
{
    struct cluster_options options = cluster_options(size, sim_seed(4));
    options.ranks_per_host = ranks_per_host;
    options.sim.eager_bytes = 4096;
    options.sim.links[0] = (struct sim_link){.latency_ns = 500, .ns_per_byte = 0.4};
    options.sim.links[1] = (struct sim_link){.latency_ns = 2000, .ns_per_byte = 0.8};
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "doubling", 0);
    struct exercise exercise = exercise_init(cluster, &job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, 10.0), "%d ranks are stuck", size);
    uint64_t last_ns = 0;
    for (int rank = 0; rank < size; rank++) {
        const struct member *member = &cluster->members[rank];
        cr_expect_eq(member->status, WW_OK, "rank %d: %s", rank, member->sentence);
        last_ns = member->ended_ns > last_ns ? member->ended_ns : last_ns;
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
    return (double)last_ns / 1e3;
}

Test(scale, the_gate_of_many_ranks_takes_a_few_latencies)
{
    static const struct {
        int size, ranks_per_host;
        double us_most; /* up and down: (2 + 0.2 * width) between hosts, (0.5 + 0.1 * width) inside,
                           for each level of the tree */
    } rows[] = {{17, 1, 10.4},   {64, 8, 8.8},    {512, 8, 16.8},
                {1000, 8, 19.2}, {1000, 1, 24.0}, {1000, 125, 15.8}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double us = gate_us(rows[i].size, rows[i].ranks_per_host);
        cr_expect_leq(us, rows[i].us_most, "%d ranks, %d per host: %.1f us", rows[i].size,
                      rows[i].ranks_per_host, us);
    }
}
