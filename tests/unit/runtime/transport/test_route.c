/* SPDX-License-Identifier: BSD-3-Clause
 * test_route.c: messages go the way of their level, and both ways look like one. Most tests look
 * at rank 0 of four, with fakes for both parts; in the last ones real messages travel. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "allocations.h"
#include "internal/memory.h"
#include "route_fakes.h"
#include "transport/local.h"
#include "transport/route.h"
#include "world.h"

#define RANKS 4
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const struct ww_transport *const route = &ww_route_transport;

static void begin(void)
{
    capture_start();
    fakes_install();
}

TestSuite(route, .init = begin, .fini = capture_finish);

/* ---- Rank 0 of four, whose fabric is open --------------------------------------------------- */

/* Of the test at hand: what rank 0 does with its fabric, which it closes itself. */
struct play {
    const char *hosts; /* [RANKS] a letter for the host of each */
    const struct ww_transport *network;
    void (*act)(void *fabric);
};

static void open_and_act(const struct ww_world *world, void *shared)
{
    const struct play *play = shared;
    struct ww_world own = *world;
    uint8_t peer_level[RANKS];
    void *fabric = NULL;
    own.transport = play->network;
    for (int peer = 0; peer < RANKS; peer++) {
        peer_level[peer] = play->hosts[peer] != play->hosts[world->rank];
    }
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &own,
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = peer_level};
    if (check_status(route->open(&setup, &fabric), WW_OK)) {
        fake_diary[0] = '\0';
        if (world->rank == 0) {
            play->act(fabric);
        } else {
            route->close(fabric, false);
        }
    }
    world_meet(world);
}

static void act_among(const char *hosts, const struct ww_transport *network,
                      void (*act)(void *fabric))
{
    struct play play = {hosts, network, act};
    world_run(RANKS, open_and_act, &play);
}

/* Ranks 0 and 1 share a host, 2 and 3 another one. */
static void act_on_two_hosts(void (*act)(void *fabric))
{
    act_among("aabb", &fake_network, act);
}

static struct ww_message sending(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_SEND, peer, memory, bytes};
}

static struct ww_message receiving(int peer, void *memory, size_t bytes)
{
    return (struct ww_message){WW_RECEIVE, peer, memory, bytes};
}

static unsigned char plain[64];

static void check_diary(const char *wanted)
{
    check(strcmp(fake_diary, wanted) == 0, "%s, instead of %s", fake_diary, wanted);
    fake_diary[0] = '\0';
}

static bool same_message(const struct ww_message *one, const struct ww_message *other)
{
    return one->kind == other->kind && one->peer == other->peer && one->memory == other->memory &&
           one->bytes == other->bytes;
}

/* ---- Posting -------------------------------------------------------------------------------- */

static void post_mixed(void *fabric)
{
    const struct ww_message round[] = {
        sending(2, plain, 1),   sending(1, plain, 2), receiving(3, plain, 3), sending(2, plain, 4),
        receiving(1, plain, 5), sending(1, plain, 6), sending(3, plain, 7)};
    static const int near[] = {1, 4, 5}, far[] = {0, 2, 3, 6};
    struct ww_flight flight;
    check_status(route->post(fabric, 77, true, round, LENGTH(round), &flight), WW_OK);
    check_diary("network posts 4, memory posts 3");
    for (size_t index = 0; index < LENGTH(near); index++) {
        check(same_message(&fake_latest(FAKE_MEMORY)->messages[index], &round[near[index]]),
              "message %zu inside the host is another one", index);
    }
    for (size_t index = 0; index < LENGTH(far); index++) {
        check(same_message(&fake_latest(FAKE_NETWORK)->messages[index], &round[far[index]]),
              "message %zu between hosts is another one", index);
    }
    for (int which = 0; which < FAKES; which++) {
        check(fake_latest(which)->tag == 77 && fake_latest(which)->control, "tag or control");
    }
    route->close(fabric, true);
}

Test(route, a_mixed_round_is_parted_and_keeps_its_order)
{
    act_on_two_hosts(post_mixed);
}

static void post_one_kind(void *fabric)
{
    struct ww_message near[] = {sending(1, plain, 1), receiving(1, plain, 2)};
    struct ww_message far[] = {sending(2, plain, 1), receiving(3, plain, 2), sending(3, plain, 0)};
    struct ww_flight flight;
    check_status(route->post(fabric, 0, false, near, 2, &flight), WW_OK);
    check_diary("memory posts 2");
    check(fake_latest(FAKE_MEMORY)->array == near, "the round was copied");
    check(flight.wait == WW_WAIT_MEMORY, "inside a host one waits for memory");
    check_status(route->post(fabric, 4095, false, far, 3, &flight), WW_OK);
    check_diary("network posts 3");
    check(fake_latest(FAKE_NETWORK)->array == far, "the round was copied");
    check(fake_latest(FAKE_NETWORK)->tag == 4095 && !fake_latest(FAKE_NETWORK)->control, "tag");
    check(flight.wait == WW_WAIT_NETWORK, "between hosts one waits for the network");
    check_status(route->post(fabric, 0, false, far, 0, &flight), WW_OK);
    check_status(route->poll(fabric, &flight), WW_OK); /* a round of nothing is done */
    check_diary("");
    route->close(fabric, true);
}

Test(route, a_round_of_one_kind_is_handed_on_as_it_is)
{
    act_on_two_hosts(post_one_kind);
}

static void post_to_one_part(void *fabric)
{
    struct ww_message round[] = {sending(1, plain, 1), receiving(3, plain, 2)};
    struct ww_flight flight;
    int which = fakes[FAKE_MEMORY].open ? FAKE_MEMORY : FAKE_NETWORK;
    check(fakes[FAKE_MEMORY].open != fakes[FAKE_NETWORK].open, "one part is enough");
    check_status(route->post(fabric, 5, false, round, 2, &flight), WW_OK);
    check(flight.state == fake_latest(which), "the flight is not the part's own");
    check_status(route->poll(fabric, &flight), WW_PENDING);
    fakes[which].waits_for = 3;
    check(route->waits_for(fabric, &flight) == (which == FAKE_MEMORY ? 3 : -1), "waits for");
    fake_latest(which)->answer = WW_OK;
    check_status(route->poll(fabric, &flight), WW_OK);
    route->close(fabric, false);
    check(!fakes[which].open && !fakes[which].closed_as_failed, "close");
}

Test(route, a_fabric_of_one_part_is_that_part)
{
    act_among("aaaa", &fake_network, post_to_one_part);
    act_among("aaaa", NULL, post_to_one_part);
    act_among("abcd", &fake_network, post_to_one_part);
}

/* ---- Polling -------------------------------------------------------------------------------- */

static struct ww_flight posted_mixed(void *fabric)
{
    struct ww_message round[] = {sending(2, plain, 1), receiving(1, plain, 1)};
    struct ww_flight flight = {NULL, WW_WAIT_MEMORY};
    check_status(route->post(fabric, 1, false, round, 2, &flight), WW_OK);
    check(flight.wait == WW_WAIT_NETWORK, "a mixed round waits for the network first");
    return flight;
}

/* First one part is done, then the other, which alone is asked from then on. */
static void poll_in_turn(void *fabric, int first)
{
    struct ww_flight flight = posted_mixed(fabric);
    struct fake_post *early = fake_latest(first), *late = fake_latest(!first);
    check_status(route->poll(fabric, &flight), WW_PENDING);
    check(early->polls == 1 && late->polls == 1, "both are asked");
    early->answer = WW_OK;
    check_status(route->poll(fabric, &flight), WW_PENDING);
    check(flight.wait == (first == FAKE_NETWORK ? WW_WAIT_MEMORY : WW_WAIT_NETWORK),
          "the wait is that of what is left");
    check_status(route->poll(fabric, &flight), WW_PENDING);
    check(early->polls == 2 && late->polls == 3, "what was done is not asked again");
    late->answer = WW_OK;
    check_status(route->poll(fabric, &flight), WW_OK);
    check(flight.state == NULL && early->polls == 2 && late->polls == 4, "the end");
}

static void poll_both_orders(void *fabric)
{
    poll_in_turn(fabric, FAKE_MEMORY);
    poll_in_turn(fabric, FAKE_NETWORK);
    struct ww_flight flight = posted_mixed(fabric);
    fake_latest(FAKE_MEMORY)->answer = fake_latest(FAKE_NETWORK)->answer = WW_OK;
    check_status(route->poll(fabric, &flight), WW_OK);
    route->close(fabric, false);
}

Test(route, a_mixed_flight_is_done_when_both_parts_are)
{
    act_on_two_hosts(poll_both_orders);
}

static void ask_who_is_missing(void *fabric)
{
    struct ww_flight flight = posted_mixed(fabric);
    fakes[FAKE_MEMORY].waits_for = 1;
    fakes[FAKE_NETWORK].waits_for = 2;
    check(route->waits_for(fabric, &flight) == 1, "memory knows");
    fakes[FAKE_MEMORY].waits_for = -1;
    check(route->waits_for(fabric, &flight) == 2, "memory cannot tell, the network can");
    fakes[FAKE_MEMORY].waits_for = 1;
    fake_latest(FAKE_MEMORY)->answer = WW_OK;
    check_status(route->poll(fabric, &flight), WW_PENDING);
    check(route->waits_for(fabric, &flight) == 2, "memory is done");
    fakes[FAKE_NETWORK].waits_for = -1;
    check(route->waits_for(fabric, &flight) == -1, "nobody can tell");
    route->close(fabric, true);
}

static void ask_a_network_that_cannot_tell(void *fabric)
{
    struct ww_flight flight = posted_mixed(fabric);
    fakes[FAKE_MEMORY].waits_for = -1;
    fakes[FAKE_NETWORK].waits_for = 2;
    check(route->waits_for(fabric, &flight) == -1, "a slot that is not there was called");
    route->close(fabric, true);
}

Test(route, whoever_knows_a_missing_peer_names_it)
{
    act_among("aabb", &fake_network_that_reserves, ask_who_is_missing);
    act_on_two_hosts(ask_a_network_that_cannot_tell);
}

/* Flights that end in another order than they began do not mix. */
static void many_under_way(void *fabric)
{
    enum { COUNT = 8 };
    struct ww_flight flights[COUNT];
    struct fake_post *posts[COUNT][FAKES];
    for (int turn = 0; turn < 3; turn++) {
        for (int index = 0; index < COUNT; index++) {
            flights[index] = posted_mixed(fabric);
            posts[index][FAKE_MEMORY] = fake_latest(FAKE_MEMORY);
            posts[index][FAKE_NETWORK] = fake_latest(FAKE_NETWORK);
        }
        for (int index = COUNT - 1; index >= 0; index--) {
            posts[index][FAKE_NETWORK]->answer = WW_OK;
            check_status(route->poll(fabric, &flights[index]), WW_PENDING);
        }
        for (int index = 0; index < COUNT; index++) {
            int place = (index * 5 + turn) % COUNT;
            check_status(route->poll(fabric, &flights[place]), WW_PENDING);
            posts[place][FAKE_MEMORY]->answer = WW_OK;
            check_status(route->poll(fabric, &flights[place]), WW_OK);
        }
    }
    route->close(fabric, false);
}

Test(route, flights_do_not_mix)
{
    act_on_two_hosts(many_under_way);
}

static void work_for_a_while(void *fabric)
{
    struct ww_message mixed[] = {sending(2, plain, 1), receiving(1, plain, 1), sending(3, plain, 9),
                                 sending(1, plain, 1)};
    int before = 0;
    for (int turn = 0; turn < 100; turn++) {
        struct ww_flight flights[4];
        before = turn == 1 ? allocations_made() : before;
        for (int index = 0; index < 4; index++) {
            check_status(
                route->post(fabric, index, index == 3, mixed + index, 4 - index, &flights[index]),
                WW_OK);
            fakes[FAKE_MEMORY].posts[(fakes[FAKE_MEMORY].post_count - 1) % FAKE_POSTS].answer =
                WW_OK;
            fakes[FAKE_NETWORK].posts[(fakes[FAKE_NETWORK].post_count - 1) % FAKE_POSTS].answer =
                WW_OK;
        }
        for (int index = 0; index < 4; index++) {
            check_status(route->poll(fabric, &flights[index]), WW_OK);
        }
        fake_diary[0] = '\0';
    }
    check(before > 0 && allocations_made() == before, "%d allocations after the first turn",
          allocations_made() - before);
    route->close(fabric, false);
}

Test(route, nothing_is_allocated_once_it_has_been_there)
{
    act_on_two_hosts(work_for_a_while);
}

/* ---- Counters ------------------------------------------------------------------------------- */

static void count(void *fabric)
{
    struct ww_traffic traffic[2];
    memset(traffic, 0xee, sizeof traffic);
    fakes[FAKE_MEMORY].traffic[0] = (struct ww_traffic){1000, 10, 1};
    fakes[FAKE_NETWORK].traffic[0] = (struct ww_traffic){30, 3, 5};
    fakes[FAKE_NETWORK].traffic[1] = (struct ww_traffic){2000, 20, 7};
    route->counters(fabric, traffic);
    bool both = fakes[FAKE_MEMORY].open && fakes[FAKE_NETWORK].open;
    check(traffic[0].data_bytes == (both ? 1030 : 30) && traffic[1].data_bytes == 2000, "bytes");
    check(traffic[0].data_messages == (both ? 13 : 3) && traffic[1].data_messages == 20,
          "messages");
    check(traffic[0].control_bytes == (both ? 6 : 5) && traffic[1].control_bytes == 7, "control");
    check(route->control_room(fabric) == WW_CONTROL_BYTES, "no part takes long ones");
    route->close(fabric, false);
}

Test(route, counters_are_sums_by_level)
{
    act_on_two_hosts(count);
    act_among("abcd", &fake_network, count);
}

/* ---- Errors --------------------------------------------------------------------------------- */

static void fail_at_post(void *fabric, int which, const char *diary)
{
    struct ww_message round[] = {sending(2, plain, 1), receiving(1, plain, 1)};
    struct ww_flight flight;
    fakes[which].post_status = WW_TRANSPORT_FAILED;
    check_status(route->post(fabric, 1, false, round, 2, &flight), WW_TRANSPORT_FAILED);
    check_diary(diary);
    route->close(fabric, true);
    check_diary("network closes failed, memory closes failed");
}

static void fail_at_post_of_memory(void *fabric)
{
    fail_at_post(fabric, FAKE_MEMORY, "network posts 1, memory posts 1");
}

static void fail_at_post_of_network(void *fabric)
{
    fail_at_post(fabric, FAKE_NETWORK, "network posts 1");
}

static void fail_at_poll(void *fabric, int which)
{
    for (int other = 0; other < 2; other++) { /* the other part pending, or done */
        struct ww_flight flight = posted_mixed(fabric);
        fake_latest(which)->answer = WW_TRANSPORT_FAILED;
        fake_latest(!which)->answer = other == 0 ? WW_PENDING : WW_OK;
        check_status(route->poll(fabric, &flight), WW_TRANSPORT_FAILED);
    }
    route->close(fabric, true);
}

static void fail_at_poll_of_memory(void *fabric)
{
    fail_at_poll(fabric, FAKE_MEMORY);
}

static void fail_at_poll_of_network(void *fabric)
{
    fail_at_poll(fabric, FAKE_NETWORK);
}

Test(route, an_error_of_either_part_is_the_error_of_the_whole)
{
    act_on_two_hosts(fail_at_post_of_memory);
    act_on_two_hosts(fail_at_post_of_network);
    act_on_two_hosts(fail_at_poll_of_memory);
    act_on_two_hosts(fail_at_poll_of_network);
}

/* ---- Closing -------------------------------------------------------------------------------- */

/* One message that is under way at close(false): must memory stay mapped? */
struct farewell {
    int peer;
    enum ww_message_kind kind;
    bool control;
    size_t offset; /* in shared memory; SIZE_MAX = in plain memory */
    size_t bytes;
    bool done;
    bool stays;
};

static const struct farewell farewells[] = {
    {2, WW_SEND, false, 0, 100, false, true},
    {2, WW_RECEIVE, false, 4096, 1, false, true},
    {2, WW_RECEIVE, true, 0, 256, false, true},
    {2, WW_SEND, true, 0, 256, false, false}, /* control is copied */
    {2, WW_SEND, false, 0, 0, false, false},
    {2, WW_SEND, false, 0, 100, true, false},
    {2, WW_SEND, false, SIZE_MAX, 64, false, false},
    {2, WW_RECEIVE, true, SIZE_MAX, 64, false, false}, /* as an idle gate has them */
    {1, WW_SEND, false, 0, 100, false, false},
};

static _Thread_local const struct farewell *farewell;
static const struct farewell *next_farewell;

static void part_early(void *fabric)
{
    farewell = next_farewell;
    void *memory = farewell->offset == SIZE_MAX ? plain : fake_shared + farewell->offset;
    struct ww_message message = {farewell->kind, farewell->peer, memory, farewell->bytes};
    struct ww_flight flight;
    check_status(route->post(fabric, 1, farewell->control, &message, 1, &flight), WW_OK);
    if (farewell->done) {
        fake_latest(FAKE_NETWORK)->answer = WW_OK;
        check_status(route->poll(fabric, &flight), WW_OK);
    }
    fake_diary[0] = '\0';
    route->close(fabric, false);
    check_diary(farewell->stays ? "network closes, memory closes failed"
                                : "network closes, memory closes");
}

Test(route, memory_stays_where_the_network_may_still_work_in_it)
{
    for (size_t row = 0; row < LENGTH(farewells); row++) {
        next_farewell = &farewells[row];
        act_on_two_hosts(part_early);
    }
}

/* An error at post: nobody knows what the network took of the round. */
static void part_after_an_error(void *fabric)
{
    struct ww_message send = sending(2, plain, 1);
    struct ww_flight flight;
    fakes[FAKE_NETWORK].post_status = WW_TRANSPORT_FAILED;
    check_status(route->post(fabric, 1, false, &send, 1, &flight), WW_TRANSPORT_FAILED);
    fake_diary[0] = '\0';
    route->close(fabric, false);
    check_diary("network closes, memory closes failed");
}

Test(route, after_an_error_memory_stays)
{
    act_on_two_hosts(part_after_an_error);
}

static void reserve_and_ask(void *fabric)
{
    void *memory = NULL;
    check_status(route->reserve(fabric, 4096, &memory), WW_OK);
    check(!route_keeps(memory), "nobody closes");
    fakes[FAKE_NETWORK].asks = memory;
    route->close(fabric, true);
    check(fakes[FAKE_NETWORK].kept, "reserved memory is kept");
    check(!route_keeps(memory), "nobody closes any more");
}

static void reserve_and_ask_for_other_memory(void *fabric)
{
    void *memory = NULL;
    check_status(route->reserve(fabric, 4096, &memory), WW_OK);
    fakes[FAKE_NETWORK].asks = fake_shared + 4096; /* the program's, say */
    route->close(fabric, true);
    check(!fakes[FAKE_NETWORK].kept, "memory of the program is not kept for it");
}

static void reserve_elsewhere_and_ask(void *fabric)
{
    void *memory = NULL;
    check_status(route->reserve(fabric, 4096, &memory), WW_OK);
    fakes[FAKE_NETWORK].asks = memory;
    route->close(fabric, true);
    check(!fakes[FAKE_NETWORK].kept, "plain memory goes with the fabric");
}

Test(route, the_network_learns_which_memory_is_kept)
{
    act_on_two_hosts(reserve_and_ask);
    act_on_two_hosts(reserve_and_ask_for_other_memory);
    act_among("abcd", &fake_network, reserve_elsewhere_and_ask);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static void reserve_from_memory(void *fabric)
{
    void *memory[2] = {NULL, NULL};
    check_status(route->reserve(fabric, 100, &memory[0]), WW_OK);
    check_status(route->reserve(fabric, 200, &memory[1]), WW_OK);
    route->release(fabric, memory[0], 100);
    check_diary("memory reserves 100, memory reserves 200, memory releases 100");
    route->close(fabric, false); /* the rest goes with the part it is from */
}

static void reserve_from_network(void *fabric)
{
    void *memory = NULL;
    check_status(route->reserve(fabric, 100, &memory), WW_OK);
    route->release(fabric, memory, 100);
    check_diary("network reserves 100, network releases 100");
    route->close(fabric, false);
}

static void reserve_plain(void *fabric)
{
    static const size_t rows[] = {1, 4096, 100000, (size_t)5 << 20};
    void *memory[LENGTH(rows)];
    for (size_t row = 0; row < LENGTH(rows); row++) {
        check_status(route->reserve(fabric, rows[row], &memory[row]), WW_OK);
        check((uintptr_t)memory[row] % 4096 == 0, "%zu bytes are not aligned", rows[row]);
        memset(memory[row], 1, rows[row]);
    }
    route->release(fabric, memory[2], rows[2]);
    route->release(fabric, memory[0], rows[0]);
    void *none = plain;
    check_status(route->reserve(fabric, SIZE_MAX, &none), WW_NO_MEMORY);
    check(none == plain, "written although it failed");
    check_diary("");
    route->close(fabric, false); /* gives back the rest */
    check(msync(memory[3], 4096, MS_ASYNC) != 0 && errno == ENOMEM, "it is still mapped");
}

Test(route, memory_is_reserved_where_both_parts_can_use_it)
{
    act_on_two_hosts(reserve_from_memory);
    act_among("aabb", &fake_network_that_reserves, reserve_from_memory);
    act_among("abcd", &fake_network_that_reserves, reserve_from_network);
    act_among("abcd", &fake_network, reserve_plain);
    expect_line(WW_LOG_ERROR, "no memory to reserve");
}

static void use_memory(void *fabric)
{
    uint64_t key = 0;
    unsigned char fetched[2] = {0, 0};
    void *memory = NULL;
    check(route->area(fabric, 1) == fake_shared + 4096, "area");
    check(route->share(fabric, fake_shared + 9, 10, &key) && key == 9, "share");
    check(!route->share(fabric, plain, 10, &key), "plain memory is shared");
    check(route->view(fabric, 2, 9) == fake_shared + 8192 + 9, "view");
    check(route->fetches(fabric), "fetches");
    check_status(route->fetch(fabric, 1, 40, fetched, 1), WW_OK);
    check(fetched[0] == 41 && fetched[1] == 0, "fetch");
    check_status(route->allocate(300, &memory), WW_OK);
    route->deallocate(memory, 300);
    check_diary("memory allocates 300, memory deallocates 300");
    route->close(fabric, false);
}

static void use_no_memory(void *fabric)
{
    uint64_t key = 0;
    void *memory = NULL;
    for (int rank = 0; rank < RANKS; rank++) {
        check(route->area(fabric, rank) == NULL, "an area of rank %d", rank);
    }
    check(!route->share(fabric, fake_shared, 10, &key), "share");
    check(!route->fetches(fabric), "fetches");
    check_status(route->allocate(300, &memory), WW_UNSUPPORTED);
    route->close(fabric, false);
}

Test(route, memory_is_seen_where_it_is_open)
{
    act_on_two_hosts(use_memory);
    act_among("aaaa", NULL, use_memory);
    act_among("abcd", &fake_network, use_no_memory);
}

/* ---- Real messages: two local fabrics stand for both parts ----------------------------------- */

#define TURNS 60
#define TAGS 3

static bool nothing_is_shared(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    (void)self, (void)memory, (void)bytes, (void)key;
    return false;
}

static enum ww_status open_local_quietly(const struct ww_transport_setup *setup, void **fabric,
                                         char *sentence, size_t bytes)
{
    (void)sentence, (void)bytes;
    return ww_local_transport.open(setup, fabric);
}

static size_t bytes_of(int sender, int receiver, int turn)
{
    static const size_t rows[] = {0, 1, 256, 257, 5000, 70000};
    return rows[(size_t)(sender * 7 + receiver * 3 + turn) % LENGTH(rows)];
}

static void stamp(unsigned char *memory, size_t bytes, int sender, int receiver, int turn)
{
    memset(memory, sender * 64 + receiver * 16 + turn % 16, bytes);
}

static bool stamped(const unsigned char *memory, size_t bytes, int sender, int receiver, int turn)
{
    unsigned char wanted[1];
    stamp(wanted, 1, sender, receiver, turn);
    for (size_t index = 0; index < bytes; index++) {
        if (memory[index] != wanted[0]) {
            return false;
        }
    }
    return true;
}

/* Two messages to and from every other rank a turn, in one round; two turns under way. */
struct turn {
    struct ww_message round[4 * RANKS];
    int count;
    struct ww_flight flight;
    unsigned char *memory;
};

static void turn_post(void *fabric, struct turn *turn, int rank, int number)
{
    unsigned char *memory = turn->memory;
    turn->count = 0;
    for (int index = 0; index < 2 * RANKS; index++) {
        int peer = index % RANKS, half = 2 * number + index / RANKS;
        if (peer == rank) {
            continue;
        }
        size_t out = bytes_of(rank, peer, half), in = bytes_of(peer, rank, half);
        stamp(memory, out, rank, peer, half);
        turn->round[turn->count++] = sending(peer, memory, out);
        turn->round[turn->count++] = receiving(peer, memory + out, in);
        memory += out + in;
    }
    check_status(route->post(fabric, number % TAGS, false, turn->round, turn->count, &turn->flight),
                 WW_OK);
}

static void turn_finish(void *fabric, struct turn *turn, int rank, int number)
{
    enum ww_status status;
    while ((status = route->poll(fabric, &turn->flight)) == WW_PENDING) {
        sched_yield();
    }
    check_status(status, WW_OK);
    for (int index = 1; index < turn->count; index += 2) {
        const struct ww_message *message = &turn->round[index];
        int half = 2 * number + (index > turn->count / 2);
        check(stamped(message->memory, message->bytes, message->peer, rank, half),
              "turn %d: rank %d got something else from rank %d", number, rank, message->peer);
    }
}

static void exchange(const struct ww_world *world, void *shared)
{
    const char *hosts = shared;
    uint8_t peer_level[RANKS];
    for (int peer = 0; peer < RANKS; peer++) {
        peer_level[peer] = hosts[peer] != hosts[world->rank];
    }
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = world,
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = peer_level};
    struct turn turns[2] = {{.memory = malloc(4 * RANKS * 70000)},
                            {.memory = malloc(4 * RANKS * 70000)}};
    void *fabric = NULL;
    uint64_t sent[2] = {0, 0};
    check_status(route->open(&setup, &fabric), WW_OK);
    for (int number = 0; number < TURNS + 2; number++) {
        struct turn *turn = &turns[number % 2];
        if (number >= 2) {
            turn_finish(fabric, turn, world->rank, number - 2);
        }
        if (number < TURNS) {
            turn_post(fabric, turn, world->rank, number);
        }
        for (int index = 0; number < TURNS && index < turn->count; index += 2) {
            sent[peer_level[turn->round[index].peer]] += turn->round[index].bytes;
        }
    }
    struct ww_traffic traffic[2];
    route->counters(fabric, traffic);
    check(traffic[0].data_bytes == sent[0] && traffic[1].data_bytes == sent[1],
          "%llu and %llu bytes counted", (unsigned long long)traffic[0].data_bytes,
          (unsigned long long)traffic[1].data_bytes);
    world_meet(world);
    route->close(fabric, false);
    free(turns[0].memory);
    free(turns[1].memory);
}

Test(route, four_ranks_exchange_messages_of_all_sizes_in_order)
{
    static char hosts[][RANKS + 1] = {"aaaa", "aabb", "abab", "abbb", "abcd"};
    static struct ww_transport seen;
    static const struct route_memory memory = {&seen, open_local_quietly};
    seen = ww_local_transport;
    seen.share = nothing_is_shared;
    route_memory_instead = &memory;
    for (size_t row = 0; row < LENGTH(hosts); row++) {
        world_run(RANKS, exchange, hosts[row]);
    }
}
