/* SPDX-License-Identifier: BSD-3-Clause
 * test_levels.c: contexts whose ranks have levels inside and outside of hosts still add up, and
 * report what crossed each level. */
#include <stdlib.h>
#include <string.h>

#include "effort.h"
#include "place.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RANKS_MOST 8
#define COUNT EFFORT(50000, 5003)

TestSuite(levels, .init = capture_start, .fini = capture_finish);

/* A letter for each rank; NULL = unknown. */
struct layout {
    int size;
    const char *caches;
    const char *packages;
    const char *hosts;
    const char *racks;
    const char *levels[5]; /* as reports name them, ended by NULL */
};

static const struct layout layouts[] = {
    {8, NULL, "00001111", "aaaaaaaa", NULL, {"package", "host"}},
    {8, "01230123", "00110011", "aaaaaaaa", NULL, {"cache", "package", "host"}},
    {8, "00112233", "00001111", "aaaaaaaa", NULL, {"cache", "package", "host"}},
    {8, NULL, "00110011", "aaaabbbb", NULL, {"package", "host", "network"}},
    {7, NULL, "0100110", "abababa", NULL, {"package", "host", "network"}},
    {6, NULL, NULL, "aabbcc", "xxxxyy", {"host", "rack", "network"}},
    {4, NULL, NULL, "abcd", "xxyy", {"host", "rack", "network"}},
    {8, NULL, "00110011", "aaaabbcd", "xxxxxxyy", {"package", "host", "rack", "network"}},
};

struct stage {
    const struct layout *layout;
    const char *algorithm;
    bool memory;
};

/* ---- Forged places -------------------------------------------------------------------------- */

static const struct layout *forged; /* for all ranks of a run */
static int (*gather)(void *self, const void *mine, void *all, size_t bytes);

static uint64_t letter_of(const char *letters, int rank)
{
    return letters == NULL ? LABEL_UNKNOWN : (uint64_t)letters[rank];
}

static int gather_forged(void *self, const void *mine, void *all, size_t bytes)
{
    int failure = gather(self, mine, all, bytes);
    struct place *places = all;
    for (int rank = 0; bytes == sizeof *places && rank < forged->size; rank++) {
        places[rank].label[LEVEL_CACHE] = letter_of(forged->caches, rank);
        places[rank].label[LEVEL_NUMA] = LABEL_UNKNOWN;
        places[rank].label[LEVEL_PACKAGE] = letter_of(forged->packages, rank);
    }
    return failure;
}

/* ---- Sums ----------------------------------------------------------------------------------- */

static void add_up(struct ww_context *context, const struct stage *stage, float *values)
{
    int size = ww_size(context);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (float)(ww_rank(context) + i % 97);
    }
    check_status(ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM), WW_OK);
    int wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        wrong += values[i] != (float)(size * (size - 1) / 2 + size * (i % 97));
    }
    check(wrong == 0, "%s on %s: %d wrong sums", stage->algorithm, stage->layout->hosts, wrong);
}

static void compare_report(struct ww_context *context, const struct stage *stage)
{
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_calls_report(context, &report), WW_OK);
    for (int level = 0; level < report.levels; level++) {
        const char *name = stage->layout->levels[level];
        check(name != NULL && strcmp(report.level[level].name, name) == 0, "%s: level %d is %s",
              stage->layout->hosts, level, report.level[level].name);
        check(report.level[level].sent_bytes == report.level[level].planned_bytes,
              "%s on %s, level %d: other bytes than planned", stage->algorithm,
              stage->layout->hosts, level);
    }
    check(report.levels == WW_LEVELS_MAX || stage->layout->levels[report.levels] == NULL,
          "%d levels", report.levels);
}

static void perform(const struct ww_world *world, void *shared)
{
    const struct stage *stage = shared;
    const struct layout *layout = stage->layout;
    char host[2] = {layout->hosts[world->rank], '\0'};
    char place[3] = {layout->racks == NULL ? '\0' : layout->racks[world->rank], '/', '\0'};
    struct ww_world forging = *world;
    struct ww_config config = world_config();
    forging.all_gather = gather_forged;
    config.host = host;
    config.place = place;
    config.algorithm = stage->algorithm;
    config.shared_memory = stage->memory;
    struct ww_context *context = world_context(&forging, &config);
    float *values = malloc(COUNT * sizeof *values);
    if (check(context != NULL && values != NULL, "no context")) {
        add_up(context, stage, values);
        compare_report(context, stage);
    }
    free(values);
    ww_context_destroy(context);
}

static void run_stage(const struct stage *stage)
{
    struct ww_local_world *local = NULL;
    struct ww_world world;
    struct stage shared = *stage;
    cr_assert_eq(ww_local_world_create(stage->layout->size, &local), WW_OK);
    cr_assert_eq(ww_local_world_rank(local, 0, &world), WW_OK);
    gather = world.all_gather;
    forged = stage->layout;
    world_run_in(local, stage->layout->size, perform, &shared);
    ww_local_world_destroy(local);
}

Test(levels, ranks_add_up_over_all_of_them)
{
    static const char *const algorithms[] = {"auto", "hierarchical", "hierarchical+ring", "ring"};
    for (size_t i = 0; i < LENGTH(layouts); i++) {
        for (size_t a = 0; a < LENGTH(algorithms); a++) {
            run_stage(&(struct stage){&layouts[i], algorithms[a], true});
            run_stage(&(struct stage){&layouts[i], algorithms[a], false});
        }
    }
}
