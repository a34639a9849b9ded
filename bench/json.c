/* SPDX-License-Identifier: BSD-3-Clause
 * json.c: the outer two levels stand on lines of their own, so that a record is one line. */
#include "json.h"

#include <inttypes.h>
#include <math.h>

#include "text.h"

#define DEPTH_OF_LINES 2
#define WHOLE_MOST 1e15 /* whole numbers below are exact */

static void put_text(FILE *to, const char *text)
{
    fputc('"', to);
    while (*text != '\0') {
        uint32_t letter;
        text += text_letter(text, &letter);
        if (letter == '"' || letter == '\\') {
            fprintf(to, "\\%c", (int)letter);
        } else if (letter < 0x20 || letter == 0x7f) {
            fprintf(to, "\\u%04x", (unsigned)letter);
        } else {
            text_put(to, letter);
        }
    }
    fputc('"', to);
}

static void break_line(const struct json *json)
{
    if (json->depth <= DEPTH_OF_LINES) {
        fprintf(json->to, "\n%*s", 2 * json->depth, "");
    } else if (json->filled) {
        fputc(' ', json->to);
    }
}

/* Comma, line and name of what comes next. */
static void begin(struct json *json, const char *name)
{
    if (json->filled) {
        fputc(',', json->to);
    }
    if (json->depth > 0) {
        break_line(json);
    }
    json->filled = true;
    if (name != NULL) {
        put_text(json->to, name);
        fputs(": ", json->to);
    }
}

static void open_bracket(struct json *json, const char *name, char bracket)
{
    begin(json, name);
    fputc(bracket, json->to);
    json->depth++;
    json->filled = false;
}

static void close_bracket(struct json *json, char bracket)
{
    json->depth--;
    if (json->filled && json->depth < DEPTH_OF_LINES) {
        fprintf(json->to, "\n%*s", 2 * json->depth, "");
    }
    fputc(bracket, json->to);
    json->filled = true;
    if (json->depth == 0) {
        fputc('\n', json->to);
    }
}

void json_open_object(struct json *json, const char *name)
{
    open_bracket(json, name, '{');
}

void json_close_object(struct json *json)
{
    close_bracket(json, '}');
}

void json_open_array(struct json *json, const char *name)
{
    open_bracket(json, name, '[');
}

void json_close_array(struct json *json)
{
    close_bracket(json, ']');
}

void json_text(struct json *json, const char *name, const char *text)
{
    if (text == NULL) {
        json_null(json, name);
        return;
    }
    begin(json, name);
    put_text(json->to, text);
}

void json_number(struct json *json, const char *name, double value)
{
    if (!isfinite(value)) {
        json_null(json, name);
        return;
    }
    begin(json, name);
    /* Bytes are whole, and nine digits are too few for them. */
    bool whole = fabs(value) < WHOLE_MOST && value == trunc(value);
    fprintf(json->to, whole ? "%.0f" : "%.9g", value);
}

void json_count(struct json *json, const char *name, uint64_t value)
{
    begin(json, name);
    fprintf(json->to, "%" PRIu64, value);
}

void json_integer(struct json *json, const char *name, int64_t value)
{
    begin(json, name);
    fprintf(json->to, "%" PRId64, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
    begin(json, name);
    fputs(value ? "true" : "false", json->to);
}

void json_null(struct json *json, const char *name)
{
    begin(json, name);
    fputs("null", json->to);
}
