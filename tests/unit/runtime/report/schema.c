/* SPDX-License-Identifier: BSD-3-Clause
 * schema.c: compares an object of JSON with tables of docs/ledger.md. */
#include "schema.h"

#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"

static bool all_are(const json_t *array, bool (*fits)(const json_t *))
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (!fits(json_array_get(array, i))) {
            return false;
        }
    }
    return json_is_array(array);
}

static bool is_integer(const json_t *value)
{
    return json_is_integer(value);
}

static bool is_string(const json_t *value)
{
    return json_is_string(value);
}

static bool is_number(const json_t *value)
{
    return json_is_number(value);
}

static bool is_number_or_null(const json_t *value)
{
    return json_is_number(value) || json_is_null(value);
}

static bool is_integer_or_null(const json_t *value)
{
    return json_is_integer(value) || json_is_null(value);
}

static bool is_object(const json_t *value)
{
    return json_is_object(value);
}

static bool is_object_of_strings(const json_t *value)
{
    for (void *at = json_object_iter((json_t *)value); at != NULL;
         at = json_object_iter_next((json_t *)value, at)) {
        if (!json_is_string(json_object_iter_value(at))) {
            return false;
        }
    }
    return json_is_object(value);
}

static bool are_strings(const json_t *value)
{
    return all_are(value, is_string);
}

static bool are_integers(const json_t *value)
{
    return all_are(value, is_integer);
}

static bool are_nine_integers(const json_t *value)
{
    return all_are(value, is_integer) && json_array_size(value) == 9;
}

static bool are_three_numbers_or_null(const json_t *value)
{
    return json_is_null(value) || (all_are(value, is_number) && json_array_size(value) == 3);
}

static const struct {
    const char *words;
    bool (*fits)(const json_t *);
} types[] = {
    {"string", is_string},
    {"integer", is_integer},
    {"number", is_number},
    {"number or null", is_number_or_null},
    {"integer or null", is_integer_or_null},
    {"object", is_object},
    {"object of strings", is_object_of_strings},
    {"array of strings", are_strings},
    {"array of integers", are_integers},
    {"array of 9 integers", are_nine_integers},
    {"array of 3 numbers, or null", are_three_numbers_or_null},
};

static void check_member(const json_t *object, const char *name, const char *words)
{
    const json_t *value = json_object_get(object, name);
    char *shown = json_dumps(value, JSON_ENCODE_ANY);
    bool known = false;
    cr_expect_not_null(value, "\"%s\" is documented and missing", name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].words, words) == 0) {
            known = true;
            cr_expect(types[i].fits(value), "\"%s\" is %s and should be: %s", name, shown, words);
        }
    }
    cr_expect(known, "\"%s\" has a type that this test does not know: %s", name, words);
    free(shown);
}

/* "| `a`, `b` | type | meaning |": checks a and b. Returns how many names that were. */
static size_t check_row(const json_t *object, char *line)
{
    size_t count = 0;
    char *cell = strchr(line + 1, '|');
    cr_assert_not_null(cell, "%s", line);
    char *words = cell + 2;
    char *end = strstr(words, " |");
    cr_assert_not_null(end, "%s", line);
    *cell = '\0';
    *end = '\0';
    for (char *name = strtok(line, "`"); name != NULL; name = strtok(NULL, "`")) {
        if (strcspn(name, "|, ") == strlen(name) && *name != '\0') {
            check_member(object, name, words);
            count++;
        }
    }
    return count;
}

static size_t check_table(const json_t *object, const char *heading)
{
    FILE *file = fopen(LEDGER_MD, "r");
    cr_assert_not_null(file, "%s", LEDGER_MD);
    char line[1024];
    bool inside = false;
    size_t count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') {
            const char *words = line + strspn(line, "# ");
            inside = strncmp(words, heading, strlen(heading)) == 0;
        } else if (inside && strncmp(line, "| `", 3) == 0) {
            count += check_row(object, line);
        }
    }
    fclose(file);
    cr_assert_gt(count, 0, "no table below \"%s\"", heading);
    return count;
}

void schema_check(const json_t *object, const char *heading, const char *second)
{
    cr_assert(json_is_object(object), "no object");
    size_t count = check_table(object, heading);
    count += second == NULL ? 0 : check_table(object, second);
    char *shown = json_dumps(object, 0);
    cr_expect_eq(json_object_size(object), count, "undocumented members (%zu, not %zu): %s",
                 json_object_size(object), count, shown);
    free(shown);
}
