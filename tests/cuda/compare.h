/* SPDX-License-Identifier: BSD-3-Clause
 * compare.h: compares what kernels for GPUs do with what scalar.c, code_scalar.c and the codecs do,
 * bit for bit, on a device or on its emulation. Each check prints its first failure and returns how
 * many there were. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"

/* Where the kernels run. Without memory, allocate ends the program. */
struct device {
    void *(*allocate)(size_t bytes); /* aligned to 256 */
    void (*release)(void *memory);
    void (*put)(void *memory, const void *from, size_t bytes); /* to the device */
    void (*get)(void *into, const void *memory, size_t bytes);
    void (*finish)(void); /* waits for the stream; ends the program where something failed */
    void *stream;
};

/* How much is tried. */
struct effort {
    uint64_t seed;
    int trials;
    size_t count_most; /* elements; a few more at times */
};

int compare_reduce(const struct device *device, const struct effort *effort);
int compare_encode(const struct device *device, const struct effort *effort);
int compare_sum(const struct device *device, const struct effort *effort);

/* Frames and heads of which some bytes are wrong. */
int compare_damaged(const struct device *device, const struct effort *effort);

int compare_choose(const struct device *device, const struct effort *effort);
int compare_threshold(const struct device *device, const struct effort *effort);
int compare_squares(const struct device *device, const struct effort *effort);
int compare_scale(const struct device *device, const struct effort *effort);
int compare_pieces(const struct device *device, const struct effort *effort);

/* All of them. */
int compare_all(const struct device *device, const struct effort *effort);

#endif
