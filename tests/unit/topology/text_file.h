/* SPDX-License-Identifier: BSD-3-Clause
 * text_file.h: a file of one test, and what the library logs meanwhile. A suite's fixture. */
#ifndef TESTS_TEXT_FILE_H
#define TESTS_TEXT_FILE_H

void text_file_start(void);
void text_file_finish(void);

/* The same in all of one test. */
const char *text_file_path(void);

/* Writes the text into it. Returns its path. */
const char *text_file_write(const char *text);

#endif
