/* SPDX-License-Identifier: BSD-3-Clause
 * test_number.c: decimal points are points. */
#include "internal/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "comma.h"

static void expect_points(void)
{
    char text[32];
    char *end;
    cr_expect_eq(number_read("0.375 s", &end), 0.375);
    cr_expect_str_eq(end, " s");
    cr_expect_eq(number_read("0,375", &end), 0.0);
    cr_expect_str_eq(end, ",375");
    cr_expect_eq(number_print(text, sizeof text, 17, 0.375), 5);
    cr_expect_str_eq(text, "0.375");
    cr_expect_eq(number_print(text, sizeof text, 3, 1234567.0), 8);
    cr_expect_str_eq(text, "1.23e+06");
    cr_expect_eq(number_print(text, 4, 9, 0.125), 5);
    cr_expect_str_eq(text, "0.1");
}

Test(number, points_are_points)
{
    expect_points();
}

Test(number, points_are_points_where_the_program_has_commas)
{
    comma_start();
    expect_points();
    char text[32];
    snprintf(text, sizeof text, "%g", 0.5);
    cr_expect_str_eq(text, "0,5", "the program's locale is as it was");
}

Test(number, what_is_too_large_is_told_as_by_strtod)
{
    errno = 0;
    cr_expect(isinf(number_read("1e999", NULL)));
    cr_expect_eq(errno, ERANGE);
}
