/* SPDX-License-Identifier: BSD-3-Clause
 * wire.c: one level's rounds: pings and streams of single pairs, then all ports at once. */
#include "wire.h"

#include <string.h>

/* What of a share is spent on streams; the rest goes into pings, and into pieces still under way
 * when a slot is over. */
#define STREAM_SHARE 0.6
#define MEET_SHARE 0.15
#define SLOT_LEAST_S 0.001
#define PIECES_PER_SLOT 16
#define CROWD_SLOTS 2 /* to begin and to end together takes its time */

#define PINGS 30
#define PINGS_WARM 5
#define PINGS_FIRST 3
#define PINGS_FEW 5
#define PING_SHARE 0.15 /* of the level's, at most, where the wire is long */

/* One rank in one round. */
struct visit {
    struct meter *meter;
    const struct wire_plan *plan;
    struct wire_record *record;
    int round;
    int peer;
    bool leads;
    double alone_s; /* a stream's slot */
    double slot_s;  /* the next one's */
    double byte_s;  /* about; of what was seen last */
    double least_s; /* of the latest pings: what no answer is faster than */
};

/* ---- Whose turn it is --------------------------------------------------------------------- */

/* Inside a host, pairs share its cores: only the first one is looked at alone. Wires have ports of
 * their own: the first ranks of all units begin. -1 = the rank waits for nobody. */
static int first_leader(const struct wire_plan *plan, int round, int rank)
{
    const struct ground *ground = plan->ground;
    int group = ground->group[rank];
    if (ground->wire) {
        return ground->by_unit[ground->start[ground->unit[rank]]];
    }
    for (int i = ground->first_team[group]; i < ground->first_team[group + 1]; i++) {
        int first = ground->by_unit[ground->start[ground->by_team[i]]];
        int peer = rounds_peer(ground, plan->rounds, round, first);
        if (peer >= 0 && rounds_leads(ground, first, peer)) {
            return first;
        }
    }
    return -1;
}

static bool is_solo(const struct visit *visit)
{
    const struct wire_plan *plan = visit->plan;
    int rank = visit->meter->setup->topology->rank;
    int leader = visit->leads ? rank : visit->peer;
    return plan->solo && visit->round < SOLO_ROUNDS &&
           first_leader(plan, visit->round, leader) == leader;
}

/* Who streams at the same time as this rank, on the same ports or the same cores. */
static bool is_company(const struct visit *visit, int rank)
{
    const struct wire_plan *plan = visit->plan;
    const struct ground *ground = plan->ground;
    int own = visit->meter->setup->topology->rank;
    return rank != own && ground->group[rank] == ground->group[own] &&
           (!ground->wire || ground->unit[rank] == ground->unit[own]) &&
           rounds_peer(ground, plan->rounds, visit->round, rank) >= 0;
}

/* A number to each of them, or from each. */
static enum ww_status pass_word(const struct visit *visit, bool sends, double word)
{
    enum ww_status status = WW_OK;
    for (int rank = 0; rank < visit->plan->ground->size && status == WW_OK; rank++) {
        if (is_company(visit, rank)) {
            status = sends ? meter_send(visit->meter, rank, &word, sizeof word)
                           : meter_receive(visit->meter, rank, &word, sizeof word);
        }
    }
    return status;
}

/* There and back, so that both ends know that both are ready. */
static enum ww_status pass_word_across(const struct visit *visit, double *word)
{
    enum ww_status status = WW_OK;
    for (int turn = 0; turn < 2 && status == WW_OK; turn++) {
        status = visit->leads == (turn == 0)
                     ? meter_send(visit->meter, visit->peer, word, sizeof *word)
                     : meter_receive(visit->meter, visit->peer, word, sizeof *word);
    }
    return status;
}

/* Streams on the same ports begin together and cut their pieces alike, so that they also end
 * together: the first rank hears that all are there, on both sides, and says how fast it will go.
 */
static enum ww_status begin_together(struct visit *visit)
{
    int own = visit->meter->setup->topology->rank;
    int first = first_leader(visit->plan, visit->round, own);
    if (first == own) {
        enum ww_status status = pass_word(visit, false, 0);
        if (status == WW_OK && visit->plan->ground->wire) {
            status = pass_word_across(visit, &visit->byte_s);
        }
        return status == WW_OK ? pass_word(visit, true, visit->byte_s) : status;
    }
    enum ww_status status = meter_send(visit->meter, first, &visit->byte_s, sizeof(double));
    return status == WW_OK ? meter_receive(visit->meter, first, &visit->byte_s, sizeof(double))
                           : status;
}

/* ---- One pair ------------------------------------------------------------------------------- */

/* A few pings tell how many more there is time for. */
static enum ww_status ping(const struct visit *visit, struct pinged *pinged)
{
    struct ping some = {visit->peer, visit->leads, 1, PINGS_WARM, PINGS_FIRST};
    enum ww_status status = meter_ping(visit->meter, &some, pinged);
    uint64_t times = PINGS;
    if (status != WW_OK) {
        return status;
    }
    if (visit->leads) {
        double room = PING_SHARE * visit->plan->share_s / (2 * pinged->oneway.value + 1e-9);
        times = room < PINGS_FEW ? PINGS_FEW : room > PINGS ? PINGS : (uint64_t)room;
        status = meter_send(visit->meter, visit->peer, &times, sizeof times);
    } else {
        status = meter_receive(visit->meter, visit->peer, &times, sizeof times);
    }
    some.warm = 0;
    some.times = times <= PINGS ? (int)times : PINGS;
    return status != WW_OK ? status : meter_ping(visit->meter, &some, pinged);
}

static enum ww_status stream(struct visit *visit, bool both, int sharers, struct pour *pour)
{
    int pieces = sharers > 1 ? 2 * PIECES_PER_SLOT : PIECES_PER_SLOT;
    double piece = visit->slot_s / (pieces * visit->byte_s * sharers);
    piece = piece > (double)PIECE_BYTES_MAX ? (double)PIECE_BYTES_MAX : piece;
    piece = piece < (double)PIECE_BYTES_MIN ? (double)PIECE_BYTES_MIN : piece;
    struct stream stream = {.peer = visit->peer,
                            .leads = visit->leads,
                            .both = both,
                            .sharers = sharers,
                            .piece_bytes = (size_t)piece,
                            .slot_s = visit->slot_s,
                            .answer_s = 2 * visit->least_s};
    enum ww_status status = meter_stream(visit->meter, &stream, pour);
    if (status == WW_OK && pour_byte_s(pour) > 0) {
        visit->byte_s = pour_byte_s(pour) / sharers;
    }
    return status;
}

/* Where a pair is all there is, the ports show what it does both ways. */
static bool is_crowded(const struct wire_plan *plan)
{
    return plan->ground->units < plan->ground->size ||
           (!plan->ground->wire && ground_teams_max(plan->ground) > 2);
}

static enum ww_status visit_alone(struct visit *visit)
{
    struct wire_record *record = visit->record;
    int round = visit->round;
    struct pinged pinged = {0};
    enum ww_status status = ping(visit, &pinged);
    record->fixed[round] = pinged.oneway;
    record->unrest_s[round] = 2 * (pinged.most_s - pinged.least_s);
    visit->least_s = pinged.least_s;
    if (status == WW_OK) {
        status = stream(visit, false, 1, &record->oneway[round]);
    }
    if (status == WW_OK && round == 0 && visit->plan->ports && is_crowded(visit->plan)) {
        status = stream(visit, true, 1, &record->both[round]);
    }
    return status;
}

static enum ww_status visit_once(struct visit *visit)
{
    const struct wire_plan *plan = visit->plan;
    const struct ground *ground = plan->ground;
    int rank = visit->meter->setup->topology->rank;
    enum ww_status status = WW_OK;
    if (is_solo(visit)) {
        status = visit_alone(visit);
    }
    if (status == WW_OK && plan->ports && is_crowded(plan)) {
        status = begin_together(visit);
    }
    if (status == WW_OK && plan->ports) {
        int round = visit->round;
        visit->record->peer[round] = visit->peer;
        visit->slot_s = visit->alone_s * (is_crowded(plan) ? CROWD_SLOTS : 1);
        status = stream(visit, true, ground->people[ground->unit[rank]],
                        &visit->record->port[round]);
    }
    return status;
}

/* How long a stream may take, so that all of them fill the share. */
static double slot_of(const struct wire_plan *plan)
{
    int crowd = is_crowded(plan) ? CROWD_SLOTS : 1;
    int slots = plan->ports ? plan->rounds * crowd : 0;
    if (plan->solo) {
        slots += plan->rounds < SOLO_ROUNDS ? plan->rounds : SOLO_ROUNDS;
        slots += plan->ports && is_crowded(plan) ? 1 : 0;
    }
    double slot_s = STREAM_SHARE * plan->share_s / (slots > 0 ? slots : 1);
    return slot_s > SLOT_LEAST_S ? slot_s : SLOT_LEAST_S;
}

enum ww_status wire_measure(struct meter *meter, const struct wire_plan *plan,
                            struct wire_record *record)
{
    int rank = meter->setup->topology->rank;
    enum ww_status status = WW_OK;
    struct visit visit = {.meter = meter, .plan = plan, .record = record};
    visit.alone_s = slot_of(plan);
    visit.byte_s = plan->byte_s > 0 ? plan->byte_s : 1e-9;
    memset(record, 0, sizeof *record);
    if (plan->solo) {
        status = meet_measure(meter, plan->ground, MEET_SHARE * plan->share_s, &record->meet);
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        record->peer[round] = -1;
    }
    for (int round = 0; round < plan->rounds && status == WW_OK; round++) {
        visit.round = round;
        visit.slot_s = visit.alone_s;
        visit.peer = rounds_peer(plan->ground, plan->rounds, round, rank);
        if (visit.peer >= 0) {
            visit.leads = rounds_leads(plan->ground, rank, visit.peer);
            status = visit_once(&visit);
        }
    }
    return status;
}
