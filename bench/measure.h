/* SPDX-License-Identifier: BSD-3-Clause
 * measure.h: one measuring rank, and what it can measure of one job. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

#include "device.h"
#include "pattern.h"
#include "sweep.h"
#include "times.h"

/* A GPU is waited for once in a batch of calls: so many batches give a spread. */
#define METER_BATCHES 8

/* One rank of the run; everything it needs while it measures is reserved before. */
struct meter {
    const struct options *options;
    struct ww_world world;
    struct ww_context *context;
    struct device *device; /* NULL = the buffers are in the host's memory */
    struct buffer input;
    struct buffer output; /* in place, only this one is used */
    struct buffer desk;   /* of the host, where values are written and read for a GPU */
    double *seconds;      /* [options->iters], and METER_BATCHES at least */
    double *peer_seconds; /* the same for --versus, ... */
    double *ratios;
    uint64_t round;   /* of the pattern */
    bool leads;       /* the one rank of its process that speaks to the watchdog */
    size_t jobs_done; /* for the progress line */
    size_t jobs;
};

/* Four columns: one placement of one job. */
struct figures {
    double seconds; /* of one call, combined over ranks as -a says */
    double algorithm_gbps;
    double bus_gbps;
    bool checked;
    uint64_t wrong; /* elements, on all ranks together; 0 where lossy */
    bool lossy;
    double error; /* lossy: mean square of the error over that of the exact result */
    int calls;
    int batch;               /* of them are timed together: 1, or more on a GPU */
    uint64_t wire_bytes;     /* that one call sends, the mean of all ranks */
    struct summary per_call; /* seconds, of the slowest rank; a value for each batch */
};

/* Reserves and gives back what measuring takes, beyond the context; ends all ranks with a sentence
 * when there is no such memory. */
void meter_reserve(struct meter *meter);
void meter_release(struct meter *meter);

/* Tells the watchdog and whoever looks at a terminal what comes now. */
void meter_stage(struct meter *meter, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes of this rank's buffers that measuring has touched once all jobs are done. */
size_t meter_touched(const struct meter *meter);

/* Where this rank writes what `memory`, of the input or the output, is to hold: itself, or for a
 * GPU's memory the desk. Put then sends it there. */
char *meter_desk(const struct meter *meter, char *memory);
void meter_put(const struct meter *meter, char *memory, size_t bytes);

/* The values of `memory` where they can be read: itself, or a copy on the desk, once all that was
 * enqueued is done. */
char *meter_get(const struct meter *meter, char *memory, size_t bytes);

void meter_set(const struct meter *meter, char *memory, int byte, size_t bytes);

/* Copies within the memory of the buffers; for a GPU only enqueues it. */
void meter_copy(const struct meter *meter, char *into, const char *from, size_t bytes);

/* Waits for all that was enqueued; nothing on the host. */
void meter_wait(const struct meter *meter);

/* All ranks measure the same job. On a failure of the library the program ends. */
struct figures measure(struct meter *meter, const struct job *job, bool in_place);

/* The job in place, in a buffer of job->bytes: new values, where nothing but this rank's input is
 * one of them; the call; running it, where a failure ends the program; and running it on such
 * values to count the wrong elements of all ranks. */
void measure_fill_in_place(struct meter *meter, const struct job *job, char *buffer);
struct call measure_call_in_place(const struct meter *meter, const struct job *job, char *buffer);
void measure_run(const struct meter *meter, const struct job *job, const struct call *call);
uint64_t measure_check(const struct meter *meter, const struct job *job, const struct call *call);

/* What this rank's calls sent so far; the library counts, outside of what is timed. */
uint64_t measure_bytes_sent(const struct meter *meter, const struct job *job);

/* Says which call failed and why, and ends all ranks. */
void measure_fail(const struct meter *meter, const struct job *job, enum ww_status status)
    __attribute__((noreturn));

/* How often and how a GPU's calls are timed. */
struct batches {
    int count; /* METER_BATCHES at most */
    int calls; /* in each */
};

/* As many batches of at most `most` calls, of `seconds` each, as fit into `budget_s`. */
struct batches measure_batches(double budget_s, double seconds, int most);

/* How many calls of `seconds` each fit into `budget_s`: `most`, or fewer, but not below 3. */
int measure_calls(double budget_s, double seconds, int most);

#endif
