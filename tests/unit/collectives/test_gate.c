/* SPDX-License-Identifier: BSD-3-Clause
 * test_gate.c: the gate over local fabrics, driven by hand from one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/transport.h>

#include "capture.h"
#include "gate.h"
#include "plan.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RANKS_MOST 100
#define TREE_DEPTH_MOST 6
#define DEPTH 4

TestSuite(gate, .init = capture_start, .fini = capture_finish);

/* The local transport, but that the connection to one rank may be lost: a round is posted up to the
 * first message to it, as fabrics do that post one message after the other. */
static const struct ww_transport *whole;
static int lost = -1;

static enum ww_status post_unless_lost(void *fabric, int tag, bool control,
                                       const struct ww_message *messages, int count,
                                       struct ww_flight *flight)
{
    int first = 0;
    while (first < count && (messages[first].kind == WW_RECEIVE || messages[first].peer != lost)) {
        first++;
    }
    enum ww_status status = whole->post(fabric, tag, control, messages, first, flight);
    return first == count ? status : log_failure(WW_PEER_FAILED, "the test lost rank %d", lost);
}

static enum ww_status poll_unless_lost(void *fabric, struct ww_flight *flight)
{
    if (lost >= 0 && whole->waits_for(fabric, flight) == lost) {
        return log_failure(WW_PEER_FAILED, "the test lost rank %d", lost);
    }
    return whole->poll(fabric, flight);
}

/* Whether control messages are as long as their receives, as with fabrics that say no more. */
static bool plain;

static const struct ww_transport *losing(const struct ww_transport *transport)
{
    static struct ww_transport made;
    whole = transport;
    made = *transport;
    made.control_room = plain ? NULL : transport->control_room;
    made.post = post_unless_lost;
    made.poll = poll_unless_lost;
    return &made;
}

struct company {
    int size;
    struct ww_local_world *local;
    const struct ww_transport *transport;
    struct ww_world worlds[RANKS_MOST];
    struct topology topologies[RANKS_MOST];
    uint8_t levels[RANKS_MOST];
    int hosts[RANKS_MOST];
    char names[RANKS_MOST][HOST_NAME_BYTES];
    void *fabrics[RANKS_MOST];
    struct board *boards[RANKS_MOST]; /* NULL where they do not see each other's memory */
    struct gate *gates[RANKS_MOST];
};

/* Rank r on host r % hosts. */
static void company_open_on(struct company *company, int size, int hosts, bool seen)
{
    memset(company, 0, sizeof *company);
    company->size = size;
    for (int rank = 0; rank < size; rank++) {
        strcpy(company->names[rank], "here");
        company->hosts[rank] = rank % hosts;
    }
    cr_assert_eq(ww_local_world_create(size, &company->local), WW_OK);
    for (int rank = 0; rank < size; rank++) {
        cr_assert_eq(ww_local_world_rank(company->local, rank, &company->worlds[rank]), WW_OK);
        company->transport = losing(company->worlds[rank].transport);
        struct topology topology = {.rank = rank,
                                    .size = size,
                                    .local_size = size,
                                    .hosts = hosts,
                                    .levels = 1,
                                    .host_levels = 1};
        topology.peer_level = company->levels;
        topology.host_of = company->hosts;
        topology.host_name = company->names;
        company->topologies[rank] = topology;
        struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                           .world = &company->worlds[rank],
                                           .levels = 1,
                                           .host_levels = 1,
                                           .peer_level = company->levels,
                                           .area_bytes = seen ? board_area_bytes(DEPTH) : 0};
        cr_assert_eq(company->transport->open(&setup, &company->fabrics[rank]), WW_OK);
        cr_assert_eq(board_create(company->transport, company->fabrics[rank],
                                  &company->topologies[rank], DEPTH, &company->boards[rank]),
                     WW_OK);
        cr_assert_eq(company->boards[rank] != NULL, seen);
        cr_assert_eq(gate_create(company->transport, company->fabrics[rank],
                                 &company->topologies[rank], company->boards[rank], DEPTH,
                                 &company->gates[rank]),
                     WW_OK);
        cr_assert_eq(gate_open(company->gates[rank]), WW_OK);
    }
}

static void company_open(struct company *company, int size, bool seen)
{
    company_open_on(company, size, 1, seen);
}

static void company_close(struct company *company)
{
    for (int rank = 0; rank < company->size; rank++) {
        company->transport->close(company->fabrics[rank], true);
    }
    for (int rank = 0; rank < company->size; rank++) {
        gate_destroy(company->gates[rank]);
        board_destroy(company->boards[rank]);
    }
    ww_local_world_destroy(company->local);
}

static struct signature all_reduce_of(uint64_t count)
{
    return (struct signature){.count = count,
                              .collective = COLLECTIVE_ALL_REDUCE,
                              .type = WW_F32,
                              .op = WW_SUM,
                              .root = -1};
}

static const struct luggage no_luggage;

static void announce(struct company *company, int rank, uint64_t count)
{
    struct signature signature = all_reduce_of(count);
    cr_assert(gate_has_room(company->gates[rank]));
    cr_expect_eq(gate_announce(company->gates[rank], &signature, &no_luggage), WW_OK);
}

/* Looks so often that messages are heard, too. */
static enum ww_status look(struct gate *gate, uint64_t *passed)
{
    enum ww_status status = WW_OK;
    for (int turn = 0; turn < 2 * RANKS_MOST; turn++) {
        status = gate_advance(gate, 0, passed);
    }
    return status;
}

/* Advances everybody often enough that every message has arrived; rank's answer comes last. */
static enum ww_status settle(struct company *company, int rank, uint64_t *passed)
{
    uint64_t ignored;
    for (int turn = 0; turn < 2 * TREE_DEPTH_MOST; turn++) {
        for (int r = 0; r < company->size; r++) {
            gate_advance(company->gates[r], 0, &ignored);
        }
    }
    return gate_advance(company->gates[rank], 0, passed);
}

static void expect_passed(struct company *company, uint64_t wanted)
{
    uint64_t ignored;
    settle(company, 0, &ignored);
    for (int rank = 0; rank < company->size; rank++) {
        uint64_t passed = 99;
        cr_expect_eq(gate_advance(company->gates[rank], 0, &passed), WW_OK);
        cr_expect_eq(passed, wanted, "rank %d: %llu passed", rank, (unsigned long long)passed);
    }
}

/* Once by messages, once on a board. */
#define EACH_WAY(name)                                                                             \
    static void name(bool seen);                                                                   \
    Test(gate, name##_by_messages)                                                                 \
    {                                                                                              \
        name(false);                                                                               \
    }                                                                                              \
    Test(gate, name##_by_plain_messages)                                                           \
    {                                                                                              \
        plain = true;                                                                              \
        name(false);                                                                               \
    }                                                                                              \
    Test(gate, name##_on_a_board)                                                                  \
    {                                                                                              \
        name(true);                                                                                \
    }                                                                                              \
    static void name(bool seen)

static const int sizes[] = {1, 2, 3, 5, 16, 17, 20};

EACH_WAY(opens_when_the_last_rank_has_announced)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        struct company company;
        company_open(&company, sizes[i], seen);
        for (uint64_t number = 0; number < 10; number++) {
            for (int rank = sizes[i] - 1; rank >= 0; rank--) {
                expect_passed(&company, number);
                announce(&company, rank, 100 + number);
            }
            expect_passed(&company, number + 1);
        }
        company_close(&company);
    }
}

EACH_WAY(lets_ranks_run_ahead_by_its_depth)
{
    struct company company;
    company_open(&company, 3, seen);
    for (int number = 0; number < DEPTH; number++) {
        announce(&company, 0, (uint64_t)number);
        announce(&company, 2, (uint64_t)number);
    }
    expect_passed(&company, 0);
    for (int number = 0; number < DEPTH; number++) {
        announce(&company, 1, (uint64_t)number);
        expect_passed(&company, (uint64_t)number + 1);
    }
    company_close(&company);
}

static bool mentions(const char *line, int rank)
{
    char words[80];
    snprintf(words, sizeof words, "rank %d (here) wants all_reduce of 101 f32 (sum)", rank);
    return strstr(line, words) != NULL;
}

EACH_WAY(names_the_rank_that_wants_something_else)
{
    for (size_t i = 1; i < LENGTH(sizes); i++) {
        for (int odd = 0; odd < sizes[i]; odd += 3) {
            struct company company;
            company_open(&company, sizes[i], seen);
            for (int rank = 0; rank < sizes[i]; rank++) {
                announce(&company, rank, rank == odd ? 101 : 100);
            }
            uint64_t passed;
            bool tree = sizes[i] > GATE_DIRECT_SIZE && !seen;
            settle(&company, 0, &passed);
            for (int rank = 0; rank < sizes[i]; rank++) {
                enum ww_status status = gate_advance(company.gates[rank], 0, &passed);
                cr_expect_eq(status, tree && rank > 0 ? WW_OK : WW_MISMATCH);
                cr_expect_eq(passed, 0);
            }
            const char *line = capture_take(WW_LOG_ERROR, "wants");
            cr_assert_not_null(line);
            /* Of two it cannot be told who is odd. */
            cr_expect(mentions(line, odd), "%s", line);
            cr_expect_not_null(strstr(line, "wants all_reduce of 100 f32 (sum)"), "%s", line);
            cr_expect_eq(strstr(line, "wants all_reduce of 101") < strstr(line, " of 100"),
                         sizes[i] > 2 || odd == 1, "%s", line);
            while (capture_take(WW_LOG_ERROR, "") != NULL) {
                continue;
            }
            company_close(&company);
        }
    }
}

EACH_WAY(tells_who_has_not_announced)
{
    struct company company;
    company_open(&company, 5, seen);
    announce(&company, 0, 1);
    announce(&company, 3, 1);
    expect_passed(&company, 0);
    int ranks[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    cr_expect_eq(gate_missing(company.gates[0], ranks, 8), 3);
    cr_expect_arr_eq(ranks, ((int[]){1, 2, 4}), 3 * sizeof *ranks);
    cr_expect_eq(gate_missing(company.gates[0], ranks, 1), 3);
    cr_expect_eq(gate_missing(company.gates[1], ranks, 8), 2, "itself is not its peer");
    cr_expect_arr_eq(ranks, ((int[]){2, 4}), 2 * sizeof *ranks);
    company_close(&company);
}

/* Of many ranks only rank 0 hears at once why one gave up; for the others it is absent no more than
 * they are. */
Test(gate, who_gave_up_is_not_called_absent)
{
    static const int rows[] = {5, 20};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct company company;
        company_open(&company, rows[i], true);
        for (int rank = 0; rank < rows[i]; rank++) {
            if (rank != 3) {
                announce(&company, rank, 1);
            }
        }
        expect_passed(&company, 0);
        gate_report_failure(company.gates[2], 0, WW_TIMED_OUT, "rank 3 did not come");
        int ranks[8] = {-1};
        cr_expect_eq(gate_missing(company.gates[4], ranks, 8), 1, "of %d ranks", rows[i]);
        cr_expect_eq(ranks[0], 3);
        announce(&company, 3, 1);
        cr_expect_eq(gate_missing(company.gates[4], ranks, 8), 1, "it is all that is left");
        cr_expect_eq(ranks[0], 2);
        company_close(&company);
    }
}

/* Statuses that concern all arrive as they are, others as a peer's failure. */
EACH_WAY(passes_bad_news_on)
{
    static const enum ww_status rows[][2] = {
        {WW_MISMATCH, WW_MISMATCH},       {WW_TIMED_OUT, WW_TIMED_OUT},
        {WW_BAD_STATE, WW_PEER_FAILED},   {WW_NO_MEMORY, WW_PEER_FAILED},
        {WW_PEER_FAILED, WW_PEER_FAILED}, {WW_TRANSPORT_FAILED, WW_PEER_FAILED},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct company company;
        company_open(&company, 3, seen);
        gate_report_failure(company.gates[1], 0, rows[i][0], "the cat is on the keyboard");
        for (int rank = 0; rank < 3; rank += 2) {
            uint64_t passed;
            announce(&company, rank, 1);
            cr_expect_eq(look(company.gates[rank], &passed), rows[i][1]);
            expect_line(WW_LOG_ERROR, "rank 1 (here) reported: the cat is on the keyboard");
            cr_expect_eq(look(company.gates[rank], &passed), rows[i][1], "it stays");
            struct signature signature = all_reduce_of(1);
            cr_expect_eq(gate_announce(company.gates[rank], &signature, &no_luggage), rows[i][1]);
        }
        company_close(&company);
    }
}

/* Rank 1 is lost to the one that fails: those behind it are told all the same, and the failure
 * stays the latest error. */
EACH_WAY(bad_news_reach_those_behind_a_lost_rank)
{
    static const int rows[] = {4, 20};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct company company;
        company_open(&company, rows[i], seen);
        enum ww_status failure = log_failure(WW_TIMED_OUT, "the cat is on the keyboard");
        expect_line(WW_LOG_ERROR, "the cat is on the keyboard");
        lost = 1;
        gate_report_failure(company.gates[0], 0, failure, log_last_error());
        lost = -1;
        cr_expect_str_eq(log_last_error(), "the cat is on the keyboard");
        for (int rank = 2; rank < rows[i]; rank++) {
            cr_expect_eq(gate_hear(company.gates[rank]), WW_TIMED_OUT, "rank %d of %d", rank,
                         rows[i]);
            expect_line(WW_LOG_ERROR, "rank 0 (here) reported: the cat is on the keyboard");
        }
        company_close(&company);
    }
}

/* Rank 2 is lost to rank 0; rank 3, which is heard behind it, says what is wrong with it. */
EACH_WAY(a_lost_connection_is_explained_by_who_gave_up)
{
    struct company company;
    company_open(&company, 4, seen);
    lost = 2;
    cr_expect_eq(gate_hear(company.gates[0]), WW_PEER_FAILED);
    expect_line(WW_LOG_ERROR, "the test lost rank 2");
    cr_expect_eq(gate_last_words(company.gates[0]), WW_OK, "nobody gave up");
    gate_report_failure(company.gates[3], 0, WW_TIMED_OUT, "rank 2 went silent");
    cr_expect_eq(gate_last_words(company.gates[0]), WW_TIMED_OUT);
    cr_expect_str_eq(log_last_error(), "rank 3 (here) reported: rank 2 went silent");
    expect_line(WW_LOG_ERROR, "rank 3 (here) reported: rank 2 went silent");
    lost = -1;
    company_close(&company);
}

Test(gate, of_lost_ranks_the_one_that_hears_of_all_explains_the_others)
{
    struct company company;
    company_open(&company, 20, false);
    log_failure(WW_PEER_FAILED, "rank 7 is gone");
    expect_line(WW_LOG_ERROR, "rank 7 is gone");
    lost = 0;
    for (int turn = 0; turn < 2; turn++) {
        cr_expect_eq(gate_last_words(company.gates[8]), WW_OK);
        cr_expect_str_eq(log_last_error(), "the test lost rank 0");
    }
    expect_line(WW_LOG_ERROR, "the test lost rank 0");
    lost = -1;
    company_close(&company);
}

EACH_WAY(the_roll_is_called_behind_a_lost_rank)
{
    struct company company;
    uint64_t passed;
    company_open(&company, 4, seen);
    lost = 1;
    gate_call_roll(company.gates[0], true);
    lost = -1;
    cr_expect_eq(look(company.gates[2], &passed), WW_OK);
    cr_expect_eq(look(company.gates[3], &passed), WW_OK);
    cr_expect_eq(look(company.gates[0], &passed), WW_OK);
    int ranks[4];
    cr_expect_eq(gate_unanswered(company.gates[0], ranks, 4), 1);
    cr_expect_eq(ranks[0], 1);
    company_close(&company);
}

EACH_WAY(keeps_the_first_witness_of_news_that_is_passed_on)
{
    struct company company;
    company_open(&company, 3, seen);
    gate_report_failure(company.gates[1], 0, WW_BAD_STATE, "rank 2 (here) reported: it rains");
    uint64_t passed;
    announce(&company, 0, 1);
    cr_expect_eq(look(company.gates[0], &passed), WW_PEER_FAILED);
    cr_expect_str_eq(capture_take(WW_LOG_ERROR, "it rains"), "rank 2 (here) reported: it rains");
    company_close(&company);
}

/* Rank 1 gave up after two collectives, of which rank 0 did one: it may pass the second. */
EACH_WAY(what_was_done_where_bad_news_come_from_may_still_pass)
{
    struct company company;
    uint64_t passed;
    company_open(&company, 2, seen);
    for (uint64_t count = 1; count <= 3; count++) {
        announce(&company, 1, count);
    }
    announce(&company, 0, 1);
    announce(&company, 0, 2);
    cr_expect_eq(look(company.gates[1], &passed), WW_OK);
    gate_report_failure(company.gates[1], 2, WW_BAD_STATE, "the cat is on the keyboard");
    for (int turn = 0; turn < 2 * RANKS_MOST; turn++) {
        cr_expect_eq(gate_advance(company.gates[0], 1, &passed), WW_OK);
    }
    cr_expect_eq(passed, 2);
    cr_expect(gate_has_news(company.gates[0]));
    cr_expect_eq(gate_advance(company.gates[0], 2, &passed), WW_OK, "nothing is awaited");
    announce(&company, 0, 3);
    cr_expect_eq(gate_advance(company.gates[0], 1, &passed), WW_OK);
    cr_expect_eq(passed, 2, "what nobody did must not pass");
    cr_expect_eq(gate_advance(company.gates[0], 2, &passed), WW_PEER_FAILED);
    expect_line(WW_LOG_ERROR, "rank 1 (here) reported: the cat is on the keyboard");
    company_close(&company);
}

EACH_WAY(bad_news_are_told_whatever_is_done_to_who_asks_for_them)
{
    struct company company;
    company_open(&company, 2, seen);
    gate_report_failure(company.gates[1], 2, WW_TIMED_OUT, "the cat is on the keyboard");
    cr_expect_eq(gate_hear(company.gates[0]), WW_TIMED_OUT);
    expect_line(WW_LOG_ERROR, "rank 1 (here) reported: the cat is on the keyboard");
    company_close(&company);
}

/* They announced, waited in vain and said so, all before this rank came: it must not pass. */
Test(gate, who_comes_late_hears_that_the_others_gave_up)
{
    for (int size = 2; size <= 4; size++) {
        struct company company;
        uint64_t passed;
        company_open(&company, size, false);
        for (int rank = 1; rank < size; rank++) {
            announce(&company, rank, 7);
            cr_expect_eq(look(company.gates[rank], &passed), WW_OK);
        }
        gate_report_failure(company.gates[1], 0, WW_TIMED_OUT, "the cat is on the keyboard");
        announce(&company, 0, 7);
        cr_expect_eq(gate_advance(company.gates[0], 0, &passed), WW_TIMED_OUT, "of %d", size);
        cr_expect_eq(passed, 0);
        expect_line(WW_LOG_ERROR, "rank 1 (here) reported");
        company_close(&company);
    }
}

/* Long sentences are cut, never the message beside them. */
EACH_WAY(cuts_long_news)
{
    struct company company;
    company_open(&company, 2, seen);
    char sentence[1000];
    memset(sentence, 'z', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = '\0';
    gate_report_failure(company.gates[0], 0, WW_TIMED_OUT, sentence);
    uint64_t passed;
    announce(&company, 1, 1);
    cr_expect_eq(look(company.gates[1], &passed), WW_TIMED_OUT);
    expect_line(WW_LOG_ERROR, "rank 0 (here) reported: zzzzzzzz");
    company_close(&company);
}

/* Rank 3 says nothing any more; rank 1 waits for it, and rank 0 for rank 1. */
EACH_WAY(finds_the_silent_rank_behind_those_that_wait)
{
    struct company company;
    company_open(&company, 4, seen);
    gate_waits_for(company.gates[0], 1);
    gate_waits_for(company.gates[1], 3);
    gate_waits_for(company.gates[2], 0);
    gate_call_roll(company.gates[0], false);
    uint64_t passed;
    for (int turn = 0; turn < 3; turn++) {
        for (int rank = 2; rank >= 0; rank--) {
            cr_expect_eq(look(company.gates[rank], &passed), WW_OK);
        }
    }
    cr_expect_eq(gate_silent(company.gates[0]), 3);
    cr_expect_eq(look(company.gates[3], &passed), WW_OK);
    cr_expect_eq(look(company.gates[0], &passed), WW_OK);
    cr_expect_eq(gate_silent(company.gates[0]), -1, "it answered after all");
    company_close(&company);
}

/* What was announced and not passed is taken back, so that nobody goes on without the rank. */
Test(gate, who_gives_up_takes_its_announcements_back)
{
    struct company company;
    company_open(&company, 3, true);
    for (int rank = 0; rank < 3; rank++) {
        announce(&company, rank, 7);
    }
    uint64_t passed;
    cr_expect_eq(gate_advance(company.gates[0], 0, &passed), WW_OK);
    cr_expect_eq(passed, 1);
    gate_report_failure(company.gates[1], 0, WW_TIMED_OUT, "the cat is on the keyboard");
    cr_expect_eq(gate_advance(company.gates[2], 0, &passed), WW_OK, "nothing heard yet");
    cr_expect_eq(passed, 0);
    cr_expect_eq(look(company.gates[2], &passed), WW_TIMED_OUT);
    expect_line(WW_LOG_ERROR, "rank 1 (here) reported");
    const int32_t peers[] = {0, 1};
    cr_expect_not(board_enter(company.boards[2], peers, 2), "its buffers are its callers' again");
    cr_expect(board_enter(company.boards[2], peers, 1));
    board_leave(company.boards[2]);
    company_close(&company);
}

/* Number 0 fills the room, later ones fewer and fewer bytes. */
static size_t values_bytes(const struct gate *gate, uint64_t number)
{
    return gate_values_room(gate) >> number % 4 * 4;
}

static void announce_values(struct company *company, int rank, uint64_t number)
{
    struct gate *gate = company->gates[rank];
    unsigned char values[BOARD_VALUES_BYTES];
    memset(values, (int)number * 16 + rank, sizeof values);
    struct signature signature = all_reduce_of(number);
    struct luggage luggage = {.values = values, .bytes = values_bytes(gate, number)};
    cr_assert(gate_has_room(gate));
    cr_expect_eq(gate_announce(gate, &signature, &luggage), WW_OK);
}

static void expect_values(const struct company *company, int rank, uint64_t number)
{
    const struct gate *gate = company->gates[rank];
    size_t bytes = values_bytes(gate, number);
    for (int peer = 0; bytes > 0 && peer < company->size; peer++) {
        if (peer != rank) {
            const unsigned char *values = gate_values(gate, peer, number, bytes);
            unsigned char wanted = (unsigned char)(number * 16 + (uint64_t)peer);
            cr_expect(values[0] == wanted && values[bytes - 1] == wanted,
                      "collective %llu, rank %d of %d has %d and %d of rank %d, not %d",
                      (unsigned long long)number, rank, company->size, values[0], values[bytes - 1],
                      peer, wanted);
        }
    }
}

EACH_WAY(values_come_with_their_announcement)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        struct company company;
        company_open(&company, sizes[i], seen);
        size_t room = seen                          ? BOARD_VALUES_BYTES
                      : sizes[i] > GATE_DIRECT_SIZE ? 0
                      : plain                       ? GATE_VALUES_BYTES
                                                    : GATE_VALUES_BYTES_LONG;
        cr_expect_eq(gate_values_room(company.gates[0]), room, "%d ranks", sizes[i]);
        cr_expect_eq(gate_shows_values(company.gates[0]), seen);
        for (uint64_t number = 0; number < 20; number++) {
            for (int rank = 0; rank < sizes[i]; rank++) {
                announce_values(&company, rank, number);
            }
            expect_passed(&company, number + 1);
            for (int rank = 0; rank < sizes[i]; rank++) {
                expect_values(&company, rank, number);
            }
        }
        company_close(&company);
    }
}

/* As many bytes for each rank as there is room for. */
static void announce_shares(struct company *company, int rank, uint64_t number)
{
    struct gate *gate = company->gates[rank];
    size_t share = gate_values_room(gate) / (gate_shows_values(gate) ? (size_t)company->size : 1);
    unsigned char values[3 * BOARD_VALUES_BYTES];
    for (int to = 0; to < company->size; to++) {
        memset(values + (size_t)to * share, (int)number * 16 + rank * 4 + to, share);
    }
    struct signature signature = all_reduce_of(number);
    struct luggage luggage = {
        .values = values, .bytes = (size_t)company->size * share, .shares = true};
    cr_assert(gate_has_room(gate));
    cr_expect_eq(gate_announce(gate, &signature, &luggage), WW_OK);
}

static void expect_shares(const struct company *company, int rank, uint64_t number)
{
    const struct gate *gate = company->gates[rank];
    bool shown = gate_shows_values(gate);
    size_t share = gate_values_room(gate) / (shown ? (size_t)company->size : 1);
    size_t bytes = shown ? share * (size_t)company->size : share;
    for (int peer = 0; peer < company->size; peer++) {
        if (peer != rank) {
            const unsigned char *values = gate_values(gate, peer, number, bytes);
            const unsigned char *own = values + (shown ? (size_t)rank * share : 0);
            unsigned char wanted = (unsigned char)(number * 16 + (uint64_t)(peer * 4 + rank));
            cr_expect(own[0] == wanted && own[share - 1] == wanted,
                      "collective %llu, rank %d has %d and %d of rank %d, not %d",
                      (unsigned long long)number, rank, own[0], own[share - 1], peer, wanted);
        }
    }
}

EACH_WAY(each_rank_gets_its_share)
{
    struct company company;
    company_open(&company, 3, seen);
    for (uint64_t number = 0; number < 12; number++) {
        for (int rank = 0; rank < 3; rank++) {
            if (number % 3 < 2) {
                announce_shares(&company, rank, number);
            } else {
                announce_values(&company, rank, number);
            }
        }
        expect_passed(&company, number + 1);
        for (int rank = 0; rank < 3; rank++) {
            if (number % 3 < 2) {
                expect_shares(&company, rank, number);
            } else {
                expect_values(&company, rank, number);
            }
        }
    }
    company_close(&company);
}

static void announce_block(struct company *company, int rank, uint64_t block)
{
    for (uint64_t i = 0; i < DEPTH; i++) {
        announce_values(company, rank, block * DEPTH + i);
    }
}

/* A peer may be done and announce all that it may before this rank looks at its values. */
EACH_WAY(values_stay_while_a_peer_runs_ahead)
{
    struct company company;
    uint64_t passed;
    company_open(&company, 3, seen);
    for (int rank = 0; rank < 3; rank++) {
        announce_block(&company, rank, 0);
    }
    for (uint64_t block = 0; block < 5; block++) {
        expect_passed(&company, (block + 1) * DEPTH);
        announce_block(&company, 1, block + 1);
        cr_expect_eq(look(company.gates[0], &passed), WW_OK);
        for (uint64_t i = 0; i < DEPTH; i++) {
            expect_values(&company, 0, block * DEPTH + i);
        }
        announce_block(&company, 0, block + 1);
        announce_block(&company, 2, block + 1);
    }
    company_close(&company);
}

/* ---- Many ranks: a tree --------------------------------------------------------------------- */

static const struct {
    int size, hosts;
} trees[] = {{17, 1}, {17, 17}, {20, 3}, {40, 40}, {75, 10}, {90, 90}, {90, 1}, {100, 50}};

Test(gate, a_tree_opens_when_the_last_rank_has_announced)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        struct company company;
        company_open_on(&company, trees[i].size, trees[i].hosts, false);
        for (uint64_t number = 0; number < 12; number++) {
            int last = (int)number * 17 % trees[i].size;
            for (int rank = 0; rank < trees[i].size; rank++) {
                if (rank != last) {
                    announce(&company, rank, 100 + number);
                }
            }
            expect_passed(&company, number);
            announce(&company, last, 100 + number);
            expect_passed(&company, number + 1);
            for (int rank = 0; rank < trees[i].size; rank++) {
                cr_expect_eq(gate_latest(company.gates[rank]), rank == last ? -1 : last,
                             "rank %d of %d: not rank %d but %d came last", rank, trees[i].size,
                             last, gate_latest(company.gates[rank]));
            }
        }
        company_close(&company);
    }
}

Test(gate, ranks_of_a_tree_run_ahead_by_its_depth)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        struct company company;
        company_open_on(&company, trees[i].size, trees[i].hosts, false);
        int slow = trees[i].size / 5;
        for (int number = 0; number < DEPTH; number++) {
            for (int rank = trees[i].size - 1; rank >= 0; rank--) {
                if (rank != slow) {
                    announce(&company, rank, (uint64_t)number);
                }
            }
        }
        expect_passed(&company, 0);
        for (int number = 0; number < DEPTH; number++) {
            announce(&company, slow, (uint64_t)number);
            expect_passed(&company, (uint64_t)number + 1);
        }
        company_close(&company);
    }
}

/* Every rank's wish by its number, judged at rank 0. */
static const char *judge_wishes(int size, int hosts, const uint64_t *counts)
{
    static char line[256];
    struct company company;
    uint64_t passed;
    company_open_on(&company, size, hosts, false);
    announce(&company, size / 2, 7); /* one that all want goes before */
    for (int rank = 0; rank < size; rank++) {
        if (rank != size / 2) {
            announce(&company, rank, 7);
        }
        announce(&company, rank, counts[rank]);
    }
    cr_expect_eq(settle(&company, 0, &passed), WW_MISMATCH);
    cr_expect_eq(passed, 1);
    snprintf(line, sizeof line, "%s", capture_take(WW_LOG_ERROR, "wants"));
    company_close(&company);
    return line;
}

/* What the odd one of a few wants is told with its number and that of the first of the many,
 * however they are spread. */
Test(gate, a_tree_names_the_rank_that_wants_something_else)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        int size = trees[i].size;
        int odd_ones[] = {0, 1, size / 3, size / 2, size - 2};
        for (size_t o = 0; o < LENGTH(odd_ones); o++) {
            for (int kinds = 1; kinds <= 2; kinds++) {
                uint64_t counts[RANKS_MOST];
                char wanted[160];
                for (int rank = 0; rank < size; rank++) {
                    counts[rank] = 100;
                }
                counts[size - 1] = kinds == 2 ? 102 : 100;
                counts[odd_ones[o]] = 101;
                snprintf(wanted, sizeof wanted,
                         "rank %d (here) wants all_reduce of 101 f32 (sum), rank %d (here) wants "
                         "all_reduce of 100 f32 (sum)",
                         odd_ones[o], odd_ones[o] == 0);
                const char *line = judge_wishes(size, trees[i].hosts, counts);
                cr_expect_str_eq(line, wanted, "%d ranks on %d hosts: %s", size, trees[i].hosts,
                                 line);
            }
        }
    }
}

Test(gate, a_tree_whose_ranks_all_differ_names_two_of_them)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        uint64_t counts[RANKS_MOST];
        for (int rank = 0; rank < trees[i].size; rank++) {
            counts[rank] = 100 + (uint64_t)rank;
        }
        const char *line = judge_wishes(trees[i].size, trees[i].hosts, counts);
        int odd, usual;
        unsigned odd_count, usual_count;
        cr_assert_eq(sscanf(line,
                            "rank %d (here) wants all_reduce of %u f32 (sum), rank %d (here) wants "
                            "all_reduce of %u f32 (sum)",
                            &odd, &odd_count, &usual, &usual_count),
                     4, "%s", line);
        cr_expect(odd != usual && odd_count == 100U + (unsigned)odd &&
                      usual_count == 100U + (unsigned)usual,
                  "%s", line);
    }
}

/* Several of its announcements come at once, and all pass at one look. */
Test(gate, who_comes_late_to_several_is_the_latest_of_all)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        int size = trees[i].size;
        for (int late = 0; late < size; late += 7) {
            struct company company;
            company_open_on(&company, size, trees[i].hosts, false);
            for (int rank = 0; rank < size; rank++) {
                for (uint64_t number = 0; rank != late && number < 3; number++) {
                    announce(&company, rank, number);
                }
            }
            expect_passed(&company, 0);
            for (uint64_t number = 0; number < 3; number++) {
                announce(&company, late, number);
            }
            expect_passed(&company, 3);
            for (int rank = 0; rank < size; rank++) {
                cr_expect_eq(gate_latest(company.gates[rank]), rank == late ? -1 : late,
                             "rank %d of %d: not rank %d but %d came last", rank, size, late,
                             gate_latest(company.gates[rank]));
            }
            company_close(&company);
        }
    }
}

/* Rank 0 is done with the first collective and gave up; rank 1 still is at it when those below
 * announce the next, which it would tell rank 0. */
Test(gate, nothing_is_told_above_to_who_gave_up)
{
    struct company company;
    uint64_t passed;
    company_open_on(&company, 40, 40, false);
    for (int rank = 0; rank < 40; rank++) {
        announce(&company, rank, 1);
    }
    expect_passed(&company, 1);
    announce(&company, 1, 2);
    gate_report_failure(company.gates[0], 1, WW_TIMED_OUT, "the cat is on the keyboard");
    cr_expect_eq(gate_advance(company.gates[1], 0, &passed), WW_OK);
    lost = 0;
    for (int rank = 2; rank < 40; rank++) {
        announce(&company, rank, 2);
    }
    for (int turn = 0; turn < 2 * TREE_DEPTH_MOST; turn++) {
        cr_expect_eq(gate_advance(company.gates[1], 0, &passed), WW_OK, "it is at the first one");
    }
    cr_expect(gate_has_news(company.gates[1]));
    cr_expect_eq(gate_advance(company.gates[1], 1, &passed), WW_TIMED_OUT);
    cr_expect_eq(passed, 1);
    lost = -1;
    expect_line(WW_LOG_ERROR, "rank 0 (here) reported: the cat is on the keyboard");
    company_close(&company);
}

/* Rank 1 announced and said so, and then neither passes on what the one below it announced nor
 * answers: it is all that can be named. */
Test(gate, who_passes_nothing_on_is_missing_though_it_announced)
{
    struct company company;
    int ranks[RANKS_MOST];
    uint64_t passed;
    company_open_on(&company, 40, 40, false);
    for (int rank = 0; rank < 40; rank++) {
        if (rank != 7) { /* it is below rank 1 */
            announce(&company, rank, 1);
        }
    }
    expect_passed(&company, 0);
    for (int roll = 0; roll < 2; roll++) {
        if (roll == 1) {
            announce(&company, 7, 1);
        }
        gate_call_roll(company.gates[0], true);
        for (int rank = 1; rank < 40; rank++) {
            if (roll == 0 || rank != 1) {
                cr_expect_eq(look(company.gates[rank], &passed), WW_OK);
            }
        }
        cr_expect_eq(look(company.gates[0], &passed), WW_OK);
        cr_expect_eq(gate_missing(company.gates[0], ranks, RANKS_MOST), roll == 0 ? 1 : 7);
        cr_expect_eq(ranks[0], roll == 0 ? 7 : 1);
    }
    cr_expect_eq(gate_missing_silent(company.gates[0], ranks, RANKS_MOST), 1);
    cr_expect_eq(ranks[0], 1);
    company_close(&company);
}

static bool holds(const int *ranks, int count, int rank)
{
    for (int i = 0; i < count; i++) {
        if (ranks[i] == rank) {
            return true;
        }
    }
    return false;
}

Test(gate, in_a_tree_rank_0_learns_by_a_roll_call_who_has_not_announced)
{
    for (size_t i = 0; i < LENGTH(trees); i++) {
        int size = trees[i].size;
        int absent[] = {1, size - 1}; /* ranks stand above others, or below all */
        struct company company;
        int ranks[RANKS_MOST];
        uint64_t passed;
        company_open_on(&company, size, trees[i].hosts, false);
        for (int rank = 0; rank < size; rank++) {
            if (!holds(absent, 2, rank)) {
                announce(&company, rank, 1);
            }
        }
        expect_passed(&company, 0);
        int missing = gate_missing(company.gates[0], ranks, RANKS_MOST);
        cr_expect(missing >= 2 && missing < size && holds(ranks, missing, absent[0]) &&
                  holds(ranks, missing, absent[1]));
        gate_call_roll(company.gates[0], true);
        for (int rank = 1; rank < size; rank++) {
            if (rank != absent[0]) { /* it does not even answer */
                cr_expect_eq(look(company.gates[rank], &passed), WW_OK);
            }
        }
        cr_expect_eq(look(company.gates[0], &passed), WW_OK);
        cr_expect_eq(gate_missing(company.gates[0], ranks, RANKS_MOST), 2);
        cr_expect_arr_eq(ranks, absent, sizeof absent);
        cr_expect_eq(gate_missing_silent(company.gates[0], ranks, RANKS_MOST), 1);
        cr_expect_eq(ranks[0], absent[0]);
        company_close(&company);
    }
}

Test(gate, signatures_read_like_a_wish)
{
    static const struct {
        struct signature signature;
        const char *text;
    } rows[] = {
        {{.count = 5,
          .collective = COLLECTIVE_ALL_REDUCE,
          .type = WW_F32,
          .op = WW_MEAN,
          .root = -1},
         "all_reduce of 5 f32 (mean)"},
        {{.count = 1024, .step = 7, .type = WW_F16, .op = WW_MEAN, .root = -1, .label = 3},
         "all_reduce of 1024 f16 (mean), bucket 2 of step 7"},
        {{.collective = COLLECTIVE_BROADCAST, .type = WW_I64, .op = WW_OP_COUNT, .root = 2},
         "broadcast of 0 i64 from root 2"},
        {{.collective = COLLECTIVE_ALL_GATHER, .type = WW_BF16, .op = WW_OP_COUNT, .root = -1},
         "all_gather of 0 bf16"},
        {{.collective = 77, .type = 88, .op = 99, .root = -1},
         "unknown collective of 0 unknown type (unknown op)"},
        {{.count = 1, .op = WW_SUM, .root = -1, .way = SIGNATURE_WITH_VALUES},
         "all_reduce of 1 f32 (sum), its values in the announcement"},
        {{.label = GATE_LABEL_FAREWELL}, "the end of its context (ww_context_destroy)"},
        {{.label = GATE_LABEL_LAYOUT}, "the layout of its tensors (ww_tensors_commit)"},
        {{.label = GATE_LABEL_DRAIN}, "the results of a step on its way (ww_step_drain)"},
        {{.count = 5, .op = WW_MEAN, .root = -1, .label = GATE_LABEL_OUTER},
         "all_reduce of 5 f32 (mean), for local steps"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char text[160];
        cr_expect_eq(signature_print(&rows[i].signature, text, sizeof text),
                     (int)strlen(rows[i].text));
        cr_expect_str_eq(text, rows[i].text);
    }
}
