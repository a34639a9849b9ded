/* SPDX-License-Identifier: BSD-3-Clause
 * file.h: writes a whole file or leaves the old one as it is. */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include <stdbool.h>
#include <stdio.h>

/* Writes everything; errors are found by whoever calls it. */
typedef void file_writer(FILE *to, const void *what);

/* True when `path` can be written, as far as one can tell before there is something to write. A
 * sentence on stderr, beginning with the flag that named the file, tells otherwise. */
bool file_probe(const char *flag, const char *path);

/* Has `writer` write `what` beside `path`, under another name, and renames it when it has arrived
 * on the disk. What is no regular file (a pipe, a device, the program's own output) is written
 * directly. False, after such a sentence, when anything of that failed; no trace is left then. */
bool file_write(const char *flag, const char *path, file_writer *writer, const void *what);

#endif
