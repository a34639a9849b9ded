/* SPDX-License-Identifier: BSD-3-Clause
 * number.h: decimal numbers as text. Their point is a point, whatever the program's locale says. */
#ifndef INTERNAL_NUMBER_H
#define INTERNAL_NUMBER_H

#include <stddef.h>

/* As strtod, errno too. */
double number_read(const char *text, char **end);

/* Writes so many significant digits, without zeros at the end. Returns what snprintf does. */
int number_print(char *text, size_t bytes, int digits, double value);

#endif
