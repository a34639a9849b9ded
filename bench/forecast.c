/* SPDX-License-Identifier: BSD-3-Clause
 * forecast.c: asks the library for prices, size by size, and shows them once all are there. */
#include "forecast.h"

#include <stdlib.h>

#include "command.h"

static enum ww_status price(const struct forecast_wishes *wishes, struct ww_forecast *forecast,
                            struct forecast_result *result)
{
    for (int i = 0; i < FORECAST_ROWS_MAX; i++) {
        result->rows[i] = (struct ww_forecast_row)WW_FORECAST_ROW_INIT;
    }
    if (wishes->all) {
        return ww_forecast_list(forecast, wishes->collective, result->bytes, result->rows,
                                FORECAST_ROWS_MAX, &result->count);
    }
    result->count = 1;
    return ww_forecast_price(forecast, wishes->collective, wishes->algorithm, result->bytes,
                             &result->rows[0]);
}

static enum ww_status price_all(const struct forecast_wishes *wishes, struct ww_forecast *forecast,
                                struct forecast_result *results)
{
    enum ww_status status = WW_OK;
    for (int i = 0; i < wishes->what_if_count && status == WW_OK; i++) {
        status = ww_forecast_change(forecast, wishes->what_if[i].level, wishes->what_if[i].factor);
    }
    for (int i = 0; i < wishes->size_count && status == WW_OK; i++) {
        results[i].bytes = wishes->bytes[i];
        status = price(wishes, forecast, &results[i]);
    }
    return status;
}

static int exit_code_of(enum ww_status status)
{
    return status == WW_OK ? EXIT_FINE : status == WW_BAD_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
}

int forecast_run(const struct forecast_wishes *wishes)
{
    static struct forecast_result results[FORECAST_SIZES_MAX];
    struct ww_forecast *forecast = NULL;
    enum ww_status status = ww_forecast_create(wishes->file, &forecast);
    if (status != WW_OK) {
        return exit_code_of(status);
    }
    status = price_all(wishes, forecast, results);
    if (status == WW_OK && wishes->json) {
        forecast_write_json(wishes, ww_forecast_describe(forecast), results, stdout);
    } else if (status == WW_OK) {
        forecast_print(wishes, ww_forecast_describe(forecast), results, stdout);
    }
    ww_forecast_destroy(forecast);
    return status == WW_OK ? command_flush("wirewise plan") : exit_code_of(status);
}
