/* SPDX-License-Identifier: BSD-3-Clause
 * letters.h: letters and numbers as readers of files want them: UTF-8 and a decimal point, whatever
 * the environment holds and the program's locale says. */
#ifndef REPORT_LETTERS_H
#define REPORT_LETTERS_H

#include <stddef.h>
#include <stdint.h>

#define LETTER_UNKNOWN 0xfffd
#define NUMBER_BYTES 40

/* How many bytes the letter at the head of text takes; its code point. What is no UTF-8 is
 * LETTER_UNKNOWN and one byte; the end of the text is 0 and one byte. */
size_t letters_next(const char *text, uint32_t *letter);

/* A finite value in nine digits. */
void letters_number(double value, char text[NUMBER_BYTES]);

#endif
