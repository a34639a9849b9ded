/* SPDX-License-Identifier: BSD-3-Clause
 * test_name_set.c: names are taken once, in whatever order they come and go. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "internal/name_set.h"

#define NAMES 1000

static char names[NAMES][16];

/* Upwards, downwards, and by turns from both ends. */
static int place_of(int way, int turn)
{
    int half = turn % 2 == 0 ? turn / 2 : NAMES - 1 - turn / 2;
    return way == 0 ? turn : way == 1 ? NAMES - 1 - turn : half;
}

static void fill(void **set, int way)
{
    for (int turn = 0; turn < NAMES; turn++) {
        const char *name = names[place_of(way, turn)];
        cr_assert(!name_set_has(set, name), "%s was not added", name);
        cr_assert(name_set_add(set, name));
    }
}

Test(name_set, names_are_there_until_they_are_removed)
{
    void *set = NULL;
    for (int index = 0; index < NAMES; index++) {
        snprintf(names[index], sizeof names[index], "tensor.%d", index);
    }
    for (int way = 0; way < 3; way++) {
        fill(&set, way);
        for (int index = 0; index < NAMES; index++) {
            char copy[sizeof names[index]];
            memcpy(copy, names[index], sizeof copy);
            cr_assert(name_set_has(&set, copy), "%s is lost", copy);
            name_set_remove(&set, copy);
            cr_assert(!name_set_has(&set, copy), "%s stays", copy);
        }
        cr_assert_null(set, "something is left");
    }
}
