/* SPDX-License-Identifier: BSD-3-Clause
 * selection.h: finds the k-th largest magnitude of many values without sorting them. Magnitudes are
 * keys of kernels/sparse.h. */
#ifndef CODECS_SELECTION_H
#define CODECS_SELECTION_H

#include "kernels/kernels.h"

/* Elements of a line: what is sampled is sampled in whole cache lines. */
#define SELECTION_LINE 16

/* Where keys come from: |a| of a stretch (and momentum, NULL = none), or a sample of them. */
struct selection_source {
    const struct stretch *stretch;
    const struct momentum *momentum;
    size_t lines;  /* looked at: one from each of as many equal parts; 0 = every element */
    uint64_t seed; /* decides which */
    uint32_t hint; /* a key that may be near the one looked for; 0 = a small sample tells */
};

struct selection {
    uint32_t key;
    size_t above; /* elements looked at whose key is greater; fewer than rank */
    size_t equal; /* elements with this very key; above + equal >= rank */
};

/* A key that is seldom above the one looked for, where that is near the hint; 1 where there is no
 * telling. */
uint32_t selection_below(uint32_t hint);

/* As selection_find among keys that are there; their order changes. 1 <= rank <= count. */
struct selection selection_among(uint32_t *keys, size_t count, size_t rank);

/* Elements that are looked at. */
size_t selection_count(const struct selection_source *source);

/* Finds the rank-th largest key of the elements looked at, 1 <= rank <= selection_count(source);
 * exactly. room is memory for selection_count + SPARSE_SLACK keys. Reads the source once, a small
 * sample of it beforehand, and seldom once more. */
struct selection selection_find(const struct sparse_kernels *kernels,
                                const struct selection_source *source, size_t rank, uint32_t *room);

#endif
