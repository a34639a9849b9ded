/* SPDX-License-Identifier: BSD-3-Clause
 * load.c: reads plans as asks for wires and cores.
 *
 * Every plan is walked once. What a rank does in one step becomes a tally, equal tallies become
 * one, and steps in which everybody does the same become one stage that counts its repeats: a ring
 * of thousands of steps is a handful of stages. Beside that the bytes through each unit's ports are
 * summed, per step and in all.
 *
 *     ranks x steps -> tallies --+-> stages (how long a segment is on its way)
 *     units x steps -> floods  --+-> totals (how much of it anybody is busy) */
#include "load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

/* All hosts are read while ranks read times ranks stay below this, else some. */
#define READ_MOST ((size_t)1 << 18)
#define HOSTS_READ_MOST 40

/* What a rank does in each step: tally numbers + 1, 0 = nothing. */
struct diary {
    uint32_t steps;
    uint32_t tally[];
};

struct reader {
    const struct topology *topology;
    const struct candidate *candidate;
    struct load *load;
    double parts; /* chunks of the vector */

    int host_count;  /* hosts that are read */
    int *host_index; /* [hosts of the topology] number among them, -1 = not read */

    uint32_t steps; /* so far */
    uint32_t steps_room;
    int rank_count;
    struct diary **diaries; /* [rank_count] */

    int unit_count[WW_LEVELS_MAX];     /* units that are read, of the level below wire l; l >= 1 */
    int *unit_index[WW_LEVELS_MAX];    /* [units of level l - 1] place, -1 = not read */
    double *unit_scale[WW_LEVELS_MAX]; /* all ranks of the unit over those read */
    double *poured[WW_LEVELS_MAX];     /* [steps_room][units][2] chunks out of and into each */
    int *partner[WW_LEVELS_MAX];       /* [units] the unit that each sent to last; -1 = none */

    uint32_t tally_room;
    uint32_t table_mask;
    uint32_t *table; /* tally number + 1 by hash */
};

/* ---- Tallies ------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct tally) % sizeof(uint64_t) == 0, "a tally is hashed in whole words");

static uint64_t hash_tally(const struct tally *tally)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, of words of 64 bits */
    for (size_t i = 0; i < sizeof *tally; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, (const char *)tally + i, sizeof word);
        hash = (hash ^ word ^ word >> 32) * UINT64_C(0x100000001b3); /* doubles end in zeros */
    }
    return hash ^ hash >> 32;
}

static bool grow_table(struct reader *reader)
{
    uint32_t room = reader->tally_room == 0 ? 64 : 2 * reader->tally_room;
    uint32_t *table = calloc(4 * (size_t)room, sizeof *table);
    struct tally *tallies = realloc(reader->load->tallies, room * sizeof *tallies);
    if (tallies != NULL) {
        reader->load->tallies = tallies;
    }
    if (table == NULL || tallies == NULL) {
        free(table);
        return false;
    }
    free(reader->table);
    reader->table = table;
    reader->table_mask = 4 * room - 1;
    reader->tally_room = room;
    for (uint32_t i = 0; i < reader->load->tally_count; i++) {
        uint32_t at = (uint32_t)hash_tally(&tallies[i]) & reader->table_mask;
        while (table[at] != 0) {
            at = (at + 1) & reader->table_mask;
        }
        table[at] = i + 1;
    }
    return true;
}

/* The number of an equal tally, plus 1; 0 without memory. */
static uint32_t number_tally(struct reader *reader, const struct tally *tally)
{
    struct load *load = reader->load;
    if (load->tally_count == reader->tally_room && !grow_table(reader)) {
        return 0;
    }
    uint32_t at = (uint32_t)hash_tally(tally) & reader->table_mask;
    for (; reader->table[at] != 0; at = (at + 1) & reader->table_mask) {
        if (memcmp(&load->tallies[reader->table[at] - 1], tally, sizeof *tally) == 0) {
            return reader->table[at];
        }
    }
    load->tallies[load->tally_count++] = *tally;
    reader->table[at] = load->tally_count;
    return load->tally_count;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

#define ADD(field) into->field += more->field
#define KEEP(field) into->field = larger(into->field, more->field)

static void tally_add(struct tally *into, const struct tally *more, int levels)
{
    ADD(actions), ADD(awaits), ADD(copied), ADD(summed), ADD(far), ADD(vector);
    ADD(fetches), ADD(fetched);
    for (int l = 0; l < levels; l++) {
        ADD(mail[l].messages), ADD(mail[l].flow), ADD(mail[l].out), ADD(mail[l].in);
    }
}

static void tally_keep(struct tally *into, const struct tally *more, int levels)
{
    KEEP(actions), KEEP(awaits), KEEP(copied), KEEP(summed), KEEP(far), KEEP(vector);
    KEEP(fetches), KEEP(fetched);
    for (int l = 0; l < levels; l++) {
        KEEP(mail[l].messages), KEEP(mail[l].flow), KEEP(mail[l].out), KEEP(mail[l].in);
    }
}

/* ---- One rank's plan ----------------------------------------------------------------------- */

/* What moves between a rank and a peer passes the ports of all units that only one of them is in:
 * inside a host those inside, else the host's and those around it. */
static int first_wire(const struct reader *reader, int level)
{
    return level >= reader->load->host_levels ? reader->load->host_levels : 1;
}

static void pour(struct reader *reader, uint32_t step, int rank, int level, double chunks, int way)
{
    for (int wire = first_wire(reader, level); wire <= level; wire++) {
        int unit = reader->unit_index[wire][reader->topology->unit[wire - 1][rank]];
        size_t row = (size_t)step * (size_t)reader->unit_count[wire] + (size_t)unit;
        reader->poured[wire][2 * row + (size_t)way] += chunks;
    }
}

/* Whether units send to one other by these ports, or to several: by those that pour counts. */
static void note_partner(struct reader *reader, int rank, int peer, int level)
{
    for (int wire = first_wire(reader, level); wire <= level; wire++) {
        const int *units = reader->topology->unit[wire - 1];
        int *partner = &reader->partner[wire][reader->unit_index[wire][units[rank]]];
        reader->load->fans[wire] |= *partner >= 0 && *partner != units[peer];
        *partner = units[peer];
    }
}

/* One operand of a local action. */
static void touch(struct reader *reader, const struct plan *plan, uint32_t step,
                  const struct slice *slice, bool writes, struct tally *tally)
{
    double part = slice->count / reader->parts;
    if (slice->seen == 0) {
        tally->vector += slice->slot < SLOT_SCRATCH ? part : 0;
        return;
    }
    int peer = plan->peers_seen[slice->seen - 1];
    int level = topology_level(reader->topology, plan->rank, peer);
    pour(reader, step, plan->rank, level, slice->count, !writes);
    tally->mail[level].out += part; /* reported as sent, see add_planned_bytes */
    if (reader->candidate->algorithm->needs == NEEDS_FETCH) {
        tally->fetched += part;
        tally->fetches++;
        return;
    }
    tally->far += part;
    tally->vector += slice->slot < SLOT_SCRATCH ? part : 0;
}

static void tally_local(struct reader *reader, const struct plan *plan, uint32_t step,
                        const struct action *action, struct tally *tally)
{
    const struct slice *sources = &plan->sources[action->sources];
    double part = action->slice.count / reader->parts;
    tally->actions++;
    for (uint32_t s = 0; s < action->source_count; s++) {
        touch(reader, plan, step, &sources[s], false, tally);
    }
    for (uint32_t s = 0; s < action->also_count; s++) {
        touch(reader, plan, step, &sources[action->source_count + s], true, tally);
    }
    touch(reader, plan, step, &action->slice, true, tally);
    if (action->kind == ACTION_REDUCE) {
        tally->summed += part * action->source_count;
    } else {
        bool fetches = sources[0].seen > 0 && reader->candidate->algorithm->needs == NEEDS_FETCH;
        tally->copied += fetches ? 0 : part;
    }
}

static void tally_message(struct reader *reader, const struct plan *plan, uint32_t step,
                          const struct action *action, struct tally *tally)
{
    int level = topology_level(reader->topology, plan->rank, action->peer);
    bool sends = action->kind == ACTION_SEND;
    double part = action->slice.count / reader->parts;
    struct mail *mail = &tally->mail[level];
    mail->messages++;
    mail->flow = larger(mail->flow, part);
    *(sends ? &mail->out : &mail->in) += part;
    pour(reader, step, plan->rank, level, action->slice.count, !sends);
    if (sends) {
        note_partner(reader, plan->rank, action->peer, level);
    }
}

static void tally_round(struct reader *reader, const struct plan *plan, const struct round *round,
                        struct tally *tally)
{
    const struct action *action = &plan->actions[round->first];
    memset(tally, 0, sizeof *tally); /* compared as bytes */
    tally->awaits = round->awaits > 0;
    action += round->awaits;
    for (uint32_t i = 0; i < round->locals; i++) {
        tally_local(reader, plan, round->step, action++, tally);
    }
    for (uint32_t i = 0; i < round->messages; i++) {
        tally_message(reader, plan, round->step, action++, tally);
    }
}

static bool grow_steps(struct reader *reader, uint32_t steps)
{
    uint32_t room = reader->steps_room == 0 ? 16 : reader->steps_room;
    while (room < steps) {
        room *= 2;
    }
    for (int l = 1; l < reader->load->levels && room > reader->steps_room; l++) {
        size_t width = 2 * (size_t)reader->unit_count[l];
        double *more = realloc(reader->poured[l], room * width * sizeof *more);
        if (more == NULL) {
            return false;
        }
        reader->poured[l] = more;
        memset(more + reader->steps_room * width, 0,
               (room - reader->steps_room) * width * sizeof *more);
    }
    reader->steps_room = room;
    reader->steps = steps > reader->steps ? steps : reader->steps;
    return true;
}

/* What of a first round may go ahead of the gate. */
static void read_ahead(struct load *load, const struct plan *plan, const struct tally *first)
{
    double largest = plan_sends_input_first(plan) ? 0 : HUGE_VAL;
    for (int l = 0; l < load->levels; l++) {
        largest = first->mail[l].flow > largest ? first->mail[l].flow : largest;
    }
    load->ahead = largest > load->ahead ? largest : load->ahead;
}

static bool read_rounds(struct reader *reader, const struct plan *plan, struct diary *diary,
                        struct tally *total)
{
    for (uint32_t r = 0; r < plan->round_count; r++) {
        struct tally tally;
        tally_round(reader, plan, &plan->rounds[r], &tally);
        tally_add(total, &tally, reader->load->levels);
        if (r == 0) {
            read_ahead(reader->load, plan, &tally);
        }
        diary->tally[plan->rounds[r].step] = number_tally(reader, &tally);
        if (diary->tally[plan->rounds[r].step] == 0) {
            return false;
        }
    }
    return true;
}

static enum ww_status write_plan(const struct reader *reader, int rank, struct plan **plan)
{
    const struct candidate *candidate = reader->candidate;
    const struct topology *topology = reader->topology;
    if (candidate->nesting != NEST_NONE) {
        return plan_hierarchical(candidate->algorithm, nesting_of(topology, candidate->nesting),
                                 rank, plan);
    }
    return plan_flat(candidate->algorithm, rank, topology->size, candidate->root, plan);
}

static bool read_plan(struct reader *reader, const struct plan *plan)
{
    struct tally total;
    uint32_t steps = plan->round_count == 0 ? 0 : plan->rounds[plan->round_count - 1].step + 1;
    struct diary *diary = calloc(1, sizeof *diary + steps * sizeof *diary->tally);
    if (diary == NULL) {
        return false;
    }
    reader->diaries[reader->rank_count++] = diary;
    diary->steps = steps;
    reader->parts = plan->parts;
    memset(&total, 0, sizeof total);
    if (!grow_steps(reader, steps) || !read_rounds(reader, plan, diary, &total)) {
        return false;
    }
    struct crew *crew =
        &reader->load->crews[reader->host_index[reader->topology->host_of[plan->rank]]];
    crew->ranks++;
    tally_add(&crew->all, &total, reader->load->levels);
    tally_keep(&crew->busiest, &total, reader->load->levels);
    return true;
}

static enum ww_status no_memory(const struct reader *reader)
{
    return log_failure(WW_NO_MEMORY, "no memory to price the plans of %d ranks",
                       reader->topology->size);
}

static enum ww_status read_ranks(struct reader *reader)
{
    const struct topology *topology = reader->topology;
    for (int rank = 0; rank < topology->size; rank++) {
        struct plan *plan;
        if (reader->host_index[topology->host_of[rank]] < 0) {
            continue;
        }
        log_hold_error(); /* where there is no such plan another way is taken */
        enum ww_status status = write_plan(reader, rank, &plan);
        log_release_error();
        if (status == WW_UNSUPPORTED) {
            reader->load->impossible = true;
            continue;
        }
        bool read = status == WW_OK && read_plan(reader, plan);
        if (status == WW_OK) {
            plan_destroy(plan);
        }
        if (!read) {
            return no_memory(reader);
        }
    }
    return WW_OK;
}

/* ---- Who is read ----------------------------------------------------------------------------- */

static void take_host(struct reader *reader, int host)
{
    if (reader->host_index[host] < 0) {
        reader->host_index[host] = reader->host_count++;
    }
}

/* The first host with most, or with fewest, ranks. */
static int extreme_host(const int *ranks_of, int hosts, bool most)
{
    int found = 0;
    for (int host = 1; host < hosts; host++) {
        bool better = most ? ranks_of[host] > ranks_of[found] : ranks_of[host] < ranks_of[found];
        found = better ? host : found;
    }
    return found;
}

static bool choose_hosts(struct reader *reader)
{
    const struct topology *topology = reader->topology;
    size_t size = (size_t)topology->size;
    int *ranks_of = calloc((size_t)topology->hosts, sizeof *ranks_of);
    reader->host_index = calloc((size_t)topology->hosts, sizeof *reader->host_index);
    if (ranks_of == NULL || reader->host_index == NULL) {
        free(ranks_of);
        return false;
    }
    for (int rank = 0; rank < topology->size; rank++) {
        ranks_of[topology->host_of[rank]]++;
    }
    int most = extreme_host(ranks_of, topology->hosts, true);
    bool all = size * size <= READ_MOST;
    for (int host = 0; host < topology->hosts; host++) {
        reader->host_index[host] = -1;
    }
    take_host(reader, 0);
    take_host(reader, most);
    take_host(reader, extreme_host(ranks_of, topology->hosts, false));
    take_host(reader, topology->hosts - 1);
    for (int host = 1; host < topology->hosts; host = all ? host + 1 : 2 * host) {
        bool room = all || (size_t)(reader->host_count + 1) * (size_t)ranks_of[most] * size <=
                               4 * READ_MOST;
        if (room && (all || reader->host_count < HOSTS_READ_MOST)) {
            take_host(reader, host);
        }
    }
    reader->load->ranks_per_host_max = ranks_of[most];
    free(ranks_of);
    return true;
}

/* Numbers the units below one wire that are read, and says how much of each is. */
static bool choose_units(struct reader *reader, int wire)
{
    const struct topology *topology = reader->topology;
    int units = topology->unit_count[wire - 1];
    int *index = malloc((size_t)units * sizeof *index);
    int *ranks = calloc(2 * (size_t)units, sizeof *ranks);
    double *scale = calloc((size_t)units, sizeof *scale);
    int *partner = malloc((size_t)units * sizeof *partner);
    reader->unit_index[wire] = index;
    reader->unit_scale[wire] = scale;
    reader->partner[wire] = partner;
    if (index == NULL || ranks == NULL || scale == NULL || partner == NULL) {
        free(ranks);
        return false;
    }
    for (int rank = 0; rank < topology->size; rank++) {
        int unit = topology->unit[wire - 1][rank];
        ranks[2 * unit]++;
        ranks[2 * unit + 1] += reader->host_index[topology->host_of[rank]] >= 0;
    }
    for (int unit = 0; unit < units; unit++) {
        bool read = ranks[2 * unit + 1] > 0;
        index[unit] = read ? reader->unit_count[wire] : -1;
        if (read) {
            scale[reader->unit_count[wire]++] = (double)ranks[2 * unit] / ranks[2 * unit + 1];
        }
        partner[unit] = -1;
    }
    free(ranks);
    return true;
}

static bool choose(struct reader *reader)
{
    if (!choose_hosts(reader)) {
        return false;
    }
    for (int wire = 1; wire < reader->load->levels; wire++) {
        if (!choose_units(reader, wire)) {
            return false;
        }
    }
    reader->load->crew_count = reader->host_count;
    reader->load->crews = calloc((size_t)reader->host_count, sizeof *reader->load->crews);
    reader->diaries = calloc((size_t)reader->topology->size, sizeof *reader->diaries);
    return reader->load->crews != NULL && reader->diaries != NULL;
}

/* ---- Stages ---------------------------------------------------------------------------------- */

/* Bytes through the busiest unit of each wire in one step; sums up those of all steps. */
static struct flood flood_of_step(struct reader *reader, uint32_t step, double *const *sums)
{
    struct flood flood;
    memset(&flood, 0, sizeof flood);
    for (int wire = 1; wire < reader->load->levels; wire++) {
        size_t units = (size_t)reader->unit_count[wire];
        const double *poured = &reader->poured[wire][2 * (size_t)step * units];
        for (size_t unit = 0; unit < units; unit++) {
            double scale = reader->unit_scale[wire][unit] / reader->parts;
            flood.out[wire] = larger(flood.out[wire], poured[2 * unit] * scale);
            flood.in[wire] = larger(flood.in[wire], poured[2 * unit + 1] * scale);
            sums[wire][2 * unit] += poured[2 * unit] * scale;
            sums[wire][2 * unit + 1] += poured[2 * unit + 1] * scale;
        }
    }
    return flood;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Different tallies of a step, ascending; returns how many. seen_at[tally] = latest step + 1. */
static uint32_t tallies_of_step(const struct reader *reader, uint32_t step, uint32_t *seen_at,
                                uint32_t *tallies)
{
    uint32_t count = 0;
    for (int r = 0; r < reader->rank_count; r++) {
        const struct diary *diary = reader->diaries[r];
        uint32_t number = step < diary->steps ? diary->tally[step] : 0;
        if (number > 0 && seen_at[number - 1] != step + 1) {
            seen_at[number - 1] = step + 1;
            tallies[count++] = number - 1;
        }
    }
    qsort(tallies, count, sizeof *tallies, compare_numbers);
    return count;
}

static struct stage *find_stage(struct load *load, const struct flood *flood,
                                const uint32_t *tallies, uint32_t count)
{
    for (uint32_t i = load->stage_count; i > 0; i--) {
        struct stage *stage = &load->stages[i - 1];
        if (stage->tally_count == count && memcmp(&stage->flood, flood, sizeof *flood) == 0 &&
            memcmp(&load->stage_tallies[stage->first_tally], tallies, count * sizeof *tallies) ==
                0) {
            return stage;
        }
    }
    return NULL;
}

/* Room behind `used` entries for `more` of them, in steps that double. */
static bool reach(void **array, size_t used, size_t more, size_t entry_bytes)
{
    size_t room = 16;
    while (room < used) {
        room *= 2;
    }
    if (*array != NULL && used + more <= room) {
        return true;
    }
    while (room < used + more) {
        room *= 2;
    }
    void *larger_one = realloc(*array, room * entry_bytes);
    if (larger_one == NULL) {
        return false;
    }
    *array = larger_one;
    return true;
}

static bool add_stage(struct load *load, const struct flood *flood, const uint32_t *tallies,
                      uint32_t count, uint32_t *listed)
{
    struct stage *stage = find_stage(load, flood, tallies, count);
    if (stage != NULL) {
        stage->times++;
        return true;
    }
    if (!reach((void **)&load->stages, load->stage_count, 1, sizeof *load->stages) ||
        !reach((void **)&load->stage_tallies, *listed, count, sizeof *tallies)) {
        return false;
    }
    memcpy(&load->stage_tallies[*listed], tallies, count * sizeof *tallies);
    load->stages[load->stage_count++] = (struct stage){1, *listed, count, *flood};
    *listed += count;
    return true;
}

static bool add_steps(struct reader *reader, double *const *sums, uint32_t *seen_at,
                      uint32_t *tallies)
{
    uint32_t listed = 0;
    for (uint32_t step = 0; step < reader->steps; step++) {
        struct flood flood = flood_of_step(reader, step, sums);
        uint32_t count = tallies_of_step(reader, step, seen_at, tallies);
        if (count > 0 && !add_stage(reader->load, &flood, tallies, count, &listed)) {
            return false;
        }
        reader->load->steps += count > 0;
    }
    return true;
}

static void keep_totals(struct reader *reader, double *const *sums)
{
    struct flood *flood = &reader->load->flood;
    for (int wire = 1; wire < reader->load->levels; wire++) {
        for (int unit = 0; unit < reader->unit_count[wire]; unit++) {
            flood->out[wire] = larger(flood->out[wire], sums[wire][2 * unit]);
            flood->in[wire] = larger(flood->in[wire], sums[wire][2 * unit + 1]);
        }
    }
}

static bool make_stages(struct reader *reader)
{
    double *sums[WW_LEVELS_MAX] = {NULL};
    size_t tallies = (size_t)reader->load->tally_count + 1;
    uint32_t *seen_at = calloc(tallies, sizeof *seen_at);
    uint32_t *list = calloc(tallies, sizeof *list);
    bool made = seen_at != NULL && list != NULL;
    for (int wire = 1; made && wire < reader->load->levels; wire++) {
        sums[wire] = calloc(2 * (size_t)reader->unit_count[wire], sizeof *sums[wire]);
        made = sums[wire] != NULL;
    }
    if (made) {
        made = add_steps(reader, sums, seen_at, list);
        keep_totals(reader, sums);
    }
    for (int wire = 1; wire < reader->load->levels; wire++) {
        free(sums[wire]);
    }
    free(seen_at);
    free(list);
    return made;
}

/* ---- Exported -------------------------------------------------------------------------------- */

static void reader_finish(struct reader *reader)
{
    for (int r = 0; r < reader->rank_count; r++) {
        free(reader->diaries[r]);
    }
    for (int wire = 1; wire < WW_LEVELS_MAX; wire++) {
        free(reader->unit_index[wire]);
        free(reader->unit_scale[wire]);
        free(reader->partner[wire]);
        free(reader->poured[wire]);
    }
    free(reader->diaries);
    free(reader->host_index);
    free(reader->table);
}

enum ww_status load_create(const struct topology *topology, const struct candidate *candidate,
                           struct load **load)
{
    struct load *made = calloc(1, sizeof *made);
    struct reader reader = {.topology = topology, .candidate = candidate, .load = made};
    if (made == NULL) {
        return no_memory(&reader);
    }
    made->size = topology->size;
    made->hosts = topology->hosts;
    made->levels = topology->levels;
    made->host_levels = topology->host_levels;
    made->seen = topology->hierarchy.seen;
    enum ww_status status = choose(&reader) ? read_ranks(&reader) : no_memory(&reader);
    if (status == WW_OK && !make_stages(&reader)) {
        status = no_memory(&reader);
    }
    reader_finish(&reader);
    if (status != WW_OK) {
        load_destroy(made);
        return status;
    }
    *load = made;
    return WW_OK;
}

void load_destroy(struct load *load)
{
    if (load == NULL) {
        return;
    }
    free(load->stages);
    free(load->tallies);
    free(load->stage_tallies);
    free(load->crews);
    free(load);
}
