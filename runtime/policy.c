/* SPDX-License-Identifier: BSD-3-Clause
 * policy.c: races, probes and rests. */
#include "policy.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define PROBE_TURNS 8
#define PROBE_DENSE 3 /* of them */
#define RACE_BLOCKS_LEAST 3
#define RACE_BLOCKS_MOST 16
#define RACE_CODED_MOST 8 /* once dense is out: what is left differs by less than so many tell */
#define PROBE_BLOCKS_MOST 60
#define GAIN_BLOCKS_MOST 16 /* to show that there is a gain at all */
#define HOPELESS 1.5        /* times the best, in the first block: it need not be tried again ... */
#define HOPELESS_DENSE 2.5  /* ... nor this, though others are compared with it */
#define WORSE 1.15          /* times the best, after some blocks */
#define ALIKE 0.01          /* arms that differ less are one as good as the other */
#define SURPRISE 0.15
#define SURPRISE_DEVIATIONS 2.5
#define UNSURE_DEVIATIONS 3.5 /* while it calibrates, ... */
#define UNSURE_BLOCKS 8       /* ... and before there are so many blocks ... */
#define UNSURE_SURPRISE 0.5   /* ... this: few tell little of chance */
#define AS_FAR 0.75    /* of the way to one that lies far off: those beyond are like it; ... */
#define RARE 10        /* ... where there is more than one, and one of so many, it is no surprise */
#define FRESH_MOST 4.0 /* times what uses take: more is a hiccup, when a change is looked for */
#define HICCUP 4.0     /* deviations: as in paired.h */
#define SLOPE_KNOWN_BLOCKS 12
#define HALVED_LEAST 12   /* blocks, of which each half counts for its own uses */
#define SETTLED_BLOCKS 32 /* at once; what stays must show a small gain */
#define TIMED_LEAST 4     /* uses at home a block: fewer say no more than blocks do */
#define CERTAIN 0.07      /* of the saving: known well enough ... */
#define NOTHING 0.005     /* ... or of a dense use: there is nothing to save */
#define REST_LEAST 64
#define REST_MOST ((uint64_t)1 << 20)
#define PATIENCE_LEAST 512
#define SURPRISED_REST 8
#define LOOK_LEAST 64     /* uses at home between two looks, ... */
#define LOOK_LEAST_S 0.02 /* ... which take so long: a look is a small collective */
#define TWO_SIDED_95 2.0  /* standard deviations, about */
/* Before a block that is to make sure, and one more for every two there were. */
#define UNCERTAIN_REST 12
/* Before the third block of a race and the fourth one of probes: so the first ones do not all meet
 * the same of what is periodic. Before later ones of a race up to so many by chance, ... */
#define RACE_STRAY 2
#define FOURTH_REST RACE_STRAY
#define STRAY 7 /* ... and rests are up to so many uses shorter or longer */

static const struct interval nothing = {0, 0, 0};

/* ---- Blocks --------------------------------------------------------------------------------- */

static void add_turn(struct policy_block *block, int arm, bool warms)
{
    assert(block->turns < POLICY_TURNS_MAX);
    block->arm[block->turns] = arm;
    block->warms[block->turns++] = warms;
}

/* A use that counts, behind those that do not where another arm was before. Dense ones come back
 * behind two, too: so each arm counts in an even and in an odd place, and uses that take long by
 * turns take as long for all of them. */
static void add_race_turns(struct policy *policy, int arm)
{
    struct policy_block *block = &policy->block;
    int before = block->turns > 0 ? block->arm[block->turns - 1] : POLICY_HOME;
    int warm = before == arm ? 0 : before == 0 || (arm == 0) != (before < 0) ? 2 : 1;
    if (policy->race.blocks <= 0) { /* the first block only finds what is hopeless */
        warm = 0;
    }
    for (; warm > 0; warm--) {
        add_turn(block, arm, true);
    }
    add_turn(block, arm, false);
}

static bool is_live(const struct policy *policy, int arm)
{
    return (policy->race.live >> arm & 1) != 0;
}

static int fastest(const struct policy *policy)
{
    int best = -1;
    for (int arm = 0; arm < policy->setup.arms; arm++) {
        if (is_live(policy, arm) &&
            (best < 0 || policy->race.mean[arm] < policy->race.mean[best])) {
            best = arm;
        }
    }
    return best;
}

/* Turns that do not count, of the arm that costs least, so that blocks do not lie evenly. */
static void add_race_rest(struct policy *policy)
{
    uint32_t uses = 0;
    if (policy->race.blocks == RACE_BLOCKS_LEAST - 1) {
        uses = RACE_STRAY;
    } else if (policy->race.blocks >= RACE_BLOCKS_LEAST) {
        uses = paired_chance(&policy->drawn) % (RACE_STRAY + 1);
    }
    for (; uses > 0; uses--) {
        add_turn(&policy->block, fastest(policy), true);
    }
}

/* All live arms, forward and back: of a drift that is even in time each gets the same. */
static void begin_race_block(struct policy *policy)
{
    int arms = policy->setup.arms;
    policy->block = (struct policy_block){.counts = policy->race.blocks >= 0};
    add_race_rest(policy);
    for (int i = 0; i < (policy->block.counts ? 2 * arms : arms); i++) {
        int arm = i < arms ? i : 2 * arms - 1 - i;
        if (is_live(policy, arm)) {
            add_race_turns(policy, arm);
        }
    }
}

static void begin_probe_block(struct policy *policy)
{
    static const int turns[PROBE_TURNS] = {POLICY_HOME, POLICY_HOME, 0,           0,
                                           0,           POLICY_HOME, POLICY_HOME, POLICY_HOME};
    static const bool warms[PROBE_TURNS] = {false, true, true, false, false, true, true, false};
    policy->phase = POLICY_PROBES;
    policy->block = (struct policy_block){.turns = PROBE_TURNS, .counts = true};
    memcpy(policy->block.arm, turns, sizeof turns);
    memcpy(policy->block.warms, warms, sizeof warms);
}

static double block_least(const struct policy_block *block, int arm)
{
    double least = INFINITY;
    for (int i = 0; i < block->turns; i++) {
        if (block->arm[i] == arm && !block->warms[i] && block->seconds[i] < least) {
            least = block->seconds[i];
        }
    }
    return least;
}

/* Of seconds[turns], the mean of an arm's turns that count. */
static double block_mean(const struct policy_block *block, const double *seconds, int arm)
{
    double sum = 0;
    int turns = 0;
    for (int i = 0; i < block->turns; i++) {
        if (block->arm[i] == arm && !block->warms[i]) {
            sum += seconds[i];
            turns++;
        }
    }
    return sum / turns;
}

/* All units, or all but one of them, are dense at home. */
static bool others_dense(const struct policy *policy, int but)
{
    for (int unit = 0; unit < policy->setup.units; unit++) {
        if (unit != but && policy->home[unit] != 0) {
            return false;
        }
    }
    return true;
}

static bool all_dense(const struct policy *policy)
{
    return others_dense(policy, -1);
}

/* About so many uses, more than STRAY. */
static void rest_about(struct policy *policy, uint64_t uses)
{
    policy->phase = POLICY_RESTS;
    policy->rest = uses - STRAY + paired_chance(&policy->drawn) % (2 * STRAY + 1);
}

static void rest(struct policy *policy, double uses)
{
    rest_about(policy, uses < REST_LEAST  ? REST_LEAST
                       : uses > REST_MOST ? REST_MOST
                                          : (uint64_t)uses);
}

static void add_interval(struct interval *into, const struct interval *more, double times)
{
    into->mean += more->mean * times;
    into->least += more->least * times;
    into->most += more->most * times;
}

static void shift(struct interval *interval, double more)
{
    interval->mean += more;
    interval->least += more;
    interval->most += more;
}

static void remember(struct policy *policy, const struct interval *saving, double uses)
{
    add_interval(&policy->past, saving, uses);
    policy->past_known = true;
}

/* ---- Races ---------------------------------------------------------------------------------- */

static void begin_race(struct policy *policy, int unit)
{
    policy->phase = POLICY_RACES;
    policy->race = (struct policy_race){.unit = unit,
                                        .live = (1U << policy->setup.arms) - 1,
                                        .blocks = -1}; /* the first one warms up */
    begin_race_block(policy);
}

/* How much longer `arm` takes than `best`, by the first blocks, in which both were live. */
static struct interval difference(const struct policy *policy, int arm, int best, int blocks)
{
    double differences[POLICY_BLOCKS_MAX];
    const struct policy_race *race = &policy->race;
    for (int i = 0; i < blocks; i++) {
        differences[i] = race->seconds[arm][i] - race->seconds[best][i];
    }
    return paired_interval(differences, blocks);
}

/* In every block, so that a hiccup alone says nothing. */
static bool is_always_worse(const struct policy *policy, int arm, int best)
{
    const struct policy_race *race = &policy->race;
    for (int i = 0; i < race->blocks; i++) {
        if (race->seconds[arm][i] <= WORSE * race->seconds[best][i]) {
            return false;
        }
    }
    return true;
}

static bool drops_out(const struct policy *policy, int arm, int best)
{
    const struct policy_race *race = &policy->race;
    double ratio = race->mean[arm] / race->mean[best];
    if (race->blocks <
        RACE_BLOCKS_LEAST) { /* a mean of few may hold a hiccup, the least does not */
        double hopeless = arm == 0 ? HOPELESS_DENSE : HOPELESS;
        return block_least(&policy->block, arm) > hopeless * race->mean[best];
    }
    struct interval more = difference(policy, arm, best, race->blocks);
    bool alike = arm != 0 && best != 0 && race->blocks >= 2 * RACE_BLOCKS_LEAST &&
                 fabs(ratio - 1) < ALIKE;
    return more.least > 0 || alike || is_always_worse(policy, arm, best);
}

static void note_race_block(struct policy *policy)
{
    struct policy_race *race = &policy->race;
    for (int arm = 0; arm < policy->setup.arms; arm++) {
        if (is_live(policy, arm)) {
            race->seconds[arm][race->blocks] = block_mean(&policy->block, policy->block.seconds,
                                                          arm);
            race->seen[arm] = race->blocks + 1;
            race->mean[arm] = paired_mean(race->seconds[arm], race->seen[arm]);
        }
    }
    race->blocks++;
}

/* Another arm than dense must be faster beyond the noise. */
static int winner_of(const struct policy *policy)
{
    int best = fastest(policy);
    if (best == 0 || !is_live(policy, 0)) {
        return best;
    }
    return difference(policy, 0, best, policy->race.blocks).least > 0 ? best : 0;
}

/* How much less a use of `arm` takes than one of `other`, by this race. One block, or the one that
 * warms up, may be off by as much as it tells; before, a use may save or cost what one takes. */
static struct interval advantage(const struct policy *policy, int arm, int other)
{
    const struct policy_race *race = &policy->race;
    double mean = race->mean[other] - race->mean[arm];
    int blocks = race->seen[arm] < race->seen[other] ? race->seen[arm] : race->seen[other];
    if (arm == other) {
        return nothing;
    }
    if (race->blocks < 0) {
        const struct policy_race *ended = &policy->ended;
        double usual = ended->mean[policy->home[ended->unit]];
        return (struct interval){0, -usual, usual};
    }
    if (blocks <= 1) {
        return (struct interval){mean, mean - fabs(mean), mean + fabs(mean)};
    }
    struct interval more = difference(policy, other, arm, blocks);
    return (struct interval){mean, mean - (more.mean - more.least), mean + (more.most - more.mean)};
}

/* What a use at home in all units but this one saves, by their races. */
static struct interval gain_beside(const struct policy *policy, int but)
{
    struct interval gain = nothing;
    for (int unit = 0; unit < policy->setup.units; unit++) {
        if (unit != but) {
            add_interval(&gain, &policy->gain[unit], 1);
        }
    }
    return gain;
}

/* What this race's uses saved, by it alone; other units were at home meanwhile. */
static void add_race(const struct policy *policy, struct interval *saved)
{
    const struct policy_race *race = &policy->race;
    struct interval others = gain_beside(policy, race->unit);
    for (int arm = 0; arm < policy->setup.arms; arm++) {
        struct interval own = advantage(policy, arm, 0);
        add_interval(&own, &others, 1);
        add_interval(saved, &own, (double)race->uses[arm]);
    }
}

/* This race's uses, and those of races before it, in which its unit was where it was at home. Those
 * that were dense throughout saved nothing, whatever is found out. */
static void note_race(struct policy *policy, int home_before)
{
    const struct policy_race *race = &policy->race;
    struct policy_raced *raced = &policy->raced;
    int home = policy->home[race->unit];
    struct interval before = advantage(policy, home, home_before);
    add_race(policy, &raced->alone);
    add_interval(&raced->less, &before, (double)raced->uses);
    for (int arm = others_dense(policy, race->unit) ? 1 : 0; arm < policy->setup.arms; arm++) {
        struct interval less = advantage(policy, home, arm);
        add_interval(&raced->less, &less, (double)race->uses[arm]);
        raced->uses += race->uses[arm];
    }
    raced->tells |= race->seen[0] >= RACE_BLOCKS_LEAST;
    policy->gain[race->unit] = advantage(policy, home, 0);
}

/* Uses of races that count from here on as if they had been at home, where a use saves `saving`:
 * what they saved less is charged. Where the races themselves told otherwise times changed since,
 * and either may be right. */
static uint64_t settle_raced(struct policy *policy, const struct interval *saving)
{
    const struct policy_raced *raced = &policy->raced;
    const struct interval *alone = &raced->alone;
    struct interval saved = {-raced->less.mean, -raced->less.most, -raced->less.least};
    struct interval all = saved;
    uint64_t uses = raced->uses;
    add_interval(&all, saving, (double)uses);
    if (all.least > alone->most) {
        saved.least -= all.least - alone->least;
    } else if (all.most < alone->least) {
        saved.most += alone->most - all.most;
    }
    remember(policy, &saved, 1);
    policy->raced = (struct policy_raced){.uses = 0};
    return uses;
}

/* The rest between races that choose nothing: half of the budget, and longer each time. */
static void rest_dense(struct policy *policy)
{
    const struct policy_race *race = &policy->race;
    double lost = 0;
    for (int arm = 1; arm < policy->setup.arms; arm++) {
        double more = race->mean[arm] - race->mean[0];
        lost += more > 0 ? more * (double)race->uses[arm] : 0;
    }
    double uses = race->mean[0] > 0 ? lost / (policy->setup.budget / 2 * race->mean[0]) : 0;
    rest(policy, fmax(uses, (double)policy->patience));
    policy->patience = policy->patience < REST_MOST ? 2 * policy->patience : REST_MOST;
}

static void begin_window(struct policy *policy)
{
    policy->window = (struct policy_window){.blocks = 0};
    policy->calibrating = true;
    policy->surprises = 0;
    policy->look = LOOK_LEAST;
    begin_probe_block(policy);
}

static enum policy_news end_race(struct policy *policy)
{
    int unit = policy->race.unit;
    int home_before = policy->home[unit];
    policy->home[unit] = winner_of(policy);
    note_race(policy, home_before);
    policy->ended = policy->race;
    policy->chosen = unit + 1 == policy->setup.units;
    if (unit + 1 < policy->setup.units) {
        begin_race(policy, unit + 1);
    } else if (all_dense(policy)) {
        settle_raced(policy, &nothing);
        rest_dense(policy);
    } else {
        policy->patience = PATIENCE_LEAST;
        begin_window(policy);
    }
    return POLICY_CHOSE;
}

static enum policy_news agree_race(struct policy *policy)
{
    struct policy_race *race = &policy->race;
    if (!policy->block.counts) {
        for (int arm = 0; arm < policy->setup.arms; arm++) {
            race->mean[arm] = block_mean(&policy->block, policy->block.seconds, arm);
        }
        race->blocks = 0;
        begin_race_block(policy);
        return POLICY_NO_NEWS;
    }
    note_race_block(policy);
    int best = fastest(policy);
    for (int arm = 0; arm < policy->setup.arms; arm++) {
        if (arm != best && is_live(policy, arm) && drops_out(policy, arm, best)) {
            race->live &= ~(1U << arm);
        }
    }
    bool alone = race->live == 1U << best;
    if (alone || race->blocks >= (is_live(policy, 0) ? RACE_BLOCKS_MOST : RACE_CODED_MOST)) {
        return end_race(policy);
    }
    begin_race_block(policy);
    return POLICY_NO_NEWS;
}

/* ---- Probes --------------------------------------------------------------------------------- */

/* Beyond what chance makes of blocks that take as long as ever, and where hardly any of them was:
 * what comes now and then, as work of every fifth use does, is no change. */
static bool is_far(double seconds, const double *known, int count, double share, double deviations)
{
    double mean = paired_mean(known, count);
    double far = seconds - mean;
    if (fabs(far) <= fmax(share * seconds, deviations * paired_deviation(known, count))) {
        return false;
    }
    int alike = 0;
    for (int i = 0; i < count; i++) {
        alike += (known[i] - mean) / far >= AS_FAR;
    }
    return alike <= 1 + count / RARE;
}

/* Noise that keeps it calibrating makes many blocks, of which some lie far off by chance. */
static bool is_surprise(const struct policy *policy, double home, double dense)
{
    const struct policy_window *window = &policy->window;
    bool unsure = policy->calibrating;
    double deviations = unsure ? UNSURE_DEVIATIONS : SURPRISE_DEVIATIONS;
    double share = unsure && window->blocks < UNSURE_BLOCKS ? UNSURE_SURPRISE : SURPRISE;
    return window->blocks >= POLICY_KNOWN_BLOCKS &&
           (is_far(home, window->home, window->blocks, share, deviations) ||
            is_far(dense, window->dense, window->blocks, share, deviations));
}

/* What came behind `mark`. */
static struct policy_mark later(const struct policy_mark *now, const struct policy_mark *mark)
{
    return (struct policy_mark){now->home_uses - mark->home_uses, now->timed_s - mark->timed_s,
                                now->timed_uses - mark->timed_uses};
}

/* Keeps the latest `count` blocks. */
static void shorten(struct policy_window *window, int count)
{
    int drop = window->blocks - count;
    struct policy_mark past = window->marks[drop - 1];
    memmove(window->home, window->home + drop, (size_t)count * sizeof *window->home);
    memmove(window->dense, window->dense + drop, (size_t)count * sizeof *window->dense);
    memmove(window->own, window->own + drop, (size_t)count * sizeof *window->own);
    memmove(window->owns, window->owns + drop, (size_t)count * sizeof *window->owns);
    for (int i = 0; i < count; i++) {
        window->marks[i] = later(&window->marks[i + drop], &past);
    }
    window->blocks = count;
}

/* By all blocks of the window: two at least. */
static struct interval saving_of(const struct policy_window *window)
{
    double differences[POLICY_BLOCKS_MAX];
    for (int i = 0; i < window->blocks; i++) {
        differences[i] = window->dense[i] - window->home[i];
    }
    return paired_interval(differences, window->blocks);
}

/* A use at home, as it counts where those in blocks are compared with all others: a hiccup as if it
 * lay at the end of what is usual. What comes often is cut alike on both sides. */
static double usual(const struct policy_window *window, double seconds)
{
    return fmin(fmax(seconds, window->own_least_s), window->own_most_s);
}

static double usual_of_block(const struct policy_window *window, int block)
{
    const double *owns = window->owns[block];
    return (usual(window, owns[0]) + usual(window, owns[1])) / 2;
}

static double usual_mean(const struct policy_window *window, int blocks)
{
    double sum = 0;
    for (int i = 0; i < blocks; i++) {
        sum += usual_of_block(window, i);
    }
    return sum / blocks;
}

/* What uses at home are compared with, as policy_saving needs it. A block's mean of two deviates
 * less than one use does. */
static void learn_homes(struct policy_window *window)
{
    double differences[POLICY_BLOCKS_MAX];
    double reach = HICCUP * sqrt(2) * paired_deviation(window->own, window->blocks);
    double slope = paired_slope(window->home, window->dense, window->blocks);
    window->shared = fmin(fmax(slope, 0), 1);
    window->own_mean = paired_mean(window->own, window->blocks);
    window->home_s = paired_mean(window->home, window->blocks);
    window->own_least_s = window->own_mean - reach;
    window->own_most_s = window->own_mean + reach;
    window->usual_s = usual_mean(window, window->blocks);
    for (int i = 0; i < window->blocks; i++) {
        differences[i] = window->dense[i] - window->home[i] +
                         (1 - window->shared) * (usual_of_block(window, i) - window->usual_s);
    }
    window->told = paired_interval(differences, window->blocks);
    /* The slope is fitted to the same blocks: few of them make no interval narrower. */
    double half = (window->saving.most - window->saving.least) / 2;
    if (window->blocks < SLOPE_KNOWN_BLOCKS) {
        window->told.least = fmin(window->told.least, window->told.mean - half);
        window->told.most = fmax(window->told.most, window->told.mean + half);
    }
}

/* Seconds are 0 where they were not timed. */
static void count_use(struct policy_uses *uses, double seconds, double most)
{
    uses->count++;
    uses->seconds += fmin(seconds, most);
    uses->timed += seconds > 0;
}

static double mean_of(const struct policy_uses *uses, double otherwise)
{
    return uses->timed > 0 ? uses->seconds / (double)uses->timed : otherwise;
}

static void time_home(struct policy_window *window, double seconds)
{
    window->uses++;
    window->since.home_uses++;
    count_use(&window->fresh, seconds, FRESH_MOST * window->own_mean);
    count_use(&window->seen, seconds, FRESH_MOST * window->own_mean);
    if (seconds > 0 && window->blocks >= POLICY_KNOWN_BLOCKS) {
        window->since.timed_s += usual(window, seconds);
        window->since.timed_uses++;
    }
}

/* What uses at home saved beyond what blocks tell, or less, as they took other times: `usual_s` in
 * the blocks. Where few were timed nothing is known of that. */
static double beyond(const struct policy_window *window, double usual_s, int blocks,
                     const struct policy_mark *timed)
{
    return timed->timed_uses < TIMED_LEAST * (uint64_t)blocks
               ? 0
               : (1 - window->shared) * (usual_s - timed->timed_s / (double)timed->timed_uses);
}

struct interval policy_saving(const struct policy *policy)
{
    const struct policy_window *window = &policy->window;
    struct interval told = window->told;
    shift(&told, beyond(window, window->usual_s, window->blocks, &window->since));
    return told;
}

/* Uses up to the oldest `count` blocks count at what these tell, as later ones tell of later
 * uses. */
static void settle_oldest(struct policy *policy, int count)
{
    struct policy_window *window = &policy->window;
    int blocks = window->blocks;
    struct policy_mark past = window->marks[count - 1];
    window->blocks = count;
    struct interval oldest = saving_of(window);
    window->blocks = blocks;
    shift(&oldest, beyond(window, usual_mean(window, count), count, &past));
    remember(policy, &oldest, (double)past.home_uses);
    shorten(window, blocks - count);
    window->since = later(&window->since, &past);
    window->saving = saving_of(window);
    learn_homes(window);
}

static void note_probe_block(struct policy *policy, double home, double dense)
{
    struct policy_window *window = &policy->window;
    if (window->blocks == POLICY_BLOCKS_MAX) {
        settle_oldest(policy, SETTLED_BLOCKS);
    }
    window->marks[window->blocks] = window->since;
    window->home[window->blocks] = home;
    window->dense[window->blocks] = dense;
    window->own[window->blocks] = block_mean(&policy->block, policy->block.own, POLICY_HOME);
    window->owns[window->blocks][0] = policy->block.own[0];
    window->owns[window->blocks][1] = policy->block.own[PROBE_TURNS - 1];
    window->blocks++;
    if (window->blocks == POLICY_KNOWN_BLOCKS && policy->raced.uses > 0) {
        struct interval saving = saving_of(window);
        uint64_t uses = settle_raced(policy, &saving);
        window->since.home_uses += uses;
        for (int i = 0; i < window->blocks; i++) {
            window->marks[i].home_uses += uses;
        }
    }
    if (window->blocks >= POLICY_KNOWN_BLOCKS) {
        window->saving = saving_of(window);
        learn_homes(window);
    }
}

static void begin_fresh(struct policy_window *window)
{
    window->fresh = (struct policy_uses){.count = 0};
    window->seen = window->fresh;
}

/* How much of the uses since the latest block that fitted was before the change. */
struct share {
    double least, middle, most; /* with 95 % */
};

/* The change is behind all but the last two blocks: how long uses at home took tells when it was,
 * or nothing. Errors of the means before and behind it and of the mean between them add up as they
 * weigh in the quotient. */
static struct share share_before(const struct policy_window *window)
{
    int fitted = window->blocks - 2;
    double before = paired_mean(window->own, fitted);
    double after = (window->own[fitted] + window->own[fitted + 1]) / 2;
    double change = after - before;
    if (window->fresh.timed == 0 || fabs(change) < SURPRISE * before) {
        return (struct share){0, 0.5, 1};
    }
    double middle = fmin(fmax((after - mean_of(&window->fresh, after)) / change, 0), 1);
    double deviation = paired_deviation(window->own, fitted) * fmax(1, after / before);
    double squares = (1 - middle) * (1 - middle) / 2 + middle * middle / fitted +
                     2 / (double)window->fresh.timed; /* a block's mean is of two uses */
    double reach = TWO_SIDED_95 * deviation * sqrt(squares) / fabs(change);
    return (struct share){fmax(middle - reach, 0), middle, fmin(middle + reach, 1)};
}

/* What is not known for certain of uses that count at one saving or another. */
static void doubt(struct policy *policy, double difference, double uses)
{
    policy->past.least -= fabs(difference) * uses;
    policy->past.most += fabs(difference) * uses;
}

/* Uses before the change count at what was known, those behind it at what is found from here on;
 * where homes may become others now, at what the two blocks tell that did not fit. */
static enum policy_news forget(struct policy *policy)
{
    struct policy_window *window = &policy->window;
    struct share before = share_before(window);
    double fresh = (double)window->fresh.count;
    uint64_t behind = window->fresh.count - (uint64_t)(before.middle * fresh);
    window->blocks -= 2; /* those that did not fit */
    struct interval known = saving_of(window);
    window->blocks += 2;
    remember(policy, &known, (double)(window->since.home_uses - behind));
    shorten(window, 2);
    struct interval found = saving_of(window);
    doubt(policy, known.mean - found.mean, (before.most - before.least) / 2 * fresh);
    window->since.timed_s = 0;
    window->since.timed_uses = 0;
    window->uses = window->fresh.count;
    window->since.home_uses = behind;
    policy->surprises = 0;
    policy->looked = false;
    policy->look = LOOK_LEAST;
    if (policy->setup.chooses) {
        remember(policy, &found, (double)behind);
        window->uses = 0;
        window->since.home_uses = 0;
        begin_fresh(window);
        begin_race(policy, 0);
    } else {
        policy->calibrating = true;
        begin_probe_block(policy);
    }
    return POLICY_FORGOT;
}

static enum policy_news give_up(struct policy *policy)
{
    policy->past_known = policy_saved(policy, &policy->past);
    policy->window = (struct policy_window){.blocks = 0};
    memset(policy->home, 0, sizeof policy->home);
    memset(policy->gain, 0, sizeof policy->gain);
    rest(policy, (double)policy->patience);
    policy->patience = policy->patience < REST_MOST ? 2 * policy->patience : REST_MOST;
    return POLICY_GAVE_UP;
}

static bool is_certain(const struct policy *policy)
{
    const struct policy_window *window = &policy->window;
    double half = (window->saving.most - window->saving.least) / 2;
    return window->blocks >= PROBE_BLOCKS_MOST ||
           (window->blocks >= POLICY_KNOWN_BLOCKS &&
            half <= fmax(CERTAIN * fabs(window->saving.mean), NOTHING * policy_dense_s(policy)));
}

/* What is saved most is probed most rarely: no rest is longer than all uses that what is known
 * stands for, or what dense uses take might change unseen for most of a run. */
static void rest_home(struct policy *policy)
{
    double home = policy_home_s(policy);
    double more = PROBE_DENSE * fabs(policy_dense_s(policy) - home);
    double uses = home > 0 ? more / (policy->setup.budget * home) : 0;
    rest(policy, fmin(uses, (double)policy->window.uses));
}

/* Another block, at once or after a while. */
static void make_sure(struct policy *policy)
{
    int blocks = policy->window.blocks;
    if (blocks < POLICY_KNOWN_BLOCKS - 1) {
        begin_probe_block(policy);
    } else if (blocks < POLICY_KNOWN_BLOCKS) {
        policy->phase = POLICY_RESTS;
        policy->rest = FOURTH_REST;
    } else {
        rest_about(policy, UNCERTAIN_REST + (uint64_t)blocks / 2);
    }
}

static enum policy_news agree_probe(struct policy *policy)
{
    struct policy_window *window = &policy->window;
    double home = block_mean(&policy->block, policy->block.seconds, POLICY_HOME);
    double dense = block_mean(&policy->block, policy->block.seconds, 0);
    policy->surprises = is_surprise(policy, home, dense) ? policy->surprises + 1 : 0;
    note_probe_block(policy, home, dense);
    if (policy->surprises >= 2) {
        return forget(policy);
    }
    if (policy->surprises == 1) {
        rest_about(policy, SURPRISED_REST);
        return POLICY_NO_NEWS;
    }
    if (policy->looked) {
        policy->look *= 2; /* uses changed, but not what is compared */
        policy->looked = false;
    }
    begin_fresh(window);
    bool certain = !policy->calibrating || is_certain(policy);
    if (policy->setup.chooses && window->saving.least <= 0 &&
        (certain || window->blocks >= GAIN_BLOCKS_MOST)) {
        return give_up(policy);
    }
    if (!certain) {
        make_sure(policy);
        return POLICY_NO_NEWS;
    }
    policy->calibrating = false;
    rest_home(policy);
    return POLICY_NO_NEWS;
}

/* ---- Looks ---------------------------------------------------------------------------------- */

/* How this rank's uses at home differ from what they took: 1 longer, -1 less long, 0 not. */
static double change_seen(const struct policy_window *window)
{
    double mean = mean_of(&window->seen, window->own_mean);
    bool far = is_far(mean, window->own, window->blocks, SURPRISE, SURPRISE_DEVIATIONS);
    return !far ? 0 : mean > window->own_mean ? 1 : -1;
}

static bool is_due_to_look(const struct policy *policy)
{
    const struct policy_window *window = &policy->window;
    return policy->setup.looks && policy->surprises == 0 && !all_dense(policy) &&
           window->blocks >= POLICY_KNOWN_BLOCKS && window->seen.count >= policy->look &&
           (double)window->seen.count * window->home_s >= LOOK_LEAST_S;
}

/* What is agreed on, the least or the greatest of all ranks' values: only where all say the same
 * is one the other's opposite, and not 0. */
static void begin_look(struct policy *policy)
{
    double seen = change_seen(&policy->window);
    policy->block = (struct policy_block){.turns = 1, .seconds = {seen, -seen}};
}

/* Where all ranks' uses changed, a block shall tell at once what changed. */
static void agree_look(struct policy *policy)
{
    const double *seen = policy->block.seconds;
    policy->window.seen = (struct policy_uses){.count = 0};
    if (seen[0] != 0 && seen[0] == -seen[1]) {
        policy->looked = true;
        begin_probe_block(policy);
    }
}

/* ---- The door ------------------------------------------------------------------------------- */

void policy_init(struct policy *policy, const struct policy_setup *setup)
{
    assert(setup->arms >= 1 && setup->arms <= POLICY_ARMS_MAX);
    assert(setup->units >= 1 && setup->units <= POLICY_UNITS_MAX);
    *policy = (struct policy){.setup = *setup,
                              .rest = UINT64_MAX,
                              .patience = PATIENCE_LEAST,
                              .look = LOOK_LEAST,
                              .calibrating = true};
    for (int unit = 0; unit < setup->units; unit++) {
        policy->home[unit] = setup->chooses ? 0 : setup->arms - 1;
    }
    if (setup->probes && setup->arms > 1) {
        policy->rest = setup->warm_uses > 0 ? setup->warm_uses : 1;
    }
}

int policy_arm(const struct policy *policy, int unit)
{
    int home = policy->home[unit];
    if (policy->phase == POLICY_RESTS) {
        return home;
    }
    int arm = policy->block.arm[policy->block.next];
    if (policy->phase == POLICY_RACES) {
        return unit == policy->race.unit ? arm : home;
    }
    return arm == POLICY_HOME ? home : arm;
}

bool policy_is_home(const struct policy *policy)
{
    return policy->phase != POLICY_RACES && !policy_is_probe(policy) && !all_dense(policy);
}

bool policy_is_probe(const struct policy *policy)
{
    return policy->phase == POLICY_PROBES && policy->block.arm[policy->block.next] == 0;
}

bool policy_is_settled(const struct policy *policy)
{
    bool chosen = !policy->setup.chooses || policy->chosen;
    return policy->phase == POLICY_RESTS && chosen && (all_dense(policy) || !policy->calibrating);
}

bool policy_note(struct policy *policy, const struct policy_time *taken)
{
    struct policy_block *block = &policy->block;
    if (policy_is_home(policy)) {
        time_home(&policy->window, taken->own);
    }
    if (policy->phase == POLICY_RESTS) {
        if (policy->rest != UINT64_MAX && --policy->rest == 0) {
            if (all_dense(policy)) {
                begin_race(policy, 0);
            } else {
                begin_probe_block(policy);
            }
            return false;
        }
        bool looks = is_due_to_look(policy);
        if (looks) {
            begin_look(policy);
        }
        return looks;
    }
    if (policy->phase == POLICY_RACES) {
        policy->race.uses[block->arm[block->next]]++;
    }
    block->own[block->next] = taken->own;
    block->seconds[block->turns + block->next] = taken->meeting;
    block->seconds[block->next++] = taken->seconds;
    if (block->next < block->turns) {
        return false;
    }
    block->next = 0; /* until the ranks agreed */
    return true;
}

enum policy_news policy_agree(struct policy *policy)
{
    struct policy_block *block = &policy->block;
    if (policy->phase == POLICY_RESTS) {
        agree_look(policy);
        return POLICY_NO_NEWS;
    }
    for (int i = 0; i < block->turns; i++) {
        block->seconds[i] -= block->seconds[block->turns + i];
    }
    return policy->phase == POLICY_RACES ? agree_race(policy) : agree_probe(policy);
}

bool policy_raced_saving(const struct policy *policy, struct interval *saving)
{
    bool races = policy->phase == POLICY_RACES;
    int unit = policy->race.unit;
    if (!(races ? policy->race.seen[0] >= RACE_BLOCKS_LEAST : policy->raced.tells)) {
        return false;
    }
    *saving = policy_is_probe(policy) ? nothing : gain_beside(policy, races ? unit : -1);
    if (races) {
        struct interval own = advantage(policy, policy_arm(policy, unit), 0);
        add_interval(saving, &own, 1);
    }
    return true;
}

/* What is known by races before probes told; false where these saw dense uses too rarely. */
static bool saved_by_races(const struct policy *policy, struct interval *saved)
{
    bool races = policy->phase == POLICY_RACES;
    bool seen = races && policy->race.seen[0] >= RACE_BLOCKS_LEAST;
    bool known = policy->past_known || policy->raced.tells || seen;
    uint64_t home_uses = policy->window.since.home_uses;
    if (!known || (home_uses > 0 && !policy->setup.chooses)) {
        return false;
    }
    struct interval gain = gain_beside(policy, -1);
    *saved = policy->past;
    add_interval(saved, &policy->raced.alone, 1);
    add_interval(saved, &gain, (double)home_uses);
    if (races) {
        add_race(policy, saved);
    }
    return true;
}

bool policy_saved(const struct policy *policy, struct interval *saved)
{
    const struct policy_window *window = &policy->window;
    if (window->blocks < POLICY_KNOWN_BLOCKS) {
        return saved_by_races(policy, saved);
    }
    struct policy halves = *policy;
    if (window->blocks >= HALVED_LEAST) {
        settle_oldest(&halves, window->blocks / 2);
    }
    struct interval told = policy_saving(&halves);
    *saved = halves.past;
    add_interval(saved, &told, (double)halves.window.since.home_uses);
    return true;
}

double policy_dense_s(const struct policy *policy)
{
    return policy->window.blocks > 0 ? paired_mean(policy->window.dense, policy->window.blocks) : 0;
}

double policy_home_s(const struct policy *policy)
{
    return policy->window.blocks > 0 ? paired_mean(policy->window.home, policy->window.blocks) : 0;
}
