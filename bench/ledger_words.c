/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_words.c: units are chosen so that a number has one to four digits before its point. */
#include "ledger_words.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct unit {
    const char *name;
    double size;
};

/* From the largest on; the last serves for all that is less. */
static struct word word_in(double value, const struct unit *units, const char *format)
{
    struct word word = {"?"};
    if (isnan(value)) {
        return word;
    }
    while (fabs(value) < units->size * 0.9995 && units[1].name != NULL) {
        units++;
    }
    char number[WORD_BYTES / 2];
    snprintf(number, sizeof(number), format, value == 0 ? 0.0 : value / units->size);
    snprintf(word.text, sizeof(word.text), "%s %s", number, units->name);
    return word;
}

struct word word_bytes(double bytes)
{
    static const struct unit units[] = {{"TiB", 0x1p40}, {"GiB", 0x1p30}, {"MiB", 0x1p20},
                                        {"KiB", 0x1p10}, {"B", 1},        {NULL, 0}};
    return word_in(bytes, units, "%.4g");
}

struct word word_seconds(double seconds)
{
    /* Minutes from two on, and so on: 90 s say more than 1.5 min. */
    static const struct unit units[] = {{"days", 86400}, {"h", 3600},  {"min", 60},
                                        {"s", 1},        {"ms", 1e-3}, {"us", 1e-6}};
    struct word word = {"?"};
    size_t unit = 0;
    while (unit < 5 && fabs(seconds) < units[unit].size * (unit < 3 ? 2 : 0.9995)) {
        unit++;
    }
    if (seconds == 0) {
        snprintf(word.text, sizeof(word.text), "0 s");
    } else if (!isnan(seconds)) {
        snprintf(word.text, sizeof(word.text), "%.3g %s", seconds / units[unit].size,
                 units[unit].name);
    }
    return word;
}

struct word word_share(double share)
{
    struct word word = {"?"};
    if (!isnan(share)) {
        const char *format = fabs(share) >= 0.0995 ? "%.0f %%" : "%.2g %%";
        snprintf(word.text, sizeof(word.text), fabs(share) < 1e4 ? format : "%.2g %%", 100 * share);
    }
    return word;
}

struct word word_count(double count)
{
    struct word word = {"?"};
    if (!isnan(count)) {
        snprintf(word.text, sizeof(word.text), fabs(count) < 1e7 ? "%.0f" : "%.3g", count);
    }
    return word;
}

struct word word_rate(double bits_per_s)
{
    static const struct unit units[] = {{"Tbit/s", 1e12}, {"Gbit/s", 1e9}, {"Mbit/s", 1e6},
                                        {"kbit/s", 1e3},  {"bit/s", 1},    {NULL, 0}};
    return word_in(bits_per_s, units, "%.3g");
}

struct word word_energy(double joule)
{
    static const struct unit units[] = {{"MWh", 3.6e9}, {"kWh", 3.6e6}, {"Wh", 3.6e3},
                                        {"J", 1},       {"mJ", 1e-3},   {NULL, 0}};
    return word_in(joule, units, "%.3g");
}

void words_put(FILE *to, const char *text, size_t letters)
{
    while (*text != '\0' && letters > 0) {
        uint32_t letter;
        text += text_letter(text, &letter);
        bool steers = letter < 0x20 || (letter >= 0x7f && letter < 0xa0) ||
                      (letter >= 0x200e && letter <= 0x200f) ||
                      (letter >= 0x2028 && letter <= 0x202e) ||
                      (letter >= 0x2066 && letter <= 0x2069);
        text_put(to, steers ? TEXT_REPLACEMENT : letter);
        letters--;
    }
    fputs(*text != '\0' ? "\xe2\x80\xa6" : "", to);
}

/* Reads digits only, not what strtod takes beyond them: hexadecimals, nan, inf, signs, blanks. */
static const char *read_decimal(const char *text, double *value)
{
    char *end = NULL;
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || ((text[1] == 'x' || text[1] == 'X') && text[0] == '0')) {
        return NULL;
    }
    *value = strtod(text, &end);
    return end == text || !isfinite(*value) ? NULL : end;
}

/* A number and the name of a unit, with or without a blank between them. Prefixes are taken in any
 * case, the rest as it is: b are bits, B are bytes. */
static bool read_quantity(const char *text, const struct unit *units, double *value)
{
    const char *end = read_decimal(text, value);
    if (end == NULL) {
        return false;
    }
    end += *end == ' ';
    for (; units->name != NULL; units++) {
        if (tolower((unsigned char)*end) == units->name[0] &&
            strcmp(end + 1, units->name + 1) == 0) {
            *value *= units->size;
            return isfinite(*value);
        }
    }
    return false;
}

bool words_read_rate(const char *text, double *bits_per_s)
{
    static const struct unit units[] = {
        {"kbit", 1e3},   {"kbit/s", 1e3}, {"kb/s", 1e3},  {"kB/s", 8e3},    {"mbit", 1e6},
        {"mbit/s", 1e6}, {"mb/s", 1e6},   {"mB/s", 8e6},  {"gbit", 1e9},    {"gbit/s", 1e9},
        {"gb/s", 1e9},   {"gB/s", 8e9},   {"tbit", 1e12}, {"tbit/s", 1e12}, {"tb/s", 1e12},
        {"tB/s", 8e12},  {NULL, 0}};
    return read_quantity(text, units, bits_per_s) && *bits_per_s > 0;
}

bool words_read_seconds(const char *text, double *seconds)
{
    static const struct unit units[] = {
        {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};
    return read_quantity(text, units, seconds);
}

bool words_read_number(const char *text, double *value)
{
    const char *end = read_decimal(text, value);
    return end != NULL && *end == '\0';
}
