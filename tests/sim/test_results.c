/* SPDX-License-Identifier: BSD-3-Clause
 * test_results.c: engines give exact results, equal bits and exact byte counts, whatever order
 * messages arrive in. WIREWISE_SIM_SEED=<seed> replays one seed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"
#include "cluster.h"
#include "internal/fabrics.h"

static const int sizes[] = {1, 2, 3, 5, 8, 17};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

#define LIMIT_S 100.0

static void expect_fine(const struct cluster *cluster, const char *what)
{
    uint64_t seed = cluster->options.sim.seed;
    cr_expect_str_empty(sim_complaint(cluster->sim), "%s, WIREWISE_SIM_SEED=%llu: %s", what,
                        (unsigned long long)seed, sim_complaint(cluster->sim));
    for (int rank = 0; rank < cluster->size; rank++) {
        cr_expect_eq(cluster->members[rank].status, WW_OK,
                     "%s, WIREWISE_SIM_SEED=%llu: rank %d of %d ended with %s: %s", what,
                     (unsigned long long)seed, rank, cluster->size,
                     ww_status_name(cluster->members[rank].status),
                     cluster->members[rank].sentence);
    }
}

static void expect_result(const struct exercise *exercise)
{
    const struct job *job = &exercise->job;
    int wrong = exercise_wrong_rank(exercise);
    cr_expect_eq(wrong, -1,
                 "%s %s%s, %zu elements of type %d, op %d, %d ranks, in place %d: rank %d has a "
                 "wrong result (WIREWISE_SIM_SEED=%llu)",
                 collective_names[job->collective], job->hierarchical ? "hierarchical+" : "",
                 job->algorithm, job->count, (int)job->type, (int)job->op, exercise->cluster->size,
                 job->in_place, wrong, (unsigned long long)exercise->cluster->options.sim.seed);
}

static void expect_bytes(const struct cluster *cluster, uint64_t wanted, const char *what)
{
    uint64_t sent;
    uint64_t planned;
    cluster_bytes(cluster, &sent, &planned);
    cr_expect_eq(sent, planned, "%s: %llu bytes sent, %llu planned", what, (unsigned long long)sent,
                 (unsigned long long)planned);
    cr_expect_eq(sent, wanted, "%s: %llu bytes sent, %llu by the plans", what,
                 (unsigned long long)sent, (unsigned long long)wanted);
}

/* One collective on a cluster of its own. */
static void run_one(const struct cluster_options *options, const struct job *job)
{
    struct cluster_options suited = *options;
    cluster_options_suit(&suited, job);
    struct cluster *cluster = cluster_create(&suited);
    struct exercise exercise = exercise_init(cluster, job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, LIMIT_S), "%s, %d ranks, seed %llu: nothing moves any more",
              job->algorithm, cluster->size, (unsigned long long)options->sim.seed);
    expect_fine(cluster, job->algorithm);
    expect_result(&exercise);
    if (job->codec.kind != CODEC_TOPK) { /* whose frames have no length before they are made */
        expect_bytes(cluster, exercise_planned_bytes(&exercise), job->algorithm);
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

static void run_counts(const struct job *job, int size)
{
    const size_t p = (size_t)size;
    const size_t counts[] = {0, 1, p - 1, p, p + 1, 1000, 4099};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct cluster_options options = cluster_options(size, sim_seed((uint64_t)size * 31 + i));
        struct job counted = *job;
        counted.count = counts[i];
        counted.in_place = (i + p) % 2 == 0;
        run_one(&options, &counted);
    }
}

static void run_collective(enum collective collective, enum ww_type type)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        bool fits = algorithms[a]->collective == collective &&
                    (!algorithms[a]->coded || type == WW_F32);
        for (size_t s = 0; s < SIZES && fits; s++) {
            struct job job = job_of(collective, algorithms[a]->name, 0);
            job.type = type;
            job.root = sizes[s] / 2;
            run_counts(&job, sizes[s]);
        }
    }
}

Test(results, all_reduces_of_f32_are_exact)
{
    run_collective(COLLECTIVE_ALL_REDUCE, WW_F32);
}

Test(results, all_reduces_of_i32_are_exact)
{
    run_collective(COLLECTIVE_ALL_REDUCE, WW_I32);
}

Test(results, all_reduces_of_f16_are_exact)
{
    run_collective(COLLECTIVE_ALL_REDUCE, WW_F16);
}

Test(results, reduce_scatters_are_exact)
{
    run_collective(COLLECTIVE_REDUCE_SCATTER, WW_F32);
    run_collective(COLLECTIVE_REDUCE_SCATTER, WW_BF16);
}

Test(results, all_gathers_are_exact)
{
    run_collective(COLLECTIVE_ALL_GATHER, WW_F64);
}

Test(results, broadcasts_are_exact)
{
    run_collective(COLLECTIVE_BROADCAST, WW_I64);
}

/* ---- Values that travel with the announcement ------------------------------------------------ */

static const struct {
    enum collective collective;
    const char *plan; /* any */
} announced[] = {{COLLECTIVE_ALL_REDUCE, "direct"},
                 {COLLECTIVE_REDUCE_SCATTER, "pairwise"},
                 {COLLECTIVE_ALL_GATHER, "direct"},
                 {COLLECTIVE_BROADCAST, "tree"}};
#define ANNOUNCED (sizeof(announced) / sizeof(announced[0]))

/* Elements that fill a message. */
static size_t announced_most(const struct job *job, size_t room)
{
    return room / ww_type_bytes(job->type);
}

static void run_announced_counts(struct job job, int size)
{
    const size_t counts[] = {0, 1, announced_most(&job, GATE_VALUES_BYTES),
                             announced_most(&job, GATE_VALUES_BYTES_LONG)};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct cluster_options options = cluster_options(size, sim_seed((uint64_t)size * 7 + i));
        options.seen = i == 1 && size % 2 == 0; /* some see each other, or all up to 4 */
        options.sim.control_room = i == 3 ? FABRIC_CONTROL_ROOM : options.sim.control_room;
        job.count = counts[i];
        job.in_place = (i + (size_t)size) % 2 == 0;
        run_one(&options, &job);
    }
}

Test(results, values_that_travel_with_the_announcement_are_exact)
{
    for (size_t c = 0; c < ANNOUNCED; c++) {
        for (int size = 1; size <= GATE_DIRECT_SIZE; size++) {
            for (int type = 0; type < WW_TYPE_COUNT; type++) {
                struct job job = job_of(announced[c].collective, announced[c].plan, 0);
                job.announced = true;
                job.type = (enum ww_type)type;
                job.root = size / 2;
                run_announced_counts(job, size);
            }
        }
    }
}

Test(results, every_operation_is_exact_with_the_announcement)
{
    for (int op = 0; op < WW_OP_COUNT; op++) {
        for (size_t c = 0; c < 2; c++) {
            struct job job = job_of(announced[c].collective, announced[c].plan, 0);
            job.announced = true;
            job.op = (enum ww_op)op;
            run_announced_counts(job, 8);
        }
    }
}

Test(results, every_operation_is_exact_with_every_algorithm)
{
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        for (int op = 0; op < (algorithms[a]->coded ? WW_MEAN + 1 : WW_OP_COUNT); op++) {
            struct cluster_options options = cluster_options(8, sim_seed(7));
            struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithms[a]->name, 777);
            job.op = (enum ww_op)op;
            run_one(&options, &job);
        }
    }
}

Test(results, hierarchies_are_exact_with_every_top_and_uneven_hosts)
{
    static const int per_host[] = {1, 2, 3, 4, 5, 17};
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        for (size_t i = 0; i < sizeof(per_host) / sizeof(per_host[0]); i++) {
            struct cluster_options options = cluster_options(17, sim_seed(i));
            options.ranks_per_host = per_host[i];
            struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithms[a]->name, 3001);
            job.hierarchical = true;
            job.in_place = i % 2 == 1;
            for (int seen = 0; seen < 2 && algorithm_sends(algorithms[a]); seen++) {
                options.seen = seen;
                run_one(&options, &job);
            }
        }
    }
}

Test(results, segments_and_windows_of_any_size_are_exact)
{
    static const size_t segment_bytes[] = {1, 4, 64, 1000, 4096, 1 << 20};
    static const int windows[] = {1, 2, 3, ENGINE_WINDOW_MAX};
    for (size_t s = 0; s < sizeof(segment_bytes) / sizeof(segment_bytes[0]); s++) {
        for (size_t w = 0; w < sizeof(windows) / sizeof(windows[0]); w++) {
            for (int a = 0; algorithms[a] != NULL; a++) {
                struct cluster_options options = cluster_options(3, sim_seed(s * 4 + w));
                struct job job = job_of(algorithms[a]->collective, algorithms[a]->name, 150);
                job.segment_bytes = segment_bytes[s];
                job.window = windows[w];
                run_one(&options, &job);
            }
        }
    }
}

/* Whatever could go past the caches does, in pieces and with ends of any length. */
Test(results, what_goes_past_the_caches_is_exact)
{
    static const size_t counts[] = {1, 31, 4099, 70001};
    for (int a = 0; algorithms[a] != NULL; a++) {
        for (size_t i = 0; i < 2 * sizeof(counts) / sizeof(counts[0]); i++) {
            struct cluster_options options = cluster_options(3, sim_seed(i));
            struct job job = job_of(algorithms[a]->collective, algorithms[a]->name, counts[i / 2]);
            options.cache_bytes = 1;
            job.type = algorithms[a]->coded || i % 4 < 2 ? WW_F32 : WW_F16;
            job.segment_bytes = 100000;
            job.in_place = i % 2 == 1;
            run_one(&options, &job);
        }
    }
}

Test(results, a_fabric_without_the_optional_slots_serves)
{
    struct cluster_options options = cluster_options(5, sim_seed(3));
    options.bare = true;
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "ring", 5000);
    run_one(&options, &job);
}

Test(results, a_slow_rank_delays_but_spoils_nothing)
{
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        struct cluster_options options = cluster_options(8, sim_seed(11));
        options.sim.slow_rank = 3;
        options.sim.slow_factor = 50.0;
        struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithms[a]->name, 20000);
        run_one(&options, &job);
    }
}

/* ---- Several at once ------------------------------------------------------------------------ */

#define MIX 13

static void make_mix(struct cluster *cluster, struct exercise *mixed)
{
    static const struct {
        enum collective collective;
        const char *algorithm;
        size_t count;
        bool hierarchical;
        bool announced; /* where that many ranks can */
    } rows[MIX] = {{COLLECTIVE_ALL_REDUCE, "ring", 3000, false, false},
                   {COLLECTIVE_ALL_REDUCE, "direct", 17, false, false},
                   {COLLECTIVE_ALL_REDUCE, "direct", 48, false, true},
                   {COLLECTIVE_BROADCAST, "tree", 2500, false, false},
                   {COLLECTIVE_ALL_REDUCE, "halving", 4099, true, false},
                   {COLLECTIVE_REDUCE_SCATTER, "pairwise", 700, false, false},
                   {COLLECTIVE_REDUCE_SCATTER, "pairwise", 3, false, true},
                   {COLLECTIVE_ALL_GATHER, "direct", 31, false, true},
                   {COLLECTIVE_BROADCAST, "tree", 5, false, true},
                   {COLLECTIVE_ALL_REDUCE, "tree", 1, false, false},
                   {COLLECTIVE_ALL_GATHER, "ring", 300, false, false},
                   {COLLECTIVE_ALL_REDUCE, "doubling", 0, false, false},
                   {COLLECTIVE_ALL_REDUCE, "scatter_gather", 2000, true, false}};
    for (int i = 0; i < MIX; i++) {
        struct job job = job_of(rows[i].collective, rows[i].algorithm, rows[i].count);
        job.hierarchical = rows[i].hierarchical;
        job.announced = rows[i].announced && cluster->size <= GATE_DIRECT_SIZE;
        job.label = (uint32_t)i + 1;
        job.window = 1 + i % 3;
        mixed[i] = exercise_init(cluster, &job);
    }
}

/* Runs the mix, more than fits an engine at once, and returns its trace. */
static uint64_t run_mix(int size, uint64_t seed)
{
    struct cluster_options options = cluster_options(size, seed);
    struct cluster *cluster = cluster_create(&options);
    struct exercise mixed[MIX];
    make_mix(cluster, mixed);
    cluster_schedule(cluster, mixed, MIX);
    cr_expect(cluster_run(cluster, LIMIT_S), "the mix on %d ranks, WIREWISE_SIM_SEED=%llu: stuck",
              size, (unsigned long long)seed);
    expect_fine(cluster, "the mix");
    uint64_t wanted = 0;
    for (int i = 0; i < MIX; i++) {
        expect_result(&mixed[i]);
        wanted += exercise_planned_bytes(&mixed[i]);
        exercise_finish(&mixed[i]);
    }
    expect_bytes(cluster, wanted, "the mix");
    uint64_t trace = sim_trace(cluster->sim);
    cluster_destroy(cluster);
    return trace;
}

Test(results, two_hundred_orders_of_arrival_give_the_same_results)
{
    uint64_t only = sim_seed(0);
    for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : EFFORT(200, 40));
         seed++) {
        run_mix(2 + (int)(seed % 8), seed);
    }
}

Test(results, more_ranks_than_talk_directly_give_the_same_results)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_mix(15 + (int)seed, sim_seed(seed));
    }
}

/* How many times the latency between hosts passes before the last rank is done. */
static double latencies_of(const struct job *job, int size)
{
    struct cluster_options options = cluster_options(size, sim_seed(7));
    options.ranks_per_host = 1;
    options.sim.eager_bytes = 65536;
    options.sim.links[1] = (struct sim_link){.latency_ns = 1000000, .ns_per_byte = 0.01};
    struct cluster *cluster = cluster_create(&options);
    struct exercise exercise = exercise_init(cluster, job);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, LIMIT_S));
    expect_fine(cluster, job->algorithm);
    expect_result(&exercise);
    uint64_t ended_ns = 0;
    for (int rank = 0; rank < size; rank++) {
        uint64_t own_ns = cluster->members[rank].ended_ns;
        ended_ns = own_ns > ended_ns ? own_ns : ended_ns;
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
    return (double)ended_ns / 1e6;
}

Test(results, the_gate_costs_no_latency_where_little_is_sent_at_first)
{
    static const struct {
        enum collective collective;
        const char *algorithm;
        int size;
        size_t count;
        int latencies;
    } rows[] = {
        {COLLECTIVE_ALL_REDUCE, "doubling", 2, 256, 1},
        {COLLECTIVE_ALL_REDUCE, "doubling", 4, 256, 2},
        {COLLECTIVE_ALL_REDUCE, "direct", 5, 256, 1},
        {COLLECTIVE_ALL_REDUCE, "ring", 3, 256, 4},
        {COLLECTIVE_REDUCE_SCATTER, "pairwise", 4, 256, 1},
        {COLLECTIVE_ALL_GATHER, "direct", 4, 256, 1},
        {COLLECTIVE_ALL_GATHER, "ring", 3, 256, 2},
        {COLLECTIVE_BROADCAST, "tree", 2, 256, 1},
        {COLLECTIVE_ALL_REDUCE, "doubling", 2, 65536, 2}, /* much: first the gate, then the data */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int in_place = 0; in_place < 2; in_place++) {
            struct job job = job_of(rows[i].collective, rows[i].algorithm, rows[i].count);
            job.segment_bytes = (size_t)1 << 20;
            job.in_place = in_place == 1;
            double latencies = latencies_of(&job, rows[i].size);
            cr_expect(latencies > rows[i].latencies - 0.1 && latencies < rows[i].latencies + 0.5,
                      "%s %s on %d: %.3f latencies instead of %d",
                      collective_names[rows[i].collective], rows[i].algorithm, rows[i].size,
                      latencies, rows[i].latencies);
        }
    }
}

Test(results, a_seed_replays_event_by_event)
{
    cr_expect_eq(run_mix(6, 5), run_mix(6, 5));
    cr_expect_eq(run_mix(20, 6), run_mix(20, 6));
    cr_expect_neq(run_mix(6, 5), run_mix(6, 7));
}

/* Started anew as runs end, so that runs and tags are used again and again. */
Test(results, runs_are_used_again_in_order)
{
    struct cluster_options options = cluster_options(5, sim_seed(21));
    struct cluster *cluster = cluster_create(&options);
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, "scatter_gather", 2000);
    struct exercise exercise = exercise_init(cluster, &job);
    for (int i = 0; i < 3 * ENGINE_RUNS_MAX; i++) {
        exercise_start_all(&exercise);
        cr_assert(cluster_run(cluster, LIMIT_S), "collective %d is stuck", i);
        expect_fine(cluster, "one after the other");
        expect_result(&exercise);
    }
    expect_bytes(cluster, 3 * ENGINE_RUNS_MAX * exercise_planned_bytes(&exercise), "all of them");
    exercise_finish(&exercise);
    cluster_destroy(cluster);
}

/* ---- Equal bits ----------------------------------------------------------------------------- */

/* Fractions on 7 ranks: sums depend on their order. Returns rank 0's bytes; all have the same. */
static uint8_t *run_fractions(const char *algorithm, bool hierarchical, uint64_t seed,
                              size_t *bytes)
{
    struct cluster_options options = cluster_options(7, seed);
    options.ranks_per_host = 3;
    options.seen = seed % 2 == 0;
    struct job job = job_of(COLLECTIVE_ALL_REDUCE, algorithm, 2500);
    job.hierarchical = hierarchical;
    cluster_options_suit(&options, &job);
    struct cluster *cluster = cluster_create(&options);
    struct exercise exercise = exercise_init(cluster, &job);
    exercise_fill_fractions(&exercise);
    exercise_start_all(&exercise);
    cr_expect(cluster_run(cluster, LIMIT_S));
    expect_fine(cluster, algorithm);
    *bytes = exercise_result_bytes(&exercise);
    uint8_t *result = malloc(*bytes);
    cr_assert(result != NULL);
    memcpy(result, exercise_result(&exercise, 0), *bytes);
    for (int rank = 1; rank < cluster->size; rank++) {
        cr_expect_eq(memcmp(result, exercise_result(&exercise, rank), *bytes), 0,
                     "%s, seed %llu: ranks 0 and %d end with different bits", algorithm,
                     (unsigned long long)seed, rank);
    }
    exercise_finish(&exercise);
    cluster_destroy(cluster);
    return result;
}

Test(results, fractions_end_with_the_same_bits_on_all_ranks_and_for_all_seeds)
{
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        for (int hierarchical = 0; hierarchical <= algorithm_sends(algorithms[a]); hierarchical++) {
            size_t bytes;
            uint8_t *first = run_fractions(algorithms[a]->name, hierarchical, 1, &bytes);
            for (uint64_t seed = 2; seed <= 6; seed++) {
                uint8_t *again = run_fractions(algorithms[a]->name, hierarchical, seed, &bytes);
                cr_expect_eq(memcmp(first, again, bytes), 0, "%s, seeds 1 and %llu differ",
                             algorithms[a]->name, (unsigned long long)seed);
                free(again);
            }
            free(first);
        }
    }
}
