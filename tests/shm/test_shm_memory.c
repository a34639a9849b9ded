/* SPDX-License-Identifier: BSD-3-Clause
 * test_shm_memory.c: memory that processes of one host see in each other. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chance.h"
#include "effort.h"
#include "internal/log.h"
#include "internal/memory.h"
#include "ranks.h"
#include "transport/shm.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const struct ww_transport *const shm = &ww_shm_transport;

static bool is_zero(const void *memory, size_t bytes)
{
    const unsigned char *first = memory;
    return bytes == 0 || (first[0] == 0 && memcmp(first, first + 1, bytes - 1) == 0);
}

static void *allocate(struct rank *rank, size_t bytes)
{
    void *memory = NULL;
    enum ww_status status = shm->allocate(bytes, &memory);
    rank_check(status == WW_OK, "allocate %zu: %s", bytes, log_last_error());
    if (status != WW_OK) {
        _exit(1);
    }
    return memory;
}

/* How often this process maps an arena, its own included. */
static int arenas_mapped(void)
{
    char line[512];
    int count = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        count += strstr(line, "/memfd:wirewise") != NULL && strstr(line, " 00000000 ") != NULL;
    }
    fclose(file);
    return count;
}

/* ---- Areas ---------------------------------------------------------------------------------- */

#define AREA_BYTES (3 * SHM_PAGE_BYTES + 100)

/* Everybody writes into everybody's area and reads everybody's own. */
static void use_areas(struct rank *rank)
{
    void *fabric = rank_open(rank, AREA_BYTES);
    for (int peer = 0; peer < rank->size; peer++) {
        unsigned char *area = shm->area(fabric, peer);
        if (rank_check(area != NULL, "no area of rank %d", peer)) {
            rank_check((uintptr_t)area % SHM_PAGE_BYTES == 0, "area at %p", (void *)area);
            rank_check(is_zero(area, AREA_BYTES), "the area of rank %d is not zero", peer);
        }
    }
    rank_meet(rank);
    for (int peer = 0; peer < rank->size; peer++) {
        unsigned char *area = shm->area(fabric, peer);
        pattern_fill(area + rank->number * 1000, 1000, (uint64_t)(rank->number * 10 + peer));
        area[AREA_BYTES - 1 - (size_t)rank->number] = (unsigned char)(rank->number + 1);
    }
    rank_meet(rank);
    const unsigned char *own = shm->area(fabric, rank->number);
    for (int peer = 0; peer < rank->size; peer++) {
        rank_check(pattern_holds(own + peer * 1000, 1000, (uint64_t)(peer * 10 + rank->number)),
                   "what rank %d wrote is not in the area of rank %d", peer, rank->number);
        rank_check(own[AREA_BYTES - 1 - (size_t)peer] == peer + 1, "the last bytes");
    }
    shm->close(fabric, false);
}

Test(shm_memory, areas_are_zero_and_everybody_sees_the_same)
{
    ranks_run(1, use_areas, NULL);
    ranks_run(4, use_areas, NULL);
}

static void no_area(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    rank_check(shm->area(fabric, 0) == NULL, "nobody asked for an area");
    shm->close(fabric, false);
}

Test(shm_memory, an_area_of_no_bytes_is_none)
{
    ranks_run(2, no_area, NULL);
}

/* Many fabrics at once and one after the other, areas always zero at first. */
static void many_fabrics(struct rank *rank)
{
    void *fabrics[6] = {NULL};
    uint64_t chance = 11;
    for (int turn = 0; turn < 60; turn++) {
        int index = (int)(chance_next(&chance) % LENGTH(fabrics)); /* the same on all ranks */
        if (fabrics[index] != NULL) {
            shm->close(fabrics[index], false);
        }
        fabrics[index] = rank_open(rank, 2 * MIB);
        unsigned char *area = shm->area(fabrics[index], rank->number);
        rank_check(is_zero(area, 2 * MIB), "turn %d: an area is not zero", turn);
        memset(area, 0xa5, 2 * MIB);
        int peer = (rank->number + 1) % rank->size;
        unsigned char out = 1, in = 0;
        struct ww_flight send = rank_post(rank, fabrics[index], 1,
                                          (struct ww_message){WW_SEND, peer, &out, 1});
        peer = (rank->number + rank->size - 1) % rank->size;
        struct ww_flight receive = rank_post(rank, fabrics[index], 1,
                                             (struct ww_message){WW_RECEIVE, peer, &in, 1});
        rank_check(rank_wait(fabrics[index], &send) == WW_OK, "send");
        rank_check(rank_wait(fabrics[index], &receive) == WW_OK && in == 1, "receive");
    }
    rank_check(arenas_mapped() == rank->size, "%d arenas are mapped, one for each of %d ranks",
               arenas_mapped(), rank->size);
    struct stat stat;
    rank_check(fstat(arena_card().fd, &stat) == 0 && stat.st_blocks < 40 * 2048,
               "%lld KiB are kept", (long long)stat.st_blocks / 2);
    for (size_t index = 0; index < LENGTH(fabrics); index++) {
        if (fabrics[index] != NULL) {
            shm->close(fabrics[index], false);
        }
    }
    rank_check(arenas_mapped() == 0, "%d arenas are mapped after the last close", arenas_mapped());
}

Test(shm_memory, fabrics_of_one_process_share_one_arena_which_ends_with_the_last)
{
    ranks_run(3, many_fabrics, NULL);
}

/* ---- Share, view, reserve ------------------------------------------------------------------- */

static void share_and_view(struct rank *rank)
{
    static const size_t sizes[] = {1, 100, 4096, 300000, 2 * MIB, 5 * MIB + 3};
    void *fabric = rank_open(rank, 0);
    uint64_t *keys = (uint64_t *)(void *)rank->board->notes;
    for (size_t row = 0; row < 2 * LENGTH(sizes); row++) {
        size_t bytes = sizes[row / 2];
        void *memory = NULL;
        if (row % 2 == 0) {
            rank_check(shm->reserve(fabric, bytes, &memory) == WW_OK, "reserve %zu", bytes);
        } else {
            memory = allocate(rank, bytes);
        }
        size_t alignment = bytes >= SHM_HUGE_BYTES ? SHM_HUGE_BYTES : 4096;
        rank_check((uintptr_t)memory % alignment == 0, "%zu bytes at %p", bytes, memory);
        rank_check(shm->share(fabric, memory, bytes, &keys[rank->number]), "%zu bytes not seen",
                   bytes);
        pattern_fill(memory, bytes, row * 10 + (uint64_t)rank->number);
        rank_meet(rank);
        int peer = (rank->number + 1) % rank->size;
        unsigned char *view = shm->view(fabric, peer, keys[peer]);
        rank_check(pattern_holds(view, bytes, row * 10 + (uint64_t)peer), "a view of %zu bytes",
                   bytes);
        rank_meet(rank);
        view[bytes / 2] ^= 0xff;
        rank_meet(rank);
        ((unsigned char *)memory)[bytes / 2] ^= 0xff;
        rank_check(pattern_holds(memory, bytes, row * 10 + (uint64_t)rank->number),
                   "a write through a view of %zu bytes", bytes);
        if (row % 2 == 0) {
            shm->release(fabric, memory, bytes);
        } else {
            shm->deallocate(memory, bytes);
        }
        rank_meet(rank);
    }
    shm->close(fabric, false);
}

Test(shm_memory, what_one_rank_shares_all_others_view)
{
    ranks_run(3, share_and_view, NULL);
}

static void share_little(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    uint64_t key = 77;
    char stack = 0;
    void *heap = malloc(100);
    unsigned char *base = arena_base();
    size_t bytes = arena_card().bytes;
    rank_check(!shm->share(fabric, &stack, 1, &key), "the stack is not shared");
    rank_check(!shm->share(fabric, heap, 100, &key), "the heap is not shared");
    rank_check(!shm->share(fabric, NULL, 0, &key), "nothing is not shared");
    rank_check(!shm->share(fabric, base - 1, 2, &key), "a byte before the arena");
    rank_check(!shm->share(fabric, base + bytes - 1, 2, &key), "a byte behind the arena");
    rank_check(!shm->share(fabric, base, SIZE_MAX, &key), "more than there is");
    rank_check(key == 77, "outputs are written on success only");
    rank_check(shm->share(fabric, base + bytes - 1, 1, &key) && key == bytes - 1, "the last byte");
    free(heap);
    shm->close(fabric, false);
}

Test(shm_memory, other_memory_is_not_shared)
{
    ranks_run(1, share_little, NULL);
}

static void close_gives_back(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    void *keeper = rank_open(rank, 0);
    void *memory = NULL;
    struct stat before, between, after;
    fstat(arena_card().fd, &before);
    for (int turn = 0; turn < 20; turn++) {
        rank_check(shm->reserve(fabric, MIB, &memory) == WW_OK, "reserve");
    }
    fstat(arena_card().fd, &between);
    shm->close(fabric, false);
    fstat(arena_card().fd, &after);
    rank_check(between.st_blocks - before.st_blocks >= 20 * 2048, "reserved pages are there");
    rank_check(after.st_blocks <= before.st_blocks, "close left %lld KiB",
               (long long)(after.st_blocks - before.st_blocks) / 2);
    shm->close(keeper, false);
}

Test(shm_memory, close_gives_back_what_was_reserved)
{
    ranks_run(1, close_gives_back, NULL);
}

/* ---- Allocate ------------------------------------------------------------------------------- */

struct piece {
    unsigned char *memory;
    size_t bytes;
    uint64_t seed;
};

static void churn(struct rank *rank)
{
    static const size_t most[] = {1, 5000, 100000, 3 * MIB, 9 * MIB};
    struct piece pieces[24] = {{NULL, 0, 0}};
    shm_pretend.kernel_is_old = *(const bool *)rank->argument;
    uint64_t chance = 5 + (uint64_t)rank->number;
    void *fabric = rank_open(rank, 0);
    for (int turn = 0; turn < EFFORT(400, 80); turn++) {
        struct piece *piece = &pieces[chance_next(&chance) % LENGTH(pieces)];
        if (piece->memory != NULL) {
            rank_check(pattern_holds(piece->memory, piece->bytes, piece->seed),
                       "turn %d: somebody wrote into %zu bytes", turn, piece->bytes);
            shm->deallocate(piece->memory, piece->bytes);
        }
        piece->bytes = 1 + chance_next(&chance) % most[chance_next(&chance) % LENGTH(most)];
        piece->memory = allocate(rank, piece->bytes);
        piece->seed = chance_next(&chance);
        rank_check(is_zero(piece->memory, shm_round_up(piece->bytes, SHM_PAGE_BYTES)),
                   "turn %d: %zu bytes are not zero", turn, piece->bytes);
        pattern_fill(piece->memory, piece->bytes, piece->seed);
    }
    shm->close(fabric, false); /* it stays valid beyond */
    for (size_t index = 0; index < LENGTH(pieces); index++) {
        struct piece *piece = &pieces[index];
        if (piece->memory != NULL) {
            rank_check(pattern_holds(piece->memory, piece->bytes, piece->seed), "after close");
            shm->deallocate(piece->memory, piece->bytes);
        }
    }
    rank_check(arenas_mapped() == 0, "%d arenas are mapped at the end", arenas_mapped());
}

Test(shm_memory, allocated_memory_is_zero_own_and_outlives_its_fabric)
{
    ranks_run(2, churn, &(bool){false});
    ranks_run(2, churn, &(bool){true});
}

/* What was given back reads as zero when it comes again, and its pages went back to the system. */
static void give_again(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    struct stat before, after;
    fstat(arena_card().fd, &before);
    for (int turn = 0; turn < 6; turn++) {
        shm_pretend.kernel_is_old = turn >= 3;
        unsigned char *memory = allocate(rank, 3 * MIB);
        fstat(arena_card().fd, &after);
        rank_check(after.st_blocks >= before.st_blocks + 3 * 2048, "pages come at once");
        rank_check(is_zero(memory, 3 * MIB), "turn %d: not zero", turn);
        memset(memory, 0x5a, 3 * MIB);
        if (turn % 3 == 1) {
            rank_check(mlock(memory, MIB) == 0, "mlock");
        }
        shm_pretend.pages_are_kept = turn % 3 == 2;
        shm->deallocate(memory, 3 * MIB);
        fstat(arena_card().fd, &after);
        rank_check((after.st_blocks > before.st_blocks) == (turn % 3 == 2),
                   "turn %d: %lld KiB were %lld", turn, (long long)after.st_blocks / 2,
                   (long long)before.st_blocks / 2);
    }
    shm->close(fabric, false);
}

Test(shm_memory, memory_given_again_is_zero_and_was_the_systems_meanwhile)
{
    ranks_run(1, give_again, NULL);
}

static void refuse_memory(struct rank *rank)
{
    void *memory = rank;
    rank_check(shm->allocate(100, &memory) == WW_UNSUPPORTED, "no fabric, no shared memory");
    rank_check(*log_last_error() == '\0', "that is an answer, no error: %s", log_last_error());
    void *fabric = rank_open(rank, 0);
    static const size_t sizes[] = {(size_t)1 << 46, SIZE_MAX / 2, SIZE_MAX - 100, SIZE_MAX};
    for (size_t row = 0; row < LENGTH(sizes); row++) {
        rank_check(shm->allocate(sizes[row], &memory) == WW_NO_MEMORY, "%zu bytes", sizes[row]);
        rank_check(strstr(log_last_error(), "that ranks of this host share") != NULL, "%s",
                   log_last_error());
    }
    size_t all = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    size_t most = arena_card().bytes - 64 * MIB;
    rank_check(shm->allocate(all < most ? all : most, &memory) == WW_NO_MEMORY,
               "all memory of the host");
    rank_check(shm->reserve(fabric, (size_t)1 << 46, &memory) == WW_NO_MEMORY, "reserve");
    shm_pretend.pages_are_refused = true;
    for (int turn = 0; turn < 3; turn++) {
        rank_check(shm->allocate((size_t)turn * MIB + 1, &memory) == WW_UNSUPPORTED,
                   "none is left to share: plain memory may do");
        rank_check(shm->reserve(fabric, MIB, &memory) == WW_NO_MEMORY, "no pages to reserve");
    }
    shm_pretend.pages_are_refused = false;
    rank_check(memory == rank, "outputs are written on success only");
    shm->deallocate(NULL, 0);
    memory = allocate(rank, most / 2 < 512 * MIB ? most / 2 : 512 * MIB); /* nothing was lost */
    shm->deallocate(memory, 512 * MIB);
    shm->close(fabric, false);
    memory = rank;
    rank_check(shm->allocate(100, &memory) == WW_UNSUPPORTED, "the fabric is closed");
    rank_check(arenas_mapped() == 0, "%d arenas are mapped at the end", arenas_mapped());
}

Test(shm_memory, memory_that_is_not_there_is_refused_in_words)
{
    ranks_run(1, refuse_memory, NULL);
}

static void fail_and_keep(struct rank *rank)
{
    void *fabric = rank_open(rank, 100);
    void *memory = allocate(rank, 3 * MIB);
    pattern_fill(memory, 3 * MIB, 1);
    shm->close(fabric, true);
    rank_check(pattern_holds(memory, 3 * MIB, 1), "the program's memory stays");
    void *before = memory;
    shm->deallocate(memory, 3 * MIB);
    rank_check(arenas_mapped() == 1, "the own arena stays, the peers' go: %d", arenas_mapped());
    rank_check(shm->allocate(100, &memory) == WW_UNSUPPORTED, "no fabric is open");
    rank_meet(rank);
    fabric = rank_open(rank, 100);
    memory = allocate(rank, 3 * MIB);
    memset(before, 9, 100); /* as a late write of another fabric */
    rank_check(is_zero(memory, 3 * MIB), "new memory is zero and nobody else's");
    shm->deallocate(memory, 3 * MIB);
    shm->close(fabric, false);
}

Test(shm_memory, after_a_failure_nothing_is_unmapped_and_life_goes_on)
{
    ranks_run(3, fail_and_keep, NULL);
}

static long long arena_kib(void)
{
    struct stat stat;
    fstat(arena_card().fd, &stat);
    return (long long)stat.st_blocks / 2;
}

/* Rank 0 gives up amid a collective; what it reserved is its peers' until the last of them left. */
static void give_up_first(struct rank *rank)
{
    bool lent = *(const bool *)rank->argument;
    void *keeper = rank_open(rank, 0), *fabric = rank_open(rank, 0), *reserved = NULL;
    long long before = arena_kib();
    rank_check(shm->reserve(fabric, MIB, &reserved) == WW_OK, "reserve");
    pattern_fill(reserved, MIB, 2);
    if (lent) {
        shm_keep_reserved(fabric);
    }
    for (int turn = 0; turn < rank->size; turn++) {
        if (turn == rank->number) {
            shm->close(fabric, true);
        }
        rank_meet(rank);
        bool kept = lent || turn + 1 < rank->size;
        shm->deallocate(allocate(rank, 4096), 4096); /* looks who left */
        rank_check(kept == (arena_kib() - before > 512), "%lld KiB more", arena_kib() - before);
        rank_check(!kept || pattern_holds(reserved, MIB, 2), "somebody may still write there");
        rank_meet(rank);
    }
    shm->close(keeper, false);
}

Test(shm_memory, what_was_reserved_goes_back_when_the_last_peer_left)
{
    ranks_run(3, give_up_first, &(bool){false});
    ranks_run(3, give_up_first, &(bool){true});
}

/* ---- Fetch ---------------------------------------------------------------------------------- */

static void fetch(struct rank *rank)
{
    static const size_t sizes[] = {1, 4096, 100001, 3 * MIB + 1};
    void *fabric = rank_open(rank, 0);
    if (!rank_check(shm->fetches(fabric), "this system lets processes of one user be read")) {
        return;
    }
    uint64_t *addresses = (uint64_t *)(void *)rank->board->notes;
    unsigned char *own = malloc(4 * MIB), *into = malloc(4 * MIB);
    pattern_fill(own, 4 * MIB, (uint64_t)rank->number);
    addresses[rank->number] = (uint64_t)(uintptr_t)own;
    rank_meet(rank);
    int peer = (rank->number + 1) % rank->size;
    for (size_t row = 0; row < LENGTH(sizes); row++) {
        memset(into, 0, 4 * MIB);
        rank_check(shm->fetch(fabric, peer, addresses[peer], into, sizes[row]) == WW_OK, "%s",
                   log_last_error());
        rank_check(pattern_holds(into, sizes[row], (uint64_t)peer), "%zu bytes changed",
                   sizes[row]);
        rank_check(into[sizes[row]] == 0, "%zu bytes were more", sizes[row]);
    }
    rank_check(shm->fetch(fabric, peer, addresses[peer], into, 0) == WW_OK, "nothing");
    rank_meet(rank);
    free(own);
    free(into);
    shm->close(fabric, false);
}

Test(shm_memory, memory_that_is_not_shared_can_be_fetched)
{
    ranks_run(3, fetch, NULL);
}

static void fetch_forbidden(struct rank *rank)
{
    shm_pretend.fetch_is_forbidden = rank->number == *(const int *)rank->argument;
    void *fabric = rank_open(rank, 0);
    rank_check(!shm->fetches(fabric), "one rank cannot");
    shm->close(fabric, false);
}

Test(shm_memory, unless_all_can_fetch_nobody_does)
{
    for (int forbidden = 0; forbidden < 3; forbidden++) {
        ranks_run(3, fetch_forbidden, &forbidden);
    }
}

static void fetch_a_hole(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    uint64_t *addresses = (uint64_t *)(void *)rank->board->notes;
    int peer = !rank->number;
    size_t page_bytes = memory_page_bytes();
    char words[128], *into = malloc(3 * page_bytes);
    char *pages = mmap(NULL, 3 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    munmap(pages + page_bytes, page_bytes);
    addresses[rank->number] = (uint64_t)(uintptr_t)pages;
    rank_meet(rank);
    rank_check(shm->fetch(fabric, peer, addresses[peer], into, 4096) == WW_OK, "the first page");
    rank_check(shm->fetch(fabric, peer, addresses[peer], into, 3 * page_bytes) ==
                   WW_TRANSPORT_FAILED,
               "there is a hole");
    snprintf(words, sizeof words, "of rank %d (pid %d): Bad address", peer, rank->board->pid[peer]);
    rank_check(strstr(log_last_error(), words) != NULL, "%s", log_last_error());
    /* As if the peer had ended and its number were another's. */
    ((struct fabric *)fabric)->peers[peer].card.nonce[1] ^= 1;
    rank_check(shm->fetch(fabric, peer, addresses[peer], into, 4096) == WW_PEER_FAILED,
               "that is another process");
    snprintf(words, sizeof words, "rank %d (pid %d on ", peer, rank->board->pid[peer]);
    rank_check(strstr(log_last_error(), ") is gone") != NULL, "%s", log_last_error());
    rank_check(strstr(log_last_error(), words) != NULL, "%s", log_last_error());
    rank_meet(rank);
    shm->close(fabric, false);
    free(into);
}

Test(shm_memory, a_fetch_of_what_is_not_there_names_the_peer)
{
    ranks_run(2, fetch_a_hole, NULL);
}

/* ---- Fork ----------------------------------------------------------------------------------- */

/* What a child may do with what it inherits: read it, and let go of it without harm. */
static int child_of_rank(struct rank *rank, void *fabric, void *memory)
{
    struct rank alone = {.number = 0, .size = 1, .board = rank->board};
    void *other = NULL;
    bool good = pattern_holds(memory, 3 * MIB, 4);
    good = good && shm->allocate(100, &other) == WW_UNSUPPORTED;
    shm->deallocate(memory, 3 * MIB);
    shm->close(fabric, false);
    good = good && pattern_holds(memory, 3 * MIB, 4);
    alone.world = (struct ww_world){.struct_bytes = sizeof alone.world, .size = 1};
    void *own = rank_open(&alone, 4096);
    good = good && is_zero(shm->area(own, 0), 4096) && shm->allocate(5000, &other) == WW_OK;
    memset(other, 1, 5000);
    shm->deallocate(other, 5000);
    shm->close(own, false);
    return good ? 0 : 1;
}

static void forks(struct rank *rank)
{
    void *fabric = rank_open(rank, 4096);
    void *memory = allocate(rank, 3 * MIB);
    pattern_fill(memory, 3 * MIB, 4);
    pattern_fill(shm->area(fabric, rank->number), 4096, 5);
    int state = 0;
    pid_t child = fork();
    if (child == 0) {
        _exit(child_of_rank(rank, fabric, memory));
    }
    waitpid(child, &state, 0);
    rank_check(WIFEXITED(state) && WEXITSTATUS(state) == 0, "the child: %d", state);
    rank_meet(rank);
    int peer = !rank->number;
    unsigned char token = 1;
    struct ww_flight flights[2] = {
        rank_post(rank, fabric, 1, (struct ww_message){WW_SEND, peer, &token, 1}),
        rank_post(rank, fabric, 1, (struct ww_message){WW_RECEIVE, peer, &token, 1})};
    rank_check(rank_wait(fabric, &flights[0]) == WW_OK && rank_wait(fabric, &flights[1]) == WW_OK,
               "messages after fork");
    rank_check(pattern_holds(memory, 3 * MIB, 4), "the child hurt its parent's memory");
    rank_check(pattern_holds(shm->area(fabric, peer), 4096, 5), "the child hurt an area");
    rank_meet(rank);
    shm->deallocate(memory, 3 * MIB);
    shm->close(fabric, false);
    rank_check(arenas_mapped() == 0, "%d arenas are mapped at the end", arenas_mapped());
}

Test(shm_memory, a_child_reads_what_it_inherits_and_hurts_nobody)
{
    ranks_run(2, forks, NULL);
}

static void *allocate_for_ever(void *argument)
{
    atomic_bool *end = argument;
    void *memory = NULL;
    while (!atomic_load(end)) {
        if (shm->allocate(100, &memory) == WW_OK) {
            shm->deallocate(memory, 100);
        }
    }
    return NULL;
}

/* A child that inherited a lock would wait for ever: the alarm ends it. */
static void fork_amid_allocations(struct rank *rank)
{
    void *fabric = rank_open(rank, 4096);
    pthread_t thread;
    atomic_bool end = false;
    pthread_create(&thread, NULL, allocate_for_ever, &end);
    for (int turn = 0; turn < 300; turn++) {
        pid_t child = fork();
        if (child == 0) {
            void *memory = NULL;
            alarm(20);
            _exit(shm->allocate(100, &memory) == WW_UNSUPPORTED ? 0 : 1);
        }
        int state = 0;
        waitpid(child, &state, 0);
        rank_check(WIFEXITED(state) && WEXITSTATUS(state) == 0, "child %d: %d", turn, state);
    }
    atomic_store(&end, true);
    pthread_join(thread, NULL);
    shm->close(fabric, false);
}

Test(shm_memory, a_fork_amid_allocations_leaves_no_lock_behind)
{
    ranks_run(1, fork_amid_allocations, NULL);
}
