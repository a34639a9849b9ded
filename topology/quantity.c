/* SPDX-License-Identifier: BSD-3-Clause
 * quantity.c: reads a number, blanks, and one unit out of a table. */
#include "quantity.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 15 /* so many are exact in a double */

struct unit {
    const char *name;
    double value;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit rates[] = {{"Kb/s", 1e3 / 8},   {"Mb/s", 1e6 / 8},    {"Gb/s", 1e9 / 8},
                                    {"Tb/s", 1e12 / 8},  {"Kbit/s", 1e3 / 8},  {"Mbit/s", 1e6 / 8},
                                    {"Gbit/s", 1e9 / 8}, {"Tbit/s", 1e12 / 8}, {"KB/s", 1e3},
                                    {"MB/s", 1e6},       {"GB/s", 1e9},        {"TB/s", 1e12},
                                    {"MiB/s", 1 << 20},  {"GiB/s", 1 << 30},   {NULL, 0}};
/* As traffic shapers are told: bits have "bit" in their name, the second goes without saying. */
static const struct unit limits[] = {{"kbit", 1e3 / 8},
                                     {"mbit", 1e6 / 8},
                                     {"gbit", 1e9 / 8},
                                     {"Kbit", 1e3 / 8},
                                     {"Mbit", 1e6 / 8},
                                     {"Gbit", 1e9 / 8},
                                     {"Kbit/s", 1e3 / 8},
                                     {"Mbit/s", 1e6 / 8},
                                     {"Gbit/s", 1e9 / 8},
                                     {"Kb/s", 1e3 / 8},
                                     {"Mb/s", 1e6 / 8},
                                     {"Gb/s", 1e9 / 8},
                                     {"KB", 1e3},
                                     {"MB", 1e6},
                                     {"GB", 1e9},
                                     {"KB/s", 1e3},
                                     {"MB/s", 1e6},
                                     {"GB/s", 1e9},
                                     {NULL, 0}};
static const struct unit times[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1},          {"B", 1},         {"K", 1 << 10},
                                    {"M", 1 << 20},   {"G", 1 << 30},   {"KiB", 1 << 10},
                                    {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct unit *const units[QUANTITIES] = {no_units, no_units, rates,
                                                     limits,   times,    sizes};

/* What is written, the smallest first. */
static const struct unit plain_written[] = {{"", 1}, {NULL, 0}};
static const struct unit rates_written[] = {
    {" KB/s", 1e3}, {" MB/s", 1e6}, {" GB/s", 1e9}, {" TB/s", 1e12}, {NULL, 0}};
static const struct unit limits_written[] = {
    {" Kb/s", 1e3 / 8}, {" Mb/s", 1e6 / 8}, {" Gb/s", 1e9 / 8}, {NULL, 0}};
static const struct unit times_written[] = {
    {" ns", 1e-9}, {" us", 1e-6}, {" ms", 1e-3}, {" s", 1}, {NULL, 0}};

static const struct unit *const written[QUANTITIES] = {
    plain_written, plain_written, rates_written, limits_written, times_written, plain_written};

const char *const quantity_forms[QUANTITIES] = {
    "a whole number",
    "a number",
    "a rate in Kb/s, Mb/s, Gb/s or Tb/s (bits), KB/s, MB/s, GB/s or TB/s (bytes), for example "
    "400 Gb/s",
    "a rate in kbit, mbit or gbit (bits a second), KB, MB or GB (bytes a second), for example "
    "1gbit",
    "a time in ns, us, ms or s, for example 30 us",
    "a size in bytes, or with K, M or G (powers of 1024), for example 32M"};

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Digits, and perhaps a point and digits. Returns what follows, NULL when it is no number. */
static const char *read_number(const char *at, double *value, bool *whole)
{
    double digits = 0;
    double scale = 1;
    int count = 0;
    *whole = true;
    if (!is_digit(*at)) {
        return NULL;
    }
    for (; is_digit(*at) || (*at == '.' && *whole && is_digit(at[1])); at++) {
        if (*at == '.') {
            *whole = false;
            continue;
        }
        digits = digits * 10 + (*at - '0');
        scale *= *whole ? 1 : 10;
        count++;
    }
    *value = digits / scale;
    return count <= DIGITS_MAX ? at : NULL;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static const char *read_any(enum quantity quantity, const char *text, double *value)
{
    double number;
    bool whole;
    const char *at = read_number(text, &number, &whole);
    if (at == NULL || (quantity == QUANTITY_COUNT && !whole)) {
        return NULL;
    }
    at = skip_blanks(at);
    size_t length = strcspn(at, " \t");
    for (const struct unit *unit = units[quantity]; unit->name != NULL; unit++) {
        if (strlen(unit->name) == length && strncmp(unit->name, at, length) == 0) {
            *value = number * unit->value;
            return skip_blanks(at + length);
        }
    }
    return NULL;
}

bool quantity_read(enum quantity quantity, const char *text, double *value)
{
    double read;
    const char *rest = read_any(quantity, text, &read);
    if (rest == NULL || *rest != '\0') {
        return false;
    }
    *value = read;
    return true;
}

bool quantity_read_rate(const char *text, double *value, const char **rest)
{
    const char *after = read_any(QUANTITY_RATE, text, value);
    if (after != NULL) {
        *rest = after;
    }
    return after != NULL;
}

void quantity_write(enum quantity quantity, double value, char *text, size_t bytes)
{
    bool whole = quantity == QUANTITY_COUNT || quantity == QUANTITY_SIZE;
    const struct unit *unit = written[quantity];
    while (unit[1].name != NULL && value >= unit[1].value) {
        unit++;
    }
    int64_t thousandths = whole ? 1000 * llround(value) : llround(1000 * value / unit->value);
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64 ".%03d", thousandths / 1000,
                          (int)(thousandths % 1000));
    while (digits[length - 1] == '0') {
        length--;
    }
    length -= digits[length - 1] == '.';
    snprintf(text, bytes, "%.*s%s", length, digits, unit->name);
}
