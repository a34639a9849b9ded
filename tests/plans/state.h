/* SPDX-License-Identifier: BSD-3-Clause
 * state.h: what the prover shares among its files: where it is, and the symbolic memory. */
#ifndef PLANS_STATE_H
#define PLANS_STATE_H

#include "prove.h"

/* What a chunk holds. */
struct value {
    uint64_t ranks; /* bit r: rank r's contribution is in */
    uint64_t order; /* fingerprint of the expression, order of operands included */
    uint32_t depth; /* roundings on the longest way here */
    bool defined;
    bool finished;
};

/* Where the prover is, for the sentence. */
struct place {
    const struct plan *plan;
    uint32_t segment;
    uint32_t position; /* of the segment in the window */
    uint32_t round;
    uint32_t action; /* index in plan->actions */
};

/* Contents of one scratch slot at one position of the window. */
struct scratch {
    uint32_t first; /* count 0: nothing yet */
    uint32_t count;
    uint32_t segment;
    struct value *values;
};

/* One rank's memory. */
struct memory {
    const struct plan *plan;
    struct value *vector[2]; /* [segments * parts]; the same one when in place */
    struct scratch *scratch; /* [window * (slot_count - 2)] */
};

/* Remembers the first flaw with its place; returns false, so that `return flawed(...)` works. */
bool flawed(struct verdict *verdict, enum flaw flaw, const struct place *place, const char *format,
            ...) __attribute__((format(printf, 4, 5)));

/* Checks one rank's plan by itself: what needs no other rank and no contents. */
bool form_check(const struct claim *claim, const struct plan *plan, struct verdict *verdict);

/* Makes a rank's memory as the collective finds it. False when there is no memory. */
bool memory_init(struct memory *memory, const struct claim *claim, const struct plan *plan);
void memory_finish(struct memory *memory);

/* The values of a slice that is read here, or NULL and a flaw. */
const struct value *memory_read(struct memory *memory, const struct place *place,
                                const struct slice *slice, struct verdict *verdict);

/* Overwrites a slice. values[slice->count] may be the slice itself. */
void memory_write(struct memory *memory, const struct place *place, const struct slice *slice,
                  const struct value *values);

#endif
