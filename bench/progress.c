/* SPDX-License-Identifier: BSD-3-Clause
 * progress.c: the line is shown between rows only, so it never mixes with the table. */
#include "progress.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ERASER "\r\033[K"
#define COLUMNS_USUAL 80

static bool wanted;
static atomic_bool shown;

void progress_begin(void)
{
    const char *terminal = getenv("TERM");
    wanted = isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static int columns(void)
{
    struct winsize window;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
    return known ? window.ws_col : COLUMNS_USUAL;
}

void progress_show(const char *format, ...)
{
    if (!wanted) {
        return;
    }
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fprintf(stderr, ERASER "%.*s", columns() - 1, line);
    atomic_store(&shown, true);
}

void progress_hide(void)
{
    if (atomic_exchange(&shown, false)) {
        fputs(ERASER, stderr);
    }
}

const char *progress_eraser(void)
{
    return atomic_load(&shown) ? ERASER : "";
}
