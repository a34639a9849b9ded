/* SPDX-License-Identifier: BSD-3-Clause
 * memory.c: collectives of ranks that see each other's memory: nothing is sent, slots are read and
 * written in place. Sums are made in one place and in the order of the ranks, so that all these
 * plans give the same bits.
 *
 *     staged   the callers' buffers are private: every rank copies what others need into scratch
 *              that they see; an owner sums its part and writes the sum back into the scratch of
 *              all, who copy it out. One copy in, one copy out.
 *     viewed   the callers' buffers are seen themselves: owners read and write them in place.
 *     fetched  the buffers are private, but can be copied from (not written to) by a system call.
 *
 * Each ends with the ranks awaiting each other, where somebody might still read. */
#include "algorithm.h"

static void await_all(struct plan_writer *writer, const struct task *task, int step)
{
    for (int i = 0; i < task->count; i++) {
        if (i != task->me) {
            plan_await(writer, step, task->ranks[i]);
        }
    }
}

/* A part of a slot of member `i`: the own one, or as it is seen. */
static struct slice part_of(struct plan_writer *writer, const struct task *task, int i,
                            uint16_t slot, int part)
{
    struct slice slice = task_slice(task, slot, (uint32_t)part, 1);
    return i == task->me ? slice : plan_seen(writer, slice, task->ranks[i]);
}

/* A slot for every part, so that a part lies at the same place on all ranks. */
static uint16_t shared_slots(struct plan_writer *writer, const struct task *task)
{
    uint16_t first = plan_scratch_shared(writer, task->unit);
    for (int i = 1; i < task->count; i++) {
        plan_scratch_shared(writer, task->unit);
    }
    return first;
}

/* Copies the parts that others own into the slots from `first` on. */
static void stage(struct plan_writer *writer, const struct task *task, uint16_t first)
{
    for (int i = 1; i < task->count; i++) {
        int part = (task->me + i) % task->count; /* not all begin with the same owner's */
        plan_copy(writer, task->step, task_slice(task, (uint16_t)(first + part), (uint32_t)part, 1),
                  task_slice(task, task->source, (uint32_t)part, 1));
    }
}

/* Names what all members staged for this one, in the order of the ranks. */
static void name_staged(struct plan_writer *writer, const struct task *task, uint16_t first)
{
    for (int i = 0; i < task->count; i++) {
        uint16_t slot = i == task->me ? task->source : (uint16_t)(first + task->me);
        plan_source(writer, part_of(writer, task, i, slot, task->me));
    }
}

/* Names the own part in the buffers of all members. */
static void name_viewed(struct plan_writer *writer, const struct task *task)
{
    for (int i = 0; i < task->count; i++) {
        plan_source(writer, part_of(writer, task, i, task->source, task->me));
    }
}

/* Copies the own part of all other members into scratch of its own, and names all. */
static void fetch_and_name(struct plan_writer *writer, const struct task *task)
{
    for (int i = 0; i < task->count; i++) {
        struct slice slice = task_slice(task, task->source, (uint32_t)task->me, 1);
        if (i != task->me) {
            slice.slot = plan_scratch(writer, task->unit);
            plan_copy(writer, task->step, slice, part_of(writer, task, i, task->source, task->me));
        }
    }
    uint16_t slot = SLOT_SCRATCH; /* the only ones of this plan, in the order of the ranks */
    for (int i = 0; i < task->count; i++) {
        plan_source(writer,
                    task_slice(task, i == task->me ? task->source : slot++, (uint32_t)task->me, 1));
    }
}

/* The sum is written into this slot of all other members as well. */
static void also_to_all(struct plan_writer *writer, const struct task *task, uint16_t slot)
{
    for (int i = 0; i < task->count; i++) {
        if (i != task->me) {
            plan_also(writer, part_of(writer, task, i, slot, task->me));
        }
    }
}

/* Sums what was named into the own part of the output, and awaits that all have done so. */
static int sum_up(struct plan_writer *writer, const struct task *task, int step)
{
    plan_reduce(writer, step, task_slice(task, SLOT_OUTPUT, (uint32_t)task->me, 1), task->finish);
    await_all(writer, task, step + 1);
    return step + 2;
}

/* ---- All-reduce --------------------------------------------------------------------------- */

static int write_staged(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    uint16_t first = shared_slots(writer, task);
    stage(writer, task, first);
    await_all(writer, task, task->step + 1);
    name_staged(writer, task, first);
    also_to_all(writer, task, (uint16_t)(first + task->me));
    int next = sum_up(writer, task, task->step + 1);
    for (int i = 1; i < task->count; i++) {
        int part = (task->me + i) % task->count;
        plan_copy(writer, next - 1, task_slice(task, SLOT_OUTPUT, (uint32_t)part, 1),
                  task_slice(task, (uint16_t)(first + part), (uint32_t)part, 1));
    }
    return next;
}

static int write_viewed(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    name_viewed(writer, task);
    also_to_all(writer, task, SLOT_OUTPUT);
    return sum_up(writer, task, task->step);
}

static int write_fetched(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    fetch_and_name(writer, task);
    int next = sum_up(writer, task, task->step);
    for (int i = 1; i < task->count; i++) {
        int part = (task->me + i) % task->count;
        plan_copy(writer, next - 1, task_slice(task, SLOT_OUTPUT, (uint32_t)part, 1),
                  part_of(writer, task, part, SLOT_OUTPUT, part));
    }
    await_all(writer, task, next);
    return next + 1;
}

/* ---- Reduce-scatter: the first halves of these -------------------------------------------- */

static int scatter_staged(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    uint16_t first = shared_slots(writer, task);
    stage(writer, task, first);
    await_all(writer, task, task->step + 1);
    name_staged(writer, task, first);
    return sum_up(writer, task, task->step + 1);
}

static int scatter_viewed(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    name_viewed(writer, task);
    return sum_up(writer, task, task->step);
}

static int scatter_fetched(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    fetch_and_name(writer, task);
    return sum_up(writer, task, task->step);
}

/* ---- All-gather ----------------------------------------------------------------------------- */

/* Everybody's share is in its `slot` before `step`. */
static void take_shares(struct plan_writer *writer, const struct task *task, int step,
                        uint16_t slot)
{
    for (int i = 0; i < task->count; i++) {
        int part = (task->me + i) % task->count;
        uint16_t from = part == task->me ? SLOT_INPUT : slot;
        plan_copy(writer, step, task_slice(task, SLOT_OUTPUT, (uint32_t)part, 1),
                  part_of(writer, task, part, from, part));
    }
}

static int gather_staged(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    uint16_t slot = plan_scratch_shared(writer, 1);
    plan_copy(writer, task->step, task_slice(task, slot, (uint32_t)task->me, 1),
              task_slice(task, SLOT_INPUT, (uint32_t)task->me, 1));
    await_all(writer, task, task->step + 1);
    take_shares(writer, task, task->step + 1, slot);
    await_all(writer, task, task->step + 2);
    return task->step + 3;
}

static int gather_viewed(struct plan_writer *writer, const struct task *task)
{
    take_shares(writer, task, task->step, SLOT_INPUT);
    await_all(writer, task, task->step + 1);
    return task->step + 2;
}

/* ---- Broadcast ------------------------------------------------------------------------------ */

static int broadcast_staged(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task->step + 1;
    }
    struct slice values = task_slice(task, SLOT_OUTPUT, 0, 1);
    struct slice staged = values;
    staged.slot = plan_scratch_shared(writer, task->unit);
    if (task->me == task->root) {
        plan_copy(writer, task->step, staged, values);
        await_all(writer, task, task->step + 2);
    } else {
        plan_await(writer, task->step + 1, task->ranks[task->root]);
        plan_copy(writer, task->step + 1, values,
                  plan_seen(writer, staged, task->ranks[task->root]));
    }
    return task->step + 3;
}

static int broadcast_viewed(struct plan_writer *writer, const struct task *task)
{
    struct slice values = task_slice(task, SLOT_OUTPUT, 0, 1);
    if (task->me == task->root) {
        await_all(writer, task, task->step + 1);
    } else {
        plan_copy(writer, task->step, values, plan_seen(writer, values, task->ranks[task->root]));
    }
    return task->step + 2;
}

/* ---- Table ---------------------------------------------------------------------------------- */

#define STAGED .name = "staged", .needs = NEEDS_SCRATCH, .one_rounding = true
#define VIEWED .name = "viewed", .needs = NEEDS_VIEW, .one_rounding = true
#define FETCHED .name = "fetched", .needs = NEEDS_FETCH, .one_rounding = true

const struct algorithm algorithm_staged = {
    STAGED,
    .about = "through memory that all see: copied in, summed by owners, copied out",
    .collective = COLLECTIVE_ALL_REDUCE,
    .parts = parts_per_rank,
    .write = write_staged,
};
const struct algorithm algorithm_viewed = {
    VIEWED,
    .about = "the buffers are seen by all: owners sum in place",
    .collective = COLLECTIVE_ALL_REDUCE,
    .parts = parts_per_rank,
    .write = write_viewed,
};
const struct algorithm algorithm_fetched = {
    FETCHED,
    .about = "owners fetch their parts from the others' private buffers by a system call",
    .collective = COLLECTIVE_ALL_REDUCE,
    .parts = parts_per_rank,
    .write = write_fetched,
};
const struct algorithm algorithm_reduce_scatter_staged = {
    STAGED,
    .about = "shares are copied into memory that all see and summed by their owners",
    .collective = COLLECTIVE_REDUCE_SCATTER,
    .parts = parts_per_rank,
    .write = scatter_staged,
};
const struct algorithm algorithm_reduce_scatter_viewed = {
    VIEWED,
    .about = "owners sum their shares out of the buffers of all",
    .collective = COLLECTIVE_REDUCE_SCATTER,
    .parts = parts_per_rank,
    .write = scatter_viewed,
};
const struct algorithm algorithm_reduce_scatter_fetched = {
    FETCHED,
    .about = "owners fetch their shares by a system call",
    .collective = COLLECTIVE_REDUCE_SCATTER,
    .parts = parts_per_rank,
    .write = scatter_fetched,
};
const struct algorithm algorithm_all_gather_staged = {
    STAGED,
    .about = "shares are copied into memory that all see and taken from there",
    .collective = COLLECTIVE_ALL_GATHER,
    .parts = parts_per_rank,
    .write = gather_staged,
};
const struct algorithm algorithm_all_gather_viewed = {
    VIEWED,
    .about = "every rank takes the shares out of the buffers of all",
    .collective = COLLECTIVE_ALL_GATHER,
    .parts = parts_per_rank,
    .write = gather_viewed,
};
const struct algorithm algorithm_all_gather_fetched = {
    FETCHED,
    .about = "every rank fetches the shares by a system call",
    .collective = COLLECTIVE_ALL_GATHER,
    .parts = parts_per_rank,
    .write = gather_viewed,
};
const struct algorithm algorithm_broadcast_staged = {
    STAGED,
    .about = "the root copies into memory that all see, everybody copies out",
    .collective = COLLECTIVE_BROADCAST,
    .parts = parts_one,
    .write = broadcast_staged,
};
const struct algorithm algorithm_broadcast_viewed = {
    VIEWED,
    .about = "everybody copies out of the root's buffer",
    .collective = COLLECTIVE_BROADCAST,
    .parts = parts_one,
    .write = broadcast_viewed,
};
const struct algorithm algorithm_broadcast_fetched = {
    FETCHED,
    .about = "everybody fetches the root's buffer by a system call",
    .collective = COLLECTIVE_BROADCAST,
    .parts = parts_one,
    .write = broadcast_viewed,
};
