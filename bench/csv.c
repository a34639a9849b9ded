/* SPDX-License-Identifier: BSD-3-Clause
 * csv.c: quotes texts for CSV. */
#include "csv.h"

#include <stdbool.h>
#include <string.h>

void csv_text(FILE *to, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    fputs(quoted ? "\"" : "", to);
    for (; *text != '\0'; text++) {
        fputs(*text == '"' ? "\"" : "", to);
        fputc(*text, to);
    }
    fputs(quoted ? "\"," : ",", to);
}
