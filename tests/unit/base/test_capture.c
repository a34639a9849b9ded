/* SPDX-License-Identifier: BSD-3-Clause
 * test_capture.c: the net that other tests fish with has no holes. */
#include "capture.h"

TestSuite(capture, .init = capture_start);

Test(capture, a_line_is_found_by_level_and_words)
{
    log_warn("link %d is slow", 3);
    cr_assert_null(capture_take(WW_LOG_ERROR, "slow"));
    cr_assert_null(capture_take(WW_LOG_WARN, "fast"));
    cr_assert_str_eq(capture_take(WW_LOG_WARN, "is slow"), "link 3 is slow");
}

Test(capture, a_line_is_taken_once)
{
    log_warn("again");
    log_warn("again");
    cr_assert_not_null(capture_take(WW_LOG_WARN, "again"));
    cr_assert_not_null(capture_take(WW_LOG_WARN, "again"));
    cr_assert_null(capture_take(WW_LOG_WARN, "again"));
}

Test(capture, warnings_and_errors_are_unexpected_until_taken)
{
    log_info("all is well");
    log_debug("very well");
    cr_assert_str_empty(capture_unexpected());
    log_warn("hm");
    log_failure(WW_BAD_STATE, "no");
    cr_assert_str_eq(capture_unexpected(), "    warning: hm\n    error: no\n");
    expect_line(WW_LOG_WARN, "hm");
    expect_line(WW_LOG_ERROR, "no");
    expect_no_warnings();
}

Test(capture, a_new_capture_begins_empty)
{
    log_warn("old");
    capture_start();
    cr_assert_str_empty(capture_all());
}
