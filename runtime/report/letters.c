/* SPDX-License-Identifier: BSD-3-Clause
 * letters.c: decodes UTF-8 strictly, and prints numbers independent of the locale. */
#include "letters.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Lead bytes tell the length; a code point that would have fitted a shorter form is none. */
static const struct {
    unsigned char mask, lead;
    uint32_t least;
} forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

size_t letters_next(const char *text, uint32_t *letter)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t more = 0;
    while (more < 4 && (bytes[0] & forms[more].mask) != forms[more].lead) {
        more++;
    }
    *letter = LETTER_UNKNOWN;
    if (more == 4) {
        return 1;
    }
    uint32_t code = bytes[0] & (unsigned char)~forms[more].mask;
    for (size_t i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 1;
        }
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < forms[more].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return 1;
    }
    *letter = code;
    return more + 1;
}

void letters_number(double value, char text[NUMBER_BYTES])
{
    assert(isfinite(value));
    char printed[NUMBER_BYTES];
    snprintf(printed, sizeof printed, "%.9g", value);
    size_t used = 0;
    for (const char *from = printed; *from != '\0'; from++) {
        if (strchr("0123456789+-e", *from) != NULL) {
            text[used++] = *from;
        } else if (used == 0 || text[used - 1] != '.') {
            text[used++] = '.'; /* a locale's point may be several bytes */
        }
    }
    text[used] = '\0';
}
