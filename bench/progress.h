/* SPDX-License-Identifier: BSD-3-Clause
 * progress.h: one line on stderr that tells what is under way, on a terminal only. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

/* From now on progress_show shows something, where stderr is a terminal that can erase a line.
 * Thread: one, before there are others. */
void progress_begin(void);

/* Replaces the line; cut where the terminal ends. Thread: rank 0's. */
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Erases the line: whatever else is printed comes after this. Thread: rank 0's. */
void progress_hide(void);

/* What erases the line, "" when there is none. For sentences of other threads. Thread: any. */
const char *progress_eraser(void);

#endif
