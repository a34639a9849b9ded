/* SPDX-License-Identifier: BSD-3-Clause
 * tune.c: remembers what both ways cost of late, and tries the slower one now and then. */
#include "tune.h"

/* The slower way is tried so rarely; rarer still when it is far behind. */
#define TRY_EVERY 64
#define TRY_RARELY 512
#define FAR_BEHIND 2.0
/* Both are tried so often at first: the first time memory is cold. */
#define FIRST_TURNS 3
/* A new time counts for so much, and at most for twice what was known: an interruption of one call
 * says nothing about the next. */
#define WEIGHT 0.25
#define JUMP_MOST 2.0
/* Staging is left only for a clear gain. */
#define MARGIN 0.95

static struct tuned *class_of(struct tuner *tuner, size_t bytes)
{
    return &tuner->classes[bytes == 0 ? 0 : 63 - __builtin_clzl(bytes)];
}

static enum tuned_way better(const struct tuned *tuned)
{
    return tuned->ns[TUNED_FETCHED] < MARGIN * tuned->ns[TUNED_STAGED] ? TUNED_FETCHED
                                                                       : TUNED_STAGED;
}

static bool is_time_to_try(const struct tuned *tuned, enum tuned_way best)
{
    enum tuned_way other = best == TUNED_STAGED ? TUNED_FETCHED : TUNED_STAGED;
    bool far = tuned->ns[other] > FAR_BEHIND * tuned->ns[best];
    return tuned->turns % (far ? TRY_RARELY : TRY_EVERY) == 0;
}

enum tuned_way tuner_choose(struct tuner *tuner, size_t bytes)
{
    struct tuned *tuned = class_of(tuner, bytes);
    uint32_t turn = tuned->turns++;
    if (turn < TUNED_WAYS * FIRST_TURNS) {
        return turn < FIRST_TURNS ? TUNED_STAGED : TUNED_FETCHED;
    }
    enum tuned_way best = better(tuned);
    if (is_time_to_try(tuned, best)) {
        return best == TUNED_STAGED ? TUNED_FETCHED : TUNED_STAGED;
    }
    return best;
}

void tuner_note(struct tuner *tuner, size_t bytes, enum tuned_way way, uint64_t ns)
{
    double *known = &class_of(tuner, bytes)->ns[way];
    double time = (double)ns / (double)(bytes > 0 ? bytes : 1);
    if (*known == 0 || class_of(tuner, bytes)->turns <= TUNED_WAYS * FIRST_TURNS) {
        *known = *known == 0 || time < *known ? time : *known;
    } else {
        time = time < JUMP_MOST * *known ? time : JUMP_MOST * *known;
        *known += WEIGHT * (time - *known);
    }
}
