/* SPDX-License-Identifier: BSD-3-Clause
 * groups.c: contexts over a communicator and over parts of it, with steps in flight at once. */
#include "check.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/mpi.h>

#define COUNT ((size_t)100003)
#define STEPS 5

/* One context, its two tensors and their gradients. */
struct trainer {
    struct ww_context *context;
    struct ww_tensor *tensors[2];
    float *values;
    int size;
};

static void trainer_begin(struct trainer *trainer, MPI_Comm communicator, enum ww_progress progress)
{
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    size_t count = COUNT;
    config.progress = progress;
    config.gradient_op = WW_SUM;
    config.timeout_s = 20;
    config.bucket_bytes = 1000;
    check(ww_mpi_world(communicator, &world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &trainer->context) == WW_OK, "context");
    check(ww_tensor_add(trainer->context, "a", WW_F32, 1, &count, &trainer->tensors[0]) == WW_OK,
          "a");
    check(ww_tensor_add(trainer->context, "b", WW_F32, 1, &count, &trainer->tensors[1]) == WW_OK,
          "b");
    check(ww_tensors_commit(trainer->context) == WW_OK, "commit");
    trainer->values = malloc(2 * COUNT * sizeof *trainer->values);
    trainer->size = world.size;
}

static void trainer_end(struct trainer *trainer)
{
    ww_context_destroy(trainer->context);
    free(trainer->values);
}

static void begin_step(struct trainer *trainer, int step)
{
    for (size_t i = 0; i < 2 * COUNT; i++) {
        trainer->values[i] = (float)(i % 1000) + (float)step;
    }
    check(ww_step_begin(trainer->context) == WW_OK, "begin");
}

static void start(struct trainer *trainer, int tensor)
{
    check(ww_tensor_start(trainer->tensors[tensor], trainer->values + (size_t)tensor * COUNT) ==
              WW_OK,
          "start %d", tensor);
}

static void end_step(struct trainer *trainer, int step)
{
    struct ww_report report = WW_REPORT_INIT;
    check(ww_step_end(trainer->context, &report) == WW_OK, "end: %s",
          ww_last_error(trainer->context));
    check(report.size == trainer->size, "a report of %d ranks", report.size);
    check(report.level[0].sent_bytes == report.level[0].planned_bytes, "sent %llu, planned %llu",
          (unsigned long long)report.level[0].sent_bytes,
          (unsigned long long)report.level[0].planned_bytes);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        float wanted = ((float)(i % 1000) + (float)step) * (float)trainer->size;
        if (trainer->values[i] != wanted) {
            check(false, "element %zu is %g, not %g", i, (double)trainer->values[i],
                  (double)wanted);
            break;
        }
    }
}

static void step_together(struct trainer *all, struct trainer *part, int step)
{
    begin_step(all, step);
    begin_step(part, step);
    start(part, 1);
    start(all, 1);
    start(all, 0);
    start(part, 0);
    end_step(part, step);
    end_step(all, step);
}

static void train_in_groups(enum ww_progress progress)
{
    struct trainer all, part;
    MPI_Comm half;
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
    trainer_begin(&all, MPI_COMM_WORLD, progress);
    trainer_begin(&part, half, progress);
    for (int step = 1; step <= STEPS; step++) {
        step_together(&all, &part, step);
    }
    trainer_end(&part);
    trainer_end(&all);
    MPI_Comm_free(&half);
}

int main(int argc, char **argv)
{
    int level;
    checks_begin();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    train_in_groups(WW_PROGRESS_INLINE);
    if (level == MPI_THREAD_MULTIPLE) {
        train_in_groups(WW_PROGRESS_THREAD);
    }
    MPI_Finalize();
    return checks_end();
}
