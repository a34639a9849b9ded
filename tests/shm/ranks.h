/* SPDX-License-Identifier: BSD-3-Clause
 * ranks.h: runs one function as several ranks, each a process of its own.
 *
 *     static void say_hello(struct rank *rank)
 *     {
 *         struct ww_transport_setup setup = rank_setup(rank);
 *         ...
 *         rank_check(status == WW_OK, "open returned %d", (int)status);
 *     }
 *     Test(shm, ranks_meet)
 *     {
 *         ranks_run(4, say_hello, NULL);
 *     }
 *
 * Criterion's checks belong to the test's own process. rank_check may stand in any rank: it goes
 * on after a failure, and ranks_run fails the test with the first one. */
#ifndef TESTS_SHM_RANKS_H
#define TESTS_SHM_RANKS_H

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <wirewise/transport.h>

#define RANKS_MAX 8
#define BOARD_BYTES 4096

/* What all ranks see: ordinary shared memory of the test, not of the fabric. */
struct board {
    atomic_int at_barrier;
    atomic_int generation;
    unsigned char slots[RANKS_MAX][1024]; /* of the all_gather */
    atomic_int gathers[RANKS_MAX];        /* calls of it */
    atomic_int failures;
    char failure[1024]; /* the first */
    pid_t pid[RANKS_MAX];
    bool may_die[RANKS_MAX];
    _Alignas(64) unsigned char notes[BOARD_BYTES]; /* the test's own */
};

struct rank {
    struct ww_world world;
    int number;
    int size;
    uint8_t peer_level[RANKS_MAX]; /* all on one host */
    struct board *board;
    void *argument;
};

typedef void rank_body(struct rank *rank);

/* Fails the test when a check of a rank failed, a rank died or did not end within a minute. */
void ranks_run(int size, rank_body *body, void *argument);

/* Ends the test as skipped, and says so where everybody sees it. */
void skip_test(const char *reason);

/* Of one host; area_bytes 0, one level. */
struct ww_transport_setup rank_setup(const struct rank *rank);

/* Opens a fabric that must open; NULL and a failed check otherwise. */
void *rank_open(struct rank *rank, size_t area_bytes);

/* Returns when all ranks are here. */
void rank_meet(struct rank *rank);

/* Polls until the flight is done, at most for a while; the status. */
enum ww_status rank_wait(void *fabric, struct ww_flight *flight);

/* One message. */
struct ww_flight rank_post(struct rank *rank, void *fabric, int tag, struct ww_message message);

#define rank_check(good, ...) rank_check_at(rank, (good), __FILE__, __LINE__, __VA_ARGS__)
bool rank_check_at(struct rank *rank, bool good, const char *file, int line, const char *format,
                   ...) __attribute__((format(printf, 5, 6)));

/* A pattern that tells place and seed. */
void pattern_fill(void *memory, size_t bytes, uint64_t seed);
bool pattern_holds(const void *memory, size_t bytes, uint64_t seed);

#endif
