/* SPDX-License-Identifier: BSD-3-Clause
 * text.h: letters of a text that came from outside, and how sizes read. */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_REPLACEMENT 0xfffd /* stands for what is no letter */

/* Decodes the UTF-8 letter at text[0], which is not '\0', into *letter. Bytes that are no UTF-8
 * give TEXT_REPLACEMENT, one at a time. Returns the bytes that were used, 1 to 4. */
size_t text_letter(const char *text, uint32_t *letter);

/* Writes a letter as UTF-8. */
void text_put(FILE *to, uint32_t letter);

/* "8 B", "64 KiB", "1.5 MiB" into text[bytes]. */
void text_size(size_t size, char *text, size_t bytes);

#endif
