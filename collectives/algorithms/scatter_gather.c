/* SPDX-License-Identifier: BSD-3-Clause
 * scatter_gather.c: pairwise reduce-scatter, then all-gather: two exchanges, least bytes.
 *
 * Part q of every rank goes straight to rank q, which sums all of them at once, in the order of
 * the ranks, and sends the sum to everybody. Each element is rounded in one place only, so this
 * is the plan for 16-bit types. Each rank sends 2 (p - 1) / p n bytes. */
#include "algorithm.h"

/* Sends every peer its part and receives the own part from all, each into scratch of its own.
 * Peers are visited from the next one on, so that no rank is everybody's first. */
static uint16_t scatter(struct plan_writer *writer, const struct task *task)
{
    uint16_t first_slot = 0;
    for (int i = 1; i < task->count; i++) {
        uint16_t slot = plan_scratch(writer, task->unit);
        if (i == 1) {
            first_slot = slot;
        }
    }
    for (int i = 1; i < task->count; i++) {
        int from = (task->me - i + task->count) % task->count;
        int to = (task->me + i) % task->count;
        uint16_t slot = (uint16_t)(first_slot + from - (from > task->me));
        plan_receive(writer, task->step, task->ranks[from],
                     task_slice(task, slot, (uint32_t)task->me, 1));
        plan_send(writer, task->step, task->ranks[to],
                  task_slice(task, task->source, (uint32_t)to, 1));
    }
    return first_slot;
}

/* Sums the own part in the order of the ranks; scratch slots are in that order too. */
static void reduce_own_part(struct plan_writer *writer, const struct task *task, int step,
                            uint16_t first_slot)
{
    uint32_t me = (uint32_t)task->me;
    uint16_t slot = first_slot;
    for (int i = 0; i < task->count; i++) {
        if (i == task->me) {
            plan_source(writer, task_slice(task, task->source, me, 1));
        } else {
            plan_source(writer, task_slice(task, slot++, me, 1));
        }
    }
    plan_reduce(writer, step, task_slice(task, SLOT_OUTPUT, me, 1), task->finish);
}

static void gather(struct plan_writer *writer, const struct task *task, int step)
{
    for (int i = 1; i < task->count; i++) {
        int from = (task->me - i + task->count) % task->count;
        int to = (task->me + i) % task->count;
        plan_receive(writer, step, task->ranks[from],
                     task_slice(task, SLOT_OUTPUT, (uint32_t)from, 1));
        plan_send(writer, step, task->ranks[to],
                  task_slice(task, SLOT_OUTPUT, (uint32_t)task->me, 1));
    }
}

static int write_reduce_scatter(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    reduce_own_part(writer, task, task->step + 1, scatter(writer, task));
    return task->step + 2;
}

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    reduce_own_part(writer, task, task->step + 1, scatter(writer, task));
    gather(writer, task, task->step + 1);
    return task->step + 2;
}

/* The root deals the parts out, one to each, and everybody passes its part on to all others:
 * 2 (p - 1) / p n bytes through the busiest rank instead of log2 p n. */
static int write_broadcast(struct plan_writer *writer, const struct task *task)
{
    uint32_t me = (uint32_t)task->me;
    for (int i = 0; i < task->count; i++) {
        int peer = task->ranks[i];
        struct slice theirs = task_slice(task, SLOT_OUTPUT, (uint32_t)i, 1);
        struct slice mine = task_slice(task, SLOT_OUTPUT, me, 1);
        if (i == task->me) {
            continue;
        }
        if (task->me == task->root) {
            plan_send(writer, task->step, peer, theirs);
            plan_send(writer, task->step + 1, peer, mine);
        } else if (i == task->root) {
            plan_receive(writer, task->step, peer, mine);
            plan_receive(writer, task->step + 1, peer, theirs);
        } else {
            plan_send(writer, task->step + 1, peer, mine);
            plan_receive(writer, task->step + 1, peer, theirs);
        }
    }
    return task->step + 2;
}

const struct algorithm algorithm_scatter_gather = {
    .name = "scatter_gather",
    .about = "pairwise reduce-scatter, then all-gather; two exchanges, least bytes",
    .collective = COLLECTIVE_ALL_REDUCE,
    .one_rounding = true,
    .parts = parts_per_rank,
    .write = write_all_reduce,
};

const struct algorithm algorithm_reduce_scatter_pairwise = {
    .name = "pairwise",
    .about = "every share goes straight to its owner; one exchange",
    .collective = COLLECTIVE_REDUCE_SCATTER,
    .one_rounding = true,
    .parts = parts_per_rank,
    .write = write_reduce_scatter,
};

const struct algorithm algorithm_broadcast_scatter = {
    .name = "scatter_gather",
    .about = "the root deals parts out, everybody passes its part on; two exchanges",
    .collective = COLLECTIVE_BROADCAST,
    .one_rounding = true,
    .parts = parts_per_rank,
    .write = write_broadcast,
};
