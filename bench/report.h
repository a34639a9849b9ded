/* SPDX-License-Identifier: BSD-3-Clause
 * report.h: everything that one run found out, for whoever writes it down: rank 0. All ranks
 * have the same. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdint.h>
#include <time.h>

#include "markers.h"
#include "places.h"
#include "versus.h"

/* Version of the documents: raised when a field changes its meaning or goes, not when one comes. */
#define REPORT_SCHEMA "wirewise.bench/1"

struct record {
    struct job job;
    struct figures figures[2]; /* out of place, in place */
};

struct contest_record {
    struct job job;
    struct contest contest;
};

/* One --expect-busbw, judged by the least that was measured at its size. */
struct verdict {
    struct expectation expectation;
    const struct record *record; /* where that least was */
    bool in_place;
    double gbps;
    bool met;
};

/* What the process of a rank, or of all of them, holds beyond the bench's own buffers. */
struct resident {
    bool known;
    double first_bytes; /* rank 0 */
    double most_bytes;  /* of any rank */
};

struct report {
    const struct options *options;
    const char *mpi;            /* "none" where MPI was not started */
    char gpu_way[160];          /* of --device cuda: "NCCL 2.28.9 on NVIDIA H200"; else "" */
    char *cluster;              /* the job as a cluster file, where one is asked for; owned */
    char *settings;             /* of the library, a line each, as ww_config_print tells; owned */
    time_t begin;               /* when the run began ... */
    time_t end;                 /* ... and when it was over */
    const struct place *places; /* [size] */
    int size;
    struct record *records; /* owned */
    size_t record_count;
    size_t record_room;
    struct contest_record *contests; /* owned */
    size_t contest_count;
    size_t contest_room;
    struct marker markers[2]; /* begin, end */
    int marker_count;
    struct verdict verdicts[EXPECTATIONS_MAX];
    int verdict_count;
    struct resident resident;
    int failures; /* measurements with wrong elements */
    double bus_gbps_sum;
    int bus_count;
};

/* Copies one more. False when there is no memory for it. Records move: a pointer to one is good
 * until the next. */
bool report_add(struct report *report, const struct record *record);
bool report_add_contest(struct report *report, const struct contest_record *record);

/* Frees what the report owns. */
void report_finish(struct report *report);

/* Mean of all bus bandwidths; 0 without any. */
double report_bus_gbps_mean(const struct report *report);

/* Judges every expectation, once all is measured. */
void report_judge(struct report *report);

/* "out_of_place", "in_place". */
const char *placement_name(bool in_place);

/* UTC as ISO 8601, "2026-11-21T04:53:18Z", into text[bytes]. */
void report_time(time_t when, char *text, size_t bytes);

#endif
