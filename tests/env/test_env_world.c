/* SPDX-License-Identifier: BSD-3-Clause
 * test_env_world.c: how ranks meet over sockets, and every way in which they do not. Ranks are
 * threads here: a world does not care. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <wirewise/env.h>

#include "capture.h"
#include "port.h"
#include "transport/env_world.h"

#define RANKS_MAX 24

TestSuite(env_world, .init = capture_start, .fini = capture_finish);

struct rank {
    pthread_t thread;
    struct ww_env env;
    struct ww_env_world *made;
    struct ww_world world;
    enum ww_status status;
    int gathered; /* what all_gather returned */
    char sentence[1024];
    struct timespec begin, end;
    void (*then)(struct rank *); /* with the world; NULL = nothing */
};

struct ranks {
    struct port_address address;
    int count;
    struct rank rank[RANKS_MAX];
};

/* Says of `count` ranks that they are of a world of `size`. */
static void ranks_init(struct ranks *ranks, int count, int size)
{
    memset(ranks, 0, sizeof *ranks);
    ranks->address = port_free();
    ranks->count = count;
    for (int number = 0; number < count; number++) {
        ranks->rank[number].env = (struct ww_env)WW_ENV_INIT;
        ranks->rank[number].env.rank = number;
        ranks->rank[number].env.size = size;
        ranks->rank[number].env.address = ranks->address.text;
        ranks->rank[number].env.job = "a test";
        ranks->rank[number].env.timeout_s = 20;
    }
}

static void *run_rank(void *argument)
{
    struct rank *rank = argument;
    clock_gettime(CLOCK_MONOTONIC, &rank->begin);
    rank->status = ww_env_world_create(&rank->env, &rank->made, &rank->world);
    if (rank->status == WW_OK && rank->then != NULL) {
        rank->then(rank);
    }
    clock_gettime(CLOCK_MONOTONIC, &rank->end);
    snprintf(rank->sentence, sizeof rank->sentence, "%s", ww_last_error(NULL));
    return NULL;
}

static void ranks_start(struct ranks *ranks)
{
    for (int number = 0; number < ranks->count; number++) {
        pthread_create(&ranks->rank[number].thread, NULL, run_rank, &ranks->rank[number]);
    }
}

static void ranks_join(struct ranks *ranks)
{
    for (int number = 0; number < ranks->count; number++) {
        pthread_join(ranks->rank[number].thread, NULL);
    }
    for (int number = 0; number < ranks->count; number++) {
        ww_env_world_destroy(ranks->rank[number].made);
    }
}

static void ranks_run(struct ranks *ranks)
{
    ranks_start(ranks);
    ranks_join(ranks);
}

static double seconds(const struct rank *rank)
{
    return (double)(rank->end.tv_sec - rank->begin.tv_sec) +
           (double)(rank->end.tv_nsec - rank->begin.tv_nsec) * 1e-9;
}

static void forgive(void)
{
    while (capture_take(WW_LOG_ERROR, "") != NULL || capture_take(WW_LOG_WARN, "") != NULL) {
    }
}

static void expect_rank(const struct rank *rank, enum ww_status wanted, const char *words)
{
    cr_expect(rank->status == wanted && strstr(rank->sentence, words) != NULL,
              "rank %d: %s, \"%s\" instead of %s, \"%s\"", rank->env.rank,
              ww_status_name(rank->status), rank->sentence, ww_status_name(wanted), words);
}

/* ---- Gathering ------------------------------------------------------------------------------ */

static const size_t sizes[] = {1, 0, 8, 100000, 3, (size_t)3 << 20, 64};

static void gather_all_sizes(struct rank *rank)
{
    size_t size = (size_t)rank->world.size;
    for (size_t row = 0; row < sizeof sizes / sizeof *sizes; row++) {
        size_t bytes = sizes[row];
        unsigned char *mine = malloc(bytes + 1), *all = malloc(bytes * size + 1);
        memset(mine, rank->world.rank + (int)row, bytes);
        all[bytes * size] = 42;
        rank->gathered += rank->world.all_gather(rank->world.self, mine, all, bytes);
        for (size_t at = 0; at < bytes * size; at++) {
            rank->gathered += all[at] != (unsigned char)(at / bytes + row);
        }
        rank->gathered += all[bytes * size] != 42;
        free(mine);
        free(all);
    }
}

static void expect_gathers(const struct ranks *ranks, int count)
{
    for (int number = 0; number < count; number++) {
        const struct rank *rank = &ranks->rank[number];
        cr_expect(rank->status == WW_OK && rank->gathered == 0, "rank %d of %d: %s, %d wrong",
                  number, count, ww_status_name(rank->status), rank->gathered);
        cr_expect(rank->world.rank == number && rank->world.size == count);
    }
}

Test(env_world, everybody_gets_what_all_bring)
{
    static const int worlds[] = {1, 2, 3, 8, RANKS_MAX};
    for (size_t row = 0; row < sizeof worlds / sizeof *worlds; row++) {
        struct ranks ranks;
        ranks_init(&ranks, worlds[row], worlds[row]);
        for (int number = 0; number < worlds[row]; number++) {
            ranks.rank[number].then = worlds[row] < 10 ? gather_all_sizes : NULL;
        }
        ranks_run(&ranks);
        expect_gathers(&ranks, worlds[row]);
    }
    expect_no_warnings();
}

Test(env_world, one_address_serves_one_world_after_the_other)
{
    struct ranks first, second;
    ranks_init(&first, 3, 3);
    ranks_init(&second, 3, 3);
    for (int number = 0; number < 3; number++) {
        second.rank[number].env.address = first.address.text;
        first.rank[number].then = second.rank[number].then = gather_all_sizes;
    }
    ranks_start(&first);
    for (int number = 0; number < 3; number++) {
        pthread_join(first.rank[number].thread, NULL);
    }
    ranks_run(&second); /* while the first is still there */
    for (int number = 0; number < 3; number++) {
        ww_env_world_destroy(first.rank[number].made);
    }
    expect_gathers(&first, 3);
    expect_gathers(&second, 3);
    expect_no_warnings();
}

Test(env_world, localhost_and_ipv6_lead_to_rank_0)
{
    static const char *const hosts[] = {"localhost", "[::1]"};
    for (int row = 0; row < 2; row++) {
        struct ranks ranks;
        char address[64];
        struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
        int made = socket(AF_INET6, SOCK_STREAM, 0);
        struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        bool has_ipv6 = getaddrinfo("::1", NULL, &wanted, &found) == 0 && made >= 0 &&
                        bind(made, (struct sockaddr *)&loopback, sizeof loopback) == 0;
        close(made);
        if (found != NULL) {
            freeaddrinfo(found);
        }
        if (row == 1 && !has_ipv6) {
            continue;
        }
        ranks_init(&ranks, 2, 2);
        snprintf(address, sizeof address, "%s%s", hosts[row], strchr(ranks.address.text, ':'));
        for (int number = 0; number < 2; number++) {
            ranks.rank[number].env.address = address;
            ranks.rank[number].then = gather_all_sizes;
        }
        ranks_run(&ranks);
        expect_gathers(&ranks, 2);
    }
    expect_no_warnings();
}

/* ---- Not meeting ---------------------------------------------------------------------------- */

Test(env_world, ranks_that_do_not_come_are_named_to_all_who_came)
{
    struct ranks ranks;
    ranks_init(&ranks, 3, 6); /* 3, 4 and 5 are missing */
    for (int number = 0; number < 3; number++) {
        ranks.rank[number].env.timeout_s = 1;
    }
    ranks.rank[2].env.rank = 4; /* and now 2, 3 and 5 */
    ranks_run(&ranks);
    for (int number = 0; number < 3; number++) {
        expect_rank(&ranks.rank[number], WW_TIMED_OUT, "ranks 2, 3 and 5 of 6 did not come");
        cr_expect_lt(seconds(&ranks.rank[number]), 5);
    }
    forgive();
}

Test(env_world, a_rank_0_that_is_not_there_is_given_up)
{
    struct ranks ranks;
    ranks_init(&ranks, 1, 2);
    ranks.rank[0].env.rank = 1;
    ranks.rank[0].env.timeout_s = 0.3;
    ranks_run(&ranks);
    expect_rank(&ranks.rank[0], WW_TRANSPORT_FAILED, "did not reach rank 0 on 127.0.0.1:");
    expect_rank(&ranks.rank[0], WW_TRANSPORT_FAILED, "refused");
    forgive();
}

Test(env_world, two_of_one_rank_end_it_for_all_at_once)
{
    struct ranks ranks;
    ranks_init(&ranks, 3, 5);
    ranks.rank[1].env.rank = 2;
    ranks_run(&ranks);
    for (int number = 0; number < 3; number++) {
        expect_rank(&ranks.rank[number], WW_MISMATCH,
                    "two processes say that they are rank 2: pid");
        cr_expect_lt(seconds(&ranks.rank[number]), 5);
    }
    forgive();
}

Test(env_world, a_second_rank_0_learns_that_its_port_is_taken)
{
    struct ranks ranks;
    ranks_init(&ranks, 2, 3);
    ranks.rank[0].env.timeout_s = ranks.rank[1].env.timeout_s = 1;
    ranks.rank[1].env.rank = 0;
    ranks_run(&ranks);
    int second = ranks.rank[0].status == WW_TIMED_OUT ? 1 : 0;
    expect_rank(&ranks.rank[second], WW_TRANSPORT_FAILED, "somebody else does already");
    expect_rank(&ranks.rank[!second], WW_TIMED_OUT, "ranks 1 and 2 of 3 did not come");
    forgive();
}

Test(env_world, another_size_ends_it_for_all_at_once)
{
    struct ranks ranks;
    ranks_init(&ranks, 2, 4);
    ranks.rank[1].env.size = 8;
    ranks_run(&ranks);
    for (int number = 0; number < 2; number++) {
        expect_rank(&ranks.rank[number], WW_MISMATCH, "says that the world has 8 ranks, rank 0");
    }
    forgive();
}

Test(env_world, another_job_is_sent_away_and_nobody_else_minds)
{
    struct ranks ranks;
    ranks_init(&ranks, 4, 3);
    ranks.rank[3].env.rank = 1;
    ranks.rank[3].env.job = "an older one";
    for (int number = 0; number < 3; number++) {
        ranks.rank[number].then = gather_all_sizes;
    }
    pthread_create(&ranks.rank[3].thread, NULL, run_rank, &ranks.rank[3]);
    pthread_create(&ranks.rank[0].thread, NULL, run_rank, &ranks.rank[0]);
    pthread_join(ranks.rank[3].thread, NULL);
    expect_rank(&ranks.rank[3], WW_MISMATCH, "is of another job than rank 0");
    pthread_create(&ranks.rank[1].thread, NULL, run_rank, &ranks.rank[1]);
    pthread_create(&ranks.rank[2].thread, NULL, run_rank, &ranks.rank[2]);
    for (int number = 0; number < 3; number++) {
        pthread_join(ranks.rank[number].thread, NULL);
        ww_env_world_destroy(ranks.rank[number].made);
    }
    expect_gathers(&ranks, 3);
    expect_line(WW_LOG_WARN, "a caller was sent away");
    forgive();
}

/* ---- Strangers ------------------------------------------------------------------------------ */

Test(env_world, strangers_at_the_door_do_not_disturb)
{
    static const char *const words[] = {"", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\n",
                                        "TEMWERIW\1"};
    struct ranks ranks;
    int strangers[200];
    ranks_init(&ranks, 3, 3);
    for (int number = 0; number < 3; number++) {
        ranks.rank[number].then = gather_all_sizes;
    }
    pthread_create(&ranks.rank[0].thread, NULL, run_rank, &ranks.rank[0]);
    for (int index = 0; index < 200; index++) {
        const char *say = words[index % 4];
        strangers[index] = port_connect(&ranks.address);
        cr_assert_geq(strangers[index], 0);
        send(strangers[index], say, strlen(say), MSG_NOSIGNAL);
        if (index % 3 == 0) {
            close(strangers[index]);
        }
    }
    for (int index = 0; index < 200;
         index++) { /* else they fill the room until they are too late */
        if (index % 3 != 0 && index % 4 != 0) {
            close(strangers[index]);
        }
    }
    for (int number = 1; number < 3; number++) {
        pthread_create(&ranks.rank[number].thread, NULL, run_rank, &ranks.rank[number]);
    }
    ranks_join(&ranks);
    expect_gathers(&ranks, 3);
    for (int index = 0; index < 200; index++) {
        if (index % 3 != 0 && index % 4 == 0) {
            close(strangers[index]);
        }
    }
    expect_no_warnings();
}

Test(env_world, somebody_else_on_the_port_is_no_rank_0)
{
    struct ranks ranks;
    int port;
    int listener = port_bind(&port);
    ranks_init(&ranks, 2, 3);
    for (int number = 0; number < 2; number++) {
        snprintf(ranks.address.text, sizeof ranks.address.text, "127.0.0.1:%d", port);
        ranks.rank[number].env.timeout_s = 0.5;
    }
    listen(listener, 8);
    pthread_create(&ranks.rank[0].thread, NULL, run_rank, &ranks.rank[0]);
    pthread_join(ranks.rank[0].thread, NULL);
    pthread_create(&ranks.rank[1].thread, NULL, run_rank, &ranks.rank[1]);
    int served = accept(listener, NULL, NULL);
    send(served, "220 mail.example.org ESMTP ready, say something to me please\r\n", 61,
         MSG_NOSIGNAL);
    close(served);
    close(listener);
    pthread_join(ranks.rank[1].thread, NULL);
    expect_rank(&ranks.rank[0], WW_TRANSPORT_FAILED, "cannot listen on 127.0.0.1:");
    expect_rank(&ranks.rank[1], WW_TRANSPORT_FAILED, "did not reach rank 0");
    forgive();
}

/* ---- Leaving -------------------------------------------------------------------------------- */

static void leave(struct rank *rank)
{
    ww_env_world_destroy(rank->made);
    rank->made = NULL;
}

static void gather_twice(struct rank *rank)
{
    char mine[5000] = {0}, all[RANKS_MAX * sizeof mine];
    rank->gathered += rank->world.all_gather(rank->world.self, mine, all, sizeof mine);
    rank->gathered += rank->world.all_gather(rank->world.self, mine, all, sizeof mine);
}

static void expect_lost(struct ranks *ranks, int lost)
{
    ranks_run(ranks);
    for (int number = 0; number < ranks->count; number++) {
        const struct rank *rank = &ranks->rank[number];
        cr_expect_eq(rank->gathered, number == lost ? 0 : 2, "rank %d: %d, %s", number,
                     rank->gathered, rank->sentence);
        cr_expect_lt(seconds(rank), 10);
    }
}

Test(env_world, a_rank_that_leaves_makes_gathers_fail_for_all)
{
    for (int lost = 0; lost < 4; lost++) {
        struct ranks ranks;
        ranks_init(&ranks, 4, 4);
        for (int number = 0; number < 4; number++) {
            ranks.rank[number].then = number == lost ? leave : gather_twice;
        }
        expect_lost(&ranks, lost);
        char words[64];
        snprintf(words, sizeof words, "rank %d ", lost);
        expect_line(WW_LOG_ERROR, words);
        snprintf(words, sizeof words, "make a new one. That was: rank %d ", lost);
        expect_line(WW_LOG_ERROR, words);
    }
    forgive();
}

/* What a kernel says of a connection whose other end does not answer any more. */
static _Thread_local bool network_is_down;

ssize_t recv(int socket, void *memory, size_t bytes, int flags)
{
    if (network_is_down) {
        errno = ETIMEDOUT;
        return -1;
    }
    return recvfrom(socket, memory, bytes, flags, NULL, NULL);
}

static void gather_without_network(struct rank *rank)
{
    char mine = 1, all[2];
    network_is_down = rank->env.rank == 1;
    rank->gathered = rank->world.all_gather(rank->world.self, &mine, all, 1);
}

Test(env_world, a_connection_that_the_kernel_gave_up_is_not_one_that_was_waited_for)
{
    struct ranks ranks;
    ranks_init(&ranks, 2, 2);
    ranks.rank[0].then = gather_without_network;
    ranks.rank[1].then = gather_without_network;
    ranks_run(&ranks);
    cr_expect_eq(ranks.rank[1].gathered, 1);
    expect_rank(&ranks.rank[1], WW_OK,
                "rank 0 is gone or cannot be reached, so ranks cannot gather what each brings: "
                "Connection timed out");
    forgive();
}

static void gather_less(struct rank *rank)
{
    char mine[8] = {0}, all[RANKS_MAX * sizeof mine];
    size_t bytes = rank->world.rank == 1 ? 4 : 8;
    rank->gathered += rank->world.all_gather(rank->world.self, mine, all, bytes);
    rank->gathered += rank->world.all_gather(rank->world.self, mine, all, bytes);
}

Test(env_world, ranks_that_bring_different_bytes_learn_it)
{
    struct ranks ranks;
    ranks_init(&ranks, 3, 3);
    for (int number = 0; number < 3; number++) {
        ranks.rank[number].then = gather_less;
    }
    ranks_run(&ranks);
    for (int number = 0; number < 3; number++) {
        cr_expect_eq(ranks.rank[number].gathered, 2);
        expect_line(WW_LOG_ERROR,
                    "all_gather number 1 of 8 bytes on rank 0, number 1 of 4 bytes on");
    }
    forgive();
}

/* ---- Patience ------------------------------------------------------------------------------- */

static void gather_much(struct rank *rank)
{
    size_t bytes = (size_t)32 << 20;
    char *mine = calloc(1, bytes), *all = calloc(2, bytes);
    rank->gathered = rank->world.all_gather(rank->world.self, mine, all, bytes);
    free(all);
    free(mine);
}

/* The kernel has half a minute's patience with bytes that nobody takes in, ranks have ten: so no
 * more than a head waits for a rank 0 that is late. */
Test(env_world, much_is_sent_when_rank_0_has_come)
{
    static const char sentence[] = "rank 0 has other things to do";
    struct ranks ranks;
    struct env_hello hello;
    struct env_word word = {.magic = ENV_MAGIC};
    char byte;
    int port;
    int listener = port_bind(&port);
    ranks_init(&ranks, 2, 2);
    snprintf(ranks.address.text, sizeof ranks.address.text, "127.0.0.1:%d", port);
    ranks.rank[1].then = gather_much;
    listen(listener, 8);
    pthread_create(&ranks.rank[1].thread, NULL, run_rank, &ranks.rank[1]);
    int seat = accept(listener, NULL, NULL);
    recv(seat, &hello, sizeof hello, MSG_WAITALL);
    send(seat, &word, sizeof word, MSG_NOSIGNAL);
    recv(seat, &word, sizeof word, MSG_WAITALL);
    cr_expect_eq(word.bytes, (uint64_t)32 << 20);
    word = (struct env_word){
        .magic = ENV_MAGIC, .status = WW_MISMATCH, .turn = 1, .bytes = sizeof sentence - 1};
    send(seat, &word, sizeof word, MSG_NOSIGNAL);
    send(seat, sentence, sizeof sentence - 1, MSG_NOSIGNAL);
    pthread_join(ranks.rank[1].thread, NULL);
    cr_expect_eq(ranks.rank[1].gathered, 1);
    expect_rank(&ranks.rank[1], WW_OK, sentence);
    cr_expect_eq(recv(seat, &byte, 1, MSG_DONTWAIT), -1);
    cr_expect_eq(errno, EAGAIN);
    ww_env_world_destroy(ranks.rank[1].made);
    close(seat);
    close(listener);
    forgive();
}

/* That is another thing than a deadline of ours, which is ten minutes. */
Test(env_world, a_connection_that_the_kernel_gives_up_is_told_from_a_late_one)
{
    static char much[4 << 20];
    struct sockaddr_in to;
    socklen_t bytes = sizeof to;
    int port;
    int patience_ms = 1;
    int listener = port_bind(&port);
    int sender = socket(AF_INET, SOCK_STREAM, 0);
    struct env_pieces pieces = {much, sizeof much, much, sizeof much, 0};
    listen(listener, 8);
    getsockname(listener, (struct sockaddr *)&to, &bytes);
    cr_assert_eq(connect(sender, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(sender, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    fcntl(sender, F_SETFL, O_NONBLOCK);
    cr_expect_eq(env_move_all(sender, ENV_SEND, &pieces, UINT64_MAX), EHOSTDOWN);
    close(sender);
    close(listener);
}
