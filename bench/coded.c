/* SPDX-License-Identifier: BSD-3-Clause
 * coded.c: lossy all-reduces: how long, how many bytes, how far from the exact sum. */
#include "coded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/tools.h>

#define POOL ((size_t)1 << 20) /* Gaussian numbers to draw from, a power of two */
#define RUN 4096               /* consecutive ones from a place drawn anew */
#define POOL_BYTES ((POOL + RUN) * sizeof(float))

static double uniform(uint64_t key)
{
    return ((double)(pattern_scramble(key) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller; the same on all ranks. */
static float *make_pool(const struct meter *meter)
{
    float *pool = malloc(POOL_BYTES);
    if (pool == NULL) {
        team_fail(&meter->world, "no memory for %zu Gaussian numbers", POOL + RUN);
    }
    for (size_t i = 0; i < POOL; i++) {
        double radius = sqrt(-2 * log(uniform(2 * i)));
        pool[i] = (float)(radius * cos(6.283185307179586 * uniform(2 * i + 1)));
    }
    memcpy(pool + POOL, pool, RUN * sizeof(*pool));
    return pool;
}

/* Where the values of a rank from element `first`, a multiple of RUN, lie in the pool. */
static const float *run_of(const float *pool, uint64_t round, int rank, size_t first)
{
    return pool + (pattern_scramble(pattern_scramble(round) + (uint64_t)rank * 0x1000003u + first) &
                   (POOL - 1));
}

static void fill(const struct meter *meter, const float *pool, float *values, size_t count)
{
    for (size_t first = 0; first < count; first += RUN) {
        size_t run = count - first < RUN ? count - first : RUN;
        memcpy(values + first, run_of(pool, meter->round, meter->world.rank, first),
               run * sizeof(*values));
    }
}

/* Squares of the error and of the exact result, over all elements. */
static double error_of(const struct meter *meter, const struct job *job, const float *pool,
                       const float *got)
{
    int size = meter->world.size;
    double scale = job->op == WW_MEAN ? 1.0 / size : 1.0;
    double errors = 0;
    double squares = 0;
    for (size_t first = 0; first < job->shape.count; first += RUN) {
        double exact[RUN] = {0};
        size_t run = job->shape.count - first < RUN ? job->shape.count - first : RUN;
        for (int rank = 0; rank < size; rank++) {
            const float *values = run_of(pool, meter->round, rank, first);
            for (size_t i = 0; i < run; i++) {
                exact[i] += values[i];
            }
        }
        for (size_t i = 0; i < run; i++) {
            double wanted = exact[i] * scale;
            errors += (got[first + i] - wanted) * (got[first + i] - wanted);
            squares += wanted * wanted;
        }
    }
    return squares > 0 ? errors / squares : 0;
}

static void call(const struct meter *meter, const struct job *job, char *input, char *output,
                 float *residual)
{
    const struct call call = {input, output, job->shape.count, WW_F32, job->op, -1};
    const char *codec = meter->options->codec;
    enum ww_status status = meter->device == NULL
                                ? ww_all_reduce_coded(meter->context, (const float *)(void *)input,
                                                      (float *)(void *)output, call.count, call.op,
                                                      codec, residual)
                                : device_run_coded(meter->context, &call, codec, residual);
    if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
}

/* One call on new values; returns its seconds. */
static double run_once(struct meter *meter, const struct job *job, const float *pool, bool in_place,
                       float *residual)
{
    char *output = meter->output.memory;
    char *input = in_place ? output : meter->input.memory;
    meter->round++;
    fill(meter, pool, (float *)(void *)meter_desk(meter, input), job->shape.count);
    meter_put(meter, input, job->bytes);
    team_barrier(&meter->world);
    double begin = seconds_now();
    call(meter, job, input, output, residual);
    meter_wait(meter);
    return seconds_now() - begin;
}

/* As the steps of a program do it by default; in memory like that of the values. Empty where there
 * is no feedback. */
static struct buffer make_residual(const struct meter *meter, const struct job *job)
{
    if (!meter->options->feeds_back) {
        return (struct buffer){.kind = MEMORY_MALLOC};
    }
    struct buffer residual = buffer_open(&meter->world, meter->context, meter->options->memory,
                                         job->shape.count * sizeof(float));
    meter_set(meter, residual.memory, 0, residual.bytes);
    return residual;
}

/* The first result, which no residual of another call is in. */
static double first_error(struct meter *meter, const struct job *job, const float *pool,
                          bool in_place, float *residual)
{
    run_once(meter, job, pool, in_place, residual);
    const char *output = meter_get(meter, meter->output.memory, job->bytes);
    double error = error_of(meter, job, pool, (const float *)(void *)output);
    team_combine(&meter->world, COMBINE_MAX, &error, 1);
    return error;
}

/* "auto" tries what is allowed first, and measures what that saves. */
#define SETTLING_MOST 1000
static void settle(struct meter *meter, const struct job *job, const float *pool, bool in_place,
                   float *residual)
{
    bool settled = strcmp(meter->options->codec, "auto") != 0;
    for (int i = 0; !settled && i < SETTLING_MOST; i++) {
        char codec[48];
        run_once(meter, job, pool, in_place, residual);
        enum ww_status status = ww_auto_describe(meter->context, job->shape.count, job->op, codec,
                                                 sizeof(codec), &settled);
        if (status != WW_OK) {
            measure_fail(meter, job, status);
        }
    }
}

static double warm_up(struct meter *meter, const struct job *job, const float *pool, bool in_place,
                      float *residual)
{
    double seconds = 0;
    settle(meter, job, pool, in_place, residual);
    for (int i = 0; i < meter->options->warmup_iters || i == 0; i++) {
        seconds = run_once(meter, job, pool, in_place, residual);
        team_combine(&meter->world, COMBINE_MAX, &seconds, 1);
    }
    return seconds;
}

/* ---- Timing ---------------------------------------------------------------------------------- */

/* Every call by itself, on new values; the mean. */
static double time_calls(struct meter *meter, const struct job *job, const float *pool,
                         bool in_place, float *residual, int calls)
{
    double mean = 0.0;
    for (int i = 0; i < calls; i++) {
        meter->seconds[i] = run_once(meter, job, pool, in_place, residual);
        mean += meter->seconds[i] / calls;
    }
    return mean;
}

#define SLOT_BYTES ((size_t)256) /* where places for values begin */

static size_t slot_stride(const struct job *job)
{
    size_t slots = (job->bytes + SLOT_BYTES - 1) / SLOT_BYTES;
    return (slots > 0 ? slots : 1) * SLOT_BYTES;
}

/* Calls back to back on the GPU. In place each has its own copy of the values, as sums of sums
 * would be other values. */
static double time_batch(const struct meter *meter, const struct job *job, bool in_place,
                         float *residual, int calls)
{
    size_t stride = slot_stride(job);
    char *slot = meter->output.memory;
    for (int i = 0; in_place && i < calls; i++) {
        meter_copy(meter, slot + (size_t)i * stride, meter->input.memory, job->bytes);
    }
    meter_wait(meter);
    team_barrier(&meter->world);
    double begin = seconds_now();
    for (int i = 0; i < calls; i++) {
        char *output = slot + (in_place ? (size_t)i * stride : 0);
        call(meter, job, in_place ? output : meter->input.memory, output, residual);
    }
    meter_wait(meter);
    return (seconds_now() - begin) / calls;
}

static double time_batches(const struct meter *meter, const struct job *job, const float *pool,
                           bool in_place, float *residual, const struct batches *batches)
{
    double mean = 0.0;
    fill(meter, pool, (float *)(void *)meter_desk(meter, meter->input.memory), job->shape.count);
    meter_put(meter, meter->input.memory, job->bytes);
    for (int i = 0; i < batches->count; i++) {
        meter->seconds[i] = time_batch(meter, job, in_place, residual, batches->calls);
        mean += meter->seconds[i] / batches->count;
    }
    return mean;
}

static struct batches plan_batches(const struct meter *meter, const struct job *job, double seconds,
                                   bool in_place)
{
    const struct options *options = meter->options;
    if (meter->device == NULL) {
        return (struct batches){measure_calls(options->budget_s / 2, seconds, options->iters), 1};
    }
    struct batches batches = measure_batches(options->budget_s / 2, seconds, options->iters);
    size_t room = meter->output.bytes / slot_stride(job);
    if (in_place && (size_t)batches.calls > room) {
        batches.calls = room > 0 ? (int)room : 1;
    }
    return batches;
}

size_t coded_touched(const struct meter *meter)
{
    bool has_residual = meter->options->feeds_back && meter->device == NULL;
    struct sweep_needs needs = sweep_needs(meter->options, meter->world.size);
    return POOL_BYTES + (has_residual ? needs.widest_bytes : 0);
}

struct figures coded_measure(struct meter *meter, const struct job *job, bool in_place)
{
    const struct options *options = meter->options;
    meter_stage(meter, "%s %s %s of %zu bytes as %s, %s", options->collective->name,
                job->subject.type, job->subject.op, job->bytes, options->codec,
                in_place ? "in place" : "out of place");
    float *pool = make_pool(meter);
    struct buffer errors = make_residual(meter, job);
    float *residual = (float *)(void *)errors.memory;
    struct figures figures = {.checked = options->checks > 0, .lossy = true};
    figures.error = first_error(meter, job, pool, in_place, residual);
    double warm_s = warm_up(meter, job, pool, in_place, residual);
    struct batches batches = plan_batches(meter, job, warm_s, in_place);
    figures.calls = batches.count * batches.calls;
    figures.batch = batches.calls;
    uint64_t before = measure_bytes_sent(meter, job);
    figures.seconds = meter->device == NULL
                          ? time_calls(meter, job, pool, in_place, residual, figures.calls)
                          : time_batches(meter, job, pool, in_place, residual, &batches);
    uint64_t sent = team_sum(&meter->world, measure_bytes_sent(meter, job) - before);
    figures.wire_bytes = sent / (uint64_t)figures.calls / (uint64_t)meter->world.size;
    team_combine(&meter->world, (enum combine)options->average, &figures.seconds, 1);
    team_combine(&meter->world, COMBINE_MAX, meter->seconds, (size_t)batches.count);
    figures.per_call = summarize(meter->seconds, (size_t)batches.count);
    figures.algorithm_gbps = (double)job->bytes / figures.seconds / 1e9;
    figures.bus_gbps = figures.algorithm_gbps * options->collective->bus_factor(meter->world.size);
    meter->jobs_done++;
    buffer_close(meter->context, &errors);
    free(pool);
    return figures;
}
