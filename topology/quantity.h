/* SPDX-License-Identifier: BSD-3-Clause
 * quantity.h: numbers with units, as people write them: "400 Gb/s", "30 us", "32M". Strict: what
 * is not understood to the last letter is refused. */
#ifndef QUANTITY_H
#define QUANTITY_H

#include <stdbool.h>
#include <stddef.h>

enum quantity {
    QUANTITY_COUNT,  /* a whole number */
    QUANTITY_NUMBER, /* a decimal number */
    QUANTITY_RATE,   /* bytes per second */
    QUANTITY_LIMIT,  /* bytes per second, in the words of traffic shapers */
    QUANTITY_TIME,   /* seconds */
    QUANTITY_SIZE,   /* bytes */
    QUANTITIES
};

/* What such a text must look like, to end a sentence: "a rate in ..., for example 400 Gb/s". */
extern const char *const quantity_forms[QUANTITIES];

/* Reads a whole text, not below 0. Decimal points are points whatever the locale says.
 * Returns false, and leaves *value, when it is no such quantity. */
bool quantity_read(enum quantity quantity, const char *text, double *value);

/* Reads a rate at the beginning of a text; *rest is what follows behind blanks. */
bool quantity_read_rate(const char *text, double *value, const char **rest);

/* Writes one that quantity_read reads, in the unit that leaves 1 to 1000 before the point, and a
 * thousandth of that exactly. Limits come out in bits: "4.63 Gb/s"; a size as whole bytes. */
void quantity_write(enum quantity quantity, double value, char *text, size_t bytes);

#endif
