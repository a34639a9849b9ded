/* SPDX-License-Identifier: BSD-3-Clause
 * scratch.h: a folder of one test, what the library logs meanwhile, and outputs that write there.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <jansson.h>

#include "capture.h"
#include "report/outputs.h"

#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

/* A suite's fixture: the folder is made, and removed with all that is in it. */
void scratch_start(void);
void scratch_finish(void);

/* A path in it; "" = the folder itself. Valid until eight more were asked for. */
const char *scratch_path(const char *name);

/* Writes a file, and the folders that lead to it. */
void scratch_write(const char *name, const char *text);

/* The whole file, "" without one; valid until the next call. */
const char *scratch_read(const char *name);
bool scratch_has(const char *name);

/* Parses line `line` (from 0) of a text; NULL when there are fewer. Fails on what is no JSON. */
json_t *line_json(const char *text, size_t line);
size_t line_count(const char *text);

/* A run of `size` ranks and three levels that begins at one second on the clock. The config is the
 * caller's to change until outputs_create. */
struct run {
    struct ww_config config;
    struct outputs_setup setup;
};
void run_init(struct run *run, int rank, int size);

/* A step's report in which everything is told, measured and encoded. */
struct ww_report run_report(uint64_t step);
struct ww_ledger run_totals(void);

#endif
