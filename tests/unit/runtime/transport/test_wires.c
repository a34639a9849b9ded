/* SPDX-License-Identifier: BSD-3-Clause
 * test_wires.c: imitated wires take the time that their rate and latency say. The clock is turned
 * by hand, 1 byte needs 1 ns and a way 500 ns, and mostly one thread drives all ranks. */
#include <stdatomic.h>
#include <string.h>

#include "allocations.h"
#include "internal/fabrics.h"
#include "route_fakes.h"
#include "world.h"

#define RANKS_MAX 6
#define LATENCY 500
#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(wires, .init = capture_start, .fini = capture_finish);

static _Atomic uint64_t now_ns;

static uint64_t clock_by_hand(void)
{
    return atomic_load(&now_ns);
}

/* ---- Ranks on hosts ------------------------------------------------------------------------- */

struct company {
    int size;
    struct ww_local_world *local;
    struct shape *shape; /* one for all ranks */
    struct ww_world worlds[RANKS_MAX];
    int host_of[RANKS_MAX];
    uint8_t levels[RANKS_MAX][RANKS_MAX];
    void *fabrics[RANKS_MAX];
    unsigned char sent[RANKS_MAX][20000];
    unsigned char got[RANKS_MAX][20000];
};
static struct company company;

/* Answers for ranks that are not there: all say the same. */
static int gather_alone(void *self, const void *mine, void *all, size_t bytes)
{
    for (int rank = 0; rank < *(const int *)self; rank++) {
        memcpy((char *)all + (size_t)rank * bytes, mine, bytes);
    }
    return 0;
}

static struct shape_setup usual_setup(const struct ww_world *world, const int *host_of, int hosts)
{
    return (struct shape_setup){.world = world,
                                .host_of = host_of,
                                .hosts = hosts,
                                .byte_s = 1e-9,
                                .latency_s = LATENCY * 1e-9,
                                .clock_ns = clock_by_hand};
}

static void *open_fabric(int rank)
{
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &company.worlds[rank],
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = company.levels[rank]};
    void *fabric = NULL;
    cr_assert_eq(company.worlds[rank].transport->open(&setup, &fabric), WW_OK);
    return fabric;
}

static void company_shape(const char *hosts, const struct shape_setup *wishes)
{
    struct ww_world alone = company.worlds[0];
    struct shape_setup setup = *wishes;
    setup.world = &alone;
    alone.self = &company.size;
    alone.all_gather = gather_alone;
    cr_assert_eq(shape_create(&setup, &company.shape), WW_OK);
    cr_assert_eq(shape_meet(company.shape), WW_OK);
    for (int rank = 0; rank < company.size; rank++) {
        for (int peer = 0; peer < company.size; peer++) {
            company.levels[rank][peer] = hosts[rank] != hosts[peer];
        }
        company.worlds[rank].transport = shape_transport(company.shape);
        company.fabrics[rank] = open_fabric(rank);
    }
}

/* A letter for each rank's host, from a on. */
static void company_gather(const char *hosts, double byte_s, bool apart)
{
    int count = 0;
    memset(&company, 0, sizeof company);
    atomic_store(&now_ns, 0);
    company.size = (int)strlen(hosts);
    cr_assert_eq(ww_local_world_create(company.size, &company.local), WW_OK);
    for (int rank = 0; rank < company.size; rank++) {
        cr_assert_eq(ww_local_world_rank(company.local, rank, &company.worlds[rank]), WW_OK);
        company.host_of[rank] = hosts[rank] - 'a';
        count = hosts[rank] - 'a' >= count ? hosts[rank] - 'a' + 1 : count;
    }
    struct shape_setup setup = usual_setup(NULL, company.host_of, count);
    setup.byte_s = byte_s;
    setup.apart = apart;
    company_shape(hosts, &setup);
}

static void company_part(void)
{
    for (int rank = 0; rank < company.size; rank++) {
        shape_transport(company.shape)->close(company.fabrics[rank], false);
    }
    shape_destroy(company.shape);
    ww_local_world_destroy(company.local);
}

static struct ww_flight post(int rank, struct ww_message message)
{
    struct ww_flight flight = {NULL, WW_WAIT_MEMORY};
    cr_assert_eq(
        shape_transport(company.shape)->post(company.fabrics[rank], 7, false, &message, 1, &flight),
        WW_OK);
    return flight;
}

static struct ww_flight post_send(int from, int to, size_t bytes)
{
    return post(from, (struct ww_message){WW_SEND, to, company.sent[from], bytes});
}

static struct ww_flight post_receive(int rank, int from, size_t bytes)
{
    return post(rank, (struct ww_message){WW_RECEIVE, from, company.got[rank], bytes});
}

static enum ww_status poll_at(uint64_t time_ns, int rank, struct ww_flight *flight)
{
    atomic_store(&now_ns, time_ns);
    return shape_transport(company.shape)->poll(company.fabrics[rank], flight);
}

/* The flight is done at that time and not before. */
static void expect_done_at(uint64_t time_ns, int rank, struct ww_flight flight)
{
    if (time_ns > 0) {
        cr_expect_eq(poll_at(time_ns - 1, rank, &flight), WW_PENDING, "before %llu",
                     (unsigned long long)time_ns);
        cr_expect_eq(flight.wait, WW_WAIT_NETWORK);
    }
    cr_expect_eq(poll_at(time_ns, rank, &flight), WW_OK, "not at %llu",
                 (unsigned long long)time_ns);
}

/* ---- Time ----------------------------------------------------------------------------------- */

Test(wires, a_message_takes_its_bytes_and_the_way)
{
    static const struct {
        double byte_s;
        size_t bytes;
        uint64_t sent;
        uint64_t received;
    } examples[] = {
        {1e-9, 1000, 1000, 1500}, {1e-9, 1, 1, 501},      {1e-9, 0, 0, 500},
        {0, 20000, 0, 500},       {8e-9, 100, 800, 1300}, {1e-10, 1, 1, 501},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        company_gather("ab", examples[i].byte_s, false);
        struct ww_flight received = post_receive(1, 0, examples[i].bytes);
        struct ww_flight sent = post_send(0, 1, examples[i].bytes);
        cr_expect_eq(sent.wait, WW_WAIT_NETWORK);
        expect_done_at(examples[i].sent, 0, sent);
        expect_done_at(examples[i].received, 1, received);
        company_part();
    }
}

/* Who receives looks first: only looking makes a message take its turn. */
Test(wires, messages_share_the_ports_of_hosts)
{
    static const struct {
        const char *hosts;
        int from[2];
        int to[2];
        bool apart;
        uint64_t sent[2];
        uint64_t received[2];
    } examples[] = {
        /* One after the other; two that leave; two that come; both directions; strangers. */
        {"ab", {0, 0}, {1, 1}, false, {1000, 2000}, {1500, 2500}},
        {"abc", {0, 0}, {1, 2}, false, {1000, 2000}, {1500, 2500}},
        {"abc", {1, 2}, {0, 0}, false, {1000, 1000}, {1500, 2500}},
        {"ab", {0, 1}, {1, 0}, false, {1000, 1000}, {1500, 1500}},
        {"abcd", {0, 1}, {2, 3}, false, {1000, 1000}, {1500, 1500}},
        /* Ranks of one host. */
        {"aabb", {0, 1}, {2, 3}, false, {1000, 2000}, {1500, 2500}},
        {"aabc", {2, 3}, {0, 1}, false, {1000, 1000}, {1500, 2500}},
        /* Each with half of the rate. */
        {"aabb", {0, 0}, {2, 2}, true, {2000, 4000}, {2500, 4500}},
        {"aab", {2, 0}, {0, 2}, true, {2000, 2000}, {2500, 2500}},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct ww_flight received[2], sent[2];
        company_gather(examples[i].hosts, 1e-9, examples[i].apart);
        for (int k = 0; k < 2; k++) {
            received[k] = post_receive(examples[i].to[k], examples[i].from[k], 1000);
            sent[k] = post_send(examples[i].from[k], examples[i].to[k], 1000);
        }
        for (int k = 0; k < 2; k++) {
            expect_done_at(examples[i].sent[k], examples[i].from[k], sent[k]);
        }
        for (int k = 0; k < 2; k++) {
            expect_done_at(examples[i].received[k], examples[i].to[k], received[k]);
        }
        company_part();
    }
}

Test(wires, nobody_waits_behind_what_has_not_come)
{
    company_gather("abc", 1e-9, false);
    struct ww_flight first = post_receive(1, 0, 10000);
    struct ww_flight late = post_receive(2, 0, 1000);
    struct ww_flight soon = post_receive(2, 1, 1000);
    struct ww_flight sent[3] = {post_send(0, 1, 10000), post_send(0, 2, 1000),
                                post_send(1, 2, 1000)};
    cr_expect_eq(poll_at(1400, 2, &late), WW_PENDING);
    expect_done_at(1500, 2, soon);
    expect_done_at(10500, 1, first);
    expect_done_at(11500, 2, late);
    for (int k = 0; k < 3; k++) {
        cr_expect_eq(poll_at(20000, k == 2, &sent[k]), WW_OK);
    }
    company_part();
}

Test(wires, who_looks_late_loses_nothing)
{
    company_gather("ab", 1e-9, false);
    struct ww_flight received[3], sent[3];
    for (int k = 0; k < 3; k++) {
        received[k] = post_receive(1, 0, 1000);
        sent[k] = post_send(0, 1, 1000);
    }
    for (int k = 0; k < 3; k++) {
        cr_expect_eq(poll_at(3500, 1, &received[k]), WW_OK, "message %d", k);
        cr_expect_eq(poll_at(3500, 0, &sent[k]), WW_OK, "message %d", k);
    }
    company_part();
}

Test(wires, an_idle_port_saves_nothing_up)
{
    company_gather("ab", 1e-9, false);
    atomic_store(&now_ns, 50000);
    struct ww_flight received = post_receive(1, 0, 1000);
    struct ww_flight sent = post_send(0, 1, 1000);
    expect_done_at(51000, 0, sent);
    expect_done_at(51500, 1, received);
    company_part();
}

Test(wires, a_short_control_message_takes_its_own_bytes)
{
    company_gather("ab", 1e-9, false);
    const struct ww_transport *transport = shape_transport(company.shape);
    struct ww_message come = {WW_RECEIVE, 0, company.got[1], 5000};
    struct ww_message go = {WW_SEND, 1, company.sent[0], 1000};
    struct ww_flight received, sent;
    cr_expect_eq(transport->control_room(company.fabrics[0]), FABRIC_CONTROL_ROOM);
    cr_assert_eq(transport->post(company.fabrics[1], 1, true, &come, 1, &received), WW_OK);
    cr_assert_eq(transport->post(company.fabrics[0], 1, true, &go, 1, &sent), WW_OK);
    expect_done_at(1000, 0, sent);
    expect_done_at(1500, 1, received);
    company_part();
}

Test(wires, messages_inside_a_host_are_as_they_were)
{
    company_gather("aab", 1e-9, false);
    struct ww_flight received = post_receive(1, 0, 1000);
    struct ww_flight sent = post_send(0, 1, 1000);
    cr_expect_eq(sent.wait, WW_WAIT_MEMORY);
    expect_done_at(0, 0, sent);
    expect_done_at(0, 1, received);
    company_part();
}

/* ---- Order and counts ----------------------------------------------------------------------- */

/* One end posts a round of three, the other three rounds, and a neighbour is in between. */
Test(wires, order_stays_however_rounds_are_cut)
{
    company_gather("aab", 1e-9, false);
    unsigned char values[3] = {1, 2, 3}, got[3] = {0, 0, 0}, inside = 9, seen = 0;
    struct ww_message round[4] = {{WW_SEND, 2, &values[0], 1},
                                  {WW_SEND, 2, &values[1], 1},
                                  {WW_SEND, 1, &inside, 1},
                                  {WW_SEND, 2, &values[2], 1}};
    struct ww_flight received[3], sent;
    for (int k = 0; k < 3; k++) {
        received[k] = post(2, (struct ww_message){WW_RECEIVE, 0, &got[k], 1});
    }
    struct ww_flight near = post(1, (struct ww_message){WW_RECEIVE, 0, &seen, 1});
    cr_assert_eq(shape_transport(company.shape)
                     ->post(company.fabrics[0], 7, false, round, LENGTH(round), &sent),
                 WW_OK);
    cr_expect_eq(poll_at(0, 1, &near), WW_OK);
    for (int k = 2; k >= 0; k--) {
        cr_expect_eq(poll_at(1000, 2, &received[k]), WW_OK);
        cr_expect_eq(got[k], values[k], "place %d got %d", k, got[k]);
    }
    cr_expect_eq(seen, 9);
    cr_expect_eq(poll_at(1000, 0, &sent), WW_OK);
    company_part();
}

Test(wires, notes_are_not_counted)
{
    company_gather("aab", 1e-9, false);
    const struct ww_transport *transport = shape_transport(company.shape);
    struct ww_message round[3] = {{WW_SEND, 1, company.sent[0], 100},
                                  {WW_SEND, 2, company.sent[0], 200},
                                  {WW_SEND, 2, company.sent[0], 50}};
    struct ww_flight data, control;
    struct ww_traffic traffic[2];
    cr_assert_eq(transport->post(company.fabrics[0], 1, false, round, 3, &data), WW_OK);
    cr_assert_eq(transport->post(company.fabrics[0], 2, true, round + 1, 1, &control), WW_OK);
    transport->counters(company.fabrics[0], traffic);
    cr_expect_eq(traffic[0].data_bytes, 100);
    cr_expect_eq(traffic[0].data_messages, 1);
    cr_expect_eq(traffic[1].data_bytes, 250);
    cr_expect_eq(traffic[1].data_messages, 2);
    cr_expect_eq(traffic[1].control_bytes, 200);
    company_part();
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static int gather_with_trouble(void *self, const void *mine, void *all, size_t bytes)
{
    static int rounds;
    gather_alone(self, mine, all, bytes);
    if (rounds++ == 1) {
        memset((char *)all + 2 * bytes, 1, bytes);
    }
    return 0;
}

Test(wires, where_memory_is_refused_each_rank_has_its_part)
{
    company_gather("aabb", 1e-9, true);
    struct ww_world alone = company.worlds[0];
    alone.transport = &ww_local_transport;
    alone.self = &company.size;
    alone.all_gather = gather_with_trouble;
    struct shape_setup setup = usual_setup(&alone, company.host_of, 2);
    struct shape *shape = NULL;
    cr_assert_eq(shape_create(&setup, &shape), WW_OK);
    cr_expect_eq(shape_meet(shape), WW_OK);
    expect_line(WW_LOG_WARN, "cannot share its port (rank 2: ");
    shape_destroy(shape);
    company_part();
}

#define TIMES 6

struct rush {
    bool apart;
    atomic_int sent[TIMES]; /* flights that were done at each time and not before */
    atomic_int received[TIMES];
};

/* Ranks with a shape each send from one host to the other, two at once. */
static void send_at_once(const struct ww_world *world, void *shared)
{
    static const int host_of[4] = {0, 0, 1, 1};
    static const uint8_t levels[2][4] = {{0, 0, 1, 1}, {1, 1, 0, 0}};
    struct rush *rush = shared;
    unsigned char values[1000] = {0};
    struct ww_world shaped = *world;
    struct shape *shape = NULL;
    struct shape_setup setup = usual_setup(world, host_of, 2);
    setup.apart = rush->apart;
    void *fabric = NULL;
    if (!check_status(shape_create(&setup, &shape), WW_OK) ||
        !check_status(shape_meet(shape), WW_OK)) {
        return;
    }
    shaped.transport = shape_transport(shape);
    struct ww_transport_setup opening = {.struct_bytes = sizeof opening,
                                         .world = &shaped,
                                         .levels = 2,
                                         .host_levels = 1,
                                         .peer_level = levels[world->rank / 2]};
    check_status(shaped.transport->open(&opening, &fabric), WW_OK);
    bool sends = world->rank < 2;
    struct ww_message message = {sends ? WW_SEND : WW_RECEIVE, (world->rank + 2) % 4, values,
                                 sizeof values};
    struct ww_flight flight;
    world_meet(world);
    check_status(shaped.transport->post(fabric, 0, false, &message, 1, &flight), WW_OK);
    static const uint64_t times[TIMES] = {999, 1000, 1500, 2000, 2499, 2500};
    bool over = false;
    for (size_t i = 0; i < TIMES; i++) {
        world_meet(world);
        atomic_store(&now_ns, times[i]);
        world_meet(world);
        if (!over && shaped.transport->poll(fabric, &flight) == WW_OK) {
            over = true;
            atomic_fetch_add(sends ? &rush->sent[i] : &rush->received[i], 1);
        }
    }
    check(over, "rank %d is not done", world->rank);
    world_meet(world);
    shaped.transport->close(fabric, false);
    shape_destroy(shape);
}

/* Of two that find one port, one waits; with half a port each is half as fast. */
Test(wires, ranks_find_the_ports_of_their_host)
{
    static const struct {
        bool apart;
        int sent[TIMES];
        int received[TIMES];
    } examples[] = {
        {false, {0, 1, 0, 1, 0, 0}, {0, 0, 1, 0, 0, 1}},
        {true, {0, 0, 0, 2, 0, 0}, {0, 0, 0, 0, 0, 2}},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct rush rush = {.apart = examples[i].apart};
        atomic_store(&now_ns, 0);
        world_run(4, send_at_once, &rush);
        for (int time = 0; time < TIMES; time++) {
            cr_expect_eq(rush.sent[time], examples[i].sent[time], "%d sends at time %d",
                         rush.sent[time], time);
            cr_expect_eq(rush.received[time], examples[i].received[time], "%d receives at time %d",
                         rush.received[time], time);
        }
    }
}

/* ---- The fabric below ----------------------------------------------------------------------- */

Test(wires, what_the_fabric_below_says_is_handed_on)
{
    static const int host_of[2] = {0, 1};
    static const uint8_t levels[2] = {0, 1};
    struct ww_world world = WW_WORLD_INIT;
    world.size = 2;
    world.transport = &fake_network;
    atomic_store(&now_ns, 0);
    struct shape_setup setup = usual_setup(&world, host_of, 2);
    struct shape *shape = NULL;
    cr_assert_eq(shape_create(&setup, &shape), WW_OK);
    const struct ww_transport *transport = world.transport = shape_transport(shape);
    cr_expect_str_eq(transport->name, "shaped network");
    cr_expect(transport->yields_to_memory);
    cr_expect_null(transport->reserve);
    cr_expect_null(transport->area);
    struct ww_transport_setup opening = {
        .struct_bytes = sizeof opening, .world = &world, .levels = 2, .host_levels = 1};
    opening.peer_level = levels;
    fakes[FAKE_NETWORK].trouble = "it is shy";
    cr_expect_str_eq(transport->thread_trouble(&opening), "it is shy");
    void *fabric = NULL;
    fakes[FAKE_NETWORK].open_status = WW_UNSUPPORTED;
    fakes[FAKE_NETWORK].sentence = "closed today";
    cr_expect_eq(transport->open(&opening, &fabric), WW_UNSUPPORTED);
    expect_line(WW_LOG_ERROR, "closed today");
    fakes[FAKE_NETWORK].open_status = WW_OK;
    fake_diary[0] = '\0';
    allocations_left = 1;
    cr_expect_eq(transport->open(&opening, &fabric), WW_NO_MEMORY);
    expect_line(WW_LOG_ERROR, "no memory for imitated wires between 2 ranks");
    cr_expect_str_eq(fake_diary, "network opens, network closes failed",
                     "peers wait there: this rank must not be missing");
    cr_assert_eq(transport->open(&opening, &fabric), WW_OK);

    unsigned char value = 0;
    struct ww_message message = {WW_SEND, 1, &value, 1};
    struct ww_flight flight = {NULL, WW_WAIT_MEMORY};
    cr_assert_eq(transport->post(fabric, 3, false, &message, 1, &flight), WW_OK);
    struct fake_post *below = fake_latest(FAKE_NETWORK);
    cr_expect_eq(below->count, 2);
    cr_expect_eq(below->messages[0].bytes, 2 * sizeof(uint64_t), "a note goes ahead");
    cr_expect_eq(below->messages[1].memory, (void *)&value);
    cr_expect_eq(transport->poll(fabric, &flight), WW_PENDING);
    cr_expect_eq(transport->waits_for(fabric, &flight), -1, "the one below cannot tell");
    below->answer = WW_OK;
    cr_expect_eq(transport->poll(fabric, &flight), WW_PENDING);
    cr_expect_eq(transport->waits_for(fabric, &flight), 1);
    atomic_store(&now_ns, 1);
    cr_expect_eq(transport->poll(fabric, &flight), WW_OK);
    cr_assert_eq(transport->post(fabric, 3, false, &message, 1, &flight), WW_OK);
    fake_latest(FAKE_NETWORK)->answer = WW_PEER_FAILED;
    cr_expect_eq(transport->poll(fabric, &flight), WW_PEER_FAILED);
    transport->close(fabric, true);
    cr_expect(fakes[FAKE_NETWORK].closed_as_failed);
    shape_destroy(shape);
}

Test(wires, without_a_transport_there_is_nothing_to_shape)
{
    static const int host_of[2] = {0, 1};
    struct ww_world world = WW_WORLD_INIT;
    world.size = 2;
    struct shape_setup setup = usual_setup(&world, host_of, 2);
    struct shape *shape = NULL;
    cr_expect_eq(shape_create(&setup, &shape), WW_UNSUPPORTED);
    cr_expect_null(shape);
    expect_line(WW_LOG_ERROR, "the world of 2 ranks names none: make it with ww_mpi_world");
}
