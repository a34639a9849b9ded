/* SPDX-License-Identifier: BSD-3-Clause
 * text.c: reads text files, holds the tail of each out, and cuts samples. */
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "random.h"

#define HELD_OUT_SHARE 10 /* one byte in so many */

/* ---- Reading ------------------------------------------------------------------------------- */

static bool complain_errno(struct complaint *complaint, const char *path, int cause)
{
    snprintf(complaint->text, sizeof complaint->text,
             "text file %s cannot be read: %s; name files that this user may read", path,
             strerror(cause));
    return false;
}

static bool append(struct bytes *bytes, const uint8_t *more, size_t count)
{
    uint8_t *grown = realloc(bytes->at, bytes->count + count);
    if (grown == NULL) {
        return false;
    }
    memcpy(grown + bytes->count, more, count);
    bytes->at = grown;
    bytes->count += count;
    return true;
}

/* Takes everything that is left of an open file. */
static bool read_rest(FILE *file, struct bytes *bytes)
{
    uint8_t piece[1 << 16];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, file)) > 0) {
        if (!append(bytes, piece, got)) {
            errno = ENOMEM;
            return false;
        }
    }
    return ferror(file) == 0;
}

static bool read_open(FILE *file, const char *path, struct bytes *bytes,
                      struct complaint *complaint)
{
    struct stat about;
    if (fstat(fileno(file), &about) != 0) {
        return complain_errno(complaint, path, errno);
    }
    if (!S_ISREG(about.st_mode)) {
        /* Every rank reads it for itself, which a pipe does not survive. */
        snprintf(complaint->text, sizeof complaint->text,
                 "%s is not a regular file; name text files, not folders, pipes or devices", path);
        return false;
    }
    if (!read_rest(file, bytes)) {
        return complain_errno(complaint, path, errno);
    }
    if (bytes->count == 0) {
        snprintf(complaint->text, sizeof complaint->text,
                 "text file %s is empty (0 bytes); leave it out or name another", path);
        return false;
    }
    return true;
}

static bool keep_parts(const struct bytes *bytes, struct text *text)
{
    size_t held_out = bytes->count / HELD_OUT_SHARE;
    size_t training = bytes->count - held_out;
    return append(&text->training, bytes->at, training) &&
           (held_out == 0 || append(&text->held_out, bytes->at + training, held_out));
}

static bool add_file(const char *path, struct text *text, struct complaint *complaint)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return complain_errno(complaint, path, errno);
    }
    struct bytes bytes = {NULL, 0};
    bool good = read_open(file, path, &bytes, complaint);
    fclose(file);
    if (good && !keep_parts(&bytes, text)) {
        good = complain_errno(complaint, path, ENOMEM);
    }
    free(bytes.at);
    text->files += good;
    return good;
}

/* ---- The default folder -------------------------------------------------------------------- */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Links name texts that are there already: GPL is GPL-3. */
static bool add_entry(const char *name, struct text *text, struct complaint *complaint)
{
    char path[sizeof TEXT_FOLDER + 257];
    snprintf(path, sizeof path, "%s/%s", TEXT_FOLDER, name);
    struct stat about;
    if (lstat(path, &about) != 0) {
        return complain_errno(complaint, path, errno);
    }
    return !S_ISREG(about.st_mode) || add_file(path, text, complaint);
}

static bool add_folder(struct text *text, struct complaint *complaint)
{
    struct dirent **entries = NULL;
    int count = scandir(TEXT_FOLDER, &entries, is_visible, alphasort);
    if (count < 0) {
        snprintf(
            complaint->text, sizeof complaint->text,
            "the default texts in %s cannot be listed: %s; name text files on the command line",
            TEXT_FOLDER, strerror(errno));
        return false;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        good = good && add_entry(entries[i]->d_name, text, complaint);
        free(entries[i]);
    }
    free(entries);
    return good;
}

/* ---- The door ------------------------------------------------------------------------------ */

static bool long_enough(const struct text *text, size_t context, struct complaint *complaint)
{
    size_t bytes = text->training.count + text->held_out.count;
    if (text->training.count > context && text->held_out.count > context) {
        return true;
    }
    snprintf(complaint->text, sizeof complaint->text,
             "the texts are too short: %zu file(s) with %zu bytes, %zu of them held out, but a "
             "window has %zu bytes; name texts of %zu bytes or more",
             text->files, bytes, text->held_out.count, context + 1, HELD_OUT_SHARE * (context + 1));
    return false;
}

void text_finish(struct text *text)
{
    free(text->training.at);
    free(text->held_out.at);
    *text = (struct text){0};
}

bool text_load(char *const *paths, size_t count, size_t context, struct text *text,
               struct complaint *complaint)
{
    struct text loaded = {0};
    bool good = count > 0 || add_folder(&loaded, complaint);
    for (size_t i = 0; good && i < count; i++) {
        good = add_file(paths[i], &loaded, complaint);
    }
    if (!good || !long_enough(&loaded, context, complaint)) {
        text_finish(&loaded);
        return false;
    }
    *text = loaded;
    return true;
}

/* ---- Cutting ------------------------------------------------------------------------------- */

void text_sample(const struct text *text, uint64_t seed, uint64_t step, uint64_t index,
                 size_t context, uint8_t *sequence)
{
    uint64_t chance = random_hash(random_hash(random_hash(seed) + step) + index);
    size_t first = (size_t)(chance % (text->training.count - context));
    memcpy(sequence, text->training.at + first, context + 1);
}

size_t text_windows(const struct text *text, size_t context, size_t most)
{
    size_t fit = text->held_out.count / (context + 1);
    return fit < most ? fit : most;
}

void text_window(const struct text *text, size_t index, size_t windows, size_t context,
                 uint8_t *sequence)
{
    size_t apart = text->held_out.count / windows;
    memcpy(sequence, text->held_out.at + index * apart, context + 1);
}
