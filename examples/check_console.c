/* SPDX-License-Identifier: BSD-3-Clause
 * check_console.c: looks at what the progress bar says is left, of a training from its begin and of
 * one that goes on where another job stopped. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

#define STEPS 100
#define SECONDS 10.0 /* since the job began */

/* Of bars that are drawn after `done` steps. */
static const struct {
    size_t begin;
    size_t done;
    const char *end;
} examples[] = {
    {0, 0, " 0/100  loss 2.500  0 s left"},     {0, 20, " 20/100  loss 2.500  40 s left"},
    {0, 100, " 100/100  loss 2.500  0 s left"}, {90, 90, " 90/100  loss 2.500  0 s left"},
    {90, 91, " 91/100  loss 2.500  90 s left"}, {90, 95, " 95/100  loss 2.500  10 s left"},
};

/* What the bar writes to stderr; empty where that fails. */
static void draw(const struct console *console, size_t done, char *text, size_t bytes)
{
    int ends[2];
    text[0] = '\0';
    fflush(stderr);
    int before = dup(STDERR_FILENO);
    if (before < 0 || pipe(ends) != 0) {
        return;
    }
    dup2(ends[1], STDERR_FILENO);
    console_bar(console, done, 2.5, SECONDS);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t got = read(ends[0], text, bytes - 1);
    text[got > 0 ? got : 0] = '\0';
    close(ends[0]);
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct console console = {.bar = true, .steps = STEPS, .begin = examples[i].begin};
        const char *end = examples[i].end;
        char text[256];
        draw(&console, examples[i].done, text, sizeof text);
        size_t length = strlen(text);
        if (length < strlen(end) || strcmp(text + length - strlen(end), end) != 0) {
            printf("behind step %zu, after %zu: the bar is '%s', not '...%s'\n", examples[i].begin,
                   examples[i].done, text, end);
            failures++;
        }
    }
    return failures > 0 ? 1 : 0;
}
