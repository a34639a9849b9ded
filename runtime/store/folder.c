/* SPDX-License-Identifier: BSD-3-Clause
 * folder.c: names of a checkpoint's files, and looking for them. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "wirewise-"
#define MANIFEST ".manifest"
#define UNFINISHED ".new"
#define FIRST_SHARD ".rank-000000"

void folder_path(char path[FILE_PATH_BYTES], const char *folder, uint64_t generation, int rank)
{
    if (rank == FOLDER_MANIFEST) {
        snprintf(path, FILE_PATH_BYTES, "%.*s/" PREFIX "%010" PRIu64 MANIFEST, FOLDER_BYTES, folder,
                 generation);
    } else {
        snprintf(path, FILE_PATH_BYTES, "%.*s/" PREFIX "%010" PRIu64 ".rank-%06d", FOLDER_BYTES,
                 folder, generation, rank);
    }
}

enum fault folder_make(const char *folder, struct reason *reason)
{
    struct stat facts;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return reason_errno(reason, folder, "made");
    }
    if (stat(folder, &facts) != 0) {
        return reason_errno(reason, folder, "looked at");
    }
    if (!S_ISDIR(facts.st_mode)) {
        return reason_set(reason, FAULT_SYSTEM, "%.400s is no folder", folder);
    }
    return FAULT_NONE;
}

/* Whether it is a name of ours; then its generation and what follows it. */
static bool parse_name(const char *name, uint64_t *generation, const char **rest)
{
    uint64_t number = 0;
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) {
        return false;
    }
    const char *digits = name + sizeof PREFIX - 1;
    const char *at = digits;
    for (; *at >= '0' && *at <= '9' && at - digits < 18; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
    }
    *generation = number;
    *rest = at;
    return at - digits >= 10 && *at == '.';
}

/* Keeps the newest, in order. */
static void insert(struct folder_list *list, uint64_t generation)
{
    int at = list->count;
    while (at > 0 && list->generations[at - 1] < generation) {
        at--;
    }
    if (at == FOLDER_LISTED) {
        return;
    }
    int last = list->count < FOLDER_LISTED ? list->count++ : FOLDER_LISTED - 1;
    memmove(list->generations + at + 1, list->generations + at,
            (size_t)(last - at) * sizeof *list->generations);
    list->generations[at] = generation;
}

/* The next entry; NULL with errno 0 behind the last one. */
static struct dirent *next_entry(DIR *stream)
{
    errno = 0;
    return readdir(stream);
}

/* A list cut short would have newer generations taken for what killed saves left. */
enum fault folder_read(const char *folder, struct folder_list *list, struct reason *reason)
{
    struct dirent *entry;
    *list = (struct folder_list){.count = 0};
    DIR *stream = opendir(folder);
    if (stream == NULL) {
        return errno == ENOENT ? FAULT_NONE : reason_errno(reason, folder, "read");
    }
    while ((entry = next_entry(stream)) != NULL) {
        uint64_t generation;
        const char *rest;
        if (!parse_name(entry->d_name, &generation, &rest)) {
            continue;
        }
        const char *dot = strrchr(rest, '.');
        bool unfinished = strcmp(dot, UNFINISHED) == 0;
        list->highest = generation > list->highest && !unfinished ? generation : list->highest;
        if (strcmp(rest, MANIFEST) == 0) {
            insert(list, generation);
        }
    }
    enum fault fault = errno == 0 ? FAULT_NONE : reason_errno(reason, folder, "read");
    closedir(stream);
    return fault;
}

/* Which files go, by generation and what follows it in the name. */
struct sweep {
    const char *folder;
    uint64_t limit; /* a generation */
    bool (*takes)(const struct sweep *sweep, uint64_t generation, const char *rest);
};

static void sweep_files(const struct sweep *sweep)
{
    struct dirent *entry;
    DIR *stream = opendir(sweep->folder);
    if (stream == NULL) {
        return;
    }
    while ((entry = readdir(stream)) != NULL) {
        uint64_t generation;
        const char *rest;
        if (parse_name(entry->d_name, &generation, &rest) &&
            sweep->takes(sweep, generation, rest)) {
            unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    closedir(stream);
}

static bool is_old_manifest(const struct sweep *sweep, uint64_t generation, const char *rest)
{
    return generation < sweep->limit && strcmp(rest, MANIFEST) == 0;
}

static bool is_old(const struct sweep *sweep, uint64_t generation, const char *rest)
{
    (void)rest;
    return generation < sweep->limit;
}

void folder_clean(const char *folder, uint64_t first)
{
    sweep_files(&(struct sweep){folder, first, is_old_manifest});
    sweep_files(&(struct sweep){folder, first, is_old});
}

/* Whether what follows the generation is ".rank-000003", or an unfinished file. */
static bool may_be_orphan(const char *rest, bool *unfinished)
{
    static const char shard[] = ".rank-";
    size_t length = strlen(rest);
    size_t ending = sizeof UNFINISHED - 1;
    *unfinished = length > ending && strcmp(rest + length - ending, UNFINISHED) == 0;
    length -= *unfinished ? ending : 0;
    if (length == sizeof MANIFEST - 1 && strncmp(rest, MANIFEST, length) == 0) {
        return *unfinished;
    }
    if (length < sizeof shard - 1 + 6 || strncmp(rest, shard, sizeof shard - 1) != 0) {
        return false;
    }
    return strspn(rest + sizeof shard - 1, "0123456789") == length - (sizeof shard - 1);
}

/* Without any manifest rank 0's file tells: the manifest would lie where it does. */
static bool is_orphan(const struct sweep *sweep, uint64_t generation, const char *rest)
{
    char path[FILE_PATH_BYTES];
    bool unfinished;
    if (!may_be_orphan(rest, &unfinished)) {
        return false;
    }
    if (unfinished || sweep->limit > 0) {
        return unfinished || generation > sweep->limit;
    }
    folder_path(path, sweep->folder, generation, 0);
    return access(path, F_OK) == 0;
}

static bool is_orphan_of_others(const struct sweep *sweep, uint64_t generation, const char *rest)
{
    return strcmp(rest, FIRST_SHARD) != 0 && is_orphan(sweep, generation, rest);
}

/* Rank 0's last, by which the others are known. */
void folder_clear_orphans(const char *folder, uint64_t newest)
{
    sweep_files(&(struct sweep){folder, newest, is_orphan_of_others});
    sweep_files(&(struct sweep){folder, newest, is_orphan});
}
