/* SPDX-License-Identifier: BSD-3-Clause
 * place.c: where a process may run, as sysfs tells it, and where its host stands, as a person or
 * Slurm tells it.
 *
 * A unit (cache, NUMA node, package) is the process's own only if it holds all CPUs on which the
 * process may run. So a few files about the first of these CPUs are enough. */
#define _GNU_SOURCE
#include "place.h"

#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/log.h"
#include "units.h"

#define PATH_BYTES 1024
#define LIST_BYTES 4096
#define CACHES_MOST 16

/* ---- CPUs ----------------------------------------------------------------------------------- */

void cpus_allowed(struct cpus *cpus)
{
    memset(cpus, 0, sizeof *cpus);
    if (sched_getaffinity(0, sizeof cpus->word, (cpu_set_t *)(void *)cpus->word) != 0) {
        memset(cpus, 0, sizeof *cpus);
    }
}

void cpus_parse(struct cpus *cpus, const char *list)
{
    char *end;
    memset(cpus, 0, sizeof *cpus);
    do {
        unsigned long first = strtoul(list, &end, 10);
        unsigned long last = first;
        if (end == list) {
            return;
        }
        if (*end == '-') {
            list = end + 1;
            last = strtoul(list, &end, 10);
        }
        for (unsigned long cpu = first; cpu <= last && cpu < CPUS_MOST; cpu++) {
            cpus->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
        }
        list = end + 1;
    } while (*end == ',');
}

static int cpus_first(const struct cpus *cpus)
{
    for (int cpu = 0; cpu < CPUS_MOST; cpu++) {
        if ((cpus->word[cpu / 64] >> (cpu % 64) & 1) != 0) {
            return cpu;
        }
    }
    return -1;
}

static int cpus_count(const struct cpus *cpus)
{
    int count = 0;
    for (int word = 0; word < CPUS_WORDS; word++) {
        count += __builtin_popcountll(cpus->word[word]);
    }
    return count;
}

static bool cpus_lie_within(const struct cpus *inner, const struct cpus *outer)
{
    uint64_t outside = 0;
    for (int word = 0; word < CPUS_WORDS; word++) {
        outside |= inner->word[word] & ~outer->word[word];
    }
    return outside == 0;
}

/* ---- Small files ---------------------------------------------------------------------------- */

/* The first line of a file; "" when it cannot be read. */
static void read_line(char text[LIST_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void read_line(char text[LIST_BYTES], const char *format, ...)
{
    char path[PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    text[0] = '\0';
    FILE *file = bytes < (int)sizeof path ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return;
    }
    if (fgets(text, LIST_BYTES, file) == NULL) {
        text[0] = '\0';
    }
    text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

/* ---- Units of a process --------------------------------------------------------------------- */

static uint64_t label_of(const struct cpus *allowed, const struct cpus *unit)
{
    return cpus_lie_within(allowed, unit) ? (uint64_t)cpus_first(unit) : LABEL_UNKNOWN;
}

static uint64_t find_package(const char *root, const struct cpus *allowed, int cpu)
{
    char text[LIST_BYTES];
    struct cpus unit;
    read_line(text, "%s/devices/system/cpu/cpu%d/topology/package_cpus_list", root, cpu);
    if (text[0] == '\0') { /* before Linux 5.3 */
        read_line(text, "%s/devices/system/cpu/cpu%d/topology/core_siblings_list", root, cpu);
    }
    cpus_parse(&unit, text);
    return label_of(allowed, &unit);
}

static uint64_t find_numa(const char *root, const struct cpus *allowed)
{
    char text[LIST_BYTES];
    struct cpus nodes;
    uint64_t label = LABEL_UNKNOWN;
    read_line(text, "%s/devices/system/node/online", root);
    cpus_parse(&nodes, text); /* numbers of nodes, for once */
    for (int node = 0; node < CPUS_MOST && label == LABEL_UNKNOWN; node++) {
        if ((nodes.word[node / 64] >> (node % 64) & 1) != 0) {
            struct cpus unit;
            read_line(text, "%s/devices/system/node/node%d/cpulist", root, node);
            cpus_parse(&unit, text);
            label = label_of(allowed, &unit);
        }
    }
    return label;
}

struct cache {
    int level;
    double bytes;
    struct cpus cpus;
};

static double parse_size(const char *text)
{
    char *end;
    double size = strtod(text, &end);
    double unit = *end == 'K' ? 1024 : *end == 'M' ? 1024 * 1024 : 1;
    return end != text && size > 0 ? size * unit : 0;
}

/* The last one that holds data. Level 0 = nothing is known. */
static void find_last_cache(const char *root, int cpu, struct cache *last)
{
    *last = (struct cache){.level = 0};
    for (int index = 0; index < CACHES_MOST; index++) {
        char folder[PATH_BYTES / 2];
        char text[LIST_BYTES];
        int length = snprintf(folder, sizeof folder, "%s/devices/system/cpu/cpu%d/cache/index%d",
                              root, cpu, index);
        if (length >= (int)sizeof folder) {
            return;
        }
        read_line(text, "%s/type", folder);
        bool holds_data = strcmp(text, "Unified") == 0 || strcmp(text, "Data") == 0;
        read_line(text, "%s/level", folder);
        int level = atoi(text);
        if (holds_data && level > last->level) {
            last->level = level;
            read_line(text, "%s/size", folder);
            last->bytes = parse_size(text);
            read_line(text, "%s/shared_cpu_list", folder);
            cpus_parse(&last->cpus, text);
        }
    }
}

/* Threads of a core count once. Where nothing is told every CPU is a core. */
static void count_cores(struct place *place, const char *root, int cpu, const struct cache *last)
{
    char text[LIST_BYTES];
    struct cpus online;
    struct cpus siblings;
    read_line(text, "%s/devices/system/cpu/online", root);
    cpus_parse(&online, text);
    read_line(text, "%s/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, cpu);
    cpus_parse(&siblings, text);
    int threads = cpus_count(&siblings) > 0 ? cpus_count(&siblings) : 1;
    int shared = cpus_count(&last->cpus);
    if (cpus_count(&online) > 0) {
        place->cores = (int32_t)(cpus_count(&online) / threads);
        place->cores = place->cores > 0 ? place->cores : 1;
    }
    if (shared > 0 && cpus_count(&online) >= shared) {
        place->cache_bytes = last->bytes * (double)(cpus_count(&online) / shared);
    }
}

void place_read(struct place *place, const char *root, const struct cpus *allowed)
{
    struct cache last;
    int cpu = cpus_first(allowed);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    place->version = PLACE_VERSION;
    place->cores = online > 0 ? (int32_t)online : 1;
    place->cache_bytes = 0;
    place->own_first = cpu;
    place->own_cpus = cpu < 0 ? place->cores : cpus_count(allowed);
    for (int kind = 0; kind < PLACE_INNER; kind++) {
        place->label[kind] = LABEL_UNKNOWN;
    }
    if (cpu < 0) {
        return;
    }
    find_last_cache(root, cpu, &last);
    place->label[LEVEL_CACHE] = last.level > 0 ? label_of(allowed, &last.cpus) : LABEL_UNKNOWN;
    place->label[LEVEL_NUMA] = find_numa(root, allowed);
    place->label[LEVEL_PACKAGE] = find_package(root, allowed, cpu);
    count_cores(place, root, cpu, &last);
}

/* ---- Site, rack and rail -------------------------------------------------------------------- */

static int count_of(const char *text, char letter)
{
    int count = 0;
    for (; *text != '\0'; text++) {
        count += *text == letter;
    }
    return count;
}

uint64_t place_label(const char *text, int part)
{
    int index = part - (PLACE_PARTS - 1 - count_of(text, '/'));
    for (; index > 0; index--) {
        text += strcspn(text, "/") + 1;
    }
    size_t bytes = strcspn(text, "/");
    return index == 0 && bytes > 0 ? hash_more(HASH_BEGIN, text, bytes) : LABEL_UNKNOWN;
}

enum ww_status topology_place_check(const char *place)
{
    if (strlen(place) < TOPOLOGY_PLACE_BYTES && count_of(place, '/') < PLACE_PARTS) {
        return WW_OK;
    }
    return log_failure(WW_BAD_CONFIG,
                       "place is \"%s\": it must be site/rack/rail, rack/rail or rail, at most %d "
                       "bytes, and may leave parts empty (\"site//\")",
                       place, TOPOLOGY_PLACE_BYTES - 1);
}

/* Keeps the last two names of "switch" or "block": what is nearest to the node. */
void topology_place_of_slurm(const char *address, const char *pattern, char *place, size_t bytes)
{
    const char *name[2] = {"", ""};
    size_t length[2] = {0, 0};
    while (*address != '\0' && *pattern != '\0') {
        size_t kind = strcspn(pattern, ".");
        size_t here = strcspn(address, ".");
        if (kind != strlen("node") || strncmp(pattern, "node", kind) != 0) {
            name[0] = name[1];
            length[0] = length[1];
            name[1] = address;
            length[1] = here;
        }
        pattern += kind + (pattern[kind] == '.');
        address += here + (address[here] == '.');
    }
    int used = snprintf(place, bytes, "%.*s/%.*s", (int)length[0], name[0], (int)length[1],
                        name[1]);
    if (length[1] == 0 || used < 0 || (size_t)used >= bytes || count_of(place, '/') > 1) {
        place[0] = '\0';
    }
}
