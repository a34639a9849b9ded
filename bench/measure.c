/* SPDX-License-Identifier: BSD-3-Clause
 * measure.c: times one collective at one size, in one placement, and checks its result. */
#include "measure.h"

#define CALLS_LEAST 3
#define STALE 0xa5 /* what an output holds before the call */

static struct pattern pattern_of(const struct meter *meter, const struct job *job)
{
    return (struct pattern){job->type, job->op, meter->world.size, meter->round};
}

/* Where this rank's share begins in a buffer of all shares. */
static size_t share_offset(const struct meter *meter, const struct job *job)
{
    return (size_t)meter->world.rank * job->shape.count * ww_type_bytes(job->type);
}

/* In place, all lies in `buffer`. */
static char *input_in(const struct meter *meter, const struct job *job, char *buffer)
{
    return buffer + (meter->options->collective->input_is_share ? share_offset(meter, job) : 0);
}

static char *output_in(const struct meter *meter, const struct job *job, char *buffer)
{
    return buffer + (meter->options->collective->output_is_share ? share_offset(meter, job) : 0);
}

struct call measure_call_in_place(const struct meter *meter, const struct job *job, char *buffer)
{
    return (struct call){
        .input = input_in(meter, job, buffer),
        .output = output_in(meter, job, buffer),
        .count = job->shape.count,
        .type = job->type,
        .op = job->op,
        .root = meter->options->root,
    };
}

static struct call make_call(const struct meter *meter, const struct job *job, bool in_place)
{
    struct call call = measure_call_in_place(meter, job, meter->output.memory);
    if (!in_place) {
        call.input = meter->input.memory;
        call.output = meter->output.memory;
    }
    return call;
}

/* New values in the input; nothing else in the output's buffer looks like a result. */
static void fill(struct meter *meter, const struct job *job, char *input, char *output)
{
    meter->round++;
    struct pattern pattern = pattern_of(meter, job);
    meter_set(meter, output, STALE, job->bytes);
    pattern_fill(&pattern, meter->world.rank, 0, job->shape.input_count, meter_desk(meter, input));
    meter_put(meter, input, job->shape.input_count * ww_type_bytes(job->type));
}

void measure_fill_in_place(struct meter *meter, const struct job *job, char *buffer)
{
    fill(meter, job, input_in(meter, job, buffer), buffer);
}

static void fill_placed(struct meter *meter, const struct job *job, bool in_place)
{
    if (in_place) {
        measure_fill_in_place(meter, job, meter->output.memory);
    } else {
        fill(meter, job, meter->input.memory, meter->output.memory);
    }
}

void measure_run(const struct meter *meter, const struct job *job, const struct call *call)
{
    const struct collective *collective = meter->options->collective;
    enum ww_status status = meter->device == NULL ? collective->run(meter->context, call)
                                                  : device_run(meter->device, meter->context,
                                                               collective->outcome, call);
    if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
}

uint64_t measure_check(const struct meter *meter, const struct job *job, const struct call *call)
{
    measure_run(meter, job, call);
    char *output = meter_get(meter, call->output,
                             job->shape.output_count * ww_type_bytes(job->type));
    if (meter->options->corrupt && meter->world.rank == meter->world.size - 1 &&
        job->shape.output_count > 0) {
        output[0] ^= 1;
    }
    struct pattern pattern = pattern_of(meter, job);
    return team_sum(&meter->world, pattern_wrong(&pattern, meter->options->collective->outcome,
                                                 meter->world.rank, call, output));
}

/* Returns the seconds of a warm call on the slowest rank: all ranks must get the same number of
 * timed calls out of it. Gives up early where a quarter of the budget is gone. */
static double warm_up(struct meter *meter, const struct job *job, const struct call *call)
{
    const struct options *options = meter->options;
    double spent = 0.0;
    double seconds = 0.0;
    for (int i = 0; i < options->warmup_iters || (i == 0 && options->budget_s > 0.0); i++) {
        double begin = seconds_now();
        measure_run(meter, job, call);
        meter_wait(meter);
        seconds = seconds_now() - begin;
        team_combine(&meter->world, COMBINE_MAX, &seconds, 1);
        spent += seconds;
        if (options->budget_s > 0.0 && spent > options->budget_s / 4) {
            break;
        }
    }
    return seconds;
}

/* As nccl-tests does: calls back to back, one time for all, divided by their number. The clock
 * is also read between calls, which costs some 20 ns each. */
static double time_calls(struct meter *meter, const struct job *job, const struct call *call,
                         int calls)
{
    team_barrier(&meter->world);
    double begin = seconds_now();
    double last = begin;
    for (int i = 0; i < calls; i++) {
        measure_run(meter, job, call);
        double now = seconds_now();
        meter->seconds[i] = now - last;
        last = now;
    }
    return (last - begin) / calls;
}

/* As nccl-tests does on GPUs: calls back to back in the stream, one wait at the end. Enqueueing
 * one call and waiting for another overlap, so no single call can be timed. */
static double time_batches(struct meter *meter, const struct job *job, const struct call *call,
                           const struct batches *batches)
{
    double spent = 0.0;
    for (int i = 0; i < batches->count; i++) {
        team_barrier(&meter->world);
        double begin = seconds_now();
        for (int j = 0; j < batches->calls; j++) {
            measure_run(meter, job, call);
        }
        meter_wait(meter);
        meter->seconds[i] = (seconds_now() - begin) / batches->calls;
        spent += meter->seconds[i];
    }
    return spent / batches->count;
}

void measure_fail(const struct meter *meter, const struct job *job, enum ww_status status)
{
    team_fail(&meter->world, "%s of %zu elements failed with %s: %s",
              meter->options->collective->name, job->shape.count, ww_status_name(status),
              ww_last_error(meter->context));
}

int measure_calls(double budget_s, double seconds, int most)
{
    if (budget_s <= 0.0 || seconds * most <= budget_s) {
        return most;
    }
    int calls = (int)(budget_s / seconds);
    int least = most < CALLS_LEAST ? most : CALLS_LEAST;
    return calls > least ? calls : least;
}

struct batches measure_batches(double budget_s, double seconds, int most)
{
    int calls = measure_calls(budget_s, seconds, most * METER_BATCHES);
    bool few = calls < METER_BATCHES;
    return (struct batches){few ? calls : METER_BATCHES, few ? 1 : calls / METER_BATCHES};
}

uint64_t measure_bytes_sent(const struct meter *meter, const struct job *job)
{
    struct ww_report report = WW_REPORT_INIT;
    enum ww_status status = ww_calls_report(meter->context, &report);
    if (status != WW_OK) {
        measure_fail(meter, job, status);
    }
    return report.sent_bytes;
}

static struct batches plan_batches(const struct meter *meter, double seconds)
{
    const struct options *options = meter->options;
    return meter->device != NULL
               ? measure_batches(options->budget_s / 2, seconds, options->iters)
               : (struct batches){measure_calls(options->budget_s / 2, seconds, options->iters), 1};
}

struct figures measure(struct meter *meter, const struct job *job, bool in_place)
{
    const struct options *options = meter->options;
    meter_stage(meter, "%s %s %s of %zu bytes, %s", options->collective->name, job->subject.type,
                job->subject.op, job->bytes, in_place ? "in place" : "out of place");
    fill_placed(meter, job, in_place);
    struct call call = make_call(meter, job, in_place);
    double warm_s = warm_up(meter, job, &call);

    struct figures figures = {.checked = options->checks > 0};
    struct batches batches = plan_batches(meter, warm_s);
    figures.calls = batches.count * batches.calls;
    figures.batch = batches.calls;
    uint64_t before = measure_bytes_sent(meter, job);
    figures.seconds = meter->device == NULL ? time_calls(meter, job, &call, figures.calls)
                                            : time_batches(meter, job, &call, &batches);
    uint64_t sent = team_sum(&meter->world, measure_bytes_sent(meter, job) - before);
    figures.wire_bytes = sent / (uint64_t)figures.calls / (uint64_t)meter->world.size;
    team_combine(&meter->world, (enum combine)options->average, &figures.seconds, 1);
    team_combine(&meter->world, COMBINE_MAX, meter->seconds, (size_t)batches.count);
    figures.per_call = summarize(meter->seconds, (size_t)batches.count);
    figures.algorithm_gbps = (double)job->bytes / figures.seconds / 1e9;
    figures.bus_gbps = figures.algorithm_gbps * options->collective->bus_factor(meter->world.size);
    for (int i = 0; i < options->checks && figures.wrong == 0; i++) {
        fill_placed(meter, job, in_place);
        figures.wrong = measure_check(meter, job, &call);
    }
    meter->jobs_done++;
    return figures;
}
