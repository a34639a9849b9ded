/* SPDX-License-Identifier: BSD-3-Clause
 * test_shm_threads.c: ranks that are threads of one process, several fabrics at once: what they
 * share in the process has a lock, and what they share in memory has its order. ThreadSanitizer
 * sees both here, which it does not between processes. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/transport.h>

#include "ranks.h"
#include "transport/shm.h"
#include "world.h"

#define TURNS 12
#define LARGE_BYTES ((size_t)150000)

static const struct ww_transport *const shm = &ww_shm_transport;

TestSuite(shm_threads, .init = capture_start, .fini = capture_finish);

static void *open_fabric(const struct ww_world *world, size_t area_bytes)
{
    static const uint8_t levels[WORLD_SIZE_MAX]; /* all 0 */
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = world,
                                       .levels = 1,
                                       .host_levels = 1,
                                       .peer_level = levels,
                                       .area_bytes = area_bytes};
    void *fabric = NULL;
    check_status(shm->open(&setup, &fabric), WW_OK);
    return fabric;
}

static void wait_for(void *fabric, struct ww_flight *flight)
{
    enum ww_status status;
    while ((status = shm->poll(fabric, flight)) == WW_PENDING) {
        sched_yield();
    }
    check_status(status, WW_OK);
}

/* Everybody sends to everybody: a large message, a small one and one of a cell, of three tags that
 * are received in another order. */
static void exchange(const struct ww_world *world, void *fabric, unsigned char *memory)
{
    static const size_t sizes[] = {LARGE_BYTES, 30, CELL_BYTES};
    struct ww_flight sends[3], receives[3];
    struct ww_message round[WORLD_SIZE_MAX];
    int others = world->size - 1;
    for (int tag = 0; tag < 3; tag++) {
        for (int i = 0; i < others; i++) {
            int peer = (world->rank + 1 + i) % world->size;
            pattern_fill(memory, sizes[tag], 1);
            round[i] = (struct ww_message){WW_SEND, peer, memory, sizes[tag]};
        }
        check_status(shm->post(fabric, tag, tag == 1, round, others, &sends[tag]), WW_OK);
    }
    for (int tag = 2; tag >= 0; tag--) {
        for (int i = 0; i < others; i++) {
            int peer = (world->rank + 1 + i) % world->size;
            unsigned char *into = memory + (size_t)(1 + tag * others + i) * LARGE_BYTES;
            memset(into, 0, sizes[tag]);
            round[i] = (struct ww_message){WW_RECEIVE, peer, into, sizes[tag]};
        }
        check_status(shm->post(fabric, tag, tag == 1, round, others, &receives[tag]), WW_OK);
    }
    for (int tag = 0; tag < 3; tag++) {
        wait_for(fabric, &receives[tag]);
        for (int i = 0; i < others; i++) {
            check(
                pattern_holds(memory + (size_t)(1 + tag * others + i) * LARGE_BYTES, sizes[tag], 1),
                "tag %d", tag);
        }
    }
    for (int tag = 0; tag < 3; tag++) {
        wait_for(fabric, &sends[tag]);
    }
}

static void live(const struct ww_world *world, void *shared)
{
    (void)shared;
    size_t bytes = (size_t)(1 + 3 * (world->size - 1)) * LARGE_BYTES;
    for (int turn = 0; turn < TURNS; turn++) {
        void *fabrics[2] = {open_fabric(world, 5000), open_fabric(world, 0)};
        void *memory = NULL;
        check_status(shm->allocate(bytes, &memory), WW_OK);
        uint64_t key = 0;
        check(shm->share(fabrics[0], memory, bytes, &key), "it is shared");
        check(shm->view(fabrics[0], world->rank, key) == memory, "the own view");
        exchange(world, fabrics[0], memory);
        exchange(world, fabrics[1], memory);
        *(unsigned char *)shm->area(fabrics[0], world->rank) = (unsigned char)turn;
        exchange(world, fabrics[0], memory);
        for (int peer = 0; peer < world->size; peer++) {
            check(*(unsigned char *)shm->area(fabrics[0], peer) == turn, "the area of %d", peer);
        }
        shm->close(fabrics[0], false);
        shm->deallocate(memory, bytes);
        shm->close(fabrics[1], turn == TURNS - 1);
    }
}

Test(shm_threads, ranks_of_one_process_share_its_arena)
{
    for (int size = 2; size <= 4; size++) {
        world_run(size, live, NULL);
    }
}
