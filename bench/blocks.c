/* SPDX-License-Identifier: BSD-3-Clause
 * blocks.c: our own figures. Times are in microseconds; "-" is what nobody knows. */
#include "blocks.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "text.h"

#define MIB ((double)(1 << 20))

/* Microseconds with two decimals, where a call takes long with fewer. */
static const char *micro(double seconds, char *text, size_t bytes)
{
    double us = seconds * 1e6;
    if (isnan(us)) {
        snprintf(text, bytes, "-");
    } else {
        snprintf(text, bytes, us < 10 ? "%.3f" : us < 1e5 ? "%.2f" : "%.0f", us);
    }
    return text;
}

static void put_times(FILE *out, const double *seconds, size_t count)
{
    char text[32];
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  %9s", micro(seconds[i], text, sizeof(text)));
    }
}

void block_hosts(FILE *out, const struct place *places, int size)
{
    if (out == NULL) {
        return;
    }
    for (int rank = 0; rank < size; rank++) {
        if (places_first(places, rank) == rank) {
            fprintf(out, "# Host %s: %d ranks, %d cores, %s, %s\n", places[rank].host,
                    places_neighbours(places, rank, size), places[rank].cores, places[rank].cpu,
                    places[rank].kernel);
        }
    }
}

static void put_call(FILE *out, const struct report *report, const struct record *record,
                     bool in_place)
{
    const struct options *options = report->options;
    const struct subject *subject = &record->job.subject;
    const struct figures *figures = &record->figures[in_place];
    const struct summary *times = &figures->per_call;
    const double seconds[] = {times->min, times->p10, times->median,     times->p90,
                              times->p99, times->max, times->median_low, times->median_high};
    const char *unknown = figures->lossy ? "-" : "0"; /* inside the call, not timed by itself */
    fprintf(out, "# %12zu  %8s  %6s  %6d  %12s  %6s  %5s  %10" PRIu64 "  %6s  %6s  %7d",
            subject->bytes, subject->type, subject->op, subject->root, placement_name(in_place),
            memory_names[options->memory], options->codec, figures->wire_bytes, unknown, unknown,
            figures->calls);
    put_times(out, seconds, sizeof(seconds) / sizeof(seconds[0]));
    fprintf(out, "\n");
}

void block_gpus(FILE *out, const struct report *report)
{
    if (out == NULL) {
        return;
    }
    int gpus = places_gpu_count(report->places, report->size);
    fprintf(out, "# GPUs: %d, %s\n", gpus, report->gpu_way);
    if (gpus < report->size) {
        fprintf(out,
                "# SHARED: %d ranks take turns on %d GPU%s, so times are of those turns and of the "
                "host's memory, not of wires between GPUs\n",
                report->size, gpus, gpus > 1 ? "s" : "");
    }
}

void block_calls(FILE *out, const struct report *report)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "#\n# Time per call on the slowest rank, in microseconds; ci: 95 %% confidence "
                 "interval of the median\n");
    if (report->options->on_gpu) {
        fprintf(out,
                "# On GPUs each value is the mean of a batch of calls back to back, of at most "
                "%d batches\n",
                METER_BATCHES);
    }
    fprintf(out,
            "# %12s  %8s  %6s  %6s  %12s  %6s  %5s  %10s  %6s  %6s  %7s  %9s  %9s  %9s  %9s  %9s  "
            "%9s  %9s  %9s\n",
            "size", "type", "redop", "root", "place", "memory", "codec", "wire_B", "encode",
            "decode", "calls", "min", "p10", "median", "p90", "p99", "max", "ci_low", "ci_high");
    for (size_t i = 0; i < report->record_count; i++) {
        put_call(out, report, &report->records[i], false);
        put_call(out, report, &report->records[i], true);
    }
    fflush(out);
}

void block_contests(FILE *out, const char *function, const char *peer)
{
    if (out == NULL) {
        return;
    }
    fprintf(out,
            "#\n# Versus %s of %s: in place, in turn, medians in microseconds on the "
            "slowest rank;\n# mpi/ww: above 1 wirewise is faster; ci: 95 %% confidence interval "
            "of the median of that ratio\n"
            "# memory: malloc, huge = both on the same buffers; shared = ours on ww_alloc's, "
            "MPI's on malloc'd ones\n",
            function, peer);
    fprintf(out, "# %12s  %8s  %6s  %6s  %6s  %6s  %10s  %10s  %7s  %7s  %7s  %7s  %6s  %s\n",
            "size", "type", "redop", "memory", "rounds", "batch", "wirewise", "mpi", "mpi/ww",
            "ci_low", "ci_high", "busbw", "#wrong", "note");
    fflush(out);
}

void block_contests_on_gpu(FILE *out, const char *peer)
{
    if (out == NULL) {
        return;
    }
    fprintf(out,
            "#\n# Versus ncclAllReduce of %s: in place, batches of calls back to back in turn, "
            "medians in microseconds per call on the slowest rank;\n# nccl/ww: above 1 wirewise is "
            "faster; ci: 95 %% confidence interval of the median of that ratio; extra: what a call "
            "of ours takes more, median\n",
            peer);
    fprintf(out, "# %12s  %8s  %6s  %6s  %6s  %6s  %10s  %10s  %7s  %7s  %7s  %7s  %6s  %6s  %9s\n",
            "size", "type", "redop", "memory", "rounds", "batch", "wirewise", "nccl", "nccl/ww",
            "ci_low", "ci_high", "busbw", "#wrong", "note", "extra");
    fflush(out);
}

static const char *ratio(double value, char *text, size_t bytes)
{
    snprintf(text, bytes, isnan(value) ? "-" : "%.3f", value);
    return text;
}

void block_contest(FILE *out, const struct contest_record *record)
{
    if (out == NULL) {
        return;
    }
    const struct subject *subject = &record->job.subject;
    const struct contest *contest = &record->contest;
    char texts[5][32];
    fprintf(out, "# %12zu  %8s  %6s  %6s  %6d  %6d  %10s  %10s  %7.3f  %7s  %7s  %7.2f",
            subject->bytes, subject->type, subject->op, memory_names[contest->memory],
            contest->rounds, contest->batch,
            micro(contest->ours.median, texts[0], sizeof(texts[0])),
            micro(contest->peers.median, texts[1], sizeof(texts[1])), contest->ratio.median,
            ratio(contest->ratio.median_low, texts[2], sizeof(texts[2])),
            ratio(contest->ratio.median_high, texts[3], sizeof(texts[3])), contest->bus_gbps);
    snprintf(texts[4], sizeof(texts[4]), "%g", (double)contest->wrong);
    const char *note = contest->slower ? "slower" : "-";
    fprintf(out, "  %6s", contest->checked ? texts[4] : "N/A");
    if (contest->memory == MEMORY_DEVICE) {
        fprintf(out, "  %6s  %+9.2f\n", note, contest->extra.median * 1e6);
    } else {
        fprintf(out, "  %s\n", note);
    }
    fflush(out);
}

void block_marker(FILE *out, const struct marker *marker, int hosts)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "# Marker at the %s: memcpy %.2f GB/s ", marker->when, marker->memcpy_gbps_least);
    if (hosts > 1) {
        fprintf(out, "to %.2f GB/s ", marker->memcpy_gbps_most);
    }
    fprintf(out,
            "per host (every rank copies 64 MiB at once, counted once), MPI_Allreduce of 1 MiB "
            "float sum in place %.1f us\n",
            marker->mpi.median * 1e6);
    fflush(out);
}

void block_huge_pages(FILE *out, size_t bytes, size_t huge_bytes)
{
    if (out == NULL) {
        return;
    }
    if (huge_bytes == 0) {
        fprintf(out,
                "# Huge pages: NONE, the kernel gave the buffer of %.1f MiB small pages on at "
                "least one rank (see /sys/kernel/mm/transparent_hugepage/enabled)\n",
                (double)bytes / MIB);
    } else {
        fprintf(out, "# Huge pages: %.1f of %.1f MiB, on the rank that got least\n",
                (double)huge_bytes / MIB, (double)bytes / MIB);
    }
}

static void complain(const struct verdict *verdict, const char *collective)
{
    const struct subject *subject = &verdict->record->job.subject;
    fprintf(stderr,
            "wirewise bench: at %zu bytes %s reached %.4g GB/s of bus bandwidth (%s, %s, %s), "
            "less than the %.4g GB/s that --expect-busbw expects\n",
            verdict->expectation.bytes, collective, verdict->gbps, subject->type, subject->op,
            placement_name(verdict->in_place), verdict->expectation.gbps);
}

void block_verdicts(FILE *out, const struct report *report)
{
    for (int i = 0; out != NULL && i < report->verdict_count; i++) {
        const struct verdict *verdict = &report->verdicts[i];
        fprintf(out, "# Expected at %zu B: at least %.4g GB/s bus bandwidth, measured %.4g: %s\n",
                verdict->expectation.bytes, verdict->expectation.gbps, verdict->gbps,
                verdict->met ? "met" : "NOT MET");
        if (!verdict->met) {
            complain(verdict, report->options->collective->name);
        }
    }
}

void block_resident(FILE *out, const struct resident *resident, int threads)
{
    if (out == NULL || !resident->known) {
        return;
    }
    if (threads > 1) {
        fprintf(out, "# Resident beyond buffers: %.1f MiB in the one process of %d ranks\n",
                resident->first_bytes / MIB, threads);
    } else {
        fprintf(out, "# Resident beyond buffers: %.1f MiB on rank 0, most %.1f MiB\n",
                resident->first_bytes / MIB, resident->most_bytes / MIB);
    }
}

/* ---- --predict ------------------------------------------------------------------------------- */

void block_wires(FILE *out, const char *lines)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "#\n# Wires, as all ranks know them\n");
    while (*lines != '\0') {
        int length = (int)strcspn(lines, "\n");
        fprintf(out, "#   %.*s\n", length, lines);
        lines += length + (lines[length] == '\n');
    }
    fprintf(out, "#\n# Every way in turn, in place, in microseconds per call on the slowest rank; "
                 "error: predicted / median - 1; *: the way "
                 "that is chosen\n");
    fprintf(out, "# %12s  %-28s  %9s  %3s  %6s  %5s  %9s  %9s  %9s  %9s  %9s  %7s  %s\n", "size",
            "way", "segment", "win", "rounds", "batch", "predicted", "least", "most", "median",
            "p90", "error", "limit");
}

static void put_way(FILE *out, const struct job *job, const struct ways *ways, int number)
{
    const struct way_record *way = &ways->way[number];
    const struct ww_prediction *prediction = &way->prediction;
    const double seconds[] = {prediction->seconds, prediction->least_s, prediction->most_s,
                              way->times.median, way->times.p90};
    char name[sizeof prediction->algorithm + 16];
    snprintf(name, sizeof name, "%s%s", number == ways->chosen ? "* " : "", prediction->algorithm);
    fprintf(out, "# %12zu  %-28s  %9zu  %3d  %6d  %5d", job->bytes, name, prediction->segment_bytes,
            prediction->window, ways->rounds, ways->batch);
    put_times(out, seconds, sizeof(seconds) / sizeof(seconds[0]));
    fprintf(out, "  %+6.1f%%  %s\n", 100 * (prediction->seconds / way->times.median - 1),
            prediction->limit);
}

void block_ways(FILE *out, const struct job *job, const struct ways *ways)
{
    for (int w = 0; out != NULL && w < ways->count; w++) {
        put_way(out, job, ways, w);
    }
    if (out != NULL && ways->rival >= 0) {
        fprintf(out, "# %12zu  %s took %.3f x the time of %s when they met once more\n", job->bytes,
                ways->way[ways->chosen].prediction.algorithm, ways->ratio,
                ways->way[ways->rival].prediction.algorithm);
    }
    if (out != NULL) {
        fflush(out);
    }
}

void block_ways_verdict(FILE *out, const struct ways_verdict *verdict)
{
    if (out == NULL || verdict->predictions == 0) {
        return;
    }
    fprintf(out, "# Predictions: median error %.1f %% of %d; ", 100 * verdict->error_median,
            verdict->predictions);
    if (verdict->pairs > 0) {
        fprintf(out,
                "of %d pairs of ways that differ by more than 5 %%, %d (%.1f %%) in the right "
                "order; ",
                verdict->pairs, verdict->pairs_right,
                100.0 * verdict->pairs_right / verdict->pairs);
    }
    fprintf(out, "the chosen way took at most %.3f x the best one's time (%zu bytes)\n",
            verdict->worst_choice, verdict->worst_bytes);
}
