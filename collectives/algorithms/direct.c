/* SPDX-License-Identifier: BSD-3-Clause
 * direct.c: everybody sends everything to everybody: one exchange, for small vectors.
 *
 * All-reduce: every rank sums all contributions itself, in the order of the ranks, so that all
 * get the same bits. Each rank sends (p - 1) n bytes. All-gather: the same without the sum. */
#include "algorithm.h"

/* Receives every peer's `slice`, each into scratch of its own; slots count up with the peers. */
static uint16_t exchange_whole(struct plan_writer *writer, const struct task *task,
                               struct slice own)
{
    uint16_t first_slot = 0;
    for (int i = 0; i < task->count; i++) {
        if (i == task->me) {
            continue;
        }
        struct slice theirs = own;
        theirs.slot = plan_scratch(writer, own.count);
        if (first_slot == 0) {
            first_slot = theirs.slot;
        }
        plan_receive(writer, task->step, task->ranks[i], theirs);
        plan_send(writer, task->step, task->ranks[i], own);
    }
    return first_slot;
}

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    struct slice own = task_slice(task, task->source, 0, 1);
    uint16_t slot = exchange_whole(writer, task, own);
    for (int i = 0; i < task->count; i++) {
        struct slice theirs = own;
        theirs.slot = slot;
        plan_source(writer, i == task->me ? own : theirs);
        slot = (uint16_t)(slot + (i != task->me));
    }
    plan_reduce(writer, task->step + 1, task_slice(task, SLOT_OUTPUT, 0, 1), task->finish);
    return task->step + 2;
}

static int write_all_gather(struct plan_writer *writer, const struct task *task)
{
    uint32_t me = (uint32_t)task->me;
    struct slice own = task_slice(task, SLOT_INPUT, me, 1);
    plan_copy(writer, task->step, task_slice(task, SLOT_OUTPUT, me, 1), own);
    for (int i = 0; i < task->count; i++) {
        if (i != task->me) {
            plan_receive(writer, task->step, task->ranks[i],
                         task_slice(task, SLOT_OUTPUT, (uint32_t)i, 1));
            plan_send(writer, task->step, task->ranks[i], own);
        }
    }
    return task->step + 1;
}

const struct algorithm algorithm_direct = {
    .name = "direct",
    .about = "everybody sends everything to everybody; one exchange",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = true,
    .parts = parts_one,
    .write = write_all_reduce,
};

const struct algorithm algorithm_all_gather_direct = {
    .name = "direct",
    .about = "everybody sends its share to everybody; one exchange",
    .collective = COLLECTIVE_ALL_GATHER,
    .one_rounding = true,
    .parts = parts_per_rank,
    .write = write_all_gather,
};
