/* SPDX-License-Identifier: BSD-3-Clause
 * test_outer.c: local steps give what their definition says: synchronous SGD where they are it, the
 * outer optimizer's numbers, the same bits on all ranks, nothing lost, every part in its turn, and
 * results after exactly so many steps, whenever they came. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sites.h"
#include "threads.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(outer, .init = capture_start, .fini = capture_finish);

static struct ww_outer_config averages(uint64_t local_steps)
{
    struct ww_outer_config config = WW_OUTER_INIT;
    config.local_steps = local_steps;
    config.rate = 1;
    config.momentum = 0;
    config.nesterov = false;
    return config;
}

/* What the ranks of a test show each other. */
struct board {
    const struct plan_of_sites *plan;
    const float *values[WORLD_SIZE_MAX];
    const float *starts[WORLD_SIZE_MAX];
    const float *residuals[WORLD_SIZE_MAX];
    float *kept[2]; /* of two runs, to be compared */
    int run;
};

static void show(struct board *board, const struct site *site)
{
    int rank = site->world->rank;
    board->values[rank] = site->values;
    board->starts[rank] = ww_outer_start(site->outer);
    board->residuals[rank] = ww_outer_residual(site->outer);
    world_meet(site->world);
}

/* ---- Synchronous SGD ------------------------------------------------------------------------ */

#define RATE 0.1F

/* Of a bowl whose middle is elsewhere on each rank. */
static float slope(float x, int rank, size_t i)
{
    return (x - (float)(rank + 1) * 0.5F) * (1 + (float)(i % 7) * 0.25F);
}

static void descend(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct site site;
    site_begin(&site, world, plan);
    double *synchronous = calloc(plan->count, sizeof *synchronous);
    double most = 0;
    for (size_t i = 0; i < plan->count; i++) {
        synchronous[i] = site.values[i];
    }
    for (int step = 0; step < plan->steps; step++) {
        struct ww_outer_report report = WW_OUTER_REPORT_INIT;
        for (size_t i = 0; i < plan->count; i++) {
            double mean = 0;
            for (int rank = 0; rank < world->size; rank++) {
                mean += (synchronous[i] - (rank + 1) * 0.5) * (1 + (double)(i % 7) * 0.25);
            }
            synchronous[i] -= (double)RATE * mean / world->size;
            site.values[i] -= RATE * slope(site.values[i], world->rank, i);
        }
        check_status(ww_outer_step(site.outer, &report), WW_OK);
        check(report.changed == 1 && report.fragment == 0, "step %d changed nothing", step);
        for (size_t i = 0; i < plan->count; i++) {
            most = fmax(most, fabs(site.values[i] - synchronous[i]));
        }
    }
    check(most < 2e-6 * 14, "%d ranks are %g off synchronous SGD", world->size, most);
    free(synchronous);
    site_end(&site);
}

Test(outer, averages_after_every_step_are_synchronous_sgd_to_rounding)
{
    struct plan_of_sites plan = {.config = averages(1), .count = 1003, .steps = 40};
    for (int size = 1; size <= 4; size++) {
        world_run(size, descend, &plan);
    }
}

/* Where sums and quarters are exact, so is the whole. */
static void descend_on_integers(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct site site;
    site_begin(&site, world, plan);
    int wrong = 0;
    float *synchronous = calloc(plan->count, sizeof *synchronous);
    memcpy(synchronous, site.values, plan->count * sizeof *synchronous);
    for (int step = 0; step < plan->steps; step++) {
        for (size_t i = 0; i < plan->count; i++) {
            float sum = 0;
            for (int rank = 0; rank < world->size; rank++) {
                sum += site_update(plan, rank, step, i);
            }
            synchronous[i] -= sum / (float)world->size;
        }
        site_step(&site);
        wrong += memcmp(synchronous, site.values, plan->count * sizeof *synchronous) != 0;
    }
    check(wrong == 0, "%d ranks: %d of %d steps have other bits", world->size, wrong, plan->steps);
    free(synchronous);
    site_end(&site);
}

Test(outer, on_integers_they_have_the_bits_of_synchronous_sgd)
{
    struct plan_of_sites plan = {.config = averages(1), .count = 1003, .steps = 20};
    world_run(1, descend_on_integers, &plan);
    world_run(2, descend_on_integers, &plan);
    world_run(4, descend_on_integers, &plan);
}

/* ---- The outer optimizer -------------------------------------------------------------------- */

/* One parameter, as torch.optim.SGD moves it. */
static float move(float start, float mean, float *velocity, const struct ww_outer_config *config)
{
    float rate = (float)config->rate;
    float momentum = (float)config->momentum;
    if (config->momentum == 0) {
        return start - rate * mean;
    }
    *velocity = momentum * *velocity + mean;
    return start - rate * (config->nesterov ? mean + momentum * *velocity : *velocity);
}

static void follow_reference(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    uint64_t window = plan->config.local_steps;
    struct site site;
    site_begin(&site, world, plan);
    float *start = calloc(plan->count, sizeof *start);
    float *velocity = calloc(plan->count, sizeof *velocity);
    int wrong = 0;
    memcpy(start, site.values, plan->count * sizeof *start);
    for (int step = 0; step < plan->steps; step++) {
        site_step(&site);
        if ((uint64_t)(step + 1) % window != 0) {
            continue;
        }
        for (size_t i = 0; i < plan->count; i++) {
            float sum = 0;
            for (int rank = 0; rank < world->size; rank++) {
                float local = start[i];
                for (int s = step + 1 - (int)window; s <= step; s++) {
                    local -= site_update(plan, rank, s, i);
                }
                sum += start[i] - local;
            }
            float mean = sum * (float)(1.0 / world->size);
            start[i] = move(start[i], mean, &velocity[i], &plan->config);
            wrong += start[i] != site.values[i];
        }
    }
    check(wrong == 0, "%d ranks: %d values are not the reference's", world->size, wrong);
    free(start);
    free(velocity);
    site_end(&site);
}

Test(outer, the_outer_optimizer_is_the_scalar_reference_bit_for_bit)
{
    static const struct {
        double rate, momentum;
        bool nesterov;
    } rows[] = {{1, 0, false},    {0.7, 0, false}, {0.7, 0.9, false},
                {0.7, 0.9, true}, {0.5, 0, true},  {1.3, 0.5, true}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct plan_of_sites plan = {.config = averages(4), .count = 517, .steps = 24};
        plan.config.rate = rows[row].rate;
        plan.config.momentum = rows[row].momentum;
        plan.config.nesterov = rows[row].nesterov;
        world_run(1, follow_reference, &plan);
        world_run(2, follow_reference, &plan);
        world_run(4, follow_reference, &plan);
    }
}

/* ---- The same bits --------------------------------------------------------------------------- */

static void compare_bits(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_sites *plan = board->plan;
    size_t bytes = plan->count * sizeof(float);
    struct site site;
    site_begin(&site, world, plan);
    show(board, &site);
    for (int step = 0; step < plan->steps; step++) {
        struct ww_outer_report report = site_step(&site);
        world_meet(world);
        if (report.changed > 0) {
            check(memcmp(site.values, board->values[0], bytes) == 0 &&
                      memcmp(board->starts[world->rank], site.values, bytes) == 0,
                  "%s: rank %d of %d has other bits after step %d", plan->config.codec, world->rank,
                  world->size, step);
        }
        check((report.changed > 0) == ((step + 1) % 3 == 0), "step %d", step);
        world_meet(world);
    }
    site_end(&site);
}

static const char *const codecs[] = {"none", "fp16", "bf16", "int8", "topk:0.1", "topk:0.1:fixed"};

Test(outer, all_ranks_have_the_same_bits_after_an_outer_step)
{
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_sites plan = {
            .config = WW_OUTER_INIT, .count = 5003, .regions = 3, .steps = 12, .real = true};
        plan.config.local_steps = 3;
        plan.config.codec = codecs[c];
        struct board board = {.plan = &plan};
        for (int size = 1; size <= 4; size++) {
            world_run(size, compare_bits, &board);
        }
    }
}

/* ---- Nothing is lost --------------------------------------------------------------------------
 */

/* With plain averages the start moved by the mean of what was applied, so that times the ranks, and
 * what they keep back, is everything that they ever learned. */
static void add_up(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_sites *plan = board->plan;
    struct site site;
    site_begin(&site, world, plan);
    for (int step = 0; step < plan->steps; step++) {
        site_step(&site);
    }
    if (plan->config.fragments > 1) { /* some of it was not sent yet */
        check_status(ww_outer_meet(site.outer, NULL), WW_OK);
    }
    show(board, &site);
    int wrong = 0;
    size_t owed = 0;
    for (size_t i = 0; i < plan->count && world->rank == 0; i++) {
        double learned = 0;
        double known = world->size * (double)(site_first_value(i) - board->starts[0][i]);
        for (int rank = 0; rank < world->size; rank++) {
            known += board->residuals[rank] == NULL ? 0 : board->residuals[rank][i];
            owed += board->residuals[rank] != NULL && board->residuals[rank][i] != 0;
            for (int step = 0; step < plan->steps; step++) {
                learned += site_update(plan, rank, step, i);
            }
        }
        wrong += known != learned;
    }
    check(wrong == 0, "%s, %d ranks: %d of %zu parameters lost or found something",
          plan->config.codec, world->size, wrong, plan->count);
    bool keeps = world->size > 1 && strncmp(plan->config.codec, "topk", 4) == 0;
    check(world->rank > 0 || !keeps || owed > 0, "%s keeps nothing back", plan->config.codec);
    check_status(ww_outer_settle(site.outer, NULL), WW_OK);
    for (size_t i = 0; i < plan->count && board->residuals[world->rank] != NULL; i++) {
        if (!check(board->residuals[world->rank][i] == 0, "something is kept back for ever")) {
            break;
        }
    }
    double exact = 0;
    for (int rank = 0; rank < world->size; rank++) {
        for (int step = 0; step < plan->steps; step++) {
            exact += site_update(plan, rank, step, 77);
        }
    }
    check((site_first_value(77) - site.values[77]) * world->size == exact,
          "settled, parameter 77 is %g", site.values[77]);
    world_meet(world);
    site_end(&site);
}

Test(outer, what_was_applied_and_what_is_kept_come_to_what_was_learned)
{
    static const char *const exact[] = {"none", "fp16", "bf16", "topk:0.05", "topk:0.3:fixed"};
    for (size_t c = 0; c < LENGTH(exact); c++) {
        for (int fragments = 1; fragments <= 2; fragments++) {
            struct plan_of_sites plan = {.config = averages(2), .count = 4099, .steps = 12};
            plan.config.codec = exact[c];
            plan.config.fragments = fragments;
            struct board board = {.plan = &plan};
            world_run(1, add_up, &board);
            world_run(2, add_up, &board);
            world_run(4, add_up, &board);
        }
    }
}

/* ---- Parts in their turn ----------------------------------------------------------------------
 */

/* The part of an element, of so many equal ones of which the first have one more. */
static size_t part_of(size_t i, size_t count, size_t parts)
{
    size_t each = count / parts;
    size_t rest = count % parts;
    size_t longer = rest * (each + 1);
    return i < longer ? i / (each + 1) : rest + (i - longer) / each;
}

static void watch_turns(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    const uint64_t window = plan->config.local_steps;
    const size_t parts = (size_t)plan->config.fragments;
    struct site site;
    site_begin(&site, world, plan);
    const float *start = ww_outer_start(site.outer);
    float *before = calloc(plan->count, sizeof *before);
    for (uint64_t step = 1; step <= 4 * window; step++) {
        memcpy(before, start, plan->count * sizeof *before);
        for (size_t i = 0; i < plan->count; i++) {
            site.values[i] += 1; /* so that whatever is exchanged moves */
        }
        struct ww_outer_report report = WW_OUTER_REPORT_INIT;
        check_status(ww_outer_step(site.outer, &report), WW_OK);
        int expected = -1;
        for (size_t f = 0; f < parts; f++) {
            bool turn = step > plan->config.delay &&
                        (step - plan->config.delay) % window == window * (f + 1) / parts % window;
            expected = turn ? (int)f : expected;
        }
        check(report.fragment == expected && report.changed == (expected >= 0),
              "step %llu: part %d, not %d", (unsigned long long)step, report.fragment, expected);
        int wrong = 0;
        for (size_t i = 0; i < plan->count; i++) {
            bool moves = expected == (int)part_of(i, plan->count, parts);
            wrong += (start[i] != before[i]) != moves;
        }
        check(wrong == 0, "step %llu moved %d elements that are none of its, or none",
              (unsigned long long)step, wrong);
    }
    free(before);
    site_end(&site);
}

Test(outer, every_part_leaves_once_in_h_steps_and_at_its_own_one)
{
    static const struct {
        uint64_t window, delay;
        int parts;
    } rows[] = {{7, 0, 3}, {4, 0, 4}, {20, 0, 6}, {1, 0, 1}, {5, 0, 1}, {7, 3, 3}, {6, 5, 6}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct plan_of_sites plan = {.config = averages(rows[row].window), .count = 41};
        plan.config.fragments = rows[row].parts;
        plan.config.delay = rows[row].delay;
        plan.progress = WW_PROGRESS_AUTO;
        world_run(1, watch_turns, &plan);
        world_run(2, watch_turns, &plan);
        world_run(3, watch_turns, &plan);
    }
}

/* ---- Results that come later ------------------------------------------------------------------
 */

static void run_streaming(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    const struct plan_of_sites *plan = board->plan;
    uint64_t window = plan->config.local_steps;
    struct site site;
    site_begin(&site, world, plan);
    for (int step = 1; step <= plan->steps; step++) {
        struct ww_outer_report report = site_step(&site);
        uint64_t sent = (uint64_t)step - plan->config.delay;
        int parts = plan->config.fragments;
        int expected = -1;
        for (int f = 0; f < parts && (uint64_t)step > plan->config.delay; f++) {
            uint64_t turn = window * ((uint64_t)f + 1) / (uint64_t)parts % window;
            expected = sent % window == turn ? f : expected;
        }
        check(report.fragment == expected, "rank %d, step %d: part %d, not %d", world->rank, step,
              report.fragment, expected);
    }
    float *kept = calloc(2 * plan->count, sizeof *kept);
    memcpy(kept, ww_outer_start(site.outer), plan->count * sizeof *kept);
    memcpy(kept + plan->count, site.values, plan->count * sizeof *kept);
    show(board, &site);
    check(memcmp(kept, board->starts[0], plan->count * sizeof *kept) == 0,
          "rank %d has another start", world->rank);
    world_meet(world);
    if (world->rank == world->size - 1) {
        board->kept[board->run] = kept;
    } else {
        free(kept);
    }
    check_status(ww_outer_drain(site.outer, NULL), WW_OK);
    site_end(&site);
}

static void run_streaming_without_threads(const struct ww_world *world, void *shared)
{
    threads_are_refused = true;
    run_streaming(world, shared);
    threads_are_refused = false;
}

Test(outer, results_are_taken_after_exactly_so_many_steps_however_slow_the_ranks)
{
    static const struct {
        const char *codec;
        double mix;
        int parts;
        uint64_t delay;
    } rows[] = {
        {"none", 0, 1, 2}, {"int8", 0.5, 3, 2}, {"topk:0.1", 0, 3, 5}, {"fp16", 0.25, 2, 1}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct plan_of_sites plan = {
            .config = WW_OUTER_INIT, .count = 3001, .steps = 32, .regions = 4, .real = true};
        plan.config.local_steps = 6;
        plan.config.codec = rows[row].codec;
        plan.config.mix = rows[row].mix;
        plan.config.fragments = rows[row].parts;
        plan.config.delay = rows[row].delay;
        struct board board = {.plan = &plan};
        plan.progress = WW_PROGRESS_AUTO;
        plan.dawdles = true;
        world_run(3, run_streaming, &board);
        board.run = 1;
        plan.progress = WW_PROGRESS_INLINE;
        plan.dawdles = false;
        world_run(3, run_streaming, &board);
        expect_line(WW_LOG_WARN, "local steps wait for exchanges in spite of delay");
        cr_expect_arr_eq(board.kept[0], board.kept[1], 2 * plan.count * sizeof(float),
                         "%s: a thread beside the steps gives other bits", plan.config.codec);
        free(board.kept[0]);
        free(board.kept[1]);
    }
}

Test(outer, where_the_system_gives_no_thread_local_steps_wait)
{
    struct plan_of_sites plan = {
        .config = WW_OUTER_INIT, .count = 301, .steps = 12, .progress = WW_PROGRESS_AUTO};
    plan.config.local_steps = 4;
    plan.config.delay = 2;
    struct board board = {.plan = &plan};
    world_run(2, run_streaming, &board);
    board.run = 1;
    world_run(2, run_streaming_without_threads, &board);
    for (int rank = 0; rank < 2; rank++) {
        expect_line(WW_LOG_WARN, "a progress thread cannot be started: ");
        expect_line(WW_LOG_WARN, "a thread that exchanges fragments cannot be started: ");
    }
    cr_expect_arr_eq(board.kept[0], board.kept[1], 2 * plan.count * sizeof(float));
    free(board.kept[0]);
    free(board.kept[1]);
}

/* ---- Uneven speeds ----------------------------------------------------------------------------
 */

struct uneven {
    struct plan_of_sites plan;
    int steps[4]; /* of each rank, before they meet */
};

/* Every rank's local steps take 8 off every parameter. */
static void meet_uneven(const struct ww_world *world, void *shared)
{
    const struct uneven *uneven = shared;
    const struct ww_outer_config *config = &uneven->plan.config;
    struct site site;
    site_begin(&site, world, &uneven->plan);
    double weights = 0;
    double sum = 0;
    for (int rank = 0; rank < world->size; rank++) {
        int steps = uneven->steps[rank];
        double weight = config->weights == WW_OUTER_BY_STEPS ? steps : 1;
        weights += weight;
        sum += weight * 8 * steps;
    }
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    int mine = uneven->steps[world->rank];
    for (int step = 0; step < mine; step++) {
        for (size_t i = 0; i < uneven->plan.count; i++) {
            site.values[i] -= 8;
        }
        check_status(ww_outer_step(site.outer, &report), WW_OK);
    }
    if ((uint64_t)mine != config->local_steps) {
        check_status(ww_outer_meet(site.outer, &report), WW_OK);
    }
    double expected = weights > 0 ? sum / weights : 0;
    check(report.changed == config->fragments && report.window_steps == 0, "%d parts changed",
          report.changed);
    check(fabs(site_first_value(5) - site.values[5] - expected) <= 1e-5 * expected,
          "rank %d of %d went %g, not %g", world->rank, world->size,
          site_first_value(5) - site.values[5], expected);
    int least = uneven->steps[0];
    int most = least;
    for (int rank = 1; rank < world->size; rank++) {
        least = uneven->steps[rank] < least ? uneven->steps[rank] : least;
        most = uneven->steps[rank] > most ? uneven->steps[rank] : most;
    }
    check(report.steps_least == (uint64_t)least && report.steps_most == (uint64_t)most,
          "%llu to %llu steps", (unsigned long long)report.steps_least,
          (unsigned long long)report.steps_most);
    site_end(&site);
}

Test(outer, uneven_ranks_count_alike_or_by_their_steps)
{
    static const struct {
        int size, fragments;
        uint64_t window;
        int steps[4];
    } rows[] = {{2, 1, 10, {1, 3}},       {2, 1, 10, {0, 4}},       {2, 1, 4, {4, 1}},
                {3, 1, 10, {5, 0, 1}},    {4, 1, 6, {6, 2, 0, 6}},  {4, 1, 10, {0, 0, 0, 0}},
                {4, 3, 10, {1, 2, 1, 1}}, {3, 1, 10, {2, 2, 2, 0}}, {1, 1, 10, {3}}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        for (int weights = 0; weights < 2; weights++) {
            struct uneven uneven = {.plan = {.config = averages(rows[row].window), .count = 300}};
            uneven.plan.config.weights = (enum ww_outer_weights)weights;
            uneven.plan.config.fragments = rows[row].fragments;
            memcpy(uneven.steps, rows[row].steps, sizeof uneven.steps);
            world_run(rows[row].size, meet_uneven, &uneven);
        }
    }
}

/* ---- Dense steps, regions, reports ------------------------------------------------------------
 */

static void begin_densely(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct site site;
    site_begin(&site, world, plan);
    for (int step = 1; step <= plan->steps; step++) {
        float sum = 0;
        for (int rank = 0; rank < world->size; rank++) {
            sum += site_update(plan, rank, step - 1, 9);
        }
        float before = site.values[9];
        struct ww_outer_report report = site_step(&site);
        bool dense = step <= 5;
        check(report.changed == (dense || step == 9 || step == 13), "step %d changed %d", step,
              report.changed);
        check(!dense || site.values[9] == before - sum / 4, "dense step %d is no average", step);
    }
    site_end(&site);
}

/* Meetings are no steps. */
static void meet_among_dense_steps(const struct ww_world *world, void *shared)
{
    struct site site;
    site_begin(&site, world, shared);
    for (int step = 1; step <= 4; step++) {
        struct ww_outer_report report = site_step(&site);
        check(report.changed == (step <= 3), "step %d changed %d", step, report.changed);
        if (step == 1) {
            check_status(ww_outer_meet(site.outer, NULL), WW_OK);
        }
    }
    site_end(&site);
}

Test(outer, meetings_use_up_no_dense_steps)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = 100, .steps = 4};
    plan.config.local_steps = 4;
    plan.config.dense_steps = 3;
    world_run(2, meet_among_dense_steps, &plan);
}

Test(outer, dense_steps_come_first_and_are_plain_averages)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = 100, .steps = 14};
    plan.config.local_steps = 4;
    plan.config.dense_steps = 5;
    plan.config.codec = "int8";
    world_run(4, begin_densely, &plan);
}

static void keep_values(const struct ww_world *world, void *shared)
{
    struct board *board = shared;
    struct site site;
    site_begin(&site, world, board->plan);
    for (int step = 0; step < board->plan->steps; step++) {
        site_step(&site);
    }
    if (world->rank == 1) {
        board->kept[board->run] = calloc(board->plan->count, sizeof(float));
        memcpy(board->kept[board->run], site.values, board->plan->count * sizeof(float));
    }
    site_end(&site);
}

Test(outer, regions_are_one_vector)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = 1777, .steps = 20, .real = true};
    struct board board = {.plan = &plan};
    plan.config.local_steps = 5;
    plan.config.fragments = 3;
    plan.config.codec = "int8";
    world_run(2, keep_values, &board);
    board.run = 1;
    plan.regions = 7;
    world_run(2, keep_values, &board);
    cr_expect_arr_eq(board.kept[0], board.kept[1], plan.count * sizeof(float));
    free(board.kept[0]);
    free(board.kept[1]);
}

static void read_report(const struct ww_world *world, void *shared)
{
    const struct plan_of_sites *plan = shared;
    struct site site;
    struct ww_outer_report report = WW_OUTER_REPORT_INIT;
    site_begin(&site, world, plan);
    for (int step = 0; step < plan->steps; step++) {
        report = site_step(&site);
    }
    char text[300];
    check(ww_outer_report_print(&report, text, sizeof text) < sizeof text, "a long line");
    check_words(text, "outer step 2 after 40 steps: sent ", "times fewer", "drift ");
    uint64_t size = (uint64_t)world->size;
    uint64_t dense = 40 * (2 * (size - 1) * plan->count * 4 / size);
    double fewer = (double)report.dense_bytes / (double)(report.sent_bytes + report.control_bytes);
    check(report.dense_bytes == dense, "%llu bytes dense", (unsigned long long)report.dense_bytes);
    check(fewer >= 60 && fewer < 90, "%d ranks: %g times fewer bytes", world->size, fewer);
    check(report.steps == 40 && report.outer_steps == 2 && report.size == world->size &&
              report.window_steps == 0 && report.in_flight == 0 && report.discarded == 0,
          "%s", text);
    check(report.exposed_s >= report.communication_s && report.communication_s > 0, "%s", text);
    site_end(&site);
}

Test(outer, twenty_local_steps_and_int8_send_sixty_times_fewer_bytes)
{
    struct plan_of_sites plan = {.config = WW_OUTER_INIT, .count = 200000, .steps = 40};
    plan.config.codec = "int8";
    world_run(2, read_report, &plan);
    world_run(4, read_report, &plan);
}
