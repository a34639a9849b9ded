/* SPDX-License-Identifier: BSD-3-Clause
 * test_local.c: the fabric between threads. It never blocks, so most tests drive all ranks from
 * one thread and know exactly who comes second. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/transport.h>

#include "capture.h"
#include "internal/cpu.h"
#include "internal/log.h"
#include "internal/memory.h"

#define RANKS_MAX 8
#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(local, .init = capture_start, .fini = capture_finish);

/* Ranks 0 .. size - 1 of one world; peers with an odd difference are a network away. */
struct company {
    int size;
    struct ww_local_world *local;
    const struct ww_transport *transport;
    struct ww_world worlds[RANKS_MAX];
    uint8_t levels[RANKS_MAX][RANKS_MAX];
    void *fabrics[RANKS_MAX];
};

static void *open_fabric(struct company *company, int rank)
{
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &company->worlds[rank],
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = company->levels[rank]};
    void *fabric = NULL;
    return company->transport->open(&setup, &fabric) == WW_OK ? fabric : NULL;
}

static void company_gather(struct company *company, int size)
{
    memset(company, 0, sizeof *company);
    company->size = size;
    cr_assert_eq(ww_local_world_create(size, &company->local), WW_OK);
    for (int rank = 0; rank < size; rank++) {
        cr_assert_eq(ww_local_world_rank(company->local, rank, &company->worlds[rank]), WW_OK);
        for (int peer = 0; peer < size; peer++) {
            company->levels[rank][peer] = (uint8_t)((rank ^ peer) & 1);
        }
    }
    company->transport = company->worlds[0].transport;
}

static void company_open(struct company *company, int size)
{
    company_gather(company, size);
    for (int rank = 0; rank < size; rank++) {
        company->fabrics[rank] = open_fabric(company, rank);
        cr_assert_not_null(company->fabrics[rank]);
    }
}

static void company_close(struct company *company)
{
    for (int rank = 0; rank < company->size; rank++) {
        if (company->fabrics[rank] != NULL) {
            company->transport->close(company->fabrics[rank], false);
        }
    }
    ww_local_world_destroy(company->local);
}

static struct ww_flight post(struct company *company, int rank, int tag, struct ww_message message)
{
    struct ww_flight flight = {NULL, WW_WAIT_NETWORK};
    cr_assert_eq(company->transport->post(company->fabrics[rank], tag, false, &message, 1, &flight),
                 WW_OK);
    cr_expect_eq(flight.wait, WW_WAIT_MEMORY);
    return flight;
}

static struct ww_message sending(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_SEND, peer, memory, bytes};
}

static struct ww_message receiving(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_RECEIVE, peer, memory, bytes};
}

static enum ww_status poll(struct company *company, int rank, struct ww_flight *flight)
{
    return company->transport->poll(company->fabrics[rank], flight);
}

static unsigned char pattern(size_t seed, size_t index)
{
    return (unsigned char)((seed * 131 + index * 7 + (index >> 8)) & 0xff);
}

static void fill(unsigned char *memory, size_t bytes, size_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        memory[index] = pattern(seed, index);
    }
}

static bool holds(const unsigned char *memory, size_t bytes, size_t seed)
{
    for (size_t index = 0; index < bytes; index++) {
        if (memory[index] != pattern(seed, index)) {
            return false;
        }
    }
    return true;
}

/* ---- Messages ------------------------------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 7, 64, 255, 256, 257, 4096, 61440, 61441, (3 << 20) + 7};

static void expect_message(struct company *company, size_t bytes, bool send_first)
{
    unsigned char *from = malloc(bytes + 1), *into = calloc(1, bytes + 1);
    fill(from, bytes, bytes);
    into[bytes] = 42;
    struct ww_message halves[2] = {sending(1, from, bytes), receiving(0, into, bytes)};
    int first = send_first ? 0 : 1;
    struct ww_flight flights[2];
    flights[first] = post(company, first, 5, halves[first]);
    enum ww_status early = poll(company, first, &flights[first]);
    bool done_alone = send_first && bytes <= 256;
    cr_expect_eq(early, done_alone ? WW_OK : WW_PENDING, "%zu bytes, %s first", bytes,
                 send_first ? "send" : "receive");
    if (done_alone) {
        memset(from, 0xee, bytes); /* it is the sender's again */
    }
    flights[!first] = post(company, !first, 5, halves[!first]);
    cr_expect_eq(poll(company, !first, &flights[!first]), WW_OK);
    if (early == WW_PENDING) {
        cr_expect_eq(poll(company, first, &flights[first]), WW_OK);
    }
    cr_expect(holds(into, bytes, bytes), "%zu bytes arrived changed", bytes);
    cr_expect_eq(into[bytes], 42, "%zu bytes wrote past their end", bytes);
    free(from);
    free(into);
}

Test(local, every_size_arrives_whole_whoever_comes_first)
{
    struct company company;
    company_open(&company, 2);
    for (size_t index = 0; index < LENGTH(sizes); index++) {
        expect_message(&company, sizes[index], true);
        expect_message(&company, sizes[index], false);
    }
    company_close(&company);
}

Test(local, an_empty_message_needs_no_memory_and_still_travels)
{
    struct company company;
    company_open(&company, 2);
    struct ww_flight receive = post(&company, 1, 0, receiving(0, NULL, 0));
    cr_expect_eq(poll(&company, 1, &receive), WW_PENDING);
    struct ww_flight send = post(&company, 0, 0, sending(1, NULL, 0));
    cr_expect_eq(poll(&company, 0, &send), WW_OK);
    cr_expect_eq(poll(&company, 1, &receive), WW_OK);
    company_close(&company);
}

/* Sends are posted in the order of `tags`, receives in the order of `taken`; each receive must get
 * the oldest send of its tag that is left. */
static void expect_order(const int *tags, const int *taken, size_t count, size_t bytes)
{
    struct company company;
    company_open(&company, 2);
    unsigned char *from = malloc(count * bytes), *into = malloc(count * bytes);
    struct ww_flight sends[16], receives[16];
    bool used[16] = {false};
    for (size_t index = 0; index < count; index++) {
        fill(from + index * bytes, bytes, index);
        sends[index] = post(&company, 0, tags[index], sending(1, from + index * bytes, bytes));
    }
    for (size_t index = 0; index < count; index++) {
        receives[index] = post(&company, 1, taken[index],
                               receiving(0, into + index * bytes, bytes));
        cr_expect_eq(poll(&company, 1, &receives[index]), WW_OK);
        size_t oldest = 0;
        while (used[oldest] || tags[oldest] != taken[index]) {
            oldest++;
        }
        used[oldest] = true;
        cr_expect(holds(into + index * bytes, bytes, oldest),
                  "receive %zu (tag %d, %zu bytes) did not get send %zu", index, taken[index],
                  bytes, oldest);
    }
    for (size_t index = 0; index < count; index++) {
        cr_expect_eq(poll(&company, 0, &sends[index]), WW_OK);
    }
    free(from);
    free(into);
    company_close(&company);
}

Test(local, messages_of_one_tag_keep_their_order_and_tags_do_not_mix)
{
    static const struct {
        int tags[6], taken[6];
    } rows[] = {
        {{3, 3, 3, 3, 3, 3}, {3, 3, 3, 3, 3, 3}},
        {{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}},
        {{0, 9, 0, 9, 0, 9}, {9, 9, 9, 0, 0, 0}},
        {{0, 9, 9, 0, 9, 0}, {0, 9, 0, 9, 0, 9}},
        {{0, WW_TRANSPORT_TAGS - 1, 0, 7, 7, 0}, {WW_TRANSPORT_TAGS - 1, 7, 0, 0, 0, 7}},
    };
    for (size_t row = 0; row < LENGTH(rows); row++) {
        expect_order(rows[row].tags, rows[row].taken, 6, 24);
        expect_order(rows[row].tags, rows[row].taken, 6, 1000);
    }
}

Test(local, pairs_of_ranks_do_not_mix)
{
    struct company company;
    company_open(&company, 3);
    int values[3] = {100, 101, 102}, from_1 = 0, from_2 = 0, from_0 = 0;
    post(&company, 2, 4, sending(0, &values[2], sizeof(int)));
    post(&company, 1, 4, sending(0, &values[1], sizeof(int)));
    post(&company, 0, 4, sending(1, &values[0], sizeof(int)));
    post(&company, 0, 4, receiving(1, &from_1, sizeof(int)));
    post(&company, 0, 4, receiving(2, &from_2, sizeof(int)));
    post(&company, 1, 4, receiving(0, &from_0, sizeof(int)));
    cr_expect_eq(from_1, 101);
    cr_expect_eq(from_2, 102);
    cr_expect_eq(from_0, 100);
    company_close(&company);
}

Test(local, a_round_is_done_with_its_last_message_and_names_whom_it_waits_for)
{
    struct company company;
    company_open(&company, 3);
    int values[3] = {0};
    struct ww_message round[2] = {receiving(1, &values[1], sizeof(int)),
                                  receiving(2, &values[2], sizeof(int))};
    struct ww_flight flight;
    cr_assert_eq(company.transport->post(company.fabrics[0], 1, false, round, 2, &flight), WW_OK);
    cr_expect_eq(company.transport->waits_for(company.fabrics[0], &flight), 1);
    int seven = 7, eight = 8;
    post(&company, 1, 1, sending(0, &seven, sizeof(int)));
    cr_expect_eq(company.transport->waits_for(company.fabrics[0], &flight), 2);
    cr_expect_eq(poll(&company, 0, &flight), WW_PENDING);
    post(&company, 2, 1, sending(0, &eight, sizeof(int)));
    cr_expect_eq(poll(&company, 0, &flight), WW_OK);
    cr_expect_eq(values[1] * 10 + values[2], 78);
    company_close(&company);
}

Test(local, a_round_without_messages_is_done_at_once)
{
    struct company company;
    company_open(&company, 1);
    struct ww_flight flight;
    cr_assert_eq(company.transport->post(company.fabrics[0], 0, true, NULL, 0, &flight), WW_OK);
    cr_expect_eq(poll(&company, 0, &flight), WW_OK);
    company_close(&company);
}

Test(local, counters_count_sends_by_level_and_keep_control_apart)
{
    struct company company;
    company_open(&company, 4);
    unsigned char memory[1000] = {0}, into[1000];
    struct ww_message near = sending(2, memory, 1000), far = sending(1, memory, 30);
    struct ww_message none = sending(3, NULL, 0), in = receiving(3, into, 500);
    struct ww_flight flight;
    const struct ww_transport *transport = company.transport;
    transport->post(company.fabrics[0], 1, false, &near, 1, &flight);
    transport->post(company.fabrics[0], 1, false, &far, 1, &flight);
    transport->post(company.fabrics[0], 1, false, &none, 1, &flight);
    transport->post(company.fabrics[0], 1, true, &far, 1, &flight);
    transport->post(company.fabrics[0], 1, false, &in, 1, &flight);
    struct ww_traffic traffic[2];
    transport->counters(company.fabrics[0], traffic);
    cr_expect_eq(traffic[0].data_bytes, 1000);
    cr_expect_eq(traffic[0].data_messages, 1);
    cr_expect_eq(traffic[0].control_bytes, 0);
    cr_expect_eq(traffic[1].data_bytes, 30);
    cr_expect_eq(traffic[1].data_messages, 2);
    cr_expect_eq(traffic[1].control_bytes, 30);
    company_close(&company);
}

/* ---- Fabrics -------------------------------------------------------------------------------- */

Test(local, fabrics_of_one_world_do_not_hear_each_other)
{
    struct company company;
    company_open(&company, 2);
    void *old[2] = {company.fabrics[0], company.fabrics[1]};
    int one = 1, two = 2, first = 0, second = 0;
    /* The second fabric of rank 1 opens before that of rank 0, and has messages waiting then. */
    company.fabrics[1] = open_fabric(&company, 1);
    post(&company, 1, 3, sending(0, &two, sizeof(int)));
    company.fabrics[0] = open_fabric(&company, 0);
    void *new[2] = {company.fabrics[0], company.fabrics[1]};
    memcpy(company.fabrics, old, sizeof old);
    struct ww_flight flight = post(&company, 0, 3, receiving(1, &first, sizeof(int)));
    cr_expect_eq(poll(&company, 0, &flight), WW_PENDING);
    post(&company, 1, 3, sending(0, &one, sizeof(int)));
    cr_expect_eq(poll(&company, 0, &flight), WW_OK);
    memcpy(company.fabrics, new, sizeof new);
    post(&company, 0, 3, receiving(1, &second, sizeof(int)));
    cr_expect_eq(first, 1);
    cr_expect_eq(second, 2);
    company.transport->close(old[0], false);
    company.transport->close(old[1], false);
    company_close(&company);
}

Test(local, a_fabric_that_closed_before_its_peer_opened_leaves_its_messages)
{
    struct company company;
    company_gather(&company, 2);
    long sent = 4711, got = 0;
    company.fabrics[0] = open_fabric(&company, 0);
    post(&company, 0, 1, sending(1, &sent, sizeof sent));
    company.transport->close(company.fabrics[0], false);
    company.fabrics[0] = open_fabric(&company, 0); /* the next generation */
    company.fabrics[1] = open_fabric(&company, 1); /* still the first */
    struct ww_flight flight = post(&company, 1, 1, receiving(0, &got, sizeof got));
    cr_expect_eq(poll(&company, 1, &flight), WW_OK);
    cr_expect_eq(got, 4711);
    company_close(&company);
}

Test(local, a_world_that_is_not_local_is_refused)
{
    struct company company;
    company_gather(&company, 2);
    struct ww_world worlds[2] = {company.worlds[0], company.worlds[1]};
    worlds[0].self = NULL;
    worlds[1].rank = 0;
    for (int row = 0; row < 2; row++) {
        struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                           .world = &worlds[row],
                                           .levels = 1,
                                           .host_levels = 1,
                                           .peer_level = company.levels[0]};
        void *fabric = &setup;
        cr_expect_eq(company.transport->open(&setup, &fabric), WW_BAD_ARGUMENT);
        cr_expect_eq(fabric, &setup, "written although it failed");
        expect_line(WW_LOG_ERROR, "ww_local_world_rank");
    }
    company_close(&company);
}

static void expect_disagreement(size_t sent, size_t expected, bool send_first)
{
    struct company company;
    company_open(&company, 2);
    unsigned char memory[2][4096] = {{0}};
    struct ww_message halves[2] = {sending(1, memory[0], sent), receiving(0, memory[1], expected)};
    memset(memory[1], 0xaa, sizeof memory[1]);
    int first = send_first ? 0 : 1;
    struct ww_flight flights[2];
    flights[first] = post(&company, first, 17, halves[first]);
    flights[!first] = post(&company, !first, 17, halves[!first]);
    for (int rank = 0; rank < 2; rank++) {
        cr_expect_eq(poll(&company, rank, &flights[rank]), WW_TRANSPORT_FAILED);
        char sentence[128];
        snprintf(sentence, sizeof sentence,
                 "rank 0 sent %zu bytes with tag 17 to rank 1, which expected %zu", sent, expected);
        expect_line(WW_LOG_ERROR, sentence);
    }
    cr_expect_eq(memory[1][0], 0xaa, "the receive was written");
    company_close(&company);
}

Test(local, a_size_disagreement_fails_both_ends_with_both_sizes)
{
    static const size_t rows[][2] = {{8, 16}, {16, 8}, {0, 1}, {256, 257}, {300, 299}, {4096, 8}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        expect_disagreement(rows[row][0], rows[row][1], true);
        expect_disagreement(rows[row][0], rows[row][1], false);
    }
}

Test(local, close_takes_back_what_nobody_came_for)
{
    struct company company;
    company_open(&company, 2);
    unsigned char *from = malloc(5000), *into = malloc(5000), mine[5000];
    memset(mine, 0x11, sizeof mine);
    post(&company, 0, 1, sending(1, from, 5000));
    post(&company, 0, 2, sending(1, from, 5000));
    post(&company, 0, 3, receiving(1, into, 5000));
    post(&company, 0, 4, receiving(1, into, 5000));
    company.transport->close(company.fabrics[0], true);
    company.fabrics[0] = NULL;
    free(from); /* a sanitizer sees whoever still touches them */
    free(into);
    static const struct {
        int tag;
        enum ww_message_kind kind;
    } rows[] = {{2, WW_RECEIVE}, {1, WW_RECEIVE}, {4, WW_SEND}, {3, WW_SEND}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct ww_message message = {rows[row].kind, 0, mine, 5000};
        struct ww_flight flight = post(&company, 1, rows[row].tag, message);
        cr_expect_eq(poll(&company, 1, &flight), WW_PENDING, "row %zu", row);
        cr_expect_eq(company.transport->waits_for(company.fabrics[1], &flight), 0);
    }
    cr_expect_eq(mine[4999], 0x11);
    company_close(&company);
}

/* A small send is done at once; but who waits for the large one ahead of it must not get it
 * instead, and no send may meet a later receive. */
Test(local, close_takes_back_what_lies_behind_it)
{
    struct company company;
    company_open(&company, 2);
    unsigned char from[5000] = {0}, into[5000], mine[5000];
    post(&company, 0, 1, sending(1, from, 16));
    post(&company, 0, 1, sending(1, from, 5000));
    post(&company, 0, 2, sending(1, from, 16));
    post(&company, 0, 1, sending(1, from, 16));
    post(&company, 0, 1, sending(1, from, 4000));
    post(&company, 0, 3, receiving(1, into, 5000));
    post(&company, 0, 3, receiving(1, into, 16));
    company.transport->close(company.fabrics[0], true);
    company.fabrics[0] = NULL;
    static const struct {
        int tag;
        enum ww_message_kind kind;
        size_t bytes;
        enum ww_status status;
    } rows[] = {{1, WW_RECEIVE, 16, WW_OK},
                {1, WW_RECEIVE, 5000, WW_PENDING},
                {2, WW_RECEIVE, 16, WW_OK},
                {3, WW_SEND, 5000, WW_PENDING}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct ww_message message = {rows[row].kind, 0, mine, rows[row].bytes};
        struct ww_flight flight = post(&company, 1, rows[row].tag, message);
        cr_expect_eq(poll(&company, 1, &flight), rows[row].status, "row %zu", row);
    }
    company_close(&company);
}

Test(local, small_sends_outlive_the_rank_that_sent_them)
{
    struct company company;
    company_open(&company, 2);
    unsigned char *from = malloc(256), into[256];
    fill(from, 256, 9);
    struct ww_flight send = post(&company, 0, 1, sending(1, from, 256));
    cr_expect_eq(poll(&company, 0, &send), WW_OK);
    company.transport->close(company.fabrics[0], true);
    company.fabrics[0] = NULL;
    free(from);
    struct ww_flight receive = post(&company, 1, 1, receiving(0, into, 256));
    cr_expect_eq(poll(&company, 1, &receive), WW_OK);
    cr_expect(holds(into, 256, 9));
    company_close(&company);
}

/* Imitated wires send a note ahead of each message: were the first message lost, the second one's
 * note would be taken for it. */
Test(local, control_messages_outlive_the_rank_that_sent_them)
{
    struct company company;
    company_open(&company, 2);
    unsigned char *from = malloc(5000), into[5000];
    fill(from, 5000, 9);
    static const size_t counts[] = {5000, 8, 257};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        struct ww_message message = sending(1, from, counts[i]);
        struct ww_flight send = {NULL, WW_WAIT_NETWORK};
        cr_assert_eq(company.transport->post(company.fabrics[0], 1, true, &message, 1, &send),
                     WW_OK);
        cr_expect_eq(poll(&company, 0, &send), WW_OK, "%zu bytes", counts[i]);
    }
    company.transport->close(company.fabrics[0], true);
    company.fabrics[0] = NULL;
    free(from);
    for (size_t i = 0; i < LENGTH(counts); i++) {
        struct ww_flight receive = post(&company, 1, 1, receiving(0, into, counts[i]));
        cr_expect_eq(poll(&company, 1, &receive), WW_OK, "%zu bytes", counts[i]);
        cr_expect(holds(into, counts[i], 9), "%zu bytes", counts[i]);
    }
    company_close(&company);
}

/* ---- Worlds --------------------------------------------------------------------------------- */

Test(local, worlds_have_1_to_1024_ranks_and_say_so)
{
    static const struct {
        int size;
        enum ww_status status;
    } rows[] = {{-1, WW_BAD_ARGUMENT},
                {0, WW_BAD_ARGUMENT},
                {1, WW_OK},
                {1024, WW_OK},
                {1025, WW_BAD_ARGUMENT}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct ww_local_world *local = NULL;
        cr_expect_eq(ww_local_world_create(rows[row].size, &local), rows[row].status);
        cr_expect_eq(local != NULL, rows[row].status == WW_OK);
        if (rows[row].status != WW_OK) {
            expect_line(WW_LOG_ERROR, "a local world has 1 to 1024 ranks");
        }
        ww_local_world_destroy(local);
    }
    cr_expect_eq(ww_local_world_create(2, NULL), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "local is NULL");
}

Test(local, a_rank_outside_the_world_is_refused_and_nothing_is_written)
{
    struct ww_local_world *local = NULL;
    struct ww_world world = WW_WORLD_INIT;
    cr_assert_eq(ww_local_world_create(4, &local), WW_OK);
    cr_expect_eq(ww_local_world_rank(local, 4, &world), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "rank is 4, but the world has ranks 0 to 3");
    cr_expect_eq(ww_local_world_rank(local, -1, &world), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "rank is -1");
    cr_expect_eq(ww_local_world_rank(NULL, 0, &world), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "local is NULL");
    cr_expect_eq(ww_local_world_rank(local, 0, NULL), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "world is NULL");
    cr_expect_null(world.self);
    ww_local_world_destroy(local);
}

/* ---- Ranks in threads of their own ---------------------------------------------------------- */

struct member {
    struct company *company;
    int rank;
    int wrong; /* of this thread; read after it has ended */
};

/* Runs one thread per rank and returns how much went wrong in all of them. */
static int in_threads(struct company *company, void *(*body)(void *))
{
    pthread_t threads[RANKS_MAX];
    struct member members[RANKS_MAX];
    int wrong = 0;
    for (int rank = 0; rank < company->size; rank++) {
        members[rank] = (struct member){company, rank, 0};
        cr_assert_eq(pthread_create(&threads[rank], NULL, body, &members[rank]), 0);
    }
    for (int rank = 0; rank < company->size; rank++) {
        pthread_join(threads[rank], NULL);
        wrong += members[rank].wrong;
    }
    return wrong;
}

static void *gather_body(void *argument)
{
    struct member *member = argument;
    const struct ww_world *world = &member->company->worlds[member->rank];
    for (int turn = 0; turn < 50; turn++) {
        int mine[2] = {world->rank, turn * 1000 + world->rank}, all[RANKS_MAX][2];
        member->wrong += world->all_gather(world->self, mine, all, sizeof mine) != 0;
        for (int rank = 0; rank < world->size; rank++) {
            member->wrong += all[rank][0] != rank || all[rank][1] != turn * 1000 + rank;
        }
    }
    member->wrong += world->all_gather(world->self, NULL, NULL, 0) != 0;
    return NULL;
}

Test(local, all_gather_brings_everyone_everything_in_rank_order)
{
    for (int size = 1; size <= RANKS_MAX; size++) {
        struct company company;
        company_gather(&company, size);
        cr_expect_eq(in_threads(&company, gather_body), 0, "%d ranks", size);
        company_close(&company);
    }
}

static void *odd_gather_body(void *argument)
{
    struct member *member = argument;
    const struct ww_world *world = &member->company->worlds[member->rank];
    char mine[16] = {0}, all[3 * 16];
    size_t bytes = world->rank == 2 ? 9 : 16;
    member->wrong += world->all_gather(world->self, mine, all, bytes) == 0;
    return NULL;
}

Test(local, all_gather_of_different_sizes_fails_on_every_rank_and_names_them)
{
    struct company company;
    company_gather(&company, 3);
    cr_expect_eq(in_threads(&company, odd_gather_body), 0);
    for (int rank = 0; rank < 3; rank++) {
        expect_line(WW_LOG_ERROR, "all_gather of 16 bytes on rank 0, of 9 bytes on rank 2");
    }
    company_close(&company);
}

/* Sizes of the n-th message from one rank to another, known to both ends. */
static size_t random_bytes(int sender, int receiver, int turn)
{
    uint64_t x = (uint64_t)sender * 1000003u + (uint64_t)receiver * 10007u + (uint64_t)turn;
    x = (x ^ (x >> 13)) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    static const size_t most[] = {1, 64, 257, 3000, 70000};
    return (size_t)(x >> 8) % most[x % LENGTH(most)];
}

#define EXCHANGE_TURNS 60
#define EXCHANGE_BYTES 70000

/* Each turn: a message to and one from every other rank, with up to two turns under way. */
static void *exchange_body(void *argument)
{
    struct member *member = argument;
    struct company *company = member->company;
    const struct ww_transport *transport = company->transport;
    int rank = member->rank, others = company->size - 1;
    void *fabric = open_fabric(company, rank);
    unsigned char *memory = malloc((size_t)4 * RANKS_MAX * EXCHANGE_BYTES);
    struct ww_flight flights[2];
    struct ww_message rounds[2][2 * RANKS_MAX];
    for (int turn = 0; turn < EXCHANGE_TURNS + 2; turn++) {
        int window = turn % 2;
        if (turn >= 2) {
            enum ww_status status;
            while ((status = transport->poll(fabric, &flights[window])) == WW_PENDING) {
                sched_yield();
            }
            member->wrong += status != WW_OK;
            for (int index = others; index < 2 * others; index++) {
                const struct ww_message *message = &rounds[window][index];
                size_t seed = (size_t)(message->peer * 64 + rank + turn - 2);
                member->wrong += !holds(message->memory, message->bytes, seed);
            }
        }
        if (turn >= EXCHANGE_TURNS) {
            continue;
        }
        for (int index = 0; index < others; index++) {
            int peer = (rank + 1 + index) % company->size;
            unsigned char *place = memory +
                                   (size_t)(window * 2 * RANKS_MAX + 2 * index) * EXCHANGE_BYTES;
            struct ww_message *send = &rounds[window][index];
            *send = sending(peer, place, random_bytes(rank, peer, turn));
            fill(place, send->bytes, (size_t)(rank * 64 + peer + turn));
            rounds[window][others + index] = receiving(peer, place + EXCHANGE_BYTES,
                                                       random_bytes(peer, rank, turn));
        }
        member->wrong += transport->post(fabric, window, false, rounds[window], 2 * others,
                                         &flights[window]) != WW_OK;
    }
    transport->close(fabric, false);
    free(memory);
    return NULL;
}

Test(local, eight_threads_exchange_random_sizes_unharmed)
{
    struct company company;
    company_gather(&company, RANKS_MAX);
    cr_expect_eq(in_threads(&company, exchange_body), 0);
    company_close(&company);
}

#define QUIT_BYTES ((size_t)16 << 20)

static atomic_bool about_to_copy;

static void *copier_body(void *argument)
{
    struct member *member = argument;
    struct company *company = member->company;
    unsigned char *memory = malloc(QUIT_BYTES);
    memset(memory, 1, QUIT_BYTES);
    struct ww_message receive = receiving(0, memory, QUIT_BYTES);
    struct ww_flight flight;
    atomic_store(&about_to_copy, true);
    member->wrong += company->transport->post(company->fabrics[1], 0, false, &receive, 1,
                                              &flight) != WW_OK;
    /* Rank 0 may have taken its send back before the copy began. */
    member->wrong += company->transport->poll(company->fabrics[1], &flight) < WW_OK;
    company->transport->close(company->fabrics[1], true);
    company->fabrics[1] = NULL;
    free(memory);
    return NULL;
}

/* Rank 1 copies; rank 0 gives up in the midst of it and unmaps what it had posted. */
Test(local, close_waits_for_a_peer_that_is_copying)
{
    for (int turn = 0; turn < 5; turn++) {
        struct company company;
        company_open(&company, 2);
        unsigned char *memory = memory_reserve(QUIT_BYTES);
        memset(memory, 7, QUIT_BYTES);
        post(&company, 0, 0, sending(1, memory, QUIT_BYTES));
        struct member member = {&company, 1, 0};
        pthread_t thread;
        atomic_store(&about_to_copy, false);
        pthread_create(&thread, NULL, copier_body, &member);
        while (!atomic_load(&about_to_copy)) {
            sched_yield();
        }
        for (int pause = 0; pause < 1000 * turn; pause++) {
            cpu_pause();
        }
        company.transport->close(company.fabrics[0], true);
        company.fabrics[0] = NULL;
        memory_release(memory, QUIT_BYTES);
        pthread_join(thread, NULL);
        cr_expect_eq(member.wrong, 0);
        company_close(&company);
    }
}
