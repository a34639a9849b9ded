/* SPDX-License-Identifier: BSD-3-Clause
 * test_policy.c: choices and savings on imagined machines whose times are known. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "effort.h"
#include "policy.h"

/* ---- Imagined machines ---------------------------------------------------------------------- */

struct machine {
    int arms;
    int units;
    double seconds[POLICY_UNITS_MAX][POLICY_ARMS_MAX]; /* of a use, added up over units */
    double noise;                                      /* standard deviation, of the time */
    double hiccups; /* share of uses that take 20 times as long */
    uint64_t every; /* one of so many takes `work` longer, from use `first` on; 0 = none does */
    uint64_t first;
    double work;
    double drift;   /* the time grows by so much per use */
    double weather; /* standard deviation of a factor that changes within some ten uses */
    double factor;  /* the weather now, less 1 */
    double cold;    /* so much longer takes a use by another arm than the one before ... */
    double cool;    /* ... and the second encoded one behind dense ones */
    int before;     /* that arm, ... */
    int earlier;    /* ... and the one before it */
    uint64_t state;
};

static double uniform(struct machine *machine)
{
    machine->state = machine->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(machine->state >> 11) + 0.5) * 0x1p-53;
}

static double normal(struct machine *machine)
{
    return sqrt(-2 * log(uniform(machine))) * cos(6.283185307179586 * uniform(machine));
}

/* The machine's weather is the same for a use by the policy and the dense one beside it. */
static void weather_change(struct machine *machine)
{
    const double keeps = 0.95;
    machine->factor = keeps * machine->factor +
                      sqrt(1 - keeps * keeps) * machine->weather * normal(machine);
}

/* One use, as the policy wants it or all dense. */
static double use(struct machine *machine, const struct policy *policy, uint64_t number)
{
    double seconds = 0;
    for (int unit = 0; unit < machine->units; unit++) {
        seconds += machine->seconds[unit][policy == NULL ? 0 : policy_arm(policy, unit)];
    }
    seconds *= 1 + machine->noise * normal(machine);
    seconds *= uniform(machine) < machine->hiccups ? 20 : 1;
    if (policy != NULL) {
        int arm = policy_arm(policy, 0);
        bool second = arm == machine->before && arm != 0 && machine->earlier == 0;
        seconds *= arm != machine->before ? 1 + machine->cold : second ? 1 + machine->cool : 1;
        machine->earlier = machine->before;
        machine->before = arm;
    }
    seconds *= fmax(1 + machine->factor, 0.1);
    seconds += machine->every > 0 && number % machine->every == machine->first ? machine->work : 0;
    return fmax(seconds, 1e-9) * (1 + machine->drift * (double)number);
}

/* What the present use saves on average. */
static double saves(const struct machine *machine, const struct policy *policy)
{
    double seconds = 0;
    for (int unit = 0; unit < machine->units; unit++) {
        seconds += machine->seconds[unit][0] - machine->seconds[unit][policy_arm(policy, unit)];
    }
    return seconds;
}

static bool holds(const struct interval *interval, double truth)
{
    return interval->least <= truth && truth <= interval->most;
}

struct outcome {
    double total;
    double dense_total; /* of another run, all dense */
    int chose;
    int gave_up;
    int forgot;
};

static struct outcome live(struct machine *machine, struct policy *policy, int uses)
{
    struct outcome outcome = {0, 0, 0, 0, 0};
    for (int i = 0; i < uses; i++) {
        weather_change(machine);
        double seconds = use(machine, policy, (uint64_t)i);
        outcome.total += seconds;
        outcome.dense_total += use(machine, NULL, (uint64_t)i);
        if (policy_note(policy, &(struct policy_time){seconds, seconds, 0})) {
            enum policy_news news = policy_agree(policy);
            outcome.chose += news == POLICY_CHOSE;
            outcome.gave_up += news == POLICY_GAVE_UP;
            outcome.forgot += news == POLICY_FORGOT;
        }
    }
    return outcome;
}

static struct policy make(const struct machine *machine, bool chooses)
{
    struct policy policy;
    policy_init(&policy, &(struct policy_setup){.arms = machine->arms,
                                                .units = machine->units,
                                                .chooses = chooses,
                                                .probes = true,
                                                .looks = true,
                                                .budget = 0.01,
                                                .warm_uses = 3});
    return policy;
}

/* ---- Choosing ------------------------------------------------------------------------------- */

Test(policy, the_fastest_arm_becomes_home)
{
    const struct {
        double seconds[5];
        double noise;
        int home;
    } rows[] = {
        {{1.0, 0.5, 0.51, 0.26, 0.07}, 0.05, 4}, {{1.0, 0.5, 0.52, 0.26, 0.40}, 0.05, 3},
        {{1.0, 1.4, 1.5, 2.0, 9.0}, 0.05, 0},    {{1.0, 1.02, 1.03, 1.1, 1.2}, 0.02, 0},
        {{1.0, 0.80, 1.0, 1.3, 3.0}, 0.10, 1},   {{1.0, 0.7, 2.0, 2.0, 2.0}, 0.20, 1},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct machine machine = {
                .arms = 5, .units = 1, .noise = rows[row].noise, .state = seed};
            for (int arm = 0; arm < 5; arm++) {
                machine.seconds[0][arm] = rows[row].seconds[arm];
            }
            struct policy policy = make(&machine, true);
            live(&machine, &policy, 400);
            cr_expect_eq(policy.home[0], rows[row].home, "row %zu, seed %d: home is arm %d", row,
                         (int)seed, policy.home[0]);
        }
    }
}

Test(policy, without_a_gain_beyond_the_noise_it_stays_dense)
{
    int dense = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct machine machine = {
            .arms = 3, .units = 1, .seconds = {{1.0, 1.0, 1.0}}, .noise = 0.1, .state = seed};
        struct policy policy = make(&machine, true);
        live(&machine, &policy, 3000);
        dense += policy.home[0] == 0;
    }
    cr_expect_geq(dense, 108, "%d of 120 runs ended dense", dense);
}

Test(policy, hiccups_choose_nothing)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {.arms = 3,
                                  .units = 1,
                                  .seconds = {{1.0, 0.6, 1.4}},
                                  .noise = 0.05,
                                  .hiccups = 0.03,
                                  .state = seed};
        struct policy policy = make(&machine, true);
        live(&machine, &policy, 500);
        cr_expect_eq(policy.home[0], 1, "seed %d: home is arm %d", (int)seed, policy.home[0]);
    }
}

/* Encoding paid, then the machine changed and it does not: what was saved until then stays known,
 * also while and after everything is measured anew. */
Test(policy, savings_stay_known_when_a_race_ends_dense)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {
            .arms = 2, .units = 1, .seconds = {{1.0, 0.5}}, .noise = 0.02, .state = seed};
        struct policy policy = make(&machine, true);
        struct outcome before = live(&machine, &policy, 1000);
        cr_expect_eq(policy.home[0], 1, "seed %d", (int)seed);
        machine.seconds[0][1] = 1.5;
        struct outcome after = live(&machine, &policy, 2000);
        struct interval saved = {0, 0, 0};
        cr_expect_eq(policy.home[0], 0, "seed %d", (int)seed);
        cr_expect(after.forgot + after.gave_up > 0, "seed %d", (int)seed);
        cr_expect(policy_saved(&policy, &saved), "seed %d: nothing is known any more", (int)seed);
        double truth = before.dense_total - before.total + after.dense_total - after.total;
        cr_expect(fabs(saved.mean - truth) < 0.1 * truth, "seed %d: %g s saved, not %g", (int)seed,
                  saved.mean, truth);
    }
}

Test(policy, each_unit_has_a_home_of_its_own)
{
    struct machine machine = {.arms = 4,
                              .units = 3,
                              .seconds = {{8, 4, 2, 1}, {1, 0.5, 0.9, 1.5}, {0.5, 0.9, 0.9, 2}},
                              .noise = 0.01,
                              .state = 7};
    struct policy policy = make(&machine, true);
    live(&machine, &policy, 600);
    cr_expect_eq(policy.home[0], 3, "%d", policy.home[0]);
    cr_expect_eq(policy.home[1], 1, "%d", policy.home[1]);
    cr_expect_eq(policy.home[2], 0, "%d", policy.home[2]);
}

Test(policy, when_the_gain_goes_home_is_dense_again)
{
    struct machine machine = {
        .arms = 2, .units = 1, .seconds = {{1.0, 0.5}}, .noise = 0.03, .state = 3};
    struct policy policy = make(&machine, true);
    live(&machine, &policy, 1000);
    cr_assert_eq(policy.home[0], 1);
    machine.seconds[0][0] = 0.3; /* a faster wire; encoding costs what it cost */
    live(&machine, &policy, 3000);
    cr_expect_eq(policy.home[0], 0);
    machine.seconds[0][0] = 1.0;
    live(&machine, &policy, 30000);
    cr_expect_eq(policy.home[0], 1, "it never tried again");
}

Test(policy, two_ranks_that_hear_the_same_do_the_same)
{
    struct machine machine = {.arms = 5,
                              .units = 2,
                              .seconds = {{1, 0.5, 0.5, 0.3, 0.2}, {0.2, 0.2, 0.2, 0.19, 0.2}},
                              .noise = 0.2,
                              .hiccups = 0.01,
                              .state = 11};
    struct policy one = make(&machine, true);
    struct policy other = make(&machine, true);
    for (int i = 0; i < 5000; i++) {
        for (int unit = 0; unit < 2; unit++) {
            cr_assert_eq(policy_arm(&one, unit), policy_arm(&other, unit), "use %d", i);
        }
        double seconds = use(&machine, &one, 0);
        /* One came last and was done first, the other the other way round. */
        struct policy_time own = {seconds, seconds + 0.6 * seconds, 0.6 * seconds};
        struct policy_time twice = {2.5 * seconds, 2.5 * seconds + 0.1, 0.1};
        bool agrees = policy_note(&one, &own);
        cr_assert_eq(policy_note(&other, &twice), agrees);
        if (agrees) { /* the smaller ones count */
            for (int at = 0; at < 2 * one.block.turns; at++) {
                one.block.seconds[at] = fmin(one.block.seconds[at], other.block.seconds[at]);
                other.block.seconds[at] = one.block.seconds[at];
            }
            cr_assert_eq(policy_agree(&one), policy_agree(&other));
        }
    }
}

/* Each by its own clock, which differs by some per cent: what they do next must not. */
Test(policy, clocks_that_differ_decide_alike_through_a_change)
{
    for (int change = 200; change <= 1500; change += 50) {
        struct machine machine = {.arms = 2, .units = 1, .state = (uint64_t)change};
        struct policy ranks[2] = {make(&machine, change % 100 == 0),
                                  make(&machine, change % 100 == 0)};
        for (int i = 0; i < 2500; i++) {
            static const double before[] = {7.5, 2.8};
            static const double after[] = {5.0, 2.0};
            int arm = policy_arm(&ranks[0], 0);
            cr_assert_eq(policy_arm(&ranks[1], 0), arm, "change %d, use %d", change, i);
            cr_assert_eq(ranks[0].phase, ranks[1].phase);
            cr_assert_eq(ranks[0].rest, ranks[1].rest, "change %d, use %d", change, i);
            bool agrees[2];
            for (int rank = 0; rank < 2; rank++) {
                double own = (i < change ? before : after)[arm] * (1 + 0.02 * normal(&machine));
                agrees[rank] = policy_note(&ranks[rank], &(struct policy_time){own, own, 0});
            }
            cr_assert_eq(agrees[0], agrees[1], "change %d, use %d", change, i);
            for (int at = 0; agrees[0] && at < 2 * ranks[0].block.turns; at++) {
                double *one = &ranks[0].block.seconds[at];
                double *other = &ranks[1].block.seconds[at];
                *one = *other = fmin(*one, *other);
            }
            if (agrees[0]) {
                cr_assert_eq(policy_agree(&ranks[0]), policy_agree(&ranks[1]));
            }
        }
    }
}

/* Ranks end 0.4 apart, and hear of it 0.01 later. Whoever came last was done first. */
Test(policy, uses_count_until_all_ranks_were_done)
{
    struct machine machine = {.arms = 2, .units = 1, .seconds = {{1.0, 0.5}}};
    struct policy policy = make(&machine, false);
    for (int i = 0; i < 200; i++) {
        double seconds = use(&machine, &policy, 0);
        struct policy_time taken = {seconds, seconds + 0.41, 0.41};
        if (policy_note(&policy, &taken)) {
            for (int turn = 0; turn < policy.block.turns; turn++) {
                policy.block.seconds[policy.block.turns + turn] = 0.01; /* of the other one */
            }
            policy_agree(&policy);
        }
    }
    cr_expect(fabs(policy_dense_s(&policy) - 1.4) < 1e-9, "%g", policy_dense_s(&policy));
    cr_expect(fabs(policy_home_s(&policy) - 0.9) < 1e-9, "%g", policy_home_s(&policy));
}

Test(policy, a_codec_is_not_judged_by_its_first_two_uses)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {.arms = 2,
                                  .units = 1,
                                  .seconds = {{1.0, 0.9}},
                                  .noise = 0.01,
                                  .cool = 0.3,
                                  .state = seed};
        struct policy policy = make(&machine, true);
        live(&machine, &policy, 200);
        cr_expect_eq(policy.home[0], 1, "seed %d", (int)seed);
    }
}

/* Every other use computes so much longer that its codec hardly shows. */
Test(policy, uses_that_are_long_and_short_by_turns_hide_no_codec)
{
    static const double seconds[][3] = {{2.0, 1.0, 0.8}, {1.0, 1.2, 1.4}};
    for (int row = 0; row < 4; row++) {
        for (int arms = 2; arms <= 3; arms++) {
            struct machine machine = {.arms = arms, .units = 1, .noise = 0.02, .state = 1};
            struct policy policy = make(&machine, true);
            for (int i = 0; i < 400; i++) {
                double use = seconds[row / 2][policy_arm(&policy, 0)] + (i % 2 == row % 2 ? 5 : 0);
                use *= 1 + machine.noise * normal(&machine);
                if (policy_note(&policy, &(struct policy_time){use, use, 0})) {
                    policy_agree(&policy);
                }
            }
            int home = row / 2 == 0 ? arms - 1 : 0;
            cr_expect_eq(policy.home[0], home, "row %d, %d arms: home is arm %d", row, arms,
                         policy.home[0]);
        }
    }
}

/* ---- Cost ----------------------------------------------------------------------------------- */

Test(policy, measuring_costs_what_the_budget_allows)
{
    const double coded[] = {0.1, 0.25, 0.5, 0.9, 1.1, 2.0};
    for (size_t row = 0; row < sizeof coded / sizeof coded[0]; row++) {
        struct machine machine = {
            .arms = 2, .units = 1, .seconds = {{1.0, coded[row]}}, .noise = 0.03, .state = row + 1};
        for (int chooses = 0; chooses < 2; chooses++) {
            struct policy policy = make(&machine, chooses != 0);
            live(&machine, &policy, 500); /* calibration */
            double home = machine.seconds[0][policy.home[0]];
            struct outcome outcome = live(&machine, &policy, 40000);
            double more = outcome.total / (40000 * home) - 1;
            cr_expect_leq(more, 0.0125, "%g, %s: %.4f more than at home", coded[row],
                          chooses ? "auto" : "fixed", more);
        }
    }
}

/* ---- Savings -------------------------------------------------------------------------------- */

/* As the issue of it is: within 10 % of the true saving, or 1 % of dense time. */
static bool is_right(const struct policy *policy, const struct outcome *outcome)
{
    struct interval saved;
    double truth = outcome->dense_total - outcome->total;
    return policy_saved(policy, &saved) &&
           fabs(saved.mean - truth) <= fmax(0.1 * fabs(truth), 0.01 * outcome->dense_total);
}

/* Of so many machines like this one that differ by chance alone, how many claims are right. */
static int count_right(const struct machine *like, int uses, int machines)
{
    int right = 0;
    for (int seed = 1; seed <= machines; seed++) {
        struct machine machine = *like;
        machine.state = (uint64_t)seed;
        struct policy policy = make(&machine, false);
        struct outcome outcome = live(&machine, &policy, uses);
        right += is_right(&policy, &outcome);
    }
    return right;
}

/* As much work as a dense use is, or as half of one where it chooses, done every so many uses: no
 * block may always meet it in the same place, nor may it count as a change. */
Test(policy, claims_hold_beside_periodic_work)
{
    static const uint64_t periods[] = {3, 5, 6, 7, 8, 9, 12};
    for (size_t row = 0; row < 2 * sizeof periods / sizeof periods[0]; row++) {
        struct machine like = {.arms = 2,
                               .units = 1,
                               .seconds = {{1.0, 0.7}},
                               .noise = 0.03,
                               .every = periods[row / 2],
                               .work = row % 2 == 1 ? 0.5 : 1};
        bool chooses = row % 2 == 1;
        int held = 0;
        int home = 0;
        double more = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct machine machine = like;
            machine.state = seed;
            machine.first = seed % machine.every;
            struct policy policy = make(&machine, chooses);
            struct outcome outcome = live(&machine, &policy, 6400);
            double truth = outcome.dense_total - outcome.total;
            struct interval saved = {0, 0, 0};
            held += policy_saved(&policy, &saved) && holds(&saved, truth);
            home += policy.home[0];
            more += (saved.mean - truth) / outcome.dense_total;
        }
        cr_expect_geq(held, 32, "work every %d, %s: %d of 40 claims held", (int)like.every,
                      chooses ? "auto" : "fixed", held);
        cr_expect_geq(home, 36, "work every %d: the codec is home in %d of 40", (int)like.every,
                      home);
        cr_expect_lt(fabs(more / 40), 0.03, "work every %d, %s: %.3f of dense time too much",
                     (int)like.every, chooses ? "auto" : "fixed", more / 40);
    }
}

Test(policy, savings_are_those_of_two_real_runs)
{
    const struct {
        double coded;
        double noise;
        double drift;
        int uses;
    } rows[] = {{0.5, 0.05, 0, 100},    {0.25, 0.05, 0, 200},   {0.05, 0.1, 0, 300},
                {0.5, 0.05, 1e-4, 500}, {1.5, 0.05, 0, 300},    {0.97, 0.03, 0, 2000},
                {1.03, 0.03, 0, 2000},  {0.25, 0.1, 1e-4, 4000}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct machine machine = {.arms = 2,
                                  .units = 1,
                                  .seconds = {{1.0, rows[row].coded}},
                                  .noise = rows[row].noise,
                                  .drift = rows[row].drift};
        int right = count_right(&machine, rows[row].uses, 40);
        cr_expect_geq(right, 36, "row %zu: %d of 40 claims were right", row, right);
    }
}

/* Uses that grow by a hundredth each, as much on both sides of a block. */
Test(policy, drift_alone_is_no_saving)
{
    struct machine machine = {
        .arms = 2, .units = 1, .seconds = {{1.0, 0.999}}, .drift = 0.01, .state = 1};
    struct policy policy = make(&machine, false);
    live(&machine, &policy, 40);
    cr_assert_geq(policy.window.blocks, POLICY_KNOWN_BLOCKS);
    cr_expect_lt(fabs(policy.window.saving.mean), 0.002, "%g s saved", policy.window.saving.mean);
}

#define SEEDS EFFORT(200, 40)

Test(policy, savings_are_right_in_changing_weather)
{
    const struct {
        double coded;
        double noise;
        double weather;
        int least; /* of 200 */
    } rows[] = {{0.65, 0.2, 0.15, 155}, {0.65, 0.1, 0.3, 165}, {0.5, 0.3, 0, 165}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct machine machine = {.arms = 2,
                                  .units = 1,
                                  .seconds = {{1.0, rows[row].coded}},
                                  .noise = rows[row].noise,
                                  .weather = rows[row].weather};
        int right = count_right(&machine, 1600, SEEDS);
        cr_expect_geq(right, rows[row].least * SEEDS / 200, "row %zu: %d of %d claims were right",
                      row, right, SEEDS);
    }
}

/* What a dense and an encoded use take, before the change and behind it. */
struct change {
    double before[2], after[2];
    double noise;
    int uses, of;
};

/* Lives through a change; what the uses at home really saved. */
static double live_changed(const struct change *change, struct policy *policy, uint64_t seed)
{
    struct machine machine = {.arms = 2, .units = 1, .noise = 1, .state = seed};
    double truth = 0;
    for (int i = 0; i < change->of; i++) {
        const double *seconds = i < change->uses ? change->before : change->after;
        int arm = policy_arm(policy, 0);
        double factor = fmax(1 + change->noise * normal(&machine), 0.1);
        truth += (seconds[0] - seconds[arm]) * factor;
        if (policy_note(policy,
                        &(struct policy_time){seconds[arm] * factor, seconds[arm] * factor, 0})) {
            policy_agree(policy);
        }
    }
    return truth;
}

/* Where it lies amid a long rest; where encoded uses take what they took; amid much noise. */
Test(policy, claims_hold_through_a_change)
{
    static const struct change changes[] = {
        {{7.16, 1.6}, {1.65, 1.34}, 0.03, 300, 1000},
        {{6.0, 0.45}, {0.40, 0.44}, 0.03, 300, 1000},
        {{7.5, 2.8}, {1.5, 2.0}, 0.03, 300, 2000},
        {{7.5, 2.8}, {1.5, 2.0}, 0.20, 1000, 2500},
    };
    for (size_t row = 0; row < 2 * sizeof changes / sizeof changes[0]; row++) {
        const struct change *change = &changes[row / 2];
        struct machine machine = {.arms = 2, .units = 1};
        int held = 0;
        int near = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct policy policy = make(&machine, row % 2 == 1);
            struct interval saved;
            double truth = live_changed(change, &policy, seed);
            cr_assert(policy_saved(&policy, &saved));
            held += holds(&saved, truth);
            near += fabs(saved.mean - truth) < 0.25 * fabs(truth);
            cr_expect(row % 2 == 0 || policy.home[0] == (change->after[1] < change->after[0]),
                      "row %zu: home is arm %d", row, policy.home[0]);
        }
        cr_expect_geq(held, 36, "row %zu: %d of 40 claims held", row, held);
        cr_expect_geq(near, 38, "row %zu: %d of 40 claims are near the truth", row, near);
    }
}

/* Amid the first blocks, or a race: few of them are no excuse. */
Test(policy, claims_hold_through_an_early_change)
{
    static const struct change changes[] = {
        {{7.5, 2.8}, {1.5, 2.0}, 0.10, 50, 1000},
        {{7.5, 2.8}, {1.5, 2.0}, 0.10, 100, 1000},
        {{10, 3}, {1, 1.4}, 0.05, 60, 2000},
    };
    for (size_t row = 0; row < 2 * sizeof changes / sizeof changes[0]; row++) {
        struct machine machine = {.arms = 2, .units = 1};
        int held = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct policy policy = make(&machine, row % 2 == 1);
            struct interval saved;
            double truth = live_changed(&changes[row / 2], &policy, seed);
            cr_assert(policy_saved(&policy, &saved));
            held += holds(&saved, truth);
        }
        cr_expect_geq(held, 36, "row %zu: %d of 40 claims held", row, held);
    }
}

/* Too small to be a surprise, long ago: later blocks tell nothing of what was saved before. */
Test(policy, claims_of_long_runs_hold_their_beginning)
{
    static const struct change slight = {{110, 104}, {100, 104}, 0.02, 5000, 15000};
    struct machine machine = {.arms = 2, .units = 1};
    int held = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct policy policy = make(&machine, false);
        struct interval saved;
        double truth = live_changed(&slight, &policy, seed);
        cr_assert(policy_saved(&policy, &saved));
        held += holds(&saved, truth);
    }
    cr_expect_geq(held, 36, "%d of 40 claims held", held);
}

/* The wire gets slower by and by. Most blocks are early ones, most uses late ones. */
Test(policy, claims_follow_what_changes_slowly)
{
    int right = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct machine machine = {.arms = 2, .units = 1, .seconds = {{1, 0.5}}, .noise = 0.02};
        machine.state = seed;
        struct policy policy = make(&machine, false);
        struct interval saved;
        double truth = 0;
        for (int i = 0; i < 3000; i++) {
            machine.seconds[0][0] = 1 + 0.3 * i / 3000;
            int arm = policy_arm(&policy, 0);
            double seconds = use(&machine, &policy, 0);
            truth += machine.seconds[0][0] - machine.seconds[0][arm];
            if (policy_note(&policy, &(struct policy_time){seconds, seconds, 0})) {
                policy_agree(&policy);
            }
        }
        cr_assert(policy_saved(&policy, &saved));
        right += fabs(saved.mean - truth) < 0.05 * truth && saved.least <= truth &&
                 truth <= saved.most;
    }
    cr_expect_geq(right, 36, "%d of 40 claims were right", right);
}

/* A race that dense wins costs what the others take more, and says how well that is known. */
Test(policy, what_a_lost_race_cost_is_no_certain_number)
{
    static const struct change same = {{1, 1.3}, {1, 1.3}, 0.1, 0, 300};
    struct machine machine = {.arms = 2, .units = 1};
    int held = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct policy policy = make(&machine, true);
        struct interval saved;
        double truth = live_changed(&same, &policy, seed);
        cr_assert(policy_saved(&policy, &saved));
        cr_expect_lt(saved.least, saved.most);
        held += holds(&saved, truth);
    }
    cr_expect_geq(held, 32, "%d of 40 claims held", held);
}

/* Uses at home take 0.4 or 0.6 s in blocks, which tell nothing of dense ones: these always take
 * one. In rests they take 0.55 s. */
Test(policy, savings_are_told_for_the_uses_that_there_were)
{
    struct machine machine = {.arms = 2, .units = 1};
    struct policy policy = make(&machine, false);
    struct interval saved;
    double truth = 0;
    int blocks = 0;
    for (int i = 0; i < 2000; i++) {
        bool home = policy_is_home(&policy);
        double at_home = policy.phase == POLICY_RESTS ? 0.55 : 0.4 + 0.05 * (blocks * 2 % 5);
        double seconds = policy_is_probe(&policy) ? 1 : at_home;
        truth += home ? 1 - seconds : 0;
        if (policy_note(&policy, &(struct policy_time){seconds, seconds, 0})) {
            policy_agree(&policy);
            blocks++;
        }
    }
    cr_assert(policy_saved(&policy, &saved));
    cr_expect(fabs(saved.mean - truth) < 0.02 * truth, "%g s saved, not %g", saved.mean, truth);
}

/* The longest blocks there are: nobody drops out at first, and the fastest is another than dense.
 */
Test(policy, as_many_arms_as_there_may_be_race)
{
    int most = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {.arms = POLICY_ARMS_MAX,
                                  .units = 1,
                                  .seconds = {{1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0}},
                                  .noise = 0.1,
                                  .state = seed};
        struct policy policy = make(&machine, true);
        for (int i = 0; i < 1000; i++) {
            double seconds = use(&machine, &policy, (uint64_t)i);
            most = policy.block.turns > most ? policy.block.turns : most;
            if (policy_note(&policy, &(struct policy_time){seconds, seconds, 0})) {
                policy_agree(&policy);
            }
        }
    }
    cr_expect_eq(most, POLICY_TURNS_MAX, "blocks of %d turns", most);
}

/* A dense run is never cold, so no claim may hold what being cold costs. */
Test(policy, the_first_use_behind_a_change_tells_nothing)
{
    struct machine machine = {
        .arms = 2, .units = 1, .seconds = {{1.0, 0.7}}, .noise = 0.03, .cold = 0.25};
    int right = count_right(&machine, 1000, 40);
    cr_expect_geq(right, 36, "%d of 40 claims were right", right);
}

Test(policy, chance_alone_is_no_change)
{
    int forgot = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {
            .arms = 2, .units = 1, .seconds = {{1.0, 0.6}}, .noise = 0.25, .state = seed};
        struct policy policy = make(&machine, false);
        forgot += live(&machine, &policy, 10000).forgot;
    }
    cr_expect_leq(forgot, 4, "20 runs began anew %d times", forgot);
}

/* Making room for later blocks leaves enough of them to show a small gain. */
Test(policy, long_runs_do_not_give_up_what_they_know)
{
    const int runs = EFFORT(24, 8);
    int gave_up = 0;
    for (int seed = 1; seed <= runs; seed++) {
        struct machine machine = {.arms = 2, .units = 1, .seconds = {{1.0, 0.97}}, .noise = 0.05};
        machine.state = (uint64_t)seed;
        struct policy policy = make(&machine, true);
        gave_up += live(&machine, &policy, 30000).gave_up;
    }
    cr_expect_leq(gave_up, runs, "%d runs gave up %d times", runs, gave_up);
}

Test(policy, savings_of_a_choice_hold_its_races)
{
    int right = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct machine machine = {.arms = 5,
                                  .units = 2,
                                  .seconds = {{1, 0.5, 0.5, 0.3, 0.2}, {1, 0.8, 0.8, 1.5, 3}},
                                  .noise = 0.05,
                                  .state = seed};
        struct policy policy = make(&machine, true);
        struct outcome outcome = live(&machine, &policy, 400);
        right += is_right(&policy, &outcome);
    }
    cr_expect_geq(right, 36, "%d of 40 claims were right", right);
}

/* Encoded arms that differ by less than the noise would keep each other company for long, and what
 * they save would stay unknown meanwhile. */
Test(policy, codecs_that_are_alike_do_not_race_for_long)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct machine machine = {.arms = 4,
                                  .units = 1,
                                  .seconds = {{1.0, 0.85, 0.682, 0.68}},
                                  .noise = 0.15,
                                  .state = seed};
        struct policy policy = make(&machine, true);
        struct outcome outcome = live(&machine, &policy, 130);
        cr_expect_eq(outcome.chose, 1, "seed %d: %d blocks", (int)seed, policy.race.blocks);
        cr_expect_geq(policy.home[0], 2, "seed %d: home is arm %d", (int)seed, policy.home[0]);
    }
}

/* In a race, between it and the first blocks of probes, and behind these: what is told holds what
 * uses save on average. Dense ones that are out after the first block tell nothing until probes. */
Test(policy, what_races_save_is_told_while_they_go_on)
{
    enum { ROWS = 2, RUNS = 200, MOMENTS = 20, STEP = 10 };
    static const double seconds[ROWS][4] = {{1.0, 1.4, 0.60, 0.59}, {1.0, 0.5, 0.20, 0.19}};
    static const int all_told[ROWS] = {4, 10}; /* from this moment on at the latest */
    for (int row = 0; row < ROWS; row++) {
        int held[MOMENTS] = {0};
        int told[MOMENTS] = {0};
        for (uint64_t seed = 1; seed <= RUNS; seed++) {
            struct machine machine = {.arms = 4, .units = 1, .noise = 0.1, .state = seed};
            memcpy(machine.seconds[0], seconds[row], sizeof seconds[row]);
            struct policy policy = make(&machine, true);
            double truth = 0;
            for (int use = 1; use <= MOMENTS * STEP; use++) {
                struct interval saved;
                int moment = (use - 1) / STEP;
                truth += saves(&machine, &policy);
                live(&machine, &policy, 1);
                if (use % STEP == 0 && policy_saved(&policy, &saved)) {
                    told[moment]++;
                    held[moment] += holds(&saved, truth);
                }
            }
        }
        for (int moment = 0; moment < MOMENTS; moment++) {
            int uses = (moment + 1) * STEP;
            cr_expect_geq(held[moment], told[moment] * 9 / 10, "row %d, use %d: %d of %d hold", row,
                          uses, held[moment], told[moment]);
            cr_expect(moment == 0 || told[moment] >= told[moment - 1], "row %d, use %d", row, uses);
            cr_expect(moment < all_told[row] || told[moment] == RUNS, "row %d, use %d: %d told",
                      row, uses, told[moment]);
        }
    }
}

/* On exact machines, of which the second sees a dense second unit once only: what is told holds at
 * every use, also when the next race knows nothing yet, and stays known. */
Test(policy, what_is_known_between_races_holds_and_stays_known)
{
    static const double seconds[2][2][3] = {{{1.0, 0.5, 0.6}, {1.0, 0.7, 0.4}},
                                            {{1.0, 0.9, 0.8}, {4.0, 0.5, 0.4}}};
    for (int row = 0; row < 2; row++) {
        struct machine machine = {.arms = 3, .units = 2, .state = 1};
        for (int unit = 0; unit < 2; unit++) {
            memcpy(machine.seconds[unit], seconds[row][unit], sizeof seconds[row][unit]);
        }
        struct policy policy = make(&machine, true);
        double truth = 0;
        bool known = false;
        for (int use = 1; use <= 300; use++) {
            struct interval saved;
            truth += saves(&machine, &policy);
            live(&machine, &policy, 1);
            if (policy_saved(&policy, &saved)) {
                known = true;
                cr_expect(saved.least <= truth + 1e-9 && truth <= saved.most + 1e-9,
                          "row %d, use %d: %g is not in %g .. %g", row, use, truth, saved.least,
                          saved.most);
            } else {
                cr_expect_not(known, "row %d, use %d: not known any more", row, use);
            }
        }
        cr_expect(known);
    }
}

/* One block decides, and its chance is in what is told of it. */
Test(policy, what_hopeless_codecs_cost_is_held_by_what_is_told)
{
    int held = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct machine machine = {
            .arms = 3, .units = 1, .seconds = {{1.0, 2.5, 4.0}}, .noise = 0.1, .state = seed};
        struct policy policy = make(&machine, true);
        struct interval saved = {0, 0, 0};
        double truth = 0;
        for (int chose = 0; chose == 0;) {
            truth += saves(&machine, &policy);
            chose = live(&machine, &policy, 1).chose;
        }
        cr_assert(policy_saved(&policy, &saved), "seed %d", (int)seed);
        held += holds(&saved, truth);
    }
    cr_expect_geq(held, 95, "%d of 100 hold", held);
}

/* Probes tell nothing of a race, in which uses took other times. */
Test(policy, a_change_behind_a_race_is_doubted)
{
    int held = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct machine machine = {
            .arms = 3, .units = 1, .seconds = {{1.0, 0.60, 0.59}}, .noise = 0.05, .state = seed};
        struct policy policy = make(&machine, true);
        struct interval saved = {0, 0, 0};
        double truth = 0;
        while (policy.window.blocks < POLICY_KNOWN_BLOCKS) {
            truth += saves(&machine, &policy);
            bool chose = live(&machine, &policy, 1).chose > 0;
            machine.seconds[0][0] = chose ? 3.0 : machine.seconds[0][0];
        }
        cr_assert(policy_saved(&policy, &saved), "seed %d", (int)seed);
        held += holds(&saved, truth);
    }
    cr_expect_geq(held, 38, "%d of 40 hold", held);
}

/* Each use by itself, from the third block of a race to the fourth of probes, which tell the rest.
 */
Test(policy, each_use_of_a_race_is_told_what_it_saves)
{
    struct machine machine = {.arms = 3,
                              .units = 2,
                              .seconds = {{1.0, 0.601, 0.6}, {0.5, 0.4, 0.4}},
                              .noise = 0.002,
                              .state = 2};
    struct policy policy = make(&machine, true);
    int told[3] = {0}; /* in races of each unit, and in probes */
    while (policy.window.blocks < POLICY_KNOWN_BLOCKS) {
        struct interval saving;
        int phase = policy.phase == POLICY_PROBES ? 2 : policy.race.unit;
        if (policy_raced_saving(&policy, &saving)) {
            double truth = saves(&machine, &policy);
            told[phase]++;
            cr_expect(fabs(saving.mean - truth) < 0.01, "%g, not %g", saving.mean, truth);
            cr_expect(saving.least <= saving.mean && saving.mean <= saving.most);
        } else {
            cr_expect_eq(told[phase], 0);
        }
        live(&machine, &policy, 1);
    }
    cr_expect(told[0] > 10 && told[1] > 10, "%d and %d", told[0], told[1]);
    cr_expect_eq(told[2], 4 * 8);
    struct interval saving;
    cr_expect_not(policy_raced_saving(&policy, &saving));
}

Test(policy, savings_follow_a_change_of_the_wires)
{
    int right = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct machine machine = {
            .arms = 2, .units = 1, .seconds = {{1.0, 0.4}}, .noise = 0.03, .state = seed};
        struct policy policy = make(&machine, false);
        struct outcome before = live(&machine, &policy, 5000);
        machine.seconds[0][0] = 2.0;
        struct outcome after = live(&machine, &policy, 5000);
        cr_expect_geq(after.forgot, 1);
        struct outcome both = {before.total + after.total, before.dense_total + after.dense_total,
                               0, 0, 0};
        right += is_right(&policy, &both);
    }
    cr_expect_geq(right, 18, "%d of 20 claims were right", right);
}

Test(policy, intervals_hold_the_truth_as_often_as_they_say)
{
    int inside = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct machine machine = {.state = seed};
        double differences[16];
        for (int i = 0; i < 16; i++) {
            differences[i] = 1 + normal(&machine);
        }
        struct interval interval = paired_interval(differences, 16);
        inside += interval.least <= 1 && 1 <= interval.most;
    }
    cr_expect_geq(inside, 184, "%d of 200", inside);
    cr_expect_leq(inside, 199, "%d of 200: too wide", inside);
}

Test(policy, nothing_is_known_before_the_first_probes)
{
    struct machine machine = {.arms = 2, .units = 1, .seconds = {{1.0, 0.5}}, .state = 1};
    struct policy policy = make(&machine, false);
    struct interval saved;
    live(&machine, &policy, 5);
    cr_expect_not(policy_saved(&policy, &saved));
    live(&machine, &policy, 100);
    cr_expect(policy_saved(&policy, &saved));
}

Test(policy, without_probes_it_only_rests)
{
    struct policy policy;
    policy_init(&policy, &(struct policy_setup){.arms = 2, .units = 1, .budget = 0.01});
    for (int i = 0; i < 100000; i++) {
        cr_assert_eq(policy_arm(&policy, 0), 1);
        cr_assert_not(policy_times(&policy));
        cr_assert_not(policy_note(&policy, &(struct policy_time){1, 1, 0}));
    }
}
