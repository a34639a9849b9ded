/* SPDX-License-Identifier: BSD-3-Clause
 * file.c: a reader of the file never sees half of it, and a full disk costs the new one only. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct draft {
    const char *flag;
    const char *path;         /* as the user gave it */
    char target[PATH_MAX];    /* behind symbolic links; "" = written directly */
    char name[PATH_MAX + 32]; /* the draft's */
    int own;                  /* the program's own stream that this is, or -1 */
    int descriptor;
};

static bool fail(const struct draft *draft, const char *what, int cause)
{
    fprintf(stderr, "wirewise: %s %s: %s: %s\n", draft->flag, draft->path, what, strerror(cause));
    return false;
}

static bool is_descriptor(const struct stat *file, int descriptor)
{
    struct stat own;
    return fstat(descriptor, &own) == 0 && own.st_dev == file->st_dev && own.st_ino == file->st_ino;
}

/* The program's own output must not be renamed away under it; it is written where it stands.
 * Returns its descriptor, or -1. */
static int own_output(const struct stat *file)
{
    for (int own = STDOUT_FILENO; own <= STDERR_FILENO; own++) {
        if (is_descriptor(file, own)) {
            return own;
        }
    }
    return -1;
}

/* Finds out where to write: sets target, or leaves it "" for what is written directly. */
static bool draft_aim(struct draft *draft, const char *flag, const char *path)
{
    struct stat file;
    *draft = (struct draft){.flag = flag, .path = path, .own = -1, .descriptor = -1};
    if (stat(path, &file) != 0) {
        if (strlen(path) >= sizeof(draft->target)) {
            return fail(draft, "cannot be written", ENAMETOOLONG);
        }
        strcpy(draft->target, path);
        return true;
    }
    if (S_ISDIR(file.st_mode)) {
        return fail(draft, "cannot be written", EISDIR);
    }
    draft->own = own_output(&file);
    if (draft->own >= 0 || !S_ISREG(file.st_mode)) {
        return draft->own >= 0 || access(path, W_OK) == 0 ||
               fail(draft, "cannot be written", errno);
    }
    return realpath(path, draft->target) != NULL || fail(draft, "cannot be written", errno);
}

static bool open_beside(struct draft *draft)
{
    snprintf(draft->name, sizeof(draft->name), "%s.%ld.tmp", draft->target, (long)getpid());
    draft->descriptor = open(draft->name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    return draft->descriptor >= 0 || fail(draft, "cannot be written", errno);
}

/* A pipe that nobody reads is an error, not something to wait for. */
static bool open_directly(struct draft *draft)
{
    draft->descriptor = draft->own >= 0 ? dup(draft->own)
                                        : open(draft->path, O_WRONLY | O_NONBLOCK);
    if (draft->descriptor < 0) {
        return fail(draft, "cannot be written", errno);
    }
    int flags = fcntl(draft->descriptor, F_GETFL);
    if (draft->own < 0 && fcntl(draft->descriptor, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        fail(draft, "cannot be written", errno);
        close(draft->descriptor);
        return false;
    }
    return true;
}

static bool is_beside(const struct draft *draft)
{
    return draft->target[0] != '\0';
}

static void draft_drop(const struct draft *draft)
{
    if (is_beside(draft)) {
        unlink(draft->name);
    }
}

/* Writes, and returns 0 or the errno of what went wrong first. */
static int draft_fill(const struct draft *draft, file_writer *writer, const void *what)
{
    FILE *stream = fdopen(draft->descriptor, "w");
    if (stream == NULL) {
        int cause = errno;
        close(draft->descriptor);
        return cause;
    }
    errno = 0;
    writer(stream, what);
    int cause = ferror(stream) ? (errno != 0 ? errno : EIO) : 0;
    if (cause == 0 && fflush(stream) != 0) {
        cause = errno;
    }
    if (cause == 0 && is_beside(draft) && fsync(draft->descriptor) != 0) {
        cause = errno;
    }
    if (fclose(stream) != 0 && cause == 0) {
        cause = errno;
    }
    return cause;
}

bool file_probe(const char *flag, const char *path)
{
    struct draft draft;
    if (!draft_aim(&draft, flag, path)) {
        return false;
    }
    if (is_beside(&draft)) {
        if (!open_beside(&draft)) {
            return false;
        }
        close(draft.descriptor);
        draft_drop(&draft);
    }
    return true;
}

bool file_write(const char *flag, const char *path, file_writer *writer, const void *what)
{
    struct draft draft;
    if (!draft_aim(&draft, flag, path) ||
        !(is_beside(&draft) ? open_beside(&draft) : open_directly(&draft))) {
        return false;
    }
    int cause = draft_fill(&draft, writer, what);
    if (cause == 0 && is_beside(&draft) && rename(draft.name, draft.target) != 0) {
        cause = errno;
    }
    if (cause != 0) {
        draft_drop(&draft);
        return fail(&draft, "the results could not be written", cause);
    }
    return true;
}
