/* SPDX-License-Identifier: BSD-3-Clause
 * yardstick.c: what the same step would be without encoding: bytes by its dense plans, seconds by
 * their prices, or by running them on memory of their own. */
#include <math.h>
#include <string.h>

#include "context.h"
#include "device.h"
#include "internal/clock.h"
#include "internal/memory.h"

/* 95 % of the ways that were chosen took between so many times their price (128 of them, 32 KiB to
 * 16 MiB, two and four hosts at 1 and 5 Gbit/s: bench/README.md, predictions). */
#define PRICE_LEAST 0.84
#define PRICE_MOST 1.4

/* The request that a bucket makes densely. */
static enum ww_status dense_request(struct ww_context *context, const struct bucket *bucket,
                                    struct run_request *request)
{
    struct wish wish = wish_of(COLLECTIVE_ALL_REDUCE, bucket->count, bucket->type, 0,
                               context->world.size);
    struct choice choice = selector_choose(context->selector, &wish);
    *request = (struct run_request){.count = bucket->count,
                                    .type = bucket->type,
                                    .op = context->settings.values.gradient_op,
                                    .root = -1,
                                    .label = (uint32_t)bucket->index + 1};
    if (device_enqueues(context)) {
        struct codec_spec none = {.kind = CODEC_NONE};
        return context->device->ops->plan(context->device, &wish, bucket->count, &none, request);
    }
    return shelf_fill(context->steps.shelf, &choice, 0, request);
}

static enum ww_status add_yardstick(struct ww_context *context, const struct bucket *bucket)
{
    struct yardstick *dense = &context->ledger.dense;
    struct run_request request;
    uint64_t bytes[WW_LEVELS_MAX] = {0};
    if (bucket->count == 0) {
        return WW_OK;
    }
    enum ww_status status = dense_request(context, bucket, &request);
    if (status == WW_OK) {
        engine_planned_bytes(context->steps.engine, &request, bytes);
    }
    uint64_t half = bucket->type == WW_F32 ? 2 : 1;
    for (int level = 0; level < context->topology.levels; level++) {
        dense->dense32[level] += bytes[level];
        dense->dense16[level] += bytes[level] / half;
    }
    return status;
}

enum ww_status yardstick_measure(struct ww_context *context)
{
    enum ww_status status = WW_OK;
    context->ledger.dense = (struct yardstick){{0}, {0}};
    for (int i = 0; i < context->bucket_count && status == WW_OK; i++) {
        status = add_yardstick(context, &context->buckets[i]);
    }
    return status;
}

/* What all buckets take densely by the prices of wires that were measured or given. */
void yardstick_price(struct ww_context *context)
{
    struct interval *model = &context->ledger.model;
    const struct wires *wires = &context->wires;
    *model = (struct interval){0, 0, 0};
    if (device_enqueues(context)) {
        return; /* the wires that were measured are the host's */
    }
    bool alone = !context->ledger.overlaps; /* else who hides what is anybody's guess */
    if (!context->ledger.compares || !alone || wires->link[wires->levels - 1].source < COST_GIVEN) {
        return;
    }
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        struct price price;
        struct wish wish = wish_of(COLLECTIVE_ALL_REDUCE, bucket->count, bucket->type, 0,
                                   context->world.size);
        struct choice choice = selector_choose(context->selector, &wish);
        if (bucket->count == 0) {
            continue;
        }
        if (selector_price(context->selector, &wish, &choice, &price) != WW_OK) {
            *model = (struct interval){0, 0, 0};
            return;
        }
        model->mean += price.seconds;
        model->least += fmin(price.least_s, PRICE_LEAST * price.seconds);
        model->most += fmax(price.most_s, PRICE_MOST * price.seconds);
    }
}

/* ---- Shadows ---------------------------------------------------------------------------- */

enum ww_status yardstick_reserve_shadow(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    size_t most = 0;
    for (int i = 0; i < context->bucket_count; i++) {
        size_t bytes = context->buckets[i].count * sizeof(float);
        most = ledger_may_encode(&context->buckets[i]) && bytes > most ? bytes : most;
    }
    ledger->shadows = ledger->compares && context->settings.values.probe == WW_PROBE_SHADOWS;
    if (!ledger->shadows || most == 0) {
        return WW_OK;
    }
    ledger->shadow = memory_reserve(most);
    if (ledger->shadow == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a shadow of %zu bytes", most);
    }
    ledger->shadow_bytes = most;
    memset(ledger->shadow, 0, most); /* its pages are there before anything is timed */
    return WW_OK;
}

/* Reduces as much as the bucket densely, and nobody sees it. The bucket's own values may be gone by
 * now: the program has them back once it waited for them. Zeros take as long. */
static enum ww_status run_shadow(struct ww_context *context, const struct bucket *bucket)
{
    struct ledger *ledger = &context->ledger;
    struct run_request request;
    enum ww_status status = dense_request(context, bucket, &request);
    if (status == WW_OK) {
        status = engine_reserve(context->steps.engine, &request);
    }
    if (status != WW_OK) {
        return status;
    }
    request.input = ledger->shadow;
    request.output = ledger->shadow;
    request.step = context->step.number;
    uint64_t since_ns = clock_now_ns();
    context->step.shadow_bytes += side_planned_bytes(context, &request);
    status = side_run_request(context, &request);
    ledger->shadow_ns += clock_now_ns() - since_ns;
    return status;
}

enum ww_status yardstick_run_shadows(struct ww_context *context)
{
    enum ww_status status = WW_OK;
    pthread_mutex_lock(&context->steps.lock);
    for (int i = 0; i < context->bucket_count && status == WW_OK; i++) {
        const struct bucket *bucket = &context->buckets[context->order[i]];
        if (bucket->request.coding.spec.kind != CODEC_NONE) {
            status = run_shadow(context, bucket);
        }
    }
    if (status < 0) {
        status = context_break(context, status, &context->steps);
    }
    pthread_mutex_unlock(&context->steps.lock);
    return status;
}
