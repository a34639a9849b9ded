/* SPDX-License-Identifier: BSD-3-Clause
 * side.c: small collectives between steps, over the steps' own lane. */
#include "context.h"
#include "internal/clock.h"

static enum ww_status plan(struct ww_context *context, const struct side_call *call,
                           struct run_request *request)
{
    struct wish wish = wish_of(call->collective, call->count, call->type, 0, context->world.size);
    struct choice choice = selector_choose(context->selector, &wish);
    *request = (struct run_request){.input = call->values,
                                    .output = call->values,
                                    .count = call->count,
                                    .type = call->type,
                                    .op = call->op,
                                    .root = call->collective == COLLECTIVE_BROADCAST ? 0 : -1,
                                    .step = context->step.number,
                                    .label = call->label};
    return shelf_fill(context->steps.shelf, &choice, 0, request);
}

enum ww_status side_reserve(struct ww_context *context, const struct side_call *call)
{
    struct run_request request;
    enum ww_status status = plan(context, call, &request);
    return status == WW_OK ? engine_reserve(context->steps.engine, &request) : status;
}

uint64_t side_planned_bytes(const struct ww_context *context, const struct run_request *request)
{
    uint64_t bytes[WW_LEVELS_MAX] = {0};
    uint64_t sum = 0;
    engine_planned_bytes(context->steps.engine, request, bytes);
    for (int level = 0; level < context->topology.levels; level++) {
        sum += bytes[level];
    }
    return sum;
}

/* Spends a moment without the lane, which is locked before and after. */
static void pause_unlocked(struct ww_context *context, struct patience *patience)
{
    step_note_pulse(context);
    pthread_mutex_unlock(&context->steps.lock);
    patience_spend(patience, step_pulse(context));
    pthread_mutex_lock(&context->steps.lock);
}

static enum ww_status await_room(struct ww_context *context, struct patience *patience)
{
    uint64_t since_ns = clock_now_ns();
    enum ww_status status = engine_await_room(context->steps.engine, since_ns, since_ns);
    while (status == WW_PENDING) {
        pause_unlocked(context, patience);
        status = engine_await_room(context->steps.engine, since_ns, clock_now_ns());
    }
    return status;
}

/* The lane is locked. */
enum ww_status side_run_request(struct ww_context *context, const struct run_request *request)
{
    uint64_t number = 0;
    struct patience patience = patience_of_caller(context);
    enum ww_status status = await_room(context, &patience);
    if (status == WW_OK) {
        status = engine_start(context->steps.engine, request, &number);
    }
    while (status == WW_OK || status == WW_PENDING) {
        engine_be_idle(context->steps.engine, false);
        status = engine_advance(context->steps.engine, clock_now_ns());
        if (engine_done(context->steps.engine, number)) {
            return WW_OK; /* whatever failed after it */
        }
        if (status >= 0) {
            pause_unlocked(context, &patience);
        }
    }
    return status;
}

static enum ww_status run(struct ww_context *context, const struct side_call *call)
{
    struct run_request request;
    enum ww_status status = plan(context, call, &request);
    if (status == WW_OK) {
        status = engine_reserve(context->steps.engine, &request);
    }
    if (status == WW_OK) {
        context->step.side_bytes += side_planned_bytes(context, &request);
        status = side_run_request(context, &request);
    }
    return status;
}

enum ww_status side_run(struct ww_context *context, const struct side_call *call,
                        enum ww_status (*then)(struct ww_context *context))
{
    pthread_mutex_lock(&context->steps.lock);
    enum ww_status status = run(context, call);
    if (status == WW_OK && then != NULL) {
        status = then(context);
    }
    if (status < 0) {
        status = context_break(context, status, &context->steps); /* before others find it failed */
    }
    pthread_mutex_unlock(&context->steps.lock);
    return status;
}
