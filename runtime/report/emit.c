/* SPDX-License-Identifier: BSD-3-Clause
 * emit.c: writes JSON into a buffer, and remembers when it was too small. */
#include "emit.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "letters.h"

static void put(struct emit *emit, const char *from, size_t bytes)
{
    if (emit->cut || bytes > emit->bytes - emit->used) {
        emit->cut = true;
        return;
    }
    memcpy(emit->text + emit->used, from, bytes);
    emit->used += bytes;
}

static void put_word(struct emit *emit, const char *word)
{
    put(emit, word, strlen(word));
}

static void put_letter(struct emit *emit, const char *from, size_t bytes, uint32_t letter)
{
    char escaped[8];
    if (letter == '"' || letter == '\\') {
        snprintf(escaped, sizeof escaped, "\\%c", (char)letter);
        put_word(emit, escaped);
    } else if (letter < 0x20 || letter == 0x7f || letter == LETTER_UNKNOWN) {
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)letter & 0xffff);
        put_word(emit, escaped);
    } else {
        put(emit, from, bytes);
    }
}

static void put_text(struct emit *emit, const char *text, size_t most)
{
    put(emit, "\"", 1);
    for (size_t begin = emit->used; *text != '\0' && emit->used - begin < most;) {
        uint32_t letter;
        size_t bytes = letters_next(text, &letter);
        put_letter(emit, text, bytes, letter);
        text += bytes;
    }
    put(emit, "\"", 1);
}

/* Comma and name of what comes next. */
static void begin_member(struct emit *emit, const char *name)
{
    if (emit->filled) {
        put(emit, ",", 1);
    }
    emit->filled = true;
    if (name != NULL) {
        put_text(emit, name, SIZE_MAX);
        put(emit, ":", 1);
    }
}

struct emit emit_into(char *text, size_t bytes)
{
    return (struct emit){.text = text, .bytes = bytes};
}

void emit_open(struct emit *emit, const char *name, char bracket)
{
    begin_member(emit, name);
    put(emit, &bracket, 1);
    emit->filled = false;
}

void emit_close(struct emit *emit, char bracket)
{
    put(emit, &bracket, 1);
    emit->filled = true;
}

void emit_text_most(struct emit *emit, const char *name, const char *text, size_t most)
{
    begin_member(emit, name);
    put_text(emit, text == NULL ? "" : text, most);
}

void emit_text(struct emit *emit, const char *name, const char *text)
{
    emit_text_most(emit, name, text, SIZE_MAX);
}

void emit_number(struct emit *emit, const char *name, double value)
{
    if (!isfinite(value)) {
        emit_null(emit, name);
        return;
    }
    char text[NUMBER_BYTES];
    letters_number(value, text);
    begin_member(emit, name);
    put_word(emit, text);
}

void emit_count(struct emit *emit, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    begin_member(emit, name);
    put_word(emit, text);
}

void emit_integer(struct emit *emit, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    begin_member(emit, name);
    put_word(emit, text);
}

void emit_null(struct emit *emit, const char *name)
{
    begin_member(emit, name);
    put_word(emit, "null");
}

void emit_us(struct emit *emit, const char *name, uint64_t ns)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
    begin_member(emit, name);
    put_word(emit, text);
}
