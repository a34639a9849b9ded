/* SPDX-License-Identifier: BSD-3-Clause
 * text.c: UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above 10ffff. */
#include "text.h"

#include <stdbool.h>

static const struct {
    unsigned char mask; /* of the first byte ... */
    unsigned char mark; /* ... and what it leaves for this length */
    size_t bytes;
    uint32_t least; /* smaller ones have a shorter form */
} forms[] = {
    {0x80, 0x00, 1, 0x0},
    {0xe0, 0xc0, 2, 0x80},
    {0xf0, 0xe0, 3, 0x800},
    {0xf8, 0xf0, 4, 0x10000},
};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

static bool is_letter(uint32_t value, uint32_t least)
{
    return value >= least && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

size_t text_letter(const char *text, uint32_t *letter)
{
    const unsigned char *bytes = (const unsigned char *)text;
    *letter = TEXT_REPLACEMENT;
    size_t form = 0;
    while (form < FORM_COUNT && (bytes[0] & forms[form].mask) != forms[form].mark) {
        form++;
    }
    if (form == FORM_COUNT) {
        return 1;
    }
    uint32_t value = bytes[0] & (unsigned char)~forms[form].mask;
    for (size_t i = 1; i < forms[form].bytes; i++) {
        if ((bytes[i] & 0xc0) != 0x80) { /* the text's end among others */
            return 1;
        }
        value = value << 6 | (bytes[i] & 0x3f);
    }
    if (!is_letter(value, forms[form].least)) {
        return 1;
    }
    *letter = value;
    return forms[form].bytes;
}

void text_put(FILE *to, uint32_t letter)
{
    if (letter < 0x80) {
        fputc((int)letter, to);
        return;
    }
    size_t form = letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
    int shift = 6 * (int)form;
    fputc((int)(forms[form].mark | letter >> shift), to);
    while (shift > 0) {
        shift -= 6;
        fputc((int)(0x80 | (letter >> shift & 0x3f)), to);
    }
}

void text_size(size_t size, char *text, size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, bytes, "%.4g %s", value, units[unit]);
}
