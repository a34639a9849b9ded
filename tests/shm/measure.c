/* SPDX-License-Identifier: BSD-3-Clause
 * measure.c: what the fabric in shared memory costs, between two processes pinned to two cores.
 * No test: `shm_measure` prints medians, to be read on a quiet machine. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/cpu.h"
#include "transport/shm.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define ROUNDS 21
#define SLOT_BYTES 1024

static const struct ww_transport *const shm = &ww_shm_transport;

/* The world: slots and counters in memory of both. */
struct shared {
    atomic_int calls[2];
    unsigned char slots[2][2][SLOT_BYTES]; /* by call, odd and even */
};

struct end {
    int rank;
    int calls;
    struct shared *shared;
};

static int gather(void *self, const void *mine, void *all, size_t bytes)
{
    struct end *end = self;
    struct shared *shared = end->shared;
    unsigned char(*slots)[SLOT_BYTES] = shared->slots[++end->calls % 2];
    if (bytes > SLOT_BYTES) {
        return 1;
    }
    memcpy(slots[end->rank], mine, bytes);
    atomic_store(&shared->calls[end->rank], end->calls);
    while (atomic_load(&shared->calls[!end->rank]) < end->calls) {
        sched_yield();
    }
    memcpy(all, slots[0], bytes);
    memcpy((unsigned char *)all + bytes, slots[1], bytes);
    return 0;
}

static void must(enum ww_status status)
{
    if (status != WW_OK) {
        fprintf(stderr, "measure: %s\n", ww_status_name(status));
        exit(1);
    }
}

static void message(void *fabric, enum ww_message_kind kind, int peer, void *memory, size_t bytes)
{
    struct ww_message one = {kind, peer, memory, bytes};
    struct ww_flight flight;
    enum ww_status status;
    must(shm->post(fabric, 1, false, &one, 1, &flight));
    while ((status = shm->poll(fabric, &flight)) == WW_PENDING) {
        cpu_pause();
    }
    must(status);
}

static void pingpong(void *fabric, int rank, unsigned char *memory, size_t bytes)
{
    if (rank == 0) {
        message(fabric, WW_SEND, 1, memory, bytes);
        message(fabric, WW_RECEIVE, 1, memory, bytes);
    } else {
        message(fabric, WW_RECEIVE, 0, memory, bytes);
        message(fabric, WW_SEND, 0, memory, bytes);
    }
}

static void stream(void *fabric, int rank, unsigned char *memory, size_t bytes)
{
    message(fabric, rank == 0 ? WW_SEND : WW_RECEIVE, !rank, memory, bytes);
}

static int ascending(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double median_s(void *fabric, int rank, unsigned char *memory, size_t bytes, int turns,
                       void (*work)(void *, int, unsigned char *, size_t))
{
    double seconds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        pingpong(fabric, rank, memory, 8);
        uint64_t begin = clock_now_ns();
        for (int turn = 0; turn < turns; turn++) {
            work(fabric, rank, memory, bytes);
        }
        pingpong(fabric, rank, memory, 8); /* the receiver has all of it */
        seconds[round] = (double)(clock_now_ns() - begin) / (double)CLOCK_NS_PER_S;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, ascending);
    return seconds[ROUNDS / 2];
}

static void measure_messages(void *fabric, int rank)
{
    static const size_t small[] = {0, 8, 40, 256, 1024, 4096};
    static const size_t large[] = {16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 64 << 20};
    size_t most = large[LENGTH(large) - 1];
    unsigned char *memory = malloc(most);
    memset(memory, rank, most);
    for (size_t index = 0; index < LENGTH(small); index++) {
        double s = median_s(fabric, rank, memory, small[index], 2000, pingpong);
        if (rank == 0) {
            printf("one way  %9zu bytes  %8.1f ns\n", small[index], s / 4000 * 1e9);
        }
    }
    for (size_t index = 0; index < LENGTH(large); index++) {
        int turns = (int)(((size_t)128 << 20) / large[index]);
        double s = median_s(fabric, rank, memory, large[index], turns, stream);
        if (rank == 0) {
            printf("stream   %9zu bytes  %8.2f GB/s\n", large[index],
                   (double)large[index] * turns / s * 1e-9);
        }
    }
    free(memory);
}

static void measure_memory(void *fabric, int rank)
{
    size_t bytes = (size_t)1 << 30;
    for (int turn = 0; rank == 0 && turn < 5; turn++) {
        void *memory;
        uint64_t begin = clock_now_ns();
        must(shm->allocate(bytes, &memory));
        uint64_t between = clock_now_ns();
        memset(memory, 1, bytes);
        uint64_t touched = clock_now_ns();
        shm->deallocate(memory, bytes);
        printf("allocate 1 GiB %.0f ms, write %.0f ms, deallocate %.0f ms\n",
               (double)(between - begin) * 1e-6, (double)(touched - between) * 1e-6,
               (double)(clock_now_ns() - touched) * 1e-6);
    }
    pingpong(fabric, rank, (unsigned char[8]){0}, 8);
}

static int live(struct shared *shared, int rank)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)rank, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    static const uint8_t peer_level[2] = {0, 0};
    struct end end = {rank, 0, shared};
    struct ww_world world = {sizeof world, rank, 2, gather, &end, NULL};
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &world,
                                       .levels = 1,
                                       .host_levels = 1,
                                       .peer_level = peer_level};
    void *fabric;
    must(shm->open(&setup, &fabric));
    measure_messages(fabric, rank);
    measure_memory(fabric, rank);
    shm->close(fabric, false);
    return 0;
}

int main(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    pid_t child = fork();
    int state = 0;
    if (child == 0) {
        return live(shared, 1);
    }
    int status = live(shared, 0);
    waitpid(child, &state, 0);
    return status != 0 || state != 0;
}
