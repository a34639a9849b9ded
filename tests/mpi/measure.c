/* SPDX-License-Identifier: BSD-3-Clause
 * measure.c: prints what a fabric between two ranks takes for a message and its answer; no test. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void pass(struct end *end, enum ww_message_kind kind, void *memory, size_t bytes)
{
    struct ww_message message = {kind, !end->world.rank, memory, bytes};
    struct ww_flight flight;
    check(end_post(end, 0, &message, 1, &flight) == WW_OK, "post");
    check(end_wait(end, &flight) == WW_OK, "wait");
}

static void there_and_back(struct end *end, void *memory, size_t bytes)
{
    pass(end, end->world.rank == 0 ? WW_SEND : WW_RECEIVE, memory, bytes);
    pass(end, end->world.rank == 0 ? WW_RECEIVE : WW_SEND, memory, bytes);
}

static int by_time(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

/* The median of the one-way times. */
static void measure(struct end *end, unsigned char *memory, size_t bytes)
{
    static double times[2000];
    int count = bytes <= 65536 ? 2000 : (int)((size_t)400000000 / bytes) + 3;
    for (int turn = 0; turn < 3; turn++) {
        there_and_back(end, memory, bytes);
    }
    for (int turn = 0; turn < count; turn++) {
        double begin_s = seconds_now();
        there_and_back(end, memory, bytes);
        times[turn] = (seconds_now() - begin_s) / 2;
    }
    qsort(times, (size_t)count, sizeof times[0], by_time);
    double median_s = times[count / 2];
    if (end->world.rank == 0) {
        printf("%s %9zu bytes %10.2f us %8.3f GB/s\n", end->transport->name, bytes, median_s * 1e6,
               (double)bytes / median_s * 1e-9);
    }
}

int main(int argc, char **argv)
{
    static const size_t rows[] = {8, 1024, 16384, 65536, 1 << 20, 16 << 20, 64 << 20};
    checks_begin();
    ranks_begin(&argc, &argv);
    struct end end;
    end_open(&end, 1, false, false);
    check(end.status == WW_OK && end.world.size == 2, "two ranks are needed");
    unsigned char *memory = malloc((size_t)64 << 20);
    if (memory != NULL && end.status == WW_OK && end.world.size == 2) {
        memset(memory, 1, (size_t)64 << 20);
        for (size_t row = 0; row < LENGTH(rows); row++) {
            measure(&end, memory, rows[row]);
        }
    }
    end_close(&end, false);
    ranks_end();
    free(memory);
    return checks_end();
}
