/* SPDX-License-Identifier: BSD-3-Clause
 * hierarchical.c: composes an all-reduce over nested groups out of smaller ones.
 *
 * Going out, each level reduce-scatters among the members of its groups: a member stands for a
 * whole group of the level below. What is left, a shard per owner, is all-reduced across the
 * outermost groups by any flat algorithm; going in, each level gathers again.
 *
 *     host A: 0 1 2    shards 0 1 2    across: {0,3} {1,4} {2,3}    and back in
 *     host B: 3 4
 *
 * A level cuts every piece into as many shards as its largest group has members; in smaller
 * groups some members own several, so groups need not be equal. A piece is named by its path:
 * the shard taken at level 0, at level 1, and so on.
 *
 * Where ranks of one innermost group see each other's memory, nothing is sent there: shards are
 * staged in scratch that all see, each in a slot of its own, and results come back the same way. */
#include "algorithm.h"

#include <assert.h>
#include <stdlib.h>

#include "internal/log.h"

/* One group: the members of level 0 are ranks, above they are groups of the level below. */
struct node {
    int count;
    int *members; /* points into atlas.members */
};

/* The hierarchy as a tree. */
struct atlas {
    int size;
    int levels;                            /* below the top */
    struct node *nodes[WW_LEVELS_MAX + 1]; /* by level and group; the last level is the top */
    int node_count[WW_LEVELS_MAX + 1];
    uint32_t shards[WW_LEVELS_MAX];    /* per piece */
    uint32_t parts[WW_LEVELS_MAX + 1]; /* chunks in a piece that enters the level */
    int *members[WW_LEVELS_MAX + 1];
};

/* A piece: a path of shards and the chunks it covers. */
struct piece {
    int level; /* shards chosen so far */
    uint32_t path[WW_LEVELS_MAX];
    uint32_t first;
};

struct composer {
    const struct atlas *atlas;
    const struct hierarchy *hierarchy;
    struct plan_writer *writer;
    int rank;
    uint16_t source; /* where this rank's sums are so far */
    uint16_t stage;  /* slot of the first shard, where the innermost group sees its memory */
    int step;
    int *owners; /* room for the members of one group */
};

static void atlas_finish(struct atlas *atlas)
{
    for (int level = 0; level <= atlas->levels; level++) {
        free(atlas->nodes[level]);
        free(atlas->members[level]);
    }
}

/* The group above that a member of `level` belongs to; above the last level there is one. */
static int group_above(const struct hierarchy *hierarchy, int level, int rank)
{
    return level < hierarchy->levels ? hierarchy->group[level][rank] : 0;
}

/* Fills the groups of one level: their members are the groups of the level below, in order. */
static bool atlas_level(struct atlas *atlas, const struct hierarchy *hierarchy, int level)
{
    int members = level == 0 ? atlas->size : atlas->node_count[level - 1];
    int groups = level < hierarchy->levels ? hierarchy->group_count[level] : 1;
    atlas->node_count[level] = groups;
    atlas->nodes[level] = calloc((size_t)groups, sizeof *atlas->nodes[level]);
    atlas->members[level] = calloc((size_t)members, sizeof *atlas->members[level]);
    int *group_of = calloc((size_t)members, sizeof *group_of);
    if (atlas->nodes[level] == NULL || atlas->members[level] == NULL || group_of == NULL) {
        free(group_of);
        return false;
    }
    struct node *nodes = atlas->nodes[level];
    for (int rank = 0; rank < atlas->size; rank++) {
        int member = level == 0 ? rank : hierarchy->group[level - 1][rank];
        group_of[member] = group_above(hierarchy, level, rank);
    }
    for (int member = 0; member < members; member++) {
        nodes[group_of[member]].count++;
    }
    int *place = atlas->members[level];
    for (int group = 0; group < groups; group++) {
        nodes[group].members = place;
        place += nodes[group].count;
        nodes[group].count = 0;
    }
    for (int member = 0; member < members; member++) {
        struct node *node = &nodes[group_of[member]];
        node->members[node->count++] = member;
    }
    free(group_of);
    return true;
}

static uint32_t largest_group(const struct atlas *atlas, int level)
{
    int largest = 1;
    for (int group = 0; group < atlas->node_count[level]; group++) {
        if (atlas->nodes[level][group].count > largest) {
            largest = atlas->nodes[level][group].count;
        }
    }
    return (uint32_t)largest;
}

static bool atlas_init(struct atlas *atlas, const struct hierarchy *hierarchy,
                       const struct algorithm *top)
{
    *atlas = (struct atlas){.size = hierarchy->size, .levels = hierarchy->levels};
    for (int level = 0; level <= atlas->levels; level++) {
        if (!atlas_level(atlas, hierarchy, level)) {
            return false;
        }
    }
    atlas->parts[atlas->levels] = top->parts(atlas->nodes[atlas->levels][0].count);
    for (int level = atlas->levels - 1; level >= 0; level--) {
        atlas->shards[level] = largest_group(atlas, level);
        atlas->parts[level] = atlas->parts[level + 1] * atlas->shards[level];
    }
    return true;
}

/* The rank that owns a piece in group `group` of `level`, or the rank itself below level 0. */
static int owner_of(const struct atlas *atlas, int level, int group, const uint32_t *path)
{
    while (level >= 0) {
        const struct node *node = &atlas->nodes[level][group];
        group = node->members[path[level] % (uint32_t)node->count];
        level--;
    }
    return group;
}

/* This rank's group on a level, and its own index there. */
static const struct node *own_group(const struct composer *composer, int level, int *me)
{
    const struct hierarchy *hierarchy = composer->hierarchy;
    int group = group_above(hierarchy, level, composer->rank);
    int member = level == 0 ? composer->rank : hierarchy->group[level - 1][composer->rank];
    const struct node *node = &composer->atlas->nodes[level][group];
    *me = 0;
    while (node->members[*me] != member) {
        (*me)++;
    }
    return node;
}

/* The ranks that hold a piece in the members of a group: one for each. */
static void find_owners(struct composer *composer, const struct node *node,
                        const struct piece *piece)
{
    for (int i = 0; i < node->count; i++) {
        composer->owners[i] = owner_of(composer->atlas, piece->level - 1, node->members[i],
                                       piece->path);
    }
}

/* The next piece that this rank owns inside its group of level `depth - 1`, in order; the first
 * when piece->level is negative. False when there are no more. */
static bool next_piece(const struct composer *composer, int depth, struct piece *piece)
{
    const struct atlas *atlas = composer->atlas;
    int group = depth == 0 ? 0 : composer->hierarchy->group[depth - 1][composer->rank];
    bool fresh = piece->level < 0;
    piece->level = depth;
    while (true) {
        int level = 0;
        while (!fresh && level < depth && ++piece->path[level] == atlas->shards[level]) {
            piece->path[level++] = 0;
        }
        if (!fresh && level == depth) {
            return false;
        }
        fresh = false;
        if (depth == 0 || owner_of(atlas, depth - 1, group, piece->path) == composer->rank) {
            break;
        }
    }
    piece->first = 0;
    for (int level = 0; level < depth; level++) {
        piece->first += piece->path[level] * atlas->parts[level + 1];
    }
    return true;
}

/* One shard of a piece: to its owner, or from everybody if that is this rank. */
static void scatter_shard(struct composer *composer, const struct node *node, int me,
                          const struct piece *piece, uint32_t shard)
{
    uint32_t chunks = composer->atlas->parts[piece->level + 1];
    struct slice own = {composer->source, 0, piece->first + shard * chunks, chunks};
    int owner = (int)(shard % (uint32_t)node->count);
    if (owner != me) {
        plan_send(composer->writer, composer->step, composer->owners[owner], own);
        return;
    }
    for (int i = 0; i < node->count; i++) {
        struct slice theirs = own;
        if (i != me) {
            theirs.slot = plan_scratch(composer->writer, chunks);
            plan_receive(composer->writer, composer->step, composer->owners[i], theirs);
        }
        plan_source(composer->writer, theirs);
    }
    struct slice sum = own;
    sum.slot = SLOT_OUTPUT;
    plan_reduce(composer->writer, composer->step + 1, sum, false);
}

static void scatter_level(struct composer *composer, int level)
{
    int me;
    const struct node *node = own_group(composer, level, &me);
    struct piece piece = {.level = -1};
    while (node->count > 1 && next_piece(composer, level, &piece)) {
        find_owners(composer, node, &piece);
        for (uint32_t shard = 0; shard < composer->atlas->shards[level]; shard++) {
            scatter_shard(composer, node, me, &piece, shard);
        }
    }
    composer->source = node->count > 1 ? SLOT_OUTPUT : composer->source;
    composer->step++;
}

/* ---- Innermost groups that see each other's memory ---------------------------------------- */

/* Shard `shard` of the whole vector, in a slot. */
static struct slice shard_slice(const struct composer *composer, uint16_t slot, uint32_t shard)
{
    uint32_t chunks = composer->atlas->parts[1];
    return (struct slice){slot, 0, shard * chunks, chunks};
}

static struct slice staged(const struct composer *composer, uint32_t shard)
{
    return shard_slice(composer, (uint16_t)(composer->stage + shard), shard);
}

static void reserve_stage(struct composer *composer)
{
    for (uint32_t shard = 0; shard < composer->atlas->shards[0]; shard++) {
        uint16_t slot = plan_scratch_shared(composer->writer, composer->atlas->parts[1]);
        composer->stage = shard == 0 ? slot : composer->stage;
    }
}

static void await_group(struct composer *composer, const struct node *node, int me, int step)
{
    for (int i = 0; i < node->count; i++) {
        if (i != me) {
            plan_await(composer->writer, step, node->members[i]);
        }
    }
}

static void reduce_staged(struct composer *composer, const struct node *node, int me,
                          uint32_t shard)
{
    for (int i = 0; i < node->count; i++) {
        plan_source(composer->writer, i == me ? shard_slice(composer, composer->source, shard)
                                              : plan_seen(composer->writer, staged(composer, shard),
                                                          node->members[i]));
    }
    plan_reduce(composer->writer, composer->step + 1, shard_slice(composer, SLOT_OUTPUT, shard),
                false);
}

static bool owns(const struct node *node, int member, uint32_t shard)
{
    return (int)(shard % (uint32_t)node->count) == member;
}

static void scatter_seen(struct composer *composer)
{
    int me;
    const struct node *node = own_group(composer, 0, &me);
    uint32_t shards = composer->atlas->shards[0];
    for (uint32_t shard = 0; node->count > 1 && shard < shards; shard++) {
        if (owns(node, me, shard)) {
            reduce_staged(composer, node, me, shard);
        } else {
            plan_copy(composer->writer, composer->step, staged(composer, shard),
                      shard_slice(composer, composer->source, shard));
        }
    }
    await_group(composer, node, me, composer->step + 1);
    composer->source = node->count > 1 ? SLOT_OUTPUT : composer->source;
    composer->step++;
}

/* An owner's slot for its own shard was not needed on the way out. */
static void gather_seen(struct composer *composer)
{
    int me;
    const struct node *node = own_group(composer, 0, &me);
    uint32_t shards = composer->atlas->shards[0];
    for (uint32_t shard = 0; node->count > 1 && shard < shards; shard++) {
        struct slice result = shard_slice(composer, SLOT_OUTPUT, shard);
        int owner = node->members[shard % (uint32_t)node->count];
        if (owns(node, me, shard)) {
            plan_copy(composer->writer, composer->step, staged(composer, shard), result);
        } else {
            plan_copy(composer->writer, composer->step + 1, result,
                      plan_seen(composer->writer, staged(composer, shard), owner));
        }
    }
    await_group(composer, node, me, composer->step + 1);
    await_group(composer, node, me, composer->step + 2);
    composer->step += 3;
}

/* ---- Groups that send ----------------------------------------------------------------------- */

static void gather_shard(struct composer *composer, const struct node *node, int me,
                         const struct piece *piece, uint32_t shard)
{
    uint32_t chunks = composer->atlas->parts[piece->level + 1];
    struct slice result = {SLOT_OUTPUT, 0, piece->first + shard * chunks, chunks};
    int owner = (int)(shard % (uint32_t)node->count);
    if (owner != me) {
        plan_receive(composer->writer, composer->step, composer->owners[owner], result);
        return;
    }
    for (int i = 0; i < node->count; i++) {
        if (i != me) {
            plan_send(composer->writer, composer->step, composer->owners[i], result);
        }
    }
}

static void gather_level(struct composer *composer, int level)
{
    int me;
    const struct node *node = own_group(composer, level, &me);
    struct piece piece = {.level = -1};
    while (node->count > 1 && next_piece(composer, level, &piece)) {
        find_owners(composer, node, &piece);
        for (uint32_t shard = 0; shard < composer->atlas->shards[level]; shard++) {
            gather_shard(composer, node, me, &piece, shard);
        }
    }
    composer->step++;
}

/* Every shard is all-reduced by its owners, all at the same steps: the number of steps depends
 * on the number of outermost groups alone. */
static void write_top(struct composer *composer, const struct algorithm *top)
{
    int me;
    int levels = composer->atlas->levels;
    const struct node *node = own_group(composer, levels, &me);
    struct piece piece = {.level = -1};
    int next = composer->step;
    while (next_piece(composer, levels, &piece)) {
        find_owners(composer, node, &piece);
        struct task task = {.ranks = composer->owners,
                            .count = node->count,
                            .me = me,
                            .first = piece.first,
                            .unit = 1,
                            .source = composer->source,
                            .finish = true,
                            .step = composer->step};
        next = top->write(composer->writer, &task);
    }
    composer->step = next;
}

static enum ww_status compose(struct composer *composer, const struct algorithm *top,
                              struct plan **plan)
{
    const struct atlas *atlas = composer->atlas;
    char name[sizeof(*plan)->name];
    assert(top->needs == NEEDS_MESSAGES);
    snprintf(name, sizeof name, "hierarchical+%s", top->name);
    composer->owners = calloc((size_t)atlas->size, sizeof *composer->owners);
    if (composer->owners != NULL) {
        composer->writer = plan_writer_create(name, COLLECTIVE_ALL_REDUCE, composer->rank,
                                              atlas->size, atlas->parts[0]);
    }
    if (composer->writer == NULL) {
        free(composer->owners);
        return log_failure(WW_NO_MEMORY, "no memory to write a plan for %d ranks", atlas->size);
    }
    bool seen = composer->hierarchy->seen && atlas->levels > 0;
    if (seen) {
        reserve_stage(composer);
        scatter_seen(composer);
    }
    for (int level = seen; level < atlas->levels; level++) {
        scatter_level(composer, level);
    }
    write_top(composer, top);
    for (int level = atlas->levels - 1; level >= (int)seen; level--) {
        gather_level(composer, level);
    }
    if (seen) {
        gather_seen(composer);
    }
    free(composer->owners);
    return plan_writer_finish(composer->writer, plan);
}

enum ww_status plan_hierarchical(const struct algorithm *top, const struct hierarchy *hierarchy,
                                 int rank, struct plan **plan)
{
    struct atlas atlas;
    enum ww_status status;
    if (atlas_init(&atlas, hierarchy, top)) {
        struct composer composer = {
            .atlas = &atlas, .hierarchy = hierarchy, .rank = rank, .source = SLOT_INPUT};
        status = compose(&composer, top, plan);
    } else {
        status = log_failure(WW_NO_MEMORY, "no memory for a hierarchy of %d ranks",
                             hierarchy->size);
    }
    atlas_finish(&atlas);
    return status;
}
