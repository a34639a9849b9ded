/* SPDX-License-Identifier: BSD-3-Clause
 * test_hierarchy.c: labels become a nesting of groups, and levels that say nothing are left out. */
#include <criterion/criterion.h>

#include "capture.h"
#include "topology.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define SIZE_MOST 8

TestSuite(hierarchy, .init = capture_start, .fini = capture_finish);

struct example {
    const char *about;
    int size;
    int label_levels;
    uint64_t labels[3][SIZE_MOST];
    int levels;
    int counts[3];
    int groups[3][SIZE_MOST];
};

static const struct example examples[] = {
    {"one rank", 1, 1, {{7}}, 0, {0}, {{0}}},
    {"one host", 4, 1, {{7, 7, 7, 7}}, 0, {0}, {{0}}},
    {"every rank alone", 4, 1, {{4, 3, 2, 1}}, 0, {0}, {{0}}},
    {"two hosts of two", 4, 1, {{9, 9, 5, 5}}, 1, {2}, {{0, 0, 1, 1}}},
    {"hosts taken in turns", 5, 1, {{1, 2, 1, 2, 1}}, 1, {2}, {{0, 1, 0, 1, 0}}},
    {"three and one", 4, 1, {{1, 1, 1, 2}}, 1, {2}, {{0, 0, 0, 1}}},
    {"four, two and one", 7, 1, {{3, 3, 3, 3, 2, 2, 1}}, 1, {3}, {{0, 0, 0, 0, 1, 1, 2}}},
    {"no labels", 3, 0, {{0}}, 0, {0}, {{0}}},
    {"hosts in racks",
     8,
     2,
     {{1, 1, 2, 2, 3, 3, 4, 4}, {1, 1, 1, 1, 2, 2, 2, 2}},
     2,
     {4, 2},
     {{0, 0, 1, 1, 2, 2, 3, 3}, {0, 0, 0, 0, 1, 1, 1, 1}}},
    {"host numbers begin anew in every rack",
     8,
     2,
     {{1, 1, 2, 2, 1, 1, 2, 2}, {1, 1, 1, 1, 2, 2, 2, 2}},
     2,
     {4, 2},
     {{0, 0, 1, 1, 2, 2, 3, 3}, {0, 0, 0, 0, 1, 1, 1, 1}}},
    {"one rack is no level", 4, 2, {{1, 1, 2, 2}, {5, 5, 5, 5}}, 1, {2}, {{0, 0, 1, 1}}},
    {"racks that are hosts are one level",
     4,
     2,
     {{1, 1, 2, 2}, {8, 8, 9, 9}},
     1,
     {2},
     {{0, 0, 1, 1}}},
    {"hosts of one rank leave the racks",
     4,
     2,
     {{1, 2, 3, 4}, {8, 8, 9, 9}},
     1,
     {2},
     {{0, 0, 1, 1}}},
    {"uneven racks of uneven hosts",
     7,
     2,
     {{1, 1, 1, 2, 3, 3, 4}, {1, 1, 1, 1, 2, 2, 3}},
     2,
     {4, 3},
     {{0, 0, 0, 1, 2, 2, 3}, {0, 0, 0, 0, 1, 1, 2}}},
    {"three levels",
     8,
     3,
     {{1, 1, 2, 2, 3, 3, 4, 5}, {1, 1, 1, 1, 2, 2, 2, 3}, {1, 1, 1, 1, 1, 1, 1, 2}},
     3,
     {5, 3, 2},
     {{0, 0, 1, 1, 2, 2, 3, 4}, {0, 0, 0, 0, 1, 1, 1, 2}, {0, 0, 0, 0, 0, 0, 0, 1}}},
};

static void expect_example(const struct example *example)
{
    uint64_t labels[3 * SIZE_MOST];
    for (int level = 0; level < example->label_levels; level++) {
        for (int rank = 0; rank < example->size; rank++) {
            labels[level * example->size + rank] = example->labels[level][rank];
        }
    }
    struct hierarchy hierarchy;
    cr_assert_eq(hierarchy_init(&hierarchy, example->size, example->label_levels, labels), WW_OK);
    cr_assert_eq(hierarchy.levels, example->levels, "%s: %d levels", example->about,
                 hierarchy.levels);
    cr_expect_eq(hierarchy.size, example->size);
    for (int level = 0; level < hierarchy.levels; level++) {
        cr_expect_eq(hierarchy.group_count[level], example->counts[level], "%s", example->about);
        for (int rank = 0; rank < example->size; rank++) {
            cr_expect_eq(hierarchy.group[level][rank], example->groups[level][rank],
                         "%s: level %d, rank %d", example->about, level, rank);
        }
    }
    hierarchy_finish(&hierarchy);
}

Test(hierarchy, labels_become_groups_numbered_by_their_lowest_rank)
{
    for (size_t i = 0; i < LENGTH(examples); i++) {
        expect_example(&examples[i]);
    }
}

Test(hierarchy, finishing_leaves_zeroes_and_may_be_repeated)
{
    const uint64_t labels[] = {1, 1, 2, 2};
    struct hierarchy hierarchy;
    cr_assert_eq(hierarchy_init(&hierarchy, 4, 1, labels), WW_OK);
    hierarchy_finish(&hierarchy);
    cr_expect_eq(hierarchy.levels, 0);
    cr_expect_null(hierarchy.group[0]);
    hierarchy_finish(&hierarchy);
}
