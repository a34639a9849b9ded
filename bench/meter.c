/* SPDX-License-Identifier: BSD-3-Clause
 * meter.c: what a measuring rank has in its hands. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"
#include "progress.h"
#include "versus.h"
#include "watchdog.h"

static double *reserve_times(const struct meter *meter)
{
    double *times = calloc((size_t)meter->options->iters, sizeof(times[0]));
    if (times == NULL) {
        team_fail(&meter->world, "no memory for %d times; ask for fewer with -n",
                  meter->options->iters);
    }
    return times;
}

void meter_reserve(struct meter *meter)
{
    const struct options *options = meter->options;
    struct sweep_needs needs = sweep_needs(options, meter->world.size);
    size_t least = options->versus_mpi ? VERSUS_ARENA_BYTES : 0;
    size_t input = needs.input_bytes > least ? needs.input_bytes : least;
    size_t output = needs.widest_bytes > least ? needs.widest_bytes : least;
    meter->input = buffer_open(&meter->world, meter->context, options->memory, input);
    meter->output = buffer_open(&meter->world, meter->context, options->memory, output);
    meter->seconds = reserve_times(meter);
    if (options->versus_mpi) {
        meter->peer_seconds = reserve_times(meter);
        meter->ratios = reserve_times(meter);
    }
    meter->jobs = needs.jobs * (options->versus_mpi ? 2 + MEMORY_COUNT : 2);
}

void meter_release(struct meter *meter)
{
    free(meter->ratios);
    free(meter->peer_seconds);
    free(meter->seconds);
    buffer_close(meter->context, &meter->output);
    buffer_close(meter->context, &meter->input);
}

/* A huge buffer is touched as a whole when it is made. */
size_t meter_touched(const struct meter *meter)
{
    if (meter->options->memory == MEMORY_HUGE) {
        return meter->input.bytes + meter->output.bytes;
    }
    struct sweep_needs needs = sweep_needs(meter->options, meter->world.size);
    return needs.input_bytes + needs.widest_bytes;
}

void meter_stage(struct meter *meter, const char *format, ...)
{
    char what[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (meter->leads) {
        watchdog_stage(what);
    }
    if (meter->world.rank == 0) {
        progress_show("wirewise bench: %zu of %zu: %s", meter->jobs_done, meter->jobs, what);
    }
}
