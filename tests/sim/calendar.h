/* SPDX-License-Identifier: BSD-3-Clause
 * calendar.h: what is due when: a heap of pairs by virtual time. */
#ifndef SIM_CALENDAR_H
#define SIM_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

struct calendar_entry {
    uint64_t due_ns;
    uint64_t number; /* entries due at the same time come in the order in which they were added */
    void *first;
    void *second;
};

/* Zeroes are an empty calendar. */
struct calendar {
    struct calendar_entry *entries;
    size_t count;
    size_t room;
    uint64_t added;
};

/* Aborts the test program where there is no memory. */
void calendar_add(struct calendar *calendar, uint64_t due_ns, void *first, void *second);

/* The next entry, NULL when there is none; valid until the next change. */
const struct calendar_entry *calendar_first(const struct calendar *calendar);

/* Takes the next entry out; there must be one. */
struct calendar_entry calendar_take(struct calendar *calendar);

void calendar_finish(struct calendar *calendar);

#endif
