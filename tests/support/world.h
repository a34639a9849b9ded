/* SPDX-License-Identifier: BSD-3-Clause
 * world.h: runs one function as several ranks: threads over a local world.
 *
 *     static void add_up(const struct ww_world *world, void *shared)
 *     {
 *         ...
 *         check_status(ww_all_reduce(context, values, values, 3, WW_F32, WW_SUM), WW_OK);
 *     }
 *     Test(calls, ranks_add_up)
 *     {
 *         world_run(4, add_up, NULL);
 *     }
 *
 * Criterion's own checks belong to the test's thread. These here may stand in any thread: a rank
 * whose check fails goes on, so that it leaves no peer waiting, and world_run fails the test with
 * the first failure of all. */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include <stdbool.h>

#include <wirewise/wirewise.h>

#include "capture.h"

#define WORLD_SIZE_MAX 64

typedef void rank_work(const struct ww_world *world, void *shared);

/* Runs work as ranks 0 .. size - 1 and joins them. */
void world_run(int size, rank_work *work, void *shared);

/* Likewise, but hands each rank its world out of one that the caller made. */
void world_run_in(struct ww_local_world *local, int size, rank_work *work, void *shared);

/* The transport of the worlds that world_run makes, for a test to go around. */
const struct ww_transport *world_transport(void);

/* Returns when every rank of the world has come here. */
void world_meet(const struct ww_world *world);

/* Settings for tests: inline progress, a patience that a loaded machine does not exhaust, and no
 * look at the machine. */
struct ww_config world_config(void);

/* Makes a context that must succeed; NULL and a failed check when it does not. */
struct ww_context *world_context(const struct ww_world *world, const struct ww_config *config);

/* The captured errors and warnings so far are what the test wanted; returns how many they were. */
int world_forgive(void);

/* Both return whether the check held. */
#define check(good, ...) check_at((good), __FILE__, __LINE__, __VA_ARGS__)
#define check_status(call, wanted) check_status_at((call), (wanted), #call, __FILE__, __LINE__)

/* Fails unless the text holds all words, which end with NULL. */
#define check_words(text, ...)                                                                     \
    check_words_at((text), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)

bool check_at(bool good, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool check_status_at(enum ww_status got, enum ww_status wanted, const char *call, const char *file,
                     int line);
bool check_words_at(const char *text, const char *const *words, const char *file, int line);

/* Fails the test when a check in another thread failed; world_run does it by itself. */
void checks_settle(void);

#endif
