/* SPDX-License-Identifier: BSD-3-Clause
 * test_levels.c: labels of ranks become levels: those that are known, say something and pay. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "topology.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define SIZE_MOST 16

TestSuite(levels, .init = capture_start, .fini = capture_finish);

/* A letter for each rank: ranks with the same letter share the unit; '?' = unknown. A kind that is
 * not mentioned is unknown for all. */
struct labelled {
    enum level_kind kind;
    const char *letters;
};

struct example {
    const char *about;
    struct labelled given[6]; /* ended by letters NULL */
    const char *levels;       /* their names, innermost first */
    int host_levels;
    const char *units[6]; /* per level but the last: numbers as digits */
    int hierarchy_levels;
};

static const struct example examples[] = {
    {"one rank", {{LEVEL_HOST, "a"}}, "host", 1, {NULL}, 0},
    {"one host", {{LEVEL_HOST, "aaaa"}}, "host", 1, {NULL}, 0},
    {"two hosts", {{LEVEL_HOST, "aabb"}}, "host network", 1, {"0011"}, 1},
    {"hosts taken in turns", {{LEVEL_HOST, "baba"}}, "host network", 1, {"0101"}, 1},
    {"ragged hosts", {{LEVEL_HOST, "aaabc"}}, "host network", 1, {"00012"}, 1},
    {"each rank its own host", {{LEVEL_HOST, "abc"}}, "host network", 1, {"012"}, 0},
    {"two packages",
     {{LEVEL_PACKAGE, "0011"}, {LEVEL_HOST, "aaaa"}},
     "package host",
     2,
     {"0011"},
     1},
    {"package numbers begin anew on each host",
     {{LEVEL_PACKAGE, "00110011"}, {LEVEL_HOST, "aaaabbbb"}},
     "package host network",
     2,
     {"00112233", "00001111"},
     2},
    {"one package is the host",
     {{LEVEL_PACKAGE, "0000"}, {LEVEL_HOST, "aabb"}},
     "host network",
     1,
     {"0011"},
     1},
    {"an unbound rank hides the packages",
     {{LEVEL_PACKAGE, "001?"}, {LEVEL_HOST, "aaaa"}},
     "host",
     1,
     {NULL},
     0},
    {"a rank alone in each package says nothing",
     {{LEVEL_PACKAGE, "0101"}, {LEVEL_HOST, "aabb"}},
     "host network",
     1,
     {"0011"},
     1},
    {"packages of uneven ranks",
     {{LEVEL_PACKAGE, "000100"}, {LEVEL_HOST, "aaaabb"}},
     "package host network",
     2,
     {"000122", "000011"},
     2},
    {"NUMA nodes cost nearly what packages do",
     {{LEVEL_NUMA, "00112233"}, {LEVEL_PACKAGE, "00001111"}, {LEVEL_HOST, "aaaaaaaa"}},
     "package host",
     2,
     {"00001111"},
     1},
    {"NUMA nodes of one package",
     {{LEVEL_NUMA, "0011"}, {LEVEL_PACKAGE, "0000"}, {LEVEL_HOST, "aaaa"}},
     "NUMA host",
     2,
     {"0011"},
     1},
    {"caches in packages",
     {{LEVEL_CACHE, "00112233"}, {LEVEL_PACKAGE, "00001111"}, {LEVEL_HOST, "aaaaaaaa"}},
     "cache package host",
     3,
     {"00112233", "00001111"},
     2},
    {"a cache that spans NUMA nodes",
     {{LEVEL_CACHE, "0000"}, {LEVEL_NUMA, "0011"}, {LEVEL_HOST, "aaaa"}},
     "NUMA host",
     2,
     {"0011"},
     1},
    {"racks of hosts",
     {{LEVEL_HOST, "aabbccdd"}, {LEVEL_RACK, "xxxxyyyy"}},
     "host rack network",
     1,
     {"00112233", "00001111"},
     2},
    {"racks of hosts of one rank",
     {{LEVEL_HOST, "abcd"}, {LEVEL_RACK, "xxyy"}},
     "host rack network",
     1,
     {"0123", "0011"},
     1},
    {"a rack for each host",
     {{LEVEL_HOST, "aabb"}, {LEVEL_RACK, "xxyy"}},
     "host network",
     1,
     {"0011"},
     1},
    {"one rack for all",
     {{LEVEL_HOST, "aabb"}, {LEVEL_RACK, "xxxx"}},
     "host network",
     1,
     {"0011"},
     1},
    {"rack names begin anew on each site",
     {{LEVEL_HOST, "abcdefgh"}, {LEVEL_RACK, "11221122"}, {LEVEL_SITE, "ppppqqqq"}},
     "host rack site network",
     1,
     {"01234567", "00112233", "00001111"},
     2},
    {"a rack that cuts a host in two",
     {{LEVEL_HOST, "aabb"}, {LEVEL_RACK, "xyyy"}},
     "host network",
     1,
     {"0011"},
     1},
    {"islands inside hosts",
     {{LEVEL_ISLAND, "iijjkkll"}, {LEVEL_HOST, "aaaabbbb"}},
     "island host network",
     2,
     {"00112233", "00001111"},
     2},
    {"an island that spans hosts",
     {{LEVEL_ISLAND, "iiiijj"}, {LEVEL_HOST, "aabbcc"}},
     "host island network",
     1,
     {"001122", "000011"},
     2},
    {"islands across packages are left out",
     {{LEVEL_ISLAND, "ijij"}, {LEVEL_PACKAGE, "0011"}, {LEVEL_HOST, "aaaa"}},
     "package host",
     2,
     {"0011"},
     1},
    {"islands inside a package",
     {{LEVEL_ISLAND, "iijjkkll"}, {LEVEL_PACKAGE, "00001111"}, {LEVEL_HOST, "aaaaaaaa"}},
     "island package host",
     3,
     {"00112233", "00001111"},
     2},
    {"three levels inside hosts",
     {{LEVEL_CACHE, "0011223344556677"},
      {LEVEL_PACKAGE, "0000111122223333"},
      {LEVEL_HOST, "aaaaaaaabbbbbbbb"}},
     "cache package host network",
     3,
     {"0011223344556677", "0000111122223333", "0000000011111111"},
     3},
};

static void label(const struct example *example, int size, uint64_t *labels)
{
    memset(labels, 0xff, (size_t)size * LEVEL_NETWORK * sizeof *labels);
    for (const struct labelled *given = example->given; given->letters != NULL; given++) {
        for (int rank = 0; rank < size; rank++) {
            char letter = given->letters[rank];
            labels[given->kind * size + rank] = letter == '?' ? LABEL_UNKNOWN : (uint64_t)letter;
        }
    }
}

static int size_of(const struct example *example)
{
    return (int)strlen(example->given[0].letters);
}

static void print_levels(const struct topology *topology, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int level = 0; level < topology->levels && used < bytes; level++) {
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", level == 0 ? "" : " ",
                                 topology->level_name[level]);
    }
}

static void expect_units(const struct example *example, const struct topology *topology)
{
    for (int level = 0; level < topology->levels - 1; level++) {
        char digits[SIZE_MOST + 1] = "";
        for (int rank = 0; rank < topology->size; rank++) {
            digits[rank] = (char)('0' + topology->unit[level][rank]);
        }
        cr_expect_str_eq(digits, example->units[level], "%s: level %d is %s", example->about, level,
                         digits);
    }
}

/* The level of the innermost unit that both share, seen from either end. */
static void expect_peers(const struct example *example, const struct topology *topology)
{
    for (int peer = 0; peer < topology->size; peer++) {
        int level = topology_level(topology, topology->rank, peer);
        cr_expect_eq(level, topology_level(topology, peer, topology->rank));
        cr_expect_eq(topology->peer_level[peer], level, "%s", example->about);
        bool here = topology->host_of[peer] == topology->host_of[topology->rank];
        cr_expect_eq(level < topology->host_levels, here, "%s: %d and %d", example->about,
                     topology->rank, peer);
    }
}

static void expect_example(const struct example *example, int rank)
{
    static const char names[SIZE_MOST][HOST_NAME_BYTES] = {"first", "second"};
    uint64_t labels[LEVEL_NETWORK * SIZE_MOST];
    char text[128];
    struct topology topology;
    int size = size_of(example);
    label(example, size, labels);
    cr_assert_eq(topology_make(&topology, rank, size, labels, names, level_cost_usual), WW_OK);
    print_levels(&topology, text, sizeof text);
    cr_assert_str_eq(text, example->levels, "%s: %s", example->about, text);
    cr_expect_eq(topology.host_levels, example->host_levels, "%s", example->about);
    cr_expect_eq(topology.hierarchy.levels, example->hierarchy_levels, "%s: %d levels of groups",
                 example->about, topology.hierarchy.levels);
    cr_expect_str_eq(topology.host_name[0], "first");
    expect_units(example, &topology);
    expect_peers(example, &topology);
    topology_finish(&topology);
}

Test(levels, labels_become_levels)
{
    for (size_t i = 0; i < LENGTH(examples); i++) {
        for (int rank = 0; rank < size_of(&examples[i]); rank++) {
            expect_example(&examples[i], rank);
        }
    }
}

Test(levels, groups_are_local_where_they_lie_inside_hosts)
{
    static const struct {
        const char *hosts, *racks;
        bool local;
    } cases[] = {{"aabb", "xxxx", true},
                 {"abcd", "xxyy", false},
                 {"aabc", "xxyy", true},
                 {"ab", "xx", true}};
    static const char names[SIZE_MOST][HOST_NAME_BYTES] = {""};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct example example = {
            "", {{LEVEL_HOST, cases[i].hosts}, {LEVEL_RACK, cases[i].racks}}, "", 0, {NULL}, 0};
        uint64_t labels[LEVEL_NETWORK * SIZE_MOST];
        struct topology topology;
        int size = size_of(&example);
        label(&example, size, labels);
        cr_assert_eq(topology_make(&topology, 0, size, labels, names, level_cost_usual), WW_OK);
        topology_note_sight(&topology, true);
        cr_expect_eq(topology.hierarchy.seen, cases[i].local, "%s", cases[i].hosts);
        topology_finish(&topology);
    }
}

/* ---- Costs ---------------------------------------------------------------------------------- */

Test(levels, wires_that_are_nearly_as_good_outside_collapse)
{
    static const struct {
        struct cost package, host;
        const char *levels;
    } cases[] = {
        {{1e-6, 1e-9}, {1e-6, 1e-9}, "host"},
        {{1e-6, 1e-9}, {1.9e-6, 1.4e-9}, "host"},
        {{1e-6, 1e-9}, {1e-6, 1.6e-9}, "package host"},
        {{1e-6, 1e-9}, {2e-6, 1e-9}, "package host"},
        {{2e-6, 2e-9}, {1e-6, 1e-9}, "host"},
    };
    static const struct example example = {
        "", {{LEVEL_PACKAGE, "0011"}, {LEVEL_HOST, "aaaa"}}, "", 0, {NULL}, 0};
    static const char names[1][HOST_NAME_BYTES] = {"a"};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct cost costs[LEVEL_KINDS] = {{0, 0}};
        uint64_t labels[LEVEL_NETWORK * 4];
        char text[64];
        struct topology topology;
        costs[LEVEL_PACKAGE] = cases[i].package;
        costs[LEVEL_HOST] = cases[i].host;
        label(&example, 4, labels);
        cr_assert_eq(topology_make(&topology, 0, 4, labels, names, costs), WW_OK);
        print_levels(&topology, text, sizeof text);
        cr_expect_str_eq(text, cases[i].levels, "case %zu: %s", i, text);
        topology_finish(&topology);
    }
}

/* ---- Size ----------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 8 ranks on each of 1250 hosts, in racks of 50, dealt out in turns. */
Test(levels, ten_thousand_ranks_take_less_than_a_second)
{
    enum { SIZE = 10000, HOSTS = 1250 };
    uint64_t *labels = malloc((size_t)SIZE * LEVEL_NETWORK * sizeof *labels);
    char(*names)[HOST_NAME_BYTES] = calloc(HOSTS, sizeof *names);
    struct topology topology;
    cr_assert(labels != NULL && names != NULL);
    memset(labels, 0xff, (size_t)SIZE * LEVEL_NETWORK * sizeof *labels);
    for (int rank = 0; rank < SIZE; rank++) {
        int host = rank % HOSTS;
        labels[LEVEL_HOST * SIZE + rank] = (uint64_t)host * 7919;
        labels[LEVEL_RACK * SIZE + rank] = (uint64_t)host / 50;
        labels[LEVEL_PACKAGE * SIZE + rank] = (uint64_t)rank / HOSTS / 4;
    }
    double began = seconds_now();
    cr_assert_eq(topology_make(&topology, 77, SIZE, labels, (const char(*)[HOST_NAME_BYTES])names,
                               level_cost_usual),
                 WW_OK);
    cr_expect_lt(seconds_now() - began, 1.0);
    cr_expect_eq(topology.levels, 4);
    cr_expect_eq(topology.unit_count[0], 2 * HOSTS);
    cr_expect_eq(topology.unit_count[1], HOSTS);
    cr_expect_eq(topology.unit_count[2], HOSTS / 50);
    cr_expect_eq(topology.hierarchy.levels, 3);
    cr_expect_eq(topology.local_size, SIZE / HOSTS);
    topology_finish(&topology);
    free(names);
    free(labels);
}
