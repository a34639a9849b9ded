/* SPDX-License-Identifier: BSD-3-Clause
 * output_file.h: a file that grows, through a buffer. The first failure is told, with a remedy, and
 * the file is given up: what comes after it does nothing. */
#ifndef REPORT_OUTPUT_FILE_H
#define REPORT_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_PATH_BYTES 2048
#define OUTPUT_BUFFER_BYTES 65536

struct output_file {
    const char *what;    /* "ledger" */
    const char *setting; /* "WIREWISE_LEDGER" */
    char path[OUTPUT_PATH_BYTES];
    int descriptor;   /* -1 = not open, or given up */
    int placed;       /* what output_move put in place, so that others see that it is in use */
    uint64_t bytes;   /* in the file and the buffer */
    uint64_t flushed; /* of these, in the file */
    char buffer[OUTPUT_BUFFER_BYTES];
};

/* Opens a new file. One that exists becomes PATH.1, in place of an older one of that name; one that
 * another run still writes to is left alone. Devices are written to as they are. False = given
 * up. what and setting are static. */
bool output_open(struct output_file *file, const char *what, const char *setting, const char *path);

/* Opens a file that output_move will put in place of PATH: nobody sees half of it. What another run
 * puts there is left alone. file->placed is -1 before the first one. */
bool output_open_beside(struct output_file *file, const char *what, const char *setting,
                        const char *path);

bool output_is_open(const struct output_file *file);

/* Appends, and writes what fills the buffer. Whole lines: a file never ends amid one unless a
 * process is killed while it writes. */
void output_put(struct output_file *file, const char *text, size_t bytes);
void output_flush(struct output_file *file);

/* Ends the file; output_move puts it in place. True when all of it is there. */
bool output_close(struct output_file *file);
bool output_move(struct output_file *file);

/* What was put in place is no longer in use. */
void output_leave(struct output_file *file);

#endif
