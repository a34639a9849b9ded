/* SPDX-License-Identifier: BSD-3-Clause
 * output_file.c: a buffered file that never fails its caller. */
#include "output_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/log.h"
#include "internal/size_guard.h"

#define OLD_SUFFIX ".1"
#define BESIDE_SUFFIX ".tmp"
#define STREAM_REASON "it leads to a file that is open already"
#define USED_REASON "another run or context writes to it"

static void release(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
    }
    *descriptor = -1;
}

static void give_up(struct output_file *file, const char *failed, const char *why)
{
    log_warn("%s %s cannot be %s: %s; the run goes on without it. %s may name another place",
             file->what, file->path, failed, why, file->setting);
    release(&file->descriptor);
    release(&file->placed);
}

/* ---- Opening ----------------------------------------------------------------------------- */

/* Whoever writes to such a file holds a lock on it; where locks do not work nobody seems to. */
static bool is_in_use(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return false;
    }
    bool used = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(descriptor);
    return used;
}

/* /dev/stdout and its like: whoever moved or replaced the link would take it from all programs. */
static bool is_standard_stream(const char *path)
{
    static const char prefix[] = "/proc/";
    char link[sizeof prefix];
    ssize_t bytes = readlink(path, link, sizeof link);
    return bytes == sizeof link && strncmp(link, prefix, sizeof prefix - 1) == 0;
}

/* Makes room at the path. */
static bool keep_old(struct output_file *file)
{
    if (is_standard_stream(file->path)) {
        give_up(file, "written", STREAM_REASON);
        return false;
    }
    if (is_in_use(file->path)) {
        give_up(file, "written", USED_REASON);
        return false;
    }
    char old[OUTPUT_PATH_BYTES + sizeof OLD_SUFFIX];
    snprintf(old, sizeof old, "%s" OLD_SUFFIX, file->path);
    if (rename(file->path, old) != 0) {
        give_up(file, "kept as NAME.1", strerror(errno));
        return false;
    }
    return true;
}

static bool open_device(struct output_file *file, mode_t mode)
{
    if (!S_ISCHR(mode)) {
        give_up(file, "written", "it is neither a file nor a device");
        return false;
    }
    file->descriptor = open(file->path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (file->descriptor < 0) {
        give_up(file, "opened", strerror(errno));
    }
    return file->descriptor >= 0;
}

static bool set_up(struct output_file *file, const char *what, const char *setting,
                   const char *path)
{
    file->what = what;
    file->setting = setting;
    file->descriptor = -1;
    file->bytes = 0;
    file->flushed = 0;
    int length = snprintf(file->path, sizeof file->path, "%s", path);
    if (length < 0 || (size_t)length >= sizeof file->path) {
        give_up(file, "opened", strerror(ENAMETOOLONG));
        return false;
    }
    return true;
}

bool output_open(struct output_file *file, const char *what, const char *setting, const char *path)
{
    file->placed = -1;
    if (!set_up(file, what, setting, path)) {
        return false;
    }
    struct stat status;
    if (lstat(path, &status) == 0) {
        /* A link to a device means the device; any other is kept, and with it where it leads. */
        if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
            return open_device(file, status.st_mode);
        }
        if (!keep_old(file)) {
            return false;
        }
    }
    file->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor < 0) {
        give_up(file, "made", strerror(errno));
        return false;
    }
    int locked = flock(file->descriptor, LOCK_EX | LOCK_NB);
    (void)locked; /* some file systems have no locks: two runs must not share a name there */
    return true;
}

/* Is what stands there what this file put there? */
static bool is_own(const struct output_file *file)
{
    struct stat own, there;
    return file->placed >= 0 && fstat(file->placed, &own) == 0 && stat(file->path, &there) == 0 &&
           own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

/* Who makes the next one holds its lock, and afterwards that of what was put in place. */
static bool open_locked(struct output_file *file, const char *beside)
{
    file->descriptor = open(beside, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666);
    if (file->descriptor < 0) {
        give_up(file, "made", strerror(errno));
    } else if (flock(file->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        give_up(file, "replaced", USED_REASON);
    } else if (ftruncate(file->descriptor, 0) != 0) {
        give_up(file, "made", strerror(errno));
    }
    return file->descriptor >= 0;
}

bool output_open_beside(struct output_file *file, const char *what, const char *setting,
                        const char *path)
{
    if (!set_up(file, what, setting, path)) {
        return false;
    }
    struct stat status; /* a rename would put a file in the place of a device */
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        give_up(file, "replaced", "it is no file");
        return false;
    }
    if (is_standard_stream(path)) {
        give_up(file, "replaced", STREAM_REASON);
        return false;
    }
    if (!is_own(file) && is_in_use(path)) {
        give_up(file, "replaced", USED_REASON);
        return false;
    }
    char beside[OUTPUT_PATH_BYTES + sizeof BESIDE_SUFFIX];
    snprintf(beside, sizeof beside, "%s" BESIDE_SUFFIX, path);
    return open_locked(file, beside);
}

/* ---- Writing ----------------------------------------------------------------------------- */

bool output_is_open(const struct output_file *file)
{
    return file->descriptor >= 0;
}

/* What somebody did to the file meanwhile: NULL = nothing. Behind a new end, as logrotate's
 * copytruncate makes it, what is written would leave a hole of zeros. */
static const char *harm_done(const struct output_file *file)
{
    struct stat status;
    if (fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    return status.st_nlink == 0                       ? "somebody removed it"
           : (uint64_t)status.st_size < file->flushed ? "somebody shortened it"
                                                      : NULL;
}

/* 0 or an errno. */
static int write_held(const struct output_file *file)
{
    size_t held = (size_t)(file->bytes - file->flushed);
    size_t done = 0;
    int cause = 0;
    struct size_guard guard;
    size_guard_begin(&guard);
    while (done < held && cause == 0) {
        ssize_t written = write(file->descriptor, file->buffer + done, held - done);
        cause = written < 0 && errno != EINTR ? errno : 0;
        done += written > 0 ? (size_t)written : 0;
    }
    size_guard_end(&guard);
    return cause;
}

void output_flush(struct output_file *file)
{
    if (file->descriptor < 0 || file->bytes == file->flushed) {
        return;
    }
    const char *harm = harm_done(file);
    if (harm != NULL) {
        give_up(file, "written", harm);
        return;
    }
    int cause = write_held(file);
    if (cause != 0) {
        int shortened = ftruncate(file->descriptor, (off_t)file->flushed);
        (void)shortened; /* half a line is worse than none, but no reason to say more */
        give_up(file, "written", strerror(cause));
        return;
    }
    file->flushed = file->bytes;
}

void output_put(struct output_file *file, const char *text, size_t bytes)
{
    assert(bytes <= sizeof file->buffer);
    if (bytes > sizeof file->buffer - (size_t)(file->bytes - file->flushed)) {
        output_flush(file);
    }
    if (file->descriptor < 0) {
        return;
    }
    memcpy(file->buffer + (file->bytes - file->flushed), text, bytes);
    file->bytes += bytes;
}

bool output_close(struct output_file *file)
{
    output_flush(file);
    if (file->descriptor < 0) {
        return false;
    }
    int descriptor = file->descriptor;
    file->descriptor = -1;
    if (close(descriptor) != 0 && errno != EINTR) {
        give_up(file, "written", strerror(errno)); /* NFS tells a full disk here */
        return false;
    }
    return true;
}

bool output_move(struct output_file *file)
{
    char beside[OUTPUT_PATH_BYTES + sizeof BESIDE_SUFFIX];
    snprintf(beside, sizeof beside, "%s" BESIDE_SUFFIX, file->path);
    int kept = fcntl(file->descriptor, F_DUPFD_CLOEXEC, 0);
    bool moved = output_close(file);
    if (moved && rename(beside, file->path) != 0) {
        give_up(file, "put in place", strerror(errno));
        moved = false;
    }
    if (!moved) {
        unlink(beside);
        release(&kept);
        return false;
    }
    release(&file->placed);
    file->placed = kept;
    return true;
}

void output_leave(struct output_file *file)
{
    release(&file->placed);
}
