/* SPDX-License-Identifier: BSD-3-Clause
 * line.h: a text that grows in room of the caller, and is cut where that ends. */
#ifndef LINE_H
#define LINE_H

#include <stddef.h>

struct line {
    char *text;
    size_t bytes;
    size_t used;
};

/* Begins with "". bytes may be 0; then nothing is ever written. */
struct line line_begin(char *text, size_t bytes);

void line_say(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
