/* SPDX-License-Identifier: BSD-3-Clause
 * large.c: a vector of more than 2^31 bytes, in a step and in a single call, with exact counters.
 * Skipped where the host has too little free memory. */
#include "check.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include <wirewise/mpi.h>

#define GIB ((size_t)1 << 30)
#define COUNT (11 * GIB / 5 / sizeof(float) + 3) /* 2.2 GiB and a bit */
#define NEEDED_BYTES (12 * GIB)

static size_t free_bytes(void)
{
    size_t kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %zu", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib << 10;
}

/* Small enough that a float holds the sums exactly, and of a period that no chunk shares. */
static float value_at(size_t index, int rank)
{
    return (float)(index % 65521) + (float)rank;
}

static void fill(float *values, int rank)
{
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = value_at(i, rank);
    }
}

static void check_sums(const float *values, int size)
{
    for (size_t i = 0; i < COUNT; i++) {
        float wanted = 0;
        for (int rank = 0; rank < size; rank++) {
            wanted += value_at(i, rank);
        }
        if (values[i] != wanted) {
            check(false, "element %zu is %g, not %g", i, (double)values[i], (double)wanted);
            return;
        }
    }
}

static void take_step(struct ww_context *context, float *values)
{
    struct ww_tensor *tensor = NULL;
    struct ww_report report = WW_REPORT_INIT;
    size_t count = COUNT;
    uint64_t size = (uint64_t)ww_size(context);
    check(ww_tensor_add(context, "w", WW_F32, 1, &count, &tensor) == WW_OK, "add");
    check(ww_tensors_commit(context) == WW_OK, "commit");
    fill(values, ww_rank(context));
    check(ww_step_begin(context) == WW_OK && ww_tensor_start(tensor, values) == WW_OK &&
              ww_step_end(context, &report) == WW_OK,
          "step: %s", ww_last_error(context));
    check_sums(values, ww_size(context));
    check(report.payload_bytes == COUNT * sizeof(float), "payload");
    check(report.dense_bytes == 2 * (size - 1) * COUNT * sizeof(float) / size, "dense");
    check(report.level[0].sent_bytes == report.level[0].planned_bytes, "sent %llu, planned %llu",
          (unsigned long long)report.level[0].sent_bytes,
          (unsigned long long)report.level[0].planned_bytes);
    uint64_t more = report.sent_bytes > report.dense_bytes ? report.sent_bytes - report.dense_bytes
                                                           : report.dense_bytes - report.sent_bytes;
    check(more < report.dense_bytes / 1000, "sent %llu, dense %llu",
          (unsigned long long)report.sent_bytes, (unsigned long long)report.dense_bytes);
}

int main(int argc, char **argv)
{
    checks_begin();
    MPI_Init(&argc, &argv);
    int enough = free_bytes() > NEEDED_BYTES;
    MPI_Allreduce(MPI_IN_PLACE, &enough, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (!enough) {
        MPI_Finalize();
        return EXIT_SKIPPED;
    }
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    float *values = malloc(COUNT * sizeof *values);
    config.gradient_op = WW_SUM;
    config.timeout_s = 30;
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &context) == WW_OK, "context");
    take_step(context, values);
    fill(values, world.rank);
    check(ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM) == WW_OK, "%s",
          ww_last_error(context));
    check_sums(values, world.size);
    ww_context_destroy(context);
    free(values);
    MPI_Finalize();
    return checks_end();
}
