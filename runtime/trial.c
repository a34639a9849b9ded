/* SPDX-License-Identifier: BSD-3-Clause
 * trial.c: runs the ways of all-reduce at a few sizes and tells the prices what they took.
 *
 * Between hosts naps, announcements and shared cores count for small vectors, which differ from job
 * to job; how much of that wires hide shows at larger ones, where only ways that may be the fastest
 * are tried. On one host all ways are tried at all sizes, as processors differ in what they make of
 * each other's memory. All as far as there is time. */
#include "context.h"

#include <math.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/memory.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define WAYS_MAX 32
#define BATCHES 3    /* of each way: the middle one counts */
#define BATCH_S 1e-3 /* a batch takes about so long */
#define BATCH_MOST 32
/* From here on times grow with the vector, and what a way takes more than it should does too. */
#define GROWS_BYTES ((size_t)1 << 20)

/* A size, and which ways are tried there: those priced at so many times the least, or less. */
struct stop {
    size_t bytes;
    double within;
};

static const struct stop stops_between_hosts[] = {
    {64, HUGE_VAL}, {4096, HUGE_VAL}, {32 << 10, HUGE_VAL}, {256 << 10, 1.5}, {2 << 20, 1.15}};
static const struct stop stops_in_memory[] = {{64, HUGE_VAL},       {4096, HUGE_VAL},
                                              {64 << 10, HUGE_VAL}, {512 << 10, HUGE_VAL},
                                              {4 << 20, HUGE_VAL},  {32 << 20, HUGE_VAL}};

/* A way at one size. */
struct way_tried {
    struct choice choice;
    struct price price;
    double seconds; /* expected, then measured; the same on all ranks once they agreed */
};

struct trial {
    struct ww_context *context;
    uint64_t begin_ns;
    float *values; /* zeros: however often they are added they stay what they are */
    size_t bytes;
    double budget_s;
    double left_s; /* of it, as all ranks know it */
    const struct stop *stops;
    int stop_count;
    int stops_done;
    int listed;
    int count; /* of those listed, first ones: they are tried */
    struct way_tried ways[WAYS_MAX];
};

static double spent_s(const struct trial *trial)
{
    return (double)(clock_now_ns() - trial->begin_ns) * 1e-9;
}

/* Prices a way and adds it to the list. */
static enum ww_status add_way(struct trial *trial, const struct wish *wish,
                              const struct choice *choice)
{
    struct way_tried *way = &trial->ways[trial->listed];
    enum ww_status status = selector_price(trial->context->selector, wish, choice, &way->price);
    way->choice = *choice;
    way->seconds = way->price.seconds;
    trial->listed += status == WW_OK;
    return status;
}

/* Puts those ways first, behind `announced`, that may be the fastest. */
static void put_near_first(struct trial *trial, int announced, double within)
{
    struct way_tried *ways = trial->ways;
    double least_s = HUGE_VAL;
    trial->count = announced;
    for (int w = announced; w < trial->listed; w++) {
        least_s = fmin(least_s, ways[w].seconds);
    }
    for (int w = announced; w < trial->listed; w++) {
        if (isinf(within) || ways[w].seconds <= within * least_s) {
            struct way_tried near = ways[w];
            ways[w] = ways[trial->count];
            ways[trial->count++] = near;
        }
    }
}

/* Prices are the same on all ranks, and so are lists. */
static enum ww_status list_ways(struct trial *trial, const struct stop *stop)
{
    struct selector *selector = trial->context->selector;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, stop->bytes, WW_F32, 0};
    struct choice choice = selector_choose(selector, &wish);
    enum ww_status status = WW_OK;
    trial->listed = 0;
    if (choice.with_announcement) {
        status = add_way(trial, &wish, &choice);
    }
    int announced = trial->listed;
    int candidates = selector_candidates(selector, &wish);
    for (int i = 0; i < candidates && trial->listed < WAYS_MAX && status == WW_OK; i++) {
        status = selector_candidate(selector, &wish, i, &choice);
        if (status == WW_OK) {
            status = add_way(trial, &wish, &choice);
        }
    }
    put_near_first(trial, announced, stop->within);
    return status;
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

static int calls_of(const struct way_tried *way)
{
    double fits = BATCH_S / way->seconds;
    return !(fits >= 1) ? 1 : fits > BATCH_MOST ? BATCH_MOST : (int)fits;
}

static enum ww_status time_batch(struct trial *trial, size_t bytes, int calls,
                                 const struct way_tried *way, double *seconds)
{
    struct ww_context *context = trial->context;
    context->forced = way->choice;
    context->latest_call.known = false;
    uint64_t begin_ns = clock_now_ns();
    enum ww_status status = run_calls(trial, bytes, calls);
    *seconds = (double)(clock_now_ns() - begin_ns) * 1e-9 / calls;
    return status;
}

static double middle_of(const double batches[BATCHES])
{
    double low = fmin(batches[0], batches[1]);
    double high = fmax(batches[0], batches[1]);
    return fmax(low, fmin(high, batches[2]));
}

/* The ranks' mean time of each way, as they wait for each other, and what time is left. */
static enum ww_status agree_on_times(struct trial *trial)
{
    double times[WAYS_MAX + 1];
    for (int w = 0; w < trial->count; w++) {
        times[w] = trial->ways[w].seconds;
    }
    times[trial->count] = spent_s(trial);
    stop_forcing(trial->context);
    enum ww_status status = ww_all_reduce(trial->context, times, times, (size_t)trial->count + 1,
                                          WW_F64, WW_MEAN);
    for (int w = 0; w < trial->count; w++) {
        trial->ways[w].seconds = times[w];
    }
    trial->left_s = trial->budget_s - times[trial->count];
    return status;
}

/* One call of each way. */
static enum ww_status call_each(struct trial *trial, size_t bytes, bool timed)
{
    enum ww_status status = WW_OK;
    for (int w = 0; w < trial->count && status == WW_OK; w++) {
        struct way_tried *way = &trial->ways[w];
        double seconds;
        status = time_batch(trial, bytes, 1, way, &seconds);
        way->seconds = timed ? seconds : way->seconds;
    }
    return status;
}

/* What is new takes longer once: every way at first, and inside a host scratch, which grows with
 * the size. Before the first stop prices may also be far off: how many calls fit follows from one.
 */
static enum ww_status prepare(struct trial *trial, size_t bytes)
{
    bool first = trial->stops_done == 0;
    bool is_new = first || trial->context->sight.all;
    enum ww_status status = is_new ? call_each(trial, bytes, false) : WW_OK;
    if (status == WW_OK && first) {
        status = call_each(trial, bytes, true);
        status = status == WW_OK ? agree_on_times(trial) : status;
    }
    return status;
}

/* The ways take turns, so that an interruption of some milliseconds meets one batch of each.
 * Numbers of calls follow from what all ranks know. */
static enum ww_status time_ways(struct trial *trial, size_t bytes)
{
    double batches[WAYS_MAX][BATCHES] = {{0}};
    int calls[WAYS_MAX];
    enum ww_status status = WW_OK;
    for (int w = 0; w < trial->count; w++) {
        calls[w] = calls_of(&trial->ways[w]);
    }
    for (int i = 0; i < BATCHES * trial->count && status == WW_OK; i++) {
        int w = i % trial->count;
        double *batch = &batches[w][i / trial->count];
        status = time_batch(trial, bytes, calls[w], &trial->ways[w], batch);
    }
    for (int w = 0; w < trial->count; w++) {
        trial->ways[w].seconds = middle_of(batches[w]);
    }
    return status;
}

/* Tells the price of a way what it took, or what it must be taken to take. Where a shaper saved up
 * for a burst, short trials beat the wire: what streams took is the least. */
static enum ww_status correct(const struct trial *trial, size_t bytes, const struct way_tried *way,
                              double seconds)
{
    struct ww_context *context = trial->context;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, bytes, WW_F32, 0};
    bool sees = context->sight.all;
    double took_s = sees ? seconds : fmax(seconds, way->price.wire_s);
    bool grows = sees || (bytes >= GROWS_BYTES && took_s > way->price.seconds);
    return selector_correct(context->selector, &wish, &way->choice, took_s, grows);
}

/* What is not tried beside ways that are is held for slower or faster as these are. */
static enum ww_status correct_all(const struct trial *trial, size_t bytes)
{
    double taken_s = 0;
    double priced_s = 0;
    enum ww_status status = WW_OK;
    for (int w = 0; w < trial->count; w++) {
        taken_s += trial->ways[w].seconds;
        priced_s += trial->ways[w].price.seconds;
    }
    for (int w = 0; w < trial->listed && status == WW_OK; w++) {
        const struct way_tried *way = &trial->ways[w];
        double ratio = w < trial->count ? 1 : taken_s / priced_s;
        status = correct(trial, bytes, way, ratio * way->seconds);
    }
    return status;
}

static enum ww_status try_stop(struct trial *trial, size_t bytes)
{
    enum ww_status status = prepare(trial, bytes);
    if (status == WW_OK) {
        status = time_ways(trial, bytes);
    }
    if (status == WW_OK) {
        status = agree_on_times(trial);
    }
    trial->stops_done++;
    return status == WW_OK ? correct_all(trial, bytes) : status;
}

/* Seconds that trying takes. */
static double expected_s(const struct trial *trial)
{
    double sum = 0;
    for (int w = 0; w < trial->count; w++) {
        const struct way_tried *way = &trial->ways[w];
        sum += BATCHES * calls_of(way) * way->seconds;
    }
    return sum;
}

/* Those that fit into the time, one after another. */
static enum ww_status try_stops(struct trial *trial)
{
    enum ww_status status = WW_OK;
    for (int i = 0; i < trial->stop_count && status == WW_OK; i++) {
        const struct stop *stop = &trial->stops[i];
        if (stop->bytes <= trial->bytes) {
            status = list_ways(trial, stop);
            if (status == WW_OK && expected_s(trial) < trial->left_s) {
                status = try_stop(trial, stop->bytes);
            }
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
    enum ww_status status = try_stops(trial);
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

/* Where to stop, and memory for the largest that there may be time for. */
static enum ww_status trial_init(struct trial *trial, struct ww_context *context)
{
    bool in_memory = context->sight.all;
    *trial = (struct trial){.context = context,
                            .begin_ns = clock_now_ns(),
                            .budget_s = TRIAL_SHARE * context->settings.values.calibrate_s,
                            .stops = in_memory ? stops_in_memory : stops_between_hosts,
                            .stop_count = in_memory ? LENGTH(stops_in_memory)
                                                    : LENGTH(stops_between_hosts)};
    trial->left_s = trial->budget_s;
    for (int i = 0; i < trial->stop_count; i++) {
        enum ww_status status = list_ways(trial, &trial->stops[i]);
        if (status != WW_OK) {
            return status;
        }
        if (expected_s(trial) < trial->budget_s) {
            trial->bytes = trial->stops[i].bytes;
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
