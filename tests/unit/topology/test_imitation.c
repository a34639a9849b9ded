/* SPDX-License-Identifier: BSD-3-Clause
 * test_imitation.c: which hosts and wires a text asks for, and how ranks are parted among them. */
#include <string.h>

#include "topology.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(imitation, .init = capture_start, .fini = capture_finish);

static bool near(double value, double wanted)
{
    return value >= wanted * (1 - 1e-12) && value <= wanted * (1 + 1e-12);
}

/* ---- Texts ---------------------------------------------------------------------------------- */

Test(imitation, texts_say_hosts_rate_and_latency)
{
    static const struct {
        const char *text;
        struct imitation wanted;
        const char *words;
    } examples[] = {
        {"hosts=2,rate=1gbit,latency=20us", {2, 8e-9, 20e-6}, "1 Gbit/s, 20 us"},
        {"latency=1.5ms,rate=100mbit,hosts=8", {8, 8e-8, 1.5e-3}, "100 Mbit/s, 1.5 ms"},
        {"rate=125MB", {2, 8e-9, 0}, "1 Gbit/s"},
        {"rate=25 Gbit/s", {2, 0.32e-9, 0}, "25 Gbit/s"},
        {"rate=56kbit", {2, 1 / 7e3, 0}, "56 kbit/s"},
        {"rate=1kbit", {2, 8e-3, 0}, "1 kbit/s"},
        {"rate=2.5gbit", {2, 3.2e-9, 0}, "2.5 Gbit/s"},
        {"rate=100gbit,latency=700ns", {2, 0.08e-9, 700e-9}, "100 Gbit/s, 700 ns"},
        {"hosts=3", {3, 0, 0}, "any rate"},
        {"latency=1s", {2, 0, 1}, "any rate, 1 s"},
        {"", {0, 0, 0}, "any rate"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct imitation got = {.hosts = -1};
        char words[64];
        cr_expect_eq(imitation_parse(examples[i].text, 8, &got), WW_OK, "%s", examples[i].text);
        cr_expect_eq(got.hosts, examples[i].wanted.hosts, "%s: %d hosts", examples[i].text,
                     got.hosts);
        cr_expect(near(got.byte_s, examples[i].wanted.byte_s), "%s: %g", examples[i].text,
                  got.byte_s);
        cr_expect(near(got.latency_s, examples[i].wanted.latency_s), "%s: %g", examples[i].text,
                  got.latency_s);
        imitation_describe(&got, words, sizeof words);
        cr_expect_str_eq(words, examples[i].words);
    }
}

Test(imitation, what_makes_no_sense_is_refused_in_words)
{
    static const struct {
        const char *text;
        const char *words;
    } examples[] = {
        {"2", "\"2\" begins with none of its keys; it takes hosts, rate and latency"},
        {"host=2", "\"host=2\" begins with none"},
        {"hosts", "\"hosts\" begins with none"},
        {"Rate=1gbit", "\"Rate=1gbit\" begins with none"},
        {"hosts=2,", "\"\" begins with none"},
        {"hosts=2,,rate=1gbit", "\"\" begins with none"},
        {"hosts=2;rate=1gbit", "\"hosts=2;rate=1gbit\" is not a whole number"},
        {"hosts=two", "\"hosts=two\" is not a whole number"},
        {"hosts=2,hosts=2", "\"hosts=2\" comes after another value of that key"},
        {"rate=1", "\"rate=1\" is not a rate in kbit, mbit or gbit"},
        {"rate=1gb", "is not a rate in kbit, mbit or gbit"},
        {"rate=-1gbit", "is not a rate"},
        {"rate=", "is not a rate"},
        {"rate=0gbit", "\"rate=0gbit\" is too slow: at least 1kbit"},
        {"latency=20", "\"latency=20\" is not a time in ns, us, ms or s"},
        {"latency=2s", "\"latency=2s\" is too long: at most 1s"},
        {"hosts=0", "hosts is 0, but there are 4 ranks"},
        {"hosts=1", "hosts is 1, but there are 4 ranks: imitate from 2 hosts"},
        {"hosts=5,rate=1gbit", "hosts is 5, but there are 4 ranks"},
        {"hosts=4294967298", "hosts is 4294967298, but there are 4 ranks"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct imitation got = {.hosts = -1};
        cr_expect_eq(imitation_parse(examples[i].text, 4, &got), WW_BAD_CONFIG, "%s",
                     examples[i].text);
        cr_expect_eq(got.hosts, -1);
        expect_line(WW_LOG_ERROR, examples[i].words);
    }
    struct imitation got;
    cr_expect_eq(imitation_parse("rate=1gbit", 1, &got), WW_OK);
    cr_expect_eq(got.hosts, 0);
    expect_line(WW_LOG_INFO, "one rank alone sends nothing");
}

/* ---- Hosts ---------------------------------------------------------------------------------- */

struct map {
    int size;
    struct imitation imitation;
    int host_of[7];
};

static void draw_map(const struct ww_world *world, void *shared)
{
    const struct map *map = shared;
    const struct topology_setup setup = {
        .host = "box", .settings = "", .imitation = &map->imitation};
    struct topology topology;
    if (!check_status(topology_exchange(world, &setup, &topology), WW_OK)) {
        return;
    }
    int here = map->host_of[world->rank];
    int host_levels = topology.host_levels;
    check(topology.hosts == map->imitation.hosts, "%d hosts", topology.hosts);
    check(strcmp(topology.level_name[topology.levels - 1], "network") == 0, "no network");
    for (int rank = 0; rank < map->size; rank++) {
        check(topology.host_of[rank] == map->host_of[rank], "rank %d is on host %d", rank,
              topology.host_of[rank]);
        check((topology.peer_level[rank] >= host_levels) == (map->host_of[rank] != here),
              "rank %d is at level %d", rank, topology.peer_level[rank]);
    }
    check(strcmp(topology.host_name[1], "box#1") == 0, "host 1 is %s", topology.host_name[1]);
    check(topology.cores >= 1, "%d cores", topology.cores);
    struct wires wires = wires_assumed(&topology);
    const struct link *link = &wires.link[topology.levels - 1];
    check(strcmp(link->name, "imitated") == 0, "it is called %s", link->name);
    check(near(link->port_byte_s, 8e-9), "a port takes %g", link->port_byte_s);
    check(link->flow.fixed_s > 20e-6, "it takes %g one way", link->flow.fixed_s);
    topology_finish(&topology);
}

Test(imitation, neighbouring_ranks_are_a_host)
{
    static const struct map maps[] = {
        {2, {2, 8e-9, 20e-6}, {0, 1}},          {4, {2, 8e-9, 20e-6}, {0, 0, 1, 1}},
        {5, {2, 8e-9, 20e-6}, {0, 0, 0, 1, 1}}, {7, {3, 8e-9, 20e-6}, {0, 0, 0, 1, 1, 2, 2}},
        {3, {3, 8e-9, 20e-6}, {0, 1, 2}},
    };
    for (size_t i = 0; i < LENGTH(maps); i++) {
        struct map map = maps[i];
        world_run(map.size, draw_map, &map);
    }
    expect_no_warnings();
}

static void exchange_between_hosts(const struct ww_world *world, void *shared)
{
    (void)shared;
    static const struct imitation imitation = {2, 8e-9, 20e-6};
    struct topology topology;
    const struct topology_setup setup = {
        .host = world->rank < 2 ? "a" : "b", .settings = "", .imitation = &imitation};
    check_status(topology_exchange(world, &setup, &topology), WW_BAD_CONFIG);
    check_words(ww_last_error(NULL), "imitates 2 hosts inside one", "ranks 0 (a) and 2 (b)",
                "unset shape, or run all ranks on one host");
}

Test(imitation, real_wires_are_not_imitated)
{
    world_run(3, exchange_between_hosts, NULL);
    cr_expect_eq(world_forgive(), 3);
}
