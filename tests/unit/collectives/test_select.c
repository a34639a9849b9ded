/* SPDX-License-Identifier: BSD-3-Clause
 * test_select.c: who gets which algorithm, and the shelf that keeps its plan. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "fake_wires.h"
#include "select.h"
#include "shelf.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define RANKS_MOST 128

TestSuite(select, .init = capture_start, .fini = capture_finish);

/* Ranks that do not see each other's memory. */
static const struct sight unseen;

/* 25 us and 1 Gbit/s between hosts, 1 us and 8 GB/s inside. */
static const struct cost slow_wire[WW_LEVELS_MAX] = {{1e-6, 1 / 8e9}, {25e-6, 1 / 0.12e9}};
/* 2 us and 50 GB/s. */
static const struct cost fast_wire[WW_LEVELS_MAX] = {{1e-6, 1 / 8e9}, {2e-6, 1 / 50e9}};

static struct choice choose_and_finish(const struct selector_setup *setup,
                                       struct topology *topology, struct wish wish)
{
    struct selector *selector;
    cr_assert_eq(selector_create(setup, &selector), WW_OK);
    struct choice choice = selector_choose(selector, &wish);
    selector_destroy(selector);
    topology_finish(topology);
    return choice;
}

/* cost NULL = nothing has a price. */
static struct choice choose_with(struct sight sight, const struct cost *cost, const char *name,
                                 int size, int hosts, struct wish wish)
{
    struct topology topology = paper_topology(
        &(struct paper_cluster){hosts, size / hosts, NULL, 0, 0});
    struct wires wires = {.levels = 0};
    if (cost != NULL) {
        wires = paper_wires(&topology, hosts > 1 ? cost : &cost[1]);
    }
    struct selector_setup setup = {.topology = &topology,
                                   .sight = sight,
                                   .wires = cost != NULL ? &wires : NULL,
                                   .settings = {name, 0, 0}};
    return choose_and_finish(&setup, &topology, wish);
}

static struct choice choose_over(const struct cost *cost, const char *name, int size, int hosts,
                                 struct wish wish)
{
    return choose_with(unseen, cost, name, size, hosts, wish);
}

static struct choice choose(const char *name, int size, int hosts, struct wish wish)
{
    return choose_over(NULL, name, size, hosts, wish);
}

struct row {
    size_t bytes;
    int ranks;
    int hosts;
    const char *name;
};

static void expect_choices_over(const struct cost *cost, enum collective collective,
                                enum ww_type type, const char *name, const struct row *rows,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t elements = rows[i].bytes / ww_type_bytes(type);
        char chosen[64];
        struct choice choice = choose_over(cost, name, rows[i].ranks, rows[i].hosts,
                                           wish_of(collective, elements, type, 0, rows[i].ranks));
        choice_name(&choice, chosen, sizeof chosen);
        cr_expect_str_eq(chosen, rows[i].name,
                         "%zu bytes on %d ranks of %d hosts: %s instead of %s", rows[i].bytes,
                         rows[i].ranks, rows[i].hosts, chosen, rows[i].name);
        cr_expect_eq(choice.algorithm->collective, collective);
    }
}

static void expect_choices(enum collective collective, enum ww_type type, const char *name,
                           const struct row *rows, size_t count)
{
    expect_choices_over(NULL, collective, type, name, rows, count);
}

/* ---- Prices -----------------------------------------------------------------------------------
 */

Test(select, the_cheapest_way_over_the_wires_is_taken)
{
    static const struct row slow[] = {
        {8, 4, 4, "direct"},
        {MIB(64), 2, 2, "ring"}, /* every way sends the vector once */
        {8, 8, 2, "hierarchical+direct"},
        {MIB(64), 8, 2, "hierarchical+ring"},
        {MIB(64), 8, 4, "hierarchical+ring"},
        {MIB(64), 12, 3, "hierarchical+ring"},
    };
    static const struct row fast[] = {
        {8, 64, 64, "direct"},
        {KIB(64), 64, 64, "scatter_gather"},
    };
    expect_choices_over(slow_wire, COLLECTIVE_ALL_REDUCE, WW_F32, "auto", slow, LENGTH(slow));
    expect_choices_over(fast_wire, COLLECTIVE_ALL_REDUCE, WW_F32, "auto", fast, LENGTH(fast));
}

Test(select, no_fixed_way_is_cheaper_than_the_chosen_one)
{
    static const struct cost *const costs[] = {slow_wire, fast_wire};
    for (int c = 0; c < 2; c++) {
        struct topology topology = paper_topology(&(struct paper_cluster){3, 4, NULL, 0, 0});
        struct wires wires = paper_wires(&topology, costs[c]);
        wires.link[1].message_s = 1e-6;
        struct selector_setup setup = {
            .topology = &topology, .wires = &wires, .settings = {"auto", 0, 0}};
        struct selector *selector;
        cr_assert_eq(selector_create(&setup, &selector), WW_OK);
        for (size_t bytes = 4; bytes < MIB(512); bytes *= 3) {
            struct wish wish = {COLLECTIVE_ALL_REDUCE, bytes, WW_F32, 0};
            struct choice choice = selector_choose(selector, &wish);
            struct price chosen;
            struct price other;
            cr_assert_eq(selector_price(selector, &wish, &choice, &chosen), WW_OK);
            int candidates = selector_candidates(selector, &wish);
            for (int index = 0; index < candidates; index++) {
                cr_assert_eq(selector_candidate(selector, &wish, index, &choice), WW_OK);
                cr_assert_eq(selector_price(selector, &wish, &choice, &other), WW_OK);
                cr_expect_leq(chosen.seconds, 1.05 * other.seconds,
                              "%zu bytes: %g s, but %s%s in segments of %zu takes %g s", bytes,
                              chosen.seconds, choice.nesting != NEST_NONE ? "hierarchical+" : "",
                              choice.algorithm->name, choice.segment_bytes, other.seconds);
            }
            cr_expect_eq(candidates, 12, "six flat ways and six nested ones");
        }
        selector_destroy(selector);
        topology_finish(&topology);
    }
}

Test(select, equal_wires_make_equal_choices_and_others_do_not)
{
    struct topology topology = paper_topology(&(struct paper_cluster){4, 2, NULL, 0, 0});
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        struct wires wires = paper_wires(&topology, i < 2 ? slow_wire : fast_wire);
        struct selector_setup setup = {
            .topology = &topology, .wires = &wires, .settings = {"auto", 0, 0}};
        struct selector *selector;
        char words[256];
        cr_assert_eq(selector_create(&setup, &selector), WW_OK);
        hashes[i] = selector_hash(selector);
        selector_describe(selector, words, sizeof words);
        cr_expect_not_null(strstr(words, "else hierarchical+"), "%s", words);
        cr_expect_eq(strncmp(words, "<= 128 announcement, ", 21), 0, "%s", words);
        selector_destroy(selector);
    }
    cr_expect_eq(hashes[0], hashes[1]);
    cr_expect_neq(hashes[0], hashes[2]);
    topology_finish(&topology);
}

/* ---- Rules: where nothing is priced ------------------------------------------------------------
 */

Test(select, small_vectors_take_few_steps_and_large_ones_few_bytes)
{
    static const struct row rows[] = {
        {0, 1, 1, "direct"},
        {KIB(16), 4, 1, "direct"},
        {KIB(16), 5, 1, "doubling"},
        {KIB(16) + 4, 4, 1, "halving"},
        {KIB(256), 100, 1, "halving"},
        {KIB(256) + 4, 16, 1, "scatter_gather"},
        {MIB(64), 2, 1, "scatter_gather"},
        {MIB(4), 17, 1, "halving"},
        {MIB(4) + 4, 17, 1, "ring"},
    };
    expect_choices(COLLECTIVE_ALL_REDUCE, WW_F32, "auto", rows, LENGTH(rows));
}

Test(select, levels_are_used_where_bytes_decide_and_ranks_share_hosts)
{
    static const struct row rows[] = {
        {KIB(64), 8, 2, "halving"},
        {KIB(64) + 4, 8, 2, "hierarchical+halving"},
        {MIB(1), 8, 2, "hierarchical+scatter_gather"},
        {MIB(1), 8, 8, "scatter_gather"},
        {MIB(1), 8, 1, "scatter_gather"},
        {MIB(8), 64, 32, "hierarchical+ring"},
    };
    expect_choices(COLLECTIVE_ALL_REDUCE, WW_F32, "auto", rows, LENGTH(rows));
}

Test(select, sums_of_16_bit_types_go_where_they_are_rounded_once)
{
    static const char *const names[] = {"auto", "ring", "tree", "doubling", "hierarchical+ring"};
    static const struct row rows[] = {
        {KIB(8), 8, 1, "direct"},
        {KIB(8), 9, 1, "scatter_gather"},
        {KIB(8) + 2, 4, 1, "scatter_gather"},
        {MIB(64), 64, 8, "scatter_gather"},
    };
    for (size_t i = 0; i < LENGTH(names); i++) {
        expect_choices(COLLECTIVE_ALL_REDUCE, WW_F16, names[i], rows, LENGTH(rows));
        expect_choices(COLLECTIVE_ALL_REDUCE, WW_BF16, names[i], rows, LENGTH(rows));
    }
    for (size_t bytes = 2; bytes < MIB(100); bytes *= 3) {
        for (int ranks = 1; ranks < RANKS_MOST; ranks += 7) {
            for (int c = COLLECTIVE_ALL_REDUCE; c <= COLLECTIVE_REDUCE_SCATTER; c++) {
                struct choice choice = choose(
                    "auto", ranks, 1, wish_of((enum collective)c, bytes / 2, WW_BF16, 0, ranks));
                cr_expect(choice.algorithm->one_rounding, "%s", choice.algorithm->name);
            }
        }
    }
}

Test(select, a_named_algorithm_is_taken)
{
    static const struct {
        const char *name;
        struct row row;
    } rows[] = {
        {"ring", {4, 4, 1, "ring"}},
        {"tree", {MIB(8), 8, 2, "tree"}},
        {"direct", {MIB(8), 64, 1, "direct"}},
        {"hierarchical", {4, 8, 2, "hierarchical+doubling"}},
        {"hierarchical+tree", {4, 8, 2, "hierarchical+tree"}},
        {"hierarchical+ring", {MIB(8), 8, 1, "ring"}},
        {"hierarchical+ring", {MIB(8), 8, 8, "ring"}},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        expect_choices(COLLECTIVE_ALL_REDUCE, WW_F32, rows[i].name, &rows[i].row, 1);
    }
}

Test(select, the_name_concerns_all_reduce_only)
{
    static const struct row scatter[] = {
        {KIB(1), 4, 1, "pairwise"}, {MIB(64), 16, 1, "pairwise"}, {MIB(64), 17, 1, "ring"}};
    static const struct row gather[] = {
        {KIB(1), 4, 1, "direct"}, {MIB(64), 16, 1, "direct"}, {MIB(64), 17, 1, "ring"}};
    static const struct row cast[] = {{KIB(64), 4, 1, "tree"},
                                      {MIB(64), 2, 1, "tree"},
                                      {MIB(64), 64, 1, "scatter_gather"},
                                      {MIB(64), 65, 1, "tree"}};
    for (size_t i = 0; i < LENGTH(scatter); i++) {
        /* These count the whole vector: one share times the ranks. */
        struct row row = scatter[i];
        row.bytes /= (size_t)row.ranks;
        expect_choices(COLLECTIVE_REDUCE_SCATTER, WW_F64, "doubling", &row, 1);
        row = gather[i];
        row.bytes /= (size_t)row.ranks;
        expect_choices(COLLECTIVE_ALL_GATHER, WW_F64, "doubling", &row, 1);
    }
    expect_choices(COLLECTIVE_BROADCAST, WW_I32, "doubling", cast, LENGTH(cast));
}

Test(select, names_that_can_be_chosen_are_accepted_and_others_named)
{
    static const char *const good[] = {"auto",
                                       "direct",
                                       "doubling",
                                       "halving",
                                       "ring",
                                       "tree",
                                       "scatter_gather",
                                       "hierarchical",
                                       "hierarchical+direct",
                                       "hierarchical+scatter_gather"};
    static const char *const bad[] = {"",
                                      "rings",
                                      "Ring",
                                      "pairwise",
                                      "hierarchical+",
                                      "hierarchical+rings",
                                      "hierarchicalring",
                                      "auto "};
    for (size_t i = 0; i < LENGTH(good); i++) {
        cr_expect_eq(select_check(good[i]), WW_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        char words[64];
        snprintf(words, sizeof words, "algorithm is \"%s\"; it can be one of auto", bad[i]);
        cr_expect_eq(select_check(bad[i]), WW_BAD_CONFIG, "%s", bad[i]);
        expect_line(WW_LOG_ERROR, words);
    }
}

Test(select, settings_override_the_segments)
{
    struct wish wish = {COLLECTIVE_ALL_REDUCE, MIB(1), WW_F32, 0};
    for (int hosts = 1; hosts <= 2; hosts++) {
        struct choice choice = choose("auto", 8, hosts, wish);
        cr_expect_geq(choice.segment_bytes, KIB(256));
        cr_expect_leq(choice.segment_bytes, MIB(8));
        cr_expect_eq(choice.window, hosts == 1 ? 2 : 4);
    }
    for (int priced = 0; priced < 2; priced++) {
        struct topology topology = paper_topology(&(struct paper_cluster){2, 4, NULL, 0, 0});
        struct wires wires = paper_wires(&topology, slow_wire);
        struct selector_setup setup = {
            .topology = &topology, .wires = priced ? &wires : NULL, .settings = {"auto", 77, 9}};
        struct selector *selector;
        cr_assert_eq(selector_create(&setup, &selector), WW_OK);
        struct choice choice = selector_choose(selector, &wish);
        cr_expect_eq(choice.segment_bytes, 77);
        cr_expect_eq(choice.window, 9);
        selector_destroy(selector);
        topology_finish(&topology);
    }
}

/* ---- Ranks that see each other's memory --------------------------------------------------- */

static struct choice choose_seen(const char *name, bool fetch, int size, struct wish wish)
{
    struct topology topology = paper_topology(&(struct paper_cluster){1, size, NULL, 0, 0});
    struct wires wires = paper_wires(&topology, &fast_wire[1]);
    topology_note_sight(&topology, true);
    struct selector_setup setup = {.topology = &topology,
                                   .sight = {.host = true, .all = true, .fetch = fetch},
                                   .wires = &wires,
                                   .settings = {name, 0, 0}};
    return choose_and_finish(&setup, &topology, wish);
}

Test(select, packages_far_apart_are_levels_of_their_own)
{
    struct topology topology = paper_topology(&(struct paper_cluster){1, 64, NULL, 0, 2});
    struct wires wires = paper_wires(&topology, slow_wire);
    topology_note_sight(&topology, true);
    struct selector_setup setup = {.topology = &topology,
                                   .sight = {.host = true, .all = true, .fetch = false},
                                   .wires = &wires,
                                   .settings = {"auto", 0, 0}};
    struct selector *selector;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, MIB(16), WW_F32, 0};
    cr_assert_eq(topology.levels, 2);
    cr_assert_eq(selector_create(&setup, &selector), WW_OK);
    cr_expect(selector_choose(selector, &wish).nesting == NEST_ALL);
    wish.bytes = 8;
    cr_expect(selector_choose(selector, &wish).with_announcement);
    selector_destroy(selector);
    topology_finish(&topology);
}

Test(select, few_values_travel_with_the_announcement)
{
    static const struct {
        enum collective collective;
        size_t bytes; /* of one rank's share, where there are shares */
        int ranks;
        bool with_announcement;
    } rows[] = {
        {COLLECTIVE_ALL_REDUCE, 0, 2, true},
        {COLLECTIVE_ALL_REDUCE, KIB(32), 2, true},
        {COLLECTIVE_ALL_REDUCE, KIB(32) + 4, 2, false},
        {COLLECTIVE_ALL_REDUCE, KIB(8), 16, true},
        {COLLECTIVE_ALL_REDUCE, KIB(8) + 4, 16, false},
        {COLLECTIVE_REDUCE_SCATTER, KIB(8), 4, true},
        {COLLECTIVE_REDUCE_SCATTER, KIB(8) + 4, 4, false},
        {COLLECTIVE_ALL_GATHER, KIB(32), 4, true},
        {COLLECTIVE_ALL_GATHER, KIB(32) + 4, 4, false},
        {COLLECTIVE_ALL_GATHER, KIB(32), 5, false},
        {COLLECTIVE_BROADCAST, KIB(32), 9, true},
        {COLLECTIVE_BROADCAST, KIB(32) + 4, 9, false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t count = rows[i].bytes / 4;
        struct wish wish = wish_of(rows[i].collective, count, WW_F32, 0, rows[i].ranks);
        struct choice choice = choose_seen("auto", true, rows[i].ranks, wish);
        cr_expect_eq(choice.with_announcement, rows[i].with_announcement, "row %zu", i);
        bool all = wish.collective == COLLECTIVE_REDUCE_SCATTER;
        size_t shown = rows[i].bytes * (all ? (size_t)rows[i].ranks : 1);
        cr_expect(!choice.with_announcement || shown <= BOARD_VALUES_BYTES, "row %zu has no room",
                  i);
    }
}

/* A call of fp32. */
struct call_row {
    enum collective collective;
    size_t bytes; /* of one rank's share, where there are shares */
    int ranks;
    int hosts;
    const char *name;
};

static struct choice choose_row(struct sight sight, const struct cost *cost,
                                const struct call_row *row)
{
    struct wish wish = wish_of(row->collective, row->bytes / 4, WW_F32, 0, row->ranks);
    return choose_with(sight, cost, row->name, row->ranks, row->hosts, wish);
}

/* The same where the gate sends messages. */
Test(select, few_values_travel_with_a_message)
{
    static const struct {
        struct call_row call;
        bool with_announcement;
    } rows[] = {
        {{COLLECTIVE_ALL_REDUCE, 0, 2, 2, "auto"}, true},
        {{COLLECTIVE_ALL_REDUCE, 192, 2, 2, "auto"}, true},
        {{COLLECTIVE_ALL_REDUCE, 196, 2, 2, "auto"}, false},
        {{COLLECTIVE_ALL_REDUCE, 192, 16, 4, "auto"}, true},
        {{COLLECTIVE_ALL_REDUCE, 192, 16, 1, "auto"}, true},
        {{COLLECTIVE_ALL_REDUCE, 0, 17, 17, "auto"}, false},
        {{COLLECTIVE_ALL_REDUCE, 4, 34, 2, "auto"}, false},
        {{COLLECTIVE_ALL_REDUCE, 4, 1, 1, "auto"}, false},
        {{COLLECTIVE_ALL_REDUCE, 4, 4, 2, "ring"}, false},
        {{COLLECTIVE_ALL_REDUCE, 4, 4, 2, "hierarchical"}, false},
        {{COLLECTIVE_REDUCE_SCATTER, 192, 4, 2, "auto"}, true},
        {{COLLECTIVE_REDUCE_SCATTER, 196, 4, 2, "auto"}, false},
        {{COLLECTIVE_ALL_GATHER, 192, 16, 2, "ring"}, true},
        {{COLLECTIVE_ALL_GATHER, 196, 2, 2, "auto"}, false},
        {{COLLECTIVE_BROADCAST, 192, 8, 2, "auto"}, true},
        {{COLLECTIVE_BROADCAST, 196, 8, 2, "auto"}, false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (int priced = 0; priced < 2; priced++) {
            struct choice choice = choose_row(unseen, priced ? slow_wire : NULL, &rows[i].call);
            cr_expect_eq(choice.with_announcement, rows[i].with_announcement, "row %zu", i);
        }
    }
}

/* And where its messages may be longer, as long as that is cheaper than a plan behind them. */
Test(select, more_values_travel_with_a_long_message_where_that_pays)
{
    static const struct sight roomy = {.values_bytes = GATE_VALUES_BYTES_LONG};
    static const struct {
        struct call_row call;
        bool slow, fast, unpriced; /* over such wires */
    } rows[] = {
        {{COLLECTIVE_ALL_REDUCE, KIB(16), 2, 2, "auto"}, true, true, true},
        {{COLLECTIVE_ALL_REDUCE, KIB(16) + 4, 2, 2, "auto"}, false, false, false},
        {{COLLECTIVE_ALL_REDUCE, KIB(16), 16, 16, "auto"}, false, false, false},
        {{COLLECTIVE_ALL_REDUCE, 256, 16, 16, "auto"}, false, true, true},
        {{COLLECTIVE_ALL_REDUCE, KIB(1), 4, 4, "auto"}, true, true, true},
        {{COLLECTIVE_ALL_REDUCE, KIB(16), 17, 17, "auto"}, false, false, false},
        {{COLLECTIVE_ALL_REDUCE, KIB(16), 2, 2, "ring"}, false, false, false},
        {{COLLECTIVE_REDUCE_SCATTER, KIB(16), 2, 2, "auto"}, true, true, true},
        {{COLLECTIVE_REDUCE_SCATTER, KIB(16) + 4, 2, 2, "auto"}, false, false, false},
        {{COLLECTIVE_ALL_GATHER, KIB(16), 2, 2, "auto"}, true, true, true},
        {{COLLECTIVE_BROADCAST, KIB(16), 2, 2, "auto"}, true, true, true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const struct cost *const costs[] = {slow_wire, fast_wire, NULL};
        const bool expected[] = {rows[i].slow, rows[i].fast, rows[i].unpriced};
        for (size_t c = 0; c < LENGTH(costs); c++) {
            struct choice choice = choose_row(roomy, costs[c], &rows[i].call);
            cr_expect_eq(choice.with_announcement, expected[c], "row %zu, wires %zu", i, c);
        }
    }
}

Test(select, many_values_are_staged_viewed_or_fetched)
{
    for (int c = 0; c < COLLECTIVE_COUNT; c++) {
        for (int type = 0; type < WW_TYPE_COUNT; type++) {
            struct wish wish = {(enum collective)c, MIB(4), (enum ww_type)type, 0};
            struct choice choice = choose_seen("auto", true, 3, wish);
            cr_expect_str_eq(choice.algorithm->name, "staged");
            cr_expect_str_eq(choice.viewed->name, "viewed");
            cr_expect_str_eq(choice.fetched->name, "fetched");
            cr_expect_eq(choice.viewed->collective, wish.collective);
            cr_expect_eq(choice.fetched->collective, wish.collective);
            cr_expect_not(choice.nesting != NEST_NONE || choice.with_announcement);
            cr_expect_null(choose_seen("auto", false, 3, wish).fetched);
        }
    }
    struct wish alone = {COLLECTIVE_ALL_REDUCE, MIB(1), WW_F32, 0};
    cr_expect_null(choose_seen("auto", true, 1, alone).viewed, "one rank has nobody to see");
    struct choice named = choose_seen("ring", true, 4, alone);
    cr_expect_str_eq(named.algorithm->name, "ring");
    cr_expect(named.viewed == NULL && named.fetched == NULL && !named.with_announcement);
    struct wish rounded = {COLLECTIVE_ALL_REDUCE, MIB(1), WW_BF16, 0};
    struct choice unfit = choose_seen("ring", true, 4, rounded);
    cr_expect_str_eq(unfit.algorithm->name, "staged", "a ring would round more than once");
    cr_expect_str_eq(unfit.viewed->name, "viewed");
}

Test(select, what_needs_sight_is_refused_without_it)
{
    static const struct {
        const char *name;
        struct sight sight;
        enum ww_status status;
    } rows[] = {
        {"auto", {.host = false, .all = false, .fetch = false}, WW_OK},
        {"ring", {.host = false, .all = false, .fetch = false}, WW_OK},
        {"staged", {.host = true, .all = true, .fetch = false}, WW_OK},
        {"staged", {.host = true, .all = false, .fetch = true}, WW_UNSUPPORTED},
        {"staged", {.host = false, .all = false, .fetch = false}, WW_UNSUPPORTED},
        {"fetched", {.host = true, .all = true, .fetch = true}, WW_OK},
        {"fetched", {.host = true, .all = true, .fetch = false}, WW_UNSUPPORTED},
        {"viewed", {.host = true, .all = true, .fetch = true}, WW_UNSUPPORTED},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        cr_expect_eq(select_check_sight(rows[i].name, &rows[i].sight), rows[i].status, "row %zu",
                     i);
        if (rows[i].status != WW_OK) {
            expect_line(WW_LOG_ERROR, rows[i].name);
        }
    }
    cr_expect_eq(select_check("hierarchical+staged"), WW_BAD_CONFIG, "owners are on several hosts");
    expect_line(WW_LOG_ERROR, "or hierarchical+ or hosts+ one of ring, halving, scatter_gather, "
                              "tree, direct, doubling");
}

/* ---- Shelf ------------------------------------------------------------------------------ */

TestSuite(shelf, .init = capture_start, .fini = capture_finish);

Test(shelf, a_plan_is_written_once_for_each_algorithm_place_and_root)
{
    struct topology topology = paper_topology(&(struct paper_cluster){2, 4, NULL, 0, 0});
    topology.rank = 7;
    struct shelf *shelf = shelf_create(&topology);
    cr_assert_not_null(shelf);
    const struct choice choices[] = {
        {.algorithm = &algorithm_ring, .nesting = NEST_NONE, .segment_bytes = 1, .window = 1},
        {.algorithm = &algorithm_ring, .nesting = NEST_ALL, .segment_bytes = 1, .window = 1},
        {.algorithm = &algorithm_tree, .nesting = NEST_NONE, .segment_bytes = 1, .window = 1},
    };
    const struct plan *plans[5];
    for (size_t i = 0; i < LENGTH(choices); i++) {
        cr_assert_eq(shelf_plan(shelf, &choices[i], 0, &plans[i]), WW_OK);
    }
    const struct choice cast = {.algorithm = &algorithm_broadcast_tree,
                                .nesting = NEST_NONE,
                                .segment_bytes = 1,
                                .window = 1};
    cr_assert_eq(shelf_plan(shelf, &cast, 2, &plans[3]), WW_OK);
    cr_assert_eq(shelf_plan(shelf, &cast, 5, &plans[4]), WW_OK);
    for (size_t i = 0; i < LENGTH(plans); i++) {
        for (size_t j = i + 1; j < LENGTH(plans); j++) {
            cr_expect_neq(plans[i], plans[j]);
        }
    }
    const struct plan *again;
    struct choice other_segments = {
        .algorithm = &algorithm_ring, .nesting = NEST_ALL, .segment_bytes = 999, .window = 7};
    cr_assert_eq(shelf_plan(shelf, &other_segments, 0, &again), WW_OK);
    cr_expect_eq(again, plans[1], "segments are not the plan's business");
    cr_expect_str_eq(plans[0]->name, "ring");
    cr_expect_str_eq(plans[1]->name, "hierarchical+ring");
    cr_expect_eq(plans[3]->collective, COLLECTIVE_BROADCAST);
    cr_expect_eq(plans[0]->rank, 7);
    cr_expect_eq(plans[0]->size, 8);
    shelf_destroy(shelf);
    shelf_destroy(NULL);
    topology_finish(&topology);
}

/* One host of many ranks, and very many of one, which own all that each of those owns one of. */
Test(select, a_plan_that_a_rank_cannot_hold_is_refused_and_takes_for_ever)
{
    static int ranks_on[700];
    const struct wish wish = {COLLECTIVE_ALL_REDUCE, MIB(64), WW_F32, 0};
    const struct choice uneven = {.algorithm = &algorithm_scatter_gather,
                                  .nesting = NEST_ALL,
                                  .segment_bytes = MIB(1),
                                  .window = 4};
    for (size_t host = 0; host < LENGTH(ranks_on); host++) {
        ranks_on[host] = host == 0 ? 100 : 1;
    }
    struct topology topology = paper_topology(
        &(struct paper_cluster){(int)LENGTH(ranks_on), 0, ranks_on, 0, 0});
    struct wires wires = paper_wires(&topology, slow_wire);
    topology.rank = 100;
    const struct plan *plan = NULL;
    struct shelf *shelf = shelf_create(&topology);
    cr_expect_eq(shelf_plan(shelf, &uneven, 0, &plan), WW_UNSUPPORTED);
    expect_line(WW_LOG_ERROR, "rank 100 of 799 would hold more than 65535 pieces at once");
    shelf_destroy(shelf);
    struct selector *selector;
    struct selector_setup setup = {.topology = &topology,
                                   .sight = unseen,
                                   .wires = &wires,
                                   .settings = {"auto", 0, 0},
                                   .lazy = true};
    struct price price;
    cr_assert_eq(selector_create(&setup, &selector), WW_OK);
    cr_expect_eq(selector_price(selector, &wish, &uneven, &price), WW_OK);
    cr_expect(isinf(price.seconds), "%g s", price.seconds);
    selector_destroy(selector);
    topology_finish(&topology);
}
