/* SPDX-License-Identifier: BSD-3-Clause
 * fold.h: makes a power of two out of any number of ranks.
 *
 * With core + extra ranks, core = 2^levels the largest power of two, the first 2 * extra members
 * pair up: the even one takes over for the odd one. The others stay by themselves. */
#ifndef ALGORITHMS_FOLD_H
#define ALGORITHMS_FOLD_H

enum fold_role { FOLD_ALONE, FOLD_TAKES, FOLD_GIVES };

struct fold {
    enum fold_role role;
    int core;
    int levels;
    int extra;
    int index; /* among the core, of the pair for both of its members */
};

static inline struct fold fold_of(int count, int me)
{
    struct fold fold = {FOLD_ALONE, 1, 0, 0, 0};
    while (fold.core * 2 <= count) {
        fold.core *= 2;
        fold.levels++;
    }
    fold.extra = count - fold.core;
    if (me >= 2 * fold.extra) {
        fold.index = me - fold.extra;
    } else {
        fold.index = me / 2;
        fold.role = me % 2 == 0 ? FOLD_TAKES : FOLD_GIVES;
    }
    return fold;
}

/* The member of the group that plays `index` of the core. */
static inline int fold_member(const struct fold *fold, int index)
{
    return index < fold->extra ? 2 * index : index + fold->extra;
}

#endif
