/* SPDX-License-Identifier: BSD-3-Clause
 * words.h: one word of the command line becomes a value. */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#include "options.h"

struct argp_state;

/* Says on rank 0 why the line cannot be used, and ends the process there; elsewhere marks
 * options->refused and goes on. */
void refuse(struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes of "4096", "64K", "1g", 1 or more. The end of what was read; NULL = that is no size. */
const char *read_size(const char *text, size_t *bytes);

/* Each takes `text`, given for `flag` ("-b"), or refuses it with a sentence. */
void take_size(struct argp_state *state, const char *flag, const char *text, size_t *bytes);
void take_number(struct argp_state *state, const char *flag, const char *text, int least, int most,
                 int *number);
/* Seconds from 0 to a day; between 0 and `least` there is nothing. */
void take_seconds(struct argp_state *state, const char *flag, const char *text, double least,
                  double *seconds);
void take_type(struct argp_state *state, const char *text, struct options *options);
void take_op(struct argp_state *state, const char *text, struct options *options);
void take_memory(struct argp_state *state, const char *text, struct options *options);
void take_collective(struct argp_state *state, const char *text, struct options *options);
/* "SIZE:GBPS", one more. */
void take_expectation(struct argp_state *state, const char *text, struct options *options);
void take_codec(struct argp_state *state, const char *text, struct options *options);

void take_versus(struct argp_state *state, const char *text, struct options *options);
void take_device(struct argp_state *state, const char *text, struct options *options);

/* A file name that is not empty. */
void take_path(struct argp_state *state, const char *flag, const char *text, const char **path);

#endif
