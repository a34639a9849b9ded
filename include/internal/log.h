/* SPDX-License-Identifier: BSD-3-Clause
 * log.h: one logger for all rooms. Lines go to stderr; the latest error of each thread is kept.
 * Whoever sees a failure first logs it, once, with its numbers; callers pass the status on. */
#ifndef INTERNAL_LOG_H
#define INTERNAL_LOG_H

#include <stddef.h>

#include <wirewise/wirewise.h>

#define LOG_SENTENCE_BYTES 1024

/* Logs at error level, keeps the sentence as the thread's latest error, and returns `status`, so
 * that a failing function reads `return log_failure(WW_BAD_STATE, "...")`. */
enum ww_status log_failure(enum ww_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The calling thread's latest error, "" when it had none; valid until its next one. */
const char *log_last_error(void);

/* How many errors the calling thread kept so far. */
unsigned long log_error_count(void);

/* Between the two, failures of the calling thread go to debug level and leave its latest error as
 * it is: what fails because something else failed before must not hide that. May be nested. */
void log_hold_error(void);
void log_release_error(void);

/* Standard streams that are closed lead to /dev/null from now on. Else the next socket or file that
 * is opened would be stderr by its number, and get the lines. */
void log_keep_streams(void);

/* In a forked child, before it logs. */
void log_after_fork(void);

/* Lines above this level are dropped, in the whole process. */
void log_set_level(enum ww_log_level level);

/* The rank that the calling thread's lines name; -1 = none. */
void log_set_rank(int rank);

/* For tests: every line goes to `sink` too and, when quiet, nowhere else. NULL = none. */
typedef void log_sink(void *self, enum ww_log_level level, const char *line);
void log_set_sink(log_sink *sink, void *self, int quiet);

#endif
