/* SPDX-License-Identifier: BSD-3-Clause
 * report_csv.c: every line tells all about itself, machine and settings too, so that files of many
 * runs can be put one behind the other. What is not known is empty. */
#include "report_csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "csv.h"
#include "report.h"

static const char head[] =
    "schema,begin,wirewise,mpi,ranks,ranks_are,hosts,host0,cores,cpu,kernel,iters,warmup_iters,"
    "average,record,collective,type,op,root,bytes,asked_bytes,count,placement,memory,codec,"
    "peer_memory,calls,batch,time_s,min_s,p10_s,median_s,p90_s,p99_s,max_s,median_low_s,"
    "median_high_s,algbw_gbps,busbw_gbps,wrong,wire_bytes,encode_s,decode_s,ratio,ratio_low,"
    "ratio_high,note,nmse,device,gpu,extra_s,peer_function\n";

static void put_number(FILE *to, double value)
{
    if (isfinite(value)) {
        fprintf(to, "%.9g", value);
    }
    fputc(',', to);
}

static void put_count(FILE *to, uint64_t value)
{
    fprintf(to, "%" PRIu64 ",", value);
}

static void put_wrong(FILE *to, bool checked, uint64_t wrong)
{
    if (checked) {
        put_count(to, wrong);
    } else {
        fputc(',', to);
    }
}

static void put_machine(FILE *to, const struct report *report)
{
    static const char *const averages[] = {"rank0", "mean", "min", "max"};
    const struct options *options = report->options;
    const struct place *first = &report->places[0];
    char begin[32];
    report_time(report->begin, begin, sizeof(begin));
    csv_text(to, REPORT_SCHEMA);
    csv_text(to, begin);
    csv_text(to, ww_version());
    csv_text(to, options->over_mpi ? report->mpi : "");
    put_count(to, (uint64_t)report->size);
    csv_text(to, options->processes ? "processes" : "threads");
    put_count(to, (uint64_t)places_host_count(report->places, report->size));
    csv_text(to, first->host);
    put_count(to, (uint64_t)first->cores);
    csv_text(to, first->cpu);
    csv_text(to, first->kernel);
    put_count(to, (uint64_t)options->iters);
    put_count(to, (uint64_t)options->warmup_iters);
    csv_text(to, averages[options->average]);
}

static void put_job(FILE *to, const struct report *report, const struct job *job)
{
    csv_text(to, report->options->collective->name);
    csv_text(to, job->subject.type);
    csv_text(to, job->subject.op);
    fprintf(to, "%d,", job->subject.root);
    put_count(to, job->bytes);
    put_count(to, job->asked_bytes);
    put_count(to, job->subject.count);
}

static void put_summary(FILE *to, const struct summary *summary)
{
    put_number(to, summary->min);
    put_number(to, summary->p10);
    put_number(to, summary->median);
    put_number(to, summary->p90);
    put_number(to, summary->p99);
    put_number(to, summary->max);
    put_number(to, summary->median_low);
    put_number(to, summary->median_high);
}

/* The last columns. */
static void put_device(FILE *to, const struct report *report, const char *extra,
                       const char *peer_function)
{
    csv_text(to, report->options->on_gpu ? "cuda" : "host");
    csv_text(to, report->gpu_way);
    fprintf(to, "%s,%s\n", extra, peer_function);
}

static void put_result(FILE *to, const struct report *report, const struct record *record,
                       bool in_place)
{
    const struct figures *figures = &record->figures[in_place];
    put_machine(to, report);
    csv_text(to, "result");
    put_job(to, report, &record->job);
    csv_text(to, placement_name(in_place));
    csv_text(to, memory_names[report->options->memory]);
    csv_text(to, report->options->codec);
    csv_text(to, "");
    put_count(to, (uint64_t)figures->calls);
    put_count(to, (uint64_t)figures->batch);
    put_number(to, figures->seconds);
    put_summary(to, &figures->per_call);
    put_number(to, figures->algorithm_gbps);
    put_number(to, figures->bus_gbps);
    put_wrong(to, figures->checked && !figures->lossy, figures->wrong);
    put_count(to, figures->wire_bytes);
    if (figures->lossy) {
        fprintf(to, ",,,,,,%.9g,", figures->error);
    } else {
        fputs("0,0,,,,,,", to);
    }
    put_device(to, report, "", "");
}

/* One side of a contest. */
struct side {
    const char *name; /* "versus_wirewise", "versus_mpi", "versus_nccl" */
    const struct summary *times;
    enum memory memory;
    enum memory peer_memory;
    double bus_gbps;
    bool ours;
};

static void put_side(FILE *to, const struct report *report, const struct contest_record *record,
                     const struct side *side)
{
    const struct contest *contest = &record->contest;
    put_machine(to, report);
    csv_text(to, side->name);
    put_job(to, report, &record->job);
    csv_text(to, placement_name(true));
    csv_text(to, memory_names[side->memory]);
    csv_text(to, side->ours ? report->options->codec : "");
    csv_text(to, memory_names[side->peer_memory]);
    put_count(to, (uint64_t)contest->rounds);
    put_count(to, (uint64_t)contest->batch);
    put_number(to, side->times->median);
    put_summary(to, side->times);
    put_number(to, (double)record->job.bytes / side->times->median / 1e9);
    put_number(to, side->bus_gbps);
    put_wrong(to, side->ours && contest->checked, contest->wrong);
    fputs(",,,", to);
    put_number(to, contest->ratio.median);
    put_number(to, contest->ratio.median_low);
    put_number(to, contest->ratio.median_high);
    fprintf(to, "%s,,", side->ours && contest->slower ? "slower" : "");
    char extra[32];
    snprintf(extra, sizeof(extra), "%.9g", contest->extra.median);
    put_device(to, report, side->ours ? extra : "", versus_peer_function(report->options));
}

static void put_contest(FILE *to, const struct report *report, const struct contest_record *record)
{
    const struct contest *contest = &record->contest;
    const struct side ours = {"versus_wirewise",    &contest->ours,    contest->memory,
                              contest->peer_memory, contest->bus_gbps, true};
    const char *peer = report->options->versus_nccl ? "versus_nccl" : "versus_mpi";
    const struct side peers = {
        peer, &contest->peers, contest->peer_memory, contest->memory, contest->peer_bus_gbps,
        false};
    put_side(to, report, record, &ours);
    put_side(to, report, record, &peers);
}

void report_csv(FILE *to, const void *what)
{
    const struct report *report = what;
    fputs(head, to);
    for (size_t i = 0; i < report->record_count; i++) {
        put_result(to, report, &report->records[i], false);
        put_result(to, report, &report->records[i], true);
    }
    for (size_t i = 0; i < report->contest_count; i++) {
        put_contest(to, report, &report->contests[i]);
    }
}
