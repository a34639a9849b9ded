/* SPDX-License-Identifier: BSD-3-Clause
 * tune.h: which of several ways is faster here and now, by trying. Processors differ in what they
 * make of memory that another core wrote, caches of two cores may be far apart in one minute and
 * near in the next (virtual machines move), and what a system call costs depends on the pages that
 * buffers lie on. All ways give the same bits. */
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

/* What was collected: vectors of one size, in these buffers. */
struct tuned_case {
    size_t bytes;
    const void *input;
    const void *output;
};

/* What is known of vectors of one size class, wherever they lie. */
struct tuned {
    double ns[TUNED_WAYS]; /* per byte, of late; 0 = never tried */
    uint32_t turns;
    double credit; /* calls that buffers of their own may be tried in */
    double gain;   /* of it, with each call */
};

/* What is known of one pair of buffers. */
struct tuned_buffers {
    struct tuned_case key; /* its bytes: those of the class */
    double ns[TUNED_WAYS];
    uint8_t tries[TUNED_WAYS];
    bool begun; /* trials of theirs, which tell whether others are worth it */
};

#define TUNE_CLASSES 64
#define TUNE_BUFFERS 64
struct tuner {
    struct tuned classes[TUNE_CLASSES];         /* by the logarithm of the size */
    struct tuned_buffers buffers[TUNE_BUFFERS]; /* the latest, by a hash */
};

/* The way that the next such collective should go, among `ways`: bit w stands for way w; bit
 * TUNED_STAGED is set. */
enum tuned_way tuner_choose(struct tuner *tuner, const struct tuned_case *which, unsigned ways);

/* How long one took, from when all ranks had come. */
void tuner_note(struct tuner *tuner, const struct tuned_case *which, enum tuned_way way,
                uint64_t ns);

#endif
