/* SPDX-License-Identifier: BSD-3-Clause
 * run_versus.c: the part of a run that --versus adds: every job in memory of every kind, or in that
 * of a GPU. */
#include <stdlib.h>

#include "bench.h"
#include "blocks.h"
#include "world.h"

static void run_marker(struct bench *bench, const int *host_of, const char *when)
{
    meter_stage(&bench->meter, "the markers at the %s", when);
    struct marker marker = marker_measure(&bench->meter, host_of, when);
    bench->report.markers[bench->report.marker_count++] = marker;
    bench_hide_progress(bench);
    block_marker(bench->out, &marker, places_host_count(bench->places, bench->meter.world.size));
}

static void open_arenas(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    bench->arenas[MEMORY_MALLOC] = meter->output;
    for (int kind = MEMORY_HUGE; kind < MEMORY_HOST_COUNT; kind++) {
        bench->arenas[kind] = buffer_open(&meter->world, meter->context, (enum memory)kind,
                                          meter->output.bytes);
    }
    double huge_bytes = (double)bench->arenas[MEMORY_HUGE].huge_bytes;
    team_combine(&meter->world, COMBINE_MIN, &huge_bytes, 1);
    block_huge_pages(bench->out, bench->arenas[MEMORY_HUGE].bytes, (size_t)huge_bytes);
}

static void run_contest(struct bench *bench, const struct job *job, const struct buffer *arena)
{
    const struct options *options = bench->options;
    meter_stage(&bench->meter, "%s %s %s of %zu bytes in turn with %s, %s memory",
                options->collective->name, job->subject.type, job->subject.op, job->bytes,
                options->versus, memory_names[arena->kind]);
    struct contest_record record = {.job = *job};
    record.contest = versus_measure(&bench->meter, job, arena, bench->nccl);
    bench->meter.jobs_done++;
    if (!report_add_contest(&bench->report, &record)) {
        team_fail(&bench->meter.world, "no memory for row %zu; take larger steps (-f)",
                  bench->report.contest_count + 1);
    }
    bench_hide_progress(bench);
    block_contest(bench->out, &record);
}

static void run_contests(void *self, const struct job *job)
{
    struct bench *bench = self;
    for (int kind = 0; kind < MEMORY_HOST_COUNT; kind++) {
        run_contest(bench, job, &bench->arenas[kind]);
    }
}

static void run_contest_on_gpu(void *self, const struct job *job)
{
    struct bench *bench = self;
    run_contest(bench, job, &bench->meter.output);
}

void bench_run_versus_nccl(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    meter_stage(meter, "NCCL connects the ranks");
    bench->nccl = nccl_peer_open(&meter->world, device_stream(meter->device));
    bench_hide_progress(bench);
    block_contests_on_gpu(bench->out, nccl_peer_name(bench->nccl));
    sweep(bench->options, meter->world.size, run_contest_on_gpu, bench);
    nccl_peer_close(bench->nccl);
    bench->nccl = NULL;
}

void bench_run_versus(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    int *host_of = calloc((size_t)meter->world.size, sizeof(host_of[0]));
    if (host_of == NULL) {
        team_fail(&meter->world, "no memory for the hosts of %d ranks", meter->world.size);
    }
    for (int rank = 0; rank < meter->world.size; rank++) {
        host_of[rank] = places_first(bench->places, rank);
    }
    run_marker(bench, host_of, "begin");
    open_arenas(bench);
    block_contests(bench->out, versus_peer_function(bench->options), mpi_name());
    sweep(bench->options, meter->world.size, run_contests, bench);
    buffer_close(meter->context, &bench->arenas[MEMORY_HUGE]);
    buffer_close(meter->context, &bench->arenas[MEMORY_SHARED]);
    run_marker(bench, host_of, "end");
    free(host_of);
}
