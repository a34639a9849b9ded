/* SPDX-License-Identifier: BSD-3-Clause
 * text.h: the bytes a training reads and those it keeps back to be judged by. */
#ifndef TRAIN_TEXT_H
#define TRAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_FOLDER "/usr/share/common-licenses" /* read where the user names no file */

/* A few bytes in a row, owned. */
struct bytes {
    uint8_t *at;
    size_t count;
};

/* The last tenth of every file is held out; the rest is for training. */
struct text {
    struct bytes training;
    struct bytes held_out;
    size_t files;
};

/* One sentence that says what is wrong. */
struct complaint {
    char text[512];
};

/* Reads paths[count], or with count 0 all files of TEXT_FOLDER, links left out. Both parts hold
 * at least `context` + 1 bytes. False: *complaint names the file and the numbers, nothing is kept.
 * text_finish frees, and takes zeroes. */
bool text_load(char *const *paths, size_t count, size_t context, struct text *text,
               struct complaint *complaint);
void text_finish(struct text *text);

/* Copies the sample of (seed, step, index) to sequence[context + 1]. It does not depend on who
 * asks, so any number of ranks that share a batch see the same batch. */
void text_sample(const struct text *text, uint64_t seed, uint64_t step, uint64_t index,
                 size_t context, uint8_t *sequence);

/* How many windows the held-out part is judged by, at most `most`; they do not overlap. */
size_t text_windows(const struct text *text, size_t context, size_t most);

/* Copies one of `windows` windows, spread evenly over the held-out part. */
void text_window(const struct text *text, size_t index, size_t windows, size_t context,
                 uint8_t *sequence);

#endif
