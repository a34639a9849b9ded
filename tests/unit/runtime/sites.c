/* SPDX-License-Identifier: BSD-3-Clause
 * sites.c: ranks that make local steps. */
#include "sites.h"

#include <stdlib.h>
#include <time.h>

#include "chance.h"

#define REGIONS_MAX 8

static uint64_t key_of(int rank, int step, size_t i)
{
    return chance_mix(((uint64_t)rank * 131 + (uint64_t)step) * UINT64_C(1000003) + i);
}

float site_update(const struct plan_of_sites *plan, int rank, int step, size_t i)
{
    uint64_t key = key_of(rank, step, i);
    float whole = (float)((int)(key % 17) - 8);
    return plan->real ? whole * 0.37F + (float)(key >> 40) * 0x1p-24F : whole;
}

float site_first_value(size_t i)
{
    return (float)(i % 29) - 14;
}

void site_begin(struct site *site, const struct ww_world *world, const struct plan_of_sites *plan)
{
    struct ww_config config = world_config();
    struct ww_outer_region regions[REGIONS_MAX];
    size_t parts = plan->regions == 0 ? 1 : plan->regions;
    config.progress = plan->progress;
    *site = (struct site){.plan = plan, .world = world};
    site->context = world_context(world, &config);
    site->values = calloc(plan->count, sizeof *site->values);
    for (size_t i = 0; i < plan->count; i++) {
        site->values[i] = world->rank == 0 ? site_first_value(i) : -1;
    }
    for (size_t r = 0, first = 0; r < parts; r++) {
        size_t end = r + 1 == parts ? plan->count : first + (plan->count - first) / (r + 2);
        regions[r] = (struct ww_outer_region){site->values + first, end - first};
        first = end;
    }
    check_status(ww_outer_create(site->context, &plan->config, regions, parts, &site->outer),
                 WW_OK);
    for (size_t i = 0; i < plan->count; i++) {
        if (!check(site->values[i] == site_first_value(i), "rank %d does not begin as rank 0",
                   world->rank)) {
            break;
        }
    }
}

void site_end(struct site *site)
{
    ww_outer_destroy(site->outer);
    ww_context_destroy(site->context);
    free(site->values);
}

static void dawdle(const struct site *site)
{
    uint64_t key = key_of(site->world->rank, site->step, 99);
    struct timespec pause = {0, key % 4 == 0 ? (long)(key >> 8) % 4000000 : 0};
    nanosleep(&pause, NULL);
}

void site_move(struct site *site)
{
    for (size_t i = 0; i < site->plan->count; i++) {
        site->values[i] -= site_update(site->plan, site->world->rank, site->step, i);
    }
    site->step++;
    if (site->plan->dawdles) {
        dawdle(site);
    }
}

struct ww_outer_report site_step(struct site *site)
{
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    site_move(site);
    check_status(ww_outer_step(site->outer, &report), WW_OK);
    return report;
}
