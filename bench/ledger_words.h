/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_words.h: numbers as people read them, and quantities as they write them. */
#ifndef BENCH_LEDGER_WORDS_H
#define BENCH_LEDGER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define WORD_BYTES 32

/* A short text that is passed around by value. */
struct word {
    char text[WORD_BYTES];
};

/* "?" where a number is not known. */
struct word word_bytes(double bytes);     /* "1.5 MiB" */
struct word word_seconds(double seconds); /* "12.3 ms", "41 min" */
struct word word_share(double share);     /* "1.3 %" */
struct word word_count(double count);     /* "1234", "1.2e+09" */
struct word word_rate(double bits_per_s); /* "25 Gbit/s" */
struct word word_energy(double joule);    /* "3.4 kWh" */

/* Writes a text that came from outside: at most so many letters of it, and none of those that
 * steer a terminal. */
void words_put(FILE *to, const char *text, size_t letters);

/* "25gbit", "100Mbit/s", "12.5 GB/s": bits per second, more than 0. False when it is no rate. */
bool words_read_rate(const char *text, double *bits_per_s);

/* "50us", "1ms", "0.2s": 0 or more. False when it is no time. */
bool words_read_seconds(const char *text, double *seconds);

/* A finite decimal number, 0 or more, and nothing behind it. */
bool words_read_number(const char *text, double *value);

#endif
