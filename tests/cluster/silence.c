/* SPDX-License-Identifier: BSD-3-Clause
 * silence.c FOLDER: trains until a step fails, and writes down how. Somebody else stops a rank or
 * cuts a link meanwhile.
 *
 * Every rank makes FOLDER/RANK.trains ("PID HOST", pid as its host knows it) after three steps,
 * and FOLDER/RANK.failed once a step failed and the context was destroyed, with four lines: the
 * status, seconds since the last good step, seconds that ww_context_destroy took, the sentence.
 * Files, because what a rank prints does not arrive where its link is cut. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mpi.h>
#include <wirewise/mpi.h>

#define TENSORS 8
#define TENSOR_COUNT ((size_t)1 << 18) /* 1 MiB each */
#define STEPS_BEFORE 3

struct job {
    const char *folder;
    int rank;
    struct ww_context *context;
    struct ww_tensor *tensors[TENSORS];
    float *gradients;
};

/* Complete from the moment it has its name. */
static void note(const struct job *job, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note(const struct job *job, const char *name, const char *format, ...)
{
    char unfinished[512], finished[512];
    snprintf(unfinished, sizeof unfinished, "%s/.%d.%s", job->folder, job->rank, name);
    snprintf(finished, sizeof finished, "%s/%d.%s", job->folder, job->rank, name);
    FILE *file = fopen(unfinished, "w");
    if (file == NULL) {
        perror(unfinished);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    va_list values;
    va_start(values, format);
    vfprintf(file, format, values);
    va_end(values);
    fclose(file);
    rename(unfinished, finished);
}

static void expect_ok(const struct job *job, const char *call, enum ww_status status)
{
    if (status != WW_OK) {
        fprintf(stderr, "silence: %s: %s\n", call, ww_last_error(job->context));
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void make_tensors(struct job *job)
{
    size_t count = TENSOR_COUNT;
    job->gradients = calloc(TENSORS * TENSOR_COUNT, sizeof *job->gradients);
    if (job->gradients == NULL) {
        fprintf(stderr, "silence: no memory for gradients\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    for (int t = 0; t < TENSORS; t++) {
        char name[16];
        snprintf(name, sizeof name, "tensor %d", t);
        expect_ok(job, "ww_tensor_add",
                  ww_tensor_add(job->context, name, WW_F32, 1, &count, &job->tensors[t]));
    }
    expect_ok(job, "ww_tensors_commit", ww_tensors_commit(job->context));
}

static enum ww_status run_step(struct job *job)
{
    enum ww_status status = ww_step_begin(job->context);
    for (int t = TENSORS - 1; status == WW_OK && t >= 0; t--) {
        status = ww_tensor_start(job->tensors[t], job->gradients + (size_t)t * TENSOR_COUNT);
    }
    return status == WW_OK ? ww_step_end(job->context, NULL) : status;
}

static void train(struct job *job)
{
    double good_s = MPI_Wtime();
    enum ww_status status;
    for (int step = 1; (status = run_step(job)) == WW_OK; step++) {
        good_s = MPI_Wtime();
        if (step == STEPS_BEFORE) {
            char host[64] = "";
            gethostname(host, sizeof host - 1);
            note(job, "trains", "%ld %s\n", (long)getpid(), host);
        }
    }
    double failed_s = MPI_Wtime();
    char sentence[1024];
    snprintf(sentence, sizeof sentence, "%s", ww_last_error(job->context));
    ww_context_destroy(job->context);
    note(job, "failed", "%s\n%.3f\n%.3f\n%s\n", ww_status_name(status), failed_s - good_s,
         MPI_Wtime() - failed_s, sentence);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    struct job job = {.folder = argv[1]};
    struct ww_world world = WW_WORLD_INIT;
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    expect_ok(&job, "ww_mpi_world", ww_mpi_world(MPI_COMM_WORLD, &world));
    expect_ok(&job, "ww_context_create", ww_context_create(&world, NULL, &job.context));
    make_tensors(&job);
    train(&job);
    /* The first rank that leaves ends the job: the others may tell what they saw before. */
    sleep(2);
    MPI_Abort(MPI_COMM_WORLD, 3);
    return 3;
}
