/* SPDX-License-Identifier: BSD-3-Clause
 * test_relay.c: the tree of announcements, and the wishes that it counts. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "internal/vote.h"
#include "relay.h"
#include "wishes.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* Hosts by chance, numbered by their lowest rank as a topology does. */
static int scatter(int size, int hosts, unsigned seed, int *host_of)
{
    int *number = malloc((size_t)hosts * sizeof *number);
    int found = 0;
    cr_assert_not_null(number);
    srand(seed);
    for (int host = 0; host < hosts; host++) {
        number[host] = -1;
    }
    for (int rank = 0; rank < size; rank++) {
        int host = rand() % hosts;
        if (number[host] < 0) {
            number[host] = found++;
        }
        host_of[rank] = number[host];
    }
    free(number);
    return found;
}

/* Each rank is below exactly one other, which has few, and all are below rank 0; where a rank is
 * not the first of its host, the one above it is on the same host. */
static void expect_tree(int size, int hosts, unsigned seed)
{
    int *host_of = malloc((size_t)size * sizeof *host_of);
    int *above = malloc((size_t)size * sizeof *above);
    cr_assert(host_of != NULL && above != NULL);
    struct topology topology = {.size = size, .host_of = host_of};
    topology.hosts = scatter(size, hosts, seed, host_of);
    memset(above, 0xff, (size_t)size * sizeof *above);
    int crossings = 0;
    for (int rank = 0; rank < size; rank++) {
        struct relay relay;
        topology.rank = rank;
        cr_assert_eq(relay_init(&topology, &relay), WW_OK);
        cr_expect_leq(relay.below, RELAY_BELOW_MOST);
        cr_expect_eq(relay.parent < 0, rank == 0);
        for (int i = 0; i < relay.below; i++) {
            int below = relay.ranks_below[i];
            cr_expect(above[below] < 0 && below > rank, "rank %d is below %d and %d", below,
                      above[below], rank);
            above[below] = rank;
            crossings += host_of[below] != host_of[rank];
            cr_expect_eq(relay_branch(&relay, below), i);
            cr_expect_eq(relay.parents[below], rank);
        }
        cr_expect_eq(relay_branch(&relay, rank), -1);
        for (int other = 0; rank == 0 && other < size; other++) {
            cr_expect_eq(relay_branch(&relay, other) < 0, other == 0);
        }
        relay_finish(&relay);
    }
    cr_expect_eq(crossings, topology.hosts - 1, "a host is entered once");
    int depth_most = 0;
    for (int rank = 1; rank < size; rank++) {
        int depth = 0;
        for (int r = rank; r > 0; r = above[r]) {
            depth++;
        }
        depth_most = depth > depth_most ? depth : depth_most;
    }
    cr_expect_leq(depth_most, relay_form(topology.hosts).depth + relay_form(size).depth);
    free(host_of);
    free(above);
}

Test(relay, every_rank_is_below_one_other_and_each_host_is_entered_once)
{
    static const int rows[][2] = {{1, 1},    {2, 1},   {2, 2},   {9, 9},    {10, 10},  {17, 3},
                                  {100, 20}, {100, 1}, {300, 7}, {300, 90}, {300, 300}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (unsigned seed = 1; seed <= 3; seed++) {
            expect_tree(rows[i][0], rows[i][1], seed);
        }
    }
}

/* No other width that is allowed takes less, a latency being as long as 8 messages. */
Test(relay, it_is_as_wide_as_costs_least)
{
    static const struct {
        int count, depth, width_least, width_most;
    } rows[] = {{1, 0, 1, 16},    {2, 1, 1, 16},     {9, 1, 8, 16},  {16, 1, 15, 16},
                {17, 1, 16, 16},  {18, 2, 4, 4},     {43, 2, 6, 6},  {73, 2, 8, 8},
                {111, 2, 10, 10}, {1000, 3, 10, 10}, {8000, 5, 6, 6}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct relay_form form = relay_form(rows[i].count);
        cr_expect(form.depth == rows[i].depth && form.width >= rows[i].width_least &&
                      form.width <= rows[i].width_most,
                  "%d: %d deep and %d wide", rows[i].count, form.depth, form.width);
    }
}

/* Up to four different wishes, by chance, counted in two halves of the ranks first. */
Test(relay, wishes_that_are_counted_name_whom_a_vote_of_all_names)
{
    for (unsigned seed = 1; seed <= 500; seed++) {
        srand(seed);
        struct signature votes[40];
        struct wishes halves[2] = {{0}}, all = {0};
        int size = 2 + rand() % 39, kinds = 2 + rand() % 2;
        memset(votes, 0, sizeof votes);
        for (int rank = 0; rank < size; rank++) {
            bool usual = rand() % 4 > 0 && rank > 0;
            votes[rank].count = usual ? 5 : (uint64_t)(rand() % kinds);
            wishes_add(&halves[rand() % 2], &(struct wish){votes[rank], rank, 1});
        }
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < halves[half].count; i++) {
                wishes_add(&all, &halves[half].wish[i]);
            }
        }
        int usual;
        int odd = vote_odd_one(votes, size, sizeof *votes, sizeof *votes, &usual);
        cr_assert_eq(odd >= 0, all.count > 1);
        if (odd >= 0) {
            const struct wish *usual_wish;
            const struct wish *odd_wish = wishes_odd(&all, &usual_wish);
            cr_expect(odd_wish->rank == odd && usual_wish->rank == usual,
                      "seed %u: %d and %d instead of %d and %d", seed, odd_wish->rank,
                      usual_wish->rank, odd, usual);
        }
    }
}

Test(relay, of_too_many_wishes_the_rarest_are_left_out)
{
    struct wishes wishes = {0};
    for (int i = 0; i < 10; i++) {
        struct wish wish = {.rank = i, .ranks = i == 7 ? 90 : 1};
        wish.signature.count = (uint64_t)i;
        wishes_add(&wishes, &wish);
    }
    const struct wish *usual;
    cr_expect_eq(wishes.count, WISHES_MOST);
    cr_expect_eq(wishes_odd(&wishes, &usual)->rank, 0);
    cr_expect_eq(usual->rank, 7);
}
