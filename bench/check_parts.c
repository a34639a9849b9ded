/* SPDX-License-Identifier: BSD-3-Clause
 * check_parts.c: the bench's statistics, texts and JSON, against values from tables and standards.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "report.h"
#include "text.h"
#include "times.h"

static int failures;

static void expect(bool holds, const char *what, double got)
{
    if (!holds) {
        fprintf(stderr, "FAILED: %s (got %.17g)\n", what, got);
        failures++;
    }
}

/* Ranks of the 95 % interval of the median from published tables (for example table A8 of
 * W. J. Conover, Practical Nonparametric Statistics, and the exact binomial sums). */
static void check_interval_ranks(void)
{
    static const size_t known[][2] = {{1, 0},   {5, 0},   {6, 1},    {8, 1},     {9, 2},
                                      {10, 2},  {15, 4},  {20, 6},   {25, 8},    {30, 10},
                                      {50, 18}, {71, 27}, {100, 40}, {1000, 469}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t rank = median_interval_rank(known[i][0]);
        if (rank != known[i][1]) {
            fprintf(stderr, "FAILED: interval rank of %zu values is %zu, not %zu\n", known[i][0],
                    rank, known[i][1]);
            failures++;
        }
    }
    /* Far from any table: 1.96 standard deviations below the middle. */
    double normal = 1e6 / 2 - 1.959964 * sqrt(1e6) / 2;
    expect(fabs((double)median_interval_rank(1000000) - normal) < 2, "interval rank of 10^6",
           (double)median_interval_rank(1000000));
}

static void check_summary(void)
{
    double values[20];
    for (int i = 0; i < 20; i++) {
        values[i] = (double)((i * 7) % 20 + 1); /* 1 .. 20 in disorder */
    }
    struct summary summary = summarize(values, 20);
    expect(summary.min == 1, "min", summary.min);
    expect(summary.p10 == 2, "p10", summary.p10);
    expect(summary.median == 10, "median", summary.median);
    expect(summary.p90 == 18, "p90", summary.p90);
    expect(summary.p99 == 20, "p99", summary.p99);
    expect(summary.max == 20, "max", summary.max);
    expect(summary.mean == 10.5, "mean", summary.mean);
    expect(summary.median_low == 6, "low end of the interval", summary.median_low);
    expect(summary.median_high == 15, "high end of the interval", summary.median_high);
    summary = summarize(values, 5);
    expect(isnan(summary.median_low) && isnan(summary.median_high), "no interval of 5 values",
           summary.median_low);
}

static void check_letters(void)
{
    static const struct {
        const char *text;
        uint32_t letter;
        size_t bytes;
    } known[] = {
        {"a", 'a', 1},
        {"\xc3\xbc", 0xfc, 2},
        {"\xe2\x82\xac", 0x20ac, 3},
        {"\xf0\x9f\x98\x80", 0x1f600, 4},
        {"\xc0\x80", TEXT_REPLACEMENT, 1},         /* overlong */
        {"\xe0\x80\xaf", TEXT_REPLACEMENT, 1},     /* overlong */
        {"\xed\xa0\x80", TEXT_REPLACEMENT, 1},     /* half of a pair */
        {"\xf4\x90\x80\x80", TEXT_REPLACEMENT, 1}, /* beyond the last */
        {"\xff", TEXT_REPLACEMENT, 1},
        {"\xe2\x82", TEXT_REPLACEMENT, 1}, /* cut off */
        {"\x80", TEXT_REPLACEMENT, 1},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t letter = 0;
        size_t bytes = text_letter(known[i].text, &letter);
        expect(bytes == known[i].bytes && letter == known[i].letter, "a letter of UTF-8",
               (double)i);
    }
}

static void write_document(FILE *to)
{
    struct json json = {.to = to};
    json_open_object(&json, NULL);
    json_text(&json, "t", "a\"\\\n\x01\xc3\xbc\xff");
    json_text(&json, "none", NULL);
    json_number(&json, "nan", (double)NAN);
    json_number(&json, "inf", -(double)INFINITY);
    json_number(&json, "half", 0.5);
    json_integer(&json, "low", -1);
    json_count(&json, "most", UINT64_MAX);
    json_open_array(&json, "empty");
    json_close_array(&json);
    json_bool(&json, "yes", true);
    json_close_object(&json);
}

static void check_json(void)
{
    static const char expected[] =
        "{\n  \"t\": \"a\\\"\\\\\\u000a\\u0001\xc3\xbc\xef\xbf\xbd\",\n  \"none\": null,\n"
        "  \"nan\": null,\n  \"inf\": null,\n  \"half\": 0.5,\n  \"low\": -1,\n"
        "  \"most\": 18446744073709551615,\n  \"empty\": [],\n  \"yes\": true\n}\n";
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    if (stream == NULL) {
        expect(false, "a stream in memory", 0);
        return;
    }
    write_document(stream);
    fclose(stream);
    if (strcmp(text, expected) != 0) {
        fprintf(stderr, "FAILED: JSON is\n%s\nnot\n%s\n", text, expected);
        failures++;
    }
    free(text);
}

static void check_sizes(void)
{
    static const struct {
        size_t size;
        const char *text;
    } known[] = {{0, "0 B"}, {8, "8 B"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {64u << 20, "64 MiB"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char text[32];
        text_size(known[i].size, text, sizeof(text));
        expect(strcmp(text, known[i].text) == 0, known[i].text, (double)known[i].size);
    }
    struct options options = {.bytes_min = 3, .bytes_max = 100, .step_factor = 2, .step_bytes = 10};
    expect(sweep_has_size(&options, 96) && !sweep_has_size(&options, 97) &&
               !sweep_has_size(&options, 192),
           "sizes by factor", 0);
    options.step_factor = 1;
    expect(sweep_has_size(&options, 93) && !sweep_has_size(&options, 94) &&
               !sweep_has_size(&options, 103),
           "sizes by step", 0);
}

/* The least figure at a size decides, whatever the placement, and asked sizes count. */
static void check_judgement(void)
{
    struct options options = {.expectations = {{64, 2.0}, {64, 1.0}, {128, 9.0}},
                              .expectation_count = 3};
    struct report report = {.options = &options};
    const struct record records[] = {
        {.job = {.asked_bytes = 64, .bytes = 60}, .figures = {{.bus_gbps = 3}, {.bus_gbps = 2}}},
        {.job = {.asked_bytes = 128, .bytes = 64}, .figures = {{.bus_gbps = 9}, {.bus_gbps = 9}}},
        {.job = {.asked_bytes = 64, .bytes = 60}, .figures = {{.bus_gbps = 1}, {.wrong = 5}}},
    };
    for (size_t i = 0; i < 3; i++) {
        expect(report_add(&report, &records[i]), "room for a record", (double)i);
    }
    report.records[2].figures[1].bus_gbps = 4;
    report_judge(&report);
    expect(report.verdict_count == 3, "a verdict per expectation", report.verdict_count);
    expect(!report.verdicts[0].met && report.verdicts[0].gbps == 1, "2 GB/s are not met",
           report.verdicts[0].gbps);
    expect(report.verdicts[1].met, "1 GB/s is met by 1 GB/s", report.verdicts[1].gbps);
    expect(report.verdicts[2].met, "9 GB/s are met", report.verdicts[2].gbps);
    expect(report.failures == 1, "one measurement is wrong", report.failures);
    report_finish(&report);
}

/* A rank alone moves nothing; of three each moves what its way needs. */
static void check_factors(void)
{
    for (size_t i = 0; i < collective_count; i++) {
        const struct collective *collective = &collectives[i];
        expect(collective->bus_factor(1) == 0, collective->name, collective->bus_factor(1));
        double three = collective->bus_factor(3);
        expect(three > 0.6 && three < 1.4, collective->name, three);
    }
}

int main(void)
{
    check_factors();
    check_judgement();
    check_interval_ranks();
    check_summary();
    check_letters();
    check_json();
    check_sizes();
    printf("%d failures\n", failures);
    return failures > 0;
}
