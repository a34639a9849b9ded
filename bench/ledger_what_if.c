/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_what_if.c: takes the wire's time of one level out of each step and puts in what its bytes
 * would have taken at the other rate. Encoding, decoding, waiting and the other levels stay. What
 * the caller computed while buckets were under way hides as many seconds as it did. */
#include "ledger_what_if.h"

#include <math.h>
#include <string.h>

#include "ledger_words.h"

#define RATE_LEAST 1e3 /* where break-even is looked for, bits per second */
#define RATE_MOST 1e15
#define HALVINGS 50
#define SAVES 1e-9 /* of a step: less is no saving */

const char *what_if_read(char *text, struct what_if *what_if)
{
    static const char help[] = "write RATE, LEVEL=RATE or RATE,LATENCY: 25gbit, network=12.5GB/s, "
                               "100mbit,50us";
    struct what_if read = {0};
    char *comma = strchr(text, ',');
    char *equals = strchr(text, '=');
    if (comma != NULL) {
        *comma = '\0';
        if (!words_read_seconds(comma + 1, &read.latency_s)) {
            return help;
        }
    }
    if (equals != NULL) {
        *equals = '\0';
        read.level = text;
    }
    if (!words_read_rate(equals != NULL ? equals + 1 : text, &read.rate)) {
        return help;
    }
    *what_if = read;
    return NULL;
}

int what_if_level(const struct what_if *what_if, const struct ledger *ledger)
{
    int level = ledger->level_count - 1;
    while (level >= 0 && what_if->level != NULL &&
           strcmp(ledger->levels[level], what_if->level) != 0) {
        level--;
    }
    return level;
}

/* What is replayed. */
struct stage {
    const struct account *account;
    int level;
    double alike; /* bytes on the link, per byte of this rank */
    double recorded_rate;
    double latency_s; /* of a step's buckets */
};

/* A line without what its steps did besides, for the sake of comparing. */
static struct ledger_line without_shadows(const struct ledger_line *line)
{
    struct ledger_line coded = *line;
    double *numbers = coded.numbers;
    double shadows_s = account_shadows_s(line);
    numbers[LEDGER_STEP_S] = fmax(0, numbers[LEDGER_STEP_S] - shadows_s);
    numbers[LEDGER_EXPOSED_S] = fmax(0, numbers[LEDGER_EXPOSED_S] - shadows_s);
    return coded;
}

/* A line without those of its steps that were probes: they went dense, over the same wires, and
 * took as much longer as dense steps do. */
static struct ledger_line without_probes(const struct stage *stage, const struct ledger_line *line)
{
    static const enum ledger_number seconds[] = {LEDGER_STEP_S, LEDGER_COMMUNICATION_S,
                                                 LEDGER_EXPOSED_S};
    struct ledger_line coded = without_shadows(line);
    double *numbers = coded.numbers;
    double probes = account_probes(line);
    if (probes == 0) {
        return coded;
    }
    double left = 1 - probes / numbers[LEDGER_STEPS]; /* of the line's steps */
    const struct ledger *ledger = stage->account->ledger;
    double longer = ledger->dense_s - ledger->coded_s;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        double *number = &numbers[seconds[i]];
        *number = fmax(0, *number - (isnan(longer) ? 0 : probes * longer)) * left;
    }
    numbers[LEDGER_SKEW_S] *= left;
    numbers[LEDGER_STEPS] -= probes;
    double *sent = &coded.traffic[LEDGER_SENT][stage->level];
    double *dense = &coded.traffic[LEDGER_DENSE32][stage->level];
    *sent = fmax(0, *sent - *dense * (1 - left));
    *dense *= left;
    return coded;
}

static double bytes_of(const struct stage *stage, const struct ledger_line *line,
                       enum ledger_traffic traffic)
{
    return line->traffic[traffic][stage->level] * stage->alike;
}

/* Seconds of wire in a line, all levels. */
static double wire_of(const struct ledger_line *line)
{
    const double *numbers = line->numbers;
    return fmax(0, numbers[LEDGER_COMMUNICATION_S] - numbers[LEDGER_ENCODE_S] -
                       numbers[LEDGER_DECODE_S] - numbers[LEDGER_SKEW_S]);
}

/* The time of a line's steps when its communication takes so many seconds more than it did. */
static double step_with(const struct ledger_line *line, double more_s)
{
    double communication = line->numbers[LEDGER_COMMUNICATION_S];
    double exposed = line->numbers[LEDGER_EXPOSED_S];
    double hidden = fmax(0, communication - exposed);
    double others = fmax(0, exposed - communication);
    double exposed_then = fmax(0, communication + more_s - hidden) + others;
    return line->numbers[LEDGER_STEP_S] - exposed + exposed_then;
}

/* Adds a line at a rate to the times of the coded and the dense run. */
static void replay_line(const struct stage *stage, const struct ledger_line *line, double rate,
                        struct replay *replay)
{
    double sent = bytes_of(stage, line, LEDGER_SENT);
    double dense = bytes_of(stage, line, LEDGER_DENSE32);
    double coding = line->numbers[LEDGER_ENCODE_S] + line->numbers[LEDGER_DECODE_S];
    double wire = wire_of(line);
    double here = isnan(stage->recorded_rate) ? wire : fmin(wire, sent * 8 / stage->recorded_rate);
    double latency = stage->latency_s * line->numbers[LEDGER_STEPS];
    bool encoded = line->evidence != LEDGER_DENSE;
    double coded_more = sent * 8 / rate - here + latency;
    double dense_more = encoded ? dense * 8 / rate - here - coding + latency : coded_more;
    replay->steps += line->numbers[LEDGER_STEPS];
    replay->sent += sent;
    replay->dense += encoded ? dense : sent;
    replay->recorded_s += line->numbers[LEDGER_STEP_S];
    replay->coded_s += step_with(line, coded_more);
    replay->dense_s += step_with(line, dense_more);
}

static struct replay replay_all(const struct stage *stage, double rate)
{
    const struct ledger *ledger = stage->account->ledger;
    struct replay replay = {
        .level = stage->level, .alike = stage->alike, .recorded_rate = stage->recorded_rate};
    for (size_t i = 0; i < ledger->line_count; i++) {
        struct ledger_line line = without_probes(stage, &ledger->lines[i]);
        if (line.numbers[LEDGER_STEPS] > 0) {
            replay_line(stage, &line, rate, &replay);
        }
    }
    double *const sums[] = {&replay.sent, &replay.dense, &replay.recorded_s, &replay.coded_s,
                            &replay.dense_s};
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        *sums[i] /= replay.steps;
    }
    return replay;
}

static bool saves(const struct stage *stage, double rate)
{
    struct replay replay = replay_all(stage, rate);
    return replay.dense_s - replay.coded_s > SAVES * replay.coded_s;
}

/* The faster the wire, the less there is to save: halves on a logarithmic scale. */
static double find_break_even(const struct stage *stage)
{
    double low = log(RATE_LEAST);
    double high = log(RATE_MOST);
    if (!(replay_all(stage, RATE_LEAST).coded_s >= 0)) {
        return (double)NAN;
    }
    if (!saves(stage, RATE_LEAST)) {
        return 0;
    }
    if (saves(stage, RATE_MOST)) {
        return (double)INFINITY;
    }
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        bool still = saves(stage, exp(middle));
        low = still ? middle : low;
        high = still ? high : middle;
    }
    return exp(low);
}

/* What dense steps took beyond coded ones, and what coding took, went over the wire as the bytes
 * that were not sent; taken only where the two differ by more than noise, and the wire had time. */
static double find_recorded_rate(const struct stage *stage)
{
    const struct account *account = stage->account;
    enum verdict verdict = account_verdict(account);
    struct replay mean = replay_all(stage, 1); /* for its bytes */
    double coding = 0;
    double wire = 0;
    for (size_t i = 0; i < account->ledger->line_count; i++) {
        struct ledger_line line = without_probes(stage, &account->ledger->lines[i]);
        if (line.numbers[LEDGER_STEPS] > 0) {
            coding += line.numbers[LEDGER_ENCODE_S] + line.numbers[LEDGER_DECODE_S];
            wire += wire_of(&line);
        }
    }
    double seconds = account->ledger->dense_s - account->ledger->coded_s + coding / mean.steps;
    double rate = (mean.dense - mean.sent) * 8 / seconds;
    bool fits = rate > 0 && mean.sent * 8 / rate <= wire / mean.steps;
    bool sure = verdict == VERDICT_SAVED || verdict == VERDICT_LOST;
    return sure && fits && isfinite(rate) ? rate : (double)NAN;
}

struct replay what_if_replay(const struct what_if *what_if, const struct account *account)
{
    const struct ledger *ledger = account->ledger;
    struct stage stage = {.account = account,
                          .level = what_if_level(what_if, ledger),
                          .recorded_rate = (double)NAN,
                          .latency_s = what_if->latency_s * 2};
    bool inside = stage.level < ledger->facts[LEDGER_INSIDE]; /* a rank has its link for itself */
    stage.alike = inside ? 1 : account->ranks_alike;
    if (what_if->latency_s > 0) {
        stage.latency_s *= ledger->facts[LEDGER_BUCKETS];
    }
    stage.recorded_rate = find_recorded_rate(&stage);
    struct replay replay = replay_all(&stage, what_if->rate);
    replay.break_even = find_break_even(&stage);
    return replay;
}
