/* SPDX-License-Identifier: BSD-3-Clause
 * trial.c: runs the ways of all-reduce at a few sizes and tells the prices what they took.
 *
 * Between hosts only small vectors are tried: there naps, announcements and shared cores count,
 * which differ from job to job; large ones take what the wires take. On one host all sizes are, as
 * processors differ in what they make of each other's memory. */
#include "context.h"

#include <string.h>

#include "internal/clock.h"
#include "internal/memory.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define WAYS_MAX 32
#define BATCHES 3
#define BATCH_S 300e-6 /* a batch takes about so long */
#define BATCH_MOST 32

static const size_t sizes_between_hosts[] = {64, 4096};
static const size_t sizes_in_memory[] = {64, 4096, 64 << 10, 512 << 10, 4 << 20, 32 << 20};

/* What is tried at one size. */
struct way_tried {
    struct choice choice;
    double seconds; /* predicted, then measured */
};

struct trial {
    struct ww_context *context;
    uint64_t begin_ns;
    float *values; /* zeros: however often they are added they stay what they are */
    size_t bytes;
    double budget_s;
    const size_t *sizes;
    int size_count;
    int count;
    struct way_tried ways[WAYS_MAX];
};

static double spent_s(const struct trial *trial)
{
    return (double)(clock_now_ns() - trial->begin_ns) * 1e-9;
}

static enum ww_status list_ways(struct trial *trial, const struct wish *wish)
{
    struct selector *selector = trial->context->selector;
    struct choice choice = selector_choose(selector, wish);
    trial->count = 0;
    if (choice.with_announcement) {
        trial->ways[trial->count++].choice = choice;
    }
    for (int i = 0; trial->count < WAYS_MAX && selector_candidate(selector, wish, i, &choice);
         i++) {
        trial->ways[trial->count++].choice = choice;
    }
    for (int w = 0; w < trial->count; w++) {
        struct price price;
        enum ww_status status = selector_price(selector, wish, &trial->ways[w].choice, &price);
        if (status != WW_OK) {
            return status;
        }
        trial->ways[w].seconds = price.seconds;
    }
    return WW_OK;
}

static void stop_forcing(struct ww_context *context)
{
    context->forced = (struct choice){.algorithm = NULL};
    context->latest_call.known = false;
}

static enum ww_status run_calls(struct trial *trial, size_t bytes, int calls)
{
    enum ww_status status = WW_OK;
    for (int i = 0; i < calls && status == WW_OK; i++) {
        status = ww_all_reduce(trial->context, trial->values, trial->values, bytes / sizeof(float),
                               WW_F32, WW_SUM);
    }
    return status;
}

/* The number of calls follows from the price, which is the same on all ranks. */
static enum ww_status time_way(struct trial *trial, size_t bytes, struct way_tried *way)
{
    struct ww_context *context = trial->context;
    double fits = BATCH_S / way->seconds;
    int calls = fits < 1 ? 1 : fits > BATCH_MOST ? BATCH_MOST : (int)fits;
    double best_s = 0;
    context->forced = way->choice;
    context->latest_call.known = false;
    enum ww_status status = run_calls(trial, bytes, 1);
    for (int b = 0; b < BATCHES && status == WW_OK; b++) {
        uint64_t begin_ns = clock_now_ns();
        status = run_calls(trial, bytes, calls);
        double seconds = (double)(clock_now_ns() - begin_ns) * 1e-9 / calls;
        best_s = b == 0 || seconds < best_s ? seconds : best_s;
    }
    way->seconds = best_s;
    return status;
}

/* The slowest rank's time of each way, and whether all ranks have time left. */
static enum ww_status agree_on_times(struct trial *trial, bool *go_on)
{
    double times[WAYS_MAX + 1];
    for (int w = 0; w < trial->count; w++) {
        times[w] = trial->ways[w].seconds;
    }
    times[trial->count] = spent_s(trial) / trial->budget_s;
    stop_forcing(trial->context);
    enum ww_status status = ww_all_reduce(trial->context, times, times, (size_t)trial->count + 1,
                                          WW_F64, WW_MAX);
    for (int w = 0; w < trial->count; w++) {
        trial->ways[w].seconds = times[w];
    }
    *go_on = times[trial->count] < 1;
    return status;
}

static enum ww_status try_size(struct trial *trial, size_t bytes, bool *go_on)
{
    struct ww_context *context = trial->context;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, bytes, WW_F32, 0};
    bool grows = context->sight.all;
    enum ww_status status = list_ways(trial, &wish);
    for (int w = 0; w < trial->count && status == WW_OK; w++) {
        status = time_way(trial, bytes, &trial->ways[w]);
    }
    if (status == WW_OK) {
        status = agree_on_times(trial, go_on);
    }
    for (int w = 0; w < trial->count && status == WW_OK; w++) {
        status = selector_correct(context->selector, &wish, &trial->ways[w].choice,
                                  trial->ways[w].seconds, grows);
    }
    return status;
}

/* Seconds that a size takes at most, going by its slowest price, four calls of each way. */
static double expected_s(struct trial *trial, size_t bytes)
{
    struct wish wish = {COLLECTIVE_ALL_REDUCE, bytes, WW_F32, 0};
    double sum = 0;
    if (list_ways(trial, &wish) == WW_OK) {
        for (int w = 0; w < trial->count; w++) {
            sum += (BATCHES + 1) * trial->ways[w].seconds;
        }
    }
    return sum;
}

/* The sizes that fit into the time, one after another. */
static enum ww_status try_sizes(struct trial *trial)
{
    enum ww_status status = WW_OK;
    bool go_on = true;
    for (int i = 0; i < trial->size_count && go_on && status == WW_OK; i++) {
        if (trial->sizes[i] <= trial->bytes &&
            expected_s(trial, trial->sizes[i]) < trial->budget_s) {
            status = try_size(trial, trial->sizes[i], &go_on);
        }
    }
    return status;
}

/* What the program's reports begin with. */
static void forget_traffic(struct ww_context *context)
{
    engine_counters(context->calls.engine, context->calls_planned_since, context->calls_since);
    context->calls_made = 0;
}

/* A rank that fails on its own breaks its context, which the others' next call tells them. */
static enum ww_status run_trial(struct trial *trial)
{
    struct ww_context *context = trial->context;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, 1, WW_F16, 0};
    float end = 0;
    enum ww_status status = try_sizes(trial);
    stop_forcing(context);
    if (status == WW_OK) {
        status = selector_decide(context->selector, &wish);
    }
    wish.type = WW_F32;
    if (status == WW_OK) {
        status = selector_decide(context->selector, &wish);
    }
    if (status != WW_OK) {
        return context_break(context, status, NULL);
    }
    status = ww_all_reduce(context, &end, &end, 1, WW_F32, WW_SUM); /* all came to this end */
    stop_forcing(context);
    forget_traffic(context);
    return status;
}

/* Sizes to try, and memory for the largest that there may be time for. */
static enum ww_status trial_init(struct trial *trial, struct ww_context *context)
{
    bool in_memory = context->sight.all;
    *trial = (struct trial){.context = context,
                            .begin_ns = clock_now_ns(),
                            .budget_s = TRIAL_SHARE * context->settings.values.calibrate_s,
                            .sizes = in_memory ? sizes_in_memory : sizes_between_hosts,
                            .size_count = in_memory ? LENGTH(sizes_in_memory)
                                                    : LENGTH(sizes_between_hosts)};
    for (int i = 0; i < trial->size_count; i++) {
        if (expected_s(trial, trial->sizes[i]) < trial->budget_s) {
            trial->bytes = trial->sizes[i];
        }
    }
    trial->values = trial->bytes > 0 ? memory_reserve(trial->bytes) : NULL;
    if (trial->bytes > 0 && trial->values == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to try the ways of an all-reduce: %zu bytes",
                           trial->bytes);
    }
    if (trial->bytes > 0) {
        memset(trial->values, 0, trial->bytes);
    }
    return WW_OK;
}

enum ww_status context_try_ways(struct ww_context *context)
{
    struct trial trial;
    enum ww_status status = context_agree(context, trial_init(&trial, context));
    if (status == WW_OK) {
        status = run_trial(&trial);
    }
    memory_release(trial.values, trial.bytes);
    return status;
}
