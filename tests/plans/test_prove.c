/* SPDX-License-Identifier: BSD-3-Clause
 * test_prove.c: proves every algorithm: each contribution arrives exactly once, every receive is
 * matched, nothing deadlocks, no memory is used twice, and all ranks add in the same order. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "effort.h"
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
        bool sees = algorithms[a]->needs != NEEDS_MESSAGES;
        for (int size = size_min; size <= size_max; size += size < 17 ? 1 : EFFORT(1, 5)) {
            expect_flat(algorithms[a], size, 0, sees || size <= 16 ? 4 : 1);
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

static void expect_nested_once(const struct algorithm *top, const struct shape *shape)
{
    struct company company = company_nested(top, shape);
    cr_expect(company_holds(&company, (uint64_t)shape->size), "%s%s, %s on top", shape->name,
              shape->seen ? " that see each other" : "", top->name);
    company_finish(&company);
}

/* Above the innermost groups there are only messages. */
static void expect_nested(struct shape *shape)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        if (algorithms[a]->collective != COLLECTIVE_ALL_REDUCE ||
            algorithms[a]->needs != NEEDS_MESSAGES) {
            continue;
        }
        for (int seen = 0; seen < 2; seen++) {
            shape->seen = seen;
            expect_nested_once(algorithms[a], shape);
        }
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
    for (uint64_t seed = 1; seed <= EFFORT(24, 8); seed++) {
        struct shape shape = shape_drawn(2 + (int)(seed * 7 % 30), seed);
        expect_nested(&shape);
    }
}

/* ---- What is not so, is not proved ---------------------------------------------------------- */

static struct action *first_of(struct plan *plan, enum action_kind kind)
{
    struct action *action = plan->actions;
    while (action->kind != kind) {
        action++;
    }
    return action;
}

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

/* Which way memory is seen may change from call to call: the bits may not. */
Test(prove, sums_of_memory_plans_are_made_in_the_order_of_the_ranks)
{
    static const char *const names[] = {"staged", "viewed", "fetched"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_REDUCE, names[i]), 4,
                                              0);
        cr_expect_eq(flaw_of(&company), FLAW_NONE);
        struct slice *sources = company.plans[2]->sources +
                                first_of(company.plans[2], ACTION_REDUCE)->sources;
        struct slice kept = sources[0];
        sources[0] = sources[1];
        sources[1] = kept;
        cr_expect_eq(flaw_of(&company), FLAW_BITS, "%s", names[i]);
        company.rank_order = false;
        cr_expect_eq(flaw_of(&company), FLAW_NONE, "%s: otherwise it is as good", names[i]);
        company_finish(&company);
    }
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

/* ---- What is seen of peers --------------------------------------------------------------------
 */

/* Every kind of memory that an algorithm may see, and what it does see. */
Test(prove, algorithms_see_no_more_than_they_need)
{
    static const bool granted[][4] = {
        [NEEDS_MESSAGES] = {true, true, true, true},
        [NEEDS_SCRATCH] = {false, true, true, false},
        [NEEDS_VIEW] = {false, false, true, false},
        [NEEDS_FETCH] = {false, false, true, true},
    };
    for (int a = 0; algorithms[a] != NULL; a++) {
        struct company company = company_flat(algorithms[a], 5, 0);
        bool plain_copies = algorithms[a]->collective == COLLECTIVE_ALL_GATHER ||
                            algorithms[a]->collective == COLLECTIVE_BROADCAST;
        for (int needs = NEEDS_MESSAGES; needs <= NEEDS_FETCH; needs++) {
            /* Where everything is copied, viewed and fetched are the same plan. */
            bool same = algorithms[a]->needs == NEEDS_VIEW && needs == NEEDS_FETCH && plain_copies;
            company.needs = (enum needs)needs;
            cr_expect_eq(flaw_of(&company) == FLAW_NONE,
                         granted[algorithms[a]->needs][needs] || same, "%s %s, granted kind %d",
                         collective_names[algorithms[a]->collective], algorithms[a]->name, needs);
        }
        company_finish(&company);
    }
}

Test(prove, viewed_plans_have_no_scratch_and_fetched_ones_show_none)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        for (int size = 1; size <= 16; size++) {
            struct company company = company_flat(algorithms[a], size, 0);
            for (int rank = 0; rank < size; rank++) {
                const struct plan *plan = company.plans[rank];
                cr_expect(algorithms[a]->needs != NEEDS_VIEW || plan->slot_count == SLOT_SCRATCH);
                cr_expect(algorithms[a]->needs == NEEDS_SCRATCH || plan->shared_slots == 0);
            }
            company_finish(&company);
        }
    }
}

/* ---- Order between ranks that see each other, on plans by hand --------------------------------
 */

static struct company company_by_hand(void (*write)(struct plan_writer *writer, int rank, int way),
                                      enum collective collective, int way)
{
    struct company company = {.size = 2, .needs = NEEDS_VIEW};
    company.plans = calloc(2, sizeof(*company.plans));
    cr_assert(company.plans != NULL);
    for (int rank = 0; rank < 2; rank++) {
        uint32_t parts = collective == COLLECTIVE_BROADCAST ? 1 : 2;
        struct plan_writer *writer = plan_writer_create("by hand", collective, rank, 2, parts);
        cr_assert(writer != NULL);
        write(writer, rank, way);
        cr_assert_eq(plan_writer_finish(writer, &company.plans[rank]), WW_OK);
    }
    return company;
}

/* The same verdict whatever the scheduler does. */
static void expect_by_hand(void (*write)(struct plan_writer *writer, int rank, int way),
                           enum collective collective, int way, enum flaw flaw, const char *words)
{
    struct company company = company_by_hand(write, collective, way);
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct verdict verdict;
        uint32_t segments = 1 + (uint32_t)(seed / 4 % 4);
        company_prove(&company, seed % 3 == 0, segments, 1 + (uint32_t)(seed / 16), seed, &verdict);
        cr_expect_eq(verdict.flaw, flaw, "way %d, seed %llu: %s: %s", way, (unsigned long long)seed,
                     flaw_names[verdict.flaw], verdict.sentence);
        cr_expect(words == NULL || strstr(verdict.sentence, words) != NULL, "no \"%s\" in \"%s\"",
                  words, verdict.sentence);
    }
    company_finish(&company);
}

enum gather_way { WHOLE, NO_AWAIT_BEFORE, NO_AWAIT_BEHIND, AWAIT_TOO_EARLY, BOTH_AWAIT_FIRST };

/* An all-gather of two ranks through scratch that both see, with something left out. */
static void write_gather(struct plan_writer *writer, int rank, int way)
{
    int peer = 1 - rank;
    uint16_t slot = plan_scratch_shared(writer, 1);
    struct slice shown = {slot, 0, (uint32_t)rank, 1};
    struct slice own = {SLOT_OUTPUT, 0, (uint32_t)rank, 1};
    struct slice input = {SLOT_INPUT, 0, (uint32_t)rank, 1};
    struct slice theirs = {slot, 0, (uint32_t)peer, 1};
    struct slice output = {SLOT_OUTPUT, 0, (uint32_t)peer, 1};
    if (way == BOTH_AWAIT_FIRST) {
        plan_await(writer, 1, peer);
    }
    if (way == AWAIT_TOO_EARLY) { /* knows of what came before step 2 only */
        plan_copy(writer, 1, own, input);
        plan_await(writer, 2, peer);
    }
    plan_copy(writer, 3, shown, input);
    plan_copy(writer, 3, own, input);
    if (way != NO_AWAIT_BEFORE && way != AWAIT_TOO_EARLY) {
        plan_await(writer, 4, peer);
    }
    plan_copy(writer, 4, output, plan_seen(writer, theirs, peer));
    if (way != NO_AWAIT_BEHIND) {
        plan_await(writer, 5, peer);
    }
}

Test(prove, awaits_order_what_ranks_see_whoever_comes_first)
{
    enum collective collective = COLLECTIVE_ALL_GATHER;
    expect_by_hand(write_gather, collective, WHOLE, FLAW_NONE, NULL);
    expect_by_hand(write_gather, collective, NO_AWAIT_BEFORE, FLAW_HAZARD, "slot 2 of rank");
    expect_by_hand(write_gather, collective, AWAIT_TOO_EARLY, FLAW_HAZARD, "not ordered with");
    expect_by_hand(write_gather, collective, BOTH_AWAIT_FIRST, FLAW_DEADLOCK, "awaits rank");
}

Test(prove, memory_that_was_given_back_is_not_touched)
{
    struct company company = company_by_hand(write_gather, COLLECTIVE_ALL_GATHER, NO_AWAIT_BEHIND);
    bool before = false;
    bool behind = false;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct verdict verdict;
        company_prove(&company, false, 3, 2, seed, &verdict);
        cr_expect_eq(verdict.flaw, FLAW_HAZARD, "seed %llu: %s: %s", (unsigned long long)seed,
                     flaw_names[verdict.flaw], verdict.sentence);
        before = before || strstr(verdict.sentence, "ends the segment and gives back") != NULL;
        behind = behind || strstr(verdict.sentence, "its owner has given back") != NULL;
    }
    cr_expect(before && behind, "both orders of events are found");
    company_finish(&company);
}

enum token_way { TOKENS, READ_AT_ONCE, NO_ANSWER, SEND_IS_NO_ANSWER, READ_BEHIND_ANSWER };

/* The first tokens say that the scratch is full, the second ones that it was read. */
static void write_tokens(struct plan_writer *writer, int rank, int way)
{
    int peer = 1 - rank;
    uint16_t slot = plan_scratch_shared(writer, 1);
    uint16_t room = plan_scratch(writer, 1);
    struct slice input = {SLOT_INPUT, 0, (uint32_t)rank, 1};
    struct slice own = {SLOT_OUTPUT, 0, (uint32_t)rank, 1};
    struct slice output = {SLOT_OUTPUT, 0, (uint32_t)peer, 1};
    struct slice theirs = {slot, 0, (uint32_t)peer, 1};
    int read_step = way == READ_AT_ONCE ? 0 : way == READ_BEHIND_ANSWER ? 3 : 1;
    plan_copy(writer, 0, (struct slice){slot, 0, (uint32_t)rank, 1}, input);
    plan_copy(writer, 0, own, input);
    plan_send(writer, 0, peer, input);
    plan_receive(writer, 0, peer, (struct slice){room, 0, (uint32_t)peer, 1});
    plan_copy(writer, read_step, output, plan_seen(writer, theirs, peer));
    if (way == NO_ANSWER) {
        return;
    }
    if (way != SEND_IS_NO_ANSWER || rank == 0) {
        plan_send(writer, 2, peer, input);
    }
    if (way != SEND_IS_NO_ANSWER || rank == 1) {
        plan_receive(writer, 2, peer, (struct slice){room, 0, (uint32_t)peer, 1});
    }
}

/* Rank 0 sends a token and what it shows at once; rank 1 takes the second for sent when it has the
 * first. */
static void write_overwriting(struct plan_writer *writer, int rank, int way)
{
    (void)way;
    struct slice shown = {plan_scratch_shared(writer, 1), 0, 0, 1};
    struct slice room = {plan_scratch(writer, 1), 0, 0, 1};
    struct slice first = {SLOT_OUTPUT, 0, 0, 1};
    struct slice second = {SLOT_OUTPUT, 0, 1, 1};
    if (rank == 0) {
        plan_copy(writer, 0, shown, (struct slice){SLOT_INPUT, 0, 0, 1});
        plan_copy(writer, 0, first, (struct slice){SLOT_INPUT, 0, 0, 1});
        plan_send(writer, 0, 1, first);
        plan_send(writer, 0, 1, shown);
        plan_receive(writer, 3, 1, second);
    } else {
        plan_receive(writer, 0, 0, first);
        plan_copy(writer, 1, second, (struct slice){SLOT_INPUT, 0, 1, 1});
        plan_copy(writer, 1, plan_seen(writer, shown, 0), first);
        plan_receive(writer, 2, 0, room);
        plan_send(writer, 3, 0, second);
    }
}

Test(prove, messages_order_what_ranks_see_for_their_receivers_only)
{
    enum collective collective = COLLECTIVE_ALL_GATHER;
    expect_by_hand(write_tokens, collective, TOKENS, FLAW_NONE, NULL);
    expect_by_hand(write_tokens, collective, READ_AT_ONCE, FLAW_HAZARD, "slot 2 of rank");
    expect_by_hand(write_tokens, collective, NO_ANSWER, FLAW_HAZARD, "give");
    expect_by_hand(write_tokens, collective, SEND_IS_NO_ANSWER, FLAW_HAZARD, "slot 2 of rank 0");
    expect_by_hand(write_tokens, collective, READ_BEHIND_ANSWER, FLAW_HAZARD, "give");
    expect_by_hand(write_overwriting, collective, 0, FLAW_HAZARD,
                   "not ordered with: rank 0 reads it");
}

/* ---- The form of what is seen ------------------------------------------------------------------
 */

static struct slice *also_of(struct plan *plan, uint32_t which)
{
    const struct action *reduce = first_of(plan, ACTION_REDUCE);
    return plan->sources + reduce->sources + reduce->source_count + which;
}

static void await_with_slice(struct plan *plan)
{
    first_of(plan, ACTION_AWAIT)->slice.count = 1;
}

static void await_itself(struct plan *plan)
{
    first_of(plan, ACTION_AWAIT)->peer = plan->rank;
}

static void await_beyond_everybody(struct plan *plan)
{
    first_of(plan, ACTION_AWAIT)->peer = plan->size;
}

static void await_somebody_unseen(struct plan *plan)
{
    plan->seen_count--;
    first_of(plan, ACTION_REDUCE)->also_count--; /* its last one is of that peer */
    for (uint32_t i = 0; i < plan->source_count; i++) {
        plan->sources[i].seen = plan->sources[i].seen > plan->seen_count ? 0
                                                                         : plan->sources[i].seen;
    }
}

static void see_oneself(struct plan *plan)
{
    plan->peers_seen[0] = plan->rank;
}

static void see_one_peer_twice(struct plan *plan)
{
    plan->peers_seen[1] = plan->peers_seen[0];
}

static void see_nobody(struct plan *plan)
{
    also_of(plan, 0)->seen = (uint16_t)(plan->seen_count + 1);
}

static void share_more_than_there_is(struct plan *plan)
{
    plan->shared_slots = (uint16_t)(plan->slot_count - SLOT_SCRATCH + 1);
}

static void share_less_than_is_seen(struct plan *plan)
{
    plan->shared_slots = 0;
}

static void make_room_elsewhere(struct plan *plan)
{
    plan->slot_chunks[SLOT_SCRATCH]++;
}

static void write_one_target_twice(struct plan *plan)
{
    *also_of(plan, 1) = *also_of(plan, 0);
}

static void write_the_input_too(struct plan *plan)
{
    also_of(plan, 0)->slot = SLOT_INPUT;
}

static void write_another_range_too(struct plan *plan)
{
    also_of(plan, 0)->first = (also_of(plan, 0)->first + 1) % plan->parts;
}

static void write_a_private_output(struct plan *plan)
{
    also_of(plan, 0)->slot = SLOT_OUTPUT;
}

static void let_steps_stand_still(struct plan *plan)
{
    plan->rounds[1].step = plan->rounds[0].step;
}

static void count_fewer_sources(struct plan *plan)
{
    plan->sources_max--;
}

Test(prove, what_is_seen_is_well_formed)
{
    static const struct {
        void (*spoil)(struct plan *plan);
        enum flaw flaw;
    } cases[] = {
        {await_with_slice, FLAW_FORM},
        {await_itself, FLAW_PEER},
        {await_beyond_everybody, FLAW_PEER},
        {await_somebody_unseen, FLAW_SIGHT},
        {see_oneself, FLAW_PEER},
        {see_one_peer_twice, FLAW_PEER},
        {see_nobody, FLAW_PEER},
        {share_more_than_there_is, FLAW_FORM},
        {share_less_than_is_seen, FLAW_SIGHT},
        {make_room_elsewhere, FLAW_SIGHT},
        {write_one_target_twice, FLAW_HAZARD},
        {write_the_input_too, FLAW_SLOT},
        {write_another_range_too, FLAW_SLICE},
        {write_a_private_output, FLAW_SIGHT},
        {let_steps_stand_still, FLAW_FORM},
        {count_fewer_sources, FLAW_FORM},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_REDUCE, "staged"), 3,
                                              0);
        cr_expect_eq(flaw_of(&company), FLAW_NONE);
        cases[i].spoil(company.plans[1]);
        enum flaw flaw = flaw_of(&company);
        cr_expect_eq(flaw, cases[i].flaw, "case %zu: %s, not %s", i, flaw_names[flaw],
                     flaw_names[cases[i].flaw]);
        company_finish(&company);
    }
}

/* An await at step 0 would be satisfied by the end of the segment before. */
Test(prove, nobody_awaits_what_comes_before_step_0)
{
    struct company company = company_flat(algorithm_find(COLLECTIVE_BROADCAST, "viewed"), 3, 0);
    cr_expect_eq(company.plans[0]->rounds[0].awaits, 2);
    company.plans[0]->rounds[0].step = 0;
    cr_expect_eq(flaw_of(&company), FLAW_FORM);
    company_finish(&company);
}

/* Only who sees others says how far it is. */
Test(prove, nobody_awaits_a_rank_that_says_nothing)
{
    struct company company = company_flat(algorithm_find(COLLECTIVE_BROADCAST, "viewed"), 3, 0);
    struct plan *plan = company.plans[2];
    plan->sources[0] = plan->actions[0].slice;
    plan->seen_count = 0;
    cr_expect_eq(flaw_of(&company), FLAW_SIGHT);
    company_finish(&company);
}

/* A peer has the chunks of its own part in the collective, not of the one who looks. */
Test(prove, peers_have_the_slots_of_their_own_rank)
{
    struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_GATHER, "viewed"), 3, 0);
    struct plan *plan = company.plans[1];
    struct action *own = first_of(plan, ACTION_COPY);
    plan->sources[own->sources].seen = 1;
    cr_expect_eq(flaw_of(&company), FLAW_SLOT);
    company_finish(&company);
    company = company_flat(algorithm_find(COLLECTIVE_REDUCE_SCATTER, "viewed"), 3, 0);
    plan = company.plans[1];
    plan->sources[0].slot = SLOT_OUTPUT; /* of rank 0, which has its own share there only */
    cr_expect_eq(plan->sources[0].seen, 1);
    cr_expect_eq(flaw_of(&company), FLAW_SLOT);
    company_finish(&company);
}
