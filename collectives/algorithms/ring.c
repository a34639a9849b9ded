/* SPDX-License-Identifier: BSD-3-Clause
 * ring.c: plans collectives as a ring: every rank talks to its two neighbours only.
 *
 * Part c starts at rank c + 1 and travels upwards, each rank adding its own contribution, until
 * rank c owns the sum; then sums travel round once more. 2 (p - 1) exchanges, 2 (p - 1) / p n
 * bytes per rank. Sums are rounded at every rank, so 16-bit types do not come here. */
#include "algorithm.h"

static uint32_t part_at(const struct task *task, int offset)
{
    int part = (task->me + offset) % task->count;
    return (uint32_t)(part < 0 ? part + task->count : part);
}

static int next_rank(const struct task *task)
{
    return task->ranks[(task->me + 1) % task->count];
}

static int previous_rank(const struct task *task)
{
    return task->ranks[(task->me - 1 + task->count) % task->count];
}

/* Step k: part me - 1 - k leaves, part me - 2 - k arrives and takes up the own contribution.
 * In a reduce-scatter the sums on their way stay in scratch: the output has room for one part. */
static int scatter(struct plan_writer *writer, const struct task *task, bool keep_in_output)
{
    bool alternate = !keep_in_output && task->count > 2;
    uint16_t arriving[2] = {plan_scratch(writer, task->unit), 0};
    arriving[1] = alternate ? plan_scratch(writer, task->unit) : arriving[0];
    struct slice leaving = task_slice(task, task->source, part_at(task, -1), 1);
    int step = task->step;
    for (int k = 0; k < task->count - 1; k++, step++) {
        uint32_t part = part_at(task, -2 - k);
        bool last = k == task->count - 2;
        struct slice arrived = task_slice(task, arriving[k % 2], part, 1);
        plan_send(writer, step, next_rank(task), leaving);
        plan_receive(writer, step, previous_rank(task), arrived);
        struct slice sum = keep_in_output || last ? task_slice(task, SLOT_OUTPUT, part, 1)
                                                  : arrived;
        plan_source(writer, arrived);
        plan_source(writer, task_slice(task, task->source, part, 1));
        plan_reduce(writer, step + 1, sum, task->finish && last);
        leaving = sum;
    }
    return step;
}

/* Step k: part me - k leaves, the own one from slot `own`, part me - 1 - k arrives in its place. */
static int gather(struct plan_writer *writer, const struct task *task, int step, uint16_t own)
{
    for (int k = 0; k < task->count - 1; k++, step++) {
        plan_send(writer, step, next_rank(task),
                  task_slice(task, k == 0 ? own : SLOT_OUTPUT, part_at(task, -k), 1));
        plan_receive(writer, step, previous_rank(task),
                     task_slice(task, SLOT_OUTPUT, part_at(task, -1 - k), 1));
    }
    return step;
}

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    return gather(writer, task, scatter(writer, task, true), SLOT_OUTPUT);
}

static int write_reduce_scatter(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    return scatter(writer, task, false) + 1;
}

static int write_all_gather(struct plan_writer *writer, const struct task *task)
{
    uint32_t me = (uint32_t)task->me;
    plan_copy(writer, task->step, task_slice(task, SLOT_OUTPUT, me, 1),
              task_slice(task, SLOT_INPUT, me, 1));
    return gather(writer, task, task->step, SLOT_INPUT) + 1;
}

const struct algorithm algorithm_ring = {
    .name = "ring",
    .about = "neighbours only; 2 (p - 1) exchanges, least bytes",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = false,
    .parts = parts_per_rank,
    .write = write_all_reduce,
};

const struct algorithm algorithm_reduce_scatter_ring = {
    .name = "ring",
    .about = "neighbours only; p - 1 exchanges, least bytes",
    .collective = COLLECTIVE_REDUCE_SCATTER,
    .one_rounding = false,
    .parts = parts_per_rank,
    .write = write_reduce_scatter,
};

const struct algorithm algorithm_all_gather_ring = {
    .name = "ring",
    .about = "neighbours only; p - 1 exchanges, least bytes",
    .collective = COLLECTIVE_ALL_GATHER,
    .one_rounding = true,
    .parts = parts_per_rank,
    .write = write_all_gather,
};
