/* SPDX-License-Identifier: BSD-3-Clause
 * coded.c: encodes twice, however many ranks there are.
 *
 * Part q of every rank goes encoded to rank q, which sums all of them in fp32, encodes the sum, and
 * sends that frame to everybody; all ranks, the owner too, decode it. The owner's own contribution
 * is not rounded on its way. Errors do not grow with the number of ranks, as they do in a ring that
 * encodes at every hop. Each rank sends 2 (p - 1) / p n encoded elements, in two exchanges. */
#include "algorithm.h"

/* Frames of the others' parts, on their way out; later the frames of their sums, on their way in.
 */
static uint16_t other_frames(struct plan_writer *writer, const struct task *task)
{
    uint16_t first = 0;
    for (int i = 1; i < task->count; i++) {
        uint16_t slot = plan_frame(writer, task->unit);
        first = i == 1 ? slot : first;
    }
    return first;
}

/* The frame that belongs to a peer, which holds part `part`. */
static struct slice frame_of(const struct task *task, uint16_t first_slot, int peer, int part)
{
    uint16_t slot = (uint16_t)(first_slot + peer - (peer > task->me));
    return task_slice(task, slot, (uint32_t)part, 1);
}

/* Peers are visited from the next one on, so that no rank is everybody's first. */
static void scatter(struct plan_writer *writer, const struct task *task, uint16_t out, uint16_t in)
{
    for (int i = 1; i < task->count; i++) {
        int to = (task->me + i) % task->count;
        int from = (task->me - i + task->count) % task->count;
        struct slice sent = frame_of(task, out, to, to);
        struct slice received = frame_of(task, in, from, task->me);
        plan_encode(writer, task->step, sent, task_slice(task, task->source, (uint32_t)to, 1));
        plan_receive_head(writer, task->step, task->ranks[from], received);
        plan_send_head(writer, task->step, task->ranks[to], sent);
        plan_receive(writer, task->step + 1, task->ranks[from], received);
        plan_send(writer, task->step + 1, task->ranks[to], sent);
    }
}

/* Only this rank sums its part, so its own contribution may come first, in place. */
static void sum_own_part(struct plan_writer *writer, const struct task *task, uint16_t in,
                         struct slice sum)
{
    uint32_t me = (uint32_t)task->me;
    struct slice own = task_slice(task, SLOT_OUTPUT, me, 1);
    plan_source(writer, task_slice(task, task->source, me, 1));
    for (int i = 0; i < task->count; i++) {
        if (i != task->me) {
            plan_source(writer, frame_of(task, in, i, task->me));
        }
    }
    plan_reduce(writer, task->step + 2, own, false);
    plan_encode(writer, task->step + 2, sum, own);
    plan_source(writer, sum);
    plan_reduce(writer, task->step + 2, own, task->finish);
}

static void gather(struct plan_writer *writer, const struct task *task, uint16_t in,
                   struct slice sum)
{
    for (int i = 1; i < task->count; i++) {
        int to = (task->me + i) % task->count;
        int from = (task->me - i + task->count) % task->count;
        struct slice received = frame_of(task, in, from, from);
        plan_receive_head(writer, task->step + 2, task->ranks[from], received);
        plan_send_head(writer, task->step + 2, task->ranks[to], sum);
        plan_receive(writer, task->step + 3, task->ranks[from], received);
        plan_send(writer, task->step + 3, task->ranks[to], sum);
        plan_source(writer, received);
        plan_reduce(writer, task->step + 4, task_slice(task, SLOT_OUTPUT, (uint32_t)from, 1),
                    task->finish);
    }
}

static int write_all_reduce(struct plan_writer *writer, const struct task *task)
{
    if (task->count == 1) {
        return task_alone(writer, task, 1);
    }
    uint16_t out = other_frames(writer, task);
    uint16_t in = other_frames(writer, task);
    struct slice sum = task_slice(task, plan_frame(writer, task->unit), (uint32_t)task->me, 1);
    scatter(writer, task, out, in);
    sum_own_part(writer, task, in, sum);
    gather(writer, task, out, sum);
    return task->step + 5;
}

const struct algorithm algorithm_coded = {
    .name = "coded",
    .about = "encoded parts to their owners, fp32 sums there, encoded once and sent to everybody",
    .collective = COLLECTIVE_ALL_REDUCE,
    .coded = true,
    .parts = parts_per_rank,
    .write = write_all_reduce};
