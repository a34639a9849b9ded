/* SPDX-License-Identifier: BSD-3-Clause
 * file.h: files that are there whole or not at all. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reason.h"

#define FILE_PATH_BYTES 4096

/* A file that is being written beside its place. */
struct new_file {
    int descriptor; /* -1 = not open */
    char path[FILE_PATH_BYTES];
    char beside[FILE_PATH_BYTES]; /* path + ".new" */
};

/* Opens a new, empty one. file_keep brings it to the disk and in place of what was there, in this
 * order, so that whoever looks, at whatever instant, finds the old one or the new one whole;
 * file_drop forgets it. After a failure file_drop is called. */
enum fault file_begin(struct new_file *file, const char *path, struct reason *reason);
enum fault file_put(struct new_file *file, uint64_t offset, const void *data, size_t bytes,
                    struct reason *reason);
enum fault file_keep(struct new_file *file, struct reason *reason);
void file_drop(struct new_file *file);

/* Reads exactly so many bytes; FAULT_DAMAGED where the file ends before. */
enum fault file_read(int descriptor, const char *path, uint64_t offset, void *into, size_t bytes,
                     struct reason *reason);

#endif
