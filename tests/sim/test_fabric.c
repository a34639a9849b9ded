/* SPDX-License-Identifier: BSD-3-Clause
 * test_fabric.c: the simulated fabric itself: order, time, faults, and what it complains about. */
#include <criterion/criterion.h>
#include <string.h>

#include "sim_transport.h"

#define NS_PER_S UINT64_C(1000000000)

/* Two ranks on one level, by hand. */
struct pair {
    struct sim *sim;
    void *fabrics[2];
};

static const uint8_t one_level[2];

static struct pair open_pair(const struct sim_options *options)
{
    struct pair pair = {.sim = sim_create(options)};
    cr_assert_not_null(pair.sim);
    for (int rank = 0; rank < 2; rank++) {
        struct ww_world world;
        sim_world(pair.sim, rank, &world);
        struct ww_transport_setup setup = {.struct_bytes = sizeof(setup),
                                           .world = &world,
                                           .levels = 1,
                                           .host_levels = 1,
                                           .peer_level = one_level};
        cr_assert_eq(sim_transport.open(&setup, &pair.fabrics[rank]), WW_OK);
    }
    return pair;
}

static void close_pair(struct pair *pair)
{
    for (int rank = 0; rank < 2; rank++) {
        sim_transport.close(pair->fabrics[rank], false);
    }
    sim_destroy(pair->sim);
}

static struct ww_flight post_one(struct pair *pair, int rank, enum ww_message_kind kind, int tag,
                                 void *memory, size_t bytes)
{
    struct ww_message message = {kind, 1 - rank, memory, bytes};
    struct ww_flight flight;
    sim_transport.post(pair->fabrics[rank], tag, false, &message, 1, &flight);
    return flight;
}

static enum ww_status poll_one(struct pair *pair, int rank, struct ww_flight *flight)
{
    return sim_transport.poll(pair->fabrics[rank], flight);
}

static void deliver_all(struct pair *pair)
{
    int affected[2];
    while (sim_deliver(pair->sim, NS_PER_S, affected) > 0) {
    }
}

Test(fabric, nothing_is_there_before_both_posted_and_the_time_has_come)
{
    struct sim_options options = sim_options(2, 1);
    options.links[0] = (struct sim_link){.latency_ns = 1000, .jitter_ns = 0, .ns_per_byte = 2.0};
    struct pair pair = open_pair(&options);
    char sent[100] = "gradient";
    char received[100] = "";
    struct ww_flight send = post_one(&pair, 0, WW_SEND, 3, sent, sizeof(sent));
    deliver_all(&pair);
    cr_expect_eq(poll_one(&pair, 0, &send), WW_PENDING);
    cr_expect_eq(sim_transport.waits_for(pair.fabrics[0], &send), 1);
    uint64_t begun = sim_now_ns(pair.sim);
    struct ww_flight receive = post_one(&pair, 1, WW_RECEIVE, 3, received, sizeof(received));
    int affected[2];
    cr_expect_eq(poll_one(&pair, 1, &receive), WW_PENDING);
    cr_expect_eq(sim_deliver(pair.sim, begun + 1200, affected), 0);
    cr_expect_eq(poll_one(&pair, 1, &receive), WW_PENDING);
    cr_expect_eq(sim_deliver(pair.sim, begun + 1201, affected), 2);
    cr_expect_eq(sim_now_ns(pair.sim) - begun, 1000 + 2 * 100 + 1);
    cr_expect_eq(poll_one(&pair, 0, &send), WW_OK);
    cr_expect_eq(poll_one(&pair, 1, &receive), WW_OK);
    cr_expect_str_eq(received, "gradient");
    close_pair(&pair);
}

Test(fabric, one_pair_and_tag_stays_in_order_while_others_overtake)
{
    int overtaken = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct sim_options options = sim_options(2, seed);
        struct pair pair = open_pair(&options);
        int sent[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        int received[8];
        struct ww_flight sends[8];
        struct ww_flight receives[8];
        for (int i = 0; i < 8; i++) {
            sends[i] = post_one(&pair, 0, WW_SEND, i % 2, &sent[i], sizeof(int));
            receives[i] = post_one(&pair, 1, WW_RECEIVE, i % 2, &received[i], sizeof(int));
        }
        int affected[2];
        bool done[8] = {false};
        while (sim_deliver(pair.sim, NS_PER_S, affected) > 0) {
            for (int i = 0; i < 8; i++) {
                done[i] = done[i] || poll_one(&pair, 1, &receives[i]) == WW_OK;
                cr_expect(i < 2 || !done[i] || done[i - 2], "seed %llu: %d before %d",
                          (unsigned long long)seed, i, i - 2);
                overtaken += i > 0 && done[i] && !done[i - 1];
            }
        }
        for (int i = 0; i < 8; i++) {
            cr_expect_eq(received[i], i);
            cr_expect_eq(poll_one(&pair, 0, &sends[i]), WW_OK);
        }
        close_pair(&pair);
    }
    cr_expect(overtaken > 20, "only %d messages overtook another", overtaken);
}

Test(fabric, sizes_that_differ_are_an_error_on_both_ends)
{
    struct sim_options options = sim_options(2, 1);
    struct pair pair = open_pair(&options);
    char memory[2][16] = {{0}};
    struct ww_flight send = post_one(&pair, 0, WW_SEND, 0, memory[0], 16);
    struct ww_flight receive = post_one(&pair, 1, WW_RECEIVE, 0, memory[1], 8);
    cr_expect_eq(poll_one(&pair, 0, &send), WW_TRANSPORT_FAILED);
    cr_expect_eq(poll_one(&pair, 1, &receive), WW_TRANSPORT_FAILED);
    cr_expect_not_null(strstr(sim_complaint(pair.sim), "16 bytes to rank 1, which expects 8"));
    close_pair(&pair);
}

Test(fabric, lent_memory_that_changes_is_noticed)
{
    struct sim_options options = sim_options(2, 1);
    struct pair pair = open_pair(&options);
    char memory[2][16] = {{0}};
    post_one(&pair, 0, WW_SEND, 0, memory[0], 16);
    post_one(&pair, 1, WW_RECEIVE, 0, memory[1], 16);
    memory[0][5] = 1;
    deliver_all(&pair);
    cr_expect_not_null(strstr(sim_complaint(pair.sim), "rank 0 changed the 16 bytes"));
    close_pair(&pair);
}

Test(fabric, memory_lent_twice_is_noticed)
{
    struct sim_options options = sim_options(2, 1);
    struct pair pair = open_pair(&options);
    char memory[16] = {0};
    post_one(&pair, 0, WW_RECEIVE, 0, memory, 16);
    post_one(&pair, 0, WW_SEND, 1, memory + 15, 1);
    cr_expect_not_null(strstr(sim_complaint(pair.sim), "that it lent"));
    close_pair(&pair);
}

Test(fabric, a_buffered_send_is_done_at_once_and_arrives_after_its_memory_changed)
{
    struct sim_options options = sim_options(2, 1);
    options.eager_bytes = 64;
    struct pair pair = open_pair(&options);
    char sent[8] = "first";
    char received[8] = "";
    struct ww_flight send = post_one(&pair, 0, WW_SEND, 0, sent, sizeof(sent));
    cr_expect_eq(poll_one(&pair, 0, &send), WW_OK);
    strcpy(sent, "other");
    struct ww_flight receive = post_one(&pair, 1, WW_RECEIVE, 0, received, sizeof(received));
    deliver_all(&pair);
    cr_expect_eq(poll_one(&pair, 1, &receive), WW_OK);
    cr_expect_str_eq(received, "first");
    cr_expect_str_empty(sim_complaint(pair.sim), "%s", sim_complaint(pair.sim));
    close_pair(&pair);
}

Test(fabric, the_dead_say_and_hear_nothing)
{
    struct sim_options options = sim_options(2, 1);
    options.dying_rank = 0;
    options.dies_after_posts = 1;
    struct pair pair = open_pair(&options);
    char memory[4][8] = {{0}};
    struct ww_flight sent = post_one(&pair, 0, WW_SEND, 0, memory[0], 8);
    struct ww_flight late = post_one(&pair, 0, WW_RECEIVE, 1, memory[1], 8);
    struct ww_flight hears = post_one(&pair, 1, WW_RECEIVE, 0, memory[2], 8);
    struct ww_flight says = post_one(&pair, 1, WW_SEND, 1, memory[3], 8);
    deliver_all(&pair);
    cr_expect(sim_is_dead(pair.sim, 0));
    cr_expect_not(sim_is_dead(pair.sim, 1));
    cr_expect_eq(poll_one(&pair, 0, &sent), WW_PENDING);
    cr_expect_eq(poll_one(&pair, 0, &late), WW_PENDING);
    cr_expect_eq(poll_one(&pair, 1, &hears), WW_PENDING);
    cr_expect_eq(poll_one(&pair, 1, &says), WW_PENDING);
    close_pair(&pair);
}

Test(fabric, a_rank_sends_one_message_at_a_time_over_a_wire)
{
    struct sim_options options = sim_options(2, 1);
    options.links[0] = (struct sim_link){.latency_ns = 0, .jitter_ns = 0, .ns_per_byte = 1.0};
    struct pair pair = open_pair(&options);
    static char memory[2][4][1000];
    for (int i = 0; i < 4; i++) {
        post_one(&pair, 0, WW_SEND, i, memory[0][i], 1000);
        post_one(&pair, 1, WW_RECEIVE, i, memory[1][i], 1000);
    }
    int affected[2];
    for (uint64_t i = 1; i <= 4; i++) {
        cr_expect_eq(sim_deliver(pair.sim, NS_PER_S, affected), 2);
        cr_expect_eq(sim_now_ns(pair.sim), i * 1000 + 1);
    }
    close_pair(&pair);
}
