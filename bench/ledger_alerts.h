/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_alerts.h: what in a run should worry somebody. */
#ifndef BENCH_LEDGER_ALERTS_H
#define BENCH_LEDGER_ALERTS_H

#include "ledger_prices.h"

/* From the gravest on. */
enum alert_rule {
    ALERT_WILD,        /* values that are not finite */
    ALERT_LOSS,        /* a negative saving, outside the noise */
    ALERT_BUDGET,      /* a run that costs more than it may */
    ALERT_UNEXPLAINED, /* bytes on the wire that nobody claims, or claims of bytes that did not go
                        */
    ALERT_SLOW,        /* steps of more than three times the median */
    ALERT_SKEW,        /* waiting for the slowest rank */
    ALERT_RULES
};

struct alerts_limits {
    bool on[ALERT_RULES];
    double share[ALERT_RULES]; /* where a rule has one */
    double budget;             /* money; NAN = any */
};
struct alerts_limits alerts_usual(void);

/* "loss,skew=30": only these, with limits in percent; "none". Returns NULL, or the word that is
 * none of it. Writes limits only on success. */
const char *alerts_read(const char *words, struct alerts_limits *limits);

struct alert {
    enum alert_rule rule;
    char text[256];
};

/* Writes those that hold into found[ALERT_RULES], the gravest first, and returns how many. prices
 * and cost may be NULL together. */
int alerts_find(const struct alerts_limits *limits, const struct account *account,
                const struct prices *prices, const struct cost *cost, struct alert *found);

const char *alert_name(enum alert_rule rule);
int alert_exit_code(enum alert_rule rule);

#endif
