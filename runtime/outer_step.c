/* SPDX-License-Identifier: BSD-3-Clause
 * outer_step.c: when parts of the vector leave and come back, and what the outer optimizer makes of
 * their mean. Everything here follows from counts of steps: when a result arrived is no part of it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/cpu.h"
#include "outer.h"

#define MIB 1048576.0

/* ---- Numbers -------------------------------------------------------------------------------- */

/* What of a region lies in [first, end) of the vector; count 0 = nothing. */
static struct region part_of(const struct region *region, size_t first, size_t end)
{
    size_t from = region->first > first ? region->first : first;
    size_t to = region->first + region->count < end ? region->first + region->count : end;
    if (from >= to) {
        return (struct region){0};
    }
    return (struct region){region->values + (from - region->first), from, to - from};
}

static void subtract(float *restrict delta, const float *restrict start,
                     const float *restrict values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        delta[i] = start[i] - values[i];
    }
}

/* Returns the sum of squares: not finite where a difference is not. */
static double take_delta(struct ww_outer *outer, const struct fragment *fragment)
{
    for (size_t r = 0; r < outer->region_count; r++) {
        struct region part = part_of(&outer->regions[r], fragment->first,
                                     fragment->first + fragment->count);
        if (part.count > 0) {
            subtract(outer->delta + part.first, outer->start + part.first, part.values, part.count);
        }
    }
    return kernel_squares_f32(outer->delta + fragment->first, fragment->count);
}

static void mix_in(float *restrict values, const float *restrict start, size_t count, float keep)
{
    float take = 1 - keep;
    for (size_t i = 0; i < count; i++) {
        values[i] = keep * values[i] + take * start[i];
    }
}

static void adopt(struct ww_outer *outer, const struct fragment *fragment, double keep)
{
    for (size_t r = 0; r < outer->region_count; r++) {
        struct region part = part_of(&outer->regions[r], fragment->first,
                                     fragment->first + fragment->count);
        if (part.count > 0 && keep > 0) {
            mix_in(part.values, outer->start + part.first, part.count, (float)keep);
        } else if (part.count > 0) {
            memcpy(part.values, outer->start + part.first, part.count * sizeof(float));
        }
    }
}

void outer_adopt_all(struct ww_outer *outer)
{
    for (int f = 0; f < outer->config.fragments; f++) {
        adopt(outer, &outer->fragments[f], 0);
    }
}

static void descend(float *restrict start, const float *restrict mean, size_t count, float rate)
{
    for (size_t i = 0; i < count; i++) {
        start[i] -= rate * mean[i];
    }
}

static void descend_with_momentum(float *restrict start, const float *restrict mean,
                                  float *restrict velocity, size_t count, const float factors[2])
{
    for (size_t i = 0; i < count; i++) {
        velocity[i] = factors[1] * velocity[i] + mean[i];
        start[i] -= factors[0] * velocity[i];
    }
}

/* Nesterov's, in the form that needs the gradient at one place only (Sutskever et al. 2013). */
static void descend_as_nesterov(float *restrict start, const float *restrict mean,
                                float *restrict velocity, size_t count, const float factors[2])
{
    for (size_t i = 0; i < count; i++) {
        velocity[i] = factors[1] * velocity[i] + mean[i];
        start[i] -= factors[0] * (mean[i] + factors[1] * velocity[i]);
    }
}

/* The outer optimizer; dense steps are averages. */
static void move_start(struct ww_outer *outer, const struct fragment *fragment)
{
    const struct ww_outer_config *config = &outer->config;
    const float factors[2] = {(float)config->rate, (float)config->momentum};
    float *start = outer->start + fragment->first;
    const float *mean = outer->delta + fragment->first;
    if (outer->velocity == NULL || fragment->exchange.plain) {
        descend(start, mean, fragment->count, fragment->exchange.plain ? 1 : factors[0]);
    } else if (config->nesterov) {
        descend_as_nesterov(start, mean, outer->velocity + fragment->first, fragment->count,
                            factors);
    } else {
        descend_with_momentum(start, mean, outer->velocity + fragment->first, fragment->count,
                              factors);
    }
}

/* ---- Sending and taking --------------------------------------------------------------------- */

/* With one part that is waited for a turn and a meeting are the same thing. */
static enum occasion told_as(const struct ww_outer *outer, enum occasion occasion)
{
    bool simple = outer->config.fragments == 1 && outer->config.delay == 0;
    return simple && occasion == OCCASION_MEET ? OCCASION_STEP : occasion;
}

static void send(struct ww_outer *outer, struct fragment *fragment, enum occasion occasion)
{
    fragment->exchange = (struct exchange){.number = outer->exchanges++,
                                           .occasion = told_as(outer, occasion),
                                           .own_steps = fragment->own_steps,
                                           .plain = occasion == OCCASION_DENSE,
                                           .clears = occasion == OCCASION_SETTLE};
    if (fragment->own_steps > 0) {
        fragment->exchange.squares = take_delta(outer, fragment);
    } else { /* what mix left of older steps was sent with those */
        memset(outer->delta + fragment->first, 0, fragment->count * sizeof *outer->delta);
    }
    fragment->own_steps = 0;
    fragment->away = true;
    outer->settled = outer->settled && occasion == OCCASION_DENSE;
    if (outer->courier != NULL) {
        courier_send(outer->courier, fragment);
    } else {
        exchange_run(outer, fragment);
    }
}

/* The own context's sentence becomes the program's: there its errors are looked for. A rank that is
 * lost there will not come to the end of the program's either. */
static enum ww_status fail(struct ww_outer *outer, const struct fragment *fragment)
{
    enum ww_status status = fragment->exchange.status;
    outer->failure = status;
    if (outer->carrier == outer->context) {
        return status;
    }
    log_failure(status, "ww_outer_step: exchange %" PRIu64 ", of fragment %d: %s",
                fragment->exchange.number, fragment->index, ww_last_error(outer->carrier));
    bool lost = status == WW_TIMED_OUT || status == WW_PEER_FAILED || status == WW_TRANSPORT_FAILED;
    return lost ? context_break(outer->context, status, NULL)
                : context_fail(outer->context, status);
}

static void note_exchange(struct ww_outer *outer, const struct fragment *fragment)
{
    const struct exchange *exchange = &fragment->exchange;
    struct ww_outer_report *latest = &outer->latest;
    outer->sums.sent_bytes += exchange->sent_bytes;
    outer->sums.control_bytes += exchange->control_bytes;
    outer->sums.communication_ns += exchange->taken_ns;
    latest->fragment = latest->changed == 0 ? fragment->index : latest->fragment;
    outer->squares = latest->changed == 0 ? exchange->squares : outer->squares + exchange->squares;
    latest->drift = sqrt(outer->squares);
    latest->steps_least = exchange->steps_least;
    latest->steps_most = exchange->steps_most;
    latest->changed++;
}

static void discard(struct ww_outer *outer, const struct fragment *fragment)
{
    int rank = fragment->exchange.wild_rank;
    outer->sums.discarded++;
    outer->latest.wild_rank = rank;
    const struct topology *topology = &outer->context->topology;
    if (rank < 0) {
        log_warn("ww_outer_step: exchange %" PRIu64
                 ", of fragment %d, has no effect: what each rank learned is finite, but not their "
                 "mean, which goes beyond fp32; all ranks go back to the start there",
                 fragment->exchange.number, fragment->index);
        return;
    }
    log_warn("ww_outer_step: exchange %" PRIu64
             ", of fragment %d, has no effect: what rank %d (%s) "
             "learned is not finite; all ranks go back to the start there",
             fragment->exchange.number, fragment->index, rank,
             topology->host_name[topology->host_of[rank]]);
}

/* The same bits on all ranks, so they decide alike. */
static bool is_finite(const float *values, size_t count)
{
    float sum = 0; /* of zero with each: not zero once one of them is not finite */
    for (size_t i = 0; i < count; i++) {
        sum += 0 * values[i];
    }
    return sum == 0;
}

/* Waits for a part that is away, and takes its result. */
static enum ww_status take(struct ww_outer *outer, struct fragment *fragment)
{
    const struct exchange *exchange = &fragment->exchange;
    if (outer->courier != NULL) {
        courier_await(outer->courier, fragment);
    }
    fragment->away = false;
    if (exchange->status != WW_OK) {
        return fail(outer, fragment);
    }
    bool wild = exchange->wild_rank >= 0 || exchange->beyond ||
                !is_finite(outer->delta + fragment->first, fragment->count);
    unsigned before = cpu_exact_begin();
    if (!wild) {
        move_start(outer, fragment);
    }
    adopt(outer, fragment, wild || exchange->plain || exchange->clears ? 0 : outer->config.mix);
    cpu_exact_end(before);
    outer->sums.outer_steps += !wild;
    note_exchange(outer, fragment);
    if (wild) {
        discard(outer, fragment);
    }
    return WW_OK;
}

/* Takes what is away, as it was sent. */
static enum ww_status take_all(struct ww_outer *outer)
{
    struct fragment *oldest;
    do {
        oldest = NULL;
        for (int f = 0; f < outer->config.fragments; f++) {
            struct fragment *fragment = &outer->fragments[f];
            bool older = fragment->away &&
                         (oldest == NULL || fragment->exchange.number < oldest->exchange.number);
            oldest = older ? fragment : oldest;
        }
        enum ww_status status = oldest == NULL ? WW_OK : take(outer, oldest);
        if (status != WW_OK) {
            return status;
        }
    } while (oldest != NULL);
    return WW_OK;
}

/* Everything at once; from here on the H steps count anew. */
static enum ww_status exchange_all(struct ww_outer *outer, enum occasion occasion)
{
    enum ww_status status = take_all(outer);
    uint64_t discarded = outer->sums.discarded;
    bool settled = outer->settled;
    for (int f = 0; f < outer->config.fragments && status == WW_OK; f++) {
        send(outer, &outer->fragments[f], occasion);
        if (outer->courier == NULL) {
            status = take(outer, &outer->fragments[f]);
        }
    }
    if (status == WW_OK) {
        status = take_all(outer);
    }
    outer->clock = 0;
    if (occasion == OCCASION_SETTLE) { /* what had no effect sent nothing of what is kept */
        outer->settled = settled || outer->sums.discarded == discarded;
    }
    return status;
}

/* Whatever is due in this step. */
static enum ww_status take_turns(struct ww_outer *outer)
{
    const struct ww_outer_config *config = &outer->config;
    enum ww_status status = WW_OK;
    for (int f = 0; f < config->fragments && status == WW_OK; f++) {
        struct fragment *fragment = &outer->fragments[f];
        if (fragment->away && fragment->due == outer->clock) {
            status = take(outer, fragment);
        }
    }
    for (int f = 0; f < config->fragments && status == WW_OK; f++) {
        struct fragment *fragment = &outer->fragments[f];
        if (outer->clock % config->local_steps == fragment->turn % config->local_steps) {
            send(outer, fragment, OCCASION_STEP);
            fragment->due = outer->clock + config->delay;
            /* A failure that is known is told at once, or the program would wait once more. */
            bool failed = outer->courier == NULL && fragment->exchange.status != WW_OK;
            status = config->delay == 0 || failed ? take(outer, fragment) : WW_OK;
        }
    }
    return status;
}

static enum ww_status count_step(struct ww_outer *outer)
{
    outer->sums.steps++;
    for (int f = 0; f < outer->config.fragments; f++) {
        outer->fragments[f].own_steps++;
    }
    if (outer->dense_left > 0) {
        outer->dense_left--;
        return exchange_all(outer, OCCASION_DENSE);
    }
    outer->clock++;
    return take_turns(outer);
}

/* ---- Reports -------------------------------------------------------------------------------- */

static void fill_report(struct ww_outer *outer, uint64_t since_ns)
{
    const struct outer_sums *sums = &outer->sums;
    struct ww_outer_report *latest = &outer->latest;
    uint64_t size = (uint64_t)outer->context->world.size;
    uint64_t step_bytes = 2 * (size - 1) * outer->count * sizeof(float) / size;
    uint64_t call_ns = clock_now_ns() - since_ns;
    outer->sums.exposed_ns += call_ns;
    latest->struct_bytes = sizeof *latest;
    latest->size = (int)size;
    latest->steps = sums->steps;
    latest->outer_steps = sums->outer_steps;
    latest->window_steps = 0;
    latest->in_flight = 0;
    for (int f = 0; f < outer->config.fragments; f++) {
        const struct fragment *fragment = &outer->fragments[f];
        bool longer = fragment->own_steps > latest->window_steps;
        latest->window_steps = longer ? fragment->own_steps : latest->window_steps;
        latest->in_flight += fragment->away;
    }
    latest->discarded = sums->discarded;
    latest->sent_bytes = sums->sent_bytes;
    latest->control_bytes = sums->control_bytes;
    latest->dense_bytes = sums->steps * step_bytes;
    latest->call_s = (double)call_ns / (double)CLOCK_NS_PER_S;
    latest->exposed_s = (double)sums->exposed_ns / (double)CLOCK_NS_PER_S;
    latest->communication_s = (double)sums->communication_ns / (double)CLOCK_NS_PER_S;
}

size_t ww_outer_report_print(const struct ww_outer_report *report, char *text, size_t bytes)
{
    if (report == NULL) {
        return (size_t)snprintf(text, bytes, "no report");
    }
    char times[48] = "";
    if (report->sent_bytes > 0) {
        snprintf(times, sizeof times, " (%.3g times fewer)",
                 (double)report->dense_bytes / (double)report->sent_bytes);
    }
    int needed = snprintf(
        text, bytes,
        "outer step %" PRIu64 " after %" PRIu64
        " steps: sent %.2f MiB of %.2f dense%s; drift %.3g, communication %.4f s, "
        "exposed %.4f s",
        report->outer_steps, report->steps, (double)report->sent_bytes / MIB,
        (double)report->dense_bytes / MIB, times, report->drift, report->communication_s,
        report->exposed_s);
    return needed < 0 ? 0 : (size_t)needed;
}

/* ---- Doors ---------------------------------------------------------------------------------- */

static enum ww_status check(struct ww_outer *outer, const struct ww_outer_report *report,
                            const char *call)
{
    if (outer == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for what ww_outer_create makes", call);
    }
    enum ww_status status = context_check(outer->context, call);
    if (status == WW_OK) {
        status = outer->failure;
    }
    if (status == WW_OK && report != NULL && report->struct_bytes != sizeof *report) {
        status = context_fail(
            outer->context,
            log_failure(WW_BAD_ARGUMENT,
                        "%s got a report that was not made by WW_OUTER_REPORT_INIT", call));
    }
    return status;
}

/* One call of the program's, from its begin to its report. */
static enum ww_status enter(struct ww_outer *outer, struct ww_outer_report *report,
                            const char *call, enum ww_status (*work)(struct ww_outer *outer))
{
    enum ww_status status = check(outer, report, call);
    if (status != WW_OK) {
        return status;
    }
    uint64_t since_ns = clock_now_ns();
    outer->latest.changed = 0;
    outer->latest.fragment = -1;
    status = work(outer);
    if (status != WW_OK) {
        outer->failure = status;
        return status;
    }
    fill_report(outer, since_ns);
    if (report != NULL) {
        *report = outer->latest;
    }
    return WW_OK;
}

static enum ww_status meet(struct ww_outer *outer)
{
    return exchange_all(outer, outer->dense_left > 0 ? OCCASION_DENSE : OCCASION_MEET);
}

static enum ww_status settle(struct ww_outer *outer)
{
    return exchange_all(outer, OCCASION_SETTLE);
}

enum ww_status ww_outer_step(struct ww_outer *outer, struct ww_outer_report *report)
{
    return enter(outer, report, "ww_outer_step", count_step);
}

enum ww_status ww_outer_meet(struct ww_outer *outer, struct ww_outer_report *report)
{
    return enter(outer, report, "ww_outer_meet", meet);
}

enum ww_status ww_outer_settle(struct ww_outer *outer, struct ww_outer_report *report)
{
    return enter(outer, report, "ww_outer_settle", settle);
}

enum ww_status ww_outer_drain(struct ww_outer *outer, struct ww_outer_report *report)
{
    return enter(outer, report, "ww_outer_drain", take_all);
}

enum ww_status ww_outer_restore(struct ww_outer *outer)
{
    if (outer == NULL || context_is_parents(outer->context)) {
        return check(outer, NULL, "ww_outer_restore");
    }
    for (int f = 0; f < outer->config.fragments; f++) {
        outer->fragments[f].own_steps = 0;
    }
    outer_adopt_all(outer);
    return WW_OK;
}
