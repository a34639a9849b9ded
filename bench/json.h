/* SPDX-License-Identifier: BSD-3-Clause
 * json.h: writes one JSON document (RFC 8259) into a stream. Numbers that are not finite become
 * null; texts are escaped, and what is no UTF-8 in them becomes U+FFFD. */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where the writer is. Start with {.to = stream}. */
struct json {
    FILE *to;
    int depth;
    bool filled; /* the open object or array has a member */
};

/* Each writes a member of the open object, or with a NULL name one of the open array. */
void json_open_object(struct json *json, const char *name);
void json_close_object(struct json *json);
void json_open_array(struct json *json, const char *name);
void json_close_array(struct json *json);
void json_text(struct json *json, const char *name, const char *text); /* NULL becomes null */
void json_number(struct json *json, const char *name, double value);
void json_count(struct json *json, const char *name, uint64_t value);
void json_integer(struct json *json, const char *name, int64_t value);
void json_bool(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);

#endif
