/* SPDX-License-Identifier: BSD-3-Clause
 * test_outer_errors.c: local steps when something is wrong: values that cannot be, ranks that
 * differ, do not come or learn what is not finite; and states that are saved, loaded and refused.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sites.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define COUNT 301

TestSuite(outer_errors, .init = capture_start, .fini = capture_finish);

/* ---- Settings ------------------------------------------------------------------------------- */

static struct ww_context *alone(void)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    return world_context(&world, &config);
}

static void expect_refused(struct ww_context *context, const struct ww_outer_config *config,
                           const struct ww_outer_region *region, const char *words)
{
    struct ww_outer *outer = NULL;
    cr_expect_eq(ww_outer_create(context, config, region, 1, &outer), WW_BAD_ARGUMENT);
    cr_expect_null(outer);
    check_words(ww_last_error(context), "ww_outer_create", words);
    cr_expect_eq(world_forgive(), 1, "%s: no single line", words);
}

static struct ww_outer_config with(size_t field, double value)
{
    struct ww_outer_config config = WW_OUTER_INIT;
    switch (field) {
    case 0:
        config.local_steps = (uint64_t)value;
        break;
    case 1:
        config.rate = value;
        break;
    case 2:
        config.momentum = value;
        break;
    case 3:
        config.fragments = (int)value;
        break;
    case 4:
        config.delay = (uint64_t)value;
        break;
    case 5:
        config.mix = value;
        break;
    default:
        config.weights = (enum ww_outer_weights)value;
        break;
    }
    return config;
}

Test(outer_errors, settings_that_cannot_be_are_refused_in_a_sentence)
{
    static const struct {
        size_t field;
        double value;
        const char *words;
    } rows[] = {{0, 0, "0 local_steps; it must be 1 to 1000000000"},
                {0, 2e9, "2000000000 local_steps"},
                {1, 0, "the rate 0; it must be more than 0, at most 100"},
                {1, -1, "the rate -1"},
                {1, 101, "the rate 101"},
                {1, NAN, "the rate nan"},
                {2, 1, "the momentum 1; it must be 0 to less than 1"},
                {2, -0.1, "the momentum -0.1"},
                {2, NAN, "the momentum nan"},
                {3, 0, "0 fragments"},
                {3, 21, "21 fragments; with 20 local_steps and 301 parameters it must be 1 to 20"},
                {4, 20, "a delay of 20 steps with 20 local_steps"},
                {5, 1, "the mix 1; it must be 0 to less than 1"},
                {5, NAN, "the mix nan"},
                {6, 7, "unknown weights 7"}};
    float values[COUNT] = {0};
    struct ww_outer_region region = {values, COUNT};
    struct ww_context *context = alone();
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct ww_outer_config config = with(rows[i].field, rows[i].value);
        expect_refused(context, &config, &region, rows[i].words);
    }
    checks_settle();
    ww_context_destroy(context);
}

Test(outer_errors, arguments_that_cannot_be_are_refused_in_a_sentence)
{
    float values[COUNT] = {0};
    struct ww_outer_region region = {values, COUNT};
    struct ww_outer_region empty = {values, 0};
    struct ww_outer_region nowhere = {NULL, COUNT};
    struct ww_outer_region skewed = {(float *)((uintptr_t)values + 1), 4};
    struct ww_context *context = alone();
    struct ww_outer_config config = WW_OUTER_INIT;
    struct ww_outer_config other = WW_OUTER_INIT;
    other.struct_bytes--;
    expect_refused(context, NULL, &region, "NULL for its settings");
    expect_refused(context, &other, &region, "settings that were not made by WW_OUTER_INIT");
    expect_refused(context, &config, NULL, "no region");
    expect_refused(context, &config, &empty, "without any element");
    expect_refused(context, &config, &nowhere, "for region 0 of 301 elements");
    expect_refused(context, &config, &skewed, "aligned to 4 bytes");
    config.codec = "auto";
    expect_refused(context, &config, &region, "\"auto\", which chooses by how long calls take");
    config.codec = "int9";
    expect_refused(context, &config, &region, "int9");
    cr_expect_eq(ww_outer_create(context, &config, &region, 1, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_outer_step(NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_outer_restore(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_outer_state_bytes(NULL), 0);
    cr_expect_null(ww_outer_start(NULL));
    cr_expect_null(ww_outer_residual(NULL));
    ww_outer_destroy(NULL);
    cr_expect_eq(world_forgive(), 3);
    checks_settle();
    ww_context_destroy(context);
}

Test(outer_errors, regions_that_overlap_are_refused_in_a_sentence)
{
    float values[COUNT] = {0};
    struct ww_outer_region overlap[] = {
        {values + 200, 101}, {values, 0}, {values, 150}, {values + 149, 2}};
    struct ww_outer_region twice[] = {{values, 1}, {values, 1}};
    struct ww_outer_region touch[] = {
        {values + 200, 101}, {values + 100, 100}, {values, 0}, {values, 100}};
    struct ww_outer_config config = WW_OUTER_INIT;
    struct ww_context *context = alone();
    struct ww_outer *outer = NULL;
    cr_expect_eq(ww_outer_create(context, &config, overlap, 4, &outer), WW_BAD_ARGUMENT);
    check_words(ww_last_error(context), "regions that overlap: 2 has 150 elements at",
                "and 3 begins at", NULL);
    cr_expect_eq(ww_outer_create(context, &config, twice, 2, &outer), WW_BAD_ARGUMENT);
    cr_expect_null(outer);
    cr_expect_eq(world_forgive(), 2);
    cr_expect_eq(ww_outer_create(context, &config, touch, 4, &outer), WW_OK);
    ww_outer_destroy(outer);
    checks_settle();
    ww_context_destroy(context);
}

static void differ(const struct ww_world *world, void *shared)
{
    const size_t field = *(size_t *)shared;
    static const double odd[] = {7, 0.25, 0.5, 2, 3, 0.125, 1};
    static const char *const names[] = {"local_steps is 7", "rate is 0.25", "momentum is 0.5",
                                        "fragments is 2",   "delay is 3",   "mix is 0.125",
                                        "weights is 1"};
    struct ww_config settings = world_config();
    struct ww_context *context = world_context(world, &settings);
    struct ww_outer_config config = WW_OUTER_INIT;
    float values[COUNT] = {0};
    size_t count = field == 8 && world->rank == 2 ? COUNT - 1 : COUNT;
    struct ww_outer_region region = {values, count};
    struct ww_outer *outer = NULL;
    const char *words = field == 7 ? "codec is fp16" : "parameters is 300";
    if (world->rank == 2 && field < LENGTH(odd)) {
        config = with(field, odd[field]);
    }
    if (world->rank == 2 && field == 7) {
        config.codec = "fp16";
    }
    words = field < LENGTH(names) ? names[field] : words;
    check_status(ww_outer_create(context, &config, &region, 1, &outer), WW_MISMATCH);
    check_words(ww_last_error(context), "ww_outer_create", words, "on rank 2", "on rank 0");
    /* nothing is broken by it */
    config = (struct ww_outer_config)WW_OUTER_INIT;
    region.count = COUNT;
    check_status(ww_outer_create(context, &config, &region, 1, &outer), WW_OK);
    ww_outer_destroy(outer);
    ww_context_destroy(context);
}

Test(outer_errors, ranks_with_other_settings_are_named)
{
    for (size_t field = 0; field <= 8; field++) {
        world_run(3, differ, &field);
        cr_expect_eq(world_forgive(), 3);
    }
}

/* ---- Ranks at other places ---------------------------------------------------------------------
 */

static struct plan_of_sites plan_with(uint64_t local_steps, int fragments)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = COUNT};
    plan.config.local_steps = local_steps;
    plan.config.fragments = fragments;
    return plan;
}

static void meet_at_random(const struct ww_world *world, void *shared)
{
    struct site site;
    site_begin(&site, world, shared);
    site_move(&site);
    check_status(world->rank == 1 ? ww_outer_meet(site.outer, NULL)
                                  : ww_outer_step(site.outer, NULL),
                 WW_MISMATCH);
    check_words(ww_last_error(site.context),
                "rank 1 is at exchange 0, of fragment 0 (ww_outer_meet)",
                "rank 0 at exchange 0, of fragment 0:", "all ranks make the same calls");
    check_status(ww_outer_step(site.outer, NULL), WW_MISMATCH);
    check_status(ww_outer_restore(site.outer), WW_OK);
    check(site.values[3] == site_first_value(3), "it was not brought back");
    site_end(&site);
}

Test(outer_errors, a_rank_at_another_exchange_is_named_and_not_summed)
{
    struct plan_of_sites plan = plan_with(2, 2);
    world_run(3, meet_at_random, &plan);
    plan.config.delay = 1; /* and without a thread, which would tell a step later */
    plan.progress = WW_PROGRESS_INLINE;
    world_run(3, meet_at_random, &plan);
    cr_expect_geq(world_forgive(), 6);
}

static void do_something_else(const struct ww_world *world, void *shared)
{
    float values[COUNT] = {0};
    struct site site;
    site_begin(&site, world, shared);
    site_move(&site);
    check_status(world->rank == 1
                     ? ww_all_reduce(site.context, values, values, COUNT, WW_F32, WW_MEAN)
                     : ww_outer_step(site.outer, NULL),
                 WW_MISMATCH);
    check_words(ww_last_error(site.context), "for local steps", "all_reduce of 301 f32 (mean)");
    site_end(&site);
}

Test(outer_errors, a_rank_in_another_call_is_named)
{
    struct plan_of_sites plan = plan_with(1, 1);
    world_run(2, do_something_else, &plan);
    cr_expect_geq(world_forgive(), 2);
}

static void stay_away(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct ww_config config = world_config();
    config.timeout_s = 0.4;
    config.progress = plan->progress;
    struct ww_context *context = world_context(world, &config);
    float values[COUNT] = {0};
    struct ww_outer_region region = {values, COUNT};
    struct ww_outer *outer = NULL;
    check_status(ww_outer_create(context, &plan->config, &region, 1, &outer), WW_OK);
    world_meet(world);
    if (world->rank != 1) {
        enum ww_status status = WW_OK;
        for (int step = 0; step < 10 && status == WW_OK; step++) {
            values[7] += 1;
            status = ww_outer_step(outer, NULL);
        }
        check(status == WW_TIMED_OUT || (world->size > 2 && status == WW_PEER_FAILED), "it gave %s",
              ww_status_name(status));
        check_words(ww_last_error(context), "rank 1", "did not come", "for local steps");
        check_status(ww_outer_meet(outer, NULL), status);
        check_status(ww_outer_restore(outer), WW_OK);
        check(values[7] == 0, "it was not brought back, but is %g", values[7]);
    }
    world_meet(world);
    ww_outer_destroy(outer);
    ww_context_destroy(context);
}

Test(outer_errors, a_rank_that_never_comes_is_named_after_the_timeout)
{
    struct plan_of_sites plan = plan_with(4, 1);
    world_run(2, stay_away, &plan);
    world_run(4, stay_away, &plan);
    plan.config.delay = 2; /* and by a thread */
    plan.progress = WW_PROGRESS_AUTO;
    world_run(2, stay_away, &plan);
    cr_expect_geq(world_forgive(), 5);
}

/* Rank 1 gives up amid an exchange that rank 0 waits for. Of its errors, only the first one tells
 * why; the latest one was refused and broke nothing. */
static void give_up(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct ww_config config = world_config();
    config.progress = WW_PROGRESS_THREAD;
    struct ww_context *context = world_context(world, &config);
    float values[COUNT] = {0};
    struct ww_outer_region region = {values, COUNT};
    struct ww_outer *outer = NULL;
    struct ww_tensor *tensor = NULL;
    check_status(ww_tensor_add(context, "lost", WW_F32, 0, NULL, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_outer_create(context, &plan->config, &region, 1, &outer), WW_OK);
    if (world->rank == 1) {
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_step_end(context, NULL), WW_BAD_STATE);
        check_status(ww_step_begin(NULL), WW_BAD_ARGUMENT);
    } else {
        check_status(ww_outer_meet(outer, NULL), WW_PEER_FAILED);
        check_words(ww_last_error(context), "rank 1", "tensor \"lost\" was neither started");
    }
    ww_outer_destroy(outer);
    ww_context_destroy(context);
}

Test(outer_errors, whoever_waits_for_an_exchange_learns_why_a_rank_ended)
{
    struct plan_of_sites plan = plan_with(4, 1);
    plan.config.delay = 1;
    world_run(2, give_up, &plan);
    cr_expect_geq(world_forgive(), 4);
}

/* ---- Values that are not finite, and starting again ---------------------------------------------
 */

static void learn_nonsense(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct site site;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    site_begin(&site, world, plan);
    site_step(&site);
    site_move(&site);
    site.values[COUNT - 1] = world->rank == 1 ? (float)NAN : site.values[COUNT - 1];
    check_status(ww_outer_step(site.outer, &report), WW_OK);
    check(report.discarded == 1 && report.wild_rank == 1 && report.outer_steps == 0,
          "%llu discarded", (unsigned long long)report.discarded);
    for (size_t i = 0; i < COUNT; i++) {
        check(site.values[i] == site_first_value(i), "rank %d is not back", world->rank);
    }
    site_step(&site);
    report = site_step(&site);
    check(report.outer_steps == 1 && report.discarded == 1, "it did not go on");
    int moved = 0;
    for (size_t i = 0; i < COUNT; i++) {
        moved += site.values[i] != site_first_value(i);
    }
    check(moved >= COUNT / 20, "%d values moved afterwards", moved);
    const float *residual = ww_outer_residual(site.outer);
    for (size_t i = 0; i < COUNT; i++) {
        check(isfinite(site.values[i]) && isfinite(residual[i]), "%g came in", residual[i]);
    }
    site_end(&site);
}

/* Each rank's part is finite, their sum is not. */
static void learn_too_much(const struct ww_world *world, void *shared)
{
    struct site site;
    site_begin(&site, world, shared);
    for (int step = 0; step < 2; step++) {
        for (size_t i = 0; i < COUNT; i++) {
            site.values[i] = 2.5e38F;
        }
        struct ww_outer_report report = WW_OUTER_REPORT_INIT;
        check_status(ww_outer_step(site.outer, &report), WW_OK);
        check(report.discarded == (uint64_t)step, "%d discarded", (int)report.discarded);
    }
    for (size_t i = 0; i < COUNT; i++) {
        check(site.values[i] == site_first_value(i), "rank %d is not back", world->rank);
    }
    site_end(&site);
}

Test(outer_errors, a_mean_beyond_fp32_has_no_effect)
{
    struct plan_of_sites plan = plan_with(2, 1);
    plan.config.codec = "none";
    world_run(3, learn_too_much, &plan);
    for (int rank = 0; rank < 3; rank++) {
        expect_line(WW_LOG_WARN, "but not their mean, which goes beyond fp32");
    }
}

/* And nothing of it stays in a residual: what is learned then comes whole. */
static void learn_too_much_once(const struct ww_world *world, void *shared)
{
    struct site site;
    site_begin(&site, world, shared);
    struct ww_outer_report report = site_step(&site);
    for (int step = 0; step < 2; step++) {
        for (size_t i = 0; i < COUNT; i++) {
            site.values[i] = step == 0 ? 2.5e38F : site.values[i] + 1;
        }
        check_status(ww_outer_step(site.outer, &report), WW_OK);
    }
    check(report.discarded == 1, "%d discarded", (int)report.discarded);
    const float *residual = ww_outer_residual(site.outer);
    for (size_t i = 0; i < COUNT; i++) {
        check(fabsf(residual[i]) < 100 && fabsf(site.values[i]) < 1000, "%g and %g are left",
              residual[i], site.values[i]);
    }
    site_end(&site);
}

Test(outer_errors, a_sum_beyond_fp32_enters_no_residual)
{
    static const char *const codecs[] = {"int8", "fp16", "topk:0.1"};
    for (int i = 0; i < 3; i++) {
        struct plan_of_sites plan = plan_with(1, 1);
        plan.config.codec = codecs[i];
        world_run(3, learn_too_much_once, &plan);
        for (int rank = 0; rank < 3; rank++) {
            expect_line(WW_LOG_WARN, "but not their mean, which goes beyond fp32");
        }
    }
}

Test(outer_errors, what_is_not_finite_has_no_effect_and_names_its_rank)
{
    static const char *const codecs[] = {"int8", "topk:0.1", "fp16"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_sites plan = plan_with(2, 1);
        plan.config.codec = codecs[c];
        world_run(3, learn_nonsense, &plan);
        for (int rank = 0; rank < 3; rank++) {
            expect_line(WW_LOG_WARN, "has no effect: what rank 1 (");
        }
    }
}

static void start_again(const struct ww_world *world, void *shared)
{
    struct site site;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    site_begin(&site, world, shared);
    for (int step = 0; step < 3; step++) {
        site_step(&site);
    }
    if (world->rank == 0) { /* alone: the others go on */
        check_status(ww_outer_restore(site.outer), WW_OK);
        check(site.values[11] == site_first_value(11), "it was not brought back");
    }
    for (int step = 0; step < 5; step++) {
        report = site_step(&site);
    }
    check(report.steps_least == 5 && report.steps_most == 8, "%llu to %llu steps",
          (unsigned long long)report.steps_least, (unsigned long long)report.steps_most);
    site_end(&site);
}

Test(outer_errors, a_rank_may_throw_its_steps_away)
{
    struct plan_of_sites plan = plan_with(8, 1);
    world_run(3, start_again, &plan);
}

/* ---- States --------------------------------------------------------------------------------- */

struct saved {
    struct plan_of_sites plan;
    int at; /* steps before it is saved */
    unsigned char *bytes[4];
    size_t count[4];
    float *values[4];
    float *wanted[4]; /* start and values of a run that went on */
};

/* Values, then the start. */
static float *keep(const struct site *site)
{
    size_t count = site->plan->count;
    float *kept = calloc(2 * count, sizeof *kept);
    memcpy(kept, site->values, count * sizeof *kept);
    memcpy(kept + count, ww_outer_start(site->outer), count * sizeof *kept);
    return kept;
}

static void run_through(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    int rank = world->rank;
    struct site site;
    site_begin(&site, world, &saved->plan);
    for (int step = 0; step < saved->at; step++) {
        site_step(&site);
    }
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    saved->count[rank] = ww_outer_state_bytes(site.outer);
    saved->bytes[rank] = malloc(saved->count[rank]);
    check_status(ww_outer_state_save(site.outer, saved->bytes[rank], saved->count[rank]), WW_OK);
    saved->values[rank] = keep(&site);
    for (int step = saved->at; step < saved->plan.steps; step++) {
        site_step(&site);
    }
    saved->wanted[rank] = keep(&site);
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    site_end(&site);
}

static void go_on(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    int rank = world->rank;
    size_t bytes = saved->plan.count * sizeof(float);
    struct site site;
    site_begin(&site, world, &saved->plan);
    check_status(ww_outer_state_load(site.outer, saved->bytes[rank], saved->count[rank]), WW_OK);
    memcpy(site.values, saved->values[rank], bytes);
    site.step = saved->at;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    for (int step = saved->at; step < saved->plan.steps; step++) {
        report = site_step(&site);
    }
    check(report.steps == (uint64_t)saved->plan.steps, "%llu steps",
          (unsigned long long)report.steps);
    float *got = keep(&site);
    check(memcmp(got, saved->wanted[rank], 2 * bytes) == 0,
          "%s: rank %d of %d does not go on with the same bits", saved->plan.config.codec, rank,
          world->size);
    free(got);
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    site_end(&site);
}

static void forget(struct saved *saved)
{
    for (int rank = 0; rank < 4; rank++) {
        free(saved->bytes[rank]);
        free(saved->values[rank]);
        free(saved->wanted[rank]);
    }
}

Test(outer_errors, a_saved_state_goes_on_bit_for_bit)
{
    static const struct {
        const char *codec;
        int size, fragments, at;
        uint64_t delay, dense;
    } rows[] = {{"none", 2, 1, 7, 0, 0},  {"int8", 3, 1, 10, 0, 0},
                {"int8", 2, 2, 13, 0, 3}, {"topk:0.1", 4, 3, 9, 0, 0},
                {"fp16", 1, 2, 3, 0, 6},  {"topk:0.2", 2, 2, 12, 2, 0}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct saved saved = {.plan = plan_with(5, rows[row].fragments), .at = rows[row].at};
        /* top-k draws a sample of many values: by the number of the exchange */
        saved.plan.count = strncmp(rows[row].codec, "topk", 4) == 0 ? 200003 : 5003;
        saved.plan.steps = 24;
        saved.plan.real = true;
        saved.plan.progress = WW_PROGRESS_AUTO;
        saved.plan.config.codec = rows[row].codec;
        saved.plan.config.delay = rows[row].delay;
        saved.plan.config.dense_steps = rows[row].dense;
        world_run(rows[row].size, run_through, &saved);
        world_run(rows[row].size, go_on, &saved);
        forget(&saved);
    }
}

static void expect_no_state(struct site *site, const void *bytes, size_t count,
                            enum ww_status wanted, const char *words)
{
    float before = ww_outer_start(site->outer)[0];
    check_status(ww_outer_state_load(site->outer, bytes, count), wanted);
    check_words(ww_last_error(site->context), "ww_outer_state_load", words);
    check(ww_outer_start(site->outer)[0] == before, "it was changed all the same");
}

static void refuse_states(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    unsigned char *bytes = saved->bytes[0];
    size_t count = saved->count[0];
    struct site site;
    site_begin(&site, world, &saved->plan);
    site_step(&site);
    expect_no_state(&site, bytes, 0, WW_BAD_ARGUMENT, "too few");
    expect_no_state(&site, bytes, count - 1, WW_BAD_ARGUMENT, "they are cut");
    expect_no_state(&site, bytes, count + 1, WW_BAD_ARGUMENT, "there are too many");
    expect_no_state(&site, bytes + 1, count - 1, WW_BAD_ARGUMENT, "do not begin as one");
    bytes[8] ^= 2;
    expect_no_state(&site, bytes, count, WW_BAD_ARGUMENT, "of version 3; this library reads");
    bytes[8] ^= 2;
    bytes[20] ^= 64; /* fragments */
    expect_no_state(&site, bytes, count, WW_BAD_ARGUMENT, "contradicts itself");
    bytes[20] ^= 64;
    expect_no_state(&site, bytes, count, WW_MISMATCH,
                    "of rank 0 of 2, this is rank 0 of 1, and it holds what belongs to that");
    check_status(ww_outer_state_load(site.outer, NULL, count), WW_BAD_ARGUMENT);
    check_status(ww_outer_state_save(site.outer, bytes, ww_outer_state_bytes(site.outer) - 1),
                 WW_BAD_ARGUMENT);
    site_end(&site);
    struct plan_of_sites other = saved->plan;
    other.config.local_steps = 6;
    site_begin(&site, world, &other);
    expect_no_state(&site, bytes, count, WW_MISMATCH, "5 local_steps, but there are 6");
    site_end(&site);
    other = saved->plan;
    other.count = 77;
    site_begin(&site, world, &other);
    expect_no_state(&site, bytes, count, WW_MISMATCH, "301 parameters, but there are 77");
    site_end(&site);
    other = saved->plan;
    other.config.momentum = 0;
    site_begin(&site, world, &other);
    expect_no_state(&site, bytes, count, WW_MISMATCH, "outer momentum");
    site_end(&site);
}

Test(outer_errors, bytes_that_are_no_state_or_do_not_fit_are_refused)
{
    struct saved saved = {.plan = plan_with(5, 2), .at = 6};
    saved.plan.steps = 6;
    saved.plan.config.codec = "int8";
    world_run(2, run_through, &saved);
    unsigned char *larger = malloc(saved.count[0] + 1);
    memcpy(larger, saved.bytes[0], saved.count[0]);
    free(saved.bytes[0]);
    saved.bytes[0] = larger;
    world_run(1, refuse_states, &saved);
    cr_expect_geq(world_forgive(), 10);
    forget(&saved);
}

static void save_settled(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    struct site site;
    site_begin(&site, world, &saved->plan);
    for (int step = 0; step < saved->at; step++) {
        site_step(&site);
    }
    check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    saved->values[world->rank] = keep(&site);
    world_meet(world);
    check(memcmp(saved->values[world->rank], saved->values[0], 2 * COUNT * sizeof(float)) == 0,
          "ranks differ although they settled");
    if (world->rank == world->size - 1) {
        saved->count[0] = ww_outer_state_bytes(site.outer);
        saved->bytes[0] = malloc(saved->count[0]);
        check_status(ww_outer_state_save(site.outer, saved->bytes[0], saved->count[0]), WW_OK);
    }
    site_end(&site);
}

static void load_settled(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    struct site site;
    site_begin(&site, world, &saved->plan);
    check_status(ww_outer_state_load(site.outer, saved->bytes[0], saved->count[0]), WW_OK);
    check_status(ww_outer_restore(site.outer), WW_OK);
    check(memcmp(site.values, saved->values[0], COUNT * sizeof(float)) == 0,
          "rank %d of %d does not begin where they settled", world->rank, world->size);
    for (int step = 0; step < 5; step++) {
        site_step(&site);
    }
    site_end(&site);
}

Test(outer_errors, a_settled_state_serves_any_number_of_ranks)
{
    static const char *const codecs[] = {"int8", "topk:0.1", "none"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct saved saved = {.plan = plan_with(5, 2), .at = 8};
        saved.plan.config.codec = codecs[c];
        saved.plan.config.mix = 0.5;
        world_run(4, save_settled, &saved);
        world_run(2, load_settled, &saved);
        world_run(3, load_settled, &saved);
        world_run(4, load_settled, &saved);
        forget(&saved);
    }
}

/* Saves, and tries to go on with what the next rank saved. */
static void swap_states(struct saved *saved, struct site *site, enum ww_status wanted)
{
    const struct ww_world *world = site->world;
    size_t bytes = ww_outer_state_bytes(site->outer);
    check_status(ww_outer_state_save(site->outer, saved->bytes[world->rank], bytes), WW_OK);
    world_meet(world);
    const void *other = saved->bytes[(world->rank + 1) % world->size];
    check_status(ww_outer_state_load(site->outer, other, bytes), wanted);
    world_meet(world);
}

/* Rank 1's second part is not finite when all settle. */
static void settle_in_vain(const struct ww_world *world, void *shared)
{
    struct saved *saved = shared;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    struct site site;
    site_begin(&site, world, &saved->plan);
    for (int step = 0; step < saved->at; step++) {
        site_step(&site);
    }
    saved->bytes[world->rank] = malloc(ww_outer_state_bytes(site.outer));
    site.values[COUNT - 1] = world->rank == 1 ? NAN : site.values[COUNT - 1];
    check_status(ww_outer_settle(site.outer, &report), WW_OK);
    check(report.discarded == 1, "%llu discarded", (unsigned long long)report.discarded);
    swap_states(saved, &site, WW_MISMATCH);
    check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    swap_states(saved, &site, WW_OK);
    check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    site_end(&site);
}

Test(outer_errors, a_state_is_not_settled_by_an_exchange_without_effect)
{
    struct saved saved = {.plan = plan_with(5, 2), .at = 8};
    saved.plan.config.codec = "int8";
    saved.plan.real = true;
    world_run(2, settle_in_vain, &saved);
    cr_expect_eq(world_forgive(), 4, "two refusals, and two warnings of what is not finite");
    forget(&saved);
}

static void save_in_flight(const struct ww_world *world, void *shared)
{
    struct site site;
    unsigned char bytes[8192];
    site_begin(&site, world, shared);
    site_step(&site);
    site_step(&site);
    check_status(ww_outer_state_save(site.outer, bytes, sizeof bytes), WW_BAD_STATE);
    check_words(ww_last_error(site.context), "in flight", "ww_outer_drain");
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    check_status(ww_outer_state_save(site.outer, bytes, sizeof bytes), WW_OK);
    site_end(&site);
}

Test(outer_errors, a_state_in_flight_is_not_saved)
{
    struct plan_of_sites plan = plan_with(2, 1);
    plan.config.delay = 1;
    plan.progress = WW_PROGRESS_AUTO;
    world_run(2, save_in_flight, &plan);
    cr_expect_eq(world_forgive(), 2);
}
