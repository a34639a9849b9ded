/* SPDX-License-Identifier: BSD-3-Clause
 * flights.h: the rounds of messages that a fabric has posted, kept to be used again when they are
 * done. The struct of a transport's own flight begins with a struct flight_link:
 *
 *     struct flight {
 *         struct flight_link link;
 *         struct piece *pieces;
 *         int capacity;
 *     };
 *     struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
 *     if (flight != NULL && !array_hold(&flight->pieces, &flight->capacity, 9, sizeof *pieces)) {
 *         flights_give(&fabric->flights, flight);
 *     }
 *
 * One thread at a time. */
#ifndef RUNTIME_TRANSPORT_FLIGHTS_H
#define RUNTIME_TRANSPORT_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/transport.h>

struct flight_link {
    struct flight_link *next; /* of all that there are */
    struct flight_link *next_free;
};

/* All NULL = empty. */
struct flights {
    struct flight_link *all;
    struct flight_link *free;
};

/* A new one, all zero, that shares no cache line with anything else. NULL without memory. */
void *flights_create(struct flights *flights, size_t bytes);

/* The flight given back last, as it is; or a new one of so many bytes. */
static inline void *flights_take(struct flights *flights, size_t bytes)
{
    struct flight_link *link = flights->free;
    if (link == NULL) {
        return flights_create(flights, bytes);
    }
    flights->free = link->next_free;
    return link;
}

/* It is done, and stays where it is. */
static inline void flights_give(struct flights *flights, void *flight)
{
    struct flight_link *link = flight;
    link->next_free = flights->free;
    flights->free = link;
}

/* All flights, done or not: the first one, and the one behind; NULL = none. */
void *flights_first(const struct flights *flights);
void *flights_next(const void *flight);

/* Takes any flight out of them, for the caller to free() when the fabric ends. NULL = none left. */
void *flights_pop(struct flights *flights);

/* Makes *array, whose address is given, hold at least count entries of so many bytes, and keeps in
 * *capacity how many it holds. False, and all as it was, when there is no memory. */
bool array_hold(void *array, int *capacity, int count, size_t bytes);

/* What the control messages of a round said when they were posted, for fabrics that read it later:
 * free(memory) once nothing does. All zero = empty. */
struct copies {
    unsigned char *memory;
    int capacity;
    int used;
    const void *latest; /* what was copied last, and where that lies */
    size_t latest_bytes;
    void *latest_copy;
};

/* Room for what a round sends, and receives where that is asked for, in place of what the one
 * before had. False without memory. */
bool copies_hold(struct copies *copies, const struct ww_message *messages, int count,
                 bool receives);

/* A copy; the same one for several messages in a row that send the same memory. */
void *copies_keep(struct copies *copies, const void *memory, size_t bytes);

/* Where a message is received before it goes to its memory. */
void *copies_room(struct copies *copies, size_t bytes);

#endif
