/* SPDX-License-Identifier: BSD-3-Clause
 * shm_room.c: how much memory and how many addresses there are to share. */
#define _GNU_SOURCE
#include "shm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARENA_BYTES_LEAST ((uint64_t)64 << 20)
#define ARENA_BYTES_USUAL ((uint64_t)4 << 30)
#define ARENAS_BYTES_MOST ((uint64_t)32 << 40) /* of all ranks: a process sees them all */

#define PATH_BYTES 1024

/* Where the kernel's control groups say how much memory is left, by version. */
static const struct group_files {
    const char *controller; /* as in /proc/self/cgroup */
    const char *folder;
    const char *most, *used;
    const char *cached[2]; /* words in memory.stat */
} group_files[] = {
    {"::", "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}},
    {":memory:",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}}};

/* ---- Addresses ------------------------------------------------------------------------------ */

static bool can_map(uint64_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *place = mmap(NULL, (size_t)bytes, PROT_NONE, flags, -1, 0);
    if (place != MAP_FAILED) {
        munmap(place, (size_t)bytes);
    }
    return place != MAP_FAILED;
}

uint64_t room_for_arenas(int ranks)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t most = ARENAS_BYTES_MOST / (uint64_t)ranks;
    struct rlimit limit;
    bytes = bytes < ARENA_BYTES_USUAL ? ARENA_BYTES_USUAL : bytes;
    bytes = bytes > most ? most : bytes;
    /* A file beyond this limit would not be refused: a signal would end the process. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
        bytes = limit.rlim_cur;
    }
    /* As much again is left to the program. */
    while (bytes >= ARENA_BYTES_LEAST && !can_map(2 * bytes * (uint64_t)ranks)) {
        bytes /= 2;
    }
    bytes -= bytes % SHM_HUGE_BYTES;
    return bytes >= ARENA_BYTES_LEAST ? bytes : 0;
}

static bool is_limited(int resource, uint64_t needed_kib, struct room_limit *found)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    found->kib = limit.rlim_cur >> 10;
    found->needed_kib = needed_kib;
    return true;
}

struct room_limit room_limit_find(int ranks)
{
    struct room_limit found = {.option = 0};
    uint64_t least_kib = ARENA_BYTES_LEAST >> 10;
    if (is_limited(RLIMIT_FSIZE, least_kib, &found) && found.kib < least_kib) {
        found.option = 'f';
    } else if (is_limited(RLIMIT_AS, 2 * least_kib * (uint64_t)ranks, &found)) {
        found.option = 'v';
    }
    return found;
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Adds up the numbers of the lines of a file that begin with one of two words. False when there is
 * no such line. */
static bool numbers_read(const char *path, const char *one, const char *other, uint64_t *sum)
{
    char line[256], word[64];
    uint64_t number;
    bool found = false;
    FILE *file = fopen(path, "re");
    *sum = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        bool counts = sscanf(line, "%63s %" SCNu64, word, &number) == 2 &&
                      (strcmp(word, one) == 0 || strcmp(word, other) == 0);
        found = found || counts;
        *sum += counts ? number : 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* The number that a file consists of; UINT64_MAX when it is none ("max") or there is no file. */
static uint64_t number_read(const char *folder, const char *name)
{
    char path[PATH_BYTES + 64];
    uint64_t number = UINT64_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%" SCNu64, &number) != 1) {
        number = UINT64_MAX;
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

/* What one control group leaves; cached files do not count, they make room. */
static uint64_t group_bytes_free(const struct group_files *files, const char *folder)
{
    char path[PATH_BYTES + 64];
    uint64_t most = number_read(folder, files->most);
    uint64_t used = number_read(folder, files->used), cached = 0;
    if (most == UINT64_MAX || used == UINT64_MAX) {
        return UINT64_MAX;
    }
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    numbers_read(path, files->cached[0], files->cached[1], &cached);
    used -= cached < used ? cached : used;
    return used < most ? most - used : 0;
}

/* The folder of the own control group; false when there is none. */
static bool group_find(const struct group_files *files, char folder[PATH_BYTES])
{
    char line[PATH_BYTES - 64];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *controller = strstr(line, files->controller);
        if (controller != NULL && controller == strchr(line, ':')) {
            const char *path = controller + strlen(files->controller);
            snprintf(folder, PATH_BYTES, "%s%s", files->folder, path);
            found = true;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* The own group and all that it is in. In a container the path may lead nowhere below the top. */
static uint64_t groups_bytes_free(const struct group_files *files)
{
    char folder[PATH_BYTES];
    uint64_t least = UINT64_MAX;
    if (!group_find(files, folder)) {
        return least;
    }
    while (strlen(folder) >= strlen(files->folder)) {
        uint64_t bytes = group_bytes_free(files, folder);
        least = bytes < least ? bytes : least;
        *strrchr(folder, '/') = '\0';
    }
    return least;
}

uint64_t room_bytes_free(void)
{
    uint64_t kib = 0, swap_kib = 0, least = UINT64_MAX;
    for (size_t version = 0; version < sizeof group_files / sizeof *group_files; version++) {
        uint64_t bytes = groups_bytes_free(&group_files[version]);
        least = bytes < least ? bytes : least;
    }
    if (!numbers_read("/proc/meminfo", "MemAvailable:", "MemAvailable:", &kib)) {
        return least;
    }
    numbers_read("/proc/meminfo", "SwapFree:", "SwapFree:", &swap_kib);
    uint64_t host = (kib + swap_kib) << 10;
    return host < least ? host : least;
}
