/* SPDX-License-Identifier: BSD-3-Clause
 * schema.h: docs/ledger.md, read as the schema that it is: its tables name every member of a line
 * and its type. */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <jansson.h>

/* Fails unless the object has exactly the members of the tables below these headings ("Steps";
 * NULL = one alone), each of its type. */
void schema_check(const json_t *object, const char *heading, const char *second);

#endif
