/* SPDX-License-Identifier: BSD-3-Clause
 * report_json.c: names carry their units: _s seconds, _bytes, _gbps 10^9 bytes per second. */
#include "report_json.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "report.h"

static void put_head(struct json *json, const struct report *report)
{
    char text[32];
    json_text(json, "schema", REPORT_SCHEMA);
    json_text(json, "wirewise", ww_version());
    json_text(json, "mpi", report->options->over_mpi ? report->mpi : NULL);
    json_text(json, "gpu", report->gpu_way[0] != '\0' ? report->gpu_way : NULL);
    report_time(report->begin, text, sizeof(text));
    json_text(json, "begin", text);
    report_time(report->end, text, sizeof(text));
    json_text(json, "end", text);
    json_open_array(json, "arguments");
    for (int i = 0; i < report->options->argc; i++) {
        json_text(json, NULL, report->options->argv[i]);
    }
    json_close_array(json);
}

static void put_hosts(struct json *json, const struct report *report)
{
    json_open_array(json, "hosts");
    for (int rank = 0; rank < report->size; rank++) {
        const struct place *place = &report->places[rank];
        if (places_first(report->places, rank) != rank) {
            continue;
        }
        json_open_object(json, NULL);
        json_text(json, "host", place->host);
        json_count(json, "ranks", (uint64_t)places_neighbours(report->places, rank, report->size));
        json_count(json, "cores", (uint64_t)place->cores);
        json_text(json, "cpu", place->cpu);
        json_text(json, "kernel", place->kernel);
        json_count(json, "memory_bytes", place->memory_bytes);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_gpu(struct json *json, const struct place *place)
{
    if (place->gpu < 0) {
        json_null(json, "gpu");
        return;
    }
    json_open_object(json, "gpu");
    json_count(json, "number", (uint64_t)place->gpu);
    json_text(json, "name", place->gpu_name);
    json_text(json, "address", place->gpu_address);
    json_close_object(json);
}

static void put_ranks(struct json *json, const struct report *report)
{
    json_open_array(json, "ranks");
    for (int rank = 0; rank < report->size; rank++) {
        json_open_object(json, NULL);
        json_count(json, "rank", (uint64_t)rank);
        json_text(json, "host", report->places[rank].host);
        json_count(json, "pid", (uint64_t)report->places[rank].pid);
        put_gpu(json, &report->places[rank]);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_settings(struct json *json, const struct report *report)
{
    static const char *const averages[] = {"rank0", "mean", "min", "max"};
    const struct options *options = report->options;
    json_open_object(json, "settings");
    json_text(json, "collective", options->collective->name);
    json_text(json, "ranks_are", options->processes ? "processes" : "threads");
    json_count(json, "min_bytes", options->bytes_min);
    json_count(json, "max_bytes", options->bytes_max);
    json_count(json, "step_factor", (uint64_t)options->step_factor);
    json_count(json, "step_bytes", options->step_bytes);
    json_count(json, "iters", (uint64_t)options->iters);
    json_count(json, "warmup_iters", (uint64_t)options->warmup_iters);
    json_count(json, "checks", (uint64_t)options->checks);
    json_count(json, "blocking", (uint64_t)options->blocking);
    json_text(json, "average", averages[options->average]);
    json_number(json, "budget_s", options->budget_s);
    json_number(json, "timeout_s", options->timeout_s);
    json_text(json, "device", options->on_gpu ? "cuda" : "host");
    json_text(json, "memory", memory_names[options->memory]);
    json_text(json, "codec", options->codec);
    json_text(json, "versus", options->versus);
    json_close_object(json);
}

/* One line of ww_config_print each. */
static void put_library(struct json *json, const struct report *report)
{
    json_open_array(json, "library_settings");
    const char *line = report->settings != NULL ? report->settings : "";
    while (*line != '\0') {
        char text[512];
        size_t length = strcspn(line, "\n");
        snprintf(text, sizeof(text), "%.*s", (int)(length < 500 ? length : 500), line);
        json_text(json, NULL, text);
        line += length + (line[length] == '\n');
    }
    json_close_array(json);
}

static void put_subject(struct json *json, const struct report *report, const struct job *job)
{
    json_text(json, "collective", report->options->collective->name);
    json_text(json, "type", job->subject.type);
    json_text(json, "op", job->subject.op);
    json_integer(json, "root", job->subject.root);
    json_count(json, "bytes", job->bytes);
    json_count(json, "asked_bytes", job->asked_bytes);
    json_count(json, "count", job->subject.count);
}

static void put_summary(struct json *json, const char *name, const struct summary *summary)
{
    json_open_object(json, name);
    json_number(json, "min", summary->min);
    json_number(json, "p10", summary->p10);
    json_number(json, "median", summary->median);
    json_number(json, "p90", summary->p90);
    json_number(json, "p99", summary->p99);
    json_number(json, "max", summary->max);
    json_number(json, "mean", summary->mean);
    json_number(json, "median_low", summary->median_low);
    json_number(json, "median_high", summary->median_high);
    json_close_object(json);
}

static void put_wrong(struct json *json, bool checked, uint64_t wrong)
{
    if (checked) {
        json_count(json, "wrong", wrong);
    } else {
        json_null(json, "wrong");
    }
}

static void put_result(struct json *json, const struct report *report, const struct record *record,
                       bool in_place)
{
    const struct figures *figures = &record->figures[in_place];
    json_open_object(json, NULL);
    put_subject(json, report, &record->job);
    json_text(json, "placement", placement_name(in_place));
    json_text(json, "memory", memory_names[report->options->memory]);
    json_text(json, "codec", report->options->codec);
    json_count(json, "calls", (uint64_t)figures->calls);
    json_count(json, "batch", (uint64_t)figures->batch);
    json_number(json, "time_s", figures->seconds);
    put_summary(json, "call_s", &figures->per_call);
    json_number(json, "algbw_gbps", figures->algorithm_gbps);
    json_number(json, "busbw_gbps", figures->bus_gbps);
    put_wrong(json, figures->checked && !figures->lossy, figures->wrong);
    json_count(json, "wire_bytes", figures->wire_bytes);
    if (figures->lossy) { /* inside the call, not timed by themselves */
        json_null(json, "encode_s");
        json_null(json, "decode_s");
        json_number(json, "nmse", figures->error);
    } else {
        json_number(json, "encode_s", 0.0);
        json_number(json, "decode_s", 0.0);
        json_null(json, "nmse");
    }
    json_close_object(json);
}

static void put_results(struct json *json, const struct report *report)
{
    json_open_array(json, "results");
    for (size_t i = 0; i < report->record_count; i++) {
        put_result(json, report, &report->records[i], false);
        put_result(json, report, &report->records[i], true);
    }
    json_close_array(json);
}

static void put_contest(struct json *json, const struct report *report,
                        const struct contest_record *record)
{
    const struct contest *contest = &record->contest;
    json_open_object(json, NULL);
    put_subject(json, report, &record->job);
    json_text(json, "placement", placement_name(true));
    json_text(json, "memory", memory_names[contest->memory]);
    json_text(json, "peer", report->options->versus);
    json_text(json, "peer_function", versus_peer_function(report->options));
    json_text(json, "peer_memory", memory_names[contest->peer_memory]);
    json_count(json, "rounds", (uint64_t)contest->rounds);
    json_count(json, "batch", (uint64_t)contest->batch);
    put_summary(json, "call_s", &contest->ours);
    put_summary(json, "peer_call_s", &contest->peers);
    put_summary(json, "peer_over_ours", &contest->ratio);
    put_summary(json, "extra_s", &contest->extra);
    json_number(json, "busbw_gbps", contest->bus_gbps);
    json_number(json, "peer_busbw_gbps", contest->peer_bus_gbps);
    put_wrong(json, contest->checked, contest->wrong);
    json_text(json, "note", contest->slower ? "slower" : NULL);
    json_close_object(json);
}

static void put_versus(struct json *json, const struct report *report)
{
    json_open_array(json, "versus");
    for (size_t i = 0; i < report->contest_count; i++) {
        put_contest(json, report, &report->contests[i]);
    }
    json_close_array(json);
    json_open_array(json, "markers");
    for (int i = 0; i < report->marker_count; i++) {
        const struct marker *marker = &report->markers[i];
        json_open_object(json, NULL);
        json_text(json, "when", marker->when);
        json_number(json, "memcpy_gbps_least", marker->memcpy_gbps_least);
        json_number(json, "memcpy_gbps_most", marker->memcpy_gbps_most);
        put_summary(json, "mpi_1mib_s", &marker->mpi);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_expectations(struct json *json, const struct report *report)
{
    json_open_array(json, "expectations");
    for (int i = 0; i < report->verdict_count; i++) {
        const struct verdict *verdict = &report->verdicts[i];
        json_open_object(json, NULL);
        json_count(json, "asked_bytes", verdict->expectation.bytes);
        json_number(json, "expected_busbw_gbps", verdict->expectation.gbps);
        json_number(json, "measured_busbw_gbps", verdict->gbps);
        json_bool(json, "met", verdict->met);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_foot(struct json *json, const struct report *report)
{
    const struct resident *resident = &report->resident;
    json_count(json, "out_of_bounds", (uint64_t)report->failures);
    json_number(json, "average_busbw_gbps", report_bus_gbps_mean(report));
    json_open_object(json, "resident_beyond_buffers");
    json_number(json, "rank0_bytes", resident->known ? resident->first_bytes : (double)NAN);
    json_number(json, "most_bytes", resident->known ? resident->most_bytes : (double)NAN);
    json_close_object(json);
}

void report_json(FILE *to, const void *what)
{
    const struct report *report = what;
    struct json json = {.to = to};
    json_open_object(&json, NULL);
    put_head(&json, report);
    put_hosts(&json, report);
    put_ranks(&json, report);
    put_settings(&json, report);
    put_library(&json, report);
    put_results(&json, report);
    put_versus(&json, report);
    put_expectations(&json, report);
    put_foot(&json, report);
    json_close_object(&json);
}
