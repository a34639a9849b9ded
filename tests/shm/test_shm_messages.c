/* SPDX-License-Identifier: BSD-3-Clause
 * test_shm_messages.c: messages between processes of one host. */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chance.h"
#include "internal/fabrics.h"
#include "internal/log.h"
#include "ranks.h"
#include "transport/shm.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MIB ((size_t)1 << 20)

static const struct ww_transport *const shm = &ww_shm_transport;

static struct ww_message sending(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_SEND, peer, memory, bytes};
}

static struct ww_message receiving(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_RECEIVE, peer, memory, bytes};
}

/* ---- Sizes ---------------------------------------------------------------------------------- */

static const size_t sizes[] = {0,
                               1,
                               7,
                               SMALL_BYTES - 1,
                               SMALL_BYTES,
                               SMALL_BYTES + 1,
                               64,
                               255,
                               256,
                               257,
                               4096,
                               CELL_BYTES - 1,
                               CELL_BYTES,
                               CELL_BYTES + 1,
                               2 * CELL_BYTES,
                               EAGER_BYTES - 1,
                               EAGER_BYTES,
                               EAGER_BYTES + 1,
                               EAGER_BYTES + CELL_BYTES,
                               CELLS *CELL_BYTES,
                               CELLS *CELL_BYTES + 1,
                               3 * MIB + 7};

static void expect_send(struct rank *rank, void *fabric, size_t bytes, bool last)
{
    unsigned char *from = malloc(bytes + 1);
    pattern_fill(from, bytes, bytes);
    if (last) {
        rank_meet(rank); /* the receive is posted */
    }
    struct ww_flight flight = rank_post(rank, fabric, 5, sending(1, from, bytes));
    if (!last) {
        enum ww_status status = shm->poll(fabric, &flight);
        rank_check(status == (bytes <= EAGER_BYTES ? WW_OK : WW_PENDING),
                   "%zu bytes without a receive: %d", bytes, (int)status);
        rank_meet(rank);
    }
    if (flight.state != NULL) {
        rank_check(rank_wait(fabric, &flight) == WW_OK, "send of %zu bytes", bytes);
    }
    memset(from, 0xee, bytes); /* it is the sender's again */
    free(from);
    rank_meet(rank);
}

static void expect_receive(struct rank *rank, void *fabric, size_t bytes, bool last)
{
    unsigned char *into = calloc(1, bytes + 1);
    into[bytes] = 42;
    if (last) {
        rank_meet(rank); /* the send is posted */
    }
    struct ww_flight flight = rank_post(rank, fabric, 5, receiving(0, into, bytes));
    if (!last) {
        rank_check(shm->poll(fabric, &flight) == WW_PENDING, "%zu bytes out of nothing", bytes);
        rank_check(shm->waits_for(fabric, &flight) == 0, "it waits for rank 0");
        rank_meet(rank);
    }
    rank_check(rank_wait(fabric, &flight) == WW_OK, "receive of %zu bytes", bytes);
    rank_check(flight.state == NULL, "a done flight has no state");
    rank_check(pattern_holds(into, bytes, bytes), "%zu bytes arrived changed", bytes);
    rank_check(into[bytes] == 42, "%zu bytes wrote past their end", bytes);
    free(into);
    rank_meet(rank);
}

static void every_size(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    for (size_t index = 0; index < 2 * LENGTH(sizes); index++) {
        size_t bytes = sizes[index / 2];
        bool receive_first = index % 2 == 1;
        if (rank->number == 0) {
            expect_send(rank, fabric, bytes, receive_first);
        } else {
            expect_receive(rank, fabric, bytes, !receive_first);
        }
    }
    shm->close(fabric, false);
}

Test(shm_messages, every_size_arrives_whole_whoever_comes_first)
{
    ranks_run(2, every_size, NULL);
}

/* ---- Order ---------------------------------------------------------------------------------- */

#define MIX_MESSAGES 150
#define MIX_TAGS 6
#define MIX_WINDOW 12

/* The n-th message from one rank to another, known to both. */
struct mixed {
    int tag;
    size_t bytes;
    bool control;
    uint64_t seed;
};

static struct mixed mixed_message(uint64_t seed, int sender, int receiver, int number)
{
    static const size_t most[] = {1, SMALL_BYTES, 256, 256, 3000, EAGER_BYTES, 3 * EAGER_BYTES};
    uint64_t state = seed * 1000003 + (uint64_t)(sender * 64 + receiver) * 10007 + (uint64_t)number;
    size_t limit = most[chance_next(&state) % LENGTH(most)];
    struct mixed mixed = {.tag = (int)(chance_next(&state) % MIX_TAGS),
                          .bytes = (size_t)(chance_next(&state) % (limit + 1)),
                          .seed = state};
    mixed.control = mixed.bytes <= 256 && chance_next(&state) % 2 == 0;
    return mixed;
}

/* All that one rank sends to one peer, posted at once; and what it receives, in another order. */
struct exchange {
    struct rank *rank;
    void *fabric;
    int peer;
    uint64_t seed;
    unsigned char *out[MIX_MESSAGES];
    struct ww_flight sends[MIX_MESSAGES];
    int next[MIX_TAGS];     /* the first message of a tag for which no receive was posted */
    int chosen[MIX_WINDOW]; /* message of an open receive; -1 = none */
    unsigned char *in[MIX_WINDOW];
    struct ww_flight receives[MIX_WINDOW];
    int received;
};

static int find_next(const struct exchange *exchange, int tag, int from)
{
    while (from < MIX_MESSAGES &&
           mixed_message(exchange->seed, exchange->peer, exchange->rank->number, from).tag != tag) {
        from++;
    }
    return from;
}

static void exchange_begin(struct exchange *exchange)
{
    struct rank *rank = exchange->rank;
    for (int number = 0; number < MIX_MESSAGES; number++) {
        struct mixed mixed = mixed_message(exchange->seed, rank->number, exchange->peer, number);
        exchange->out[number] = malloc(mixed.bytes + 1);
        pattern_fill(exchange->out[number], mixed.bytes, mixed.seed);
        struct ww_message message = sending(exchange->peer, exchange->out[number], mixed.bytes);
        enum ww_status status = shm->post(exchange->fabric, mixed.tag, mixed.control, &message, 1,
                                          &exchange->sends[number]);
        rank_check(status == WW_OK, "post: %s", log_last_error());
    }
    for (int tag = 0; tag < MIX_TAGS; tag++) {
        exchange->next[tag] = find_next(exchange, tag, 0);
    }
    for (int window = 0; window < MIX_WINDOW; window++) {
        exchange->chosen[window] = -1;
    }
}

/* Posts a receive for some tag that has messages left. */
static void exchange_ask(struct exchange *exchange, int window, uint64_t *chance)
{
    int tag = (int)(chance_next(chance) % MIX_TAGS);
    for (int turn = 0; turn < MIX_TAGS && exchange->next[tag] == MIX_MESSAGES; turn++) {
        tag = (tag + 1) % MIX_TAGS;
    }
    int number = exchange->next[tag];
    if (number == MIX_MESSAGES) {
        return;
    }
    struct mixed mixed = mixed_message(exchange->seed, exchange->peer, exchange->rank->number,
                                       number);
    exchange->next[tag] = find_next(exchange, tag, number + 1);
    exchange->chosen[window] = number;
    exchange->in[window] = malloc(mixed.bytes + 1);
    exchange->receives[window] = rank_post(
        exchange->rank, exchange->fabric, tag,
        receiving(exchange->peer, exchange->in[window], mixed.bytes));
}

static void exchange_look(struct exchange *exchange, int window)
{
    struct rank *rank = exchange->rank;
    enum ww_status status = shm->poll(exchange->fabric, &exchange->receives[window]);
    if (status == WW_PENDING) {
        return;
    }
    int number = exchange->chosen[window];
    struct mixed mixed = mixed_message(exchange->seed, exchange->peer, rank->number, number);
    rank_check(status == WW_OK, "poll: %s", log_last_error());
    rank_check(pattern_holds(exchange->in[window], mixed.bytes, mixed.seed),
               "seed %llu: message %d from rank %d (tag %d, %zu bytes) is another one",
               (unsigned long long)exchange->seed, number, exchange->peer, mixed.tag, mixed.bytes);
    free(exchange->in[window]);
    exchange->chosen[window] = -1;
    exchange->received++;
}

static void exchange_finish(struct exchange *exchange)
{
    struct rank *rank = exchange->rank;
    for (int number = 0; number < MIX_MESSAGES; number++) {
        rank_check(rank_wait(exchange->fabric, &exchange->sends[number]) == WW_OK, "send %d",
                   number);
        free(exchange->out[number]);
    }
}

static void mix(struct rank *rank)
{
    uint64_t seed = *(const uint64_t *)rank->argument;
    uint64_t chance = seed * 77 + (uint64_t)rank->number;
    struct exchange *exchanges = calloc((size_t)rank->size, sizeof *exchanges);
    void *fabric = rank_open(rank, 0);
    int open = 0;
    for (int peer = 0; peer < rank->size; peer++) {
        exchanges[peer] = (struct exchange){
            .rank = rank, .fabric = fabric, .peer = peer, .seed = seed};
        if (peer != rank->number) {
            exchange_begin(&exchanges[peer]);
            open++;
        }
    }
    while (open > 0 && atomic_load(&rank->board->failures) == 0) {
        struct exchange *exchange = &exchanges[chance_next(&chance) % (uint64_t)rank->size];
        int window = (int)(chance_next(&chance) % MIX_WINDOW);
        if (exchange->peer == rank->number || exchange->received == MIX_MESSAGES) {
            continue;
        }
        if (exchange->chosen[window] < 0) {
            exchange_ask(exchange, window, &chance);
        } else {
            exchange_look(exchange, window);
        }
        open -= exchange->received == MIX_MESSAGES;
    }
    for (int peer = 0; peer < rank->size; peer++) {
        if (peer != rank->number) {
            exchange_finish(&exchanges[peer]);
        }
    }
    shm->close(fabric, false);
    free(exchanges);
}

Test(shm_messages, tags_are_independent_and_each_keeps_its_order)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        ranks_run(seed % 2 == 0 ? 3 : 4, mix, &seed);
    }
}

/* ---- What blocks and what does not ---------------------------------------------------------- */

#define FLOOD (5 * CELLS)

static void flood(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    struct ww_flight flights[FLOOD];
    int numbers[FLOOD];
    for (int index = 0; index < FLOOD && rank->number == 0; index++) {
        numbers[index] = index;
        flights[index] = rank_post(rank, fabric, 3, sending(1, &numbers[index], sizeof(int)));
    }
    rank_meet(rank);
    int done = 0;
    for (int index = 0; index < FLOOD && rank->number == 0; index++) {
        enum ww_status status = shm->poll(fabric, &flights[index]);
        rank_check(status == (index < CELLS - CONTROL_CELLS ? WW_OK : WW_PENDING), "send %d: %d",
                   index, (int)status);
        done += status == WW_OK;
    }
    rank_meet(rank);
    for (int index = done; index < FLOOD && rank->number == 0; index++) {
        rank_check(rank_wait(fabric, &flights[index]) == WW_OK, "send %d", index);
    }
    for (int index = 0; index < FLOOD && rank->number == 1; index++) {
        int number = -1;
        struct ww_flight flight = rank_post(rank, fabric, 3, receiving(0, &number, sizeof number));
        rank_check(rank_wait(fabric, &flight) == WW_OK && number == index, "%d came as number %d",
                   number, index);
    }
    shm->close(fabric, false);
}

Test(shm_messages, a_ring_that_is_full_waits_and_goes_on_in_order)
{
    ranks_run(2, flood, NULL);
}

/* Rank 1 takes in no data at all; rank 0 gives up. */
static void last_words(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    char words[256] = "this rank gave up";
    if (rank->number == 0) {
        static unsigned char data[FLOOD][5000];
        for (int index = 0; index < FLOOD; index++) {
            pattern_fill(data[index], sizeof data[index], (uint64_t)index);
            rank_post(rank, fabric, 1 + index % 2, sending(1, data[index], sizeof data[index]));
        }
        for (int index = 0; index < CONTROL_CELLS; index++) {
            struct ww_message message = sending(1, words, sizeof words);
            struct ww_flight flight;
            rank_check(shm->post(fabric, 0, true, &message, 1, &flight) == WW_OK, "post");
            rank_check(shm->poll(fabric, &flight) == WW_OK, "control message %d waits", index);
        }
        memset(words, 0, sizeof words);
        shm->close(fabric, true);
        rank_meet(rank);
        return;
    }
    rank_meet(rank);
    for (int index = 0; index < CONTROL_CELLS; index++) {
        char heard[256] = "";
        struct ww_flight flight = rank_post(rank, fabric, 0, receiving(0, heard, sizeof heard));
        rank_check(rank_wait(fabric, &flight) == WW_OK, "control message %d", index);
        rank_check(strcmp(heard, "this rank gave up") == 0, "heard \"%s\"", heard);
    }
    for (int index = 0; index < CELLS - CONTROL_CELLS; index++) {
        unsigned char data[5000];
        struct ww_flight flight = rank_post(rank, fabric, 1 + index % 2,
                                            receiving(0, data, sizeof data));
        rank_check(rank_wait(fabric, &flight) == WW_OK, "data %d", index);
        rank_check(pattern_holds(data, sizeof data, (uint64_t)index), "data %d changed", index);
    }
    shm->close(fabric, true);
}

Test(shm_messages, control_messages_pass_unread_data_and_outlive_their_sender)
{
    ranks_run(2, last_words, NULL);
}

#define STREAM_BYTES (12 * MIB + 13)

static void stream_both_ways(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    struct ww_message round[2 * RANKS_MAX];
    int count = 0;
    for (int peer = 0; peer < rank->size; peer++) {
        if (peer != rank->number) {
            unsigned char *out = malloc(STREAM_BYTES);
            pattern_fill(out, STREAM_BYTES, (uint64_t)(rank->number * 8 + peer));
            round[count++] = sending(peer, out, STREAM_BYTES);
            round[count++] = receiving(peer, calloc(1, STREAM_BYTES), STREAM_BYTES);
        }
    }
    struct ww_flight flight;
    rank_check(shm->post(fabric, 9, false, round, count, &flight) == WW_OK, "post");
    rank_check(rank_wait(fabric, &flight) == WW_OK, "streams stand still");
    for (int index = 0; index < count; index++) {
        const struct ww_message *message = &round[index];
        rank_check(message->kind == WW_SEND ||
                       pattern_holds(message->memory, STREAM_BYTES,
                                     (uint64_t)(message->peer * 8 + rank->number)),
                   "the stream from rank %d changed", message->peer);
        free(message->memory);
    }
    shm->close(fabric, false);
}

Test(shm_messages, streams_in_all_directions_at_once_all_arrive)
{
    ranks_run(2, stream_both_ways, NULL);
    ranks_run(4, stream_both_ways, NULL);
}

#define LARGE_COUNT (3 * GRANTS)
#define LARGE_BYTES (2 * EAGER_BYTES + 5)

/* The receiver wants the last one first, and takes none before that. */
static void backwards(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    unsigned char *memory[LARGE_COUNT];
    struct ww_flight flights[LARGE_COUNT];
    bool all_at_once = *(const bool *)rank->argument;
    for (int index = 0; index < LARGE_COUNT; index++) {
        memory[index] = calloc(1, LARGE_BYTES);
        if (rank->number == 0) {
            pattern_fill(memory[index], LARGE_BYTES, (uint64_t)index);
            flights[index] = rank_post(rank, fabric, index, sending(1, memory[index], LARGE_BYTES));
        }
    }
    for (int index = LARGE_COUNT - 1; index >= 0 && rank->number == 1; index--) {
        flights[index] = rank_post(rank, fabric, index, receiving(0, memory[index], LARGE_BYTES));
        if (!all_at_once) {
            rank_check(rank_wait(fabric, &flights[index]) == WW_OK, "message %d", index);
        }
    }
    for (int index = 0; index < LARGE_COUNT; index++) {
        if (rank->number == 0 || all_at_once) {
            rank_check(rank_wait(fabric, &flights[index]) == WW_OK, "message %d", index);
        }
        rank_check(pattern_holds(memory[index], LARGE_BYTES, (uint64_t)index), "message %d changed",
                   index);
        free(memory[index]);
    }
    shm->close(fabric, false);
}

Test(shm_messages, large_messages_may_be_taken_in_any_order)
{
    ranks_run(2, backwards, &(bool){false});
    ranks_run(2, backwards, &(bool){true});
}

/* Whoever polls one flight only looks after the others, too. */
static void one_poll_for_all(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    unsigned char *large = calloc(1, 4 * MIB);
    unsigned char token = 0;
    struct ww_flight stream, end;
    if (rank->number == 0) {
        stream = rank_post(rank, fabric, 1, sending(1, large, 4 * MIB));
        end = rank_post(rank, fabric, 2, receiving(2, &token, 1));
        rank_check(rank_wait(fabric, &end) == WW_OK, "the token");
        rank_check(rank_wait(fabric, &stream) == WW_OK, "the stream");
    } else if (rank->number == 1) {
        stream = rank_post(rank, fabric, 1, receiving(0, large, 4 * MIB));
        rank_check(rank_wait(fabric, &stream) == WW_OK, "the stream");
        end = rank_post(rank, fabric, 2, sending(2, &token, 1));
        rank_check(rank_wait(fabric, &end) == WW_OK, "the token");
    } else {
        end = rank_post(rank, fabric, 2, receiving(1, &token, 1));
        rank_check(rank_wait(fabric, &end) == WW_OK, "the token");
        end = rank_post(rank, fabric, 2, sending(0, &token, 1));
        rank_check(rank_wait(fabric, &end) == WW_OK, "the token");
    }
    free(large);
    shm->close(fabric, false);
}

Test(shm_messages, polling_one_flight_moves_all_of_them)
{
    ranks_run(3, one_poll_for_all, NULL);
}

/* ---- Disagreement --------------------------------------------------------------------------- */

struct dispute {
    size_t sent_bytes, expected_bytes;
    bool send_first;
};

static void disagree(struct rank *rank)
{
    const struct dispute *dispute = rank->argument;
    void *fabric = rank_open(rank, 0);
    unsigned char *memory = calloc(1, MIB);
    char sentence[160];
    snprintf(sentence, sizeof sentence,
             "rank 0 sent %zu bytes with tag 7 to rank 1, which expected %zu bytes: both ends must "
             "state the same size",
             dispute->sent_bytes, dispute->expected_bytes);
    if (rank->number == (dispute->send_first ? 1 : 0)) {
        rank_meet(rank);
    }
    struct ww_message message = rank->number == 0 ? sending(1, memory, dispute->sent_bytes)
                                                  : receiving(0, memory, dispute->expected_bytes);
    struct ww_flight flight;
    enum ww_status status = shm->post(fabric, 7, false, &message, 1, &flight);
    if (rank->number == (dispute->send_first ? 0 : 1)) {
        rank_meet(rank);
    }
    bool knows = rank->number == 1 || dispute->sent_bytes > EAGER_BYTES;
    status = status == WW_OK ? rank_wait(fabric, &flight) : status;
    rank_check(status == (knows ? WW_TRANSPORT_FAILED : WW_OK), "%zu for %zu bytes: %d",
               dispute->sent_bytes, dispute->expected_bytes, (int)status);
    rank_check(!knows || strcmp(log_last_error(), sentence) == 0, "it said: %s", log_last_error());
    if (knows) {
        struct ww_message more = {WW_SEND, !rank->number, memory, 8};
        rank_check(shm->post(fabric, 1, false, &more, 1, &flight) == WW_TRANSPORT_FAILED,
                   "a failed fabric takes no messages");
    }
    rank_meet(rank);
    shm->close(fabric, true);
    free(memory);
}

Test(shm_messages, ends_that_state_different_sizes_are_told_both)
{
    static struct dispute rows[] = {{8, 9, true},
                                    {8, 0, false},
                                    {0, 1, true},
                                    {CELL_BYTES, CELL_BYTES + 1, false},
                                    {EAGER_BYTES, MIB, true},
                                    {EAGER_BYTES + 1, EAGER_BYTES, true},
                                    {MIB, MIB - 1, false},
                                    {MIB, MIB - 1, true}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        ranks_run(2, disagree, &rows[row]);
    }
}

/* ---- Bookkeeping ---------------------------------------------------------------------------- */

static int flights_count(const struct fabric *fabric)
{
    int count = 0;
    const void *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        count++;
    }
    return count;
}

static int spare_count(const struct fabric *fabric)
{
    int count = 0;
    for (int kind = 0; kind < 2; kind++) {
        for (const struct arrival *spare = fabric->spare[kind]; spare != NULL;
             spare = spare->next) {
            count++;
        }
    }
    return count;
}

static void one_round(struct rank *rank, void *fabric, unsigned char *memory)
{
    int peer = !rank->number;
    struct ww_message round[4] = {sending(peer, memory, 100000),
                                  receiving(peer, memory + MIB, 100000), sending(peer, memory, 10),
                                  receiving(peer, memory + MIB, 10)};
    struct ww_flight flights[3];
    for (int index = 0; index < 3; index++) {
        rank_check(shm->post(fabric, index, false, round, 4, &flights[index]) == WW_OK, "post");
    }
    for (int index = 2; index >= 0; index--) {
        rank_check(rank_wait(fabric, &flights[index]) == WW_OK, "round");
    }
    rank_meet(rank);
}

static void keep_house(struct rank *rank)
{
    void *fabric = rank_open(rank, 0);
    unsigned char *memory = calloc(2, MIB);
    struct ww_message control = sending(!rank->number, memory, 200);
    struct ww_message heard = receiving(!rank->number, memory + MIB, 200);
    struct ww_flight flights[2];
    for (int turn = 0; turn < 200; turn++) {
        one_round(rank, fabric, memory);
    }
    int flights_before = flights_count(fabric), spare_before = spare_count(fabric);
    for (int turn = 0; turn < 200; turn++) {
        one_round(rank, fabric, memory);
    }
    rank_check(flights_count(fabric) == flights_before, "%d flights were %d", flights_count(fabric),
               flights_before);
    rank_check(spare_count(fabric) <= spare_before + 6, "%d spare arrivals were %d",
               spare_count(fabric), spare_before);
    rank_check(shm->post(fabric, 0, true, &control, 1, &flights[0]) == WW_OK, "post");
    rank_check(shm->post(fabric, 0, true, &heard, 1, &flights[1]) == WW_OK, "post");
    rank_check(rank_wait(fabric, &flights[0]) == WW_OK, "control");
    rank_check(rank_wait(fabric, &flights[1]) == WW_OK, "control");
    struct ww_traffic traffic[WW_LEVELS_MAX];
    shm->counters(fabric, traffic);
    rank_check(traffic[0].data_bytes == 400 * 3 * 100010, "%llu bytes",
               (unsigned long long)traffic[0].data_bytes);
    rank_check(traffic[0].data_messages == 400 * 3 * 2, "%llu messages",
               (unsigned long long)traffic[0].data_messages);
    rank_check(traffic[0].control_bytes == 200, "%llu control bytes",
               (unsigned long long)traffic[0].control_bytes);
    free(memory);
    shm->close(fabric, false);
}

/* Control messages of one cell and of several, into receives that may be longer, posted before and
 * after. */
static void say_less(struct rank *rank)
{
    static const size_t said[] = {0, 1, 40, 64, 256, 8192, 8193, FABRIC_CONTROL_ROOM};
    void *fabric = rank_open(rank, 0);
    unsigned char *memory = calloc(2, MIB);
    size_t room = shm->control_room(fabric);
    rank_check(room == FABRIC_CONTROL_ROOM, "room for %zu bytes", room);
    for (size_t i = 0; i < 2 * sizeof said / sizeof *said; i++) {
        size_t bytes = said[i / 2];
        struct ww_message control = sending(!rank->number, memory, bytes);
        struct ww_message heard = receiving(!rank->number, memory + MIB, room);
        struct ww_flight flights[2];
        memset(memory, (int)i + 1, bytes);
        memset(memory + MIB, 0, room);
        bool first = i % 2 == 0;
        rank_check(shm->post(fabric, 0, true, first ? &heard : &control, 1, &flights[0]) == WW_OK,
                   "post");
        rank_meet(rank);
        rank_check(shm->post(fabric, 0, true, first ? &control : &heard, 1, &flights[1]) == WW_OK,
                   "post");
        rank_check(rank_wait(fabric, &flights[0]) == WW_OK, "control");
        rank_check(rank_wait(fabric, &flights[1]) == WW_OK, "control");
        rank_check(memcmp(memory, memory + MIB, bytes) == 0 && memory[MIB + bytes] == 0,
                   "%zu bytes came wrong", bytes);
        rank_meet(rank);
    }
    free(memory);
    shm->close(fabric, false);
}

Test(shm_messages, control_messages_may_be_shorter_than_their_receives)
{
    ranks_run(2, say_less, NULL);
}

Test(shm_messages, counters_are_exact_and_memory_settles)
{
    ranks_run(2, keep_house, NULL);
}
