/* SPDX-License-Identifier: BSD-3-Clause
 * vote.c: the most frequent record wins, the first that differs is named. */
#include "internal/vote.h"

#include <stdint.h>
#include <string.h>

static const void *record_at(const void *records, int index, size_t stride)
{
    return (const uint8_t *)records + (size_t)index * stride;
}

static int first_unlike(const void *records, int count, size_t stride, size_t bytes, int like)
{
    for (int i = 0; i < count; i++) {
        if (memcmp(record_at(records, i, stride), record_at(records, like, stride), bytes) != 0) {
            return i;
        }
    }
    return -1;
}

static int votes_for(const void *records, int count, size_t stride, size_t bytes, int candidate)
{
    int votes = 0;
    for (int i = 0; i < count; i++) {
        votes += memcmp(record_at(records, i, stride), record_at(records, candidate, stride),
                        bytes) == 0;
    }
    return votes;
}

int vote_odd_one(const void *records, int count, size_t stride, size_t bytes, int *usual)
{
    *usual = 0;
    if (first_unlike(records, count, stride, bytes, 0) < 0) {
        return -1; /* the common case, in one pass */
    }
    int most = 0;
    for (int i = 0; i < count && 2 * most < count; i++) {
        int votes = votes_for(records, count, stride, bytes, i);
        if (votes > most) {
            most = votes;
            *usual = i;
        }
    }
    return first_unlike(records, count, stride, bytes, *usual);
}
