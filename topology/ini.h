/* SPDX-License-Identifier: BSD-3-Clause
 * ini.h: takes an INI file apart: sections, key = value, comments behind ; or #. It knows no names.
 *
 *     ; a comment
 *     [shape A]              section "shape", argument "A"
 *     gpus = 8               # a comment behind a blank
 */
#ifndef INI_H
#define INI_H

#include <stdarg.h>

#include <wirewise/wirewise.h>

struct ini_entry {
    int line;             /* from 1 */
    const char *section;  /* never NULL */
    const char *argument; /* "" = none */
    const char *key;      /* NULL = the section's own line */
    const char *value;    /* never empty; NULL where key is */
};

struct ini {
    const char *path; /* for sentences; the caller's */
    char *text;       /* what entries point into */
    struct ini_entry *entries;
    int count;
};

/* Returns WW_OK, WW_BAD_ARGUMENT (the sentence has the line), WW_NO_MEMORY. The path is borrowed
 * until ini_finish. */
enum ww_status ini_read(const char *path, struct ini *ini);
void ini_finish(struct ini *ini);

/* Logs "path:line: ..." and returns WW_BAD_ARGUMENT; line 0 = about the file as a whole. */
enum ww_status ini_refuse_at(const char *path, int line, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
enum ww_status ini_refuse(const struct ini *ini, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
