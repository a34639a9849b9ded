/* SPDX-License-Identifier: BSD-3-Clause
 * bench.c: `wirewise bench`: every rank walks through the jobs; rank 0 prints. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "blocks.h"
#include "coded.h"
#include "command.h"
#include "overhead.h"
#include "progress.h"
#include "publish.h"
#include "resident.h"
#include "table.h"
#include "watchdog.h"
#include "world.h"

void bench_hide_progress(const struct bench *bench)
{
    if (bench->out != NULL) {
        progress_hide();
    }
}

/* ---- Before and after ------------------------------------------------------------------------ */

/* Single calls run on the caller's thread: no other is needed. The library gets the time of a test,
 * too, as only it can tell which rank is missing. */
static void open_context(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    struct ww_config config = WW_CONFIG_INIT;
    config.progress = WW_PROGRESS_INLINE;
    config.log_level = WW_LOG_WARN;
    if (bench->options->predict || bench->options->cluster_path != NULL) {
        config.calibrate = WW_CALIBRATE_ALWAYS;
    }
    if (bench->options->timeout_s > 0.0) {
        config.timeout_s = bench->options->timeout_s;
    }
    enum ww_status status = ww_context_create(&meter->world, &config, &meter->context);
    if (status != WW_OK) {
        team_fail(&meter->world, "the context could not be made, %s: %s", ww_status_name(status),
                  ww_last_error(NULL));
    }
}

/* The GPU of this rank becomes this thread's. Whatever else the context does is on it from here on.
 */
static void attach_gpu(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    const struct place *place = &bench->places[meter->world.rank];
    const char *cause = NULL;
    meter->device = device_open(place->gpu, &cause);
    if (meter->device == NULL) {
        team_fail(&meter->world, "GPU %d (%s) cannot be used: %s", place->gpu, place->gpu_name,
                  cause);
    }
    enum ww_status status = device_attach(meter->device, meter->context);
    if (status != WW_OK) {
        team_fail(&meter->world, "the context could not be given GPU %d, %s: %s", place->gpu,
                  ww_status_name(status), ww_last_error(meter->context));
    }
    snprintf(bench->report.gpu_way, sizeof(bench->report.gpu_way), "%s",
             device_way(meter->context));
    block_gpus(bench->out, &bench->report);
}

static void start_watchdog(struct bench *bench)
{
    const struct ww_world *world = &bench->meter.world;
    char who[128];
    snprintf(who, sizeof(who), "rank %d of %d on host %s", world->rank, world->size,
             bench->places[world->rank].host);
    if (bench->meter.leads && bench->options->timeout_s > 0.0 &&
        !watchdog_start(bench->options->timeout_s, who)) {
        team_fail(world, "no thread for the watch over -T %g", bench->options->timeout_s);
    }
}

/* Where files that only rank 0 writes cannot be written, all ranks learn it. */
static bool files_are_possible(const struct bench *bench)
{
    double trouble = 0.0;
    if (bench->out != NULL && !publish_probe(bench->options)) {
        trouble = 1.0;
    }
    team_combine(&bench->meter.world, COMBINE_MAX, &trouble, 1);
    return trouble == 0.0;
}

/* What ww_config_print tells, for the JSON document. */
static void keep_settings(struct bench *bench)
{
    size_t bytes = ww_config_print(bench->meter.context, NULL, 0) + 1;
    bench->report.settings = malloc(bytes);
    if (bench->report.settings == NULL) {
        team_fail(&bench->meter.world, "no memory for %zu bytes of settings", bytes);
    }
    ww_config_print(bench->meter.context, bench->report.settings, bytes);
}

/* Before there is load, and as long as there is a context to ask. */
static void keep_cluster(struct bench *bench)
{
    size_t bytes;
    FILE *text = open_memstream(&bench->report.cluster, &bytes);
    if (text == NULL) {
        team_fail(&bench->meter.world, "no memory for a cluster file");
    }
    enum ww_status status = ww_cluster_print(bench->meter.context, text);
    if (fclose(text) != 0 || status != WW_OK) {
        team_fail(&bench->meter.world, "--cluster-file %s: %s", bench->options->cluster_path,
                  status == WW_OK ? strerror(errno) : ww_last_error(NULL));
    }
}

/* The peak, less what the bench itself reserved and touched; the ranks of one process share one. */
static void measure_resident(struct bench *bench)
{
    const struct ww_world *world = &bench->meter.world;
    size_t most = resident_most();
    double sharers = bench->options->processes ? 1.0 : world->size;
    size_t touched = meter_touched(&bench->meter);
    touched += bench->options->lossy ? coded_touched(&bench->meter) : 0;
    double own = (double)most - sharers * (double)touched;
    double least = (double)most;
    team_combine(world, COMBINE_MIN, &least, 1);
    struct resident resident = {least > 0.0, own, own};
    team_combine(world, COMBINE_FIRST, &resident.first_bytes, 1);
    team_combine(world, COMBINE_MAX, &resident.most_bytes, 1);
    bench->report.resident = resident;
}

/* ---- The table ------------------------------------------------------------------------------- */

static void run_job(void *self, const struct job *job)
{
    struct bench *bench = self;
    struct record record = {.job = *job};
    table_subject(bench->out, &job->subject);
    for (int in_place = 0; in_place < 2; in_place++) {
        record.figures[in_place] = bench->options->lossy
                                       ? coded_measure(&bench->meter, job, in_place == 1)
                                       : measure(&bench->meter, job, in_place == 1);
        table_figures(bench->out, &record.figures[in_place]);
    }
    bench_hide_progress(bench);
    table_end_row(bench->out);
    if (!report_add(&bench->report, &record)) {
        team_fail(&bench->meter.world, "no memory for row %zu; take larger steps (-f)",
                  bench->report.record_count + 1);
    }
}

/* ---- The run --------------------------------------------------------------------------------- */

/* Wrong results are worse than slow ones. */
static int verdict_of(const struct bench *bench)
{
    const struct report *report = &bench->report;
    bool unmet = false;
    for (int i = 0; i < report->verdict_count; i++) {
        unmet = unmet || !report->verdicts[i].met;
    }
    if (report->failures > 0) {
        return EXIT_WRONG;
    }
    return unmet ? EXIT_UNMET : EXIT_FINE;
}

/* A table that did not arrive must not pass for one: stdout may be a file on a full disk. */
static bool table_arrived(const struct bench *bench)
{
    if (bench->out == NULL || (fflush(bench->out) == 0 && !ferror(bench->out))) {
        return true;
    }
    fprintf(stderr, "wirewise bench: the table could not be written to standard output: %s\n",
            strerror(errno));
    return false;
}

static int conclude(struct bench *bench)
{
    struct report *report = &bench->report;
    report->end = time(NULL);
    report_judge(report);
    block_verdicts(bench->out, report);
    block_resident(bench->out, &report->resident, bench->options->processes ? 1 : report->size);
    table_close(bench->out, bench->options, report->failures, report_bus_gbps_mean(report));
    bool written = table_arrived(bench);
    written = (bench->out == NULL || publish(report)) && written;
    return written ? verdict_of(bench) : EXIT_FAILED;
}

static int run_bench(struct bench *bench)
{
    struct meter *meter = &bench->meter;
    start_watchdog(bench);
    open_context(bench);
    if (bench->options->on_gpu) {
        attach_gpu(bench);
    }
    meter_reserve(meter);
    keep_settings(bench);
    if (bench->options->cluster_path != NULL) {
        keep_cluster(bench);
    }
    table_columns(bench->out);
    sweep(bench->options, meter->world.size, run_job, bench);
    block_calls(bench->out, &bench->report);
    measure_resident(bench);
    if (bench->options->versus_mpi) {
        bench_run_versus(bench);
    }
    if (bench->options->versus_nccl) {
        bench_run_versus_nccl(bench);
    }
    if (bench->options->predict) {
        bench_run_ways(bench);
    }
    meter_stage(meter, "the end");
    meter_release(meter);
    ww_context_destroy(meter->context);
    device_close(meter->device);
    bench_hide_progress(bench);
    int code = conclude(bench);
    if (meter->leads) {
        watchdog_stop();
    }
    report_finish(&bench->report);
    return code;
}

/* A launcher of one MPI and a library of another leave every process alone in its own world. */
static bool world_is_whole(const struct options *options, const struct ww_world *world)
{
    if (!options->over_mpi || options->launch.size == 0 || options->launch.size == world->size) {
        return true;
    }
    fprintf(stderr,
            "wirewise bench: the launcher started %d ranks, but MPI (%s) sees %d: they belong to "
            "different MPIs; use the mpirun of the MPI that wirewise was built with, or "
            "srun --mpi=pmix\n",
            options->launch.size, mpi_name(), world->size);
    return false;
}

static bool root_exists(const struct options *options, const struct ww_world *world)
{
    if (options->root < world->size) {
        return true;
    }
    if (world->rank == 0) {
        fprintf(stderr, "wirewise bench: -r %d: there is no such rank; ranks are 0 to %d\n",
                options->root, world->size - 1);
    }
    return false;
}

static int run_rank(const struct ww_world *world, void *argument)
{
    const struct options *options = argument;
    struct bench bench = {
        .meter = {.options = options,
                  .world = *world,
                  .leads = options->processes || world->rank == 0},
        .options = options,
        .out = world->rank == 0 ? stdout : NULL,
        .report = {.options = options, .size = world->size, .begin = time(NULL)},
    };
    if (!world_is_whole(options, world)) {
        return EXIT_ABSENT;
    }
    if (!root_exists(options, world)) {
        return EXIT_USAGE;
    }
    int code = EXIT_USAGE;
    bench.places = places_gather(world, options);
    if (!places_have_gpus(bench.places, world, options)) {
        code = EXIT_ABSENT;
    } else if (places_have_room(bench.places, world, options)) {
        code = EXIT_FAILED;
        if (files_are_possible(&bench)) {
            bench.report.places = bench.places;
            bench.report.mpi = options->over_mpi ? mpi_name() : "none";
            table_open(bench.out, options, bench.report.mpi);
            table_places(bench.out, bench.places, world->size);
            block_hosts(bench.out, bench.places, world->size);
            code = run_bench(&bench);
        }
    }
    free(bench.places);
    return code;
}

int bench_command(int argc, char **argv)
{
    struct options options;
    int code = EXIT_FINE;
    if (!options_read(argc, argv, &options, &code)) {
        return code;
    }
    if (options.overhead) {
        return overhead_run(options.iters);
    }
    /* -t is for processes alone, and a rank without peers needs no MPI. */
    bool alone = !options.launch.present || options.launch.size == 1;
    options.over_mpi = options.versus_mpi || (!alone && !options.launch.env);
    options.processes = options.over_mpi || !alone;
    if (options.launch.rank == 0) {
        progress_begin();
    }
    if (options.over_mpi) {
        return world_of_mpi(run_rank, &options);
    }
    if (options.processes) {
        return world_of_env(run_rank, &options);
    }
    return world_of_threads(options.threads, run_rank, &options);
}
