/* SPDX-License-Identifier: BSD-3-Clause
 * test_meet.c: a line through steps of several numbers of messages. */
#include <criterion/criterion.h>
#include <string.h>

#include "capture.h"
#include "meet.h"

#define RANKS 5

TestSuite(meet, .init = capture_start, .fini = capture_finish);

/* Steps of `fixed` seconds and `more` for each further message; rank 4 is late by a second. */
static void fill(struct meet_record *records, const int *messages, double fixed, double more)
{
    for (int r = 0; r < RANKS; r++) {
        for (int kind = 0; kind < MEET_KINDS; kind++) {
            double step = fixed + more * (messages[kind] - 1);
            records[r].messages[kind] = messages[kind];
            records[r].seconds[kind] = messages[kind] > 0 ? step + (r == 4) : 0;
        }
    }
}

Test(meet, further_messages_are_told_from_the_first)
{
    static const struct {
        int messages[MEET_KINDS]; /* to neighbours 1, 2, 4 places away, and 4 to the nearest */
        double more;              /* what is found of 3e-6 */
    } rows[] = {
        {{4, 8, 16, 16}, 3e-6}, /* many ranks */
        {{4, 6, 6, 16}, 3e-6},  /* four: more neighbours there are not */
        {{2, 2, 2, 8}, 3e-6},   /* two */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct meet_record records[RANKS];
        struct estimate fixed;
        double message_s;
        fill(records, rows[i].messages, 20e-6, 3e-6);
        cr_assert_eq(meet_costs(records, sizeof *records, RANKS, &fixed, &message_s), WW_OK);
        cr_expect_float_eq(message_s, rows[i].more, 1e-10, "row %zu: %g", i, message_s);
        cr_expect_float_eq(fixed.value, 20e-6, 1e-9, "row %zu: %g", i, fixed.value);
        cr_expect_gt(fixed.samples, 0);
    }
}

Test(meet, what_cannot_be_a_line_is_bounded)
{
    static const int messages[MEET_KINDS] = {4, 8, 16, 16};
    struct meet_record records[RANKS];
    struct estimate fixed;
    double message_s;
    fill(records, messages, 20e-6, -1e-6); /* more messages, less time: noise */
    cr_assert_eq(meet_costs(records, sizeof *records, RANKS, &fixed, &message_s), WW_OK);
    cr_expect_eq(message_s, 0);
    cr_expect_gt(fixed.value, 0);
    memset(records, 0, sizeof records);
    cr_assert_eq(meet_costs(records, sizeof *records, RANKS, &fixed, &message_s), WW_OK);
    cr_expect_eq(fixed.samples, 0, "nobody met");
}
