/* SPDX-License-Identifier: BSD-3-Clause
 * file.c: writes beside the place, brings it to the disk, renames. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Brings the names in the folder of `path` to the disk. */
static enum fault sync_folder(const char *path, struct reason *reason)
{
    char folder[FILE_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return reason_errno(reason, folder, "opened");
    }
    /* Some file systems have nothing to bring to a disk for a folder, and say EINVAL. */
    int failed = fsync(descriptor) != 0 && errno != EINVAL;
    enum fault fault = failed ? reason_errno(reason, folder, "brought to the disk") : FAULT_NONE;
    close(descriptor);
    return fault;
}

enum fault file_begin(struct new_file *file, const char *path, struct reason *reason)
{
    file->descriptor = -1;
    file->beside[0] = '\0';
    if (strlen(path) + sizeof ".new" > sizeof file->path) {
        return reason_set(reason, FAULT_SYSTEM, "a path of %zu bytes is too long", strlen(path));
    }
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(file->beside, sizeof file->beside, "%.*s.new", FILE_PATH_BYTES - 5, path);
    file->descriptor = open(file->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file->descriptor >= 0 ? FAULT_NONE : reason_errno(reason, file->beside, "written");
}

enum fault file_put(struct new_file *file, uint64_t offset, const void *data, size_t bytes,
                    struct reason *reason)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t put = pwrite(file->descriptor, at, bytes, (off_t)offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            errno = put == 0 ? ENOSPC : errno;
            return reason_errno(reason, file->beside, "written");
        }
        at += put;
        offset += (uint64_t)put;
        bytes -= (size_t)put;
    }
    return FAULT_NONE;
}

enum fault file_keep(struct new_file *file, struct reason *reason)
{
    if (fsync(file->descriptor) != 0) {
        return reason_errno(reason, file->beside, "brought to the disk");
    }
    int closed = close(file->descriptor);
    file->descriptor = -1;
    if (closed != 0) {
        return reason_errno(reason, file->beside, "brought to the disk");
    }
    if (rename(file->beside, file->path) != 0) {
        return reason_errno(reason, file->path, "put in place");
    }
    file->beside[0] = '\0';
    return sync_folder(file->path, reason);
}

void file_drop(struct new_file *file)
{
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
    if (file->beside[0] != '\0') {
        unlink(file->beside);
        file->beside[0] = '\0';
    }
}

enum fault file_read(int descriptor, const char *path, uint64_t offset, void *into, size_t bytes,
                     struct reason *reason)
{
    uint8_t *at = into;
    while (bytes > 0) {
        ssize_t got = pread(descriptor, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return reason_errno(reason, path, "read");
        }
        if (got == 0) {
            return reason_set(reason, FAULT_DAMAGED, "%.400s ends at byte %llu, it was longer",
                              path, (unsigned long long)offset);
        }
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return FAULT_NONE;
}
