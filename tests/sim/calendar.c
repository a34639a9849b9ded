/* SPDX-License-Identifier: BSD-3-Clause
 * calendar.c: a binary heap. */
#include "calendar.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool before(const struct calendar_entry *one, const struct calendar_entry *other)
{
    return one->due_ns != other->due_ns ? one->due_ns < other->due_ns : one->number < other->number;
}

static void swap(struct calendar_entry *one, struct calendar_entry *other)
{
    struct calendar_entry kept = *one;
    *one = *other;
    *other = kept;
}

static void grow(struct calendar *calendar)
{
    calendar->room = calendar->room == 0 ? 256 : 2 * calendar->room;
    struct calendar_entry *larger = realloc(calendar->entries,
                                            calendar->room * sizeof(*calendar->entries));
    if (larger == NULL) {
        fprintf(stderr, "no memory for the calendar\n");
        abort();
    }
    calendar->entries = larger;
}

void calendar_add(struct calendar *calendar, uint64_t due_ns, void *first, void *second)
{
    if (calendar->count == calendar->room) {
        grow(calendar);
    }
    size_t at = calendar->count++;
    calendar->entries[at] = (struct calendar_entry){due_ns, calendar->added++, first, second};
    while (at > 0 && before(&calendar->entries[at], &calendar->entries[(at - 1) / 2])) {
        swap(&calendar->entries[at], &calendar->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

const struct calendar_entry *calendar_first(const struct calendar *calendar)
{
    return calendar->count == 0 ? NULL : &calendar->entries[0];
}

struct calendar_entry calendar_take(struct calendar *calendar)
{
    assert(calendar->count > 0);
    struct calendar_entry taken = calendar->entries[0];
    calendar->entries[0] = calendar->entries[--calendar->count];
    size_t at = 0;
    while (2 * at + 1 < calendar->count) {
        size_t child = 2 * at + 1;
        if (child + 1 < calendar->count &&
            before(&calendar->entries[child + 1], &calendar->entries[child])) {
            child++;
        }
        if (!before(&calendar->entries[child], &calendar->entries[at])) {
            break;
        }
        swap(&calendar->entries[at], &calendar->entries[child]);
        at = child;
    }
    return taken;
}

void calendar_finish(struct calendar *calendar)
{
    free(calendar->entries);
    *calendar = (struct calendar){0};
}
