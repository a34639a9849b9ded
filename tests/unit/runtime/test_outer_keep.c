/* SPDX-License-Identifier: BSD-3-Clause
 * test_outer_keep.c: local steps in checkpoints: the same ranks go on bit for bit, other numbers of
 * ranks owe the same and begin with the mean; so do numbers that a program attaches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "savers.h"
#include "sites.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RANKS_MOST 5

TestSuite(outer_keep, .init = capture_start, .fini = capture_finish);

struct stage {
    struct plan_of_sites plan;
    char folder[64];
    int at;                    /* steps before it is saved */
    float *wanted[RANKS_MOST]; /* start and values of a run that went on; [0]: what all settle on */
};

static struct plan_of_sites plan_with(const char *codec, int fragments, uint64_t delay)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = 5003, .steps = 24, .real = true};
    plan.config.local_steps = 5;
    plan.config.fragments = fragments;
    plan.config.delay = delay;
    plan.config.codec = codec;
    return plan;
}

/* A site that keeps its parameters and its local steps in checkpoints. */
static void begin(struct site *site, const struct ww_world *world, const struct plan_of_sites *plan)
{
    site_begin(site, world, plan);
    check_status(ww_checkpoint_attach(site->context, "values", site->values,
                                      plan->count * sizeof(float), WW_KEEP_MEAN),
                 WW_OK);
    check_status(ww_outer_keep(site->outer, "outer"), WW_OK);
}

static void step_to(struct site *site, int last)
{
    while (site->step < last) {
        site_step(site);
    }
}

/* Start, then values. */
static float *copy(const struct site *site)
{
    size_t count = site->plan->count;
    float *kept = calloc(2 * count, sizeof *kept);
    memcpy(kept, ww_outer_start(site->outer), count * sizeof *kept);
    memcpy(kept + count, site->values, count * sizeof *kept);
    return kept;
}

/* ---- The same ranks ------------------------------------------------------------------------- */

static void go_straight(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    begin(&site, world, &stage->plan);
    step_to(&site, stage->at);
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    step_to(&site, stage->plan.steps);
    stage->wanted[world->rank] = copy(&site);
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    site_end(&site);
}

static void go_on(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    begin(&site, world, &stage->plan);
    check_status(ww_checkpoint_load(site.context, stage->folder), WW_OK);
    site.step = stage->at;
    step_to(&site, stage->plan.steps - 1);
    struct ww_outer_report report = site_step(&site);
    check(report.steps == (uint64_t)stage->plan.steps, "%d steps", (int)report.steps);
    float *got = copy(&site);
    check(memcmp(got, stage->wanted[world->rank], 2 * stage->plan.count * sizeof *got) == 0,
          "%s: rank %d of %d does not go on with the same bits", stage->plan.config.codec,
          world->rank, world->size);
    free(got);
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    site_end(&site);
}

static void stage_end(struct stage *stage)
{
    for (int rank = 0; rank < RANKS_MOST; rank++) {
        free(stage->wanted[rank]);
    }
    folder_end(stage->folder);
}

Test(outer_keep, the_same_ranks_go_on_bit_for_bit)
{
    static const struct {
        const char *codec;
        int size, fragments, at;
        uint64_t delay, dense;
        double momentum, mix;
    } rows[] = {{"none", 2, 1, 7, 0, 0, 0.9, 0},     {"int8", 3, 1, 10, 0, 0, 0.9, 0},
                {"int8", 2, 2, 13, 0, 3, 0, 0},      {"topk:0.1", 4, 3, 9, 0, 0, 0.5, 0.5},
                {"fp16", 1, 2, 3, 0, 6, 0.9, 0},     {"topk:0.2", 2, 2, 12, 2, 0, 0.9, 0.25},
                {"int8", 2, 1, 4, 0, 0, 0.9, 0.125}, {"int8", 2, 5, 11, 1, 0, 0.9, 0}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct stage stage = {
            .plan = plan_with(rows[row].codec, rows[row].fragments, rows[row].delay),
            .at = rows[row].at};
        stage.plan.config.dense_steps = rows[row].dense;
        stage.plan.config.momentum = rows[row].momentum;
        stage.plan.config.mix = rows[row].mix;
        stage.plan.progress = WW_PROGRESS_AUTO;
        folder_begin(stage.folder);
        world_run(rows[row].size, go_straight, &stage);
        world_run(rows[row].size, go_on, &stage);
        stage_end(&stage);
    }
}

/* ---- Ranks of uneven speeds ------------------------------------------------------------------ */

/* Amid a window, behind rank + 1 steps; the last rank has one left, which ends it. */
static void save_uneven(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    begin(&site, world, &stage->plan);
    step_to(&site, world->rank + 1);
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    site_end(&site);
}

/* The last of the ranks that saved comes by its last step, the others by ww_outer_meet. */
static void meet_uneven(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    begin(&site, world, &stage->plan);
    check_status(ww_checkpoint_load(site.context, stage->folder), WW_OK);
    bool same = world->size == stage->at;
    if (same && world->rank + 1 < world->size) {
        check_status(ww_outer_meet(site.outer, &report), WW_OK);
    } else {
        report = site_step(&site);
    }
    check(report.changed == 1, "rank %d of %d: its window did not end", world->rank, world->size);
    check(report.steps_most == stage->plan.config.local_steps,
          "rank %d of %d: the window had %d steps", world->rank, world->size,
          (int)report.steps_most);
    site_end(&site);
}

Test(outer_keep, windows_of_uneven_ranks_end_where_they_would_have)
{
    struct stage stage = {.plan = plan_with("int8", 1, 0), .at = 4};
    folder_begin(stage.folder);
    world_run(stage.at, save_uneven, &stage);
    world_run(stage.at, meet_uneven, &stage);
    world_run(2, meet_uneven, &stage);
    world_run(5, meet_uneven, &stage);
    stage_end(&stage);
}

/* ---- Other ranks ---------------------------------------------------------------------------- */

/* Amid a window, with something kept back: what all settle on is what was owed. */
static void run_up_debt(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    begin(&site, world, &stage->plan);
    step_to(&site, stage->at);
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    if (world->rank == 0) {
        stage->wanted[0] = copy(&site);
    }
    site_end(&site);
}

static void pay(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    int wrong = 0;
    begin(&site, world, &stage->plan);
    check_status(ww_checkpoint_load(site.context, stage->folder), WW_OK);
    check(ww_checkpoint_has(site.context, "values") && ww_checkpoint_has(site.context, "outer"),
          "rank %d of %d: something was not loaded", world->rank, world->size);
    check_status(ww_outer_settle(site.outer, &report), WW_OK);
    uint64_t window = (uint64_t)stage->at % stage->plan.config.local_steps;
    check(report.steps_least == window && report.steps_most == window &&
              report.steps == (uint64_t)stage->at,
          "%d ranks: %d to %d steps since the last exchange, of %d", world->size,
          (int)report.steps_least, (int)report.steps_most, (int)report.steps);
    for (size_t i = 0; i < stage->plan.count; i++) {
        double wanted = stage->wanted[0][i];
        wrong += !(fabs(ww_outer_start(site.outer)[i] - wanted) <= 0x1p-20 * (20 + fabs(wanted)));
    }
    check(wrong == 0, "%s: %d ranks settle on something else in %d elements",
          stage->plan.config.codec, world->size, wrong);
    site_end(&site);
}

Test(outer_keep, another_number_of_ranks_owes_the_same)
{
    static const struct {
        const char *codec;
        int before, after;
    } rows[] = {{"int8", 4, 2},     {"topk:0.05", 4, 2}, {"topk:0.05", 2, 4}, {"int8", 2, 5},
                {"topk:0.1", 3, 2}, {"none", 3, 1},      {"none", 1, 3},      {"int8", 1, 2}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct stage stage = {.plan = plan_with(rows[row].codec, 1, 0), .at = 8};
        stage.plan.config.rate = 0.5;
        folder_begin(stage.folder);
        world_run(rows[row].before, run_up_debt, &stage);
        world_run(rows[row].after, pay, &stage);
        stage_end(&stage);
    }
}

/* ---- Another codec -------------------------------------------------------------------------- */

/* Amid a window, with nothing kept back: the codec binds nobody. */
static void save_amid_window(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct site site;
    begin(&site, world, &stage->plan);
    if (stage->at > 6) { /* the exchange keeps something back, which this sends */
        step_to(&site, 6);
        check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    }
    step_to(&site, stage->at);
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    if (world->rank == 0) {
        stage->wanted[0] = copy(&site);
    }
    site_end(&site);
}

/* Twice: what is loaded keeps nothing back either. */
static void load_amid_window(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    for (int time = 0; time < 2; time++) {
        struct site site;
        begin(&site, world, &stage->plan);
        check_status(ww_checkpoint_load(site.context, stage->folder), WW_OK);
        size_t bytes = stage->plan.count * sizeof(float);
        check(memcmp(ww_outer_start(site.outer), stage->wanted[0], bytes) == 0,
              "\"%s\" on %d ranks has another start", stage->plan.config.codec, world->size);
        const float *residual = ww_outer_residual(site.outer);
        for (size_t i = 0; residual != NULL && i < stage->plan.count; i++) {
            check(residual[i] == 0, "something is kept back at %zu", i);
        }
        check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
        site_end(&site);
    }
}

Test(outer_keep, another_codec_goes_on_where_nothing_is_kept_back)
{
    static const struct {
        const char *before, *after;
        int size, size_after, at;
    } rows[] = {{"none", "int8", 2, 2, 8}, {"none", "topk:0.1", 2, 3, 4},
                {"int8", "fp16", 2, 2, 3}, {"int8", "int8", 3, 1, 3},
                {"int8", "none", 2, 2, 8}, {"int8", "fp16", 1, 2, 7}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct stage stage = {.plan = plan_with(rows[row].before, 1, 0), .at = rows[row].at};
        folder_begin(stage.folder);
        world_run(rows[row].size, save_amid_window, &stage);
        stage.plan.config.codec = rows[row].after;
        world_run(rows[row].size_after, load_amid_window, &stage);
        stage_end(&stage);
    }
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void refuse(const struct ww_world *world, const struct stage *stage,
                   const struct plan_of_sites *plan, const char *words)
{
    struct site site;
    begin(&site, world, plan);
    site_step(&site);
    float *before = copy(&site);
    check_status(ww_checkpoint_load(site.context, stage->folder), WW_MISMATCH);
    check_words(ww_last_error(site.context), "ww_checkpoint_load", "\"outer\" in", words);
    float *after = copy(&site);
    check(memcmp(before, after, 2 * plan->count * sizeof *after) == 0, "it was changed: %s", words);
    free(before);
    free(after);
    site_end(&site);
}

static void refuse_others(const struct ww_world *world, void *shared)
{
    const struct stage *stage = shared;
    struct plan_of_sites other = stage->plan;
    if (world->size == 1) {
        refuse(world, stage, &other, "one rank alone encodes nothing");
        return;
    }
    other.config.local_steps = 6;
    refuse(world, stage, &other, "5 local_steps, but there are 6 here");
    other = stage->plan;
    other.config.fragments = 2;
    refuse(world, stage, &other, "1 fragments, but there are 2 here");
    other = stage->plan;
    other.config.codec = "fp16";
    refuse(world, stage, &other, "the codec \"int8\" kept back, which \"fp16\" does not take");
    other = stage->plan;
    other.config.momentum = 0;
    refuse(world, stage, &other, "outer momentum");
}

static void misuse(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct plan_of_sites plan = plan_with("int8", 1, 2);
    struct site site;
    begin(&site, world, &plan);
    step_to(&site, 5);
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_BAD_STATE);
    check_words(ww_last_error(site.context), "ww_checkpoint_save", "in flight", "ww_outer_drain");
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    check_status(ww_outer_keep(site.outer, ""), WW_BAD_ARGUMENT);
    check_status(
        ww_outer_keep(site.outer,
                      "a name that is longer than the sections of a file can hold, by far"),
        WW_BAD_ARGUMENT);
    check_status(ww_outer_keep(NULL, "outer"), WW_BAD_ARGUMENT);
    static float taken[1];
    check_status(
        ww_checkpoint_attach(site.context, "a.momentum", taken, sizeof taken, WW_KEEP_COMMON),
        WW_OK);
    check_status(ww_outer_keep(site.outer, "a"), WW_BAD_ARGUMENT);
    check_words(ww_last_error(site.context), "\"a.momentum\" is attached already", NULL);
    check_status(ww_outer_keep(site.outer, "another name"), WW_OK);
    static const char *const theirs[] = {"another name", "another name.start"};
    for (int i = 0; i < 4; i++) {
        check_status(ww_checkpoint_attach(site.context, theirs[i / 2], i % 2 == 0 ? taken : NULL,
                                          sizeof taken, WW_KEEP_COMMON),
                     WW_BAD_ARGUMENT);
        check_words(ww_last_error(site.context), "is kept by the library", "take another name",
                    NULL);
    }
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    ww_outer_destroy(site.outer); /* what it had attached is gone with it */
    site.outer = NULL;
    check_status(ww_checkpoint_save(site.context, stage->folder), WW_OK);
    site_end(&site);
}

Test(outer_keep, what_does_not_fit_is_refused_and_changes_nothing)
{
    struct stage stage = {.plan = plan_with("int8", 1, 0), .at = 8};
    folder_begin(stage.folder);
    world_run(2, run_up_debt, &stage);
    world_run(2, refuse_others, &stage);
    world_run(3, refuse_others, &stage);
    world_run(1, refuse_others, &stage);
    cr_expect_geq(world_forgive(), 9);
    world_run(2, misuse, &stage);
    cr_expect_geq(world_forgive(), 4);
    stage_end(&stage);
}

/* ---- A program's own numbers ---------------------------------------------------------------- */

#define NUMBERS 300007 /* more than are read at once */

static float number_of(int rank, size_t i)
{
    return (float)((int)((i * 7 + (size_t)rank * 31) % 101) - 50);
}

static void attach(struct saver *saver, const struct ww_world *world, float *mean, float *share)
{
    static const struct saver_plan plan = {.codec = "none"};
    saver_begin(saver, world, &plan);
    check_status(
        ww_checkpoint_attach(saver->context, "mean", mean, NUMBERS * sizeof *mean, WW_KEEP_MEAN),
        WW_OK);
    check_status(ww_checkpoint_attach(saver->context, "share", share, NUMBERS * sizeof *share,
                                      WW_KEEP_SHARE),
                 WW_OK);
    check_status(ww_checkpoint_attach(saver->context, "odd", (char *)share + 1, 8, WW_KEEP_SHARE),
                 WW_BAD_ARGUMENT);
    check_words(ww_last_error(saver->context), "\"odd\"", "float32");
}

static void save_numbers(const struct ww_world *world, void *shared)
{
    float *mean = calloc(NUMBERS, sizeof *mean);
    float *share = calloc(NUMBERS, sizeof *share);
    struct saver saver;
    attach(&saver, world, mean, share);
    for (size_t i = 0; i < NUMBERS; i++) {
        mean[i] = number_of(world->rank, i);
        share[i] = number_of(world->rank, i + 3);
    }
    check_status(ww_checkpoint_save(saver.context, shared), WW_OK);
    saver_end(&saver);
    free(mean);
    free(share);
}

/* Of four ranks. */
static void load_numbers(const struct ww_world *world, void *shared)
{
    float *mean = calloc(NUMBERS, sizeof *mean);
    float *share = calloc(NUMBERS, sizeof *share);
    struct saver saver;
    int wrong = 0;
    attach(&saver, world, mean, share);
    check_status(ww_checkpoint_load(saver.context, shared), WW_OK);
    for (size_t i = 0; i < NUMBERS; i++) {
        double sum = 0;
        double own = 0;
        for (int rank = 0; rank < 4; rank++) {
            sum += number_of(rank, i);
            own += rank % world->size == world->rank ? number_of(rank, i + 3) : 0;
        }
        bool same = world->size == 4;
        wrong += mean[i] != (same ? number_of(world->rank, i) : (float)(sum / 4));
        wrong += share[i] != (float)(own * world->size / 4);
    }
    check(wrong == 0, "rank %d of %d: %d numbers are others", world->rank, world->size, wrong);
    saver_end(&saver);
    free(mean);
    free(share);
}

Test(outer_keep, attached_means_and_shares_go_to_any_number_of_ranks)
{
    char folder[64];
    folder_begin(folder);
    world_run(4, save_numbers, folder);
    for (int size = 1; size <= 6; size++) {
        world_run(size, load_numbers, folder);
    }
    cr_expect_eq(world_forgive(), 4 + 21);
    folder_end(folder);
}
