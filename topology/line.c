/* SPDX-License-Identifier: BSD-3-Clause
 * line.c: text into the caller's room. */
#include "line.h"

#include <stdarg.h>
#include <stdio.h>

struct line line_begin(char *text, size_t bytes)
{
    bytes = text == NULL ? 0 : bytes;
    if (bytes > 0) {
        text[0] = '\0';
    }
    return (struct line){text, bytes, 0};
}

void line_say(struct line *line, const char *format, ...)
{
    va_list arguments;
    if (line->used + 1 >= line->bytes) {
        return;
    }
    va_start(arguments, format);
    int more = vsnprintf(line->text + line->used, line->bytes - line->used, format, arguments);
    va_end(arguments);
    if (more > 0) {
        size_t room = line->bytes - line->used - 1;
        line->used += (size_t)more < room ? (size_t)more : room;
    }
}
