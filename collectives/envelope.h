/* SPDX-License-Identifier: BSD-3-Clause
 * envelope.h: the cheapest of several ways, by size. */
#ifndef COLLECTIVES_ENVELOPE_H
#define COLLECTIVES_ENVELOPE_H

#include "price.h"

#define ENVELOPE_ROWS_MAX 64
#define ENVELOPE_PACES_MAX 8
/* Who is faster by less does not take the place of an earlier one, ... */
#define ENVELOPE_TIE 0.99
/* ... unless it leaves so much of the cores to the program. */
#define ENVELOPE_CORES 0.95

/* A way to go, and how it may be cut. */
struct option {
    const struct load *load;
    const struct correction *correction;
    int pace_count;
    struct {
        size_t segment_bytes;
        int window;
    } pace[ENVELOPE_PACES_MAX]; /* the first one is taken where all are equal */
};

/* Vectors of up to so many bytes take this option. */
struct envelope_row {
    size_t bytes;
    int option;
};

struct envelope {
    int rows; /* >= 1; the last one's bytes are SIZE_MAX */
    struct envelope_row row[ENVELOPE_ROWS_MAX];
};

/* What an option takes at its best pace: of the clock, and of the cores. */
struct offer {
    int pace;
    double seconds;
    double core_s;
};
struct offer envelope_offer(const struct option *option, const struct wires *wires, size_t bytes);

/* Whether it takes the place of a best one so far that stands earlier in the list. */
bool offer_beats(const struct offer *offer, const struct offer *best);

/* Prices all options at many sizes. */
void envelope_draw(const struct option *options, int count, const struct wires *wires,
                   struct envelope *envelope);

/* True when the option is the cheapest at any of them. */
bool envelope_has(const struct envelope *envelope, int option);

#endif
