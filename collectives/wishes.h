/* SPDX-License-Identifier: BSD-3-Clause
 * wishes.h: what many ranks want, where they do not all want the same: counted, to be sent on. */
#ifndef COLLECTIVES_WISHES_H
#define COLLECTIVES_WISHES_H

#include <stdint.h>

#include "signature.h"

struct wish {
    struct signature signature;
    int32_t rank;   /* the lowest that wants it */
    uint32_t ranks; /* how many do */
};

/* That somebody is odd can be told from a few. */
#define WISHES_MOST 4

struct wishes {
    int count;
    struct wish wish[WISHES_MOST];
};

/* Counts them in. Where there are more different ones than there is room for, those of the fewest
 * ranks are left out. */
void wishes_add(struct wishes *wishes, const struct wish *wish);

/* Which one is odd, by majority, and what the others want; with a tie the lowest rank is not odd.
 * As vote_odd_one (vote.h) does with the ranks' wishes one by one. At least two wishes. */
const struct wish *wishes_odd(const struct wishes *wishes, const struct wish **usual);

#endif
