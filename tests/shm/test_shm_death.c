/* SPDX-License-Identifier: BSD-3-Clause
 * test_shm_death.c: ranks that die or leave early. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/log.h"
#include "ranks.h"
#include "transport/shm.h"

#define MIB ((size_t)1 << 20)
#define HOARD_BYTES (256 * MIB)

static const struct ww_transport *const shm = &ww_shm_transport;

/* Memory that all processes of the host share, in MiB. */
static size_t shared_mib(void)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Shmem: %zu", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib >> 10;
}

static int files_in_dev_shm(void)
{
    int count = 0;
    DIR *folder = opendir("/dev/shm");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        count += strstr(entry->d_name, "wirewise") != NULL;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

/* Rank 0 is killed amid a stream, while it holds much memory. */
static void killed(struct rank *rank)
{
    bool sends = *(const bool *)rank->argument;
    void *fabric = rank_open(rank, 4096), *hoard = NULL;
    rank->board->may_die[0] = true;
    unsigned char *memory = calloc(1, 64 * MIB);
    rank_check(rank->number != 0 || shm->allocate(HOARD_BYTES, &hoard) == WW_OK, "%s",
               log_last_error());
    *(unsigned char *)shm->area(fabric, rank->number) = 77;
    rank_meet(rank);
    struct ww_message message = {sends == (rank->number == 0) ? WW_SEND : WW_RECEIVE, !rank->number,
                                 memory, 64 * MIB};
    struct ww_flight flight = rank_post(rank, fabric, 1, message);
    /* 20 polls of rank 0 move no more than 20 MiB. */
    for (int turn = 0; turn < (rank->number == 0 ? 20 : 500); turn++) {
        rank_check(shm->poll(fabric, &flight) == WW_PENDING, "the stream ended early");
    }
    if (rank->number == 0) {
        raise(SIGKILL);
    }
    uint64_t end = clock_now_ns() + CLOCK_NS_PER_S / 4;
    while (kill(rank->board->pid[0], 0) == 0 && clock_now_ns() < end) {
        rank_check(shm->poll(fabric, &flight) == WW_PENDING, "rank 0 is dead or about to die");
    }
    for (int turn = 0; turn < 1000; turn++) {
        rank_check(shm->poll(fabric, &flight) == WW_PENDING, "nobody sends any more");
    }
    rank_check(shm->waits_for(fabric, &flight) == 0, "it waits for rank 0");
    rank_check(*(unsigned char *)shm->area(fabric, 0) == 77, "what it left can be read");
    uint64_t begin = clock_now_ns();
    shm->close(fabric, true);
    rank_check(clock_now_ns() - begin < CLOCK_NS_PER_S, "close waited");
    free(memory);
}

Test(shm_death, a_killed_rank_leaves_its_peers_pending_and_nothing_behind)
{
    for (int sends = 0; sends < 2; sends++) {
        size_t before = shared_mib();
        ranks_run(2, killed, &(bool){sends == 1});
        uint64_t end = clock_now_ns() + 10 * CLOCK_NS_PER_S;
        while (shared_mib() > before + (HOARD_BYTES >> 21) && clock_now_ns() < end) {
            clock_sleep_ns(CLOCK_NS_PER_S / 100);
        }
        cr_expect_leq(shared_mib(), before + (HOARD_BYTES >> 21), "%zu MiB were %zu before",
                      shared_mib(), before);
        cr_expect_eq(files_in_dev_shm(), 0);
    }
}

static void *outlive(void *argument)
{
    struct board *board = argument; /* the rank itself went with the first thread's stack */
    while (board->notes[0] == 0) {
        sched_yield();
    }
    _exit(0);
    return NULL;
}

static char state_of(pid_t pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%*d %*s %c", &state) != 1) {
            state = '?';
        }
        fclose(file);
    }
    return state;
}

static bool reaches(pid_t pid, char state)
{
    uint64_t end = clock_now_ns() + 20 * CLOCK_NS_PER_S;
    while (state_of(pid) != state && clock_now_ns() < end) {
        sched_yield();
    }
    return state_of(pid) == state;
}

/* Rank 1 is killed, rank 2 only stopped, rank 3's first thread ends and another one goes on. */
static void four_fates(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    pthread_t thread;
    rank->board->may_die[1] = true;
    rank_meet(rank);
    if (rank->number == 1) {
        raise(SIGKILL);
    }
    if (rank->number == 2) {
        raise(SIGSTOP);
    }
    if (rank->number == 3) {
        pthread_create(&thread, NULL, outlive, rank->board);
        pthread_exit(NULL);
    }
    if (rank->number == 0) {
        const pid_t *pid = rank->board->pid;
        rank_check(reaches(pid[1], 'Z') && reaches(pid[2], 'T') && reaches(pid[3], 'Z'),
                   "states %c%c%c", state_of(pid[1]), state_of(pid[2]), state_of(pid[3]));
        static const bool ended[] = {false, true, false, false};
        for (int peer = 0; peer < 4; peer++) {
            rank_check(shm->ended(fabric, peer) == ended[peer], "rank %d, %d", peer, !ended[peer]);
        }
        rank->board->notes[0] = 1;
        kill(pid[2], SIGCONT);
    }
    shm->close(fabric, true);
}

Test(shm_death, who_ended_is_told_from_who_only_stands_still)
{
    ranks_run(4, four_fates, NULL);
}

/* Rank 1 has a namespace of processes of its own, and sees its host's under /proc. */
static void number_elsewhere(struct rank *rank)
{
    if (rank->number == 1) {
        int state = 0;
        rank_check(unshare(CLONE_NEWPID) == 0, "unshare");
        pid_t child = fork();
        if (child > 0) {
            waitpid(child, &state, 0);
            rank_check(state == 0, "state %d", state);
            _exit(0); /* it can make no more processes, as a look for leaks would */
        }
    }
    void *fabric = rank_open(rank, 0);
    rank_check(!shm->ended(fabric, 1 - rank->number), "rank %d is here", 1 - rank->number);
    rank_meet(rank);
    shm->close(fabric, false);
    if (rank->number == 1) {
        _exit(0);
    }
}

Test(shm_death, a_number_of_another_namespace_tells_nothing)
{
    if (geteuid() != 0) {
        skip_test("only root can make a namespace");
    }
    ranks_run(2, number_elsewhere, NULL);
}

/* Rank 0 sends what fits the ring, closes, and ends. */
static void legacy(struct rank *rank)
{
    bool failed = *(const bool *)rank->argument;
    void *fabric = rank_open(rank, 0);
    unsigned char memory[20000];
    if (rank->number == 0) {
        for (int index = 0; index < 4; index++) {
            pattern_fill(memory, sizeof memory, (uint64_t)index);
            struct ww_flight flight = rank_post(rank, fabric, index,
                                                (struct ww_message){WW_SEND, 1, memory, 20000});
            rank_check(shm->poll(fabric, &flight) == WW_OK, "message %d fits", index);
        }
        shm->close(fabric, failed);
        return;
    }
    /* It may stay a zombie: its parent waits for the ranks in order. */
    while (strchr("ZX?", state_of(rank->board->pid[0])) == NULL) {
        sched_yield();
    }
    for (int index = 3; index >= 0; index--) {
        struct ww_flight flight = rank_post(
            rank, fabric, index, (struct ww_message){WW_RECEIVE, 0, memory, sizeof memory});
        rank_check(rank_wait(fabric, &flight) == WW_OK, "message %d", index);
        rank_check(pattern_holds(memory, sizeof memory, (uint64_t)index), "message %d changed",
                   index);
    }
    shm->close(fabric, failed);
}

Test(shm_death, what_was_sent_can_be_read_after_the_sender_ended)
{
    ranks_run(2, legacy, &(bool){false});
    ranks_run(2, legacy, &(bool){true});
}

/* Rank 0 closes while rank 1 has not read; its next fabrics must not reuse that memory. */
static void early_bird(struct rank *rank)
{
    void *fabric = rank_open(rank, 4096), *keeper = rank_open(rank, 0);
    unsigned char memory[20000];
    if (rank->number == 0) {
        pattern_fill(memory, sizeof memory, 9);
        rank_post(rank, fabric, 1, (struct ww_message){WW_SEND, 1, memory, sizeof memory});
        pattern_fill(shm->area(fabric, 0), 4096, 10);
        shm->close(fabric, false);
        for (int turn = 0; turn < 10; turn++) {
            void *taken = NULL;
            rank_check(shm->allocate(MIB, &taken) == WW_OK, "%s", log_last_error());
            memset(taken, 0xff, MIB);
        }
    }
    rank_meet(rank);
    if (rank->number == 1) {
        struct ww_flight flight = rank_post(
            rank, fabric, 1, (struct ww_message){WW_RECEIVE, 0, memory, sizeof memory});
        rank_check(rank_wait(fabric, &flight) == WW_OK, "the message");
        rank_check(pattern_holds(memory, sizeof memory, 9), "the message changed");
        rank_check(pattern_holds(shm->area(fabric, 0), 4096, 10), "the area changed");
        shm->close(fabric, false);
    }
    rank_meet(rank);
    shm->close(keeper, false);
}

Test(shm_death, unread_messages_keep_their_memory_until_their_reader_left)
{
    ranks_run(2, early_bird, NULL);
}

/* Everything is under way in both directions when rank 0 gives up; both close at once. */
static void abandon(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    unsigned char *memory[6];
    for (int index = 0; index < 6; index++) {
        memory[index] = calloc(1, MIB);
    }
    for (int index = 0; index < 6; index++) {
        rank_post(rank, fabric, index,
                  (struct ww_message){WW_SEND, !rank->number, memory[index], MIB});
        if (index % 2 == 0) {
            struct ww_flight flight = rank_post(
                rank, fabric, index,
                (struct ww_message){WW_RECEIVE, !rank->number, memory[(index + 1) % 6], MIB});
            shm->poll(fabric, &flight);
        }
    }
    shm->close(fabric, true);
    for (int index = 0; index < 6; index++) {
        free(memory[index]);
    }
}

Test(shm_death, close_amid_everything_returns_and_leaks_nothing)
{
    for (int turn = 0; turn < 20; turn++) {
        ranks_run(2, abandon, NULL);
    }
}
