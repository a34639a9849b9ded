/* SPDX-License-Identifier: BSD-3-Clause
 * halving.c: recursive halving, then recursive doubling (Rabenseifner): least bytes in
 * 2 log2 p exchanges.
 *
 * With 2^k + e ranks the first 2 e pair up and reduce half a vector each, so that folding costs
 * half as much as handing whole vectors over; the odd one gets the result at the end. */
#include "algorithm.h"

#include "fold.h"

static uint32_t parts_of_core(int count)
{
    return (uint32_t)fold_of(count, 0).core;
}

static void reduce_pair(struct plan_writer *writer, int step, struct slice into, struct slice low,
                        struct slice high, bool finish)
{
    plan_source(writer, low);
    plan_source(writer, high);
    plan_reduce(writer, step, into, finish);
}

/* Both of a pair reduce one half, then the odd one hands its half over: two steps. */
static void fold_halves(struct plan_writer *writer, const struct task *task,
                        const struct fold *fold)
{
    bool takes = fold->role == FOLD_TAKES;
    uint32_t half = (uint32_t)fold->core / 2;
    int peer = task->ranks[takes ? task->me + 1 : task->me - 1];
    uint32_t mine = takes ? 0 : half;
    struct slice own = task_slice(task, task->source, mine, half);
    struct slice theirs = task_slice(task, plan_scratch(writer, half * task->unit), mine, half);
    struct slice sum = task_slice(task, SLOT_OUTPUT, mine, half);
    plan_send(writer, task->step, peer, task_slice(task, task->source, takes ? half : 0, half));
    plan_receive(writer, task->step, peer, theirs);
    reduce_pair(writer, task->step + 1, sum, takes ? own : theirs, takes ? theirs : own, false);
    if (takes) {
        plan_receive(writer, task->step + 1, peer, task_slice(task, SLOT_OUTPUT, half, half));
    } else {
        plan_send(writer, task->step + 1, peer, sum);
    }
}

/* Halves the range until one part is left, the one numbered as this member. */
static int halve(struct plan_writer *writer, const struct task *task, const struct fold *fold,
                 uint16_t slot, int step)
{
    uint32_t first = 0;
    uint16_t scratch = plan_scratch(writer, (uint32_t)fold->core / 2 * task->unit);
    for (int distance = fold->core / 2; distance >= 1; distance /= 2, step++) {
        uint32_t half = (uint32_t)distance;
        bool low = (fold->index & distance) == 0;
        uint32_t keep = low ? first : first + half;
        int peer = task->ranks[fold_member(fold, fold->index ^ distance)];
        struct slice own = task_slice(task, slot, keep, half);
        struct slice theirs = task_slice(task, scratch, keep, half);
        plan_send(writer, step, peer, task_slice(task, slot, low ? first + half : first, half));
        plan_receive(writer, step, peer, theirs);
        reduce_pair(writer, step + 1, task_slice(task, SLOT_OUTPUT, keep, half), low ? own : theirs,
                    low ? theirs : own, task->finish && distance == 1);
        first = keep;
        slot = SLOT_OUTPUT;
    }
    return step;
}

static int double_back(struct plan_writer *writer, const struct task *task, const struct fold *fold,
                       int step)
{
    for (int distance = 1; distance < fold->core; distance *= 2, step++) {
        int partner = fold->index ^ distance;
        int peer = task->ranks[fold_member(fold, partner)];
        uint32_t width = (uint32_t)distance;
        uint32_t mine = (uint32_t)fold->index & ~(width - 1);
        uint32_t theirs = (uint32_t)partner & ~(width - 1);
        plan_send(writer, step, peer, task_slice(task, SLOT_OUTPUT, mine, width));
        plan_receive(writer, step, peer, task_slice(task, SLOT_OUTPUT, theirs, width));
    }
    return step;
}

static int write(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    struct fold fold = fold_of(task->count, task->me);
    uint32_t parts = (uint32_t)fold.core;
    int first = task->step + (fold.extra > 0 ? 2 : 0);
    int last = first + 2 * fold.levels;
    if (fold.role != FOLD_ALONE) {
        fold_halves(writer, task, &fold);
    }
    if (fold.role != FOLD_GIVES) {
        uint16_t slot = fold.role == FOLD_TAKES ? SLOT_OUTPUT : task->source;
        double_back(writer, task, &fold, halve(writer, task, &fold, slot, first));
    }
    if (fold.role == FOLD_TAKES) {
        plan_send(writer, last, task->ranks[task->me + 1], task_slice(task, SLOT_OUTPUT, 0, parts));
    } else if (fold.role == FOLD_GIVES) {
        plan_receive(writer, last, task->ranks[task->me - 1],
                     task_slice(task, SLOT_OUTPUT, 0, parts));
    }
    return fold.extra > 0 ? last + 1 : last;
}

const struct algorithm algorithm_halving = {
    .name = "halving",
    .about = "recursive halving, then doubling; 2 log2 p exchanges, least bytes",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = false,
    .parts = parts_of_core,
    .write = write,
};
