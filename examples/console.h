/* SPDX-License-Identifier: BSD-3-Clause
 * console.h: what the first rank shows: a line per step on stdout, a progress bar on stderr. */
#ifndef TRAIN_CONSOLE_H
#define TRAIN_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <wirewise/wirewise.h>

#include "options.h"

struct console {
    bool lines; /* print a line per step */
    bool bar;   /* draw the bar */
    bool colour;
    size_t steps;
    size_t begin; /* the step that a resumed training goes on behind */
};

/* Everything is off for ranks other than the first. */
void console_init(struct console *console, const struct options *options, bool first_rank);

/* A step's losses and its report; held_out is NaN where it was not measured. */
void console_step(const struct console *console, size_t step, double loss, double held_out,
                  const struct ww_report *report);

/* Draws the bar for so many finished steps, those behind `begin` in so many seconds; it stays the
 * last line of the terminal. */
void console_bar(const struct console *console, size_t done, double loss, double seconds);

/* Takes the bar away. */
void console_clear(const struct console *console);

#endif
