/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_alerts.c: a rule is a row here and a function that compares. */
#include "ledger_alerts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ledger_words.h"

static const struct {
    const char *name;
    double share; /* what is too much, unless the command line says it; NAN = no such limit */
    int exit_code;
} rules[ALERT_RULES] = {
    [ALERT_WILD] = {"wild", (double)NAN, EXIT_WILD},
    [ALERT_LOSS] = {"loss", (double)NAN, EXIT_LOSS},
    [ALERT_BUDGET] = {"budget", (double)NAN, EXIT_BUDGET},
    [ALERT_UNEXPLAINED] = {"unexplained", 0.05, EXIT_UNEXPLAINED},
    [ALERT_SLOW] = {"slow", 0.01, EXIT_SLOW},
    [ALERT_SKEW] = {"skew", 0.20, EXIT_SKEW},
};

const char *alert_name(enum alert_rule rule)
{
    return rules[rule].name;
}

int alert_exit_code(enum alert_rule rule)
{
    return rules[rule].exit_code;
}

struct alerts_limits alerts_usual(void)
{
    struct alerts_limits limits = {.budget = (double)NAN};
    for (int i = 0; i < ALERT_RULES; i++) {
        limits.on[i] = true;
        limits.share[i] = rules[i].share;
    }
    return limits;
}

/* "skew" or "skew=30", up to a comma. */
static bool read_word(const char *word, size_t bytes, struct alerts_limits *limits)
{
    char copy[64];
    if (bytes >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, word, bytes);
    copy[bytes] = '\0';
    char *equals = strchr(copy, '=');
    if (equals != NULL) {
        *equals = '\0';
    }
    int rule = 0;
    while (rule < ALERT_RULES && strcmp(rules[rule].name, copy) != 0) {
        rule++;
    }
    double percent = 0;
    if (rule == ALERT_RULES || (equals != NULL && (isnan(rules[rule].share) ||
                                                   !words_read_number(equals + 1, &percent)))) {
        return false;
    }
    limits->on[rule] = true;
    limits->share[rule] = equals == NULL ? limits->share[rule] : percent / 100;
    return true;
}

const char *alerts_read(const char *words, struct alerts_limits *limits)
{
    struct alerts_limits read = *limits;
    memset(read.on, 0, sizeof(read.on));
    read.on[ALERT_BUDGET] = true; /* asked for by its own option */
    for (const char *word = words; strcmp(words, "none") != 0;) {
        size_t bytes = strcspn(word, ",");
        if (!read_word(word, bytes, &read)) {
            return word;
        }
        if (word[bytes] == '\0') {
            break;
        }
        word += bytes + 1;
    }
    *limits = read;
    return NULL;
}

static bool find_wild(double share, const struct account *account, struct alert *alert)
{
    (void)share;
    double wild = account->total.numbers[LEDGER_WILD];
    snprintf(alert->text, sizeof(alert->text),
             "%s of the encoded elements were not finite: look for the step where the loss "
             "diverged",
             word_count(wild).text);
    return wild > 0;
}

static bool find_loss(double share, const struct account *account, struct alert *alert)
{
    (void)share;
    snprintf(alert->text, sizeof(alert->text),
             "compression cost %s, outside the noise: WIREWISE_CODEC=none is faster here",
             word_seconds(-account->total.saved.estimate).text);
    return account_verdict(account) == VERDICT_LOST;
}

static bool find_unexplained(double share, const struct account *account, struct alert *alert)
{
    const struct ledger_audit *audit = &account->ledger->audit;
    snprintf(alert->text, sizeof(alert->text),
             "%s of the claimed bytes differ from what the interface counted, more than %s: other "
             "traffic, or a wrong ledger",
             word_share(audit->unexplained).text, word_share(share).text);
    return audit->known && fabs(audit->unexplained) > share;
}

static bool find_slow(double share, const struct account *account, struct alert *alert)
{
    snprintf(alert->text, sizeof(alert->text),
             "%s of %s steps took more than %g times the median of %s; %s may",
             word_count(account->slow_steps).text, word_count(account->steps).text, ACCOUNT_SLOW,
             word_seconds(account->median_step_s).text, word_share(share).text);
    return account->slow_steps > share * account->steps;
}

static bool find_skew(double share, const struct account *account, struct alert *alert)
{
    double skew = account->total.numbers[LEDGER_SKEW_S];
    double communication = account->total.numbers[LEDGER_COMMUNICATION_S];
    char who[32] = "";
    if (account->slowest >= 0) {
        snprintf(who, sizeof(who), " (mostly rank %d)", account->slowest);
    }
    snprintf(alert->text, sizeof(alert->text),
             "waiting for the slowest rank%s took %s of communication, more than %s", who,
             word_share(skew / communication).text, word_share(share).text);
    return skew > share * communication;
}

static bool find_budget(const struct alerts_limits *limits, const struct prices *prices,
                        const struct cost *cost, struct alert *alert)
{
    char money[64];
    char budget[64];
    if (cost == NULL || !(cost->total > limits->budget)) {
        return false;
    }
    cost_words(prices, cost->total, money, sizeof(money));
    cost_words(prices, limits->budget, budget, sizeof(budget));
    snprintf(alert->text, sizeof(alert->text), "the run cost %s, more than %s", money, budget);
    return true;
}

int alerts_find(const struct alerts_limits *limits, const struct account *account,
                const struct prices *prices, const struct cost *cost, struct alert *found)
{
    static bool (*const finders[ALERT_RULES])(double, const struct account *, struct alert *) = {
        [ALERT_WILD] = find_wild,
        [ALERT_LOSS] = find_loss,
        [ALERT_BUDGET] = NULL, /* knows prices */
        [ALERT_UNEXPLAINED] = find_unexplained,
        [ALERT_SLOW] = find_slow,
        [ALERT_SKEW] = find_skew,
    };
    int count = 0;
    for (int i = 0; i < ALERT_RULES; i++) {
        struct alert *alert = &found[count];
        alert->rule = (enum alert_rule)i;
        count += limits->on[i] &&
                 (finders[i] == NULL ? find_budget(limits, prices, cost, alert)
                                     : finders[i](limits->share[i], account, alert));
    }
    return count;
}
