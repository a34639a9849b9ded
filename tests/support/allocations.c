/* SPDX-License-Identifier: BSD-3-Clause
 * allocations.c: the linker leads malloc and its kin here (--wrap). */
#include "allocations.h"

#include <stdbool.h>
#include <stdlib.h>

_Thread_local int allocations_left;
static _Thread_local int made;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

static bool next_fails(void)
{
    made++;
    return allocations_left > 0 && --allocations_left == 0;
}

void *__wrap_malloc(size_t bytes)
{
    return next_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return next_fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return next_fails() ? NULL : __real_realloc(memory, bytes);
}

int allocations_made(void)
{
    return made;
}
