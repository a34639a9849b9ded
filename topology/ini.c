/* SPDX-License-Identifier: BSD-3-Clause
 * ini.c: one pass over the lines. Names and values end up in place, with their zeros. */
#include "ini.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

enum ww_status ini_refuse_at(const char *path, int line, const char *format, va_list arguments)
{
    char sentence[LOG_SENTENCE_BYTES];
    vsnprintf(sentence, sizeof sentence, format, arguments);
    return line > 0 ? log_failure(WW_BAD_ARGUMENT, "%s:%d: %s", path, line, sentence)
                    : log_failure(WW_BAD_ARGUMENT, "%s: %s", path, sentence);
}

enum ww_status ini_refuse(const struct ini *ini, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum ww_status status = ini_refuse_at(ini->path, line, format, arguments);
    va_end(arguments);
    return status;
}

static enum ww_status read_text(struct ini *ini)
{
    FILE *file = fopen(ini->path, "re");
    if (file == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "cannot open %s: %s", ini->path, strerror(errno));
    }
    ini->text = malloc(FILE_BYTES_MAX + 1);
    size_t bytes = ini->text == NULL ? 0 : fread(ini->text, 1, FILE_BYTES_MAX + 1, file);
    const char *bad = ini->text == NULL        ? "there is no memory for it"
                      : ferror(file)           ? "it cannot be read"
                      : bytes > FILE_BYTES_MAX ? "it has more than 1 MiB"
                                               : NULL;
    fclose(file);
    if (bad != NULL) {
        return log_failure(ini->text == NULL ? WW_NO_MEMORY : WW_BAD_ARGUMENT,
                           "%s cannot describe a cluster: %s", ini->path, bad);
    }
    ini->text[bytes] = '\0';
    if (strlen(ini->text) != bytes) {
        return log_failure(WW_BAD_ARGUMENT, "%s cannot describe a cluster: it holds zeros",
                           ini->path);
    }
    return WW_OK;
}

/* A comment begins at ; or # at the line's begin or behind a blank. */
static void cut_comment(char *line)
{
    bool blank = true;
    for (char *at = line; *at != '\0'; at++) {
        if (blank && (*at == ';' || *at == '#')) {
            *at = '\0';
            return;
        }
        blank = *at == ' ' || *at == '\t';
    }
}

static char *trim(char *text)
{
    text += strspn(text, BLANKS);
    size_t length = strlen(text);
    while (length > 0 && strchr(BLANKS "\r", text[length - 1]) != NULL) {
        length--;
    }
    text[length] = '\0';
    return text;
}

/* "[shape A]", without its brackets, into section and argument. */
static enum ww_status take_section(struct ini *ini, char *text, struct ini_entry *entry)
{
    size_t length = strlen(text);
    if (text[length - 1] != ']') {
        return ini_refuse(ini, entry->line, "the section '%s' does not end with ']'", text);
    }
    text[length - 1] = '\0';
    char *name = trim(text + 1);
    char *end = name + strcspn(name, BLANKS);
    entry->argument = *end == '\0' ? end : trim(end + 1);
    *end = '\0';
    entry->section = name;
    return *name == '\0' ? ini_refuse(ini, entry->line, "the section has no name: []") : WW_OK;
}

static enum ww_status take_value(struct ini *ini, char *text, struct ini_entry *entry)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return ini_refuse(ini, entry->line,
                          "'%s' is neither a [section] nor a line of the form key = value", text);
    }
    *equals = '\0';
    entry->key = trim(text);
    entry->value = trim(equals + 1);
    if (*entry->value == '\0') {
        return ini_refuse(ini, entry->line, "%s has no value: write %s = ..., or take it out",
                          entry->key, entry->key);
    }
    return entry->section == NULL
               ? ini_refuse(ini, entry->line, "%s = %s comes before the first [section]",
                            entry->key, entry->value)
               : WW_OK;
}

static enum ww_status take_line(struct ini *ini, char *line, int number)
{
    cut_comment(line);
    char *text = trim(line);
    if (*text == '\0') {
        return WW_OK;
    }
    struct ini_entry *entry = &ini->entries[ini->count];
    *entry = (struct ini_entry){.line = number, .argument = ""};
    if (ini->count > 0) {
        entry->section = entry[-1].section;
        entry->argument = entry[-1].argument;
    }
    enum ww_status status = *text == '[' ? take_section(ini, text, entry)
                                         : take_value(ini, text, entry);
    ini->count += status == WW_OK;
    return status;
}

static enum ww_status take_apart(struct ini *ini)
{
    size_t lines = 1;
    for (const char *at = ini->text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    ini->entries = calloc(lines, sizeof *ini->entries);
    if (ini->entries == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %zu lines of %s", lines, ini->path);
    }
    enum ww_status status = WW_OK;
    /* Editors of Windows begin a file with a byte order mark. */
    char *line = ini->text + (strncmp(ini->text, BYTE_ORDER_MARK, 3) == 0 ? 3 : 0);
    for (int number = 1; line != NULL && status == WW_OK; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        status = take_line(ini, line, number);
        line = end;
    }
    return status;
}

enum ww_status ini_read(const char *path, struct ini *ini)
{
    *ini = (struct ini){.path = path};
    enum ww_status status = read_text(ini);
    if (status == WW_OK) {
        status = take_apart(ini);
    }
    if (status != WW_OK) {
        ini_finish(ini);
    }
    return status;
}

void ini_finish(struct ini *ini)
{
    free(ini->entries);
    free(ini->text);
    *ini = (struct ini){.path = NULL};
}
