/* SPDX-License-Identifier: BSD-3-Clause
 * transport.c: a fabric carries messages whole, in order, and counts them exactly. */
#include "check.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocations.h"

static const size_t sizes[] = {0, 1, 8, 61440, 61441, 2 * 61440, (3 << 20) + 7};

static unsigned char pattern(int sender, size_t seed, size_t index)
{
    return (unsigned char)((size_t)sender * 37 + seed * 131 + index * 7 + (index >> 8));
}

static void fill(unsigned char *memory, size_t bytes, int sender, size_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        memory[index] = pattern(sender, seed, index);
    }
}

static bool holds(const unsigned char *memory, size_t bytes, int sender, size_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        if (memory[index] != pattern(sender, seed, index)) {
            return false;
        }
    }
    return true;
}

static void opened(struct end *end, uint8_t level)
{
    end_open(end, level, false, false);
    if (end->status != WW_OK) {
        fprintf(stderr, "failed: open: %s\n", ww_last_error(NULL));
        exit(1);
    }
}

/* Every rank sends to the next and receives from the one before. */
static void ring(struct end *end, size_t bytes, int tag)
{
    int rank = end->world.rank, size = end->world.size;
    int next = (rank + 1) % size, before = (rank + size - 1) % size;
    unsigned char *from = malloc(bytes + 1), *into = malloc(bytes + 1);
    fill(from, bytes, rank, bytes);
    memset(into, 42, bytes + 1);
    struct ww_message round[2] = {{WW_SEND, next, from, bytes}, {WW_RECEIVE, before, into, bytes}};
    struct ww_flight flight;
    check(end_post(end, tag, round, 2, &flight) == WW_OK, "post of %zu bytes", bytes);
    check(flight.wait == (end->peer_level[0] > 0 ? WW_WAIT_NETWORK : WW_WAIT_MEMORY),
          "%zu bytes wait for %d", bytes, flight.wait);
    check(end_wait(end, &flight) == WW_OK, "%zu bytes did not arrive", bytes);
    check(holds(into, bytes, before, bytes), "%zu bytes from rank %d changed", bytes, before);
    check(into[bytes] == 42, "%zu bytes were written past their end", bytes);
    free(from);
    free(into);
}

static void every_size_arrives_whole_and_is_counted(uint8_t level)
{
    struct end end;
    opened(&end, level);
    uint64_t bytes = 0, messages = 0;
    for (size_t index = 0; end.world.size > 1 && index < LENGTH(sizes); index++) {
        ring(&end, sizes[index], (int)index % 2 * (WW_TRANSPORT_TAGS - 1));
        bytes += sizes[index];
        size_t piece = level == 0 ? SIZE_MAX : fabric_facts.piece_bytes;
        messages += sizes[index] == 0 ? 1 : (sizes[index] - 1) / piece + 1;
    }
    struct ww_traffic traffic[2];
    end.transport->counters(end.fabric, traffic);
    check(traffic[level].data_bytes == bytes, "%llu bytes counted instead of %llu",
          (unsigned long long)traffic[level].data_bytes, (unsigned long long)bytes);
    check(traffic[level].data_messages == messages, "%llu messages counted instead of %llu",
          (unsigned long long)traffic[level].data_messages, (unsigned long long)messages);
    check(traffic[level].control_bytes == 0, "control bytes were counted");
    check(traffic[!level].data_messages == 0, "messages were counted on the other level");
    end_close(&end, false);
}

/* One round with everybody; odd peers are a network away. Control is counted apart. */
static void a_round_with_all_peers_is_done_with_its_last_message(bool control, size_t bytes)
{
    struct end end;
    opened(&end, 0);
    int rank = end.world.rank, size = end.world.size, count = 0;
    unsigned char *memory = malloc(2 * PEERS_MAX * bytes);
    struct ww_message round[2 * PEERS_MAX];
    for (int peer = 0; peer < size; peer++) {
        unsigned char *place = memory + (size_t)peer * 2 * bytes;
        end.peer_level[peer] = (uint8_t)((rank ^ peer) & 1);
        if (peer != rank) {
            fill(place, bytes, rank, (size_t)peer);
            round[count++] = (struct ww_message){WW_SEND, peer, place, bytes};
            round[count++] = (struct ww_message){WW_RECEIVE, peer, place + bytes, bytes};
        }
    }
    struct ww_flight flight;
    check(end.transport->post(end.fabric, 9, control, round, count, &flight) == WW_OK, "post");
    check(flight.wait == (size > 1 ? WW_WAIT_NETWORK : WW_WAIT_MEMORY), "the wrong wait");
    check(end_wait(&end, &flight) == WW_OK, "the round did not end");
    for (int index = 1; index < count; index += 2) {
        check(holds(round[index].memory, bytes, round[index].peer, (size_t)rank),
              "bytes from rank %d changed", round[index].peer);
    }
    struct ww_traffic traffic[2];
    end.transport->counters(end.fabric, traffic);
    uint64_t far = (uint64_t)(rank % 2 == 0 ? size / 2 : (size + 1) / 2);
    uint64_t sends[2] = {(uint64_t)size - 1 - far, far};
    for (int level = 0; level < 2; level++) {
        uint64_t counted = control ? traffic[level].control_bytes : traffic[level].data_bytes;
        uint64_t other = control ? traffic[level].data_bytes : traffic[level].control_bytes;
        check(counted == sends[level] * bytes && other == 0, "level %d counts %llu and %llu", level,
              (unsigned long long)counted, (unsigned long long)other);
    }
    free(memory);
    end_close(&end, false);
}

/* Rank 0 sends twelve values on three tags; rank 1 asks for the tags in another order. */
static void messages_of_one_tag_keep_their_order_and_tags_do_not_mix(void)
{
    enum { TAGS = 3, EACH = 4, COUNT = TAGS * EACH };
    struct end end;
    opened(&end, 1);
    int values[COUNT];
    struct ww_flight flights[COUNT];
    for (int index = 0; end.world.rank < 2 && end.world.size > 1 && index < COUNT; index++) {
        bool sends = end.world.rank == 0;
        /* sent as 0 1 2 0 1 2 ..., received as 2 2 2 2 1 1 1 1 0 0 0 0 */
        int tag = sends ? index % TAGS : TAGS - 1 - index / EACH;
        values[index] = sends ? index : -1;
        struct ww_message message = {sends ? WW_SEND : WW_RECEIVE, !end.world.rank, &values[index],
                                     sizeof(int)};
        end_post(&end, tag, &message, 1, &flights[index]);
    }
    for (int index = 0; end.world.rank < 2 && end.world.size > 1 && index < COUNT; index++) {
        check(end_wait(&end, &flights[index]) == WW_OK, "message %d", index);
        int expected = index % EACH * TAGS + TAGS - 1 - index / EACH;
        check(end.world.rank == 0 || values[index] == expected, "receive %d got %d instead of %d",
              index, values[index], expected);
    }
    end_close(&end, false);
}

static void fabrics_of_one_world_do_not_hear_each_other(void)
{
    struct end ends[2];
    opened(&ends[0], 0);
    opened(&ends[1], 0);
    int size = ends[0].world.size, rank = ends[0].world.rank;
    int next = (rank + 1) % size, before = (rank + size - 1) % size;
    int sent[2] = {1000 + rank, 2000 + rank}, got[2] = {0, 0};
    struct ww_flight flights[2][2];
    for (int index = 1; size > 1 && index >= 0; index--) {
        struct ww_message send = {WW_SEND, next, &sent[index], sizeof(int)};
        end_post(&ends[index], 0, &send, 1, &flights[index][0]);
    }
    for (int index = 0; size > 1 && index < 2; index++) {
        struct ww_message receive = {WW_RECEIVE, before, &got[index], sizeof(int)};
        end_post(&ends[index], 0, &receive, 1, &flights[index][1]);
    }
    for (int index = 0; size > 1 && index < 2; index++) {
        check(end_wait(&ends[index], &flights[index][0]) == WW_OK, "send on fabric %d", index);
        check(end_wait(&ends[index], &flights[index][1]) == WW_OK, "receive on fabric %d", index);
        check(got[index] == (index + 1) * 1000 + before, "fabric %d got %d", index, got[index]);
    }
    end_close(&ends[0], false);
    end_close(&ends[1], false);
}

/* Not every fabric sends by itself, and whether the sender hears of an error is its own affair. */
static void sends_for_a_while(struct end *end, struct ww_flight *flight)
{
    double begin_s = seconds_now();
    while (end->transport->poll(end->fabric, flight) == WW_PENDING &&
           seconds_now() - begin_s < 0.3) {
        sched_yield();
    }
    check_forget();
}

/* Rank 0 sends, rank 1 expects another size: rank 1 at least must see it. */
static void a_size_disagreement_fails_where_it_arrives(uint8_t level, size_t sent, size_t expected,
                                                       const char *words)
{
    struct end end;
    opened(&end, level);
    unsigned char *memory = calloc(1, (sent > expected ? sent : expected) + 1);
    struct ww_flight flight;
    if (end.world.size > 1 && end.world.rank == 0) {
        struct ww_message send = {WW_SEND, 1, memory, sent};
        check(end_post(&end, 3, &send, 1, &flight) == WW_OK, "send");
        sends_for_a_while(&end, &flight);
    } else if (end.world.rank == 1) {
        struct ww_message receive = {WW_RECEIVE, 0, memory, expected};
        check(end_post(&end, 3, &receive, 1, &flight) == WW_OK, "receive");
        check(end_wait(&end, &flight) == WW_TRANSPORT_FAILED, "%zu bytes passed for %zu", sent,
              expected);
        check_line(words);
    }
    ranks_meet();
    end_close(&end, true);
    free(memory);
}

/* Receives that nobody answers, as an idle context has them: the memory is free afterwards. */
static void close_takes_back_receives_that_nobody_answers(bool failed)
{
    struct end end;
    opened(&end, 0);
    int size = end.world.size, rank = end.world.rank;
    unsigned char *memory = malloc(4096);
    for (int tag = 0; size > 1 && tag < 8; tag++) {
        struct ww_message receive = {WW_RECEIVE, (rank + 1) % size, memory, 4096};
        struct ww_flight flight;
        check(end_post(&end, tag, &receive, 1, &flight) == WW_OK, "receive");
        check(end.transport->poll(end.fabric, &flight) == WW_PENDING, "done by nobody");
        check(end.transport->waits_for(end.fabric, &flight) == (rank + 1) % size, "waits for");
    }
    ranks_meet(); /* a peer that is gone may end a fabric */
    double begin_s = seconds_now();
    end_close(&end, failed);
    check(seconds_now() - begin_s < 0.1, "an idle close took %g s", seconds_now() - begin_s);
    free(memory);
    ranks_meet();
}

/* A large send that nobody receives cannot be cancelled: close gives up on it in time, keeps
 * memory that the fabric reserved, and says so of memory that it did not. */
static void close_does_not_wait_for_ever_for_a_send(bool failed, bool reserved)
{
    enum { BYTES = 1 << 20 };
    struct end end;
    opened(&end, 0);
    void *memory = NULL, *plain = malloc(BYTES);
    if (reserved) {
        check(end.transport->reserve(end.fabric, BYTES, &memory) == WW_OK, "reserve");
    }
    memset(reserved ? memory : plain, 1, BYTES);
    struct ww_message send = {WW_SEND, (end.world.rank + 1) % end.world.size,
                              reserved ? memory : plain, BYTES};
    struct ww_flight flight;
    if (end.world.size > 1) {
        check(end_post(&end, 0, &send, 1, &flight) == WW_OK, "send");
    }
    double begin_s = seconds_now();
    end_close(&end, failed);
    check(seconds_now() - begin_s < 2, "close took %g s", seconds_now() - begin_s);
    if (end.world.size > 1 && !reserved && fabric_facts.left_behind != NULL) {
        check_line(fabric_facts.left_behind);
    }
    if (end.world.size > 1 && reserved) {
        check(*(unsigned char *)memory == 1, "reserved memory went while MPI may read it");
    }
    ranks_meet();
    free(plain);
}

static void reserved_memory_is_aligned_and_given_back(void)
{
    struct end end;
    opened(&end, 0);
    static const size_t rows[] = {1, 4096, 100000, (size_t)5 << 20};
    void *memory[LENGTH(rows)];
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
    check_line("no memory to reserve");
    end_close(&end, false); /* gives back the rest */
}

/* The receive is late; by then the sender has used its memory for something else. */
static void control_is_copied_and_may_change_at_once(void)
{
    struct end end;
    opened(&end, 1);
    int size = end.world.size, rank = end.world.rank;
    int next = (rank + 1) % size, before = (rank + size - 1) % size;
    int sent = 700 + rank, got = 0;
    struct ww_message send = {WW_SEND, next, &sent, sizeof sent};
    struct ww_message receive = {WW_RECEIVE, before, &got, sizeof got};
    struct ww_flight flights[2];
    if (size > 1) {
        end.transport->post(end.fabric, 0, true, &send, 1, &flights[0]);
        sent = -1;
        ranks_meet();
        end.transport->post(end.fabric, 0, true, &receive, 1, &flights[1]);
        check(end_wait(&end, &flights[0]) == WW_OK, "send of control");
        check(end_wait(&end, &flights[1]) == WW_OK, "receive of control");
        check(got == 700 + before, "control brought %d", got);
    }
    end_close(&end, false);
}

/* Rank 1 says something long and computes; rank 0 has begun to take it in, where that needs rank 1,
 * and closes meanwhile. The rest comes when both call MPI again. */
static void what_comes_behind_close_is_written_nowhere(void)
{
    enum { BYTES = 16 << 10 };
    static unsigned char memory[BYTES];
    const struct timespec computes = {.tv_nsec = 300000000};
    struct end end;
    opened(&end, 1);
    int rank = end.world.rank;
    if (end.world.size == 1) {
        end_close(&end, false);
        return;
    }
    struct ww_message message = {rank == 0 ? WW_RECEIVE : WW_SEND, 1 - rank, memory, BYTES};
    struct ww_flight flight;
    memset(memory, rank, BYTES);
    if (rank == 1) {
        check(end.transport->post(end.fabric, 0, true, &message, 1, &flight) == WW_OK, "send");
    }
    ranks_meet();
    if (rank == 1) {
        nanosleep(&computes, NULL);
    }
    if (rank == 0) {
        check(end.transport->post(end.fabric, 0, true, &message, 1, &flight) == WW_OK, "receive");
        end.transport->poll(end.fabric, &flight);
        end_close(&end, true);
        memset(memory, 7, BYTES);
    }
    ranks_meet();
    ranks_meet();
    int odd = 0;
    for (int i = 0; i < BYTES; i++) {
        odd += memory[i] != 7;
    }
    check(rank != 0 || odd == 0, "%d bytes came behind close", odd);
    if (rank != 0) {
        end_close(&end, true);
    }
    ranks_meet();
}

static void all_gather_brings_everyone_everything(void)
{
    struct end end;
    opened(&end, 0);
    int mine[2] = {end.world.rank, -end.world.rank}, all[PEERS_MAX][2];
    check(end.world.all_gather(end.world.self, mine, all, sizeof mine) == 0, "all_gather");
    for (int rank = 0; rank < end.world.size; rank++) {
        check(all[rank][0] == rank && all[rank][1] == -rank, "all_gather of rank %d", rank);
    }
    end_close(&end, false);
}

/* Of one rank each of the first allocations that opening makes, until there are fewer. */
static void a_rank_without_memory_is_waited_for_by_nobody(void)
{
    enum ww_status status = WW_NO_MEMORY;
    for (int allocation = 1; allocation <= 5 && status != WW_OK; allocation++) {
        struct end end;
        struct ww_world world;
        ranks_world(&world);
        bool poor = world.rank == world.size - 1;
        allocations_left = poor ? allocation : 0;
        end_open(&end, 1, false, false);
        allocations_left = 0;
        status = end.status;
        check(status == WW_OK || status == (poor ? WW_NO_MEMORY : WW_PEER_FAILED),
              "allocation %d: %s", allocation, ww_status_name(status));
        if (status != WW_OK) {
            check_line(poor ? "no memory" : "could not open");
        }
        end_close(&end, false);
    }
}

int main(int argc, char **argv)
{
    checks_begin();
    ranks_begin(&argc, &argv);
    for (uint8_t level = 0; level < 2; level++) {
        every_size_arrives_whole_and_is_counted(level);
        a_size_disagreement_fails_where_it_arrives(level, 100, 50, "could not receive 50 bytes");
        a_size_disagreement_fails_where_it_arrives(level, 50, 100, "sent 50 bytes with tag 3");
        a_size_disagreement_fails_where_it_arrives(level, 200000, 100000, "could not receive");
        close_takes_back_receives_that_nobody_answers(level);
        close_does_not_wait_for_ever_for_a_send(level, false);
        if (fabric_facts.reserves) {
            close_does_not_wait_for_ever_for_a_send(level, true);
        }
    }
    a_size_disagreement_fails_where_it_arrives(
        1, 70000, 130000,
        fabric_facts.piece_bytes == 61440 ? "sent 8560 bytes" : "sent 70000 bytes");
    a_round_with_all_peers_is_done_with_its_last_message(false, 100000);
    a_round_with_all_peers_is_done_with_its_last_message(true, 256);
    control_is_copied_and_may_change_at_once();
    if (fabric_facts.reserves) { /* others close by force */
        what_comes_behind_close_is_written_nowhere();
    }
    if (fabric_facts.reserves) {
        reserved_memory_is_aligned_and_given_back();
    }
    messages_of_one_tag_keep_their_order_and_tags_do_not_mix();
    fabrics_of_one_world_do_not_hear_each_other();
    all_gather_brings_everyone_everything();
    a_rank_without_memory_is_waited_for_by_nobody();
    ranks_end();
    return checks_end();
}
