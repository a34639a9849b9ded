/* SPDX-License-Identifier: BSD-3-Clause
 * team.h: what the measuring ranks tell each other, by the world's own all_gather, beside the
 * library that is measured. Every function is called by all ranks, each on its own thread. */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <stddef.h>

#include <wirewise/wirewise.h>

/* How one number is made of all ranks' numbers; the codes are those of nccl-tests' -a. */
enum combine { COMBINE_FIRST, COMBINE_MEAN, COMBINE_MIN, COMBINE_MAX, COMBINE_COUNT };

/* all[world->size * bytes], in rank order. Ends the program when the world cannot gather. */
void team_gather(const struct ww_world *world, const void *mine, void *all, size_t bytes);

/* Returns when all ranks have called it. */
void team_barrier(const struct ww_world *world);

/* values[i] of all ranks become one, the same on all. */
void team_combine(const struct ww_world *world, enum combine how, double *values, size_t count);

/* The sum of all ranks' numbers. */
uint64_t team_sum(const struct ww_world *world, uint64_t mine);

/* Says why on stderr, and ends all ranks with EXIT_FAILED. */
void team_fail(const struct ww_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

#endif
