/* SPDX-License-Identifier: BSD-3-Clause
 * name_set.h: names that may be taken once; each call takes the time of a search. */
#ifndef INTERNAL_NAME_SET_H
#define INTERNAL_NAME_SET_H

#include <stdbool.h>

/* A set is a pointer that is NULL while nothing is in it. Whoever adds a name keeps its bytes until
 * it is removed. One thread at a time. */
bool name_set_has(void *const *set, const char *name);

/* One that is not in it. False without memory. */
bool name_set_add(void **set, const char *name);
void name_set_remove(void **set, const char *name);

#endif
