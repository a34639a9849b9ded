/* SPDX-License-Identifier: BSD-3-Clause
 * tune.h: which of two ways is faster here and now, by trying. Caches of two cores may be far apart
 * in one minute and near in the next (virtual machines move), and then copying through shared
 * scratch and copying by a system call change places. Both ways give the same bits. */
#ifndef COLLECTIVES_TUNE_H
#define COLLECTIVES_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tuned_way { TUNED_STAGED, TUNED_FETCHED, TUNED_WAYS };

/* What is known of vectors of one size class. */
struct tuned {
    double ns[TUNED_WAYS]; /* per byte, of late; 0 = never tried */
    uint32_t turns;
};

#define TUNE_CLASSES 64
struct tuner {
    struct tuned classes[TUNE_CLASSES]; /* by the logarithm of the size */
};

/* The way that the next collective of so many bytes should go. */
enum tuned_way tuner_choose(struct tuner *tuner, size_t bytes);

/* How long one took, from when all ranks had come. */
void tuner_note(struct tuner *tuner, size_t bytes, enum tuned_way way, uint64_t ns);

#endif
