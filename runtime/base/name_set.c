/* SPDX-License-Identifier: BSD-3-Clause
 * name_set.c: names in the C library's search tree. */
#include "internal/name_set.h"

#include <search.h>
#include <stddef.h>
#include <string.h>

static int compare(const void *one, const void *other)
{
    return strcmp(one, other);
}

bool name_set_has(void *const *set, const char *name)
{
    return tfind(name, set, compare) != NULL;
}

bool name_set_add(void **set, const char *name)
{
    return tsearch(name, set, compare) != NULL;
}

void name_set_remove(void **set, const char *name)
{
    tdelete(name, set, compare);
}
