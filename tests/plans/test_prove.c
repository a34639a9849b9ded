/* SPDX-License-Identifier: BSD-3-Clause
 * test_prove.c: proves every algorithm: each contribution arrives exactly once, every receive is
 * matched, nothing deadlocks, no memory is used twice, and all ranks add in the same order. */
#include <criterion/criterion.h>

#include "company.h"

/* Both kinds of memory, several segments in flight, four habits of the scheduler. */
static void expect_flat(const struct algorithm *algorithm, int size, int root, int seeds)
{
    struct company company = company_flat(algorithm, size, root);
    for (int seed = 0; seed < seeds; seed++) {
        cr_expect(company_holds(&company, (uint64_t)(seed * 17 + size)), "%s %s, %d ranks",
                  collective_names[algorithm->collective], algorithm->name, size);
    }
    company_finish(&company);
}

static void expect_collective(enum collective collective, int size_min, int size_max)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        if (algorithms[a]->collective != collective) {
            continue;
        }
        for (int size = size_min; size <= size_max; size++) {
            expect_flat(algorithms[a], size, 0, size <= 16 ? 4 : 1);
        }
    }
}

Test(prove, all_reduces_hold_every_contribution_once_for_1_to_32_ranks)
{
    expect_collective(COLLECTIVE_ALL_REDUCE, 1, 32);
}

Test(prove, all_reduces_hold_every_contribution_once_for_33_to_64_ranks)
{
    expect_collective(COLLECTIVE_ALL_REDUCE, 33, 64);
}

Test(prove, reduce_scatters_leave_each_rank_its_own_sum)
{
    expect_collective(COLLECTIVE_REDUCE_SCATTER, 1, 64);
}

Test(prove, all_gathers_bring_every_share_to_everybody)
{
    expect_collective(COLLECTIVE_ALL_GATHER, 1, 64);
}

Test(prove, broadcasts_reach_everybody_from_every_root)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        for (int size = 1; size <= 64 && algorithms[a]->collective == COLLECTIVE_BROADCAST;
             size++) {
            int stride = size <= 9 ? 1 : (size + 2) / 3;
            for (int root = 0; root < size; root += stride) {
                expect_flat(algorithms[a], size, root, 1);
            }
            expect_flat(algorithms[a], size, size - 1, 1);
        }
    }
}

/* ---- Hierarchies -------------------------------------------------------------------------- */

static void expect_nested(const struct shape *shape)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        if (algorithms[a]->collective != COLLECTIVE_ALL_REDUCE) {
            continue;
        }
        struct company company = company_nested(algorithms[a], shape);
        cr_expect(company_holds(&company, (uint64_t)shape->size), "%s, %s on top", shape->name,
                  algorithms[a]->name);
        company_finish(&company);
    }
}

Test(prove, uniform_groups_compose)
{
    static const int pairs[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2},  {2, 3},  {3, 2}, {2, 4},
                                   {4, 2}, {3, 3}, {1, 8}, {8, 1},  {4, 4},  {5, 3}, {2, 8},
                                   {8, 2}, {7, 5}, {6, 6}, {3, 16}, {16, 3}, {8, 8}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            struct shape shape = shape_uniform(pairs[i][0], pairs[i][1], interleaved);
            expect_nested(&shape);
        }
    }
}

Test(prove, uneven_groups_compose)
{
    static const int groups[][8] = {
        {1},          {3, 1},  {1, 3},    {4, 2, 1},    {1, 2, 4},
        {5, 1, 1, 3}, {2, 3},  {7, 5, 3}, {1, 1, 1, 6}, {6, 5, 4, 3, 2, 1},
        {8, 8, 7},    {16, 1}, {31, 33}};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        struct shape shape = shape_groups(groups[i]);
        expect_nested(&shape);
    }
}

Test(prove, three_nested_levels_compose)
{
    static const int sizes[][4] = {{2, 2, 2, 2}, {2, 2, 2, 3}, {3, 2, 2, 2},
                                   {2, 3, 2, 2}, {2, 2, 4, 4}, {4, 2, 2, 4}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct shape shape = shape_nested(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
        expect_nested(&shape);
    }
}

Test(prove, drawn_uneven_nestings_compose)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct shape shape = shape_drawn(2 + (int)(seed * 7 % 30), seed);
        expect_nested(&shape);
    }
}

/* ---- What is not so, is not proved ---------------------------------------------------------- */

static enum flaw flaw_of(const struct company *company)
{
    struct verdict verdict;
    company_prove(company, false, 2, 2, 1, &verdict);
    return verdict.flaw;
}

Test(prove, only_sums_in_one_place_count_as_rounded_once)
{
    for (int a = 0; algorithms[a]->collective == COLLECTIVE_ALL_REDUCE; a++) {
        struct company company = company_flat(algorithms[a], 8, 0);
        company.one_rounding = true;
        cr_expect_eq(flaw_of(&company), algorithms[a]->one_rounding ? FLAW_NONE : FLAW_ROUNDING,
                     "%s", algorithms[a]->name);
        company_finish(&company);
    }
}

Test(prove, plans_for_another_root_or_rank_are_no_proof)
{
    struct company company = company_flat(algorithm_find(COLLECTIVE_BROADCAST, "tree"), 5, 2);
    company.root = 3;
    cr_expect_neq(flaw_of(&company), FLAW_NONE);
    company.root = 2;
    cr_expect_eq(flaw_of(&company), FLAW_NONE);
    struct plan *kept = company.plans[0];
    company.plans[0] = company.plans[1];
    company.plans[1] = kept;
    cr_expect_eq(flaw_of(&company), FLAW_FORM);
    company_finish(&company);
}

/* Two ranks that hand their vectors over and each add their own first: right sums, other bits. */
Test(prove, the_own_value_first_on_every_rank_is_caught_as_other_bits)
{
    struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_REDUCE, "direct"), 2, 0);
    struct slice *sources = company.plans[1]->sources;
    struct slice kept = sources[0];
    sources[0] = sources[1];
    sources[1] = kept;
    cr_expect_eq(flaw_of(&company), FLAW_BITS);
    company_finish(&company);
}
