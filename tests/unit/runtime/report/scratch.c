/* SPDX-License-Identifier: BSD-3-Clause
 * scratch.c: files of one test below /tmp. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static char *contents;

void scratch_start(void)
{
    strcpy(top, "/tmp/report-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    capture_start();
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void scratch_finish(void)
{
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(contents);
    contents = NULL;
    capture_finish();
}

const char *scratch_path(const char *name)
{
    static char paths[8][512];
    static int next;
    next = (next + 1) % 8;
    snprintf(paths[next], sizeof paths[next], "%s/%s", top, name);
    return paths[next];
}

void scratch_write(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    for (char *slash = strchr(path + strlen(top) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

bool scratch_has(const char *name)
{
    return access(scratch_path(name), F_OK) == 0;
}

const char *scratch_read(const char *name)
{
    free(contents);
    contents = NULL;
    size_t bytes = 0;
    FILE *into = open_memstream(&contents, &bytes);
    FILE *file = fopen(scratch_path(name), "r");
    for (int letter; file != NULL && (letter = getc(file)) != EOF;) {
        putc(letter, into);
    }
    if (file != NULL) {
        fclose(file);
    }
    fclose(into);
    cr_assert_not_null(contents);
    return contents;
}

size_t line_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

json_t *line_json(const char *text, size_t line)
{
    for (; line > 0 && text != NULL; line--) {
        text = strchr(text, '\n');
        text = text == NULL ? NULL : text + 1;
    }
    if (text == NULL || *text == '\0') {
        return NULL;
    }
    json_error_t error;
    json_t *json = json_loadb(text, strcspn(text, "\n"), JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(json, "%s: %.*s", error.text, (int)strcspn(text, "\n"), text);
    return json;
}

void run_init(struct run *run, int rank, int size)
{
    static const char *const names[] = {"NUMA", "host", "network"};
    run->config = (struct ww_config)WW_CONFIG_INIT;
    run->config.codec = "auto";
    run->config.codecs_allowed = "fp16,int8";
    run->config.run = "night";
    run->config.labels = "team=vision, price = spot";
    run->setup = (struct outputs_setup){
        .config = &run->config,
        .rank = rank,
        .size = size,
        .hosts = 2,
        .host = "node-1",
        .fabric = "shm + mpi",
        .levels = 3,
        .host_levels = 2,
        .level_name = names,
        .tensors = 7,
        .buckets = 3,
        .gradient_bytes = 1000000,
        .basis = "exposed",
        .now_ns = S,
        .utc_s = 1795950513,
    };
}

struct ww_report run_report(uint64_t step)
{
    struct ww_report report = WW_REPORT_INIT;
    report.step = step;
    report.levels = 3;
    for (int level = 0; level < 3; level++) {
        report.level[level].sent_bytes = 100 + (uint64_t)level;
        report.level[level].dense32_bytes = 400 + (uint64_t)level;
        report.level[level].dense16_bytes = 200 + (uint64_t)level;
    }
    report.sent_bytes = 303;
    report.control_bytes = 5;
    report.shadow_bytes = 6;
    report.step_s = 0.5;
    report.communication_s = 0.25;
    report.exposed_s = 0.125;
    report.encode_s = 0.0625;
    report.decode_s = 0.03125;
    report.skew_s = 0.015625;
    report.slowest_rank = 1;
    report.ledger_s = 0.25;
    report.saved = (struct ww_savings){0.5, 0.25, 0.75, WW_EVIDENCE_MEASURED};
    report.encoded = 1000;
    report.chosen = 10;
    report.wild = 1;
    report.residual_norm = 2;
    report.captured = 0.75;
    strcpy(report.codec, "int8");
    return report;
}

struct ww_ledger run_totals(void)
{
    static const char *const names[] = {"NUMA", "host", "network"};
    struct ww_ledger totals = WW_LEDGER_INIT;
    totals.steps = 1200;
    totals.probes = 14;
    totals.size = 16;
    totals.levels = 3;
    for (int level = 0; level < 3; level++) {
        totals.level[level] = (struct ww_level_report){.name = names[level],
                                                       .sent_bytes = (uint64_t)256 << 20,
                                                       .dense32_bytes = (uint64_t)1 << 30,
                                                       .dense16_bytes = (uint64_t)1 << 29,
                                                       .messages = 12};
    }
    totals.payload_bytes = (uint64_t)4 << 30;
    totals.control_bytes = 1 << 20;
    totals.shadow_bytes = 1 << 19;
    totals.step_s = 100;
    totals.communication_s = 50;
    totals.exposed_s = 27.7;
    totals.encode_s = 1;
    totals.decode_s = 0.5;
    totals.skew_s = 0.25;
    totals.ledger_s = 0.75;
    totals.slowest_rank = 3;
    totals.slowest_steps = 700;
    totals.saved = (struct ww_savings){12.3, 11.9, 12.7, WW_EVIDENCE_MEASURED};
    totals.dense_s = 0.0334;
    totals.coded_s = 0.0231;
    totals.basis = "exposed";
    strcpy(totals.codec, "int8");
    totals.encoded = 1000000;
    totals.chosen = 10000;
    totals.wild = 1;
    totals.residual_norm = 12.5;
    totals.captured = 0.971;
    totals.policy_changes = 3;
    totals.energy_j = 1234;
    totals.audit = (struct ww_audit){.claimed_bytes = 1000000,
                                     .ranks = 8,
                                     .counted = true,
                                     .interface = "eth0",
                                     .counted_bytes = 1060000,
                                     .overhead_bytes = 45606,
                                     .unexplained = 0.0144,
                                     .linked = true,
                                     .nvlink_sent_bytes = 3 << 20,
                                     .nvlink_received_bytes = 5 << 20};
    totals.gpu_energy_j = 56789;
    return totals;
}
