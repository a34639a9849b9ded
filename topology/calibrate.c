/* SPDX-License-Identifier: BSD-3-Clause
 * calibrate.c: spends a budget of time on the levels of a job, the outermost first, and blends what
 * it finds with what was expected. Every decision follows from what all ranks were told. */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_file.h"
#include "internal/gather.h"
#include "internal/log.h"
#include "wire.h"
#include "memory.h"

/* How the budget is divided: the slowest wire decides most. */
#define WEIGHT_OUTERMOST 5
#define WEIGHT_LEVEL 1
#define WEIGHT_MEMORY 3
/* Streams overrun their slots by what is under way. */
#define BUDGET_USED 0.85
/* A second look at what seems slow: of the first one's share. */
#define AGAIN_SHARE 0.4
/* No round is worth less than that. */
#define ROUND_LEAST_S 0.004

/* Earlier results are looked at for so long, and believed when they are so near and no unit is
 * slower than its like: wires between hosts repeat themselves; inside a host, 6 ms on cores that
 * others use too say little, and what matters there is found by trying (collectives/tune.c). */
#define SPOT_S 0.006
static const struct {
    double byte, fixed;
} spot_ratio[2] = {{.byte = 2, .fixed = 3}, {.byte = 1.15, .fixed = 1.5}};

/* Relative standard deviation of an expectation, by its source. */
static const double sd_byte[COST_SOURCES] = {
    [COST_ASSUMED] = 1.0, [COST_NOMINAL] = 0.25, [COST_GIVEN] = 0.1, [COST_MEASURED] = 0.1};
static const double sd_fixed[COST_SOURCES] = {
    [COST_ASSUMED] = 0.5, [COST_NOMINAL] = 0.5, [COST_GIVEN] = 0.1, [COST_MEASURED] = 0.1};

#define SPREAD_LEAST 0.02
#define FIXED_SPREAD_LEAST 0.15 /* naps, interrupts, who comes last */
#define SPREAD_MOST 0.5

struct job {
    const struct calibration_setup *setup;
    struct meter meter;
    uint64_t begin_ns;
    double spent_s;        /* when rank 0 had done the latest part */
    double weight;         /* of what is still to be measured */
    struct wires expected; /* rank 0's */
    struct wires kept;     /* from the file */
    bool has_kept;
    struct wire_record *records;  /* [size] */
    struct wire_record *again;    /* [size] */
    struct memory_record *memory; /* [size] */
};

/* What every rank says first; rank 0's counts. */
struct opening {
    struct wires expected;
    struct wires kept;
    bool has_kept;
};

static double seconds_since_begin(const struct job *job)
{
    return (double)(job->setup->clock_ns() - job->begin_ns) * 1e-9;
}

static bool has_file(const struct calibration_setup *setup)
{
    return setup->topology->rank == 0 && setup->file != NULL && setup->file[0] != '\0';
}

static enum ww_status agree_on_begin(struct job *job, const struct wires *wires)
{
    const struct calibration_setup *setup = job->setup;
    struct opening *all = calloc((size_t)setup->topology->size + 1, sizeof *all);
    if (all == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", setup->topology->size);
    }
    struct opening *own = &all[setup->topology->size];
    own->expected = *wires;
    own->kept = *wires;
    own->has_kept = has_file(setup) &&
                    calibration_read(setup->file, setup->fingerprint, &own->kept);
    enum ww_status status = meter_gather(&job->meter, own, all, sizeof *own);
    if (status == WW_OK) {
        job->expected = all[0].expected;
        job->kept = all[0].kept;
        job->has_kept = all[0].has_kept;
    }
    free(all);
    return status;
}

/* ---- One level ------------------------------------------------------------------------------ */

/* Measures, and gathers what all ranks noted. */
static enum ww_status measure_together(struct job *job, const struct wire_plan *plan,
                                       struct wire_record *records)
{
    struct wire_record own;
    enum ww_status status = wire_measure(&job->meter, plan, &own);
    if (status != WW_OK) {
        return status;
    }
    own.spent_s = seconds_since_begin(job);
    status = meter_gather(&job->meter, &own, records, sizeof own);
    job->spent_s = records[0].spent_s;
    return status;
}

/* Takes its part of what is left of the budget. */
static double share_of(struct job *job, double weight)
{
    double left = BUDGET_USED * job->setup->budget_s - job->spent_s;
    double share = left > 0 ? left * weight / job->weight : 0;
    job->weight -= weight;
    return share;
}

/* Who seems slow gets a second chance: another program may have been in the way. */
static enum ww_status find_slow(struct job *job, const struct wire_plan *first, int level,
                                struct calibration *calibration)
{
    const struct ground *ground = first->ground;
    struct slow_wire suspects[SLOW_WIRES_MAX];
    struct wire_plan plan = *first;
    int count = 0;
    enum ww_status status = wire_slow(ground, job->records, plan.rounds, level, suspects, &count);
    if (status != WW_OK || count == 0) {
        return status;
    }
    plan.solo = false;
    plan.share_s *= AGAIN_SHARE;
    status = measure_together(job, &plan, job->again);
    if (status == WW_OK) {
        wire_keep_better(job->records, job->again, ground->size, plan.rounds);
        status = wire_slow(ground, job->records, plan.rounds, level, calibration->slow,
                           &calibration->slow_count);
    }
    return status;
}

static double at_most(double value, double limit)
{
    return value < limit ? value : limit;
}

static double between(double least, double value, double most)
{
    return value < least ? least : value > most ? most : value;
}

static void blend_link(const struct link *expected, const struct wire_costs *costs,
                       struct link *link)
{
    double sd = sd_byte[expected->source];
    link->flow.fixed_s = fit_blend(expected->flow.fixed_s, sd_fixed[expected->source],
                                   costs->fixed);
    link->fixed_spread = between(FIXED_SPREAD_LEAST, 2 * costs->fixed.scatter, SPREAD_MOST);
    if (costs->message_s > 0) {
        link->message_s = at_most(costs->message_s, link->flow.fixed_s);
    }
    if (costs->byte_s.samples == 0) {
        return;
    }
    link->flow.byte_s = fit_blend(expected->flow.byte_s, sd, costs->byte_s);
    link->port_byte_s = fit_blend(expected->port_byte_s, sd, costs->port_byte_s);
    if (costs->duplex > 0) {
        link->duplex = between(1, costs->duplex, 2);
    }
    if (costs->core_byte_s > 0) {
        link->core_byte_s = at_most(costs->core_byte_s, link->flow.byte_s);
    }
    if (costs->byte_s.samples > 2) { /* both ends of one stream tell the same */
        link->spread = between(SPREAD_LEAST, 2 * costs->scatter, SPREAD_MOST);
    }
    link->source = COST_MEASURED;
    if (expected->source == COST_NOMINAL || expected->source == COST_GIVEN) {
        link->health = expected->flow.byte_s / costs->byte_s.value;
    }
}

/* How many rounds there is time for; two at least, so that each unit is seen with more than one
 * partner. */
static int rounds_of(const struct ground *ground, double share_s)
{
    int rounds = rounds_count(ground_teams_max(ground));
    double room = share_s / ROUND_LEAST_S;
    if (!ground->wire) {
        rounds = rounds < SOLO_ROUNDS ? rounds
                                      : SOLO_ROUNDS; /* nobody looks for slow pairs there */
    }
    return room >= rounds ? rounds : room > 2 ? (int)room : 2;
}

static enum ww_status measure_level(struct job *job, const struct ground *ground, int level,
                                    double weight, struct wires *wires,
                                    struct calibration *calibration)
{
    struct wire_plan plan = {.ground = ground, .solo = true, .ports = true};
    struct wire_costs costs;
    plan.share_s = share_of(job, weight);
    plan.rounds = rounds_of(ground, plan.share_s);
    plan.byte_s = job->expected.link[level].flow.byte_s;
    enum ww_status status = measure_together(job, &plan, job->records);
    if (status == WW_OK && ground->wire && ground_teams_max(ground) > 2) {
        status = find_slow(job, &plan, level, calibration);
    }
    if (status == WW_OK) {
        status = wire_costs(ground, job->records, plan.rounds, &costs);
    }
    if (status == WW_OK) {
        blend_link(&job->expected.link[level], &costs, &wires->link[level]);
    }
    return status;
}

/* ---- Earlier results ------------------------------------------------------------------------ */

static bool is_near(double a, double b, double ratio)
{
    return a > 0 && b > 0 && a < b * ratio && b < a * ratio;
}

static enum ww_status check_level(struct job *job, const struct ground *ground, int level,
                                  double share_s, bool *good)
{
    const struct link *kept = &job->kept.link[level];
    struct wire_plan plan = {.ground = ground, .rounds = 1, .solo = true, .share_s = share_s};
    struct wire_costs costs;
    bool several = ground->wire && ground_teams_max(ground) > 2;
    plan.byte_s = kept->flow.byte_s;
    plan.rounds = several ? 2 : 1; /* where their number is odd, one unit rests in each */
    enum ww_status status = measure_together(job, &plan, job->records);
    if (status == WW_OK) {
        status = wire_costs(ground, job->records, plan.rounds, &costs);
    }
    if (status == WW_OK) {
        *good = *good &&
                is_near(costs.byte_s.value, kept->flow.byte_s, spot_ratio[ground->wire].byte) &&
                is_near(costs.fixed.value, kept->flow.fixed_s, spot_ratio[ground->wire].fixed) &&
                (!several || SLOW_RATIO * costs.slowest_byte_s <= kept->flow.byte_s);
    }
    return status;
}

static enum ww_status spot_check(struct job *job, const struct ground *grounds, int used,
                                 bool *good)
{
    enum ww_status status = WW_OK;
    *good = true;
    for (int level = job->setup->topology->levels - 1; level >= 0 && status == WW_OK; level--) {
        if (ground_is_used(&grounds[level])) {
            status = check_level(job, &grounds[level], level, SPOT_S / used, good);
        }
    }
    return status;
}

/* ---- Slow wires, in words ------------------------------------------------------------------ */

static const char *unit_name(const struct topology *topology, int level, int unit, char *text,
                             size_t bytes)
{
    int rank = 0;
    while (level > 0 && topology->unit[level - 1][rank] != unit) {
        rank++;
    }
    const char *host = topology->host_name[topology->host_of[level > 0 ? rank : unit]];
    if (level == 0) {
        snprintf(text, bytes, "rank %d", unit);
    } else if (topology->level_kind[level - 1] <= LEVEL_HOST) {
        snprintf(text, bytes, "%s", host);
    } else {
        snprintf(text, bytes, "%s of %s", topology->level_name[level - 1], host);
    }
    return text;
}

#define IMITATED_SLOW "these hosts are imitated: see what else keeps this machine's cores busy"

static void tell_slow(const struct topology *topology, const struct slow_wire *slow)
{
    char one[2 * HOST_NAME_BYTES];
    char other[2 * HOST_NAME_BYTES];
    double gbit_s = 8e-9 / slow->byte_s;
    bool imitated = strcmp(topology->port_name, IMITATED_PORT) == 0;
    unit_name(topology, slow->level, slow->unit, one, sizeof one);
    if (slow->peer < 0) {
        log_warn("link %s <-> switch carries %.3g Gbit/s, its like %.3g (%.0f %%): %s", one, gbit_s,
                 gbit_s / slow->ratio, 100 * slow->ratio,
                 imitated ? IMITATED_SLOW : "check cable, speed and duplex of its port");
    } else {
        log_warn("path %s <-> %s carries %.3g Gbit/s, its like %.3g (%.0f %%): both are faster "
                 "with others%s",
                 one, unit_name(topology, slow->level, slow->peer, other, sizeof other), gbit_s,
                 gbit_s / slow->ratio, 100 * slow->ratio,
                 imitated ? "; " IMITATED_SLOW : ", so check switches and routes between them");
    }
}

/* ---- All of it ------------------------------------------------------------------------------ */

static double weight_of(const struct topology *topology, const struct ground *ground, int level)
{
    if (!ground_is_used(ground)) {
        return 0;
    }
    return level == topology->levels - 1 && topology->hosts > 1 ? WEIGHT_OUTERMOST : WEIGHT_LEVEL;
}

static enum ww_status measure_memory(struct job *job, struct wires *wires)
{
    const struct topology *topology = job->setup->topology;
    enum ww_status status = memory_measure(&job->meter, job->expected.memory.cache_bytes,
                                           share_of(job, WEIGHT_MEMORY), job->memory);
    return status != WW_OK
               ? status
               : memory_costs(topology, job->memory, job->expected.cores, &wires->memory);
}

static enum ww_status measure_all(struct job *job, const struct ground *grounds,
                                  struct wires *wires, struct calibration *calibration)
{
    const struct topology *topology = job->setup->topology;
    enum ww_status status = WW_OK;
    *wires = job->expected;
    job->weight = WEIGHT_MEMORY;
    for (int level = 0; level < topology->levels; level++) {
        job->weight += weight_of(topology, &grounds[level], level);
    }
    for (int level = topology->levels - 1; level >= 0 && status == WW_OK; level--) {
        double weight = weight_of(topology, &grounds[level], level);
        if (weight > 0) {
            status = measure_level(job, &grounds[level], level, weight, wires, calibration);
        }
    }
    return status == WW_OK ? measure_memory(job, wires) : status;
}

static enum ww_status run_job(struct job *job, const struct ground *grounds, struct wires *wires,
                              struct calibration *calibration)
{
    const struct calibration_setup *setup = job->setup;
    job->meter.begin_ns = setup->clock_ns();
    enum ww_status status = agree_on_begin(job, wires);
    int used = 0;
    for (int level = 0; level < setup->topology->levels; level++) {
        used += ground_is_used(&grounds[level]);
    }
    if (status == WW_OK && job->has_kept) {
        status = spot_check(job, grounds, used, &calibration->from_file);
    }
    if (status == WW_OK && calibration->from_file) {
        *wires = job->kept;
    } else if (status == WW_OK) {
        struct wires found;
        status = measure_all(job, grounds, &found, calibration);
        if (status == WW_OK) {
            *wires = found;
        }
    }
    return status;
}

/* What was said while ranks waited for long must not meet those who use the fabric next. All have
 * come through, so the world's gather is as safe as the agreement that follows. */
static enum ww_status settle(struct job *job)
{
    const struct calibration_setup *setup = job->setup;
    int32_t mine = job->meter.says_alive || job->meter.suspect_count > 0;
    bool any = false;
    enum ww_status status = world_gather(setup->world, &mine, setup->votes, sizeof mine);
    for (int rank = 0; rank < setup->topology->size && status == WW_OK; rank++) {
        any = any || setup->votes[rank] != 0;
    }
    return status == WW_OK && any ? meter_settle(&job->meter) : status;
}

static void conclude(const struct job *job, const struct wires *wires,
                     struct calibration *calibration)
{
    const struct calibration_setup *setup = job->setup;
    calibration->spent_s = seconds_since_begin(job);
    for (int i = 0; setup->topology->rank == 0 && i < calibration->slow_count; i++) {
        tell_slow(setup->topology, &calibration->slow[i]);
    }
    /* What is slow is to be told again next time, until it is mended. */
    if (has_file(setup) && !calibration->from_file && calibration->slow_count == 0) {
        calibration_write(setup->file, setup->fingerprint, wires);
    }
}

enum ww_status calibrate(const struct calibration_setup *setup, struct wires *wires,
                         struct calibration *calibration)
{
    const struct topology *topology = setup->topology;
    size_t size = (size_t)topology->size;
    struct ground grounds[WW_LEVELS_MAX] = {{0}};
    struct job job = {.setup = setup, .begin_ns = setup->clock_ns()};
    memset(calibration, 0, sizeof *calibration);
    if (!(setup->budget_s > 0)) {
        return WW_OK;
    }
    enum ww_status status = meter_init(&job.meter, setup);
    job.records = calloc(size, sizeof *job.records);
    job.again = calloc(size, sizeof *job.again);
    job.memory = calloc(size, sizeof *job.memory);
    if (status == WW_OK && (job.records == NULL || job.again == NULL || job.memory == NULL)) {
        status = log_failure(WW_NO_MEMORY, "no memory for what %d ranks measure", topology->size);
    }
    for (int level = 0; level < topology->levels && status == WW_OK; level++) {
        status = ground_init(&grounds[level], topology, level);
    }
    status = topology_all_well(setup->world, topology, status, setup->votes);
    if (status == WW_OK) {
        status = meter_end(&job.meter, run_job(&job, grounds, wires, calibration));
    }
    if (status == WW_OK) {
        status = settle(&job);
    }
    if (status == WW_OK) {
        conclude(&job, wires, calibration);
    }
    for (int level = 0; level < topology->levels; level++) {
        ground_finish(&grounds[level]);
    }
    free(job.memory);
    free(job.again);
    free(job.records);
    meter_finish(&job.meter, status != WW_OK);
    return status;
}
