/* SPDX-License-Identifier: BSD-3-Clause
 * savings.c: is what the ledger claims true? Runs the same steps by several codecs, each in a
 * context of its own, in turn, and prints what each run really took beside what its ledger says.
 *
 *   mpirun ... savings BYTES TENSORS STEPS SETTLE CODEC...
 *
 *   BYTES    of the gradient, in TENSORS equal tensors
 *   STEPS    that are timed, in turn with the other codecs, after some that are not: SETTLE of
 * auto, up to 5 of the others. The ledger counts all of them, and so does "claim"; true is what so
 *            many steps of the first codec would have taken longer
 *   CODEC    the first one is what the others are compared with: none
 *
 * Lines of rank 0, one for each codec:
 *
 *   run CODEC total S median S mean S steps N now CODEC
 *   claim CODEC seconds S least S most S evidence E true S dense S probes N dense_s S coded_s S
 *   audit CODEC claimed B counted B overhead B unexplained SHARE
 *
 * Exit 1 with a sentence when a call fails. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>
#include <wirewise/ledger.h>
#include <wirewise/mpi.h>

#define TURN 20 /* steps of one codec before the next */
#define SETTLE_FIXED 5
#define CODECS_MAX 8

struct runner {
    const char *codec;
    struct ww_context *context;
    struct ww_tensor **tensors;
    float *values;
    int settle;
    double *seconds; /* [settle + steps] of this rank, in the end of the slowest one */
    int done;
    char now[24];
};

struct job {
    int rank;
    size_t count; /* of one tensor */
    int tensors;
    int steps;
    int settle;
    bool chooses; /* one of the runners does: then the others have no dense steps in between */
    int runners;
    struct runner runner[CODECS_MAX];
    float *gradient; /* [tensors * count] */
};

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "savings: %s: %s\n", what, why);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

static void expect_ok(const struct runner *runner, const char *call, enum ww_status status)
{
    if (status != WW_OK) {
        give_up(call, ww_last_error(runner->context));
    }
}

static void *take(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        give_up("memory", "there is none");
    }
    return memory;
}

/* Normally distributed enough: the sum of four uniform ones. */
static void draw(struct job *job)
{
    uint64_t state = (uint64_t)job->rank + 1;
    for (size_t i = 0; i < job->count * (size_t)job->tensors; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            sum += (float)(state >> 40) * 0x1p-24f - 0.5f;
        }
        job->gradient[i] = sum;
    }
}

static void begin(struct job *job, struct runner *runner, const char *codec)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = WW_CONFIG_INIT;
    if (ww_mpi_world(MPI_COMM_WORLD, &world) != WW_OK) {
        give_up("ww_mpi_world", ww_last_error(NULL));
    }
    config.codec = codec;
    config.probe = job->chooses && strcmp(codec, "auto") != 0 ? WW_PROBE_OFF : WW_PROBE_AUTO;
    config.mpi_quiet = true;
    runner->codec = codec;
    if (ww_context_create(&world, &config, &runner->context) != WW_OK) {
        give_up("ww_context_create", ww_last_error(NULL));
    }
    runner->tensors = take((size_t)job->tensors * sizeof(struct ww_tensor *));
    bool chooses = strcmp(codec, "auto") == 0;
    runner->settle = chooses || job->settle < SETTLE_FIXED ? job->settle : SETTLE_FIXED;
    runner->seconds = take((size_t)(runner->settle + job->steps) * sizeof(double));
    void *values;
    expect_ok(
        runner, "ww_alloc",
        ww_alloc(runner->context, job->count * (size_t)job->tensors * sizeof(float), &values));
    runner->values = values;
    size_t shape[2] = {1, job->count};
    for (int i = 0; i < job->tensors; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d", i);
        expect_ok(runner, "ww_tensor_add",
                  ww_tensor_add(runner->context, name, WW_F32, 2, shape, &runner->tensors[i]));
    }
    expect_ok(runner, "ww_tensors_commit", ww_tensors_commit(runner->context));
}

static void step(struct job *job, struct runner *runner)
{
    struct ww_report report = WW_REPORT_INIT;
    memcpy(runner->values, job->gradient, job->count * (size_t)job->tensors * sizeof(float));
    MPI_Barrier(MPI_COMM_WORLD);
    double since = MPI_Wtime();
    expect_ok(runner, "ww_step_begin", ww_step_begin(runner->context));
    for (int i = job->tensors - 1; i >= 0; i--) {
        expect_ok(runner, "ww_tensor_start",
                  ww_tensor_start(runner->tensors[i], runner->values + (size_t)i * job->count));
    }
    expect_ok(runner, "ww_step_end", ww_step_end(runner->context, &report));
    runner->seconds[runner->done++] = MPI_Wtime() - since;
    snprintf(runner->now, sizeof runner->now, "%s", report.codec);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double total_of(const double *seconds, int count)
{
    double total = 0;
    for (int i = 0; i < count; i++) {
        total += seconds[i];
    }
    return total;
}

static void tell(const struct job *job, struct runner *runner, double dense_s)
{
    struct ww_ledger ledger = WW_LEDGER_INIT;
    expect_ok(runner, "ww_ledger_read", ww_ledger_read(runner->context, &ledger));
    if (job->rank != 0) {
        return;
    }
    double own_total = total_of(runner->seconds, runner->done);
    double dense_total = dense_s * runner->done;
    double timed = total_of(runner->seconds + runner->settle, job->steps);
    qsort(runner->seconds + runner->settle, (size_t)job->steps, sizeof(double), by_value);
    printf("run %s total %.6f median %.9f mean %.9f steps %d now %s\n", runner->codec, timed,
           runner->seconds[runner->settle + job->steps / 2], timed / job->steps, job->steps,
           runner->now);
    printf("claim %s seconds %.6f least %.6f most %.6f evidence %d true %.6f dense %.6f "
           "probes %" PRIu64 " dense_s %.9f coded_s %.9f\n",
           runner->codec, ledger.saved.seconds, ledger.saved.least_s, ledger.saved.most_s,
           (int)ledger.saved.evidence, dense_total - own_total, dense_total, ledger.probes,
           ledger.dense_s, ledger.coded_s);
    printf("audit %s claimed %" PRIu64 " counted %" PRIu64 " overhead %" PRIu64
           " unexplained %.4f\n",
           runner->codec, ledger.audit.claimed_bytes, ledger.audit.counted_bytes,
           ledger.audit.overhead_bytes, ledger.audit.unexplained);
}

static void run_turns(struct job *job)
{
    for (int r = 0; r < job->runners; r++) {
        while (job->runner[r].done < job->runner[r].settle) {
            step(job, &job->runner[r]);
        }
    }
    for (int first = 0; first < job->steps; first += TURN) {
        for (int r = 0; r < job->runners; r++) {
            for (int i = first; i < first + TURN && i < job->steps; i++) {
                step(job, &job->runner[r]);
            }
        }
    }
}

static void run(struct job *job)
{
    run_turns(job);
    for (int r = 0; r < job->runners; r++) {
        struct runner *runner = &job->runner[r];
        MPI_Allreduce(MPI_IN_PLACE, runner->seconds, runner->done, MPI_DOUBLE, MPI_MAX,
                      MPI_COMM_WORLD);
    }
    const struct runner *dense = &job->runner[0];
    double dense_s = total_of(dense->seconds, dense->done) / dense->done;
    for (int r = 0; r < job->runners; r++) {
        tell(job, &job->runner[r], dense_s);
    }
}

static void end(struct runner *runner)
{
    ww_context_destroy(runner->context);
    free(runner->tensors);
    free(runner->seconds);
}

int main(int argc, char **argv)
{
    struct job job = {.runners = argc - 5};
    int given;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    if (argc < 6 || job.runners > CODECS_MAX) {
        give_up("usage", "savings BYTES TENSORS STEPS SETTLE none CODEC...");
    }
    job.tensors = atoi(argv[2]);
    job.steps = atoi(argv[3]);
    job.settle = atoi(argv[4]);
    if (job.tensors < 1 || job.steps < 1 || job.settle < 0) {
        give_up("usage", "at least one tensor and one step");
    }
    job.count = strtoull(argv[1], NULL, 10) / sizeof(float) / (size_t)job.tensors;
    job.gradient = take((job.count * (size_t)job.tensors + 1) * sizeof(float));
    draw(&job);
    for (int r = 0; r < job.runners; r++) {
        job.chooses = job.chooses || strcmp(argv[5 + r], "auto") == 0;
    }
    for (int r = 0; r < job.runners; r++) {
        begin(&job, &job.runner[r], argv[5 + r]);
    }
    run(&job);
    for (int r = 0; r < job.runners; r++) {
        end(&job.runner[r]);
    }
    free(job.gradient);
    MPI_Finalize();
    return 0;
}
