/* SPDX-License-Identifier: BSD-3-Clause
 * route.c: the fabric that joins shared memory and MPI keeps the contract of a fabric, however the
 * ranks are spread: mpi_route LAYOUT, see layouts[]. */
#include "check.h"

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/mpi.h>

#include "transport/route.h"
#include "transport/shm.h"

#define PIECE_BYTES 61440 /* what MPI cuts at between hosts */
#define AREA_BYTES 12288

static const size_t sizes[] = {0, 1, 8, 256, 4096, 8193, 61440, 61441, (3 << 20) + 7};

/* ---- Who is where --------------------------------------------------------------------------- */

static int host_in_one(int rank, int size)
{
    (void)rank, (void)size;
    return 0;
}

static int host_in_halves(int rank, int size)
{
    return rank >= (size + 1) / 2;
}

static int host_in_turn(int rank, int size)
{
    (void)size;
    return rank % 2;
}

static int host_of_its_own(int rank, int size)
{
    (void)size;
    return rank;
}

static const struct layout {
    const char *name;
    int (*host)(int rank, int size);
    bool memory_is_refused; /* on the last rank */
} layouts[] = {
    {"together", host_in_one, false},        {"halves", host_in_halves, false},
    {"in_turn", host_in_turn, false},        {"alone", host_of_its_own, false},
    {"refused_together", host_in_one, true}, {"refused_in_turn", host_in_turn, true},
};
static const struct layout *layout;

static int rank_of_world, size_of_world;

static uint8_t level_between(int one, int other)
{
    return layout->host(one, size_of_world) != layout->host(other, size_of_world);
}

/* Some two ranks share a host, or do not. */
static bool any_pair(uint8_t level)
{
    for (int one = 0; one < size_of_world; one++) {
        for (int other = 0; other < one; other++) {
            if (level_between(one, other) == level) {
                return true;
            }
        }
    }
    return false;
}

/* Messages inside hosts go through memory. */
static bool memory_is_open(void)
{
    return any_pair(0) && !layout->memory_is_refused;
}

static const char *joined(void)
{
    if (memory_is_open()) {
        return any_pair(1) ? "shm + mpi" : "shm";
    }
    return size_of_world > 1 ? "mpi" : "nothing";
}

static struct ww_transport_setup setup_of(struct end *end)
{
    *end = (struct end){.world = WW_WORLD_INIT, .transport = &ww_route_transport};
    check(ww_mpi_world(MPI_COMM_WORLD, &end->world) == WW_OK, "a world");
    for (int peer = 0; peer < size_of_world; peer++) {
        end->peer_level[peer] = level_between(rank_of_world, peer);
    }
    return (struct ww_transport_setup){.struct_bytes = sizeof(struct ww_transport_setup),
                                       .world = &end->world,
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = end->peer_level,
                                       .area_bytes = AREA_BYTES};
}

static void opened(struct end *end)
{
    struct ww_transport_setup setup = setup_of(end);
    end->status = ww_route_transport.open(&setup, &end->fabric);
    check(end->status == WW_OK, "open returned %s", ww_status_name(end->status));
    if (end->status == WW_OK) {
        check(strcmp(route_describe(end->fabric), joined()) == 0, "%s instead of %s",
              route_describe(end->fabric), joined());
    }
}

static void part(struct end *end, bool failed)
{
    MPI_Barrier(MPI_COMM_WORLD);
    end_close(end, failed);
    check_silence();
}

/* ---- What travels --------------------------------------------------------------------------- */

static void fill(unsigned char *memory, size_t bytes, int sender, int receiver, size_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        memory[index] = (unsigned char)((size_t)sender * 37 + (size_t)receiver * 11 + seed * 131 +
                                        index * 7 + (index >> 8));
    }
}

static bool holds(const unsigned char *memory, size_t bytes, int sender, int receiver, size_t seed)
{
    unsigned char *wanted = malloc(bytes + 1);
    fill(wanted, bytes, sender, receiver, seed);
    bool same = memcmp(memory, wanted, bytes) == 0;
    free(wanted);
    return same;
}

/* One round with every other rank: a message to and one from each. */
struct round {
    struct ww_message messages[2 * PEERS_MAX];
    int count;
    unsigned char *memory;
    struct ww_flight flight;
};

static void round_post(struct end *end, struct round *round, int tag, bool control, size_t bytes)
{
    *round = (struct round){.memory = calloc(2 * (size_t)size_of_world, bytes + 1)};
    for (int peer = 0; peer < size_of_world; peer++) {
        unsigned char *from = round->memory + (size_t)peer * 2 * (bytes + 1);
        unsigned char *into = from + bytes + 1;
        if (peer != rank_of_world) {
            fill(from, bytes, rank_of_world, peer, bytes);
            into[bytes] = 42;
            round->messages[round->count++] = (struct ww_message){WW_SEND, peer, from, bytes};
            round->messages[round->count++] = (struct ww_message){WW_RECEIVE, peer, into, bytes};
        }
    }
    check(end->transport->post(end->fabric, tag, control, round->messages, round->count,
                               &round->flight) == WW_OK,
          "post of %zu bytes", bytes);
}

static void round_finish(struct end *end, struct round *round)
{
    check(end_wait(end, &round->flight) == WW_OK, "a round did not end");
    for (int index = 1; index < round->count; index += 2) {
        const struct ww_message *message = &round->messages[index];
        const unsigned char *memory = message->memory;
        check(holds(memory, message->bytes, message->peer, rank_of_world, message->bytes),
              "%zu bytes from rank %d changed", message->bytes, message->peer);
        check(memory[message->bytes] == 42, "%zu bytes were written past their end",
              message->bytes);
    }
    free(round->memory);
}

static uint64_t peers_on(uint8_t level)
{
    uint64_t peers = 0;
    for (int peer = 0; peer < size_of_world; peer++) {
        peers += peer != rank_of_world && level_between(rank_of_world, peer) == level;
    }
    return peers;
}

static void check_traffic(struct end *end, uint8_t level, uint64_t bytes, uint64_t messages,
                          uint64_t control)
{
    struct ww_traffic traffic[2];
    end->transport->counters(end->fabric, traffic);
    check(traffic[level].data_bytes == bytes && traffic[level].data_messages == messages &&
              traffic[level].control_bytes == control,
          "level %d counts %llu bytes in %llu messages and %llu of control, not %llu in %llu and "
          "%llu",
          level, (unsigned long long)traffic[level].data_bytes,
          (unsigned long long)traffic[level].data_messages,
          (unsigned long long)traffic[level].control_bytes, (unsigned long long)bytes,
          (unsigned long long)messages, (unsigned long long)control);
}

static void every_size_arrives_whole_and_is_counted(void)
{
    struct end end;
    opened(&end);
    uint64_t bytes = 0, pieces = 0;
    for (size_t index = 0; index < LENGTH(sizes); index++) {
        struct round round;
        round_post(&end, &round, (int)index % 2 * (WW_TRANSPORT_TAGS - 1), false, sizes[index]);
        check(round.flight.wait == (peers_on(1) > 0 ? WW_WAIT_NETWORK : WW_WAIT_MEMORY),
              "%zu bytes wait for %d", sizes[index], round.flight.wait);
        round_finish(&end, &round);
        bytes += sizes[index];
        pieces += sizes[index] == 0 ? 1 : (sizes[index] - 1) / PIECE_BYTES + 1;
    }
    struct round round;
    round_post(&end, &round, 3, true, 256);
    round_finish(&end, &round);
    check_traffic(&end, 0, peers_on(0) * bytes, peers_on(0) * LENGTH(sizes), peers_on(0) * 256);
    check_traffic(&end, 1, peers_on(1) * bytes, peers_on(1) * pieces, peers_on(1) * 256);
    part(&end, false);
}

/* A mixed round is not done before its last message, whichever way that comes. */
static void a_round_is_done_with_its_last_message(void)
{
    for (int late = 0; late < size_of_world; late++) {
        struct end end;
        struct round round;
        opened(&end);
        if (rank_of_world != late) {
            round_post(&end, &round, 9, false, 100000);
            for (int look = 0; look < 200; look++) {
                check(end.transport->poll(end.fabric, &round.flight) == WW_PENDING, "too early");
            }
            check(end.transport->waits_for(end.fabric, &round.flight) >= 0, "waits for nobody");
        }
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank_of_world == late) {
            round_post(&end, &round, 9, false, 100000);
        }
        round_finish(&end, &round);
        part(&end, false);
    }
}

/* Every rank sends twelve values to every other on three tags, and asks for the tags in another
 * order. */
static void messages_of_one_tag_keep_their_order_and_tags_do_not_mix(void)
{
    enum { TAGS = 3, EACH = 4, COUNT = TAGS * EACH };
    static int sent[PEERS_MAX][COUNT], got[PEERS_MAX][COUNT];
    static struct ww_flight flights[2][PEERS_MAX][COUNT];
    struct end end;
    opened(&end);
    for (int index = 0; index < COUNT; index++) {
        for (int peer = 0; peer < size_of_world; peer++) {
            sent[peer][index] = rank_of_world * 1000 + peer * 100 + index;
            got[peer][index] = -1;
            struct ww_message send = {WW_SEND, peer, &sent[peer][index], sizeof(int)};
            struct ww_message receive = {WW_RECEIVE, peer, &got[peer][index], sizeof(int)};
            if (peer != rank_of_world) {
                end_post(&end, index % TAGS, &send, 1, &flights[0][peer][index]);
                end_post(&end, TAGS - 1 - index / EACH, &receive, 1, &flights[1][peer][index]);
            }
        }
    }
    for (int index = 0; index < COUNT; index++) {
        for (int peer = 0; peer < size_of_world; peer++) {
            int number = index % EACH * TAGS + TAGS - 1 - index / EACH;
            if (peer != rank_of_world) {
                check(end_wait(&end, &flights[0][peer][index]) == WW_OK, "send %d", index);
                check(end_wait(&end, &flights[1][peer][index]) == WW_OK, "receive %d", index);
                check(got[peer][index] == peer * 1000 + rank_of_world * 100 + number,
                      "receive %d from rank %d got %d", index, peer, got[peer][index]);
            }
        }
    }
    part(&end, false);
}

/* Rounds of random sizes on random tags, sixteen under way, finished in another order. */
static void a_storm_arrives_unharmed(void)
{
    enum { ROUNDS = 200, WINDOW = 16 };
    static struct round rounds[WINDOW];
    struct end end;
    opened(&end);
    uint32_t state = 12345; /* the same on all ranks: both ends must agree on sizes and tags */
    for (int turn = 0; turn < ROUNDS; turn += WINDOW) {
        for (int index = 0; index < WINDOW; index++) {
            state = state * 1664525u + 1013904223u;
            size_t bytes = (state >> 8) % sizes[1 + (state >> 28) % (LENGTH(sizes) - 2)];
            round_post(&end, &rounds[index], (int)(state >> 20) % 5, false, bytes);
        }
        for (int index = 0; index < WINDOW; index++) {
            round_finish(&end, &rounds[(index * 5 + turn) % WINDOW]);
        }
    }
    part(&end, false);
}

static void fabrics_of_one_world_do_not_hear_each_other(void)
{
    struct end ends[2];
    struct round rounds[2];
    opened(&ends[0]);
    opened(&ends[1]);
    round_post(&ends[rank_of_world % 2], &rounds[0], 0, false, 1000 + (size_t)rank_of_world % 2);
    round_post(&ends[!(rank_of_world % 2)], &rounds[1], 0, false,
               1000 + (size_t) !(rank_of_world % 2));
    round_finish(&ends[rank_of_world % 2], &rounds[0]);
    round_finish(&ends[!(rank_of_world % 2)], &rounds[1]);
    part(&ends[0], false);
    part(&ends[1], false);
}

/* The receive is late; by then the sender has used its memory for something else. */
static void control_is_copied_and_may_change_at_once(void)
{
    struct end end;
    opened(&end);
    int next = (rank_of_world + 1) % size_of_world;
    int before = (rank_of_world + size_of_world - 1) % size_of_world;
    int sent = 700 + rank_of_world, got = 0;
    struct ww_message send = {WW_SEND, next, &sent, sizeof sent};
    struct ww_message receive = {WW_RECEIVE, before, &got, sizeof got};
    struct ww_flight flights[2];
    if (size_of_world > 1) {
        end.transport->post(end.fabric, 0, true, &send, 1, &flights[0]);
        sent = -1;
        MPI_Barrier(MPI_COMM_WORLD);
        end.transport->post(end.fabric, 0, true, &receive, 1, &flights[1]);
        check(end_wait(&end, &flights[0]) == WW_OK, "send of control");
        check(end_wait(&end, &flights[1]) == WW_OK, "receive of control");
        check(got == 700 + before, "control brought %d", got);
    }
    part(&end, false);
}

/* The first rank that has one on this level sends to it the wrong size. */
static void a_size_disagreement_fails_where_it_arrives(uint8_t level, size_t sent, size_t expected)
{
    struct end end;
    struct ww_flight flight;
    void *memory = NULL; /* the fabric's: MPI may be left with a part of the message */
    int receiver = 1;
    while (receiver < size_of_world && level_between(0, receiver) != level) {
        receiver++;
    }
    opened(&end);
    size_t bytes = sent > expected ? sent : expected;
    check(end.transport->reserve(end.fabric, bytes, &memory) == WW_OK, "reserve");
    if (receiver < size_of_world && rank_of_world == 0) {
        struct ww_message send = {WW_SEND, receiver, memory, sent};
        if (end_post(&end, 3, &send, 1, &flight) != WW_OK) {
            check_line("both ends must state the same size"); /* memory tells the sender, too */
        }
    } else if (rank_of_world == receiver) {
        struct ww_message receive = {WW_RECEIVE, 0, memory, expected};
        enum ww_status status = end_post(&end, 3, &receive, 1, &flight);
        status = status == WW_OK ? end_wait(&end, &flight) : status;
        check(status == WW_TRANSPORT_FAILED, "%zu bytes passed for %zu", sent, expected);
        check_line("bytes");
    }
    part(&end, true);
}

/* ---- The end -------------------------------------------------------------------------------- */

/* Receives that nobody answers, as an idle context has them: the memory is free afterwards. */
static void close_takes_back_receives_that_nobody_answers(bool failed)
{
    struct end end;
    struct ww_flight flight;
    unsigned char *memory = malloc(PEERS_MAX * 4096);
    opened(&end);
    for (int peer = 0; peer < size_of_world; peer++) {
        struct ww_message receive = {WW_RECEIVE, peer, memory + peer * 4096, 4096};
        if (peer != rank_of_world) {
            check(end_post(&end, peer, &receive, 1, &flight) == WW_OK, "receive");
            check(end.transport->poll(end.fabric, &flight) == WW_PENDING, "done by nobody");
            check(end.transport->waits_for(end.fabric, &flight) == peer, "waits for");
        }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    double begin_s = MPI_Wtime();
    end_close(&end, failed);
    check(MPI_Wtime() - begin_s < 0.5, "an idle close took %g s", MPI_Wtime() - begin_s);
    free(memory);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Sends that nobody receives: close gives up on them in time, keeps memory that the fabric
 * reserved, and only of other memory it asks the program to keep it. */
static void close_does_not_wait_for_ever_for_a_send(bool failed, bool reserved)
{
    enum { BYTES = 1 << 20 };
    struct end end;
    struct ww_flight flight;
    void *memory = NULL, *plain = malloc(BYTES);
    opened(&end);
    check(end.transport->reserve(end.fabric, BYTES, &memory) == WW_OK, "reserve");
    memset(reserved ? memory : plain, 1, BYTES);
    for (int peer = 0; peer < size_of_world; peer++) {
        struct ww_message send = {WW_SEND, peer, reserved ? memory : plain, BYTES};
        if (peer != rank_of_world) {
            check(end_post(&end, 0, &send, 1, &flight) == WW_OK, "send");
        }
    }
    double begin_s = MPI_Wtime();
    end_close(&end, failed);
    check(MPI_Wtime() - begin_s < 2, "close took %g s", MPI_Wtime() - begin_s);
    if (reserved) {
        check_silence();
    }
    bool by_mpi = peers_on(1) > 0 || (size_of_world > 1 && !memory_is_open());
    if (by_mpi && !reserved) {
        check_line("MPI cannot take back");
    } else if (by_mpi) {
        check(*(volatile unsigned char *)memory == 1, "memory went while MPI may read it");
    }
    MPI_Barrier(MPI_COMM_WORLD);
    free(plain);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static void reserved_memory_is_aligned_and_given_back(void)
{
    static const size_t rows[] = {1, 4096, 100000, (size_t)5 << 20};
    void *memory[LENGTH(rows)];
    struct end end;
    opened(&end);
    for (size_t row = 0; row < LENGTH(rows); row++) {
        check(end.transport->reserve(end.fabric, rows[row], &memory[row]) == WW_OK, "reserve");
        check((uintptr_t)memory[row] % 4096 == 0, "%zu bytes are not aligned", rows[row]);
        memset(memory[row], 1, rows[row]);
    }
    end.transport->release(end.fabric, memory[2], rows[2]);
    end.transport->release(end.fabric, memory[0], rows[0]);
    void *none = &end;
    check(end.transport->reserve(end.fabric, SIZE_MAX, &none) == WW_NO_MEMORY, "all memory");
    check(none == &end, "written although it failed");
    check_line("no memory");
    part(&end, false); /* gives back the rest */
}

/* Reserved memory carries messages both ways, and neighbours see it. */
static void neighbours_see_what_a_rank_reserves(void)
{
    struct end end;
    void *memory = NULL;
    uint64_t key = 0, keys[PEERS_MAX];
    opened(&end);
    check(end.transport->reserve(end.fabric, 8192, &memory) == WW_OK, "reserve");
    fill(memory, 8192, rank_of_world, 0, 5);
    check(end.transport->share(end.fabric, memory, 8192, &key) == memory_is_open(), "share");
    check(!end.transport->share(end.fabric, &end, 8, &key) || !memory_is_open(), "the stack");
    if (memory_is_open()) {
        end.transport->share(end.fabric, memory, 8192, &key);
    }
    MPI_Allgather(&key, sizeof key, MPI_BYTE, keys, sizeof key, MPI_BYTE, MPI_COMM_WORLD);
    for (int peer = 0; peer < size_of_world; peer++) {
        unsigned char *area = end.transport->area(end.fabric, peer);
        bool seen = memory_is_open() && level_between(rank_of_world, peer) == 0;
        check((area != NULL) == seen, "the area of rank %d", peer);
        if (!seen) {
            continue;
        }
        check(area[0] == 0 && area[AREA_BYTES - 1] == 0 && (uintptr_t)area % 4096 == 0, "area");
        check(holds(end.transport->view(end.fabric, peer, keys[peer]), 8192, peer, 0, 5),
              "rank %d shows something else", peer);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (memory_is_open()) {
        ((unsigned char *)end.transport->area(end.fabric, rank_of_world))[17] = 99;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int peer = 0; peer < size_of_world; peer++) {
        const unsigned char *area = end.transport->area(end.fabric, peer);
        check(area == NULL || area[17] == 99, "what rank %d wrote is not seen", peer);
    }
    part(&end, false);
}

static void neighbours_fetch_where_they_may(void)
{
    struct end end;
    unsigned char own[100], got[100];
    uint64_t from = (uint64_t)(uintptr_t)own, froms[PEERS_MAX];
    opened(&end);
    fill(own, sizeof own, rank_of_world, 1, 6);
    MPI_Allgather(&from, sizeof from, MPI_BYTE, froms, sizeof from, MPI_BYTE, MPI_COMM_WORLD);
    bool fetches = end.transport->fetches(end.fabric);
    check(!fetches || memory_is_open(), "it fetches without memory");
    for (int peer = 0; fetches && peer < size_of_world; peer++) {
        if (peer != rank_of_world && level_between(rank_of_world, peer) == 0) {
            check(end.transport->fetch(end.fabric, peer, froms[peer], got, sizeof got) == WW_OK &&
                      holds(got, sizeof got, peer, 1, 6),
                  "fetched something else from rank %d", peer);
        }
    }
    part(&end, false);
}

static void memory_for_the_program_is_seen_or_refused(void)
{
    struct end end;
    void *memory = NULL;
    uint64_t key;
    opened(&end);
    enum ww_status status = end.transport->allocate(10000, &memory);
    check(status == (memory_is_open() ? WW_OK : WW_UNSUPPORTED), "allocate gave %s",
          ww_status_name(status));
    if (status == WW_OK) {
        check(end.transport->share(end.fabric, memory, 10000, &key), "it is not seen");
        end.transport->deallocate(memory, 10000);
    }
    part(&end, false);
}

/* ---- Without MPI as a fabric ----------------------------------------------------------------- */

static void without_a_network_one_host_works_and_two_are_refused(void)
{
    struct end end;
    struct ww_transport_setup setup = setup_of(&end);
    end.world.transport = NULL;
    enum ww_status status = ww_route_transport.open(&setup, &end.fabric);
    bool works = !any_pair(1) && !layout->memory_is_refused;
    check(status == (works ? WW_OK : WW_UNSUPPORTED), "open returned %s", ww_status_name(status));
    if (status == WW_OK) {
        struct round round;
        round_post(&end, &round, 1, false, 5000);
        round_finish(&end, &round);
        part(&end, false);
    } else {
        check_line(any_pair(1) ? "are on different hosts" : "shared memory is refused");
        check(end.fabric == NULL, "written although it failed");
    }
}

/* MPI was initialised for one thread. */
static void a_thread_is_possible_where_mpi_carries_nothing(void)
{
    struct end end;
    struct ww_transport_setup setup = setup_of(&end);
    setup.own_thread = true;
    const char *trouble = ww_route_transport.thread_trouble(&setup);
    check((trouble != NULL) == any_pair(1), "%s", trouble == NULL ? "no trouble" : trouble);
    enum ww_status status = ww_route_transport.open(&setup, &end.fabric);
    bool works = memory_is_open() ? !any_pair(1) : size_of_world == 1;
    bool refused = any_pair(0) && layout->memory_is_refused;
    check(status == (works ? WW_OK : WW_UNSUPPORTED), "open returned %s", ww_status_name(status));
    if (status == WW_OK) {
        part(&end, false);
    } else {
        check_line(refused ? "mpi cannot take its place beside the progress thread of rank 0 "
                             "(progress=inline needs none): a progress thread needs MPI_THREAD_"
                           : "a progress thread of rank 0 cannot use mpi: a progress thread needs "
                             "MPI_THREAD_");
    }
}

static void a_refusal_is_said_once_by_rank_0(void)
{
    struct end end;
    opened(&end);
    if (any_pair(0) && layout->memory_is_refused && rank_of_world == 0) {
        check_line("messages inside hosts go through mpi, which is slower");
    }
    part(&end, false); /* in silence, as all that follow */
    opened(&end);
    part(&end, false);
}

static void run_all(void)
{
    a_refusal_is_said_once_by_rank_0();
    every_size_arrives_whole_and_is_counted();
    a_round_is_done_with_its_last_message();
    messages_of_one_tag_keep_their_order_and_tags_do_not_mix();
    a_storm_arrives_unharmed();
    fabrics_of_one_world_do_not_hear_each_other();
    control_is_copied_and_may_change_at_once();
    reserved_memory_is_aligned_and_given_back();
    neighbours_see_what_a_rank_reserves();
    neighbours_fetch_where_they_may();
    memory_for_the_program_is_seen_or_refused();
    without_a_network_one_host_works_and_two_are_refused();
    a_thread_is_possible_where_mpi_carries_nothing();
    for (uint8_t level = 0; level < 2; level++) {
        a_size_disagreement_fails_where_it_arrives(level, 100, 50);
        a_size_disagreement_fails_where_it_arrives(level, 50, 100);
        a_size_disagreement_fails_where_it_arrives(level, 200000, 100000);
        close_takes_back_receives_that_nobody_answers(level);
        close_does_not_wait_for_ever_for_a_send(level, true);
        close_does_not_wait_for_ever_for_a_send(level, false);
    }
}

int main(int argc, char **argv)
{
    int level;
    checks_begin();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SINGLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_of_world);
    MPI_Comm_size(MPI_COMM_WORLD, &size_of_world);
    for (size_t index = 0; argc == 2 && index < LENGTH(layouts); index++) {
        layout = strcmp(layouts[index].name, argv[1]) == 0 ? &layouts[index] : layout;
    }
    if (layout == NULL) {
        fprintf(stderr, "usage: mpi_route LAYOUT\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    shm_pretend.arena_is_refused = layout->memory_is_refused && rank_of_world == size_of_world - 1;
    run_all();
    MPI_Finalize();
    return checks_end();
}
