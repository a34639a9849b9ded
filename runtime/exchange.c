/* SPDX-License-Identifier: BSD-3-Clause
 * exchange.c: the mean of all ranks' outer gradients, of one part of the vector.
 *
 * Before data moves the ranks tell each other where they are and how many steps are behind what
 * they send. So a rank that is at another exchange is named instead of summed, weights are known,
 * and a gradient that is not finite, or not in the sum, stops the exchange before it enters a
 * residual. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "call.h"
#include "internal/clock.h"
#include "internal/cpu.h"
#include "internal/vote.h"
#include "outer.h"

/* What a rank tells. Words of int64: they travel as such. */
struct vote {
    int64_t place; /* fragment and occasion */
    int64_t number;
    int64_t own_steps;
    int64_t wild;
    int64_t reach; /* bits of a double: no element of what it would encode is larger */
};
_Static_assert(sizeof(struct vote) == OUTER_VOTE_WORDS * sizeof(int64_t), "votes are words");

static const struct call_purpose purpose = {"ww_outer_step", GATE_LABEL_OUTER};

#define OCCASIONS 4

static void print_place(const struct vote *vote, char *text, size_t bytes)
{
    static const char *const occasions[OCCASIONS] = {"", " (ww_outer_meet)", " (ww_outer_settle)",
                                                     " (a dense step)"};
    snprintf(text, bytes, "exchange %" PRId64 ", of fragment %" PRId64 "%s", vote->number,
             vote->place / OCCASIONS, occasions[vote->place % OCCASIONS]);
}

/* All ranks find the same, so nobody has to be told. */
static enum ww_status check_places(const struct ww_outer *outer, const struct vote *votes)
{
    struct ww_context *carrier = outer->carrier;
    int usual = 0;
    int odd = vote_odd_one(votes, carrier->world.size, sizeof *votes,
                           offsetof(struct vote, own_steps), &usual);
    if (odd < 0) {
        return WW_OK;
    }
    char at[96];
    char others[96];
    print_place(&votes[odd], at, sizeof at);
    print_place(&votes[usual], others, sizeof others);
    return context_break_alike(
        carrier,
        log_failure(
            WW_MISMATCH,
            "ww_outer_step: rank %d is at %s, rank %d at %s: all ranks make the same calls; "
            "those that do fewer steps come by ww_outer_meet, with one fragment and no "
            "delay or all of them together",
            odd, at, usual, others));
}

static void take_votes(struct exchange *exchange, const struct vote *votes, int size)
{
    exchange->steps_least = (uint64_t)votes[0].own_steps;
    exchange->steps_most = exchange->steps_least;
    for (int rank = size - 1; rank >= 0; rank--) {
        uint64_t steps = (uint64_t)votes[rank].own_steps;
        exchange->steps_least = steps < exchange->steps_least ? steps : exchange->steps_least;
        exchange->steps_most = steps > exchange->steps_most ? steps : exchange->steps_most;
        exchange->wild_rank = votes[rank].wild != 0 ? rank : exchange->wild_rank;
    }
}

static bool keeps(const struct ww_outer *outer, const struct exchange *exchange)
{
    return outer->residual != NULL && !exchange->plain;
}

/* A norm is no less than any element's magnitude. */
static int64_t own_reach(const struct ww_outer *outer, const struct fragment *fragment)
{
    double reach = sqrt(fragment->exchange.squares);
    int64_t bits;
    if (keeps(outer, &fragment->exchange)) {
        reach += sqrt(kernel_squares_f32(outer->residual + fragment->first, fragment->count));
    }
    memcpy(&bits, &reach, sizeof bits);
    return bits;
}

static enum ww_status vote(struct ww_outer *outer, struct fragment *fragment)
{
    struct exchange *exchange = &fragment->exchange;
    const struct vote mine = {.place = (int64_t)fragment->index * OCCASIONS + exchange->occasion,
                              .number = (int64_t)exchange->number,
                              .own_steps = (int64_t)exchange->own_steps,
                              .wild = !isfinite(exchange->squares),
                              .reach = own_reach(outer, fragment)};
    enum ww_status status = call_gather(outer->carrier, &purpose, &mine, outer->votes,
                                        OUTER_VOTE_WORDS * sizeof(int64_t));
    const struct vote *votes = (const struct vote *)outer->votes;
    if (status == WW_OK) {
        status = check_places(outer, votes);
    }
    if (status == WW_OK) {
        take_votes(exchange, votes, outer->carrier->world.size);
    }
    return status;
}

/* Of a rank that did so many steps, relative to others: they add up to the number of ranks. */
static float weight_of(const struct ww_outer *outer, const struct exchange *exchange,
                       double own_steps)
{
    const struct vote *votes = (const struct vote *)outer->votes;
    int size = outer->carrier->world.size;
    double steps = 0;
    for (int rank = 0; rank < size; rank++) {
        steps += (double)votes[rank].own_steps;
    }
    bool alike = exchange->steps_least == exchange->steps_most;
    if (outer->config.weights == WW_OUTER_UNIFORM || alike) {
        return 1;
    }
    return (float)(own_steps * size / steps);
}

/* Whether a sum might go beyond fp32: then nothing is encoded, as residuals cannot be taken back.
 */
static bool goes_beyond(const struct ww_outer *outer, const struct exchange *exchange)
{
    const struct vote *votes = (const struct vote *)outer->votes;
    double sum = 0;
    for (int rank = 0; rank < outer->carrier->world.size; rank++) {
        double reach;
        memcpy(&reach, &votes[rank].reach, sizeof reach);
        float weight = weight_of(outer, exchange, (double)votes[rank].own_steps);
        sum += fmaxf(weight, 1) * reach; /* residuals have no weight */
    }
    return keeps(outer, exchange) && !(sum <= (double)FLT_MAX / 2);
}

static void scale(float *values, size_t count, float factor)
{
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
}

static enum ww_status sum(struct ww_outer *outer, struct fragment *fragment)
{
    static const struct codec_spec none = {.kind = CODEC_NONE};
    struct exchange *exchange = &fragment->exchange;
    float *delta = outer->delta + fragment->first;
    float weight = weight_of(outer, exchange, (double)exchange->own_steps);
    if (weight != 1) {
        unsigned before = cpu_exact_begin();
        scale(delta, fragment->count, weight);
        cpu_exact_end(before);
    }
    struct call_mean mean = {.values = delta,
                             .count = fragment->count,
                             .codec = exchange->plain || exchange->clears ? &none : &outer->codec,
                             .residual = keeps(outer, exchange) ? outer->residual + fragment->first
                                                                : NULL,
                             .seed = exchange->number};
    return call_mean(outer->carrier, &purpose, &mean);
}

void exchange_run(struct ww_outer *outer, struct fragment *fragment)
{
    struct exchange *exchange = &fragment->exchange;
    struct ww_report before = WW_REPORT_INIT;
    struct ww_report after = WW_REPORT_INIT;
    uint64_t since_ns = clock_now_ns();
    exchange->wild_rank = -1;
    enum ww_status status = ww_calls_report(outer->carrier, &before);
    if (status == WW_OK) {
        status = vote(outer, fragment);
    }
    if (status == WW_OK && exchange->wild_rank < 0) {
        exchange->beyond = goes_beyond(outer, exchange);
        status = exchange->beyond ? WW_OK : sum(outer, fragment);
    }
    if (status == WW_OK) {
        status = ww_calls_report(outer->carrier, &after);
    }
    if (status == WW_OK) { /* else nobody asks what was sent */
        exchange->sent_bytes = after.sent_bytes - before.sent_bytes;
        exchange->control_bytes = after.control_bytes - before.control_bytes;
    }
    exchange->taken_ns = clock_now_ns() - since_ns;
    exchange->status = status;
}
