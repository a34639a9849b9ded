/* SPDX-License-Identifier: BSD-3-Clause
 * trial.c: runs the ways of all-reduce at a few sizes and tells the prices what they took.
 *
 * Between hosts naps, announcements and shared cores count for small vectors, which differ from job
 * to job; how much of that wires hide shows at larger ones, where only ways that may be the fastest
 * are tried. On one host all ways are tried at all sizes, as processors differ in what they make of
 * each other's memory. At each size all take a short turn first, and those that came out near the
 * fastest further ones, as only among these may the choice be wrong. All as far as there is time.
 */
#include "context.h"

#include <math.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/memory.h"
#include "topology.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define WAYS_MAX 32
/* A way's first batches take about so long in the usual time, and longer in more: what short ones
 * tell of ways that differ by a tenth no number of turns makes up for. Between hosts that share
 * cores a call or two of few bytes tell little of what many take. */
#define USUAL_S 0.2
#define STRETCH_MOST 100 /* times */
#define FIRST_S 0.3e-3
#define FIRST_FEW_BYTES_S 1e-3
#define FURTHER_S 1e-3  /* a further batch takes about so long */
#define BATCH_MOST 32   /* calls */
#define FIRST_TURNS 2   /* the lesser counts: what comes in between only lengthens it */
#define FURTHER_TURNS 7 /* at most; odd: the middle one counts */
/* Between hosts a way's price counts as much as so many calls: of 104 recorded calibrations the
 * most pairs of ways came out in order so, 1 to 12 nearly as many. */
#define PRICE_CALLS 3.0
/* Times the fastest: tried further. */
#define NEAR_IN_MEMORY 1.3
#define NEAR_BETWEEN_HOSTS 1.1
/* From here on times grow with the vector, and what a way takes more than it should does too. */
#define GROWS_BYTES ((size_t)1 << 20)

/* A size, which ways are tried there (those priced at so many times the least, or less), its part
 * of the time, and how many calls a further batch has at least: what a shaper or a switch swallows
 * of one or two tells nothing. */
struct stop {
    size_t bytes;
    double within;
    double weight;
    int row;
};

static const struct stop stops_between_hosts[] = {{64, HUGE_VAL, 2, 3},
                                                  {4096, HUGE_VAL, 2, 3},
                                                  {32 << 10, HUGE_VAL, 2, 3},
                                                  {256 << 10, 3, 2, 3},
                                                  {2 << 20, 1.15, 1, 2}};
static const struct stop stops_in_memory[] = {
    {64, HUGE_VAL, 1, 1},        {4096, HUGE_VAL, 1, 1},    {64 << 10, HUGE_VAL, 1, 1},
    {512 << 10, HUGE_VAL, 1, 1}, {4 << 20, HUGE_VAL, 2, 1}, {32 << 20, HUGE_VAL, 4, 1}};

/* A way at one size. */
struct way_tried {
    struct choice choice;
    struct price price;
    double seconds; /* expected, then measured; the same on all ranks once they agreed */
    int calls;      /* that were timed for it */
};

struct trial {
    struct ww_context *context;
    uint64_t begin_ns;
    float *values; /* zeros: however often they are added they stay what they are */
    size_t bytes;
    double budget_s;
    double stretch; /* how many times the usual time that is, 1 or more */
    double left_s;  /* of it, as all ranks know it */
    const struct stop *stops;
    int stop_count;
    bool began;
    int announced; /* 1: the first way listed is the one that follows an announcement, else 0 */
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
    way->calls = 0;
    trial->listed += status == WW_OK;
    return status;
}

/* The fastest first, of as many ways, behind the announced one; equals stay as they are. */
static void sort_ways(struct trial *trial, int count)
{
    struct way_tried *ways = trial->ways;
    for (int w = trial->announced + 1; w < count; w++) {
        struct way_tried way = ways[w];
        int at = w;
        for (; at > trial->announced && ways[at - 1].seconds > way.seconds; at--) {
            ways[at] = ways[at - 1];
        }
        ways[at] = way;
    }
}

/* Of so many sorted ways, first ones: those within so many times the fastest one's time. */
static int count_near(const struct trial *trial, int count, double within)
{
    double least_s = trial->ways[trial->announced].seconds;
    while (count > trial->announced + 1 && trial->ways[count - 1].seconds > within * least_s) {
        count--;
    }
    return count;
}

/* Prices are the same on all ranks, and so are lists. */
static enum ww_status list_ways(struct trial *trial, const struct stop *stop)
{
    struct selector *selector = trial->context->selector;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, stop->bytes, WW_F32, 0};
    struct choice choice;
    enum ww_status status = WW_OK;
    trial->listed = 0;
    if (selector_announcement(selector, &wish, &choice)) {
        status = add_way(trial, &wish, &choice);
    }
    trial->announced = trial->listed;
    int candidates = selector_candidates(selector, &wish);
    for (int i = 0; i < candidates && trial->listed < WAYS_MAX && status == WW_OK; i++) {
        status = selector_candidate(selector, &wish, i, &choice);
        if (status == WW_OK) {
            status = add_way(trial, &wish, &choice);
        }
    }
    sort_ways(trial, trial->listed);
    trial->count = count_near(trial, trial->listed, stop->within);
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

/* Calls in a row, timed together. */
struct batch {
    double seconds; /* it takes about so long */
    int least;      /* calls */
    int untimed;    /* calls ahead of them: they meet what the way before left behind */
};

static const struct batch single = {0, 1, 0};

/* Where all ways are tried calls are cheap beside what the first one of another way takes. */
static struct batch first_of(const struct trial *trial, const struct stop *stop)
{
    bool all = isinf(stop->within);
    double seconds = all && !trial->context->sight.all ? FIRST_FEW_BYTES_S : FIRST_S;
    return (struct batch){trial->stretch * seconds, 1, all};
}

static int calls_of(const struct trial *trial, const struct way_tried *way, struct batch batch)
{
    double fits = fmin(batch.seconds / way->seconds, trial->stretch * BATCH_MOST);
    return !(fits >= batch.least) ? batch.least : (int)fits;
}

static double sum_s(const struct trial *trial, int count)
{
    double sum = 0;
    for (int w = 0; w < count; w++) {
        sum += trial->ways[w].seconds;
    }
    return sum;
}

/* Seconds that a batch of each of the first ways takes. */
static double turn_s(const struct trial *trial, int count, struct batch batch)
{
    double sum = 0;
    for (int w = 0; w < count; w++) {
        sum += (batch.untimed + calls_of(trial, &trial->ways[w], batch)) * trial->ways[w].seconds;
    }
    return sum;
}

static enum ww_status time_batch(struct trial *trial, size_t bytes, int untimed, int calls,
                                 const struct way_tried *way, double *seconds)
{
    struct ww_context *context = trial->context;
    context->forced = way->choice;
    context->latest_call.known = false;
    enum ww_status status = run_calls(trial, bytes, untimed);
    uint64_t begin_ns = clock_now_ns();
    status = status == WW_OK ? run_calls(trial, bytes, calls) : status;
    *seconds = (double)(clock_now_ns() - begin_ns) * 1e-9 / calls;
    return status;
}

/* What a way takes by its turns. */
static double typical_of(double *taken, int turns)
{
    return turns == FIRST_TURNS ? fmin(taken[0], taken[1]) : fit_median(taken, turns);
}

/* Where a shaper saved up for a burst, short trials beat the wire: what streams took is the least.
 */
static double believable_s(const struct trial *trial, const struct way_tried *way, double seconds)
{
    return trial->context->sight.all ? seconds : fmax(seconds, way->price.wire_s);
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
        trial->ways[w].seconds = believable_s(trial, &trial->ways[w], times[w]);
    }
    trial->left_s = trial->budget_s - times[trial->count];
    return status;
}

/* The first ways take turns, so that an interruption of some milliseconds meets one batch of each,
 * and no shaper gives one of them what another one saved up. Numbers of calls follow from what all
 * ranks know. */
static enum ww_status time_ways(struct trial *trial, size_t bytes, int count, int turns,
                                struct batch batch)
{
    double taken[WAYS_MAX][FURTHER_TURNS] = {{0}};
    int calls[WAYS_MAX];
    enum ww_status status = WW_OK;
    for (int w = 0; w < count; w++) {
        calls[w] = calls_of(trial, &trial->ways[w], batch);
    }
    for (int i = 0; i < turns * count && status == WW_OK; i++) {
        int w = i % count;
        status = time_batch(trial, bytes, batch.untimed, calls[w], &trial->ways[w],
                            &taken[w][i / count]);
    }
    for (int w = 0; w < count; w++) {
        trial->ways[w].seconds = typical_of(taken[w], turns);
        trial->ways[w].calls = turns * calls[w];
    }
    return status == WW_OK ? agree_on_times(trial) : status;
}

static bool is_new_there(const struct trial *trial)
{
    return !trial->began || trial->context->sight.all;
}

/* What is new takes longer once: every way at first, and inside a host scratch, which grows with
 * the size. Prices may also be far off at first: how many calls fit follows from that one. Later a
 * single call gathers ranks that came one after another. */
static enum ww_status prepare(struct trial *trial, size_t bytes)
{
    bool is_new = is_new_there(trial);
    double seconds;
    trial->began = true;
    return is_new ? time_ways(trial, bytes, trial->count, 1, single)
                  : time_batch(trial, bytes, 0, 1, &trial->ways[0], &seconds);
}

/* Further turns of those near the fastest, until `end_s` of the time are left: an odd number. If
 * they take longer than before, so would the others. */
static enum ww_status try_further(struct trial *trial, const struct stop *stop, double end_s)
{
    struct batch batch = {trial->stretch * FURTHER_S, stop->row, 1};
    bool in_memory = trial->context->sight.all;
    sort_ways(trial, trial->count);
    int near = count_near(trial, trial->count, in_memory ? NEAR_IN_MEMORY : NEAR_BETWEEN_HOSTS);
    double fits = (trial->left_s - end_s) / turn_s(trial, near, batch);
    int turns = !(fits >= 1) ? 0 : fits > FURTHER_TURNS ? FURTHER_TURNS : ((int)fits - 1) | 1;
    if (turns == 0) {
        return WW_OK;
    }
    double before_s = sum_s(trial, near);
    enum ww_status status = time_ways(trial, stop->bytes, near, turns, batch);
    double longer = fmax(1, sum_s(trial, near) / before_s);
    for (int w = near; w < trial->count; w++) {
        trial->ways[w].seconds *= longer;
    }
    return status;
}

/* Tells the price of a way what it took, or what it must be taken to take. */
static enum ww_status correct(const struct trial *trial, size_t bytes, const struct way_tried *way,
                              double seconds)
{
    struct ww_context *context = trial->context;
    struct wish wish = {COLLECTIVE_ALL_REDUCE, bytes, WW_F32, 0};
    double took_s = believable_s(trial, way, seconds);
    bool grows = context->sight.all || (bytes >= GROWS_BYTES && took_s > way->price.seconds);
    return selector_correct(context->selector, &wish, &way->choice, took_s, grows);
}

/* How many times its price a way took; a clock that stood still took a nanosecond. */
static double ratio_of(const struct way_tried *way)
{
    return fmax(way->seconds, 1e-9) / way->price.seconds;
}

/* The geometric mean of those that were tried. */
static double common_ratio(const struct trial *trial)
{
    double sum = 0;
    for (int w = 0; w < trial->count; w++) {
        sum += fit_ln(ratio_of(&trial->ways[w]));
    }
    return fit_exp(sum / trial->count);
}

/* How far a way's own time counts beside its price, 0 to 1. */
static double trust_in(const struct trial *trial, const struct way_tried *way)
{
    bool in_memory = trial->context->sight.all;
    return way->calls == 0 ? 0 : in_memory ? 1 : way->calls / (way->calls + PRICE_CALLS);
}

/* What was not tried beside ways that were is held for slower or faster as these are, and what was
 * tried by few calls nearly so. */
static enum ww_status correct_all(const struct trial *trial, size_t bytes)
{
    double common = common_ratio(trial);
    enum ww_status status = WW_OK;
    for (int w = 0; w < trial->listed && status == WW_OK; w++) {
        const struct way_tried *way = &trial->ways[w];
        double own = fit_ln(ratio_of(way) / common);
        double trusted = common * fit_exp(trust_in(trial, way) * own);
        status = correct(trial, bytes, way, trusted * way->price.seconds);
    }
    return status;
}

static enum ww_status try_stop(struct trial *trial, const struct stop *stop, double end_s)
{
    enum ww_status status = prepare(trial, stop->bytes);
    if (status == WW_OK) {
        status = time_ways(trial, stop->bytes, trial->count, FIRST_TURNS, first_of(trial, stop));
    }
    if (status == WW_OK) {
        status = try_further(trial, stop, end_s);
    }
    return status == WW_OK ? correct_all(trial, stop->bytes) : status;
}

/* Seconds that the first turns take. */
static double first_turns_s(const struct trial *trial, const struct stop *stop)
{
    double once_s = is_new_there(trial) ? turn_s(trial, trial->count, single) : 0;
    return once_s + FIRST_TURNS * turn_s(trial, trial->count, first_of(trial, stop));
}

/* Keeps as many of the ways as there is time for. Of several two at least, as one alone tells
 * nothing about which is faster; where there is one only it tells what that takes. */
static bool fit_ways(struct trial *trial, const struct stop *stop, double time_s)
{
    int least = trial->announced + 2;
    while (trial->count > least && first_turns_s(trial, stop) > time_s) {
        trial->count--;
    }
    return trial->count > trial->announced && first_turns_s(trial, stop) <= time_s;
}

/* What is left of the time when this stop and those before it had theirs. */
static double end_of(const struct trial *trial, int stop)
{
    double after = 0;
    for (int i = stop + 1; i < trial->stop_count; i++) {
        after += trial->stops[i].bytes <= trial->bytes ? trial->stops[i].weight : 0;
    }
    return trial->left_s * after / (after + trial->stops[stop].weight);
}

/* Those that fit into the time, one after another. */
static enum ww_status try_stops(struct trial *trial)
{
    enum ww_status status = WW_OK;
    for (int i = 0; i < trial->stop_count && status == WW_OK; i++) {
        const struct stop *stop = &trial->stops[i];
        if (stop->bytes <= trial->bytes) {
            double end_s = end_of(trial, i);
            status = list_ways(trial, stop);
            if (status == WW_OK && fit_ways(trial, stop, trial->left_s - end_s)) {
                status = try_stop(trial, stop, end_s);
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
    trial->stretch = fmin(fmax(1, trial->budget_s / USUAL_S), STRETCH_MOST);
    for (int i = 0; i < trial->stop_count; i++) {
        enum ww_status status = list_ways(trial, &trial->stops[i]);
        if (status != WW_OK) {
            return status;
        }
        if (fit_ways(trial, &trial->stops[i], trial->budget_s)) {
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
