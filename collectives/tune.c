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

/* Buffers that come again have each way tried so often, one pair of them after the other. That
 * takes a quarter of the calls at most, and with each pair half as much, until one turns out to be
 * unlike the rest. */
#define OWN_TURNS 2
#define GAIN_MOST 0.25
#define GAIN_LEAST (1.0 / 512)
#define CREDIT_MOST (OWN_TURNS * (TUNED_WAYS - 1))

static unsigned class_of(size_t bytes)
{
    return bytes == 0 ? 0 : 63 - (unsigned)__builtin_clzl(bytes);
}

/* ---- Of one pair of buffers --------------------------------------------------------------- */

static bool are_those(const struct tuned_buffers *buffers, const struct tuned_case *which)
{
    return buffers->key.input == which->input && buffers->key.output == which->output &&
           class_of(buffers->key.bytes) == class_of(which->bytes);
}

/* Takes the place of others with the same hash. */
static struct tuned_buffers *buffers_of(struct tuner *tuner, const struct tuned_case *which)
{
    uint64_t hash = (uint64_t)(uintptr_t)which->input ^ (uint64_t)(uintptr_t)which->output * 3;
    hash = (hash + class_of(which->bytes)) * UINT64_C(0x9e3779b97f4a7c15); /* golden ratio */
    struct tuned_buffers *buffers = &tuner->buffers[hash >> 58];
    if (!are_those(buffers, which)) {
        *buffers = (struct tuned_buffers){.key = *which};
    }
    return buffers;
}

/* How often they have yet to be tried in other ways than `best`. */
static int missing_trials(const struct tuned_buffers *buffers, unsigned ways, enum tuned_way best)
{
    int missing = 0;
    for (unsigned way = 0; way < TUNED_WAYS; way++) {
        bool counts = (ways >> way & 1) != 0 && way != best;
        missing += counts ? OWN_TURNS - buffers->tries[way] : 0;
    }
    return missing;
}

static enum tuned_way untried(const struct tuned_buffers *buffers, unsigned ways,
                              enum tuned_way best)
{
    unsigned way = 0;
    while ((ways >> way & 1) == 0 || way == best || buffers->tries[way] == OWN_TURNS) {
        way++;
    }
    return (enum tuned_way)way;
}

/* ---- Of both ------------------------------------------------------------------------------ */

/* What these buffers took counts, else what all did: also as long as it may have been a first call,
 * which pays for pages that nobody touched before, whichever way it goes. */
static double known_ns(const struct tuned *tuned, const struct tuned_buffers *buffers, unsigned way)
{
    return buffers->tries[way] == OWN_TURNS ? buffers->ns[way] : tuned->ns[way];
}

static enum tuned_way best_of(const struct tuned *tuned, const struct tuned_buffers *buffers,
                              unsigned ways)
{
    enum tuned_way best = TUNED_STAGED;
    for (unsigned way = TUNED_STAGED + 1; way < TUNED_WAYS; way++) {
        double ns = known_ns(tuned, buffers, way);
        if ((ways >> way & 1) != 0 && ns > 0 && ns < MARGIN * known_ns(tuned, buffers, best)) {
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

/* The way that these buffers are to be tried in now, TUNED_WAYS = none. */
static enum tuned_way own_trial(struct tuned *tuned, struct tuned_buffers *buffers, unsigned ways,
                                enum tuned_way best)
{
    static const struct tuned_buffers none;
    int missing = missing_trials(buffers, ways, best);
    if (missing == 0 && buffers->begun) {
        bool odd = best != best_of(tuned, &none, ways);
        tuned->gain = odd ? GAIN_MOST : tuned->gain;
        buffers->begun = false;
    }
    if (missing == 0 || buffers->tries[best] < OWN_TURNS || tuned->credit < missing) {
        return TUNED_WAYS;
    }
    if (!buffers->begun) {
        buffers->begun = true;
        tuned->gain = tuned->gain / 2 > GAIN_LEAST ? tuned->gain / 2 : GAIN_LEAST;
    }
    tuned->credit -= 1;
    return untried(buffers, ways, best);
}

enum tuned_way tuner_choose(struct tuner *tuner, const struct tuned_case *which, unsigned ways)
{
    struct tuned *tuned = &tuner->classes[class_of(which->bytes)];
    uint32_t turn = tuned->turns++;
    uint32_t count = (uint32_t)__builtin_popcount(ways);
    if (turn < count * FIRST_TURNS) {
        return nth_way(ways, turn / FIRST_TURNS, TUNED_WAYS);
    }
    struct tuned_buffers *buffers = buffers_of(tuner, which);
    enum tuned_way best = best_of(tuned, buffers, ways);
    enum tuned_way own = own_trial(tuned, buffers, ways, best);
    if (own != TUNED_WAYS) {
        return own;
    }
    uint32_t trial = turn / TRY_EVERY;
    if (count == 1 || turn % TRY_EVERY != 0) {
        return best;
    }
    enum tuned_way other = nth_way(ways, trial % (count - 1), best);
    bool far = known_ns(tuned, buffers, other) > FAR_BEHIND * known_ns(tuned, buffers, best);
    return far && trial / (count - 1) % TRY_RARELY != 0 ? best : other;
}

static void blend(double *known, double time, bool first)
{
    if (*known == 0 || first) {
        *known = *known == 0 || time < *known ? time : *known;
    } else {
        time = time < JUMP_MOST * *known ? time : JUMP_MOST * *known;
        *known += WEIGHT * (time - *known);
    }
}

void tuner_note(struct tuner *tuner, const struct tuned_case *which, enum tuned_way way,
                uint64_t ns)
{
    struct tuned *tuned = &tuner->classes[class_of(which->bytes)];
    struct tuned_buffers *buffers = buffers_of(tuner, which);
    double time = (double)ns / (double)(which->bytes > 0 ? which->bytes : 1);
    blend(&tuned->ns[way], time, tuned->turns <= TUNED_WAYS * FIRST_TURNS);
    blend(&buffers->ns[way], time, buffers->tries[way] < OWN_TURNS);
    tuned->gain = tuned->gain == 0 ? GAIN_MOST : tuned->gain;
    tuned->credit += tuned->credit < CREDIT_MOST ? tuned->gain : 0;
    buffers->tries[way] += buffers->tries[way] < OWN_TURNS;
}
