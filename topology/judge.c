/* SPDX-License-Identifier: BSD-3-Clause
 * judge.c: reads the records of all ranks: what a level costs, and who is slower than its like.
 *
 * A unit is judged by the quarter of its rounds in which it was fastest, because in the others its
 * partner may have been the slow one; a level, by the unit in the middle. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define FASTEST 0.25
#define MIDDLE 0.5

/* By how much round trips of a unit differed in a round. */
struct unrest {
    bool known;
    double least_s; /* of its rounds */
    double most_s;
};

/* Seconds per byte of units in rounds; 0 = they rested. */
struct scores {
    const struct ground *ground;
    int rounds;
    double *byte_s;        /* [units * rounds] */
    double *bytes;         /* [units * rounds] what these come from */
    double *seconds;       /* [units * rounds] */
    double *list;          /* [units * rounds] to sort in */
    double *of_unit;       /* [units] at its best */
    double *surely;        /* [units] likewise, without what may have held it up */
    struct unrest *unrest; /* [units] */
    int *other;            /* [units * rounds] the unit it met, -1 = none */
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void scores_finish(struct scores *scores)
{
    free(scores->byte_s);
    free(scores->bytes);
    free(scores->seconds);
    free(scores->list);
    free(scores->of_unit);
    free(scores->surely);
    free(scores->unrest);
    free(scores->other);
}

static enum ww_status scores_init(struct scores *scores, const struct ground *ground, int rounds)
{
    size_t cells = (size_t)ground->units * (size_t)(rounds > 0 ? rounds : 1);
    *scores = (struct scores){.ground = ground, .rounds = rounds};
    scores->byte_s = calloc(cells, sizeof *scores->byte_s);
    scores->bytes = calloc(cells, sizeof *scores->bytes);
    scores->seconds = calloc(cells, sizeof *scores->seconds);
    scores->list = calloc(cells, sizeof *scores->list);
    scores->of_unit = calloc((size_t)ground->units, sizeof *scores->of_unit);
    scores->surely = calloc((size_t)ground->units, sizeof *scores->surely);
    scores->unrest = calloc((size_t)ground->units, sizeof *scores->unrest);
    scores->other = malloc(cells * sizeof *scores->other);
    if (scores->byte_s == NULL || scores->bytes == NULL || scores->seconds == NULL ||
        scores->list == NULL || scores->of_unit == NULL || scores->surely == NULL ||
        scores->unrest == NULL || scores->other == NULL) {
        scores_finish(scores);
        *scores = (struct scores){.ground = ground};
        return log_failure(WW_NO_MEMORY, "no memory to compare %d units", ground->units);
    }
    for (size_t i = 0; i < cells; i++) {
        scores->other[i] = -1;
    }
    return WW_OK;
}

/* Ranks of a unit share its port and began together: what all of them moved took until the last
 * one was done. */
static void score(struct scores *scores, int rank, int round, const struct pour *pour, int peer)
{
    const struct ground *ground = scores->ground;
    int cell = ground->unit[rank] * scores->rounds + round;
    if (pour_byte_s(pour) > 0 && peer >= 0) {
        scores->bytes[cell] += pour->bytes;
        scores->seconds[cell] = larger(scores->seconds[cell], pour->seconds);
        scores->byte_s[cell] = scores->seconds[cell] / scores->bytes[cell];
        scores->other[cell] = ground->unit[peer];
    }
}

static void score_ports(struct scores *scores, const struct wire_record *records)
{
    for (int rank = 0; rank < scores->ground->size; rank++) {
        for (int round = 0; round < scores->rounds; round++) {
            score(scores, rank, round, &records[rank].port[round], records[rank].peer[round]);
        }
    }
}

static void note_unrest(struct scores *scores, const struct wire_record *records)
{
    for (int rank = 0; rank < scores->ground->size; rank++) {
        struct unrest *unrest = &scores->unrest[scores->ground->unit[rank]];
        for (int round = 0; round < SOLO_ROUNDS; round++) {
            double seen_s = records[rank].unrest_s[round];
            if (records[rank].fixed[round].samples > 0) {
                bool less = !unrest->known || seen_s < unrest->least_s;
                unrest->least_s = less ? seen_s : unrest->least_s;
                unrest->most_s = larger(unrest->most_s, seen_s);
                unrest->known = true;
            }
        }
    }
}

static void score_oneway(struct scores *scores, const struct wire_record *records, int rounds)
{
    for (int rank = 0; rank < scores->ground->size; rank++) {
        for (int round = 0; round < scores->rounds; round++) {
            score(scores, rank, round, &records[rank].oneway[round],
                  rounds_peer(scores->ground, rounds, round, rank));
        }
    }
}

/* Where each unit is one rank, a pair meets both ways when the ports are looked at. */
static void score_both(struct scores *scores, const struct wire_record *records, int rounds)
{
    for (int rank = 0; rank < scores->ground->size; rank++) {
        for (int round = 0; round < scores->rounds; round++) {
            const struct wire_record *record = &records[rank];
            const struct pour *both = &record->both[round];
            bool alone = pour_byte_s(&record->oneway[round]) > 0 && pour_byte_s(both) == 0;
            score(scores, rank, round, alone ? &record->port[round] : both,
                  rounds_peer(scores->ground, rounds, round, rank));
        }
    }
}

/* What a unit needed for a byte in a round. */
typedef double look(const struct scores *scores, int cell);

static double as_seen(const struct scores *scores, int cell)
{
    return scores->byte_s[cell];
}

static double without(const struct scores *scores, int cell, double unrest_s)
{
    double seconds = scores->seconds[cell] - unrest_s;
    return seconds > 0 ? seconds / scores->bytes[cell] : 0;
}

/* What holds up pings in every round holds up streams as well. */
static double without_jitter(const struct scores *scores, int cell)
{
    return without(scores, cell, scores->unrest[cell / scores->rounds].least_s);
}

/* A pair met once: what held up any ping of the two may have held up that stream. */
static double without_accidents(const struct scores *scores, int cell)
{
    double one_s = scores->unrest[cell / scores->rounds].most_s;
    int other = scores->other[cell];
    return without(scores, cell, other < 0 ? one_s : larger(one_s, scores->unrest[other].most_s));
}

static void find_best(struct scores *scores, look *byte_s, double *of_unit)
{
    for (int unit = 0; unit < scores->ground->units; unit++) {
        int count = 0;
        for (int round = 0; round < scores->rounds; round++) {
            double seen = byte_s(scores, unit * scores->rounds + round);
            if (seen > 0) {
                scores->list[count++] = seen;
            }
        }
        of_unit[unit] = fit_quantile(scores->list, count, FASTEST);
    }
}

/* Fills of_unit, and returns what the unit in the middle needs for a byte; 0 = nobody did. */
static double settle(struct scores *scores)
{
    int seen = 0;
    find_best(scores, as_seen, scores->of_unit);
    for (int unit = 0; unit < scores->ground->units; unit++) {
        if (scores->of_unit[unit] > 0) {
            scores->list[seen++] = scores->of_unit[unit];
        }
    }
    return fit_quantile(scores->list, seen, MIDDLE);
}

/* The middle unit, the scatter among units at their best, and how often one was looked at. */
static struct estimate summarize(struct scores *scores)
{
    struct estimate estimate = {.value = settle(scores)};
    int seen = 0;
    for (int unit = 0; unit < scores->ground->units; unit++) {
        if (scores->of_unit[unit] > 0) {
            scores->list[seen++] = scores->of_unit[unit];
        }
    }
    estimate.scatter = fit_scatter(scores->list, seen);
    for (int i = 0; i < scores->ground->units * scores->rounds; i++) {
        estimate.samples += scores->byte_s[i] > 0;
    }
    return estimate;
}

static double slowest(const struct scores *scores)
{
    double byte_s = 0;
    for (int unit = 0; unit < scores->ground->units; unit++) {
        byte_s = larger(byte_s, scores->of_unit[unit]);
    }
    return byte_s;
}

/* The scatter among all that was seen. */
static double scatter_of(const struct scores *scores)
{
    int seen = 0;
    for (int i = 0; i < scores->ground->units * scores->rounds; i++) {
        if (scores->byte_s[i] > 0) {
            scores->list[seen++] = scores->byte_s[i];
        }
    }
    return fit_scatter(scores->list, seen);
}

/* ---- Costs -------------------------------------------------------------------------------- */

/* Collects one number of each record and round in which it was measured. */
typedef double pick(const struct wire_record *record, int round);

static double pick_fixed(const struct wire_record *record, int round)
{
    return record->fixed[round].value;
}

static double pick_core(const struct wire_record *record, int round)
{
    return record->oneway[round].core_byte_s;
}

static double pick_fixed_scatter(const struct wire_record *record, int round)
{
    return record->fixed[round].scatter;
}

static struct estimate collect(const struct scores *scores, const struct wire_record *records,
                               pick *value)
{
    int count = 0;
    double *list = scores->list; /* as long as units * rounds: one rank of each unit is alone */
    for (int rank = 0; rank < scores->ground->size; rank++) {
        for (int round = 0; round < scores->rounds; round++) {
            double got = value(&records[rank], round);
            if (got > 0) {
                list[count++] = got;
            }
        }
    }
    struct estimate estimate = fit_estimate(list, count);
    estimate.value = fit_quantile(list, count, MIDDLE);
    return estimate;
}

static void take_better(struct estimate *estimate, double value)
{
    if (estimate->samples > 0 && value > 0 && value < estimate->value) {
        estimate->value = value;
    }
}

/* In company a step takes as long as it does in a plan; alone it is only the least it can be. */
static enum ww_status take_meetings(const struct wire_record *records, int size,
                                    struct wire_costs *costs)
{
    struct estimate met;
    enum ww_status status = meet_costs(&records[0].meet, sizeof *records, size, &met,
                                       &costs->message_s);
    if (met.samples > 0) {
        costs->fixed.value = larger(met.value, 0);
        costs->fixed.samples = costs->fixed.samples > 0 ? costs->fixed.samples : met.samples;
    }
    return status;
}

enum ww_status wire_costs(const struct ground *ground, const struct wire_record *records,
                          int rounds, struct wire_costs *costs)
{
    struct scores ports = {0}, alone = {0}, both = {0};
    int solo = rounds < SOLO_ROUNDS ? rounds : SOLO_ROUNDS;
    enum ww_status status = scores_init(&ports, ground, rounds);
    status = status == WW_OK ? scores_init(&alone, ground, solo) : status;
    status = status == WW_OK ? scores_init(&both, ground, solo) : status;
    if (status != WW_OK) {
        goto finish_scores;
    }
    score_ports(&ports, records);
    score_oneway(&alone, records, rounds);
    costs->port_byte_s = summarize(&ports);
    costs->byte_s = summarize(&alone);
    costs->slowest_byte_s = slowest(&alone);
    costs->scatter = scatter_of(&alone);
    costs->fixed = collect(&alone, records, pick_fixed);
    costs->fixed.scatter = larger(costs->fixed.scatter,
                                  collect(&alone, records, pick_fixed_scatter).value);
    status = take_meetings(records, ground->size, costs);
    costs->core_byte_s = collect(&alone, records, pick_core).value;
    score_both(&both, records, rounds);
    double both_byte_s = settle(&both);
    /* Whoever moves so much both ways moves no less one way, or with others' help. */
    take_better(&costs->byte_s, both_byte_s);
    take_better(&costs->port_byte_s, both_byte_s);
    costs->duplex = costs->byte_s.value > 0 ? both_byte_s / costs->byte_s.value : 0;
finish_scores:
    scores_finish(&both);
    scores_finish(&alone);
    scores_finish(&ports);
    return status;
}

/* ---- Slow ones ---------------------------------------------------------------------------- */

static void insert(struct slow_wire *slow, int *count, struct slow_wire wire)
{
    int at = *count;
    while (at > 0 && slow[at - 1].ratio > wire.ratio) {
        at--;
    }
    if (at == SLOW_WIRES_MAX) {
        return;
    }
    int last = *count < SLOW_WIRES_MAX ? *count : SLOW_WIRES_MAX - 1;
    memmove(&slow[at + 1], &slow[at], (size_t)(last - at) * sizeof *slow);
    slow[at] = wire;
    *count = last + 1;
}

static bool is_slow(double byte_s, double like)
{
    return byte_s > 0 && like > 0 && like / byte_s < SLOW_RATIO;
}

/* Both ends noted the pair: it is named by the lower one. Where one end is slow itself, or met
 * nobody else, nothing can be said about the path. */
static void find_slow_paths(const struct scores *scores, double like, int level,
                            struct slow_wire *slow, int *count)
{
    for (int cell = 0; cell < scores->ground->units * scores->rounds; cell++) {
        int unit = cell / scores->rounds;
        int other = scores->other[cell];
        if (other <= unit || is_slow(scores->of_unit[unit], like) ||
            is_slow(scores->of_unit[other], like)) {
            continue;
        }
        double best = larger(scores->of_unit[unit], scores->of_unit[other]);
        double byte_s = scores->byte_s[cell];
        if (is_slow(without_accidents(scores, cell), best)) {
            insert(slow, count, (struct slow_wire){level, unit, other, best / byte_s, byte_s});
        }
    }
}

enum ww_status wire_slow(const struct ground *ground, const struct wire_record *records, int rounds,
                         int level, struct slow_wire *slow, int *count)
{
    struct scores scores;
    enum ww_status status = scores_init(&scores, ground, rounds);
    if (status != WW_OK) {
        return status;
    }
    score_ports(&scores, records);
    note_unrest(&scores, records);
    double like = settle(&scores);
    find_best(&scores, without_jitter, scores.surely);
    for (int unit = 0; unit < ground->units; unit++) {
        double byte_s = scores.of_unit[unit];
        if (is_slow(scores.surely[unit], like)) {
            insert(slow, count, (struct slow_wire){level, unit, -1, like / byte_s, byte_s});
        }
    }
    find_slow_paths(&scores, like, level, slow, count);
    scores_finish(&scores);
    return WW_OK;
}

static void keep_better(struct pour *kept, const struct pour *again)
{
    double byte_s = pour_byte_s(again);
    if (byte_s > 0 && (pour_byte_s(kept) == 0 || byte_s < pour_byte_s(kept))) {
        *kept = *again;
    }
}

void wire_keep_better(struct wire_record *records, const struct wire_record *again, int size,
                      int rounds)
{
    for (int rank = 0; rank < size; rank++) {
        for (int round = 0; round < rounds; round++) {
            keep_better(&records[rank].port[round], &again[rank].port[round]);
        }
    }
}
