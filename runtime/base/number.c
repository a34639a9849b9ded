/* SPDX-License-Identifier: BSD-3-Clause
 * number.c: the C library's numbers, in the locale "C" of this thread alone. */
#include "internal/number.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the system has no memory for a locale the program's own stays. */
struct locales {
    locale_t plain;
    locale_t before;
};

static struct locales locale_plain_begin(void)
{
    struct locales locales = {.plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0)};
    locales.before = uselocale(locales.plain);
    return locales;
}

static void locale_plain_end(struct locales locales)
{
    uselocale(locales.before);
    if (locales.plain != (locale_t)0) {
        freelocale(locales.plain);
    }
}

double number_read(const char *text, char **end)
{
    struct locales locales = locale_plain_begin();
    double value = strtod(text, end);
    int error = errno;
    locale_plain_end(locales);
    errno = error;
    return value;
}

int number_print(char *text, size_t bytes, int digits, double value)
{
    struct locales locales = locale_plain_begin();
    int length = snprintf(text, bytes, "%.*g", digits, value);
    locale_plain_end(locales);
    return length;
}
