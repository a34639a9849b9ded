/* SPDX-License-Identifier: BSD-3-Clause
 * test_shared_cores.c: what steps are charged for where ranks share cores. */
#include <criterion/criterion.h>

#include "context.h"

/* Three ranks on two cores: while one computes on the core that two share, so does half of another
 * one's encoding. */
Test(shared_cores, others_coding_is_charged)
{
    static struct ww_context context = {.ranks_per_cpu = 1.5, .crowded = true};
    struct ww_report report = WW_REPORT_INIT;
    report.encode_s = 3e-3;
    report.decode_s = 1e-3;
    cr_expect_float_eq(ledger_others_coding_s(&context, &report), 0.002, 1e-9);
    context.ledger.whole_steps = true; /* they hold it already */
    cr_expect_float_eq(ledger_others_coding_s(&context, &report), 0, 1e-9);
    context.ledger.whole_steps = false;
    context.ranks_per_cpu = 0.5;
    context.crowded = false;
    cr_expect_float_eq(ledger_others_coding_s(&context, &report), 0, 1e-9);
}
