/* SPDX-License-Identifier: BSD-3-Clause
 * test_bytes.c: proves that plans move what the formulas of the literature say, to the byte, for
 * counts around every chunk boundary, and that the engine plans the same. What moves between ranks
 * is what is sent, and what is read from or written to peers' memory in place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "company.h"
#include "engine.h"
#include "run.h"

static const size_t counts[] = {0, 1, 2, 15, 16, 17, 255, 256, 257, 1000, 4099, 65536, 1000003};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* Elements where chunk `chunk` of a collective over `count` elements begins; shares are equal. */
static size_t begin_of(const struct plan *plan, size_t count, uint32_t chunk)
{
    bool by_rank = plan->collective == COLLECTIVE_REDUCE_SCATTER ||
                   plan->collective == COLLECTIVE_ALL_GATHER;
    return by_rank ? count * chunk : plan_boundary(count, plan->parts, chunk);
}

static size_t elements_of(const struct plan *plan, size_t count, const struct slice *slice)
{
    return begin_of(plan, count, slice->first + slice->count) - begin_of(plan, count, slice->first);
}

static size_t sent_by_rank(const struct plan *plan, size_t count)
{
    size_t sent = 0;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        if (plan->actions[i].kind == ACTION_SEND && !plan->actions[i].head) {
            sent += elements_of(plan, count, &plan->actions[i].slice);
        }
    }
    return sent;
}

static size_t seen_elements(const struct plan *plan, size_t count, const struct slice *slice,
                            int peer)
{
    bool theirs = slice->seen > 0 && plan->peers_seen[slice->seen - 1] == peer;
    return theirs ? elements_of(plan, count, slice) : 0;
}

/* What a rank moves to or from the memory of one peer; received is what another one sent. */
static size_t moved_with(const struct plan *plan, size_t count, int peer)
{
    size_t moved = 0;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        moved += action->kind == ACTION_SEND && action->peer == peer && !action->head
                     ? elements_of(plan, count, &action->slice)
                     : seen_elements(plan, count, &action->slice, peer);
        for (uint32_t s = 0; s < (uint32_t)action->source_count + action->also_count; s++) {
            moved += seen_elements(plan, count, &plan->sources[action->sources + s], peer);
        }
    }
    return moved;
}

static size_t moved_by_rank(const struct plan *plan, size_t count)
{
    size_t moved = 0;
    for (int peer = 0; peer < plan->size; peer++) {
        moved += moved_with(plan, count, peer);
    }
    return moved;
}

static size_t moved_by_all(const struct company *company, size_t count)
{
    size_t moved = 0;
    for (int rank = 0; rank < company->size; rank++) {
        moved += moved_by_rank(company->plans[rank], count);
    }
    return moved;
}

/* ---- Formulas: elements moved by all of p ranks together, n elements in the vector ------------
 */

static size_t power_below(size_t p)
{
    size_t power = 1;
    while (power * 2 <= p) {
        power *= 2;
    }
    return power;
}

static size_t log_2(size_t power)
{
    return (size_t)__builtin_ctzll(power);
}

static size_t least(size_t p, size_t n)
{
    return 2 * (p - 1) * n;
}

static size_t everything(size_t p, size_t n)
{
    return p * (p - 1) * n;
}

/* p = 2^k + e: e whole vectors in, e out, and k exchanges among 2^k. */
static size_t doubling(size_t p, size_t n)
{
    size_t core = power_below(p);
    return core * log_2(core) * n + 2 * (p - core) * n;
}

/* p = 2^k + e: each of e pairs exchanges halves, hands one half over and one result back. */
static size_t halving(size_t p, size_t n)
{
    size_t core = power_below(p);
    size_t upper = core == 1 ? 0 : n - plan_boundary(n, (uint32_t)core, (uint32_t)core / 2);
    return least(core, n) + (p - core) * (2 * n + upper);
}

/* Shares of n elements each; every share goes to or comes from p - 1 others. */
static size_t shares(size_t p, size_t n)
{
    return p * (p - 1) * n;
}

static size_t once_each(size_t p, size_t n)
{
    return (p - 1) * n;
}

/* The root deals out all parts but its own, then every part goes to all others, except that the
 * root needs none. */
static size_t deal_and_pass(size_t p, size_t n)
{
    size_t own = plan_boundary(n, (uint32_t)p, 1);
    return p == 1 ? 0 : (n - own) + (p - 1) * own + (p - 2) * (n - own);
}

struct formula {
    enum collective collective;
    const char *name;
    size_t (*elements)(size_t p, size_t n);
};

static const struct formula formulas[] = {
    {COLLECTIVE_ALL_REDUCE, "direct", everything},
    {COLLECTIVE_ALL_REDUCE, "doubling", doubling},
    {COLLECTIVE_ALL_REDUCE, "halving", halving},
    {COLLECTIVE_ALL_REDUCE, "ring", least},
    {COLLECTIVE_ALL_REDUCE, "tree", least},
    {COLLECTIVE_ALL_REDUCE, "scatter_gather", least},
    {COLLECTIVE_ALL_REDUCE, "staged", least},
    {COLLECTIVE_ALL_REDUCE, "viewed", least},
    {COLLECTIVE_ALL_REDUCE, "fetched", least},
    {COLLECTIVE_ALL_REDUCE, "coded", least},
    {COLLECTIVE_ALL_REDUCE, "sparse", everything},
    {COLLECTIVE_REDUCE_SCATTER, "pairwise", shares},
    {COLLECTIVE_REDUCE_SCATTER, "ring", shares},
    {COLLECTIVE_REDUCE_SCATTER, "staged", shares},
    {COLLECTIVE_REDUCE_SCATTER, "viewed", shares},
    {COLLECTIVE_REDUCE_SCATTER, "fetched", shares},
    {COLLECTIVE_ALL_GATHER, "direct", shares},
    {COLLECTIVE_ALL_GATHER, "ring", shares},
    {COLLECTIVE_ALL_GATHER, "staged", shares},
    {COLLECTIVE_ALL_GATHER, "viewed", shares},
    {COLLECTIVE_ALL_GATHER, "fetched", shares},
    {COLLECTIVE_BROADCAST, "tree", once_each},
    {COLLECTIVE_BROADCAST, "scatter_gather", deal_and_pass},
    {COLLECTIVE_BROADCAST, "staged", once_each},
    {COLLECTIVE_BROADCAST, "viewed", once_each},
    {COLLECTIVE_BROADCAST, "fetched", once_each},
};

static const struct formula *formula_of(const struct algorithm *algorithm)
{
    for (size_t i = 0; i < sizeof(formulas) / sizeof(formulas[0]); i++) {
        if (formulas[i].collective == algorithm->collective &&
            strcmp(formulas[i].name, algorithm->name) == 0) {
            return &formulas[i];
        }
    }
    return NULL;
}

static void expect_elements(const struct company *company, const struct formula *formula,
                            size_t count)
{
    size_t wanted = formula->elements((size_t)company->size, count);
    size_t moved = moved_by_all(company, count);
    cr_expect(moved == wanted, "%s %s, %d ranks, %zu elements: all move %zu, not %zu",
              collective_names[formula->collective], formula->name, company->size, count, moved,
              wanted);
}

Test(bytes, all_ranks_together_move_what_the_formula_says)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        const struct formula *formula = formula_of(algorithms[a]);
        cr_assert(formula != NULL, "%s %s has no formula",
                  collective_names[algorithms[a]->collective], algorithms[a]->name);
        for (int size = 1; size <= 33; size++) {
            struct company company = company_flat(algorithms[a], size, 0);
            for (size_t i = 0; i < COUNTS; i++) {
                expect_elements(&company, formula, counts[i]);
            }
            for (int near = size - 1; near <= size + 1; near++) {
                expect_elements(&company, formula, (size_t)near);
            }
            company_finish(&company);
        }
    }
}

Test(bytes, every_rank_of_a_least_plan_moves_its_even_share)
{
    static const char *const names[] = {"ring",   "scatter_gather", "halving",
                                        "staged", "viewed",         "fetched"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int size = 2; size <= 16; size *= 2) {
            struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_REDUCE, names[i]),
                                                  size, 0);
            size_t count = (size_t)size * 4096;
            for (int rank = 0; rank < size; rank++) {
                cr_expect_eq(moved_by_rank(company.plans[rank], count),
                             2 * (count - count / (size_t)size), "%s, rank %d of %d", names[i],
                             rank, size);
            }
            company_finish(&company);
        }
    }
}

/* ---- Memory that is seen in place --------------------------------------------------------------
 */

/* Elements that a rank copies inside its own memory. */
static size_t copied_inside(const struct plan *plan, size_t count)
{
    size_t copied = 0;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        if (action->kind == ACTION_COPY && plan->sources[action->sources].seen == 0) {
            copied += elements_of(plan, count, &action->slice);
        }
    }
    return copied;
}

/* Per rank of p, with n elements in the vector or p shares of n. */
struct share_of_memory {
    enum collective collective;
    const char *name;
    size_t peers;  /* moved to and from peers' memory, in (p - 1) / p of all elements */
    size_t inside; /* copied inside the own memory, likewise */
    bool own_too;  /* and the own share of n elements */
};

static const struct share_of_memory memory_shares[] = {
    {COLLECTIVE_ALL_REDUCE, "staged", 2, 2, false},
    {COLLECTIVE_ALL_REDUCE, "viewed", 2, 0, false},
    {COLLECTIVE_ALL_REDUCE, "fetched", 2, 0, false},
    {COLLECTIVE_REDUCE_SCATTER, "staged", 1, 1, false},
    {COLLECTIVE_REDUCE_SCATTER, "viewed", 1, 0, false},
    {COLLECTIVE_REDUCE_SCATTER, "fetched", 1, 0, false},
    {COLLECTIVE_ALL_GATHER, "viewed", 1, 0, true},
    {COLLECTIVE_ALL_GATHER, "fetched", 1, 0, true},
};

static void expect_share(const struct share_of_memory *share, int size)
{
    size_t n = 4096;
    size_t others = (size_t)(size - 1) * n;
    bool by_rank = share->collective != COLLECTIVE_ALL_REDUCE;
    size_t count = by_rank ? n : n * (size_t)size;
    struct company company = company_flat(algorithm_find(share->collective, share->name), size, 0);
    for (int rank = 0; rank < size; rank++) {
        const struct plan *plan = company.plans[rank];
        cr_expect_eq(sent_by_rank(plan, count), 0);
        cr_expect_eq(moved_by_rank(plan, count), share->peers * others, "%s %s, rank %d of %d",
                     collective_names[share->collective], share->name, rank, size);
        cr_expect_eq(copied_inside(plan, count), share->inside * others + (share->own_too ? n : 0),
                     "%s %s, rank %d of %d: inside", collective_names[share->collective],
                     share->name, rank, size);
    }
    company_finish(&company);
}

Test(bytes, ranks_that_see_each_other_send_nothing_and_read_or_write_what_must_move)
{
    for (size_t i = 0; i < sizeof(memory_shares) / sizeof(memory_shares[0]); i++) {
        for (int size = 2; size <= 16; size++) {
            expect_share(&memory_shares[i], size);
        }
    }
}

/* Its own share goes into memory that all see, and out. */
Test(bytes, a_staged_all_gather_copies_the_own_share_once_more)
{
    for (int size = 2; size <= 16; size++) {
        struct company company = company_flat(algorithm_find(COLLECTIVE_ALL_GATHER, "staged"), size,
                                              0);
        for (int rank = 0; rank < size; rank++) {
            cr_expect_eq(sent_by_rank(company.plans[rank], 4096), 0);
            cr_expect_eq(moved_by_rank(company.plans[rank], 4096), (size_t)(size - 1) * 4096);
            cr_expect_eq(copied_inside(company.plans[rank], 4096), 2 * 4096);
        }
        company_finish(&company);
    }
}

Test(bytes, everybody_but_the_root_takes_what_is_broadcast_from_its_memory)
{
    static const char *const names[] = {"staged", "viewed", "fetched"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int size = 2; size <= 16; size++) {
            int root = size / 2;
            struct company company = company_flat(algorithm_find(COLLECTIVE_BROADCAST, names[i]),
                                                  size, root);
            for (int rank = 0; rank < size; rank++) {
                const struct plan *plan = company.plans[rank];
                cr_expect_eq(sent_by_rank(plan, 999), 0);
                cr_expect_eq(moved_by_rank(plan, 999), rank == root ? 0 : 999);
                cr_expect_eq(moved_with(plan, 999, root), rank == root ? 0 : 999);
                bool stages = rank == root && i == 0;
                cr_expect_eq(copied_inside(plan, 999), stages ? 999 : 0);
            }
            company_finish(&company);
        }
    }
}

/* ---- Hierarchies: counted per level, by which pair of ranks it joins ------------------------ */

/* The innermost level on which two ranks share a group; the number of levels when on none. */
static int level_between(const struct hierarchy *hierarchy, int one, int other)
{
    int level = 0;
    while (level < hierarchy->levels &&
           hierarchy->group[level][one] != hierarchy->group[level][other]) {
        level++;
    }
    return level;
}

static void moved_per_level(const struct company *company, const struct hierarchy *hierarchy,
                            size_t count, size_t *moved)
{
    for (int rank = 0; rank < company->size; rank++) {
        for (int peer = 0; peer < company->size; peer++) {
            moved[level_between(hierarchy, rank, peer)] += moved_with(company->plans[rank], count,
                                                                      peer);
        }
    }
}

/* What stands on a level: its groups, and the groups (or ranks) that these are made of. */
static size_t groups_on(const struct hierarchy *hierarchy, int level)
{
    if (level < 0) {
        return (size_t)hierarchy->size;
    }
    return level < hierarchy->levels ? (size_t)hierarchy->group_count[level] : 1;
}

/* A group of m members moves 2 (m - 1) n inside; so a level moves 2 n (members - groups). */
static void expect_levels(const struct algorithm *top, const struct shape *shape, size_t count)
{
    struct hierarchy hierarchy;
    cr_assert(hierarchy_init(&hierarchy, shape->size, shape->levels, shape->labels) == WW_OK);
    struct company company = company_nested(top, shape);
    size_t moved[SHAPE_LEVELS_MAX + 1] = {0};
    moved_per_level(&company, &hierarchy, count, moved);
    for (int level = 0; level < hierarchy.levels; level++) {
        size_t members = groups_on(&hierarchy, level - 1);
        cr_expect_eq(moved[level], 2 * count * (members - groups_on(&hierarchy, level)),
                     "%s on %s, %zu elements, level %d", top->name, shape->name, count, level);
    }
    size_t outermost = groups_on(&hierarchy, hierarchy.levels - 1);
    /* Halving cuts every shard in two for itself, which rounds elsewhere: exact for powers. */
    if (strcmp(top->name, "halving") != 0 || outermost == power_below(outermost)) {
        cr_expect_eq(moved[hierarchy.levels], formula_of(top)->elements(outermost, count),
                     "%s on %s, %zu elements, between the groups: %zu", top->name, shape->name,
                     count, moved[hierarchy.levels]);
    }
    company_finish(&company);
    hierarchy_finish(&hierarchy);
}

/* Inside an innermost group that sees its memory the same is read that is sent elsewhere. */
static void expect_levels_both_ways(const struct algorithm *top, struct shape shape, size_t count)
{
    for (int seen = 0; seen < 2; seen++) {
        shape.seen = seen;
        expect_levels(top, &shape, count);
    }
}

Test(bytes, hierarchies_move_the_least_inside_and_what_their_top_says_between)
{
    static const int uneven[][6] = {{2, 2}, {3, 1}, {4, 2, 1}, {5, 1, 1, 3}, {4, 4, 4, 4}, {8, 8}};
    for (int a = 0; algorithms[a] != NULL && algorithms[a]->collective == COLLECTIVE_ALL_REDUCE;
         a++) {
        for (size_t i = 0; algorithms[a]->needs == NEEDS_MESSAGES && i < COUNTS; i++) {
            for (size_t u = 0; u < sizeof(uneven) / sizeof(uneven[0]); u++) {
                expect_levels_both_ways(algorithms[a], shape_groups(uneven[u]), counts[i]);
            }
            expect_levels_both_ways(algorithms[a], shape_nested(2, 3, 2, 2), counts[i]);
            expect_levels_both_ways(algorithms[a], shape_uniform(4, 3, true), counts[i]);
        }
    }
}

Test(bytes, groups_that_see_each_other_send_nothing_inside)
{
    struct shape shape = shape_uniform(3, 4, false);
    shape.seen = true;
    struct company company = company_nested(algorithm_find(COLLECTIVE_ALL_REDUCE, "ring"), &shape);
    for (int rank = 0; rank < company.size; rank++) {
        const struct plan *plan = company.plans[rank];
        for (uint32_t i = 0; i < plan->action_count; i++) {
            const struct action *action = &plan->actions[i];
            bool message = action->kind == ACTION_SEND || action->kind == ACTION_RECEIVE;
            cr_expect(!message || action->peer / 4 != rank / 4, "rank %d and rank %d", rank,
                      action->peer);
        }
    }
    company_finish(&company);
}

/* ---- Boundaries ------------------------------------------------------------------------------ */

Test(bytes, chunks_cover_the_segment_and_fit_the_room_for_them)
{
    for (uint32_t parts = 1; parts <= 130; parts++) {
        for (size_t i = 0; i < COUNTS; i++) {
            size_t count = counts[i];
            cr_expect_eq(plan_boundary(count, parts, 0), 0);
            cr_expect_eq(plan_boundary(count, parts, parts), count);
            for (uint32_t chunk = 0; chunk < parts; chunk++) {
                size_t begin = plan_boundary(count, parts, chunk);
                size_t end = plan_boundary(count, parts, chunk + 1);
                cr_assert(begin <= end, "%zu elements in %u parts, chunk %u", count, parts, chunk);
                size_t even = count / parts;
                cr_expect(end - begin <= even + 16 && end - begin + 16 >= even,
                          "%zu elements in %u parts: chunk %u has %zu", count, parts, chunk,
                          end - begin);
            }
        }
    }
}

static void expect_room(size_t count, uint32_t parts, uint32_t chunks)
{
    size_t room = plan_chunks_max(count, parts, chunks);
    for (uint32_t first = 0; first + chunks <= parts; first++) {
        size_t held = plan_boundary(count, parts, first + chunks) -
                      plan_boundary(count, parts, first);
        cr_expect(held <= room, "%zu elements, chunks %u + %u of %u: %zu in room for %zu", count,
                  first, chunks, parts, held, room);
    }
}

Test(bytes, the_room_for_chunks_suffices_for_any_neighbours)
{
    for (uint32_t parts = 1; parts <= 40; parts++) {
        for (uint32_t chunks = 1; chunks <= parts; chunks++) {
            for (size_t i = 0; i < COUNTS; i++) {
                expect_room(counts[i], parts, chunks);
            }
            expect_room(SIZE_MAX / 8, parts, chunks);
        }
    }
}

Test(bytes, huge_counts_do_not_overflow)
{
    size_t count = SIZE_MAX / 8;
    for (uint32_t parts = 1; parts <= 2000; parts += 37) {
        size_t before = 0;
        for (uint32_t chunk = 1; chunk <= parts; chunk++) {
            size_t begin = plan_boundary(count, parts, chunk);
            cr_assert(begin > before && begin - before <= count / parts + 17,
                      "chunk %u of %u begins at %zu after %zu", chunk, parts, begin, before);
            before = begin;
        }
    }
}

/* ---- The engine's own account ---------------------------------------------------------------- */

/* A topology of two levels by hand: what run_plan_bytes looks at. */
static void fill_levels(struct topology *topology, int rank, int size, int each)
{
    topology->rank = rank;
    topology->size = size;
    topology->levels = 2;
    topology->host_levels = 1;
    for (int peer = 0; peer < size; peer++) {
        topology->peer_level[peer] = peer / each != rank / each;
    }
}

static void add_planned(const struct plan *plan, const struct topology *topology, size_t count,
                        enum ww_type type, size_t segment_bytes, uint64_t *bytes)
{
    struct run_request request = {
        .plan = plan,
        .count = count,
        .type = type,
        .segment_bytes = segment_bytes,
        .window = 1,
        .coding = {.spec = {.kind = plan->coded ? CODEC_BF16 : CODEC_NONE}}};
    run_plan_bytes(&request, topology, bytes);
}

static void expect_account(const struct plan *plan, struct topology *topology, size_t count,
                           size_t segment_bytes, uint64_t wanted)
{
    uint64_t bytes[2] = {5, 7};
    add_planned(plan, topology, count, WW_F32, segment_bytes, bytes);
    cr_expect_eq(bytes[0] + bytes[1] - 12, wanted,
                 "%s %s, rank %d of %d, %zu elements in segments of %zu bytes: %llu, not %llu",
                 collective_names[plan->collective], plan->name, plan->rank, plan->size, count,
                 segment_bytes, (unsigned long long)(bytes[0] + bytes[1] - 12),
                 (unsigned long long)wanted);
}

/* As fp32, or, where frames travel, as bf16 with a head of 16 bytes each. */
static uint64_t bytes_of_rank(const struct plan *plan, size_t count)
{
    uint64_t bytes = sizeof(float) * moved_by_rank(plan, count);
    for (uint32_t i = 0; plan->coded && i < plan->action_count; i++) {
        const struct action *action = &plan->actions[i];
        size_t elements = elements_of(plan, count, &action->slice);
        if (action->kind == ACTION_SEND && !action->head && elements > 0) {
            bytes += 16;
            bytes -= 2 * elements;
        }
    }
    return bytes;
}

Test(bytes, the_engine_plans_the_same_bytes_in_one_segment)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        for (int size = 1; size <= 9; size++) {
            struct company company = company_flat(algorithms[a], size, 0);
            uint8_t levels[9];
            struct topology topology = {.peer_level = levels};
            for (int rank = 0; rank < size; rank++) {
                fill_levels(&topology, rank, size, 2);
                for (size_t i = 0; i < COUNTS; i++) {
                    expect_account(company.plans[rank], &topology, counts[i], (size_t)1 << 40,
                                   bytes_of_rank(company.plans[rank], counts[i]));
                }
            }
            company_finish(&company);
        }
    }
}

/* Where the total is a multiple of n it does not depend on the segments. */
Test(bytes, segments_do_not_change_what_all_move_together)
{
    for (int a = 0; algorithms[a] != NULL; a++) {
        if (formula_of(algorithms[a])->elements == halving ||
            formula_of(algorithms[a])->elements == deal_and_pass || algorithms[a]->coded) {
            continue; /* every frame has a head */
        }
        for (size_t i = 0; i < COUNTS; i++) {
            struct company company = company_flat(algorithms[a], 7, 3);
            uint8_t levels[7];
            struct topology topology = {.peer_level = levels};
            uint64_t bytes[2] = {0, 0};
            for (int rank = 0; rank < company.size; rank++) {
                fill_levels(&topology, rank, company.size, 3);
                add_planned(company.plans[rank], &topology, counts[i], WW_F32, 4096, bytes);
            }
            cr_expect_eq(bytes[0] + bytes[1],
                         sizeof(float) * formula_of(algorithms[a])->elements(7, counts[i]),
                         "%s %s, %zu elements in segments of 4096 bytes",
                         collective_names[algorithms[a]->collective], algorithms[a]->name,
                         counts[i]);
            company_finish(&company);
        }
    }
}

/* What nobody in the plan needs again may leave the caches. */
Test(bytes, plans_know_whether_they_read_their_output)
{
    static const struct {
        enum collective collective;
        const char *name;
        const char *read; /* by rank, of 4 ranks with root 1 */
    } rows[] = {
        {COLLECTIVE_ALL_REDUCE, "staged", "----"},  {COLLECTIVE_ALL_REDUCE, "viewed", "----"},
        {COLLECTIVE_ALL_REDUCE, "fetched", "rrrr"}, {COLLECTIVE_ALL_REDUCE, "ring", "rrrr"},
        {COLLECTIVE_ALL_GATHER, "staged", "----"},  {COLLECTIVE_ALL_GATHER, "fetched", "----"},
        {COLLECTIVE_ALL_GATHER, "direct", "----"},  {COLLECTIVE_ALL_GATHER, "ring", "rrrr"},
        {COLLECTIVE_BROADCAST, "staged", "-r--"},   {COLLECTIVE_BROADCAST, "viewed", "----"},
        {COLLECTIVE_BROADCAST, "tree", "-rr-"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct company company = company_flat(algorithm_find(rows[i].collective, rows[i].name), 4,
                                              1);
        char read[] = "----";
        for (int rank = 0; rank < company.size; rank++) {
            read[rank] = company.plans[rank]->output_read ? 'r' : '-';
        }
        cr_expect_str_eq(read, rows[i].read, "%s %s", collective_names[rows[i].collective],
                         rows[i].name);
        company_finish(&company);
    }
}

static void expect_split_by_level(bool seen)
{
    struct shape shape = shape_uniform(4, 3, false);
    shape.seen = seen;
    struct company company = company_nested(algorithm_find(COLLECTIVE_ALL_REDUCE, "ring"), &shape);
    uint8_t levels[12];
    struct topology topology = {.peer_level = levels};
    uint64_t bytes[2] = {0, 0};
    for (int rank = 0; rank < company.size; rank++) {
        fill_levels(&topology, rank, company.size, 3);
        add_planned(company.plans[rank], &topology, 100003, WW_F16, 8192, bytes);
    }
    cr_expect_eq(bytes[0], 2 * 4 * least(3, 100003), "inside the groups");
    cr_expect_eq(bytes[1], 2 * least(4, 100003), "between the groups");
    company_finish(&company);
}

Test(bytes, hierarchical_bytes_are_split_by_level)
{
    expect_split_by_level(false);
    expect_split_by_level(true);
}
