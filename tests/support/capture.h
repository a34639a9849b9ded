/* SPDX-License-Identifier: BSD-3-Clause
 * capture.h: catches what the library logs, so that a test can ask for a line and fails on a
 * warning that nobody asked for. Use it as a suite's fixture:
 *
 *     TestSuite(config, .init = capture_start, .fini = capture_finish);
 *     Test(config, a_mistyped_variable_is_named)
 *     {
 *         ...
 *         expect_line(WW_LOG_WARN, "WIREWISE_BUKET_BYTES");
 *     }
 */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include <criterion/criterion.h>

#include "internal/log.h"

/* From now on lines are kept and printed nowhere. Lines of an earlier capture are forgotten. */
void capture_start(void);

/* Ends the capture: lines go to stderr again. Unexpected warnings are printed and abort. */
void capture_finish(void);

/* Takes the first line of that level that holds the text and was not taken before.
 * NULL when there is none; valid until capture_start. */
const char *capture_take(enum ww_log_level level, const char *text);

/* Warnings and errors that nobody took, one a line; "" when there are none. Valid until the next
 * call of this or of capture_all. */
const char *capture_unexpected(void);

/* Every line so far, with its level; for messages of failing tests. */
const char *capture_all(void);

/* Fails unless a line of that level holds the text; the line counts as asked for. */
#define expect_line(level, text)                                                                   \
    cr_expect_not_null(capture_take(level, text), "no such line says \"%s\"; all lines:\n%s",      \
                       text, capture_all())

/* Fails on warnings and errors that no expect_line asked for. */
#define expect_no_warnings()                                                                       \
    cr_expect_str_empty(capture_unexpected(), "nobody asked for:\n%s", capture_unexpected())

#endif
