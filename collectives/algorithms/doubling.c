/* SPDX-License-Identifier: BSD-3-Clause
 * doubling.c: recursive doubling: log2 p exchanges of the whole vector, for small vectors.
 *
 * With 2^k + e ranks the first 2 e pair up: the odd one hands its contribution to the even one
 * and gets the result at the end. Both partners of an exchange sum the lower one's value first,
 * so all ranks get the same bits. */
#include "algorithm.h"

#include "fold.h"

/* Exchanges the sum so far with every partner; returns the step after the last one. */
static int exchange(struct plan_writer *writer, const struct task *task, const struct fold *fold,
                    uint16_t slot, int step)
{
    uint16_t scratch = plan_scratch(writer, task->unit);
    struct slice into = task_slice(task, SLOT_OUTPUT, 0, 1);
    for (int distance = 1; distance < fold->core; distance *= 2, step++) {
        int partner = fold->index ^ distance;
        int peer = task->ranks[fold_member(fold, partner)];
        struct slice own = task_slice(task, slot, 0, 1);
        struct slice theirs = task_slice(task, scratch, 0, 1);
        plan_send(writer, step, peer, own);
        plan_receive(writer, step, peer, theirs);
        plan_source(writer, fold->index < partner ? own : theirs);
        plan_source(writer, fold->index < partner ? theirs : own);
        plan_reduce(writer, step + 1, into, task->finish && distance * 2 == fold->core);
        slot = SLOT_OUTPUT;
    }
    return step;
}

static int write(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    struct fold fold = fold_of(task->count, task->me);
    struct slice own = task_slice(task, task->source, 0, 1);
    struct slice into = task_slice(task, SLOT_OUTPUT, 0, 1);
    int first = task->step + (fold.extra > 0);
    int last = first + fold.levels;
    if (fold.role == FOLD_GIVES) {
        plan_send(writer, task->step, task->ranks[task->me - 1], own);
        plan_receive(writer, last, task->ranks[task->me - 1], into);
    } else if (fold.role == FOLD_TAKES) {
        struct slice theirs = task_slice(task, plan_scratch(writer, task->unit), 0, 1);
        plan_receive(writer, task->step, task->ranks[task->me + 1], theirs);
        plan_source(writer, own);
        plan_source(writer, theirs);
        plan_reduce(writer, first, into, false);
        exchange(writer, task, &fold, SLOT_OUTPUT, first);
        plan_send(writer, last, task->ranks[task->me + 1], into);
    } else {
        exchange(writer, task, &fold, task->source, first);
    }
    return last + 1;
}

const struct algorithm algorithm_doubling = {
    .name = "doubling",
    .about = "recursive doubling; log2 p exchanges of the whole vector",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = false,
    .parts = parts_one,
    .write = write,
};
