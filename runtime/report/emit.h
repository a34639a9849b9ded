/* SPDX-License-Identifier: BSD-3-Clause
 * emit.h: one line of JSON into memory of the caller. Members come in the order of the calls; a
 * name of NULL stands for an element of an array. */
#ifndef REPORT_EMIT_H
#define REPORT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emit {
    char *text; /* [bytes], of the caller */
    size_t bytes;
    size_t used;
    bool filled; /* something stands in the innermost bracket: a comma comes next */
    bool cut;    /* it did not fit: text is no JSON */
};

struct emit emit_into(char *text, size_t bytes);

void emit_open(struct emit *emit, const char *name, char bracket);
void emit_close(struct emit *emit, char bracket);

/* NULL is written as "". */
void emit_text(struct emit *emit, const char *name, const char *text);

/* Ends early, between two letters, once the text took about `most` bytes. */
void emit_text_most(struct emit *emit, const char *name, const char *text, size_t most);

/* null where the value is no finite number. */
void emit_number(struct emit *emit, const char *name, double value);
void emit_count(struct emit *emit, const char *name, uint64_t value);
void emit_integer(struct emit *emit, const char *name, int64_t value);
void emit_null(struct emit *emit, const char *name);

/* Microseconds with three decimals, exactly. */
void emit_us(struct emit *emit, const char *name, uint64_t ns);

#endif
