/* SPDX-License-Identifier: BSD-3-Clause
 * tune.h: which of several ways is faster here and now, by trying. Processors differ in what they
 * make of memory that another core wrote, and caches of two cores may be far apart in one minute
 * and near in the next (virtual machines move). All ways give the same bits. */
#ifndef COLLECTIVES_TUNE_H
#define COLLECTIVES_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tuned_way {
    TUNED_STAGED,  /* through scratch that all see; lines are asked for early (act.c) */
    TUNED_CALM,    /* the same, and lines come when they are touched */
    TUNED_SENT,    /* by messages */
    TUNED_FETCHED, /* copied out of other processes by a system call */
    TUNED_WAYS
};

/* What is known of vectors of one size class. */
struct tuned {
    double ns[TUNED_WAYS]; /* per byte, of late; 0 = never tried */
    uint32_t turns;
};

#define TUNE_CLASSES 64
struct tuner {
    struct tuned classes[TUNE_CLASSES]; /* by the logarithm of the size */
};

/* The way that the next collective of so many bytes should go, among `ways`: bit w stands for way
 * w; bit TUNED_STAGED is set. */
enum tuned_way tuner_choose(struct tuner *tuner, size_t bytes, unsigned ways);

/* How long one took, from when all ranks had come. */
void tuner_note(struct tuner *tuner, size_t bytes, enum tuned_way way, uint64_t ns);

#endif
