/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_what_if.h: replays a ledger at another speed of a link. A model, not a measurement. */
#ifndef BENCH_LEDGER_WHAT_IF_H
#define BENCH_LEDGER_WHAT_IF_H

#include "ledger_account.h"

struct what_if {
    char *level;      /* NULL = the outermost */
    double rate;      /* bits per second of a host's link */
    double latency_s; /* that is added, once on the way there and once back, to each bucket */
};

/* Reads "25gbit", "network=25gbit,50us" and cuts it up in place. NULL, or what to write instead. */
const char *what_if_read(char *text, struct what_if *what_if);

/* The place of the level it is about, or -1 when the ledger has none of that name. */
int what_if_level(const struct what_if *what_if, const struct ledger *ledger);

/* Of the mean step. NAN = not known. */
struct replay {
    int level;
    double steps;         /* that were replayed: all that were no probes */
    double recorded_rate; /* of that level in the run, by its dense and coded steps; else NAN, and
                           * all of the wires' time is taken to be that level's */
    double alike;         /* bytes on the link, per byte of the rank that wrote the ledger */
    double sent;          /* bytes on the link ... */
    double dense;         /* ... and dense fp32 would have */
    double recorded_s;    /* a step as it was */
    double coded_s;       /* at the other rate, with the codec ... */
    double dense_s;       /* ... and without */
    double break_even;    /* below that rate the codec saves time; 0 nowhere, INFINITY everywhere */
};
struct replay what_if_replay(const struct what_if *what_if, const struct account *account);

#endif
