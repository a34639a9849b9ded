/* SPDX-License-Identifier: BSD-3-Clause
 * calibration_file.c: reads and writes results of calibrations. A stranger may have written the
 * file: each number is looked at before it is believed. */
#include "calibration_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/log.h"
#include "internal/number.h"
#include "internal/size_guard.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define KEY_BYTES 64
#define PATH_BYTES 4096
#define SECTION_BYTES 8192

/* One number of a link or of memory, and what is sane. */
struct row {
    const char *name;
    size_t offset;
    double least;
    double most;
};

#define LINK(field, least, most)                                                                   \
    {                                                                                              \
#field, offsetof(struct link, field), least, most                                          \
    }
#define MEMORY(field, least, most)                                                                 \
    {                                                                                              \
#field, offsetof(struct memory_cost, field), least, most                                   \
    }
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const struct row link_rows[] = {
    LINK(flow.fixed_s, 0, 100),  LINK(flow.byte_s, 1e-15, 1), LINK(duplex, 1, 2),
    LINK(port_byte_s, 1e-15, 1), LINK(message_s, 0, 100),     LINK(core_byte_s, 0, 1),
    LINK(spread, 0, 1),          LINK(fixed_spread, 0, 1),    LINK(health, 0, 1000),
};
static const struct row memory_rows[] = {
    MEMORY(await_s, 0, 100),      MEMORY(action_s, 0, 100),   MEMORY(copy_byte_s, 1e-15, 1),
    MEMORY(sum_byte_s, 1e-15, 1), MEMORY(far_byte_s, 0, 1),   MEMORY(ram_byte_s, 0, 1),
    MEMORY(fetch_s, 0, 100),      MEMORY(fetch_byte_s, 0, 1), MEMORY(cache_bytes, 0, 1e13),
    MEMORY(spread, 0, 1),
};

/* ---- Text of the whole file ---------------------------------------------------------------- */

/* Pipes and devices would block, or be replaced by a file: they are left alone. */
static bool is_file_or_absent(const char *path)
{
    struct stat status;
    return stat(path, &status) != 0 || S_ISREG(status.st_mode);
}

static void warn_of_other_file(const char *path)
{
    log_warn("calibration file %s is none and was ignored; what is measured takes its place", path);
}

/* To be freed; NULL when there is no file, or no sense in it. */
static char *load(const char *path)
{
    if (!is_file_or_absent(path)) {
        return NULL; /* said when it cannot be written */
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "r");
    if (file == NULL) {
        if (errno != ENOENT) {
            log_debug("calibration file %s cannot be read: %s", path, strerror(errno));
        }
        if (descriptor >= 0) {
            close(descriptor);
        }
        return NULL;
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t bytes = text == NULL ? 0 : fread(text, 1, FILE_BYTES_MAX + 1, file);
    fclose(file);
    if (text == NULL) {
        return NULL;
    }
    if (bytes > FILE_BYTES_MAX || memchr(text, '\0', bytes) != NULL) {
        warn_of_other_file(path);
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

/* The next section from `text` on: where it begins ("[" at the begin of a line), NULL = none. */
static const char *section_at(const char *text)
{
    if (*text == '[') {
        return text;
    }
    const char *found = strstr(text, "\n[");
    return found == NULL ? NULL : found + 1;
}

static const char *section_end(const char *section)
{
    const char *next = section_at(section + 1);
    return next == NULL ? section + strlen(section) : next;
}

static bool section_is(const char *section, uint64_t fingerprint)
{
    char name[32];
    int length = snprintf(name, sizeof name, "[%016" PRIx64 "]", fingerprint);
    return strncmp(section, name, (size_t)length) == 0;
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* The number of `key` in a section. */
static bool find(const char *section, const char *key, double *value)
{
    const char *end = section_end(section);
    size_t length = strlen(key);
    for (const char *line = section; line < end; line = strchr(line, '\n') + 1) {
        if (strncmp(line, key, length) == 0 && strncmp(line + length, " = ", 3) == 0) {
            char *rest;
            *value = number_read(line + length + 3, &rest);
            return rest != line + length + 3 && (*rest == '\n' || *rest == '\0');
        }
        if (strchr(line, '\n') == NULL) {
            break;
        }
    }
    return false;
}

static bool read_rows(const char *section, const char *prefix, const struct row *rows, size_t count,
                      void *values)
{
    for (size_t i = 0; i < count; i++) {
        char key[KEY_BYTES];
        double value;
        snprintf(key, sizeof key, "%s.%s", prefix, rows[i].name);
        if (!find(section, key, &value) || !(value >= rows[i].least && value <= rows[i].most)) {
            return false;
        }
        memcpy((char *)values + rows[i].offset, &value, sizeof value);
    }
    return true;
}

static bool read_source(const char *section, const char *prefix, enum cost_source *source)
{
    char key[KEY_BYTES];
    double value;
    snprintf(key, sizeof key, "%s.source", prefix);
    if (!find(section, key, &value) || !(value >= 0 && value < COST_SOURCES)) {
        return false;
    }
    *source = (enum cost_source)(int)value;
    return true;
}

static bool read_section(const char *section, struct wires *wires)
{
    double levels;
    if (!find(section, "levels", &levels) || levels != wires->levels) {
        return false;
    }
    for (int level = 0; level < wires->levels; level++) {
        char prefix[20];
        struct link *link = &wires->link[level];
        snprintf(prefix, sizeof prefix, "link.%d", level);
        if (!read_rows(section, prefix, link_rows, LENGTH(link_rows), link) ||
            !read_source(section, prefix, &link->source)) {
            return false;
        }
    }
    return read_rows(section, "memory", memory_rows, LENGTH(memory_rows), &wires->memory) &&
           read_source(section, "memory", &wires->memory.source);
}

bool calibration_read(const char *file, uint64_t fingerprint, struct wires *wires)
{
    bool read = false;
    char *text = load(file);
    if (text == NULL) {
        return false;
    }
    if (*text != '\0' && section_at(text) == NULL) {
        warn_of_other_file(file);
    }
    for (const char *at = section_at(text); at != NULL; at = section_at(at + 1)) {
        struct wires found = *wires;
        if (!section_is(at, fingerprint)) {
            continue;
        }
        read = read_section(at, &found);
        if (read) {
            *wires = found;
        } else {
            log_warn("calibration file %s: section %016" PRIx64
                     " is damaged and was ignored; it will be written anew",
                     file, fingerprint);
        }
        break;
    }
    free(text);
    return read;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static int write_rows(char *into, size_t bytes, const char *prefix, const struct row *rows,
                      size_t count, const void *values)
{
    int used = 0;
    for (size_t i = 0; i < count; i++) {
        double value;
        char number[32];
        memcpy(&value, (const char *)values + rows[i].offset, sizeof value);
        number_print(number, sizeof number, 17, value);
        used += snprintf(into + used, bytes - (size_t)used, "%s.%s = %s\n", prefix, rows[i].name,
                         number);
    }
    return used;
}

/* A section takes less than SECTION_BYTES: 8 links of 10 lines and memory's 11, of 60 bytes. */
static void write_section(char into[SECTION_BYTES], uint64_t fingerprint, const struct wires *wires)
{
    size_t bytes = SECTION_BYTES;
    int used = snprintf(into, bytes, "[%016" PRIx64 "]\nlevels = %d\n", fingerprint, wires->levels);
    for (int level = 0; level < wires->levels; level++) {
        char prefix[20];
        const struct link *link = &wires->link[level];
        snprintf(prefix, sizeof prefix, "link.%d", level);
        used += write_rows(into + used, bytes - (size_t)used, prefix, link_rows, LENGTH(link_rows),
                           link);
        used += snprintf(into + used, bytes - (size_t)used, "%s.source = %d\n", prefix,
                         (int)link->source);
    }
    used += write_rows(into + used, bytes - (size_t)used, "memory", memory_rows,
                       LENGTH(memory_rows), &wires->memory);
    snprintf(into + used, bytes - (size_t)used, "memory.source = %d\n", (int)wires->memory.source);
}

/* All older sections but those of this fingerprint, and the oldest where there are too many. */
static void copy_others(FILE *into, const char *text, uint64_t fingerprint)
{
    int others = 0;
    for (const char *at = section_at(text); at != NULL; at = section_at(at + 1)) {
        others += !section_is(at, fingerprint);
    }
    for (const char *at = section_at(text); at != NULL; at = section_at(at + 1)) {
        if (section_is(at, fingerprint)) {
            continue;
        }
        if (others-- < FILE_SECTIONS_MAX) {
            fwrite(at, 1, (size_t)(section_end(at) - at), into);
        }
    }
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] != '\n') {
        fputc('\n', into);
    }
}

/* Links stay: what they point to is replaced. `real` has PATH_MAX bytes. */
static const char *behind_links(const char *file, char *real)
{
    return realpath(file, real) == NULL ? file : real;
}

static void warn_of_loss(const char *file)
{
    log_warn("calibration file %s cannot be written: %s. The next job measures the wires anew: "
             "name another file in calibration_file, or \"none\"",
             file, strerror(errno));
}

static bool replace_file(const char *name, uint64_t fingerprint, const struct wires *wires)
{
    char real[PATH_MAX];
    char path[PATH_BYTES];
    char section[SECTION_BYTES];
    if (!is_file_or_absent(name)) {
        log_warn("calibration file %s is not a regular file and was left alone: name another one "
                 "in calibration_file, or \"none\"",
                 name);
        return false;
    }
    const char *file = behind_links(name, real);
    int length = snprintf(path, sizeof path, "%s.XXXXXX", file);
    errno = ENAMETOOLONG;
    int descriptor = length < PATH_BYTES ? mkstemp(path) : -1;
    FILE *into = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (into == NULL) {
        warn_of_loss(file);
        if (descriptor >= 0) {
            close(descriptor);
            unlink(path);
        }
        return false;
    }
    char *text = load(file);
    if (text != NULL) {
        copy_others(into, text, fingerprint);
        free(text);
    }
    write_section(section, fingerprint, wires);
    bool good = fputs(section, into) >= 0 && ferror(into) == 0;
    good = fclose(into) == 0 && good;
    if (!good || rename(path, file) != 0) {
        warn_of_loss(file);
        unlink(path);
        return false;
    }
    return true;
}

bool calibration_write(const char *name, uint64_t fingerprint, const struct wires *wires)
{
    struct size_guard guard;
    size_guard_begin(&guard);
    bool good = replace_file(name, fingerprint, wires);
    size_guard_end(&guard);
    return good;
}
