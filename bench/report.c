/* SPDX-License-Identifier: BSD-3-Clause
 * report.c: keeps what was measured and judges it. */
#include "report.h"

#include <stdlib.h>

/* Room for one more of `bytes` each: the old array, a larger one, or NULL. */
static void *grow(void *array, size_t count, size_t *room, size_t bytes)
{
    if (count < *room) {
        return array;
    }
    size_t more = 2 * *room + 16;
    void *larger = realloc(array, more * bytes);
    if (larger != NULL) {
        *room = more;
    }
    return larger;
}

bool report_add(struct report *report, const struct record *record)
{
    struct record *records = grow(report->records, report->record_count, &report->record_room,
                                  sizeof(*record));
    if (records == NULL) {
        return false;
    }
    report->records = records;
    report->records[report->record_count++] = *record;
    for (int in_place = 0; in_place < 2; in_place++) {
        report->failures += record->figures[in_place].wrong > 0;
        report->bus_gbps_sum += record->figures[in_place].bus_gbps;
        report->bus_count++;
    }
    return true;
}

bool report_add_contest(struct report *report, const struct contest_record *record)
{
    struct contest_record *contests = grow(report->contests, report->contest_count,
                                           &report->contest_room, sizeof(*record));
    if (contests == NULL) {
        return false;
    }
    report->contests = contests;
    report->contests[report->contest_count++] = *record;
    report->failures += record->contest.wrong > 0;
    return true;
}

void report_finish(struct report *report)
{
    free(report->records);
    free(report->contests);
    free(report->cluster);
    free(report->settings);
}

double report_bus_gbps_mean(const struct report *report)
{
    return report->bus_count > 0 ? report->bus_gbps_sum / report->bus_count : 0.0;
}

/* The least of all types, operations and placements. The sweep has every expected size. */
static struct verdict judge(const struct report *report, const struct expectation *expectation)
{
    struct verdict verdict = {.expectation = *expectation};
    for (size_t i = 0; i < report->record_count; i++) {
        const struct record *record = &report->records[i];
        for (int in_place = 0; in_place < 2 && record->job.asked_bytes == expectation->bytes;
             in_place++) {
            double gbps = record->figures[in_place].bus_gbps;
            if (verdict.record == NULL || gbps < verdict.gbps) {
                verdict.record = record;
                verdict.in_place = in_place == 1;
                verdict.gbps = gbps;
            }
        }
    }
    verdict.met = verdict.record != NULL && verdict.gbps >= expectation->gbps;
    return verdict;
}

void report_judge(struct report *report)
{
    for (int i = 0; i < report->options->expectation_count; i++) {
        report->verdicts[i] = judge(report, &report->options->expectations[i]);
        report->verdict_count++;
    }
}

const char *placement_name(bool in_place)
{
    return in_place ? "in_place" : "out_of_place";
}

void report_time(time_t when, char *text, size_t bytes)
{
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, bytes, "1970-01-01T00:00:00Z");
    }
}
