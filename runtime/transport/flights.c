/* SPDX-License-Identifier: BSD-3-Clause
 * flights.c: rounds of messages that are used again and again. */
#include "flights.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

void *flights_create(struct flights *flights, size_t bytes)
{
    size_t whole = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    struct flight_link *link = aligned_alloc(LINE_BYTES, whole);
    if (link == NULL) {
        return NULL;
    }
    memset(link, 0, whole);
    link->next = flights->all;
    flights->all = link;
    return link;
}

void *flights_first(const struct flights *flights)
{
    return flights->all;
}

void *flights_next(const void *flight)
{
    return ((const struct flight_link *)flight)->next;
}

void *flights_pop(struct flights *flights)
{
    struct flight_link *link = flights->all;
    if (link != NULL) {
        flights->all = link->next;
    }
    return link;
}

/* Pointers to any type are read and written as bytes: no two types of them may alias. */
bool array_hold(void *array, int *capacity, int count, size_t bytes)
{
    void *entries;
    if (count <= *capacity) {
        return true;
    }
    memcpy(&entries, array, sizeof entries);
    entries = realloc(entries, (size_t)count * bytes);
    if (entries == NULL) {
        return false;
    }
    memcpy(array, &entries, sizeof entries);
    *capacity = count;
    return true;
}

bool copies_hold(struct copies *copies, const struct ww_message *messages, int count, bool receives)
{
    size_t bytes = 0;
    for (int index = 0; index < count; index++) {
        bytes += receives || messages[index].kind == WW_SEND ? messages[index].bytes : 0;
    }
    copies->used = 0;
    copies->latest = NULL;
    return bytes <= INT_MAX && array_hold(&copies->memory, &copies->capacity, (int)bytes, 1);
}

void *copies_room(struct copies *copies, size_t bytes)
{
    assert(bytes <= (size_t)(copies->capacity - copies->used));
    void *room = copies->memory + copies->used;
    copies->used += (int)bytes;
    return room;
}

void *copies_keep(struct copies *copies, const void *memory, size_t bytes)
{
    if (memory == copies->latest && bytes == copies->latest_bytes) {
        return copies->latest_copy;
    }
    void *copy = memcpy(copies_room(copies, bytes), memory, bytes);
    copies->latest = memory;
    copies->latest_bytes = bytes;
    copies->latest_copy = copy;
    return copy;
}
