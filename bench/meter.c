/* SPDX-License-Identifier: BSD-3-Clause
 * meter.c: what a measuring rank has in its hands. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "progress.h"
#include "versus.h"
#include "watchdog.h"

static double *reserve_times(const struct meter *meter)
{
    int iters = meter->options->iters;
    size_t count = (size_t)(iters > METER_BATCHES ? iters : METER_BATCHES);
    double *times = calloc(count, sizeof(times[0]));
    if (times == NULL) {
        team_fail(&meter->world, "no memory for %zu times; ask for fewer with -n", count);
    }
    return times;
}

/* What needs more room than a single call: several calls, each in a place of its own. */
static size_t room_for_batches(const struct options *options)
{
    if (options->on_gpu) {
        return options->lossy || options->versus_nccl ? VERSUS_GPU_ARENA_BYTES : 0;
    }
    return options->versus_mpi ? VERSUS_ARENA_BYTES : 0;
}

void meter_reserve(struct meter *meter)
{
    const struct options *options = meter->options;
    struct sweep_needs needs = sweep_needs(options, meter->world.size);
    size_t least = room_for_batches(options);
    size_t input = options->versus != NULL ? needs.widest_bytes : needs.input_bytes;
    input = input > least ? input : least;
    size_t output = needs.widest_bytes > least ? needs.widest_bytes : least;
    meter->input = buffer_open(&meter->world, meter->context, options->memory, input);
    meter->output = buffer_open(&meter->world, meter->context, options->memory, output);
    if (options->on_gpu) {
        size_t widest = needs.input_bytes > needs.widest_bytes ? needs.input_bytes
                                                               : needs.widest_bytes;
        meter->desk = buffer_open(&meter->world, meter->context, MEMORY_MALLOC, widest);
    }
    meter->seconds = reserve_times(meter);
    if (options->versus != NULL) {
        meter->peer_seconds = reserve_times(meter);
        meter->ratios = reserve_times(meter);
    }
    int contests = options->versus_mpi ? MEMORY_HOST_COUNT : options->versus_nccl ? 1 : 0;
    meter->jobs = needs.jobs * (size_t)(2 + contests + (options->predict ? 1 : 0));
}

void meter_release(struct meter *meter)
{
    free(meter->ratios);
    free(meter->peer_seconds);
    free(meter->seconds);
    buffer_close(meter->context, &meter->desk);
    buffer_close(meter->context, &meter->output);
    buffer_close(meter->context, &meter->input);
}

/* A huge buffer is touched as a whole when it is made. */
size_t meter_touched(const struct meter *meter)
{
    if (meter->device != NULL) {
        return meter->desk.bytes;
    }
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

/* ---- Values ---------------------------------------------------------------------------------- */

static void must(const struct meter *meter, bool done, const char *what, size_t bytes)
{
    if (!done) {
        team_fail(&meter->world, "%s of %zu bytes failed on the GPU", what, bytes);
    }
}

char *meter_desk(const struct meter *meter, char *memory)
{
    return meter->device == NULL ? memory : meter->desk.memory;
}

void meter_put(const struct meter *meter, char *memory, size_t bytes)
{
    if (meter->device != NULL) {
        must(meter, device_copy(meter->device, memory, meter->desk.memory, bytes), "a copy", bytes);
        meter_wait(meter);
    }
}

char *meter_get(const struct meter *meter, char *memory, size_t bytes)
{
    if (meter->device == NULL) {
        return memory;
    }
    meter_wait(meter);
    must(meter, device_copy(meter->device, meter->desk.memory, memory, bytes), "a copy", bytes);
    meter_wait(meter);
    return meter->desk.memory;
}

void meter_set(const struct meter *meter, char *memory, int byte, size_t bytes)
{
    if (meter->device == NULL) {
        memset(memory, byte, bytes);
    } else {
        must(meter, device_set(meter->device, memory, byte, bytes), "writing", bytes);
    }
}

void meter_copy(const struct meter *meter, char *into, const char *from, size_t bytes)
{
    if (meter->device == NULL) {
        memcpy(into, from, bytes);
    } else {
        must(meter, device_copy(meter->device, into, from, bytes), "a copy", bytes);
    }
}

void meter_wait(const struct meter *meter)
{
    if (meter->device == NULL) {
        return;
    }
    enum ww_status status = device_synchronize(meter->context);
    if (status != WW_OK) {
        team_fail(&meter->world, "work on the GPU failed with %s: %s", ww_status_name(status),
                  ww_last_error(meter->context));
    }
}
