/* SPDX-License-Identifier: BSD-3-Clause
 * wire.h: measures the wires of one level, all ranks together, and reads what all of them noted. */
#ifndef TOPOLOGY_WIRE_H
#define TOPOLOGY_WIRE_H

#include "measure.h"
#include "meet.h"
#include "rounds.h"

/* Rounds in which pairs are looked at one by one as well. */
#define SOLO_ROUNDS 3

/* What a rank notes; zeroes = not measured. Travels as bytes. */
struct wire_record {
    struct estimate fixed[SOLO_ROUNDS]; /* one pair's ping */
    struct meet_record meet;            /* everybody at once */
    struct pour oneway[SOLO_ROUNDS];    /* seconds while its unit's other ranks are idle */
    struct pour both[SOLO_ROUNDS];
    struct pour port[ROUNDS_MAX]; /* all ranks of all units at work */
    int peer[ROUNDS_MAX];         /* of a round's port; -1 = none */
    double unrest_s[SOLO_ROUNDS]; /* by which its round trips differed */
    double spent_s;               /* since the calibration began */
};

/* What is to be done; the same on all ranks. */
struct wire_plan {
    const struct ground *ground;
    int rounds;
    bool solo;      /* pairs one by one */
    bool ports;     /* all at once */
    double share_s; /* of the budget */
    double byte_s;  /* about what a stream will need */
};

/* Measures this rank's part. Errors of meter_*. */
enum ww_status wire_measure(struct meter *meter, const struct wire_plan *plan,
                            struct wire_record *record);

/* What the records of all ranks say about a level. Estimates without samples were not measured. */
struct wire_costs {
    struct estimate fixed;
    struct estimate byte_s;
    struct estimate port_byte_s; /* of one unit */
    double slowest_byte_s;       /* of a stream, of the slowest unit at its best */
    double message_s;
    double core_byte_s;
    double duplex;  /* 0 = not measured */
    double scatter; /* of streams */
};

/* WW_OK, WW_NO_MEMORY. records [size] */
enum ww_status wire_costs(const struct ground *ground, const struct wire_record *records,
                          int rounds, struct wire_costs *costs);

/* Units and pairs of units that are slower than their like: below SLOW_RATIO of the median, even
 * if what their pings differed by held up their streams.
 * Adds them to slow[*count], up to SLOW_WIRES_MAX, the worst first; what is there already stays in
 * order. WW_OK, WW_NO_MEMORY. */
#define SLOW_RATIO 0.7
enum ww_status wire_slow(const struct ground *ground, const struct wire_record *records, int rounds,
                         int level, struct slow_wire *slow, int *count);

/* The better of two looks at each round. */
void wire_keep_better(struct wire_record *records, const struct wire_record *again, int size,
                      int rounds);

#endif
