/* SPDX-License-Identifier: BSD-3-Clause
 * sparse.c: every rank's frame goes to all others, and everybody sums all of them in the order of
 * the ranks. One exchange, and nothing is dropped on the way; but a rank receives p - 1 frames of
 * the whole vector, so this is for sparse frames and few ranks. */
#include "algorithm.h"

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    uint16_t first = 0;
    for (int i = 0; i < task->count; i++) {
        uint16_t slot = plan_frame(writer, task->unit);
        first = i == 0 ? slot : first;
    }
    struct slice own = task_slice(task, (uint16_t)(first + task->me), 0, 1);
    plan_encode(writer, task->step, own, task_slice(task, task->source, 0, 1));
    for (int i = 1; i < task->count; i++) {
        int to = (task->me + i) % task->count;
        int from = (task->me - i + task->count) % task->count;
        struct slice theirs = task_slice(task, (uint16_t)(first + from), 0, 1);
        plan_receive_head(writer, task->step, task->ranks[from], theirs);
        plan_send_head(writer, task->step, task->ranks[to], own);
        plan_receive(writer, task->step + 1, task->ranks[from], theirs);
        plan_send(writer, task->step + 1, task->ranks[to], own);
    }
    for (int i = 0; i < task->count; i++) {
        plan_source(writer, task_slice(task, (uint16_t)(first + i), 0, 1));
    }
    plan_reduce(writer, task->step + 2, task_slice(task, SLOT_OUTPUT, 0, 1), task->finish);
    return task->step + 3;
}

const struct algorithm algorithm_sparse = {
    .name = "sparse",
    .about = "every rank's frame to all others, summed by everybody",
    .collective = COLLECTIVE_ALL_REDUCE,
    .coded = true,
    .parts = parts_one,
    .write = write_all_reduce};
