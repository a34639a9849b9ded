/* SPDX-License-Identifier: BSD-3-Clause
 * versus.c: our all-reduce and MPI's in turn, so that both meet the same moods of the machine.
 * Before each round the values are written anew. Short calls are timed as a batch, each call on
 * a buffer of its own, as no clock can time one of them. */
#include "measure.h"

#include <string.h>

#include "world.h"

#define BATCH_S 100e-6 /* a batch takes about so long ... */
#define BATCH_MAX 64
#define LINE_BYTES 64

struct bout {
    struct meter *meter;
    const struct job *job;
    int batch;
    size_t stride; /* bytes from one buffer of a batch to the next */
};

static void refill(const struct bout *bout)
{
    for (int i = 0; i < bout->batch; i++) {
        memcpy(bout->meter->output + (size_t)i * bout->stride, bout->meter->input,
               bout->job->bytes);
    }
}

static void call_ours(const struct bout *bout, char *values)
{
    const struct job *job = bout->job;
    enum ww_status status = ww_all_reduce(bout->meter->context, values, values, job->shape.count,
                                          job->type, job->op);
    if (status != WW_OK) {
        measure_fail(bout->meter, job, status);
    }
}

static void call_peer(const struct bout *bout, char *values)
{
    const struct job *job = bout->job;
    if (!mpi_all_reduce(values, job->shape.count, job->type, job->op)) {
        team_fail(&bout->meter->world, "MPI_Allreduce of %zu elements failed", job->shape.count);
    }
}

/* Seconds per call on this rank. */
static double time_batch(const struct bout *bout,
                         void (*call)(const struct bout *bout, char *values))
{
    refill(bout);
    team_barrier(&bout->meter->world);
    double begin = seconds_now();
    for (int i = 0; i < bout->batch; i++) {
        call(bout, bout->meter->output + (size_t)i * bout->stride);
    }
    return (seconds_now() - begin) / bout->batch;
}

/* Who goes first alternates: the second finds warmer caches. */
static void time_round(const struct bout *bout, int round, double *ours, double *peers)
{
    if (round % 2 == 0) {
        *ours = time_batch(bout, call_ours);
        *peers = time_batch(bout, call_peer);
    } else {
        *peers = time_batch(bout, call_peer);
        *ours = time_batch(bout, call_ours);
    }
}

/* Seconds of a warm call of the slower of the two, the same on all ranks. */
static double warm_up(const struct bout *bout)
{
    double pair[2] = {0.0, 0.0};
    for (int round = 0; round < 2; round++) {
        time_round(bout, round, &pair[0], &pair[1]);
    }
    team_combine(&bout->meter->world, COMBINE_MAX, pair, 2);
    return pair[0] > pair[1] ? pair[0] : pair[1];
}

static int batch_for(const struct bout *bout, double call_s)
{
    size_t room = bout->meter->buffer_bytes / bout->stride;
    double batch = BATCH_S / call_s;
    batch = batch < BATCH_MAX ? batch : BATCH_MAX;
    batch = batch < (double)room ? batch : (double)room;
    return batch > 1.0 ? (int)batch : 1;
}

struct contest measure_versus_mpi(struct meter *meter, const struct job *job)
{
    const struct options *options = meter->options;
    struct pattern pattern = {job->type, job->op, meter->world.size, ++meter->round};
    pattern_fill(&pattern, meter->world.rank, 0, job->shape.count, meter->input);

    size_t stride = (job->bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    struct bout bout = {meter, job, 1, stride};
    double call_s = warm_up(&bout);
    bout.batch = batch_for(&bout, call_s);
    int rounds = measure_calls(options->budget_s, 2 * call_s * bout.batch, options->iters);
    for (int i = 0; i < rounds; i++) {
        time_round(&bout, i, &meter->seconds[i], &meter->peer_seconds[i]);
    }
    size_t count = (size_t)rounds;
    team_combine(&meter->world, COMBINE_MAX, meter->seconds, count);
    team_combine(&meter->world, COMBINE_MAX, meter->peer_seconds, count);

    for (size_t i = 0; i < count; i++) {
        meter->ratios[i] = meter->peer_seconds[i] / meter->seconds[i];
    }
    return (struct contest){
        .rounds = rounds,
        .batch = bout.batch,
        .ours = summarize(meter->seconds, count),
        .peers = summarize(meter->peer_seconds, count),
        .ratio = summarize(meter->ratios, count),
    };
}
