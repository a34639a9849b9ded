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
