/* SPDX-License-Identifier: BSD-3-Clause
 * versus.c: our collective and a peer's in turn, so that both meet the same moods of the machine.
 * Before each round the values are written anew. Short calls are timed as a batch, each call on
 * a buffer of its own, as no clock can time one of them. */
#include "versus.h"

#include <math.h>

#include "world.h"

#define BATCH_S 100e-6   /* a batch takes about so long: the way out of a barrier takes 1 % of it */
#define GPU_BATCH_S 2e-3 /* a GPU is waited for once in it */
#define BATCH_MAX 1024
#define LINE_BYTES 64
#define GPU_LINE_BYTES 256
#define SLOWER 1.05

struct bout {
    struct meter *meter;
    const struct job *job;
    struct nccl_peer *nccl; /* NULL = MPI is the peer */
    int batch;
    size_t stride;        /* bytes from one buffer of a batch to the next */
    char *ours;           /* batch * stride bytes, where ours works ... */
    char *peers;          /* ... and where the peer does */
    struct call our_call; /* on the first buffer of each */
    struct call peer_call;
};

const char *versus_peer_function(const struct options *options)
{
    return options->versus_nccl ? "ncclAllReduce" : options->collective->mpi_function;
}

static void refill(const struct bout *bout, char *arena)
{
    for (int i = 0; i < bout->batch; i++) {
        meter_copy(bout->meter, arena + (size_t)i * bout->stride, bout->meter->input.memory,
                   bout->job->bytes);
    }
    meter_wait(bout->meter);
}

/* The same call, on the i-th buffer. */
static struct call call_at(const struct bout *bout, const struct call *first, int i)
{
    struct call call = *first;
    call.input = (const char *)first->input + (size_t)i * bout->stride;
    call.output = (char *)first->output + (size_t)i * bout->stride;
    return call;
}

static void call_ours(const struct bout *bout, int i)
{
    struct call call = call_at(bout, &bout->our_call, i);
    measure_run(bout->meter, bout->job, &call);
}

static void call_peer(const struct bout *bout, int i)
{
    const struct options *options = bout->meter->options;
    struct call call = call_at(bout, &bout->peer_call, i);
    bool done = bout->nccl == NULL
                    ? mpi_run(options->collective->outcome, &call)
                    : nccl_peer_all_reduce(bout->nccl, call.output, call.count, call.type, call.op);
    if (!done) {
        team_fail(&bout->meter->world, "%s of %zu elements failed", versus_peer_function(options),
                  call.count);
    }
}

/* Both are waited for in the same way, so that only the calls differ. */
static void finish(const struct bout *bout)
{
    if (bout->nccl != NULL && !device_finish(bout->meter->device)) {
        team_fail(&bout->meter->world, "work on the GPU failed");
    }
}

/* Seconds per call on this rank. One loop each, so that neither pays for a choice. */
static double time_ours(const struct bout *bout)
{
    refill(bout, bout->ours);
    team_barrier(&bout->meter->world);
    double begin = seconds_now();
    for (int i = 0; i < bout->batch; i++) {
        call_ours(bout, i);
    }
    finish(bout);
    return (seconds_now() - begin) / bout->batch;
}

static double time_peer(const struct bout *bout)
{
    refill(bout, bout->peers);
    team_barrier(&bout->meter->world);
    double begin = seconds_now();
    for (int i = 0; i < bout->batch; i++) {
        call_peer(bout, i);
    }
    finish(bout);
    return (seconds_now() - begin) / bout->batch;
}

/* Who goes first alternates: the second finds warmer caches. */
static void time_round(const struct bout *bout, int round, double *ours, double *peers)
{
    if (round % 2 == 0) {
        *ours = time_ours(bout);
        *peers = time_peer(bout);
    } else {
        *peers = time_peer(bout);
        *ours = time_ours(bout);
    }
}

/* Seconds of a warm call, the same on all ranks. */
struct pace {
    double faster; /* of the faster of the two ... */
    double slower;
};

/* The least of a few rounds: one that was disturbed would make the batch too short. */
static struct pace warm_up(const struct bout *bout)
{
    double least[2] = {INFINITY, INFINITY};
    for (int round = 0; round < 2; round++) {
        double pair[2];
        time_round(bout, round, &pair[0], &pair[1]);
        least[0] = fmin(least[0], pair[0]);
        least[1] = fmin(least[1], pair[1]);
    }
    team_combine(&bout->meter->world, COMBINE_MAX, least, 2);
    return (struct pace){fmin(least[0], least[1]), fmax(least[0], least[1])};
}

/* Makes even the faster one's batch long enough for the clock. The time of a single call includes
 * the way out of the barrier, so the first guess is too small; its own time tells better. */
static struct pace choose_batch(struct bout *bout, size_t arena_bytes)
{
    double room = (double)(arena_bytes / bout->stride);
    struct pace pace = warm_up(bout);
    for (int guess = 0; guess < 2; guess++) {
        double batch = (bout->nccl == NULL ? BATCH_S : GPU_BATCH_S) / pace.faster;
        batch = batch < BATCH_MAX ? batch : BATCH_MAX;
        batch = batch < room ? batch : room;
        bout->batch = batch > 1.0 ? (int)batch : 1;
        if (bout->batch == 1) {
            break;
        }
        pace = warm_up(bout);
    }
    return pace;
}

/* One more call, whose result is looked at. */
static uint64_t check(const struct bout *bout)
{
    refill(bout, bout->ours);
    return measure_check(bout->meter, bout->job, &bout->our_call);
}

static double bus_gbps(const struct bout *bout, double seconds)
{
    const struct meter *meter = bout->meter;
    return (double)bout->job->bytes / seconds / 1e9 *
           meter->options->collective->bus_factor(meter->world.size);
}

static struct contest sum_up(const struct bout *bout, size_t rounds)
{
    struct meter *meter = bout->meter;
    team_combine(&meter->world, COMBINE_MAX, meter->seconds, rounds);
    team_combine(&meter->world, COMBINE_MAX, meter->peer_seconds, rounds);
    for (size_t i = 0; i < rounds; i++) {
        meter->ratios[i] = meter->peer_seconds[i] / meter->seconds[i];
    }
    struct contest contest = {
        .rounds = (int)rounds,
        .batch = bout->batch,
        .ratio = summarize(meter->ratios, rounds),
        .checked = meter->options->checks > 0,
    };
    for (size_t i = 0; i < rounds; i++) {
        meter->ratios[i] = meter->seconds[i] - meter->peer_seconds[i];
    }
    contest.extra = summarize(meter->ratios, rounds);
    contest.ours = summarize(meter->seconds, rounds); /* sorts: pairs are torn from here on */
    contest.peers = summarize(meter->peer_seconds, rounds);
    contest.bus_gbps = bus_gbps(bout, contest.ours.median);
    contest.peer_bus_gbps = bus_gbps(bout, contest.peers.median);
    contest.slower = contest.ratio.median * SLOWER < 1.0;
    return contest;
}

struct contest versus_measure(struct meter *meter, const struct job *job,
                              const struct buffer *arena, struct nccl_peer *nccl)
{
    const struct options *options = meter->options;
    measure_fill_in_place(meter, job, meter->input.memory);
    size_t line_bytes = nccl == NULL ? LINE_BYTES : GPU_LINE_BYTES;
    size_t lines = (job->bytes + line_bytes - 1) / line_bytes;
    bool apart = arena->kind == MEMORY_SHARED;
    struct bout bout = {
        .meter = meter,
        .job = job,
        .nccl = nccl,
        .batch = 1,
        .stride = (lines > 0 ? lines : 1) * line_bytes,
        .ours = arena->memory,
        .peers = apart ? meter->output.memory : arena->memory,
    };
    bout.our_call = measure_call_in_place(meter, job, bout.ours);
    bout.peer_call = bout.our_call;
    bout.peer_call.input = bout.peer_call.output = bout.peers;
    struct pace pace = choose_batch(&bout, arena->bytes);
    double round_s = (pace.faster + pace.slower) * bout.batch;
    int rounds = measure_calls(options->budget_s, round_s, options->iters);
    for (int i = 0; i < rounds; i++) {
        time_round(&bout, i, &meter->seconds[i], &meter->peer_seconds[i]);
    }
    struct contest contest = sum_up(&bout, (size_t)rounds);
    contest.memory = arena->kind;
    contest.peer_memory = apart ? MEMORY_MALLOC : arena->kind;
    contest.wrong = contest.checked ? check(&bout) : 0;
    return contest;
}
