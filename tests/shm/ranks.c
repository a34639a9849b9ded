/* SPDX-License-Identifier: BSD-3-Clause
 * ranks.c: ranks that are processes, and a world of shared memory between them. */
#define _GNU_SOURCE
#include "ranks.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/log.h"
#include "transport/shm.h"

#define PATIENCE_NS (60 * CLOCK_NS_PER_S)

/* Of LeakSanitizer, where the test is built with it: a rank ends without exit handlers. */
void __lsan_do_leak_check(void) __attribute__((weak));

bool rank_check_at(struct rank *rank, bool good, const char *file, int line, const char *format,
                   ...)
{
    if (good || atomic_fetch_add(&rank->board->failures, 1) > 0) {
        return good;
    }
    char words[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    snprintf(rank->board->failure, sizeof rank->board->failure, "%s:%d: rank %d: %s", file, line,
             rank->number, words);
    return false;
}

/* False when somebody did not come. */
static bool barrier(struct rank *rank)
{
    struct board *board = rank->board;
    int generation = atomic_load(&board->generation);
    if (atomic_fetch_add(&board->at_barrier, 1) == rank->size - 1) {
        atomic_store(&board->at_barrier, 0);
        atomic_store(&board->generation, generation + 1);
        return true;
    }
    uint64_t end = clock_now_ns() + PATIENCE_NS;
    while (atomic_load(&board->generation) == generation) {
        if (clock_now_ns() > end) {
            return rank_check(false, "somebody did not come to the barrier");
        }
        sched_yield();
    }
    return true;
}

void rank_meet(struct rank *rank)
{
    barrier(rank);
}

static int gather(void *self, const void *mine, void *all, size_t bytes)
{
    struct rank *rank = self;
    struct board *board = rank->board;
    atomic_fetch_add(&board->gathers[rank->number], 1);
    if (!rank_check(bytes <= sizeof board->slots[0], "all_gather of %zu bytes", bytes)) {
        return 1;
    }
    memcpy(board->slots[rank->number], mine, bytes);
    if (!barrier(rank)) {
        return 1;
    }
    for (int peer = 0; peer < rank->size; peer++) {
        memcpy((unsigned char *)all + (size_t)peer * bytes, board->slots[peer], bytes);
    }
    return barrier(rank) ? 0 : 1;
}

struct ww_transport_setup rank_setup(const struct rank *rank)
{
    return (struct ww_transport_setup){.struct_bytes = sizeof(struct ww_transport_setup),
                                       .world = &rank->world,
                                       .levels = 1,
                                       .host_levels = 1,
                                       .peer_level = rank->peer_level};
}

void *rank_open(struct rank *rank, size_t area_bytes)
{
    void *fabric = NULL;
    struct ww_transport_setup setup = rank_setup(rank);
    setup.area_bytes = area_bytes;
    enum ww_status status = ww_shm_transport.open(&setup, &fabric);
    rank_check(status == WW_OK, "open: %s", log_last_error());
    if (status != WW_OK) {
        _exit(1);
    }
    return fabric;
}

struct ww_flight rank_post(struct rank *rank, void *fabric, int tag, struct ww_message message)
{
    struct ww_flight flight = {NULL, WW_WAIT_NETWORK};
    enum ww_status status = ww_shm_transport.post(fabric, tag, false, &message, 1, &flight);
    rank_check(status == WW_OK, "post: %s", log_last_error());
    rank_check(flight.wait == WW_WAIT_MEMORY, "shared memory waits for memory");
    return flight;
}

enum ww_status rank_wait(void *fabric, struct ww_flight *flight)
{
    uint64_t end = clock_now_ns() + PATIENCE_NS;
    enum ww_status status;
    while ((status = ww_shm_transport.poll(fabric, flight)) == WW_PENDING) {
        if (clock_now_ns() > end) {
            return WW_TIMED_OUT;
        }
        sched_yield();
    }
    return status;
}

static void swallow(void *self, enum ww_log_level level, const char *line)
{
    (void)self;
    (void)level;
    (void)line;
}

/* It reads /proc, which a test may have hidden, and needs descriptors, which it may have used up.
 */
static void leaks_check(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (__lsan_do_leak_check != NULL && access("/proc/self/task", R_OK) == 0) {
        __lsan_do_leak_check();
    }
}

static void rank_live(struct rank *rank, rank_body *body)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    rank->board->pid[rank->number] = getpid();
    log_set_sink(swallow, NULL, 1);
    rank->world = (struct ww_world){.struct_bytes = sizeof rank->world,
                                    .rank = rank->number,
                                    .size = rank->size,
                                    .all_gather = gather,
                                    .self = rank};
    body(rank);
    log_set_sink(NULL, NULL, 0);
    leaks_check();
    _exit(0);
}

static void ranks_fork(struct board *board, int size, rank_body *body, void *argument)
{
    for (int number = 0; number < size; number++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct rank rank = {
                .number = number, .size = size, .board = board, .argument = argument};
            rank_live(&rank, body);
        }
        cr_assert_gt(pid, 0, "fork: %s", strerror(errno));
        board->pid[number] = pid; /* the child may be quicker: rank_live notes it, too */
    }
}

static void rank_judge(struct rank *rank, int state)
{
    if (rank->board->may_die[rank->number]) {
        return;
    }
    rank_check(!WIFSIGNALED(state), "it died of signal %d", WTERMSIG(state));
    rank_check(WIFSIGNALED(state) || WEXITSTATUS(state) == 0, "it ended with status %d",
               WEXITSTATUS(state));
}

static void ranks_join(struct board *board, int size)
{
    uint64_t end = clock_now_ns() + 2 * PATIENCE_NS;
    for (int number = 0; number < size; number++) {
        struct rank rank = {.number = number, .board = board};
        int state = 0;
        pid_t ended;
        while ((ended = waitpid(board->pid[number], &state, WNOHANG)) == 0) {
            if (clock_now_ns() > end) {
                rank_check_at(&rank, false, __FILE__, __LINE__, "it did not end");
                kill(board->pid[number], SIGKILL);
            }
            clock_sleep_ns(100000);
        }
        rank_judge(&rank, state);
    }
}

void ranks_run(int size, rank_body *body, void *argument)
{
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
    cr_assert_leq(size, RANKS_MAX);
    fflush(NULL); /* nobody writes twice what was not written yet */
    ranks_fork(board, size, body, argument);
    ranks_join(board, size);
    cr_expect_eq(atomic_load(&board->failures), 0, "%d checks failed, first: %s",
                 atomic_load(&board->failures), board->failure);
    munmap(board, sizeof *board);
}

void skip_test(const char *reason)
{
    fprintf(stderr, "SKIPPED: %s\n", reason);
    cr_skip_test("%s", reason);
}

/* ---- Patterns ------------------------------------------------------------------------------- */

static unsigned char pattern_at(uint64_t seed, size_t index)
{
    return (unsigned char)(seed * 131 + index * 7 + (index >> 8) * 13 + (index >> 16));
}

void pattern_fill(void *memory, size_t bytes, uint64_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        ((unsigned char *)memory)[index] = pattern_at(seed, index);
    }
}

bool pattern_holds(const void *memory, size_t bytes, uint64_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        if (((const unsigned char *)memory)[index] != pattern_at(seed, index)) {
            return false;
        }
    }
    return true;
}
