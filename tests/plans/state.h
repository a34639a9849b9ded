/* SPDX-License-Identifier: BSD-3-Clause
 * state.h: what the prover shares among its files: where it is, and the symbolic memory. */
#ifndef PLANS_STATE_H
#define PLANS_STATE_H

#include "prove.h"

#define NOBODY UINT32_MAX

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
    bool told; /* the length of a frame to come, of the chunks above */
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

/* Checks one rank's plan: what needs no schedule and no contents. form_check_header must have
 * passed for all ranks. */
bool form_check_header(const struct claim *claim, const struct plan *plan, struct verdict *verdict);
bool form_check(const struct claim *claim, const struct plan *plan, struct verdict *verdict);

/* The rank in whose memory a slice of this plan lies. */
int slice_owner(const struct plan *plan, const struct slice *slice);

/* Whether two slices of this plan share memory. */
bool slices_overlap(const struct claim *claim, const struct plan *plan, const struct slice *one,
                    const struct slice *other);

/* Fingerprints: of a rank's contribution, and of left + right. Not symmetric: (a, b) and (b, a)
 * differ, as NaNs and signed zeros do. A reduction begins with 0 on the left. */
uint64_t fingerprint_rank(int rank);
uint64_t fingerprint_sum(uint64_t left, uint64_t right);

/* One bit per rank. */
uint64_t everybody(int size);

/* Makes a rank's memory as the collective finds it. False when there is no memory. */
bool memory_init(struct memory *memory, const struct claim *claim, const struct plan *plan);
void memory_finish(struct memory *memory);

/* The values of a slice that is read here, or NULL and a flaw. memory is its owner's. */
const struct value *memory_read(struct memory *memory, const struct place *place,
                                const struct slice *slice, struct verdict *verdict);

/* Overwrites a slice. values[slice->count] may be the slice itself. */
void memory_write(struct memory *memory, const struct place *place, const struct slice *slice,
                  const struct value *values);

/* The head of a frame arrives: what the slot held is gone. And whether it is there for a slice. */
void memory_tell(struct memory *memory, const struct place *place, const struct slice *slice);
bool memory_is_told(struct memory *memory, const struct place *place, const struct slice *slice);

/* Checks the outputs of all ranks, after everything ran. memories[size], by rank. */
bool judge_results(const struct claim *claim, const struct memory *memories,
                   struct verdict *verdict);

#endif
