/* SPDX-License-Identifier: BSD-3-Clause
 * tune.c: remembers what each way cost of late, and tries the slower ones now and then. */
#include "tune.h"

/* A slower way is tried so rarely, one after the other; rarer still when it is far behind. */
#define TRY_EVERY 64
#define TRY_RARELY 8 /* times that */
#define FAR_BEHIND 2.0
/* All are tried so often at first: the first time memory is cold. */
#define FIRST_TURNS 3
/* A new time counts for so much, and at most for twice what was known: an interruption of one call
 * says nothing about the next. */
#define WEIGHT 0.25
#define JUMP_MOST 2.0
/* An earlier way is left only for a clear gain. */
#define MARGIN 0.95

static struct tuned *class_of(struct tuner *tuner, size_t bytes)
{
    return &tuner->classes[bytes == 0 ? 0 : 63 - __builtin_clzl(bytes)];
}

static enum tuned_way best_of(const struct tuned *tuned, unsigned ways)
{
    enum tuned_way best = TUNED_STAGED;
    for (unsigned way = TUNED_STAGED + 1; way < TUNED_WAYS; way++) {
        bool known = (ways >> way & 1) != 0 && tuned->ns[way] > 0;
        if (known && tuned->ns[way] < MARGIN * tuned->ns[best]) {
            best = (enum tuned_way)way;
        }
    }
    return best;
}

/* Way number `index` of those allowed, counting from 0, without `but` (TUNED_WAYS = with all). */
static enum tuned_way nth_way(unsigned ways, uint32_t index, enum tuned_way but)
{
    unsigned way = 0;
    for (; way < TUNED_WAYS; way++) {
        bool counts = (ways >> way & 1) != 0 && way != but;
        if (counts && index-- == 0) {
            break;
        }
    }
    return (enum tuned_way)way;
}

enum tuned_way tuner_choose(struct tuner *tuner, size_t bytes, unsigned ways)
{
    struct tuned *tuned = class_of(tuner, bytes);
    uint32_t turn = tuned->turns++;
    uint32_t count = (uint32_t)__builtin_popcount(ways);
    if (turn < count * FIRST_TURNS) {
        return nth_way(ways, turn / FIRST_TURNS, TUNED_WAYS);
    }
    enum tuned_way best = best_of(tuned, ways);
    uint32_t trial = turn / TRY_EVERY;
    if (count == 1 || turn % TRY_EVERY != 0) {
        return best;
    }
    enum tuned_way other = nth_way(ways, trial % (count - 1), best);
    bool far = tuned->ns[other] > FAR_BEHIND * tuned->ns[best];
    return far && trial / (count - 1) % TRY_RARELY != 0 ? best : other;
}

void tuner_note(struct tuner *tuner, size_t bytes, enum tuned_way way, uint64_t ns)
{
    struct tuned *tuned = class_of(tuner, bytes);
    double *known = &tuned->ns[way];
    double time = (double)ns / (double)(bytes > 0 ? bytes : 1);
    if (*known == 0 || tuned->turns <= TUNED_WAYS * FIRST_TURNS) {
        *known = *known == 0 || time < *known ? time : *known;
    } else {
        time = time < JUMP_MOST * *known ? time : JUMP_MOST * *known;
        *known += WEIGHT * (time - *known);
    }
}
