/* SPDX-License-Identifier: BSD-3-Clause
 * test_faults.c: ranks that disagree, stay away or die: everybody else learns it in time, with
 * the rank's name. WIREWISE_SIM_SEED=<seed> replays one seed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "effort.h"
#include "cluster.h"

#define TIMEOUT_S EFFORT(3.0, 1.0)
#define NS_PER_S 1e9

static struct cluster_options fault_options(int size, uint64_t seed)
{
    struct cluster_options options = cluster_options(size, sim_seed(seed));
    options.timeout_s = TIMEOUT_S;
    return options;
}

static void expect_sentence(const struct cluster *cluster, int rank, enum ww_status status,
                            const char *text)
{
    const struct member *member = &cluster->members[rank];
    cr_expect(member->status == status, "rank %d of %d has %s, not %s, WIREWISE_SIM_SEED=%llu: %s",
              rank, cluster->size, ww_status_name(member->status), ww_status_name(status),
              (unsigned long long)cluster->options.sim.seed, member->sentence);
    cr_expect(strstr(member->sentence, text) != NULL,
              "rank %d of %d does not say \"%s\", WIREWISE_SIM_SEED=%llu: \"%s\"", rank,
              cluster->size, text, (unsigned long long)cluster->options.sim.seed, member->sentence);
}

static void expect_no_complaint(const struct cluster *cluster)
{
    cr_expect_str_empty(sim_complaint(cluster->sim), "%s", sim_complaint(cluster->sim));
}

static void expect_all_fine(const struct cluster *cluster, const struct exercise *exercise)
{
    for (int rank = 0; rank < cluster->size; rank++) {
        cr_expect_eq(cluster->members[rank].status, WW_OK, "rank %d: %s", rank,
                     cluster->members[rank].sentence);
    }
    cr_expect_eq(exercise_wrong_rank(exercise), -1);
    expect_no_complaint(cluster);
}

/* ---- Disagreement ---------------------------------------------------------------------------- */

struct disagreement {
    size_t count;
    enum ww_type type;
    enum ww_op op;
    const char *usual; /* words that every sentence holds, beside the odd rank */
    const char *odd;
};

static const struct disagreement disagreements[] = {
    {1001, WW_F32, WW_SUM, "1000 ", "1001 "}, {0, WW_F32, WW_SUM, "1000 ", " 0 "},
    {1000, WW_I32, WW_SUM, "f32", "i32"},     {1000, WW_F32, WW_MEAN, "sum", "mean"},
    {1000, WW_F32, WW_MAX, "sum", "max"},
};

static void run_disagreement(const struct disagreement *row, int size, int odd, bool announced)
{
    struct cluster_options options = fault_options(size, (uint64_t)(size + odd));
    struct cluster *cluster = cluster_create(&options);
    struct job usual = job_of(COLLECTIVE_ALL_REDUCE, "scatter_gather", announced ? 30 : 1000);
    struct job other = usual;
    other.count = row->count;
    usual.announced = announced;
    other.announced = announced;
    other.type = row->type;
    other.op = row->op;
    struct exercise asked = exercise_init(cluster, &usual);
    struct exercise oddly = exercise_init(cluster, &other);
    for (int rank = 0; rank < size; rank++) {
        exercise_start(rank == odd ? &oddly : &asked, rank);
    }
    cr_expect(cluster_run(cluster, TIMEOUT_S + 2), "somebody still waits");
    char name[32];
    snprintf(name, sizeof(name), "rank %d ", odd);
    for (int rank = 0; rank < size; rank++) {
        expect_sentence(cluster, rank, WW_MISMATCH, name);
        expect_sentence(cluster, rank, WW_MISMATCH, row->usual);
        expect_sentence(cluster, rank, WW_MISMATCH, row->odd);
        cr_expect(cluster->members[rank].ended_ns < 1e9, "rank %d of %d knew after %.3f s", rank,
                  size, (double)cluster->members[rank].ended_ns / NS_PER_S);
    }
    expect_no_complaint(cluster);
    exercise_finish(&asked);
    exercise_finish(&oddly);
    cluster_destroy(cluster);
}

Test(faults, a_different_request_is_named_on_every_rank_with_both_values)
{
    static const int sizes[] = {3, 4, 16, 17, 20, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < sizeof(disagreements) / sizeof(disagreements[0]); i++) {
            run_disagreement(&disagreements[i], sizes[s], 0, false);
            run_disagreement(&disagreements[i], sizes[s], sizes[s] / 2, false);
            run_disagreement(&disagreements[i], sizes[s], sizes[s] - 1, false);
        }
    }
}

Test(faults, a_different_request_is_named_before_values_that_came_along_are_used)
{
    static const int sizes[] = {2, 3, 16};
    static const struct disagreement rows[] = {{31, WW_F32, WW_SUM, " 30 ", " 31 "},
                                               {0, WW_F32, WW_SUM, " 30 ", " 0 "},
                                               {30, WW_I32, WW_SUM, "f32", "i32"}};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            run_disagreement(&rows[i], sizes[s], sizes[s] - 1, true);
        }
    }
}

Test(faults, a_different_root_is_named_on_every_rank)
{
    struct cluster_options options = fault_options(5, 1);
    struct cluster *cluster = cluster_create(&options);
    struct job usual = job_of(COLLECTIVE_BROADCAST, "tree", 100);
    struct job other = usual;
    other.root = 4;
    struct exercise asked = exercise_init(cluster, &usual);
    struct exercise oddly = exercise_init(cluster, &other);
    for (int rank = 0; rank < cluster->size; rank++) {
        exercise_start(rank == 2 ? &oddly : &asked, rank);
    }
    cr_expect(cluster_run(cluster, TIMEOUT_S + 2));
    for (int rank = 0; rank < cluster->size; rank++) {
        expect_sentence(cluster, rank, WW_MISMATCH, "rank 2 ");
        expect_sentence(cluster, rank, WW_MISMATCH, "root 4");
        expect_sentence(cluster, rank, WW_MISMATCH, "root 0");
    }
    expect_no_complaint(cluster);
    exercise_finish(&asked);
    exercise_finish(&oddly);
    cluster_destroy(cluster);
}

static void start_without(const struct cluster *cluster, struct exercise *exercise, int absent)
{
    for (int rank = 0; rank < cluster->size; rank++) {
        if (rank != absent) {
            exercise_start(exercise, rank);
        }
    }
}

static void expect_others(const struct cluster *cluster, int absent, enum ww_status status,
                          const char *words)
{
    for (int rank = 0; rank < cluster->size; rank++) {
        if (rank != absent) {
            expect_sentence(cluster, rank, status, words);
        }
    }
}

/* ---- Absence --------------------------------------------------------------------------------- */

static void run_absence(int size, int absent)
{
    struct cluster_options options = fault_options(size, (uint64_t)(size * 3 + absent));
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 1000);
    struct exercise exercise = exercise_init(cluster, &job);
    start_without(cluster, &exercise, absent);
    cr_expect(cluster_run(cluster, 2 * TIMEOUT_S), "somebody still waits for rank %d of %d", absent,
              size);
    char name[32];
    snprintf(name, sizeof(name), "rank %d ", absent);
    for (int rank = 0; rank < size; rank++) {
        if (rank == absent) {
            continue;
        }
        expect_sentence(cluster, rank, WW_TIMED_OUT, name);
        double ended_s = (double)cluster->members[rank].ended_ns / NS_PER_S;
        cr_expect(ended_s >= TIMEOUT_S && ended_s <= TIMEOUT_S + 1.0,
                  "rank %d of %d gave up after %.3f s", rank, size, ended_s);
    }
    expect_no_complaint(cluster);
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

Test(faults, a_rank_that_never_starts_is_named_by_all_others_after_the_timeout)
{
    static const int sizes[] = {2, 3, 8, 16, 17, 24, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        run_absence(sizes[s], 0);
        run_absence(sizes[s], sizes[s] / 2);
        run_absence(sizes[s], sizes[s] - 1);
    }
    run_absence(41, 4); /* it stands above those of another host */
}

/* Of ranks that announce along a tree rank 0 asks first who came. */
Test(faults, before_anybody_gives_up_a_warning_names_who_is_missing)
{
    static const int sizes[] = {4, 17, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct cluster_options options = fault_options(sizes[s], s);
        struct cluster *cluster = cluster_create(&options);
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 1000);
        struct exercise exercise = exercise_init(cluster, &job);
        int absent = sizes[s] / 10 * 4 + 1;
        char words[96];
        start_without(cluster, &exercise, absent);
        cr_expect_not(cluster_run(cluster, TIMEOUT_S * 0.7));
        snprintf(words, sizeof(words), "waiting for rank %d (node%d) to come to all_reduce", absent,
                 absent / 4);
        cr_expect_not_null(strstr(cluster->members[0].warning, words), "%d ranks: \"%s\"", sizes[s],
                           cluster->members[0].warning);
        exercise_start(&exercise, absent);
        cr_expect(cluster_run(cluster, TIMEOUT_S));
        expect_all_fine(cluster, &exercise);
        exercise_finish(&exercise);
        cluster_destroy(cluster);
    }
}

/* ---- Death ----------------------------------------------------------------------------------- */

static void expect_all_told(const struct cluster *cluster, double died_s, int dead)
{
    char name[32];
    snprintf(name, sizeof(name), "rank %d ", dead);
    for (int rank = 0; rank < cluster->size; rank++) {
        const struct member *member = &cluster->members[rank];
        if (rank == dead || member->status == WW_OK) {
            continue; /* its part was done before */
        }
        cr_expect(member->status < 0 && strstr(member->sentence, "rank ") != NULL,
                  "rank %d of %d has %s and says \"%s\"", rank, cluster->size,
                  ww_status_name(member->status), member->sentence);
        cr_expect(strstr(member->sentence, name) != NULL,
                  "rank %d of %d does not name rank %d, WIREWISE_SIM_SEED=%llu: \"%s\"", rank,
                  cluster->size, dead, (unsigned long long)cluster->options.sim.seed,
                  member->sentence);
        double ended_s = (double)member->ended_ns / NS_PER_S;
        cr_expect(ended_s <= died_s + TIMEOUT_S + 1.0,
                  "rank %d of %d learnt it %.3f s after the death, WIREWISE_SIM_SEED=%llu", rank,
                  cluster->size, ended_s - died_s, (unsigned long long)cluster->options.sim.seed);
    }
}

static int run_death(const char *algorithm, bool hierarchical, int size, int posts, int dying)
{
    struct cluster_options options = fault_options(size, (uint64_t)(size * 5 + posts));
    options.sim.dying_rank = dying;
    options.sim.dies_after_posts = posts;
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithm, 10000);
    job.hierarchical = hierarchical;
    struct exercise exercise = exercise_init(cluster, &job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, 2 * TIMEOUT_S + 2), "%s on %d ranks: somebody still waits",
              algorithm, size);
    bool died = sim_is_dead(cluster->sim, dying);
    int failed = 0;
    for (int rank = 0; rank < size; rank++) {
        failed += rank != dying && cluster->members[rank].status < 0;
    }
    cr_expect(!died || failed > 0, "%s on %d ranks: nobody missed rank %d", algorithm, size, dying);
    expect_all_told(cluster, 0.1, dying);
    expect_no_complaint(cluster);
    exercise_finish(&exercise);
    cluster_destroy(cluster);
    return died;
}

Test(faults, a_rank_that_dies_amid_the_data_is_told_to_all_others)
{
    static const int sizes[] = {2, 3, 6, 16, 20, 41};
    int deaths = 0;
    for (int a = 0; algorithm_sends(algorithms[a]); a++) { /* all-reduces come first */
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            for (int posts = 0; posts <= 4; posts += 2) {
                deaths += run_death(algorithms[a]->name, false, sizes[s], posts, sizes[s] / 2);
                deaths += run_death(algorithms[a]->name, true, sizes[s], posts, sizes[s] / 2);
            }
        }
    }
    cr_expect(deaths > 100, "only %d deaths", deaths);
}

/* Of many ranks only rank 0 hears of all. Without it the others say that it does not answer. */
Test(faults, the_rank_that_hears_of_all_dies_amid_the_data_and_is_named_by_all_others)
{
    int deaths = 0;
    for (int a = 0; algorithm_sends(algorithms[a]); a++) {
        for (int posts = 20; posts <= 60; posts += 20) {
            deaths += run_death(algorithms[a]->name, false, 20, posts, 0);
        }
    }
    cr_expect(deaths > 3, "only %d deaths", deaths);
}

/* Where memory is seen nothing is posted: ranks die by the clock, between any two looks. */
Test(faults, a_rank_whose_memory_is_seen_dies_and_all_others_are_told)
{
    int deaths = 0;
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        for (uint64_t seed = 1; seed <= 40 && !algorithm_sends(algorithms[a]);
             seed += EFFORT(1, 6)) {
            struct cluster_options options = fault_options(7, seed);
            options.sim.dying_rank = (int)(seed % 7);
            options.sim.dies_at_ns = seed * 10000;
            options.sim.tells_ended = seed % 4 == 1;
            struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithms[a]->name, 30000);
            cluster_options_suit(&options, &job);
            struct cluster *cluster = cluster_create(&options);
            struct exercise exercise = exercise_init(cluster, &job);
            exercise_start_all(&exercise);
            cr_expect(cluster_run(cluster, 2 * TIMEOUT_S + 2), "%s, seed %llu: somebody waits",
                      job.algorithm, (unsigned long long)seed);
            for (int rank = 0; rank < 7; rank++) {
                const struct member *member = &cluster->members[rank];
                deaths += member->status < 0;
                bool told = member->status == WW_PEER_FAILED &&
                            strstr(member->sentence, "its process ended") != NULL &&
                            (double)member->ended_ns < 1.0 * NS_PER_S;
                cr_expect(!options.sim.tells_ended || rank == options.sim.dying_rank ||
                              member->status == WW_OK || told,
                          "%s, seed %llu: rank %d: %s after %.3f s: \"%s\"", job.algorithm,
                          (unsigned long long)seed, rank, ww_status_name(member->status),
                          (double)member->ended_ns / NS_PER_S, member->sentence);
            }
            expect_all_told(cluster, (double)options.sim.dies_at_ns / NS_PER_S,
                            options.sim.dying_rank);
            expect_no_complaint(cluster);
            exercise_finish(&exercise);
            cluster_destroy(cluster);
        }
    }
    cr_expect(deaths > EFFORT(100, 17), "only %d ranks were told", deaths);
}

Test(faults, a_rank_that_dies_at_a_moment_is_told_to_all_others)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct cluster_options options = fault_options(7, seed);
        options.sim.dying_rank = (int)(seed % 7);
        options.sim.dies_at_ns = seed * 17000;
        struct cluster *cluster = cluster_create(&options);
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 30000);
        struct exercise exercise = exercise_init(cluster, &job);
        exercise_start_all(&exercise);
        cr_expect(cluster_run(cluster, 2 * TIMEOUT_S + 2));
        expect_all_told(cluster, (double)options.sim.dies_at_ns / NS_PER_S, options.sim.dying_rank);
        expect_no_complaint(cluster);
        exercise_finish(&exercise);
        cluster_destroy(cluster);
    }
}

/* Calls of few values one behind the other, with a death between any two looks. */
Test(faults, a_rank_that_dies_before_its_values_came_is_told_to_all_others)
{
    int failed = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct cluster_options options = fault_options(seed % 2 == 0 ? 5 : 16, seed);
        options.sim.dying_rank = (int)(seed % 5);
        options.sim.dies_at_ns = seed * 700;
        struct cluster *cluster = cluster_create(&options);
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, "direct", 40);
        job.announced = true;
        struct exercise calls[] = {exercise_init(cluster, &job), exercise_init(cluster, &job),
                                   exercise_init(cluster, &job), exercise_init(cluster, &job),
                                   exercise_init(cluster, &job), exercise_init(cluster, &job)};
        const int count = sizeof(calls) / sizeof(calls[0]);
        cluster_schedule(cluster, calls, count);
        cr_expect(cluster_run(cluster, 2 * TIMEOUT_S + 2));
        expect_all_told(cluster, (double)options.sim.dies_at_ns / NS_PER_S, options.sim.dying_rank);
        expect_no_complaint(cluster);
        failed += cluster->members[options.sim.dying_rank == 0 ? 1 : 0].status < 0;
        for (int i = 0; i < count; i++) {
            exercise_finish(&calls[i]);
        }
        cluster_destroy(cluster);
    }
    cr_expect(failed > 10, "only %d deaths were noticed", failed);
}

/* ---- A rank that gives up -------------------------------------------------------------------- */

Test(faults, a_rank_that_gives_up_says_so_to_all)
{
    static const int sizes[] = {3, 8, 20, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct cluster_options options = fault_options(sizes[s], s);
        struct cluster *cluster = cluster_create(&options);
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 1000);
        struct exercise exercise = exercise_init(cluster, &job);
        start_without(cluster, &exercise, 1);
        cluster->members[1].status = engine_fail(cluster->members[1].engine, WW_BAD_STATE,
                                                 "tensor \"bias\" was not started");
        cr_expect(cluster_run(cluster, TIMEOUT_S + 2));
        expect_others(cluster, 1, WW_PEER_FAILED, "rank 1 ");
        expect_others(cluster, 1, WW_PEER_FAILED, "tensor \"bias\"");
        expect_no_complaint(cluster);
        exercise_finish(&exercise);
        cluster_destroy(cluster);
    }
}

/* It gives up right after its part is done; the others hear of it while theirs is not. */
static void run_late_failure(const struct cluster_options *options, const char *algorithm,
                             bool announced)
{
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithm, announced ? 40 : 1000);
    struct cluster_options suited = *options;
    job.announced = announced;
    cluster_options_suit(&suited, &job);
    struct cluster *cluster = cluster_create(&suited);
    struct exercise exercise = exercise_init(cluster, &job);
    struct exercise next = exercise_init(cluster, &job);
    exercise_start_all(&exercise);
    for (int turn = 0; turn < 1000000 && cluster->members[1].status == WW_PENDING; turn++) {
        cluster_run(cluster, 1e-7);
    }
    cr_assert_eq(cluster->members[1].status, WW_OK);
    engine_fail(cluster->members[1].engine, WW_BAD_STATE, "tensor \"bias\" was not started");
    cr_expect(cluster_run(cluster, TIMEOUT_S + 2));
    expect_all_fine(cluster, &exercise);
    start_without(cluster, &next, 1);
    cr_expect(cluster_run(cluster, TIMEOUT_S + 2));
    expect_others(cluster, 1, WW_PEER_FAILED, "rank 1 ");
    exercise_finish(&exercise);
    exercise_finish(&next);
    cluster_destroy(cluster);
}

Test(faults, what_a_rank_had_done_before_it_gave_up_is_done_by_all)
{
    static const int sizes[] = {2, 5, 20, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct cluster_options options = fault_options(sizes[s], seed);
            options.sim.eager_bytes = 512; /* its word stays, though nobody listens yet */
            run_late_failure(&options, "ring", false);
            run_late_failure(&options, "tree", false);
            if (sizes[s] <= GATE_DIRECT_SIZE) {
                run_late_failure(&options, "direct", true);
            }
        }
    }
}

/* ---- Patience -------------------------------------------------------------------------------- */

Test(faults, whatever_moves_may_take_longer_than_the_timeout)
{
    struct cluster_options options = fault_options(8, 1);
    options.timeout_s = 1.0;
    options.ranks_per_host = 1;
    options.sim.links[1].ns_per_byte = 1e5; /* 10 kB/s: 0.1 s for each of 14 exchanges */
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 2000);
    job.segment_bytes = 8000;
    struct exercise exercise = exercise_init(cluster, &job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, 20.0));
    expect_all_fine(cluster, &exercise);
    cr_expect(cluster->members[0].ended_ns > 1.3e9, "ended after %.3f s",
              (double)cluster->members[0].ended_ns / NS_PER_S);
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

Test(faults, a_rank_that_comes_just_in_time_spoils_nothing)
{
    static const int sizes[] = {5, 20};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct cluster_options options = fault_options(sizes[s], s);
        struct cluster *cluster = cluster_create(&options);
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, "tree", 3000);
        struct exercise exercise = exercise_init(cluster, &job);
        start_without(cluster, &exercise, 3);
        cr_expect_not(cluster_run(cluster, TIMEOUT_S - 0.2));
        exercise_start(&exercise, 3);
        cr_expect(cluster_run(cluster, TIMEOUT_S));
        expect_all_fine(cluster, &exercise);
        exercise_finish(&exercise);
        cluster_destroy(cluster);
    }
}

/* Also by those that hear of it along a tree; but not by itself. */
Test(faults, a_rank_that_others_waited_for_is_named_by_each_of_them)
{
    static const int sizes[] = {5, 16, 20, 41};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (int late = 0; late < sizes[s]; late += 3) {
            struct cluster_options options = fault_options(sizes[s], s);
            struct cluster *cluster = cluster_create(&options);
            struct job job = job_of(COLLECTIVE_ALL_REDUCE, "tree", 300);
            struct exercise exercise = exercise_init(cluster, &job);
            start_without(cluster, &exercise, late);
            cr_expect_not(cluster_run(cluster, TIMEOUT_S / 2));
            exercise_start(&exercise, late);
            cr_expect(cluster_run(cluster, TIMEOUT_S));
            expect_all_fine(cluster, &exercise);
            for (int rank = 0; rank < sizes[s]; rank++) {
                int slowest = engine_take_slowest(cluster->members[rank].engine);
                cr_expect(slowest == (rank == late ? -1 : late), "rank %d of %d: %d, not %d", rank,
                          sizes[s], slowest, late);
            }
            exercise_finish(&exercise);
            cluster_destroy(cluster);
        }
    }
}

/* Nobody looks meanwhile, and what comes then is not lost. */
static void freeze(struct cluster *cluster, double seconds)
{
    uint64_t until_ns = sim_now_ns(cluster->sim) + (uint64_t)(seconds * NS_PER_S);
    int touched[2];
    while (sim_deliver(cluster->sim, until_ns, touched) > 0) {
        continue;
    }
}

/* All are suspended while they wait for rank 1, which computes; it comes when they are awake again,
 * or stays away. */
static void run_suspension(int size, bool comes)
{
    struct cluster_options options = fault_options(size, (uint64_t)size);
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 3000);
    struct exercise exercise = exercise_init(cluster, &job);
    start_without(cluster, &exercise, 1);
    cr_expect_not(cluster_run(cluster, TIMEOUT_S / 2));
    freeze(cluster, 100 * TIMEOUT_S);
    if (comes) {
        cr_expect_not(cluster_run(cluster, TIMEOUT_S / 4));
        exercise_start(&exercise, 1);
        cr_expect(cluster_run(cluster, TIMEOUT_S));
        expect_all_fine(cluster, &exercise);
    } else {
        cr_expect(cluster_run(cluster, TIMEOUT_S / 2 + 1.0), "%d ranks wait still", size);
        expect_others(cluster, 1, WW_TIMED_OUT, "rank 1 ");
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

static const int suspended_sizes[] = {2, 5, 20, 41};

Test(faults, a_job_that_was_suspended_for_longer_than_the_timeout_goes_on)
{
    for (size_t s = 0; s < sizeof(suspended_sizes) / sizeof(suspended_sizes[0]); s++) {
        run_suspension(suspended_sizes[s], true);
    }
}

Test(faults, a_rank_that_stays_away_is_named_in_time_behind_a_suspension)
{
    for (size_t s = 0; s < sizeof(suspended_sizes) / sizeof(suspended_sizes[0]); s++) {
        run_suspension(suspended_sizes[s], false);
    }
}
