/* SPDX-License-Identifier: BSD-3-Clause
 * step_bytes.c FORM STEPS: trains for some steps and prints what each of them sent, as the report
 * tells it and as the host's interface counted it.
 *
 *   FORM   few (16 tensors of 4 MiB in one piece of memory) or many (1500 uneven ones, each in
 *          memory of its own)
 *
 * Gradients follow a rank's place (which host, which rank on it), not its number: however ranks
 * are numbered, the same numbers are to be added. Lines, per step:
 *
 *   level STEP RANK HOST NAME sent BYTES planned BYTES       every rank, every level
 *   wire STEP HOST BYTES of PAYLOAD hosts HOSTS              one rank of every host
 *   bits STEP RANK HOST HASH                                 every rank: what the result looks like
 *
 * Exit 1 with a sentence when a call fails or a sum is wrong. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mpi.h>
#include <wirewise/mpi.h>

#include "chance.h"

#define HOST_BYTES 64
#define RANKS_MAX 64
#define SENT_FILE "/sys/class/net/eth0/statistics/tx_bytes"

struct place {
    char host[HOST_BYTES];
    uint32_t host_index;  /* by name */
    uint32_t local_index; /* by rank */
};

struct job {
    int rank;
    int size;
    int hosts;
    struct place places[RANKS_MAX];
    struct ww_context *context;
    int tensor_count;
    struct ww_tensor **tensors;
    size_t *counts;
    float **gradients;
    float *block; /* what few tensors share; NULL for many */
};

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "step_bytes: %s: %s\n", what, why);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void expect_ok(const struct job *job, const char *call, enum ww_status status)
{
    if (status != WW_OK) {
        give_up(call, ww_last_error(job->context));
    }
}

/* ---- Places ----------------------------------------------------------------------------- */

static void number_place(struct job *job, int rank)
{
    struct place *own = &job->places[rank];
    for (int other = 0; other < job->size; other++) {
        const char *host = job->places[other].host;
        own->local_index += other < rank && strcmp(host, own->host) == 0;
        bool first_of_host = true;
        for (int before = 0; before < other; before++) {
            first_of_host = first_of_host && strcmp(job->places[before].host, host) != 0;
        }
        own->host_index += first_of_host && strcmp(host, own->host) < 0;
    }
    job->hosts += own->local_index == 0;
}

static void find_places(struct job *job)
{
    char own[HOST_BYTES] = "";
    char all[RANKS_MAX][HOST_BYTES];
    if (job->size > RANKS_MAX || gethostname(own, sizeof own - 1) != 0) {
        give_up("places", "more than 64 ranks, or a host without a name");
    }
    MPI_Allgather(own, HOST_BYTES, MPI_CHAR, all, HOST_BYTES, MPI_CHAR, MPI_COMM_WORLD);
    for (int rank = 0; rank < job->size; rank++) {
        memcpy(job->places[rank].host, all[rank], HOST_BYTES);
    }
    for (int rank = 0; rank < job->size; rank++) {
        number_place(job, rank);
    }
}

/* ---- Gradients -------------------------------------------------------------------------- */

/* Between -1 and 1, with all of its bits in use. */
static float gradient_of(const struct place *place, uint64_t step, uint64_t index)
{
    uint64_t x = (index << 20) ^ (step << 12) ^ (place->host_index << 6) ^ place->local_index;
    return (float)(int32_t)(chance_mix(x) >> 32) / 2147483648.0f;
}

static void fill(const struct job *job, uint64_t step)
{
    uint64_t index = 0;
    for (int t = 0; t < job->tensor_count; t++) {
        for (size_t i = 0; i < job->counts[t]; i++) {
            job->gradients[t][i] = gradient_of(&job->places[job->rank], step, index++);
        }
    }
}

/* The mean in double, against which fp32 sums of at most 64 numbers below 1 are close. */
static void check_mean(const struct job *job, uint64_t step, uint64_t index, float got)
{
    double sum = 0;
    for (int rank = 0; rank < job->size; rank++) {
        sum += (double)gradient_of(&job->places[rank], step, index);
    }
    double mean = sum / job->size;
    if (!(fabs((double)got - mean) < 1e-6)) {
        char text[160];
        snprintf(text, sizeof text, "element %" PRIu64 " on rank %d is %.9g instead of %.9g", index,
                 job->rank, (double)got, mean);
        give_up("wrong mean", text);
    }
}

/* Looks at every element and returns what their bits come to (FNV-1a over words). */
static uint64_t check(const struct job *job, uint64_t step)
{
    uint64_t index = 0, hash = UINT64_C(0xcbf29ce484222325);
    for (int t = 0; t < job->tensor_count; t++) {
        for (size_t i = 0; i < job->counts[t]; i++) {
            uint32_t bits;
            memcpy(&bits, &job->gradients[t][i], sizeof bits);
            hash = (hash ^ bits) * UINT64_C(0x100000001b3);
            check_mean(job, step, index++, job->gradients[t][i]);
        }
    }
    return hash;
}

static float *reserve(size_t count)
{
    float *memory = malloc(count * sizeof *memory);
    if (memory == NULL) {
        give_up("memory", "there is not enough");
    }
    return memory;
}

static void shape_form(struct job *job, const char *form)
{
    bool few = strcmp(form, "few") == 0;
    size_t each = (size_t)1 << 20;
    job->tensor_count = few ? 16 : 1500;
    job->tensors = calloc((size_t)job->tensor_count, sizeof *job->tensors);
    job->counts = calloc((size_t)job->tensor_count, sizeof *job->counts);
    job->gradients = calloc((size_t)job->tensor_count, sizeof *job->gradients);
    if (job->tensors == NULL || job->counts == NULL || job->gradients == NULL) {
        give_up("memory", "there is not enough");
    }
    job->block = few ? reserve((size_t)job->tensor_count * each) : NULL;
    for (int t = 0; t < job->tensor_count; t++) {
        job->counts[t] = few ? each : (size_t)t * 7919 % 22349 + 1;
        job->gradients[t] = few ? job->block + (size_t)t * each : reserve(job->counts[t]);
    }
}

static void register_tensors(struct job *job)
{
    for (int t = 0; t < job->tensor_count; t++) {
        char name[32];
        snprintf(name, sizeof name, "tensor %d", t);
        expect_ok(job, "ww_tensor_add",
                  ww_tensor_add(job->context, name, WW_F32, 1, &job->counts[t], &job->tensors[t]));
    }
    expect_ok(job, "ww_tensors_commit", ww_tensors_commit(job->context));
}

/* ---- Steps ------------------------------------------------------------------------------ */

static uint64_t read_sent_bytes(void)
{
    uint64_t bytes = 0;
    FILE *file = fopen(SENT_FILE, "r");
    if (file == NULL || fscanf(file, "%" SCNu64, &bytes) != 1) {
        give_up(SENT_FILE, "cannot be read: this program runs on hosts made by hosts.sh");
    }
    fclose(file);
    return bytes;
}

/* Backwards, as a trainer would. */
static void run_step(struct job *job, struct ww_report *report)
{
    expect_ok(job, "ww_step_begin", ww_step_begin(job->context));
    for (int t = job->tensor_count - 1; t >= 0; t--) {
        expect_ok(job, "ww_tensor_start", ww_tensor_start(job->tensors[t], job->gradients[t]));
    }
    expect_ok(job, "ww_step_end", ww_step_end(job->context, report));
}

static void print_report(const struct job *job, const struct ww_report *report)
{
    const struct place *own = &job->places[job->rank];
    for (int level = 0; level < report->levels; level++) {
        const struct ww_level_report *sent = &report->level[level];
        printf("level %" PRIu64 " %d %s %s sent %" PRIu64 " planned %" PRIu64 "\n", report->step,
               job->rank, own->host, sent->name, sent->sent_bytes, sent->planned_bytes);
    }
}

/* The barriers keep every byte of the step, and of nothing else but them, between two readings. */
static void measure_step(struct job *job, uint64_t step)
{
    struct ww_report report = WW_REPORT_INIT;
    const struct place *own = &job->places[job->rank];
    fill(job, step);
    MPI_Barrier(MPI_COMM_WORLD);
    uint64_t before = read_sent_bytes();
    MPI_Barrier(MPI_COMM_WORLD);
    run_step(job, &report);
    MPI_Barrier(MPI_COMM_WORLD);
    uint64_t wire_bytes = read_sent_bytes() - before;
    MPI_Barrier(MPI_COMM_WORLD);
    print_report(job, &report);
    if (own->local_index == 0) {
        printf("wire %" PRIu64 " %s %" PRIu64 " of %" PRIu64 " hosts %d\n", report.step, own->host,
               wire_bytes, report.payload_bytes, job->hosts);
    }
    printf("bits %" PRIu64 " %d %s %016" PRIx64 "\n", report.step, job->rank, own->host,
           check(job, step));
    fflush(stdout);
}

static void release(struct job *job)
{
    ww_context_destroy(job->context);
    for (int t = 0; job->block == NULL && t < job->tensor_count; t++) {
        free(job->gradients[t]);
    }
    free(job->block);
    free(job->gradients);
    free(job->counts);
    free(job->tensors);
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[1], "few") != 0 && strcmp(argv[1], "many") != 0)) {
        fprintf(stderr, "usage: %s few|many STEPS\n", argv[0]);
        return 2;
    }
    struct job job = {.rank = 0};
    struct ww_world world = WW_WORLD_INIT;
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &job.size);
    find_places(&job);
    shape_form(&job, argv[1]);
    expect_ok(&job, "ww_mpi_world", ww_mpi_world(MPI_COMM_WORLD, &world));
    expect_ok(&job, "ww_context_create", ww_context_create(&world, NULL, &job.context));
    register_tensors(&job);
    for (long step = 1; step <= strtol(argv[2], NULL, 10); step++) {
        measure_step(&job, (uint64_t)step);
    }
    release(&job);
    MPI_Finalize();
    return 0;
}
