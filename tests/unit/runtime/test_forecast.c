/* SPDX-License-Identifier: BSD-3-Clause
 * test_forecast.c: prices of small clusters are what arithmetic says, and answers are in order. */
#include <criterion/criterion.h>
#include <string.h>

#include <wirewise/tools.h>

#include "allocations.h"
#include "capture.h"

#define MIB 1048576.0

static struct ww_forecast *forecast;
static struct ww_forecast_row row = WW_FORECAST_ROW_INIT;

TestSuite(forecast, .init = capture_start, .fini = capture_finish);

static void create(const char *file)
{
    cr_assert_eq(ww_forecast_create(file, &forecast), WW_OK, "%s", capture_all());
}

/* Two hosts on a wire of 119.5 MB/s: an all-reduce of n bytes sends n out of each. */
Test(forecast, large_vectors_take_what_the_wire_takes)
{
    create(MACHINES "/pair.ini");
    cr_assert_eq(ww_forecast_price(forecast, "all_reduce", NULL, 64 * MIB, &row), WW_OK);
    double wire_s = 64 * MIB / 119.5e6;
    cr_expect_geq(row.seconds, wire_s * 0.999);
    cr_expect_leq(row.seconds, wire_s * 1.1);
    cr_expect_leq(row.least_s, row.seconds);
    cr_expect_geq(row.most_s, row.seconds);
    cr_expect_float_eq(row.node_bytes, 64 * MIB, 1);
    cr_expect_float_eq(row.rank_bytes[1], 32 * MIB, 1);
    cr_expect_float_eq(row.busbw_gb_s, row.algbw_gb_s * 1.5, 1e-9);
    cr_expect_not_null(strstr(row.limit, "network: what leaves a host over Ethernet"), "%s",
                       row.limit);
    ww_forecast_destroy(forecast);
}

Test(forecast, small_vectors_take_what_latency_takes)
{
    create(MACHINES "/pair.ini");
    cr_assert_eq(ww_forecast_price(forecast, "all_reduce", NULL, 8, &row), WW_OK);
    cr_expect_geq(row.seconds, 30e-6);
    cr_expect_leq(row.seconds, 300e-6);
    cr_expect_not_null(strstr(row.limit, "latency"), "%s", row.limit);
    ww_forecast_destroy(forecast);
}

/* Four ranks on two hosts tell each other: one of the same host and two of the other. */
Test(forecast, announcements_bring_values_to_everybody)
{
    static const struct {
        const char *collective;
        double inside;
        double across;
        double node;
    } rows[] = {{"all_reduce", 64, 128, 256},
                {"reduce_scatter", 16, 32, 64},
                {"all_gather", 16, 32, 64},
                {"broadcast", 64, 128, 128}};
    create(MACHINES "/pair.ini");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(ww_forecast_price(forecast, rows[i].collective, "announcement", 64, &row),
                     WW_OK);
        cr_expect_float_eq(row.rank_bytes[0], rows[i].inside, 1e-9, "%s", rows[i].collective);
        cr_expect_float_eq(row.rank_bytes[1], rows[i].across, 1e-9, "%s", rows[i].collective);
        cr_expect_float_eq(row.node_bytes, rows[i].node, 1e-9, "%s", rows[i].collective);
    }
    ww_forecast_destroy(forecast);
}

Test(forecast, all_ways_are_listed_the_fastest_first_and_it_is_the_chosen_one)
{
    static struct ww_forecast_row rows[64];
    int count = 0;
    create(MACHINES "/switched.ini");
    for (int i = 0; i < 64; i++) {
        rows[i] = (struct ww_forecast_row)WW_FORECAST_ROW_INIT;
    }
    for (double bytes = 1; bytes < 1e9; bytes *= 1000) {
        cr_assert_eq(ww_forecast_list(forecast, "all_reduce", bytes, rows, 64, &count), WW_OK);
        cr_assert_eq(ww_forecast_price(forecast, "all_reduce", NULL, bytes, &row), WW_OK);
        cr_expect_eq(count, 12);
        cr_expect_leq(row.seconds, rows[0].seconds * 1.011, "the earlier of what is within 1 %%");
        for (int i = 1; i < count; i++) {
            cr_expect_leq(rows[i - 1].seconds, rows[i].seconds);
        }
    }
    cr_assert_eq(ww_forecast_price(forecast, "all_reduce", "hierarchical", 64 * MIB, &row), WW_OK);
    cr_expect_eq(strncmp(row.algorithm, "hierarchical+", 13), 0);
    ww_forecast_destroy(forecast);
}

/* One rank has nobody to send to. */
Test(forecast, what_costs_nothing_takes_no_time)
{
    create(MACHINES "/lonely.ini");
    cr_assert_eq(ww_forecast_price(forecast, "broadcast", NULL, 64 * MIB, &row), WW_OK);
    cr_expect_eq(row.seconds, 0);
    cr_expect_eq(row.least_s, 0);
    cr_expect_eq(row.most_s, 0);
    ww_forecast_destroy(forecast);
}

Test(forecast, faster_wires_take_less)
{
    create(MACHINES "/pair.ini");
    cr_assert_eq(ww_forecast_price(forecast, "broadcast", NULL, 64 * MIB, &row), WW_OK);
    double before = row.seconds;
    cr_assert_eq(ww_forecast_change(forecast, "network", 2), WW_OK);
    cr_assert_eq(ww_forecast_price(forecast, "broadcast", NULL, 64 * MIB, &row), WW_OK);
    cr_expect_lt(row.seconds, 0.6 * before);
    cr_expect_float_eq(ww_forecast_describe(forecast)->levels[1].port_gb_s, 0.239, 1e-9);
    ww_forecast_destroy(forecast);
}

Test(forecast, the_cluster_is_described)
{
    create(MACHINES "/switched.ini");
    const struct ww_forecast_cluster *cluster = ww_forecast_describe(forecast);
    cr_expect_str_eq(cluster->name, "switched");
    cr_expect_str_eq(cluster->device, "gpu");
    cr_expect_eq(cluster->ranks, 248);
    cr_expect_eq(cluster->ports, 2);
    cr_assert_eq(cluster->level_count, 4);
    cr_expect_str_eq(cluster->levels[1].name, "rack");
    cr_expect_str_eq(cluster->levels[1].from, "host");
    cr_expect_eq(cluster->levels[1].units, 4);
    cr_expect_eq(cluster->levels[1].ranks_least, 56);
    cr_expect_eq(cluster->levels[1].ranks_most, 64);
    ww_forecast_destroy(forecast);
}

/* Whichever allocation fails: one page may not tell of other units than the next. */
Test(forecast, without_memory_there_is_no_forecast)
{
    create(MACHINES "/switched.ini");
    const struct ww_forecast_cluster *whole = ww_forecast_describe(forecast);
    struct ww_forecast *other = NULL;
    bool came = true;
    for (int allocation = 1; came; allocation++) {
        allocations_left = allocation;
        enum ww_status status = ww_forecast_create(MACHINES "/switched.ini", &other);
        came = allocations_left == 0;
        allocations_left = 0;
        for (int level = 0; status == WW_OK && level < whole->level_count; level++) {
            cr_expect_eq(ww_forecast_describe(other)->levels[level].units,
                         whole->levels[level].units, "allocation %d, level %d", allocation, level);
        }
        if (status == WW_OK) {
            ww_forecast_destroy(other);
        } else {
            cr_expect_not_null(capture_take(WW_LOG_ERROR, ""), "allocation %d", allocation);
        }
    }
    ww_forecast_destroy(forecast);
}

Test(forecast, what_makes_no_sense_is_refused)
{
    struct ww_forecast_row other = {0};
    create(MACHINES "/pair.ini");
    cr_expect_eq(ww_forecast_price(forecast, "all", NULL, 1, &row), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "there is no collective \"all\"");
    cr_expect_eq(ww_forecast_price(forecast, "all_reduce", "rung", 1, &row), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "no algorithm \"rung\" can run all_reduce on this cluster; there are "
                              "ring, halving");
    cr_expect_eq(ww_forecast_price(forecast, "broadcast", "hierarchical", 1, &row),
                 WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "there are tree, scatter");
    cr_expect_eq(ww_forecast_price(forecast, "all_reduce", NULL, 0, &row), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "a vector of 0 bytes has no price");
    cr_expect_eq(ww_forecast_price(forecast, "all_reduce", NULL, 1, &other), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "WW_FORECAST_ROW_INIT");
    cr_expect_eq(ww_forecast_change(NULL, "network", 2), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "got NULL for the forecast");
    cr_expect_eq(ww_forecast_change(forecast, NULL, 2), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "got NULL for the level");
    cr_expect_eq(ww_forecast_change(forecast, "rack", 2), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "this cluster has no level \"rack\"; there are host, network");
    cr_expect_eq(ww_forecast_change(forecast, "network", 0), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "wires cannot be 0 times as fast");
    cr_expect_eq(ww_forecast_create(NULL, &forecast), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "ww_forecast_create got NULL");
    ww_forecast_destroy(forecast);
    ww_forecast_destroy(NULL);
}
