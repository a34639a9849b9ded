/* SPDX-License-Identifier: BSD-3-Clause
 * test_place.c: which units a process has to itself, and where its host stands. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "place.h"
#include "units.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(place, .init = capture_start, .fini = capture_finish);

/* ---- A tree --------------------------------------------------------------------------------- */

static char root[] = "/tmp/wirewise-place-XXXXXX";

static void plant(const char *folder, const char *name, const char *text)
{
    char path[512];
    int bytes = snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    for (int i = (int)strlen(root) + 1; i < bytes; i++) {
        if (path[i] == '/') {
            path[i] = '\0';
            mkdir(path, 0700);
            path[i] = '/';
        }
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fprintf(file, "%s\n", text);
    cr_assert_eq(fclose(file), 0);
}

/* A CPU and its caches: the first two of its own, the third shared. */
static void plant_cpu(int cpu, const char *package, const char *threads, const char *cache)
{
    static const char *const types[] = {"Data", "Instruction", "Unified", "Unified"};
    static const char *const levels[] = {"1", "1", "2", "3"};
    char folder[128];
    snprintf(folder, sizeof folder, "devices/system/cpu/cpu%d/topology", cpu);
    plant(folder, "package_cpus_list", package);
    plant(folder, "thread_siblings_list", threads);
    for (int index = 0; index < 4; index++) {
        snprintf(folder, sizeof folder, "devices/system/cpu/cpu%d/cache/index%d", cpu, index);
        plant(folder, "type", types[index]);
        plant(folder, "level", levels[index]);
        plant(folder, "size", index == 3 ? "8192K" : "512K");
        plant(folder, "shared_cpu_list", index == 3 ? cache : threads);
    }
}

/* Two packages of two NUMA nodes, each with a cache of 8 MiB, two cores and two threads a core. */
static void plant_tree(void)
{
    static const char *const package[] = {"0-3,8-11", "4-7,12-15"};
    static const char *const node[] = {"0-1,8-9", "2-3,10-11", "4-5,12-13", "6-7,14-15"};
    cr_assert_not_null(mkdtemp(root));
    plant("devices/system/cpu", "online", "0-15");
    plant("devices/system/node", "online", "0-4");
    plant("devices/system/node/node4", "cpulist", ""); /* memory alone */
    for (int number = 0; number < 4; number++) {
        char folder[64];
        snprintf(folder, sizeof folder, "devices/system/node/node%d", number);
        plant(folder, "cpulist", node[number]);
    }
    for (int cpu = 0; cpu < 16; cpu++) {
        char threads[16];
        snprintf(threads, sizeof threads, "%d,%d", cpu % 8, cpu % 8 + 8);
        plant_cpu(cpu, package[cpu % 8 / 4], threads, node[cpu % 8 / 2]);
    }
}

static void fell_tree(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

/* ---- Units ---------------------------------------------------------------------------------- */

#define NONE LABEL_UNKNOWN

Test(place, a_unit_is_a_process_s_own_when_it_holds_all_its_cpus)
{
    static const struct {
        const char *allowed;
        uint64_t label[PLACE_INNER];
        int cpus;
    } cases[] = {
        {"0", {0, 0, 0}, 1},
        {"3", {2, 2, 0}, 1},
        {"13", {4, 4, 4}, 1},
        {"0,8", {0, 0, 0}, 2},
        {"6-7,14-15", {6, 6, 4}, 4},
        {"0-3", {NONE, NONE, 0}, 4},
        {"3-4", {NONE, NONE, NONE}, 2},
        {"0-15", {NONE, NONE, NONE}, 16},
        {"", {NONE, NONE, NONE}, 0},
    };
    plant_tree();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct place place;
        struct cpus allowed;
        cpus_parse(&allowed, cases[i].allowed);
        place_read(&place, root, &allowed);
        for (int kind = 0; kind < PLACE_INNER; kind++) {
            cr_expect_eq(place.label[kind], cases[i].label[kind], "CPUs %s: %s is %lld",
                         cases[i].allowed, level_kind_names[kind], (long long)place.label[kind]);
        }
        if (cases[i].allowed[0] != '\0') {
            cr_expect_eq(place.own_first, atoi(cases[i].allowed));
            cr_expect_eq(place.own_cpus, cases[i].cpus, "CPUs %s: %d", cases[i].allowed,
                         place.own_cpus);
            cr_expect_eq(place.cores, 8, "CPUs %s: %d cores", cases[i].allowed, place.cores);
            cr_expect_eq(place.cache_bytes, 4 * 8192 * 1024.0, "%g", place.cache_bytes);
        }
    }
    fell_tree();
}

Test(place, a_tree_that_tells_nothing_leaves_all_unknown)
{
    struct place place;
    struct cpus allowed;
    cpus_parse(&allowed, "0-3");
    place_read(&place, "/nonexistent", &allowed);
    for (int kind = 0; kind < PLACE_INNER; kind++) {
        cr_expect_eq(place.label[kind], LABEL_UNKNOWN);
    }
    cr_expect_geq(place.cores, 1);
    cr_expect_eq(place.cache_bytes, 0);
}

Test(place, lists_of_cpus_are_read_as_far_as_they_make_sense)
{
    static const struct {
        const char *list;
        uint64_t first_word;
    } cases[] = {
        {"0", 1},
        {"0-3", 15},
        {"1,3", 10},
        {"0-1,4-5", 0x33},
        {"", 0},
        {"x", 0},
        {"2,x", 4},
        {"3-1", 0},
        {"63", 1ull << 63},
        {"99999999-999999999", 0},
        {"0-9999999999", ~0ull},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct cpus cpus;
        cpus_parse(&cpus, cases[i].list);
        cr_expect_eq(cpus.word[0], cases[i].first_word, "\"%s\"", cases[i].list);
    }
}

/* ---- Site, rack and rail -------------------------------------------------------------------- */

static uint64_t named(const char *name)
{
    return name == NULL ? LABEL_UNKNOWN : hash_more(HASH_BEGIN, name, strlen(name));
}

Test(place, the_last_parts_are_the_innermost)
{
    static const struct {
        const char *text;
        const char *parts[PLACE_PARTS];
    } cases[] = {
        {"paris/r12/leaf3", {"paris", "r12", "leaf3"}},
        {"r12/leaf3", {NULL, "r12", "leaf3"}},
        {"leaf3", {NULL, NULL, "leaf3"}},
        {"", {NULL, NULL, NULL}},
        {"paris//", {"paris", NULL, NULL}},
        {"r12/", {NULL, "r12", NULL}},
        {"/r12/", {NULL, "r12", NULL}},
        {"paris//leaf3", {"paris", NULL, "leaf3"}},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        cr_expect_eq(topology_place_check(cases[i].text), WW_OK);
        for (int part = 0; part < PLACE_PARTS; part++) {
            cr_expect_eq(place_label(cases[i].text, part), named(cases[i].parts[part]),
                         "\"%s\", part %d", cases[i].text, part);
        }
    }
}

Test(place, what_is_no_place_is_refused)
{
    cr_expect_eq(topology_place_check("a/b/c/d"), WW_BAD_CONFIG);
    expect_line(WW_LOG_ERROR, "site/rack/rail");
    cr_expect_eq(
        topology_place_check("a-name-that-has-more-than-sixty-three-bytes-is-too-long-for-a-place"),
        WW_BAD_CONFIG);
    expect_line(WW_LOG_ERROR, "at most 63 bytes");
}

Test(place, slurm_names_the_switches)
{
    static const struct {
        const char *address, *pattern, *place;
    } cases[] = {
        {"s0.s3.node7", "switch.switch.node", "s0/s3"},
        {"s9.s0.s3.node7", "switch.switch.switch.node", "s0/s3"},
        {"s3.node7", "switch.node", "/s3"},
        {"b1.node7", "block.node", "/b1"},
        {"node7", "node", ""},
        {"", "", ""},
        {"s0", "", ""},
        {"a/b/c.node7", "switch.node", ""},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char place[TOPOLOGY_PLACE_BYTES];
        topology_place_of_slurm(cases[i].address, cases[i].pattern, place, sizeof place);
        cr_expect_str_eq(place, cases[i].place, "%s gives %s", cases[i].address, place);
    }
}
