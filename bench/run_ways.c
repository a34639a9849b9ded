/* SPDX-License-Identifier: BSD-3-Clause
 * run_ways.c: the part of a run that --predict adds: every job in every way, and what was
 * predicted.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "blocks.h"
#include "ways.h"

#define WIRES_BYTES 4096
#define ERRORS_MAX 8192

struct walk {
    struct bench *bench;
    struct ways_verdict verdict;
    double *errors; /* [ERRORS_MAX] */
    size_t error_count;
};

static void run_job_ways(void *self, const struct job *job)
{
    struct walk *walk = self;
    struct bench *bench = walk->bench;
    meter_stage(&bench->meter, "%zu bytes in every way", job->bytes);
    struct ways ways = ways_measure(&bench->meter, job);
    ways_judge(&ways, job->bytes, &walk->verdict, walk->errors, ERRORS_MAX, &walk->error_count);
    bench->meter.jobs_done++;
    bench_hide_progress(bench);
    block_ways(bench->out, job, &ways);
}

void bench_run_ways(struct bench *bench)
{
    struct walk walk = {.bench = bench, .errors = calloc(ERRORS_MAX, sizeof *walk.errors)};
    char *wires = malloc(WIRES_BYTES);
    if (walk.errors == NULL || wires == NULL) {
        team_fail(&bench->meter.world, "no memory for predictions");
    }
    ww_wires_print(bench->meter.context, wires, WIRES_BYTES);
    block_wires(bench->out, wires);
    free(wires);
    sweep(bench->options, bench->meter.world.size, run_job_ways, &walk);
    if (walk.error_count > 0) {
        walk.verdict.predictions = (int)walk.error_count;
        walk.verdict.error_median = summarize(walk.errors, walk.error_count).median;
    }
    block_ways_verdict(bench->out, &walk.verdict);
    free(walk.errors);
}
