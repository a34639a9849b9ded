/* SPDX-License-Identifier: BSD-3-Clause
 * console.c: prints step lines, and a progress bar where somebody can see it move. */
#include "console.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 30

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

/* A terminal that can move its cursor. */
static bool can_draw(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

void console_clear(const struct console *console)
{
    if (console->bar) {
        fputs("\r\033[K", stderr);
    }
}

void console_step(const struct console *console, size_t step, double loss, double held_out,
                  const struct ww_report *report)
{
    if (!console->lines) {
        return;
    }
    char line[1024];
    char judged[32] = "";
    ww_report_print(report, line, sizeof line);
    if (!isnan(held_out)) {
        snprintf(judged, sizeof judged, "held-out %.4f", held_out);
    }
    console_clear(console);
    printf("[%zu/%zu]  loss %.4f  %-15s | %s\n", step, console->steps, loss, judged, line);
    fflush(stdout);
}

void console_bar(const struct console *console, size_t done, double loss, double seconds)
{
    if (!console->bar) {
        return;
    }
    char cells[BAR_CELLS + 1];
    size_t full = done * BAR_CELLS / console->steps;
    memset(cells, '.', BAR_CELLS);
    memset(cells, '#', full);
    cells[BAR_CELLS] = '\0';
    double taken = (double)(done - console->begin); /* an earlier job's steps took none of these */
    double left = taken > 0 ? seconds / taken * (double)(console->steps - done) : 0;
    fprintf(stderr, "\r\033[K%s[%s]%s %zu/%zu  loss %.3f  %.0f s left",
            console->colour ? "\033[36m" : "", cells, console->colour ? "\033[0m" : "", done,
            console->steps, loss, left);
    fflush(stderr);
}

void console_init(struct console *console, const struct options *options, bool first_rank)
{
    bool wanted = options->bar == BAR_ALWAYS || (options->bar == BAR_AUTO && can_draw());
    *console = (struct console){.lines = first_rank && !options->quiet,
                                .bar = first_rank && !options->quiet && wanted,
                                .colour = !is_set("NO_COLOR"),
                                .steps = options->steps};
}
