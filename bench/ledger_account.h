/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_account.h: what a ledger comes to. */
#ifndef BENCH_LEDGER_ACCOUNT_H
#define BENCH_LEDGER_ACCOUNT_H

#include "ledger.h"

#define ACCOUNT_SLOW 3.0 /* a slow step takes so many times the median */

struct account {
    const struct ledger *ledger; /* borrowed */
    struct ledger_line total;    /* of the summary, or added up from the steps */
    double steps;
    double unjudged;       /* of these, so many are not in total.saved: their saving is not known */
    double mean_step_s;    /* NAN without steps, as all that follows */
    double median_step_s;  /* lines about several steps count as that many equal ones */
    double slow_steps;     /* at least; not probes, which may take as long as dense ones */
    int slowest;           /* the rank that came last in most lines' steps, -1 = not known ... */
    double slowest_share;  /* ... and in how many of all steps; NAN = not known */
    double leaving;        /* bytes that this rank sent to other hosts, without control */
    double shadows;        /* bytes that its shadows sent there, not in `leaving` */
    double ranks_alike;    /* this rank's host sends so many times as much to others */
    bool alike_is_counted; /* by the audit; else all ranks were taken to send as this one does */
};

/* False when there is no memory for it. */
bool account_make(const struct ledger *ledger, struct account *account);

/* How sure a saving is. */
enum verdict { VERDICT_UNKNOWN, VERDICT_DENSE, VERDICT_NOISE, VERDICT_SAVED, VERDICT_LOST };
enum verdict account_verdict(const struct account *account);

/* Of all levels from `first` on. */
double account_bytes(const struct ledger *ledger, const struct ledger_line *line,
                     enum ledger_traffic traffic, int first);

/* "failed", "ended", or "not ended". */
const char *account_state(const struct ledger *ledger);

/* Whether the line went dense only to be compared with: its codec is not what the run used. */
bool account_is_probe(const struct ledger *ledger, const struct ledger_line *line);

/* How many of the line's steps went dense to be compared with; none beside their shadows, where
 * they were encoded. */
double account_probes(const struct ledger_line *line);

/* The seconds of the line's steps, inside wirewise, that went into shadows. */
double account_shadows_s(const struct ledger_line *line);

/* "int8", "auto: none, int8", never longer than `bytes`. */
void account_codecs(const struct account *account, char *text, size_t bytes);

#endif
