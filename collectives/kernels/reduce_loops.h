/* SPDX-License-Identifier: BSD-3-Clause
 * reduce_loops.h: the loops of one element type; a variant includes it once for each.
 *
 * Takes  TYPE     the ending of all names, say f32
 *        ELEMENT  what memory holds, say float
 *        LANES    elements in one vec_TYPE
 * and these of the variant's own:
 *        vec_TYPE                      LANES elements, widened
 *        load_TYPE(from)               the LANES elements at from
 *        store_TYPE(into, a)           narrows
 *        sum_TYPE(a, b)  min_TYPE(a, b)  max_TYPE(a, b)
 *        scale_TYPE(a, scale)          keep_TYPE, of this file, for integers
 * Makes  reduce_sum_TYPE, reduce_min_TYPE, reduce_max_TYPE, each a reduce_kernel.
 *
 * A group of vecs stays in registers while it passes over all sources and is written last: each
 * source is read once, and in place is safe. */

#include <assert.h>
#include <string.h>

#ifndef KERNELS_REDUCE_LOOPS_H
#define KERNELS_REDUCE_LOOPS_H

#define JOIN_EXPANDED(a, b) a##_##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)
#define NAME(word) JOIN(word, TYPE)
#define VEC NAME(vec)
#define COMBINE NAME(combine) /* two vecs to one */
#define FINISH NAME(finish)   /* before it is stored */

/* The operation is an argument; only inlining makes straight code of it. */
#if defined(__GNUC__)
#define LOOP static inline __attribute__((always_inline)) void
#else
#define LOOP static inline void
#endif

#define GROUP_BYTES 128 /* two cache lines of every source at a time */
#endif

typedef VEC COMBINE(VEC a, VEC b);
typedef VEC FINISH(VEC a, double scale);

static inline VEC NAME(keep)(VEC a, double scale)
{
    (void)scale;
    return a;
}

/* The elements first .. first + vecs * LANES - 1. vecs is a constant. */
LOOP NAME(group)(ELEMENT *into, const void *const *from, int ways, size_t first, size_t vecs,
                 COMBINE *op, FINISH *finish, double scale)
{
    VEC group[GROUP_BYTES / sizeof(ELEMENT) / LANES];
    const ELEMENT *values = (const ELEMENT *)from[0] + first;
    for (size_t i = 0; i < vecs; i++) {
        group[i] = NAME(load)(values + i * LANES);
    }
    for (int way = 1; way < ways; way++) {
        values = (const ELEMENT *)from[way] + first;
        for (size_t i = 0; i < vecs; i++) {
            group[i] = op(group[i], NAME(load)(values + i * LANES));
        }
    }
    for (size_t i = 0; i < vecs; i++) {
        NAME(store)(into + first + i * LANES, finish(group[i], scale));
    }
}

/* The last elements, too few for a vec: padded with zeros they are one. */
LOOP NAME(rest)(ELEMENT *into, const void *const *from, int ways, size_t first, size_t count,
                COMBINE *op, FINISH *finish, double scale)
{
    ELEMENT values[LANES] = {0};
    size_t bytes = count * sizeof(ELEMENT);
    memcpy(values, (const ELEMENT *)from[0] + first, bytes);
    VEC result = NAME(load)(values);
    for (int way = 1; way < ways; way++) {
        memcpy(values, (const ELEMENT *)from[way] + first, bytes);
        result = op(result, NAME(load)(values));
    }
    NAME(store)(values, finish(result, scale));
    memcpy(into + first, values, bytes);
}

LOOP NAME(run)(ELEMENT *into, const void *const *from, int ways, size_t count, COMBINE *op,
               FINISH *finish, double scale)
{
    const size_t vecs = GROUP_BYTES / sizeof(ELEMENT) / LANES;
    size_t first = 0;
    for (; count - first >= vecs * LANES; first += vecs * LANES) {
        NAME(group)(into, from, ways, first, vecs, op, finish, scale);
    }
    for (; count - first >= LANES; first += LANES) {
        NAME(group)(into, from, ways, first, 1, op, finish, scale);
    }
    if (first < count) {
        NAME(rest)(into, from, ways, first, count - first, op, finish, scale);
    }
}

/* Two ways, the common case, get loops of their own. */
LOOP NAME(reduce)(void *into, const void *const *from, int ways, size_t count, double scale,
                  COMBINE *op, FINISH *finish)
{
    assert(ways >= 1);
    if (ways == 1 && scale == 1.0) {
        if (into != from[0] && count > 0) {
            memcpy(into, from[0], count * sizeof(ELEMENT));
        }
    } else if (ways == 2) {
        NAME(run)(into, from, 2, count, op, finish, scale);
    } else {
        NAME(run)(into, from, ways, count, op, finish, scale);
    }
}

static void NAME(reduce_sum)(void *into, const void *const *from, int ways, size_t count,
                             double scale)
{
    if (scale == 1.0) {
        NAME(reduce)(into, from, ways, count, 1.0, NAME(sum), NAME(keep));
    } else {
        NAME(reduce)(into, from, ways, count, scale, NAME(sum), NAME(scale));
    }
}

static void NAME(reduce_min)(void *into, const void *const *from, int ways, size_t count,
                             double scale)
{
    assert(scale == 1.0);
    NAME(reduce)(into, from, ways, count, scale, NAME(min), NAME(keep));
}

static void NAME(reduce_max)(void *into, const void *const *from, int ways, size_t count,
                             double scale)
{
    assert(scale == 1.0);
    NAME(reduce)(into, from, ways, count, scale, NAME(max), NAME(keep));
}

#undef TYPE
#undef ELEMENT
#undef LANES
