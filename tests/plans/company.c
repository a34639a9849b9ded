/* SPDX-License-Identifier: BSD-3-Clause
 * company.c: makes the plans of all ranks, and groupings for them. */
#include "company.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Shapes ------------------------------------------------------------------------------- */

struct shape shape_groups(const int *sizes)
{
    struct shape shape = {.levels = 1};
    size_t used = 0;
    for (int group = 0; sizes[group] != 0; group++) {
        for (int i = 0; i < sizes[group]; i++) {
            shape.labels[shape.size++] = (uint64_t)group;
        }
        used += (size_t)snprintf(shape.name + used, sizeof(shape.name) - used, "%s%d",
                                 group == 0 ? "groups of " : ",", sizes[group]);
    }
    return shape;
}

struct shape shape_uniform(int groups, int each, bool interleaved)
{
    struct shape shape = {.levels = 1, .size = groups * each};
    for (int rank = 0; rank < shape.size; rank++) {
        shape.labels[rank] = (uint64_t)(interleaved ? rank % groups : rank / each);
    }
    snprintf(shape.name, sizeof(shape.name), "%d groups of %d%s", groups, each,
             interleaved ? ", interleaved" : "");
    return shape;
}

struct shape shape_nested(int racks, int hosts, int sockets, int ranks)
{
    struct shape shape = {.levels = 3, .size = racks * hosts * sockets * ranks};
    for (int rank = 0; rank < shape.size; rank++) {
        shape.labels[rank] = (uint64_t)(rank / ranks);
        shape.labels[shape.size + rank] = (uint64_t)(rank / ranks / sockets);
        shape.labels[2 * shape.size + rank] = (uint64_t)(rank / ranks / sockets / hosts);
    }
    snprintf(shape.name, sizeof(shape.name), "%d racks of %d hosts of %d sockets of %d ranks",
             racks, hosts, sockets, ranks);
    return shape;
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

struct shape shape_drawn(int size, uint64_t seed)
{
    struct shape shape = {.levels = 3, .size = size};
    uint64_t state = seed;
    for (int rank = 0; rank < size; rank++) {
        for (int level = 0; level < shape.levels; level++) {
            uint64_t kinds = (uint64_t)(4 - level);
            shape.labels[level * size + rank] = draw(&state) % kinds;
        }
    }
    snprintf(shape.name, sizeof(shape.name), "%d ranks drawn with seed %llu", size,
             (unsigned long long)seed);
    return shape;
}

/* ---- Companies ---------------------------------------------------------------------------- */

static void *demand(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory for the plans\n");
        abort();
    }
    return memory;
}

static void demand_ok(enum ww_status status)
{
    if (status != WW_OK) {
        fprintf(stderr, "a plan could not be written: %s\n", ww_status_name(status));
        abort();
    }
}

struct company company_flat(const struct algorithm *algorithm, int size, int root)
{
    struct company company = {.size = size,
                              .root = root,
                              .one_rounding = algorithm->one_rounding,
                              .rank_order = algorithm->needs != NEEDS_MESSAGES,
                              .needs = algorithm->needs};
    company.plans = demand(calloc((size_t)size, sizeof(*company.plans)));
    for (int rank = 0; rank < size; rank++) {
        demand_ok(plan_flat(algorithm, rank, size, root, &company.plans[rank]));
    }
    return company;
}

struct company company_nested(const struct algorithm *top, const struct shape *shape)
{
    struct company company = {.size = shape->size,
                              .needs = shape->seen ? NEEDS_SCRATCH : NEEDS_MESSAGES};
    struct hierarchy hierarchy;
    demand_ok(hierarchy_init(&hierarchy, shape->size, shape->levels, shape->labels));
    hierarchy.seen = shape->seen;
    company.plans = demand(calloc((size_t)shape->size, sizeof(*company.plans)));
    for (int rank = 0; rank < shape->size; rank++) {
        demand_ok(plan_hierarchical(top, &hierarchy, rank, &company.plans[rank]));
    }
    hierarchy_finish(&hierarchy);
    return company;
}

static void *copy_array(const void *from, size_t count, size_t entry_bytes)
{
    void *copy = demand(calloc(count + 1, entry_bytes));
    if (count > 0) {
        memcpy(copy, from, count * entry_bytes);
    }
    return copy;
}

static struct plan *copy_plan(const struct plan *plan)
{
    struct plan *copy = demand(malloc(sizeof(*copy)));
    *copy = *plan;
    copy->actions = copy_array(plan->actions, plan->action_count, sizeof(*plan->actions));
    copy->sources = copy_array(plan->sources, plan->source_count, sizeof(*plan->sources));
    copy->rounds = copy_array(plan->rounds, plan->round_count, sizeof(*plan->rounds));
    copy->peers_seen = copy_array(plan->peers_seen, plan->seen_count, sizeof(*plan->peers_seen));
    copy->slot_chunks = copy_array(plan->slot_chunks, plan->slot_count, sizeof(*plan->slot_chunks));
    copy->slot_framed = copy_array(plan->slot_framed, plan->slot_count, sizeof(*plan->slot_framed));
    return copy;
}

struct company company_copy(const struct company *company)
{
    struct company copy = *company;
    copy.plans = demand(calloc((size_t)company->size, sizeof(*copy.plans)));
    for (int rank = 0; rank < company->size; rank++) {
        copy.plans[rank] = copy_plan(company->plans[rank]);
    }
    return copy;
}

void company_finish(struct company *company)
{
    for (int rank = 0; rank < company->size; rank++) {
        plan_destroy(company->plans[rank]);
    }
    free(company->plans);
    *company = (struct company){0};
}

bool company_prove(const struct company *company, bool in_place, uint32_t segments, uint32_t window,
                   uint64_t seed, struct verdict *verdict)
{
    struct claim claim = {.plans = (const struct plan *const *)company->plans,
                          .size = company->size,
                          .root = company->root,
                          .in_place = in_place,
                          .one_rounding = company->one_rounding,
                          .rank_order = company->rank_order,
                          .needs = company->needs,
                          .segments = segments,
                          .window = window,
                          .seed = seed};
    return prove(&claim, verdict);
}

bool company_holds(const struct company *company, uint64_t seed)
{
    uint64_t state = seed + (uint64_t)company->size;
    for (int in_place = 0; in_place < 2; in_place++) {
        uint32_t segments = 1 + (uint32_t)(draw(&state) % 6);
        uint32_t window = 1 + (uint32_t)(draw(&state) % 4);
        struct verdict verdict;
        if (!company_prove(company, in_place, segments, window, seed + (uint64_t)in_place,
                           &verdict)) {
            fprintf(stderr, "%s\n    (%s; in place %d, %u segments, window %u, seed %llu)\n",
                    verdict.sentence, flaw_names[verdict.flaw], in_place, segments, window,
                    (unsigned long long)seed + (unsigned long long)in_place);
            return false;
        }
    }
    return true;
}
