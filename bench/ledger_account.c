/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_account.c: adds up. The ends of intervals add up as the estimates do, because an error of
 * what dense steps take is common to all steps. */
#include "ledger_account.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many equal steps. */
struct pace {
    int codec; /* as in struct ledger_line */
    double step_s;
    double steps;
    double coded_s; /* one of them takes, apart from what probes took longer */
    double probes;  /* of the steps, went dense to be compared with */
};

static int by_seconds(const void *left, const void *right)
{
    double a = ((const struct pace *)left)->step_s;
    double b = ((const struct pace *)right)->step_s;
    return (a > b) - (a < b);
}

static bool is_known(const struct interval *saved)
{
    return !isnan(saved->estimate);
}

static void add_saved(struct account *account, const struct ledger_line *line)
{
    struct interval *sum = &account->total.saved;
    if (is_known(&line->saved)) {
        sum->low += line->saved.low;
        sum->estimate += line->saved.estimate;
        sum->high += line->saved.high;
    } else if (line->evidence != LEDGER_DENSE) {
        account->unjudged += line->numbers[LEDGER_STEPS];
        return;
    }
    /* The enum ascends from weak to strong, apart from dense, which tells nothing of the others. */
    enum ledger_evidence *evidence = &account->total.evidence;
    bool first = *evidence == LEDGER_UNTOLD || *evidence == LEDGER_DENSE;
    if (first || (line->evidence != LEDGER_DENSE && line->evidence < *evidence)) {
        *evidence = line->evidence;
    }
}

static void add_line(struct account *account, const struct ledger_line *line)
{
    struct ledger_line *total = &account->total;
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        if (ledger_members[i].adds) {
            total->numbers[i] += line->numbers[i];
        } else if (!isnan(line->numbers[i])) {
            total->numbers[i] = line->numbers[i];
        }
    }
    for (int i = 0; i < LEDGER_TRAFFICS; i++) {
        for (int level = 0; level < account->ledger->level_count; level++) {
            total->traffic[i][level] += line->traffic[i][level];
        }
    }
    total->codec = line->codec;
    add_saved(account, line);
}

static void add_up(struct account *account)
{
    const struct ledger *ledger = account->ledger;
    account->total = ledger_line_none();
    account->total.saved = (struct interval){0, 0, 0};
    for (size_t i = 0; i < ledger->line_count; i++) {
        add_line(account, &ledger->lines[i]);
    }
    bool dense = account->total.evidence == LEDGER_DENSE; /* all that are judged */
    if (account->unjudged >= account->total.numbers[LEDGER_STEPS] ||
        (dense && account->unjudged > 0)) {
        account->total.saved = (struct interval){(double)NAN, (double)NAN, (double)NAN};
        account->total.evidence = LEDGER_INSUFFICIENT;
    }
}

static struct pace pace_of(const struct ledger *ledger, const struct ledger_line *line)
{
    const double *numbers = line->numbers;
    double steps = numbers[LEDGER_STEPS];
    double longer = ledger->dense_s - ledger->coded_s; /* NAN without a summary */
    double probes = account_probes(line);
    double more = (longer > 0 ? probes * longer : 0) + account_shadows_s(line);
    return (struct pace){.codec = line->codec,
                         .step_s = numbers[LEDGER_STEP_S] / steps,
                         .steps = steps,
                         .coded_s = (numbers[LEDGER_STEP_S] - more) / steps,
                         .probes = probes};
}

/* Of the steps that a line tells together only the mean is known: one of them was slow at least. */
static double slow_steps_of(const struct pace *pace, double limit_s)
{
    return pace->coded_s > limit_s ? fmin(pace->steps - pace->probes, 1) : 0;
}

#define ANY_CODEC (-2)

/* Of paces in ascending order; NAN where no step went by the codec. */
static double median_of(const struct pace *paces, size_t count, int codec)
{
    double steps = 0;
    double below = 0;
    double median = (double)NAN;
    for (size_t i = 0; i < count; i++) {
        steps += codec == ANY_CODEC || paces[i].codec == codec ? paces[i].steps : 0;
    }
    for (size_t i = 0; i < count && (isnan(median) || below < steps / 2); i++) {
        if (codec == ANY_CODEC || paces[i].codec == codec) {
            median = paces[i].step_s;
            below += paces[i].steps;
        }
    }
    return median;
}

/* Steps that are slow among all, and among those that went by the same codec: where one pays,
 * others that "auto" tries take longer. */
static double slow_steps_by(const struct pace *paces, size_t count, int codec, double median_s)
{
    double limit_s = ACCOUNT_SLOW * fmax(median_s, median_of(paces, count, codec));
    double slow = 0;
    for (size_t i = 0; i < count; i++) {
        slow += paces[i].codec == codec ? slow_steps_of(&paces[i], limit_s) : 0;
    }
    return slow;
}

/* The median of all steps and how many of them are slow, probes and shadows aside: where a codec
 * pays they are meant to take longer. */
static bool find_pace(struct account *account)
{
    const struct ledger *ledger = account->ledger;
    struct pace *paces = calloc(ledger->line_count + 1, sizeof(paces[0]));
    size_t count = 0;
    if (paces == NULL) {
        return false;
    }
    for (size_t i = 0; i < ledger->line_count; i++) {
        const struct ledger_line *line = &ledger->lines[i];
        if (!isnan(line->numbers[LEDGER_STEP_S])) {
            paces[count++] = pace_of(ledger, line);
        }
    }
    qsort(paces, count, sizeof(paces[0]), by_seconds);
    account->median_step_s = median_of(paces, count, ANY_CODEC);
    account->slow_steps = count > 0 ? 0 : (double)NAN;
    for (int codec = -1; codec < ledger->codec_count && count > 0; codec++) {
        account->slow_steps += slow_steps_by(paces, count, codec, account->median_step_s);
    }
    free(paces);
    return true;
}

static int by_rank(const void *left, const void *right)
{
    const struct ledger_line *const *a = left;
    const struct ledger_line *const *b = right;
    double difference = (*a)->numbers[LEDGER_SLOWEST] - (*b)->numbers[LEDGER_SLOWEST];
    return (difference > 0) - (difference < 0);
}

/* The rank that lines name for the most steps. */
static bool find_slowest(struct account *account)
{
    const struct ledger *ledger = account->ledger;
    const struct ledger_line **named = calloc(ledger->line_count + 1, sizeof(named[0]));
    size_t count = 0;
    double all = 0;
    if (named == NULL) {
        return false;
    }
    for (size_t i = 0; i < ledger->line_count; i++) {
        all += ledger->lines[i].numbers[LEDGER_STEPS];
        if (!isnan(ledger->lines[i].numbers[LEDGER_SLOWEST])) {
            named[count++] = &ledger->lines[i];
        }
    }
    qsort(named, count, sizeof(named[0]), by_rank);
    double most = 0;
    double steps = 0;
    for (size_t i = 0; i < count; i++) {
        bool same = i > 0 && by_rank(&named[i], &named[i - 1]) == 0;
        steps = (same ? steps : 0) + named[i]->numbers[LEDGER_STEPS];
        if (steps > most) {
            most = steps;
            account->slowest = (int)fmin(named[i]->numbers[LEDGER_SLOWEST], 1e9);
        }
    }
    account->slowest_share = most > 0 ? most / all : (double)NAN;
    free(named);
    return true;
}

/* Shadows go as dense steps do: the same share of them leaves the host. */
static void find_traffic(struct account *account)
{
    const struct ledger *ledger = account->ledger;
    const struct ledger_line *total = &account->total;
    int first = (int)fmin(ledger->facts[LEDGER_INSIDE], ledger->level_count);
    double dense = account_bytes(ledger, total, LEDGER_DENSE32, 0);
    double share = dense > 0 ? account_bytes(ledger, total, LEDGER_DENSE32, first) / dense : 0;
    account->leaving = account_bytes(ledger, total, LEDGER_SENT, first);
    account->shadows = share * total->numbers[LEDGER_SHADOW];
}

/* The audit knows what all ranks of the host sent, but counts single calls too, which are in no
 * step: where it says more than any host's ranks can send, it tells nothing. */
static void find_alike(struct account *account)
{
    const struct ledger *ledger = account->ledger;
    double own = account->leaving + account->shadows + account->total.numbers[LEDGER_CONTROL];
    double counted = ledger->audit.known ? ledger->audit.claimed / own : (double)NAN;
    double ranks = ledger->facts[LEDGER_RANKS];
    double hosts = ledger->facts[LEDGER_HOSTS];
    double most = ranks - hosts + 1.5; /* no host has more ranks than the others leave */
    account->alike_is_counted = counted > 0 && counted <= most;
    account->ranks_alike = account->alike_is_counted ? counted : ranks / hosts;
}

/* The summary counts; what was last looked at in some step may stand in a line only. */
static void take_summary(struct account *account)
{
    struct ledger_line added = account->total;
    account->total = account->ledger->summary;
    account->unjudged = 0;
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        if (!ledger_members[i].adds && isnan(account->total.numbers[i])) {
            account->total.numbers[i] = added.numbers[i];
        }
    }
}

bool account_make(const struct ledger *ledger, struct account *account)
{
    *account = (struct account){.ledger = ledger, .slowest = -1};
    add_up(account);
    if (ledger->ended) {
        take_summary(account);
    }
    account->steps = account->total.numbers[LEDGER_STEPS];
    account->mean_step_s = account->total.numbers[LEDGER_STEP_S] / account->steps;
    find_traffic(account);
    find_alike(account);
    if (!find_pace(account) || !find_slowest(account)) {
        return false;
    }
    if (ledger->ended && !isnan(ledger->summary.numbers[LEDGER_SLOWEST])) {
        int slowest = (int)fmin(ledger->summary.numbers[LEDGER_SLOWEST], 1e9);
        account->slowest_share = slowest == account->slowest ? account->slowest_share : (double)NAN;
        account->slowest = slowest;
    }
    return true;
}

enum verdict account_verdict(const struct account *account)
{
    const struct ledger_line *total = &account->total;
    if (total->evidence == LEDGER_DENSE) {
        return VERDICT_DENSE;
    }
    if (!is_known(&total->saved)) {
        return VERDICT_UNKNOWN;
    }
    return total->saved.low > 0    ? VERDICT_SAVED
           : total->saved.high < 0 ? VERDICT_LOST
                                   : VERDICT_NOISE;
}

double account_bytes(const struct ledger *ledger, const struct ledger_line *line,
                     enum ledger_traffic traffic, int first)
{
    double bytes = 0;
    for (int level = first < 0 ? 0 : first; level < ledger->level_count; level++) {
        bytes += line->traffic[traffic][level];
    }
    return bytes;
}

const char *account_state(const struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->event_count; i++) {
        if (strcmp(ledger->events[i].kind, "failure") == 0) {
            return "failed";
        }
    }
    return ledger->ended ? "ended" : "not ended";
}

bool account_is_probe(const struct ledger *ledger, const struct ledger_line *line)
{
    return line->numbers[LEDGER_PROBES] > 0 && strcmp(ledger_codec(ledger, line), "none") == 0;
}

double account_probes(const struct ledger_line *line)
{
    const double *numbers = line->numbers;
    bool told = numbers[LEDGER_PROBES] > 0 && !(numbers[LEDGER_SHADOW] > 0);
    return told ? fmin(numbers[LEDGER_PROBES], numbers[LEDGER_STEPS]) : 0;
}

double account_shadows_s(const struct ledger_line *line)
{
    const double *numbers = line->numbers;
    return numbers[LEDGER_SHADOW] > 0 ? fmax(0, numbers[LEDGER_COMPARING_S]) : 0;
}

void account_codecs(const struct account *account, char *text, size_t bytes)
{
    const struct ledger *ledger = account->ledger;
    bool used[LEDGER_CODECS_MAX] = {false}; /* by the codec's place */
    for (size_t i = 0; i < ledger->line_count; i++) {
        const struct ledger_line *line = &ledger->lines[i];
        if (line->codec >= 0 && !account_is_probe(ledger, line)) {
            used[line->codec] = true;
        }
    }
    size_t length = (size_t)snprintf(text, bytes, "%s", ledger->texts[LEDGER_CODEC]);
    const char *mark = ": ";
    for (int i = 0; i < ledger->codec_count && length < bytes; i++) {
        if (used[i] && strcmp(ledger->codecs[i], ledger->texts[LEDGER_CODEC]) != 0) {
            length += (size_t)snprintf(text + length, bytes - length, "%s%s", mark,
                                       ledger->codecs[i]);
            mark = ", ";
        }
    }
}
