/* SPDX-License-Identifier: BSD-3-Clause
 * bench.c: `wirewise bench`: every rank walks through types, operations and sizes; rank 0
 * prints. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "measure.h"
#include "overhead.h"
#include "world.h"

#define VERSUS_BUFFER_BYTES ((size_t)1 << 20) /* room for batches of short calls */

/* What is printed once the first table is complete. */
struct record {
    struct subject subject;
    struct figures figures[2]; /* out of place, in place */
    struct contest contest;
};

struct bench {
    struct meter meter;
    const struct options *options;
    FILE *out; /* NULL on all ranks but 0 */
    struct record *records;
    size_t record_count;
    size_t record_room;
    int failures; /* measurements with wrong elements */
    double bus_gbps_sum;
    int bus_count;
};

static struct place this_place(void)
{
    struct place place = {
        .pid = (int)getpid(),
        .memory_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE),
    };
    if (gethostname(place.host, sizeof(place.host) - 1) != 0) {
        strcpy(place.host, "unknown");
    }
    place.host[strcspn(place.host, ".")] = '\0';
    return place;
}

/* Memory that a rank may use when its host is shared evenly. */
static size_t memory_share(const struct place *places, int rank, int size)
{
    size_t neighbours = 0;
    for (int i = 0; i < size; i++) {
        neighbours += strcmp(places[i].host, places[rank].host) == 0;
    }
    return places[rank].memory_bytes / neighbours;
}

/* Buffers that do not fit would be promised by the system and then cost the job its life. Every
 * rank comes to the same answer. */
static bool buffers_fit(const struct bench *bench, const struct place *places)
{
    const struct ww_world *world = &bench->meter.world;
    for (int rank = 0; rank < world->size; rank++) {
        size_t room = memory_share(places, rank, world->size);
        if (bench->options->bytes_max <= room / 2) {
            continue;
        }
        if (bench->out != NULL) {
            fprintf(stderr,
                    "wirewise bench: -e %zu takes two buffers of that size per rank, but host %s "
                    "has %zu MiB of memory per rank; lower -e\n",
                    bench->options->bytes_max, places[rank].host, room >> 20);
        }
        return false;
    }
    return true;
}

static bool print_places(const struct bench *bench)
{
    const struct ww_world *world = &bench->meter.world;
    struct place mine = this_place();
    struct place *places = calloc((size_t)world->size, sizeof(places[0]));
    if (places == NULL) {
        team_fail(world, "no memory for the list of ranks");
    }
    team_gather(world, &mine, places, sizeof(mine));
    bool fit = buffers_fit(bench, places);
    if (fit) {
        table_open(bench->out, bench->options, bench->options->over_mpi ? mpi_name() : "none");
        table_places(bench->out, places, world->size);
    }
    free(places);
    return fit;
}

static void *reserve(const struct bench *bench, size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        team_fail(&bench->meter.world, "no memory for %zu bytes: %s; lower -e or -n", bytes,
                  strerror(errno));
    }
    return memory;
}

static void reserve_meter(struct bench *bench)
{
    const struct options *options = bench->options;
    struct meter *meter = &bench->meter;
    size_t times_bytes = (size_t)options->iters * sizeof(double);
    meter->buffer_bytes = options->bytes_max;
    if (options->versus_mpi && meter->buffer_bytes < VERSUS_BUFFER_BYTES) {
        meter->buffer_bytes = VERSUS_BUFFER_BYTES;
    }
    meter->input = reserve(bench, meter->buffer_bytes);
    meter->output = reserve(bench, meter->buffer_bytes);
    meter->seconds = reserve(bench, times_bytes);
    meter->peer_seconds = reserve(bench, times_bytes);
    meter->ratios = reserve(bench, times_bytes);
}

static void release_meter(struct meter *meter)
{
    free(meter->ratios);
    free(meter->peer_seconds);
    free(meter->seconds);
    free(meter->output);
    free(meter->input);
}

static void keep(struct bench *bench, const struct record *record)
{
    if (bench->out == NULL) {
        return;
    }
    if (bench->record_count == bench->record_room) {
        bench->record_room = 2 * bench->record_room + 16;
        bench->records = realloc(bench->records, bench->record_room * sizeof(bench->records[0]));
        if (bench->records == NULL) {
            team_fail(&bench->meter.world, "no memory for %zu rows; take larger steps (-f)",
                      bench->record_room);
        }
    }
    bench->records[bench->record_count++] = *record;
}

static void run_job(struct bench *bench, const struct job *job, const struct subject *subject)
{
    struct record record = {.subject = *subject};
    table_subject(bench->out, subject);
    for (int in_place = 0; in_place < 2; in_place++) {
        struct figures *figures = &record.figures[in_place];
        *figures = measure(&bench->meter, job, in_place == 1);
        table_figures(bench->out, figures);
        bench->failures += figures->wrong > 0;
        bench->bus_gbps_sum += figures->bus_gbps;
        bench->bus_count++;
    }
    table_end_row(bench->out);
    if (bench->options->versus_mpi) {
        record.contest = measure_versus_mpi(&bench->meter, job);
    }
    keep(bench, &record);
}

static void run_size(struct bench *bench, size_t bytes, const struct type_name *type,
                     const struct op_name *op)
{
    const struct collective *collective = bench->options->collective;
    size_t type_bytes = ww_type_bytes(type->type);
    struct job job = {.type = type->type, .op = op->op};
    job.shape = collective->shape(bytes, type_bytes, bench->meter.world.size);
    size_t widest = job.shape.input_count > job.shape.output_count ? job.shape.input_count
                                                                   : job.shape.output_count;
    job.bytes = widest * type_bytes;
    struct subject subject = {job.bytes, job.shape.count, type->name,
                              collective->has_op ? op->name : "none",
                              collective->has_root ? bench->options->root : -1};
    run_job(bench, &job, &subject);
}

/* The size after `bytes`, or 0 when it would not fit into a size_t. */
static size_t next_size(const struct options *options, size_t bytes)
{
    size_t factor = (size_t)options->step_factor;
    if (factor > 1) {
        return bytes > SIZE_MAX / factor ? 0 : bytes * factor;
    }
    return bytes > SIZE_MAX - options->step_bytes ? 0 : bytes + options->step_bytes;
}

static void run_sizes(struct bench *bench, const struct type_name *type, const struct op_name *op)
{
    const struct options *options = bench->options;
    if (options->collective->has_op && op->op == WW_MEAN && type_is_integer(type->type)) {
        return; /* of "all" types and operations, the pair that does not exist */
    }
    for (size_t bytes = options->bytes_min; bytes != 0 && bytes <= options->bytes_max;
         bytes = next_size(options, bytes)) {
        run_size(bench, bytes, type, op);
    }
}

static void run_all(struct bench *bench)
{
    const struct options *options = bench->options;
    int op_count = options->collective->has_op ? options->op_count : 1;
    for (int i = 0; i < options->type_count; i++) {
        for (int j = 0; j < op_count; j++) {
            run_sizes(bench, &options->types[i], &options->ops[j]);
        }
    }
}

static void print_records(const struct bench *bench)
{
    calls_columns(bench->out);
    for (size_t i = 0; i < bench->record_count; i++) {
        const struct record *record = &bench->records[i];
        for (int in_place = 0; in_place < 2; in_place++) {
            calls_row(bench->out, &record->subject, in_place == 1, bench->options->codec,
                      &record->figures[in_place]);
        }
    }
    if (!bench->options->versus_mpi) {
        return;
    }
    contest_columns(bench->out, mpi_name());
    for (size_t i = 0; i < bench->record_count; i++) {
        contest_row(bench->out, &bench->records[i].subject, &bench->records[i].contest);
    }
}

/* Single calls run on the caller's thread: no other is needed. */
static void open_context(struct meter *meter)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.progress = WW_PROGRESS_INLINE;
    config.log_level = WW_LOG_WARN;
    enum ww_status status = ww_context_create(&meter->world, &config, &meter->context);
    if (status != WW_OK) {
        team_fail(&meter->world, "the context could not be made, %s: %s", ww_status_name(status),
                  ww_last_error(NULL));
    }
}

static void run_bench(struct bench *bench)
{
    reserve_meter(bench);
    open_context(&bench->meter);
    table_columns(bench->out);
    run_all(bench);
    double mean = bench->bus_count > 0 ? bench->bus_gbps_sum / bench->bus_count : 0.0;
    table_close(bench->out, bench->options, bench->failures, mean);
    print_records(bench);
    ww_context_destroy(bench->meter.context);
    release_meter(&bench->meter);
    free(bench->records);
}

static int run_rank(const struct ww_world *world, void *argument)
{
    const struct options *options = argument;
    if (options->root >= world->size) {
        if (world->rank == 0) {
            fprintf(stderr, "wirewise bench: -r %d: there is no such rank; ranks are 0 to %d\n",
                    options->root, world->size - 1);
        }
        return EXIT_USAGE;
    }
    struct bench bench = {
        .meter = {.options = options, .world = *world},
        .options = options,
        .out = world->rank == 0 ? stdout : NULL,
    };
    if (!print_places(&bench)) {
        return EXIT_USAGE;
    }
    run_bench(&bench);
    return bench.failures > 0 ? EXIT_WRONG : EXIT_FINE;
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
    options.over_mpi = options.versus_mpi || !alone;
    if (options.over_mpi) {
        return world_of_mpi(run_rank, &options);
    }
    return world_of_threads(options.threads, run_rank, &options);
}
