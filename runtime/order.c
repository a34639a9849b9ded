/* SPDX-License-Identifier: BSD-3-Clause
 * order.c: the order in which buckets leave, the same on all ranks: what rank 0 observed. */
#include <string.h>

#include "context.h"

static struct side_call order_call(struct ww_context *context)
{
    return (struct side_call){.collective = COLLECTIVE_BROADCAST,
                              .values = context->order_offered,
                              .count = (size_t)context->bucket_count,
                              .type = WW_I32,
                              .op = WW_OP_COUNT,
                              .label = GATE_LABEL_ORDER};
}

enum ww_status order_reserve(struct ww_context *context)
{
    struct side_call call = order_call(context);
    return side_reserve(context, &call);
}

/* Rank 0's observation: buckets in the order in which they became ready. */
static void sort_by_readiness(struct ww_context *context)
{
    for (int i = 0; i < context->bucket_count; i++) {
        context->order_offered[context->buckets[i].ready_rank] = i;
    }
}

/* After steps 1, 2, 4, 8 ... rank 0 tells the order it saw: early enough to help, rarely enough
 * to cost nothing. Where results are delayed the lane is never empty at a step's end; and a whole
 * step of time makes up for an order that suits less. */
bool order_is_due(const struct ww_context *context)
{
    uint64_t number = context->step.number;
    return context->settings.values.deterministic == WW_DETERMINISTIC_OFF &&
           !delayed_is_on(context) && context->world.size > 1 && context->bucket_count > 1 &&
           (number & (number - 1)) == 0;
}

/* Takes the offered order when it names every bucket once: no index is taken from a peer unseen. */
static enum ww_status take_order(struct ww_context *context)
{
    int count = context->bucket_count;
    memset(context->order, 0xff, (size_t)count * sizeof *context->order);
    for (int i = 0; i < count; i++) {
        int bucket = context->order_offered[i];
        if (bucket < 0 || bucket >= count || context->order[bucket] >= 0) {
            return log_failure(WW_TRANSPORT_FAILED,
                               "rank 0 offered an order that names bucket %d of %d: do all ranks "
                               "load the same libwirewise?",
                               bucket, count);
        }
        context->order[bucket] = i;
    }
    memcpy(context->order, context->order_offered, (size_t)count * sizeof *context->order);
    return WW_OK;
}

enum ww_status order_share(struct ww_context *context)
{
    struct side_call call = order_call(context);
    if (context->world.rank == 0) {
        sort_by_readiness(context);
    }
    return side_run(context, &call, take_order);
}
