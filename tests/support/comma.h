/* SPDX-License-Identifier: BSD-3-Clause
 * comma.h: a locale that writes 0,5, as most of Europe's do; no system needs to have one. */
#ifndef TESTS_COMMA_H
#define TESTS_COMMA_H

/* The program's numbers have a comma from now on. The test is skipped where the C library does not
 * take the locale. */
void comma_start(void);

/* The locale "C" again. */
void comma_finish(void);

#endif
