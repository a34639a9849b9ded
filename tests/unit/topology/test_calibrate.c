/* SPDX-License-Identifier: BSD-3-Clause
 * test_calibrate.c: known networks are found as they are, and what is slow in them is named. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology.h"
#include "capture.h"
#include "paper_wires.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define BUDGET_S 0.3

TestSuite(calibrate, .init = capture_start, .fini = capture_finish);

/* One calibration of all ranks. */
struct trial {
    struct paper_wires wires;
    double budget_s;
    double timeout_s;
    double expected_gbit_s; /* nominal; 0 = unknown */
    bool imitated;          /* hosts that are parts of one */
    const char *file;
    enum ww_status status[PAPER_RANKS_MAX];
    struct wires found[PAPER_RANKS_MAX];
    struct calibration calibration[PAPER_RANKS_MAX];
};

static void add_up(void *result, const void *const *sources, int source_count, size_t count,
                   double scale)
{
    (void)result, (void)sources, (void)source_count, (void)count, (void)scale;
}

/* Hosts are called node1, node2 ... */
static void make_topology(struct topology *topology, const struct paper_wires *wires, int rank)
{
    uint64_t labels[LEVEL_NETWORK * PAPER_RANKS_MAX];
    char names[PAPER_RANKS_MAX][HOST_NAME_BYTES];
    for (int kind = 0; kind < LEVEL_NETWORK; kind++) {
        for (int i = 0; i < wires->size; i++) {
            labels[kind * wires->size + i] = kind == LEVEL_HOST ? (uint64_t)wires->host_of[i]
                                                                : LABEL_UNKNOWN;
        }
    }
    for (int host = 0; host < PAPER_RANKS_MAX; host++) {
        snprintf(names[host], sizeof names[host], "node%d", host + 1);
    }
    cr_assert_eq(topology_make(topology, rank, wires->size, labels,
                               (const char(*)[HOST_NAME_BYTES])names, level_cost_usual),
                 WW_OK);
}

static void calibrate_one(const struct ww_world *world, void *fabric, void *shared)
{
    struct trial *trial = shared;
    struct topology topology;
    int rank = world->rank;
    make_topology(&topology, &trial->wires, rank);
    topology.cores = 64;
    topology.cache_bytes = 1e6;
    topology.port_gbit_s = trial->expected_gbit_s;
    snprintf(topology.port_name, sizeof topology.port_name, "%s",
             trial->imitated ? IMITATED_PORT : "");
    int32_t votes[PAPER_RANKS_MAX];
    struct calibration_setup setup = {.world = world,
                                      .votes = votes,
                                      .topology = &topology,
                                      .transport = &paper_transport,
                                      .fabric = fabric,
                                      .budget_s = trial->budget_s,
                                      .timeout_s = trial->timeout_s,
                                      .file = trial->file,
                                      .fingerprint = 42,
                                      .clock_ns = paper_now_ns,
                                      .core_ns = paper_core_ns,
                                      .sum = add_up,
                                      .wait = paper_wait};
    trial->found[rank] = wires_assumed(&topology);
    trial->status[rank] = calibrate(&setup, &trial->found[rank], &trial->calibration[rank]);
    topology_finish(&topology);
}

static struct trial *make_trial(const struct paper_wires *wires)
{
    struct trial *trial = calloc(1, sizeof *trial);
    cr_assert_not_null(trial);
    trial->wires = *wires;
    trial->budget_s = BUDGET_S;
    trial->timeout_s = 10;
    return trial;
}

static void run_trial(struct trial *trial)
{
    cr_assert_eq(paper_run(&trial->wires, calibrate_one, trial, 100), 0);
    cr_expect_eq(paper_left(), 0, "%d messages are left", paper_left());
    for (int rank = 0; rank < trial->wires.size; rank++) {
        cr_assert_eq(trial->status[rank], WW_OK);
        cr_expect_arr_eq(&trial->found[rank], &trial->found[0], sizeof trial->found[0]);
    }
}

#define expect_near(got, wanted, share, ...)                                                       \
    cr_expect(fabs((got) / (wanted)-1) <= (share), __VA_ARGS__)

static void expect_speed(const struct trial *trial, int level, const char *name)
{
    const struct link *link = &trial->found[0].link[level];
    double byte_s = 8e-9 / trial->wires.gbit_s;
    double quick_s = trial->wires.latency_s + trial->wires.jitter_s / 2;
    double last_s = trial->wires.latency_s + trial->wires.jitter_s; /* a step waits for the last */
    cr_expect_eq(link->source, COST_MEASURED, "%s", name);
    expect_near(link->flow.byte_s, byte_s, 0.05, "%s: %g s per byte", name, link->flow.byte_s);
    expect_near(link->port_byte_s, byte_s, 0.05, "%s: port %g", name, link->port_byte_s);
    cr_expect(link->flow.fixed_s >= 0.9 * quick_s && link->flow.fixed_s <= 1.1 * last_s, "%s: %g s",
              name, link->flow.fixed_s);
    expect_near(link->duplex, 1, 0.05, "%s: duplex %g", name, link->duplex);
}

Test(calibrate, known_networks_are_found, .timeout = 60)
{
    static const struct {
        int hosts, ranks;
        double gbit_s, latency_s, jitter_s;
    } cases[] = {
        {2, 1, 1, 20e-6, 0},      {2, 2, 1, 20e-6, 10e-6},  {3, 1, 10, 20e-6, 5e-6},
        {4, 1, 5, 30e-6, 10e-6},  {4, 2, 25, 10e-6, 2e-6},  {5, 3, 10, 20e-6, 0},
        {8, 1, 1, 20e-6, 10e-6},  {9, 1, 10, 20e-6, 10e-6}, {16, 4, 100, 5e-6, 1e-6},
        {64, 1, 10, 20e-6, 5e-6}, {2, 1, 0.2, 50e-6, 0},    {2, 1, 400, 2e-6, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct paper_wires wires = paper_wires(cases[i].hosts, cases[i].ranks);
        char name[64];
        wires.gbit_s = cases[i].gbit_s;
        wires.latency_s = cases[i].latency_s;
        wires.jitter_s = cases[i].jitter_s;
        snprintf(name, sizeof name, "%d x %d at %g Gbit/s", cases[i].hosts, cases[i].ranks,
                 cases[i].gbit_s);
        struct trial *trial = make_trial(&wires);
        run_trial(trial);
        expect_speed(trial, 1, name);
        expect_near(trial->found[0].link[1].core_byte_s, 2e-9 / wires.gbit_s, 0.15, "%s: core %g",
                    name, trial->found[0].link[1].core_byte_s);
        cr_expect_eq(trial->calibration[0].slow_count, 0, "%s: %d slow", name,
                     trial->calibration[0].slow_count);
        double spent_s = trial->calibration[0].spent_s;
        cr_expect(spent_s <= 1.2 * BUDGET_S || wires.gbit_s < 1, "%s: %g s", name, spent_s);
        cr_expect(spent_s <= 2 * BUDGET_S, "%s: %g s", name, spent_s);
        free(trial);
    }
}

/* A stream's answer may come sooner than most pings did, and a stream may be held up like the
 * longest of them: neither says what the wire carries. */
Test(calibrate, jitter_makes_no_wire_faster_and_none_slow, .timeout = 60)
{
    static const struct {
        int hosts;
        double jitter_s;
    } cases[] = {{2, 1e-3}, {2, 4e-3}, {3, 2e-3}, {3, 8e-3}, {4, 4e-3}, {8, 4e-3}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct paper_wires wires = paper_wires(cases[i].hosts, 1);
        wires.jitter_s = cases[i].jitter_s;
        struct trial *trial = make_trial(&wires);
        run_trial(trial);
        const struct link *link = &trial->found[0].link[1];
        double byte_s = 8e-9 / wires.gbit_s;
        cr_expect_geq(link->flow.byte_s, 0.95 * byte_s, "case %zu: %g", i, link->flow.byte_s);
        cr_expect_geq(link->port_byte_s, 0.95 * byte_s, "case %zu: port %g", i, link->port_byte_s);
        cr_expect_eq(trial->calibration[0].slow_count, 0, "case %zu: %d slow", i,
                     trial->calibration[0].slow_count);
        free(trial);
    }
    expect_no_warnings();
}

Test(calibrate, memory_between_ranks_of_a_host_is_measured_as_messages)
{
    struct paper_wires wires = paper_wires(1, 4);
    struct trial *trial = make_trial(&wires);
    run_trial(trial);
    const struct link *link = &trial->found[0].link[0];
    expect_near(link->flow.byte_s, wires.memory_byte_s, 0.05, "%g", link->flow.byte_s);
    expect_near(link->flow.fixed_s, wires.memory_latency_s, 0.1, "%g", link->flow.fixed_s);
    free(trial);
}

Test(calibrate, ragged_hosts_agree)
{
    struct paper_wires wires = paper_wires(3, 1);
    static const int host_of[] = {0, 0, 1, 2, 2, 2, 0};
    wires.size = LENGTH(host_of);
    memcpy(wires.host_of, host_of, sizeof host_of);
    struct trial *trial = make_trial(&wires);
    run_trial(trial);
    expect_speed(trial, 1, "ragged");
    free(trial);
}

Test(calibrate, what_is_slow_is_named_and_nothing_else, .timeout = 60)
{
    static const struct {
        int hosts, ranks, port, path[2];
        double jitter_s;
        const char *words;
    } cases[] = {
        {4, 1, 2, {-1, -1}, 0, "link node3 <-> switch carries 0.2"},
        {3, 1, 0, {-1, -1}, 0, "link node1 <-> switch carries 0.2"},
        {4, 2, 3, {-1, -1}, 20e-6, "link node4 <-> switch carries "},
        {8, 1, 1, {-1, -1}, 20e-6, "link node2 <-> switch carries "},
        {16, 1, 9, {-1, -1}, 20e-6, "link node10 <-> switch carries "},
        {4, 1, -1, {0, 3}, 0, "path node1 <-> node4 carries 0.2"},
        {3, 1, -1, {1, 2}, 20e-6, "path node2 <-> node3 carries "},
        {6, 2, -1, {2, 4}, 20e-6, "path node3 <-> node5 carries "},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct paper_wires wires = paper_wires(cases[i].hosts, cases[i].ranks);
        wires.jitter_s = cases[i].jitter_s;
        wires.slow_port = cases[i].port;
        wires.port_factor = 5;
        memcpy(wires.slow_path, cases[i].path, sizeof wires.slow_path);
        wires.path_factor = 5;
        struct trial *trial = make_trial(&wires);
        run_trial(trial);
        const struct calibration *calibration = &trial->calibration[wires.size - 1];
        const struct slow_wire *slow = &calibration->slow[0];
        cr_expect_eq(calibration->slow_count, 1, "case %zu: %d slow", i, calibration->slow_count);
        cr_expect_eq(slow->level, 1);
        cr_expect_eq(slow->unit, cases[i].port >= 0 ? cases[i].port : cases[i].path[0]);
        cr_expect_eq(slow->peer, cases[i].path[1]);
        /* Over 25 seeds of jitter 0.19 to 0.26. */
        double share = cases[i].jitter_s > 0 ? 0.35 : 0.01;
        expect_near(slow->ratio, 0.2, share, "case %zu: ratio %g", i, slow->ratio);
        expect_line(WW_LOG_WARN, cases[i].words);
        expect_speed(trial, 1, cases[i].words);
        free(trial);
    }
    expect_no_warnings();
}

/* Nobody goes to look for a cable that is not there. */
Test(calibrate, what_is_slow_between_imitated_hosts_has_no_cable, .timeout = 60)
{
    static const int ports[] = {1, -1};
    for (size_t i = 0; i < LENGTH(ports); i++) {
        struct paper_wires wires = paper_wires(4, 1);
        wires.slow_port = ports[i];
        wires.port_factor = 5;
        wires.slow_path[0] = ports[i] < 0 ? 0 : -1;
        wires.slow_path[1] = ports[i] < 0 ? 3 : -1;
        wires.path_factor = 5;
        struct trial *trial = make_trial(&wires);
        trial->imitated = true;
        run_trial(trial);
        const char *line = capture_take(WW_LOG_WARN, ports[i] < 0
                                                         ? "path node1 <-> node4 carries"
                                                         : "link node2 <-> switch carries");
        cr_assert_not_null(line, "%s", capture_all());
        cr_expect_not_null(strstr(line, "keeps this machine's cores busy"), "%s", line);
        cr_expect(strstr(line, "cable") == NULL && strstr(line, "routes") == NULL, "%s", line);
        free(trial);
    }
    expect_no_warnings();
}

Test(calibrate, health_compares_with_what_the_port_promises)
{
    struct paper_wires wires = paper_wires(2, 1);
    struct trial *trial = make_trial(&wires);
    trial->expected_gbit_s = 10;
    run_trial(trial);
    expect_near(trial->found[0].link[1].health, 1 / 9.56, 0.05, "health %g",
                trial->found[0].link[1].health);
    expect_near(trial->found[0].link[1].flow.byte_s, 8e-9, 0.05, "not blended away");
    free(trial);
}

Test(calibrate, no_budget_sends_nothing_and_changes_nothing)
{
    struct paper_wires wires = paper_wires(2, 2);
    struct trial *trial = make_trial(&wires);
    trial->budget_s = 0;
    run_trial(trial);
    cr_expect_eq(trial->found[0].link[1].source, COST_ASSUMED);
    cr_expect_eq(paper_now_ns(), 1000000000);
    free(trial);
}

Test(calibrate, a_small_budget_still_gives_the_outermost_wire)
{
    struct paper_wires wires = paper_wires(4, 2);
    struct trial *trial = make_trial(&wires);
    wires.gbit_s = 10;
    trial->wires = wires;
    trial->budget_s = 0.05;
    run_trial(trial);
    expect_near(trial->found[0].link[1].flow.byte_s, 0.8e-9, 0.05, "%g",
                trial->found[0].link[1].flow.byte_s);
    cr_expect_leq(trial->calibration[0].spent_s, 0.075);
    free(trial);
}

Test(calibrate, one_rank_alone_sends_nothing)
{
    struct paper_wires wires = paper_wires(1, 1);
    struct trial *trial = make_trial(&wires);
    run_trial(trial);
    cr_expect_eq(trial->found[0].link[0].source, COST_ASSUMED);
    free(trial);
}

/* Short and long limits; one that is too short to measure anything is not taken at its word. */
Test(calibrate, a_dead_peer_is_named, .timeout = 60)
{
    static const double timeouts_s[] = {3, 10, 60, 0.01};
    static const int told_s[] = {3, 10, 60, 2};
    for (size_t i = 0; i < LENGTH(told_s); i++) {
        struct paper_wires wires = paper_wires(2, 1);
        wires.dead = 1;
        wires.dies_after = 20;
        struct trial *trial = make_trial(&wires);
        trial->timeout_s = timeouts_s[i];
        cr_expect_eq(paper_run(&trial->wires, calibrate_one, trial, 100), 1);
        cr_expect_eq(trial->status[0], WW_TIMED_OUT);
        if (timeouts_s[i] > 30) {
            expect_line(WW_LOG_WARN,
                        "rank 1 (node2) has not answered rank 0 (node1) for 30 s while "
                        "the wires are measured; that fails after 60 s (timeout_s)");
        }
        char sentence[96];
        snprintf(sentence, sizeof sentence,
                 "rank 1 (node2) did not answer rank 0 (node1) for %d s while", told_s[i]);
        expect_line(WW_LOG_ERROR, sentence);
        expect_no_warnings();
        free(trial);
    }
}

/* A rank that is held up for long, once or twice, fails nobody as long as timeout_s lasts. */
Test(calibrate, a_rank_that_is_held_up_is_waited_for, .timeout = 60)
{
    for (int dies_after = 0; dies_after < 200; dies_after += 23) {
        struct paper_wires wires = paper_wires(4, 1);
        wires.dead = 2;
        wires.dies_after = dies_after;
        wires.held_s = 14;
        struct trial *trial = make_trial(&wires);
        trial->timeout_s = 600;
        run_trial(trial);
        trial->wires.held_s = 2.5;
        trial->timeout_s = 3;
        run_trial(trial);
        expect_no_warnings();
        free(trial);
    }
}

/* On long wires two are busy with each other for longer than timeout_s, and the others wait. */
Test(calibrate, ranks_that_are_busy_on_long_wires_are_waited_for, .timeout = 60)
{
    for (int hosts = 2; hosts <= 6; hosts++) {
        struct paper_wires wires = paper_wires(hosts, 1);
        wires.latency_s = 0.2;
        struct trial *trial = make_trial(&wires);
        trial->timeout_s = 4;
        run_trial(trial);
        expect_no_warnings();
        free(trial);
    }
}

/* Wherever it stops: the others end, and nobody blames a rank that only waits itself. */
Test(calibrate, all_that_live_hear_of_a_dead_peer, .timeout = 120)
{
    for (int dies_after = 0; dies_after < 400; dies_after += dies_after < 20 ? 1 : 19) {
        struct paper_wires wires = paper_wires(5, 1);
        wires.dead = 2;
        wires.dies_after = dies_after;
        struct trial *trial = make_trial(&wires);
        int left = paper_run(&trial->wires, calibrate_one, trial, 100);
        cr_expect_eq(left, 1, "%d left after %d posts", left, dies_after);
        for (int rank = 0; rank < wires.size; rank++) {
            cr_expect(rank == wires.dead || trial->status[rank] == WW_TIMED_OUT,
                      "rank %d, %d posts: %d", rank, dies_after, (int)trial->status[rank]);
        }
        expect_line(WW_LOG_ERROR, "rank 2 (node3) did not answer");
        while (capture_take(WW_LOG_ERROR, "rank 2 (node3) did not answer") != NULL) {
        }
        cr_expect_str_empty(capture_unexpected(), "after %d posts:\n%s", dies_after,
                            capture_unexpected());
        free(trial);
    }
}

/* Long before timeout_s, and nobody blames those who gave up and ended meanwhile. */
Test(calibrate, a_peer_whose_process_ended_is_named_soon, .timeout = 120)
{
    for (int dies_after = 0; dies_after < 200; dies_after += dies_after < 20 ? 3 : 19) {
        struct paper_wires wires = paper_wires(5, 1);
        wires.dead = 2;
        wires.dies_after = dies_after;
        wires.seen = true;
        struct trial *trial = make_trial(&wires);
        trial->timeout_s = 600;
        int left = paper_run(&trial->wires, calibrate_one, trial, 30);
        cr_expect_eq(left, 1, "%d left after %d posts", left, dies_after);
        for (int rank = 0; rank < wires.size; rank++) {
            cr_expect(rank == wires.dead || trial->status[rank] == WW_PEER_FAILED,
                      "rank %d, %d posts: %d", rank, dies_after, (int)trial->status[rank]);
        }
        expect_line(WW_LOG_ERROR, "rank 2 (node3) is gone: its process ended while");
        while (capture_take(WW_LOG_ERROR, "rank 2 (node3) is gone: its process ended") != NULL) {
        }
        cr_expect_str_empty(capture_unexpected(), "after %d posts:\n%s", dies_after,
                            capture_unexpected());
        free(trial);
    }
}

/* Where the fabric tells that it is lost, all learn it at once, and the same: one that could not be
 * told would wait for WAITING_S and blame somebody who lives. Nor does anybody blame those who gave
 * up and ended meanwhile. */
static void lose_a_peer(int size, int dead, int dies_after)
{
    struct paper_wires wires = paper_wires(size, 1);
    wires.dead = dead;
    wires.dies_after = dies_after;
    wires.lost = true;
    struct trial *trial = make_trial(&wires);
    int left = paper_run(&trial->wires, calibrate_one, trial, 9);
    cr_expect_eq(left, 1, "%d of %d left after %d posts", left, size, dies_after);
    for (int rank = 0; rank < size; rank++) {
        cr_expect(rank == dead || trial->status[rank] == WW_PEER_FAILED, "rank %d, %d posts: %d",
                  rank, dies_after, (int)trial->status[rank]);
    }
    char sentence[32];
    int sentences = 0;
    snprintf(sentence, sizeof sentence, "rank %d is lost", dead);
    while (capture_take(WW_LOG_ERROR, sentence) != NULL) {
        sentences++;
    }
    cr_expect_geq(sentences, size - 1, "%d of %d ranks name it after %d posts", sentences, size,
                  dies_after);
    while (capture_take(WW_LOG_ERROR, "is lost") != NULL) { /* what they heard of at first */
    }
    cr_expect_str_empty(capture_unexpected(), "after %d posts:\n%s", dies_after,
                        capture_unexpected());
    free(trial);
}

Test(calibrate, all_that_live_hear_of_a_lost_peer_at_once, .timeout = 120)
{
    for (int dies_after = 0; dies_after < 400; dies_after += dies_after < 20 ? 1 : 19) {
        lose_a_peer(5, 2, dies_after);
    }
    for (int dies_after = 0; dies_after < 60; dies_after += 7) {
        lose_a_peer(16, 12, dies_after);
    }
}

Test(calibrate, earlier_results_serve_while_they_are_true)
{
    char folder[] = "/tmp/calibrate-XXXXXX";
    char file[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/wires", folder);
    struct paper_wires wires = paper_wires(3, 2);
    struct trial *trial = make_trial(&wires);
    trial->file = file;
    run_trial(trial);
    cr_expect_not(trial->calibration[0].from_file);
    struct link first = trial->found[0].link[1];
    run_trial(trial);
    cr_expect(trial->calibration[0].from_file && trial->calibration[5].from_file);
    cr_expect_eq(trial->found[0].link[1].flow.byte_s, first.flow.byte_s);
    cr_expect_leq(trial->calibration[0].spent_s, 0.02);
    trial->wires.gbit_s = 2;
    run_trial(trial);
    cr_expect_not(trial->calibration[0].from_file);
    expect_speed(trial, 1, "after the change");
    remove(file);
    rmdir(folder);
    free(trial);
}

/* A port that was well when the file was written, and is not any more. */
Test(calibrate, what_became_slow_since_is_named)
{
    char folder[] = "/tmp/calibrate-XXXXXX";
    char file[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/wires", folder);
    for (int hosts = 3; hosts <= 6; hosts++) {
        for (int port = 0; port < hosts; port += 2) {
            struct paper_wires wires = paper_wires(hosts, 1);
            struct trial *trial = make_trial(&wires);
            char words[64];
            trial->file = file;
            run_trial(trial);
            run_trial(trial);
            cr_expect(trial->calibration[0].from_file);
            trial->wires.slow_port = port;
            trial->wires.port_factor = 5;
            run_trial(trial);
            cr_expect_not(trial->calibration[0].from_file, "%d hosts, port %d", hosts, port);
            snprintf(words, sizeof words, "link node%d <-> switch carries", port + 1);
            expect_line(WW_LOG_WARN, words);
            expect_no_warnings();
            free(trial);
            remove(file);
        }
    }
    rmdir(folder);
}
