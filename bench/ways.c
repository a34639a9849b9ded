/* SPDX-License-Identifier: BSD-3-Clause
 * ways.c: measures every way of an all-reduce in turn, so that all meet the same moods of the
 * machine, and compares with what was predicted.
 *
 * A round is a batch of calls back to back: so long that neither the clock nor the burst which a
 * shaped link lets pass matters, and behind an untimed call, as connections that another way left
 * idle begin slowly. Every other round goes backwards, so that no way always follows the same. */
#include "ways.h"

#include <math.h>
#include <string.h>

#define BATCH_S 40e-3
#define BATCH_MAX 2000
#define ROUNDS_MAX 64
#define APART 1.05 /* medians that differ by more must be predicted in the right order */

/* Ways that take turns, by number. */
struct turns {
    int count;
    int way[WAYS_MAX];
    double seconds[WAYS_MAX][ROUNDS_MAX]; /* by turn and round, of the slowest rank */
};

static void call(const struct meter *meter, const struct job *job)
{
    void *values = meter->output.memory;
    enum ww_status status = ww_all_reduce(meter->context, values, values, job->shape.count,
                                          job->type, job->op);
    if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
}

/* Seconds per call on this rank. */
static double time_batch(const struct meter *meter, const struct job *job, int batch)
{
    call(meter, job);
    team_barrier(&meter->world);
    double begin = seconds_now();
    for (int i = 0; i < batch; i++) {
        call(meter, job);
    }
    return (seconds_now() - begin) / batch;
}

static struct ww_prediction predict(const struct meter *meter, const struct job *job, int which)
{
    struct ww_prediction prediction = WW_PREDICTION_INIT;
    enum ww_status status = ww_predict(meter->context, "all_reduce", job->shape.count, job->type,
                                       which, &prediction);
    if (status == WW_BAD_ARGUMENT && which >= 0) {
        prediction.algorithm[0] = '\0'; /* that was the last one */
    } else if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
    return prediction;
}

static bool same_way(const struct ww_prediction *a, const struct ww_prediction *b)
{
    return strcmp(a->algorithm, b->algorithm) == 0 && a->segment_bytes == b->segment_bytes &&
           a->window == b->window;
}

static void list_ways(const struct meter *meter, const struct job *job, struct ways *ways)
{
    struct ww_prediction chosen = predict(meter, job, -1);
    ways->chosen = -1;
    for (int which = 0; ways->count < WAYS_MAX - 1; which++) {
        struct ww_prediction prediction = predict(meter, job, which);
        if (prediction.algorithm[0] == '\0') {
            break;
        }
        ways->chosen = same_way(&prediction, &chosen) ? ways->count : ways->chosen;
        ways->way[ways->count++].prediction = prediction;
    }
    if (ways->chosen < 0) {
        ways->chosen = ways->count;
        ways->way[ways->count++].prediction = chosen;
    }
}

static void follow(const struct meter *meter, const struct job *job, const struct ways *ways,
                   int way)
{
    const struct ww_prediction *prediction = &ways->way[way].prediction;
    enum ww_status status = ww_calls_follow(meter->context,
                                            way == ways->chosen ? NULL : prediction);
    if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
}

/* The same number of calls for all ways, never more than the budget allows. */
static void choose_rounds(const struct meter *meter, const struct job *job, struct ways *ways)
{
    double total = 0;
    for (int w = 0; w < ways->count; w++) {
        follow(meter, job, ways, w);
        call(meter, job); /* connects, reserves */
        total += time_batch(meter, job, 2);
    }
    double mean = total / ways->count;
    team_combine(&meter->world, COMBINE_MAX, &mean, 1);
    double batch = BATCH_S / mean;
    ways->batch = batch > BATCH_MAX ? BATCH_MAX : batch < 1 ? 1 : (int)batch;
    int most = meter->options->iters < ROUNDS_MAX ? meter->options->iters : ROUNDS_MAX;
    ways->rounds = measure_calls(meter->options->budget_s, mean * (ways->batch + 1) * ways->count,
                                 most);
}

static void take_turns(const struct meter *meter, const struct job *job, const struct ways *ways,
                       struct turns *turns)
{
    for (int round = 0; round < ways->rounds; round++) {
        for (int i = 0; i < turns->count; i++) {
            int turn = round % 2 == 0 ? i : turns->count - 1 - i;
            follow(meter, job, ways, turns->way[turn]);
            turns->seconds[turn][round] = time_batch(meter, job, ways->batch);
        }
    }
    follow(meter, job, ways, ways->chosen);
    for (int i = 0; i < turns->count; i++) {
        team_combine(&meter->world, COMBINE_MAX, turns->seconds[i], (size_t)ways->rounds);
    }
}

/* The chosen way meets those that seemed faster by more than what counts as a difference. */
static void meet_rivals(const struct meter *meter, const struct job *job, struct ways *ways)
{
    struct turns turns = {.count = 1, .way = {ways->chosen}};
    double chosen = ways->way[ways->chosen].times.median;
    double least = chosen;
    for (int w = 0; w < ways->count; w++) {
        least = fmin(least, ways->way[w].times.median);
        if (ways->way[w].times.median * APART < chosen) {
            turns.way[turns.count++] = w;
        }
    }
    ways->rival = -1;
    ways->ratio = chosen / least;
    if (turns.count == 1) {
        return;
    }
    take_turns(meter, job, ways, &turns);
    chosen = summarize(turns.seconds[0], (size_t)ways->rounds).median;
    least = INFINITY;
    for (int i = 1; i < turns.count; i++) {
        double median = summarize(turns.seconds[i], (size_t)ways->rounds).median;
        if (median < least) {
            least = median;
            ways->rival = turns.way[i];
        }
    }
    ways->ratio = chosen / least;
}

struct ways ways_measure(struct meter *meter, const struct job *job)
{
    struct ways ways = {.count = 0};
    struct turns turns;
    memset(meter->output.memory, 0,
           job->bytes); /* zeros stay zeros, however often they are added */
    list_ways(meter, job, &ways);
    choose_rounds(meter, job, &ways);
    turns.count = ways.count;
    for (int w = 0; w < ways.count; w++) {
        turns.way[w] = w;
    }
    take_turns(meter, job, &ways, &turns);
    for (int w = 0; w < ways.count; w++) {
        ways.way[w].times = summarize(turns.seconds[w], (size_t)ways.rounds);
    }
    meet_rivals(meter, job, &ways);
    return ways;
}

/* ---- Judging --------------------------------------------------------------------------------- */

static bool in_order(double a, double b, double c, double d)
{
    return (a < b) == (c < d);
}

void ways_judge(const struct ways *ways, size_t bytes, struct ways_verdict *verdict, double *errors,
                size_t room, size_t *count)
{
    for (int w = 0; w < ways->count; w++) {
        const struct way_record *way = &ways->way[w];
        if (*count < room) {
            errors[(*count)++] = fabs(way->prediction.seconds / way->times.median - 1);
        }
        for (int v = w + 1; v < ways->count; v++) {
            const struct way_record *other = &ways->way[v];
            double ratio = way->times.median / other->times.median;
            if (ratio > APART || ratio < 1 / APART) {
                verdict->pairs++;
                verdict->pairs_right += in_order(way->times.median, other->times.median,
                                                 way->prediction.seconds,
                                                 other->prediction.seconds);
            }
        }
    }
    if (ways->ratio > verdict->worst_choice) {
        verdict->worst_choice = ways->ratio;
        verdict->worst_bytes = bytes;
    }
}
