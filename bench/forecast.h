/* SPDX-License-Identifier: BSD-3-Clause
 * forecast.h: `wirewise plan CLUSTER.ini`: prices collectives on a cluster out of a file. */
#ifndef BENCH_FORECAST_H
#define BENCH_FORECAST_H

#include <stdbool.h>
#include <stdio.h>

#include <wirewise/tools.h>

#define FORECAST_SIZES_MAX 64
#define FORECAST_WHAT_IFS_MAX 8
#define FORECAST_ROWS_MAX 64

struct forecast_what_if {
    const char *level;
    double factor;
};

struct forecast_wishes {
    const char *file; /* NULL = none */
    const char *collective;
    const char *algorithm; /* NULL = the fastest */
    int size_count;
    double bytes[FORECAST_SIZES_MAX];
    bool all;
    bool json;
    int what_if_count;
    struct forecast_what_if what_if[FORECAST_WHAT_IFS_MAX];
};

/* The prices of one size, the fastest first; only one where `all` was not asked for. */
struct forecast_result {
    double bytes;
    int count;
    struct ww_forecast_row rows[FORECAST_ROWS_MAX];
};

/* Returns an exit_code; what is wrong has been said. */
int forecast_run(const struct forecast_wishes *wishes);

/* Its two faces: a screen for people, and one JSON document, schema wirewise.plan/1. results has
 * an entry per size. */
void forecast_print(const struct forecast_wishes *wishes, const struct ww_forecast_cluster *cluster,
                    const struct forecast_result *results, FILE *to);
void forecast_write_json(const struct forecast_wishes *wishes,
                         const struct ww_forecast_cluster *cluster,
                         const struct forecast_result *results, FILE *to);

#endif
