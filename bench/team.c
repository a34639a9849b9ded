/* SPDX-License-Identifier: BSD-3-Clause
 * team.c: the measuring ranks among themselves. */
#include "team.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "progress.h"
#include "world.h"

#define BLOCK 64 /* numbers that travel together */

static double combine(enum combine how, const double *all, size_t stride, int size)
{
    double result = all[0];
    for (int rank = 1; rank < size && how != COMBINE_FIRST; rank++) {
        double value = all[(size_t)rank * stride];
        if (how == COMBINE_MEAN) {
            result += value;
        } else if (how == COMBINE_MIN ? value < result : value > result) {
            result = value;
        }
    }
    return how == COMBINE_MEAN ? result / size : result;
}

void team_fail(const struct ww_world *world, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    /* One write: the ranks fail at the same moment, and their sentences must not mix. */
    fprintf(stderr, "%swirewise bench: rank %d of %d: %s\n", progress_eraser(), world->rank,
            world->size, sentence);
    world_abort(EXIT_FAILED);
}

void team_gather(const struct ww_world *world, const void *mine, void *all, size_t bytes)
{
    if (world->size == 1) {
        memcpy(all, mine, bytes);
    } else if (world->all_gather(world->self, mine, all, bytes) != 0) {
        team_fail(world, "the ranks cannot reach each other: gathering %zu bytes failed", bytes);
    }
}

void team_barrier(const struct ww_world *world)
{
    char all[WORLD_SIZE_MAX];
    team_gather(world, &(char){0}, all, 1);
}

void team_combine(const struct ww_world *world, enum combine how, double *values, size_t count)
{
    double *all = malloc((size_t)world->size * BLOCK * sizeof(all[0]));
    if (all == NULL) {
        team_fail(world, "no memory for %d numbers of each rank", BLOCK);
    }
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t block = count - first < BLOCK ? count - first : BLOCK;
        team_gather(world, values + first, all, block * sizeof(double));
        for (size_t i = 0; i < block; i++) {
            values[first + i] = combine(how, all + i, block, world->size);
        }
    }
    free(all);
}

uint64_t team_sum(const struct ww_world *world, uint64_t mine)
{
    uint64_t all[WORLD_SIZE_MAX];
    team_gather(world, &mine, all, sizeof(mine));
    uint64_t sum = 0;
    for (int rank = 0; rank < world->size; rank++) {
        sum += all[rank];
    }
    return sum;
}
