/* SPDX-License-Identifier: BSD-3-Clause
 * tree.c: plans a double binary tree (Sanders, Speck, Traff 2009), and a binomial broadcast.
 *
 * Two trees carry half of the vector each, up as sums and down as results. Members are labelled
 * 1 .. p in order; label v hangs as in a perfect search tree: odd labels are leaves. The second
 * tree shifts labels by one, so that (nearly) everybody is a leaf in one and inner in the other.
 *
 *        4             Tree of 7: in-order, as labels. A label beyond p is skipped: its left
 *     2     6          subtree hangs at the parent that it would have had.
 *    1 3   5 7
 */
#include "algorithm.h"

#define TREES 2
#define NO_LABEL 0

struct node {
    int label;
    int parent; /* NO_LABEL at the root */
    int children[2];
    int height; /* of the subtree: 0 for a leaf */
    int depth;  /* 0 at the root */
};

static int parent_of(int label, int count)
{
    int low = label & -label;
    int parent = (label - low) | (low << 1);
    if (parent <= count) {
        return parent;
    }
    return label - low; /* NO_LABEL when label is the largest power of two: the root */
}

/* The right child is the root of the labels behind `label` in its subtree. */
static int right_child(int label, int count)
{
    int low = label & -label;
    for (int reach = low >> 1; reach > 0; reach >>= 1) {
        if (label + reach <= count) {
            return label + reach;
        }
    }
    return NO_LABEL;
}

static int height_of(int label, int count)
{
    if (label == NO_LABEL) {
        return -1;
    }
    int low = label & -label;
    int left = low > 1 ? height_of(label - low / 2, count) : -1;
    int right = height_of(right_child(label, count), count);
    return 1 + (left > right ? left : right);
}

static int root_of(int count)
{
    int label = 1;
    while (label * 2 <= count) {
        label *= 2;
    }
    return label;
}

static struct node node_of(int label, int count)
{
    int low = label & -label;
    struct node node = {
        .label = label,
        .parent = parent_of(label, count),
        .children = {low > 1 ? label - low / 2 : NO_LABEL, right_child(label, count)},
        .height = height_of(label, count)};
    for (int up = node.parent; up != NO_LABEL; up = parent_of(up, count)) {
        node.depth++;
    }
    return node;
}

static int label_of(const struct task *task, int tree)
{
    return (task->me + tree) % task->count + 1;
}

static int rank_of(const struct task *task, int label, int tree)
{
    return task->ranks[(label - 1 - tree + task->count) % task->count];
}

/* A node sends its sum up at the step of its height: its children did so before. */
static void write_up(struct plan_writer *writer, const struct task *task, const struct node *node,
                     int tree)
{
    uint32_t part = (uint32_t)tree;
    struct slice own = task_slice(task, task->source, part, 1);
    struct slice sum = task_slice(task, SLOT_OUTPUT, part, 1);
    int step = task->step + node->height;
    if (node->height > 0) {
        plan_source(writer, own);
    }
    for (int c = 0; c < 2; c++) {
        int child = node->children[c];
        if (child != NO_LABEL) {
            struct slice theirs = task_slice(task, plan_scratch(writer, task->unit), part, 1);
            plan_receive(writer, task->step + height_of(child, task->count),
                         rank_of(task, child, tree), theirs);
            plan_source(writer, theirs);
        }
    }
    if (node->height > 0) {
        plan_reduce(writer, step, sum, task->finish && node->parent == NO_LABEL);
    }
    if (node->parent != NO_LABEL) {
        plan_send(writer, step, rank_of(task, node->parent, tree), node->height > 0 ? sum : own);
    }
}

/* Results go down one level per step, from the step at which the root has its sum. */
static void write_down(struct plan_writer *writer, const struct task *task, const struct node *node,
                       int tree, int root_step)
{
    struct slice result = task_slice(task, SLOT_OUTPUT, (uint32_t)tree, 1);
    if (node->parent != NO_LABEL) {
        plan_receive(writer, root_step + node->depth - 1, rank_of(task, node->parent, tree),
                     result);
    }
    for (int c = 0; c < 2; c++) {
        if (node->children[c] != NO_LABEL) {
            plan_send(writer, root_step + node->depth, rank_of(task, node->children[c], tree),
                      result);
        }
    }
}

static uint32_t parts_per_tree(int count)
{
    return count == 1 ? 1 : TREES;
}

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    int height = height_of(root_of(task->count), task->count);
    for (int tree = 0; tree < TREES; tree++) {
        struct node node = node_of(label_of(task, tree), task->count);
        write_up(writer, task, &node, tree);
        write_down(writer, task, &node, tree, task->step + height);
    }
    return task->step + 2 * height + 1;
}

/* Step k: members 0 .. 2^k - 1, counted from the root, have it and tell member + 2^k. */
static int write_broadcast(struct plan_writer *writer, const struct task *task)
{
    struct slice values = task_slice(task, SLOT_OUTPUT, 0, 1);
    int me = (task->me - task->root + task->count) % task->count;
    int step = task->step;
    for (int have = 1; have < task->count; have *= 2, step++) {
        if (me < have && me + have < task->count) {
            int to = (task->me + have) % task->count;
            plan_send(writer, step, task->ranks[to], values);
        } else if (me >= have && me < 2 * have) {
            int from = (task->me - have + task->count) % task->count;
            plan_receive(writer, step, task->ranks[from], values);
        }
    }
    return step;
}

const struct algorithm algorithm_tree = {
    .name = "tree",
    .about = "double binary tree; about 4 log2 p exchanges, pipelined over segments",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = false,
    .parts = parts_per_tree,
    .write = write_all_reduce,
};

const struct algorithm algorithm_broadcast_tree = {
    .name = "tree",
    .about = "binomial tree; log2 p exchanges",
    .collective = COLLECTIVE_BROADCAST,
    .one_rounding = true,
    .parts = parts_one,
    .write = write_broadcast,
};
