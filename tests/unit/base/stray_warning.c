/* SPDX-License-Identifier: BSD-3-Clause
 * stray_warning.c: a test that must fail, because it warns and nobody asked for it. */
#include "capture.h"

TestSuite(stray, .init = capture_start, .fini = capture_finish);

Test(stray, a_warning_nobody_asked_for)
{
    log_warn("a stray warning");
}
