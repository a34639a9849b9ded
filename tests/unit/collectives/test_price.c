/* SPDX-License-Identifier: BSD-3-Clause
 * test_price.c: prices of plans against the formulas of the field: alpha per step, beta per byte.
 */
#include <criterion/criterion.h>

#include "capture.h"
#include "fake_wires.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define ALPHA 10e-6
#define BETA 1e-9 /* 1 GB/s */
#define MIB ((double)(1 << 20))

TestSuite(price, .init = capture_start, .fini = capture_finish);

static struct price price_of(const struct topology *topology, const struct wires *wires,
                             const struct candidate *candidate, struct pace pace)
{
    struct load *load;
    cr_assert_eq(load_create(topology, candidate, &load), WW_OK);
    struct price price = load_price(load, wires, pace);
    load_destroy(load);
    return price;
}

/* One segment on hosts with one rank each. */
static double flat_seconds(const struct algorithm *algorithm, int hosts, double bytes)
{
    struct topology topology = paper_topology(&(struct paper_cluster){hosts, 1, NULL, 0, 0});
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {ALPHA, BETA}};
    struct wires wires = paper_wires(&topology, cost);
    struct candidate candidate = {algorithm, NEST_NONE, 0};
    struct price price = price_of(&topology, &wires, &candidate, (struct pace){bytes, bytes, 1});
    topology_finish(&topology);
    return price.seconds;
}

/* The gate takes one message to everybody up to 16 ranks, else it goes up and down a tree of hosts:
 * two levels, as far as these rows have ranks. */
static double gate(int ranks)
{
    return ranks <= 16 ? ALPHA : 2 * 2 * ALPHA;
}

Test(price, plans_cost_what_the_textbook_says)
{
    static const struct {
        const struct algorithm *algorithm;
        int ranks;
        double steps;
        double share; /* of the vector, that the fullest port sends */
    } rows[] = {
        {&algorithm_direct, 4, 1, 3},
        {&algorithm_doubling, 2, 1, 1},
        {&algorithm_doubling, 8, 3, 3},
        {&algorithm_doubling, 32, 5, 5},
        {&algorithm_halving, 8, 6, 2 * 7 / 8.0},
        {&algorithm_halving, 64, 12, 2 * 63 / 64.0},
        {&algorithm_ring, 2, 2, 1},
        {&algorithm_ring, 5, 8, 2 * 4 / 5.0},
        {&algorithm_ring, 100, 198, 2 * 99 / 100.0},
        {&algorithm_scatter_gather, 7, 2, 2 * 6 / 7.0},
        {&algorithm_scatter_gather, 40, 2, 2 * 39 / 40.0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        double bytes = rows[i].ranks * MIB;
        double wanted = gate(rows[i].ranks) + rows[i].steps * ALPHA + rows[i].share * bytes * BETA;
        double got = flat_seconds(rows[i].algorithm, rows[i].ranks, bytes);
        cr_expect_float_eq(got, wanted, 1e-9 * wanted, "row %zu: %.9f instead of %.9f", i, got,
                           wanted);
    }
}

Test(price, segments_fill_a_pipeline)
{
    struct topology topology = paper_topology(&(struct paper_cluster){4, 1, NULL, 0, 0});
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {ALPHA, BETA}};
    struct wires wires = paper_wires(&topology, cost);
    struct candidate candidate = {&algorithm_ring, NEST_NONE, 0};
    /* Wide enough a window: the port is always full. */
    double port = 1.5 * MIB * BETA;
    double way = 6 * ALPHA + port;
    struct price wide = price_of(&topology, &wires, &candidate, (struct pace){64 * MIB, MIB, 4});
    cr_expect_float_eq(wide.seconds, ALPHA + way + 63 * port, 1e-9);
    cr_expect_eq(wide.limit, LIMIT_WIRE);
    cr_expect_eq(wide.limit_level, 1);
    cr_expect_float_eq(wide.wire_s, 64 * port, 1e-9);
    /* One at a time: each waits for the one before. */
    struct price narrow = price_of(&topology, &wires, &candidate, (struct pace){64 * MIB, MIB, 1});
    cr_expect_float_eq(narrow.seconds, ALPHA + 64 * way, 1e-9);
    /* Few bytes wait for each other all the time. */
    struct price few = price_of(&topology, &wires, &candidate, (struct pace){64, MIB, 4});
    cr_expect_eq(few.limit, LIMIT_LATENCY);
    cr_expect_float_eq(few.least_s, 0.9 * few.seconds, 1e-12);
    cr_expect_float_eq(few.most_s, 1.1 * few.seconds, 1e-12);
    topology_finish(&topology);
}

Test(price, levels_send_less_through_the_hosts_ports)
{
    struct topology topology = paper_topology(&(struct paper_cluster){4, 2, NULL, 0, 0});
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {0, BETA}};
    struct wires wires = paper_wires(&topology, cost);
    struct pace pace = {64 * MIB, 64 * MIB, 1};
    struct candidate nested = {&algorithm_ring, NEST_ALL, 0};
    struct candidate flat = {&algorithm_scatter_gather, NEST_NONE, 0};
    /* 2 (hosts - 1) / hosts, against 2 * 6 / 8 for each of two ranks. */
    cr_expect_float_eq(price_of(&topology, &wires, &nested, pace).seconds, 1.5 * pace.bytes * BETA,
                       1e-9);
    cr_expect_float_eq(price_of(&topology, &wires, &flat, pace).seconds, 3 * pace.bytes * BETA,
                       1e-9);
    topology_finish(&topology);
}

/* Nothing but the gate: as deep as the tree, and a message for each of the hosts and ranks below.
 */
Test(price, a_gate_of_many_ranks_is_a_tree)
{
    static const struct {
        int hosts, per_host;
        double outside, inside; /* ways through the levels */
        double outside_messages, inside_messages;
    } rows[] = {
        {9, 2, 1, 1, 8, 1}, {64, 8, 2, 1, 16, 7}, {1000, 8, 3, 1, 30, 7},
        {4, 9, 1, 1, 3, 8}, {3, 40, 1, 2, 2, 12}, {20, 1, 2, 0, 8, 0},
    };
    const double inner = 1e-6, message = 2e-7;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct topology topology = paper_topology(
            &(struct paper_cluster){rows[i].hosts, rows[i].per_host, NULL, 0, 0});
        const struct cost cost[WW_LEVELS_MAX] = {{inner, 0}, {ALPHA, 0}};
        struct wires wires = paper_wires(&topology, cost);
        wires.link[0].message_s = message;
        wires.link[1].message_s = 5 * message;
        double wanted = 2 * (rows[i].outside * ALPHA + rows[i].outside_messages * 5 * message +
                             rows[i].inside * inner + rows[i].inside_messages * message);
        double got = gate_price(&topology, &wires, 0).seconds;
        cr_expect_float_eq(got, wanted, 1e-9 * wanted, "%d x %d: %.9f instead of %.9f",
                           rows[i].hosts, rows[i].per_host, got, wanted);
        topology_finish(&topology);
    }
}

/* By this a trial that is shorter than a shaper's burst is not believed. */
Test(price, values_in_announcements_fill_a_port_as_well)
{
    struct topology topology = paper_topology(&(struct paper_cluster){3, 2, NULL, 0, 0});
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {ALPHA, BETA}};
    struct wires wires = paper_wires(&topology, cost);
    struct price price = gate_price(&topology, &wires, 4096);
    cr_expect_float_eq(price.wire_s, 2 * 4 * 4096 * BETA, 1e-12); /* each of 2 to 4 elsewhere */
    cr_expect_gt(price.seconds, price.wire_s);
    topology_finish(&topology);
}

/* A wire that sends to one other unit at full rate only: rings do, at whatever level. */
Test(price, several_partners_share_a_port_badly)
{
    static const struct {
        struct candidate candidate;
        int hosts;
        double share; /* of the vector, that the fullest port sends */
        double fan;
    } rows[] = {
        {{&algorithm_ring, NEST_NONE, 0}, 4, 1.75, 1},
        {{&algorithm_ring, NEST_ALL, 0}, 4, 1.5, 1},
        {{&algorithm_halving, NEST_ALL, 0}, 4, 1.5, 1.25},
        {{&algorithm_scatter_gather, NEST_ALL, 0}, 4, 1.5, 1.25},
        {{&algorithm_doubling, NEST_ALL, 0}, 4, 2, 1.25},
        {{&algorithm_halving, NEST_ALL, 0}, 2, 1, 1},
        {{&algorithm_doubling, NEST_ALL, 0}, 2, 1, 1},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct topology topology = paper_topology(
            &(struct paper_cluster){rows[i].hosts, 2, NULL, 0, 0});
        const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {0, BETA}};
        struct wires wires = paper_wires(&topology, cost);
        struct pace pace = {64 * MIB, 64 * MIB, 1};
        wires.link[1].fan = 1.25;
        double port = rows[i].share * pace.bytes * BETA;
        struct price price = price_of(&topology, &wires, &rows[i].candidate, pace);
        cr_expect_float_eq(price.wire_s, rows[i].fan * port, 1e-9, "row %zu: %g", i, price.wire_s);
        cr_expect_float_eq(price.seconds, rows[i].fan * port, 1e-9, "row %zu: %g", i,
                           price.seconds);
        topology_finish(&topology);
    }
}

Test(price, bytes_are_those_of_the_busiest_rank_and_host)
{
    static const int ranks_on[] = {3, 1};
    struct topology topology = paper_topology(&(struct paper_cluster){2, 0, ranks_on, 0, 0});
    struct candidate candidate = {&algorithm_scatter_gather, NEST_NONE, 0};
    struct load *load;
    double rank_bytes[WW_LEVELS_MAX];
    double port_bytes[WW_LEVELS_MAX];
    cr_assert_eq(load_create(&topology, &candidate, &load), WW_OK);
    load_bytes(load, 400, rank_bytes, port_bytes);
    /* Rank 3 is alone: all it sends crosses the network, 3 shards out and its own to 3 others. */
    cr_expect_float_eq(rank_bytes[1], 600, 1e-9);
    cr_expect_float_eq(port_bytes[1], 600, 1e-9);
    /* Ranks 0 to 2 send two shards to each other, and their own twice. */
    cr_expect_float_eq(rank_bytes[0], 400, 1e-9);
    load_destroy(load);
    topology_finish(&topology);
}

Test(price, a_thin_uplink_of_a_rack_is_the_limit)
{
    struct topology topology = paper_topology(&(struct paper_cluster){8, 1, NULL, 2, 0});
    cr_assert_eq(topology.levels, 3);
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}, {0, BETA}, {0, BETA}};
    struct wires wires = paper_wires(&topology, cost);
    struct candidate flat = {&algorithm_scatter_gather, NEST_NONE, 0};
    struct pace pace = {8 * MIB, 8 * MIB, 1};
    /* Each of 4 hosts sends 4 shards, twice, over the uplink: 32 of 8 MiB / 8 each. */
    struct price price = price_of(&topology, &wires, &flat, pace);
    cr_expect_float_eq(price.seconds, 4 * 8 * MIB * BETA, 1e-9);
    cr_expect_eq(price.limit_level, 2);
    topology_finish(&topology);
}

Test(price, crowded_cores_work_one_after_the_other)
{
    struct topology topology = paper_topology(&(struct paper_cluster){1, 4, NULL, 0, 0});
    topology_note_sight(&topology, true);
    const struct cost cost[WW_LEVELS_MAX] = {{0, 0}};
    struct wires wires = paper_wires(&topology, cost);
    wires.memory.copy_byte_s = BETA;
    struct candidate staged = {&algorithm_staged, NEST_NONE, 0};
    struct pace pace = {4 * MIB, 4 * MIB, 1};
    double alone = price_of(&topology, &wires, &staged, pace).seconds;
    wires.cores = 2;
    double crowded = price_of(&topology, &wires, &staged, pace).seconds;
    cr_expect_float_eq(alone, 2 * 3 * MIB * BETA, 1e-9, "three shards in and three out: %.9f",
                       alone);
    cr_expect_float_eq(crowded, 2 * alone, 1e-9);
    topology_finish(&topology);
}

Test(price, many_ranks_are_read_by_samples_that_show_the_same)
{
    /* 600 hosts: not all are read. A port sends what the formula says all the same. */
    for (int pass = 0; pass < 2; pass++) {
        const struct algorithm *algorithm = pass == 0 ? &algorithm_ring : &algorithm_halving;
        struct topology topology = paper_topology(&(struct paper_cluster){600, 2, NULL, 0, 0});
        struct candidate candidate = {algorithm, NEST_ALL, 0};
        struct load *load;
        double rank_bytes[WW_LEVELS_MAX];
        double port_bytes[WW_LEVELS_MAX];
        cr_assert_eq(load_create(&topology, &candidate, &load), WW_OK);
        load_bytes(load, 1200, rank_bytes, port_bytes);
        if (pass == 0) {
            cr_expect_float_eq(port_bytes[1], 2 * 599 / 600.0 * 1200, 1);
        }
        cr_expect_geq(port_bytes[1], 2 * 599 / 600.0 * 1200 - 1);
        load_destroy(load);
        topology_finish(&topology);
    }
}

Test(price, what_was_measured_corrects_what_was_predicted)
{
    struct correction correction = {
        .count = 2, .bytes = {100, 200}, .predicted_s = {1, 2}, .measured_s = {2, 6}};
    static const struct {
        double bytes, predicted_s, once_s, grown_s;
    } rows[] = {
        {100, 1, 2, 2},      {200, 2, 6, 6}, {150, 1.5, 4, 4}, /* 2.5 s between 1 and 4 */
        {50, 0.5, 1.5, 1.5},                                   /* the difference, 1 s */
        {400, 4, 8, 12}, /* the difference, 4 s, or the ratio, 3 */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (int grows = 0; grows < 2; grows++) {
            correction.grows = grows == 1;
            double got = correction_apply(&correction, rows[i].bytes, rows[i].predicted_s);
            double wanted = grows ? rows[i].grown_s : rows[i].once_s;
            cr_expect_float_eq(got, wanted, 1e-12, "row %zu: %g instead of %g", i, got, wanted);
        }
    }
    correction.grows = false;
    correction.measured_s[1] = 0.1; /* faster than predicted, by 1.9 s */
    cr_expect_float_eq(correction_apply(&correction, 400, 2), 1, 1e-12, "half at least");
    cr_expect_float_eq(correction_apply(&correction, 200, 2), 0.1, 1e-12, "as measured");
    correction.measured_s[0] = 0.2;
    cr_expect_float_eq(correction_apply(&correction, 100, 1), 0.2, 1e-12, "as measured");
    cr_expect_float_eq(correction_apply(&correction, 150, 1.5), 0.15, 1e-12, "between these");
    cr_expect_float_eq(correction_apply(&correction, 50, 0.5), 0.25, 1e-12, "half at least");
    correction.count = 0;
    cr_expect_float_eq(correction_apply(&correction, 400, 2), 2, 0);
}
