/* SPDX-License-Identifier: BSD-3-Clause
 * exchange.c: every rank says who and where it is; out come hosts, levels and the first check
 * that all ranks want the same. */
#include "topology.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/log.h"
#include "internal/vote.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

/* What one rank says. Text fields are filled up with zeros: records are compared as bytes. */
struct descriptor {
    char version[16];
    char settings[TOPOLOGY_SETTINGS_BYTES];
    int32_t size;
    int32_t rank;
    char host_name[HOST_NAME_BYTES];
    char host_key[HOST_NAME_BYTES + 64]; /* name and boot id: equal on one host only */
};

static void read_boot_id(char *text, size_t bytes)
{
    FILE *file = fopen(BOOT_ID_FILE, "re");
    if (file == NULL) {
        return; /* not Linux, or hidden: the host's name must do */
    }
    if (fgets(text, (int)bytes, file) != NULL) {
        text[strcspn(text, "\n")] = '\0';
    }
    fclose(file);
}

static void describe_host(const char *host, struct descriptor *own)
{
    char boot_id[64] = "";
    if (host != NULL) {
        snprintf(own->host_name, sizeof own->host_name, "%s", host);
    } else {
        if (gethostname(own->host_name, sizeof own->host_name - 1) != 0) {
            snprintf(own->host_name, sizeof own->host_name, "host");
        }
        read_boot_id(boot_id, sizeof boot_id);
    }
    snprintf(own->host_key, sizeof own->host_key, "%s %s", own->host_name, boot_id);
}

static enum ww_status odd_text(const struct descriptor *all, int odd, int usual, const char *what,
                               size_t offset)
{
    const char *theirs = (const char *)&all[odd] + offset;
    const char *ours = (const char *)&all[usual] + offset;
    return log_failure(
        WW_MISMATCH, "rank %d (%s) has %s \"%s\", rank %d (%s) has \"%s\": give all ranks the same",
        odd, all[odd].host_name, what, theirs, usual, all[usual].host_name, ours);
}

static enum ww_status check_agreement(const struct ww_world *world, const struct descriptor *all)
{
    int usual;
    int odd = vote_odd_one(all->version, world->size, sizeof *all, sizeof all->version, &usual);
    if (odd >= 0) {
        return odd_text(all, odd, usual, "wirewise", offsetof(struct descriptor, version));
    }
    odd = vote_odd_one(&all->size, world->size, sizeof *all, sizeof all->size, &usual);
    if (odd >= 0) {
        return log_failure(WW_MISMATCH, "rank %d says there are %d ranks, rank %d says %d", odd,
                           all[odd].size, usual, all[usual].size);
    }
    for (int rank = 0; rank < world->size; rank++) {
        if (all[rank].rank != rank) {
            return log_failure(WW_MISMATCH,
                               "the world's all_gather put rank %d at place %d: results must be in "
                               "the order of the ranks",
                               all[rank].rank, rank);
        }
    }
    odd = vote_odd_one(all->settings, world->size, sizeof *all, sizeof all->settings, &usual);
    if (odd >= 0) {
        return odd_text(all, odd, usual, "settings", offsetof(struct descriptor, settings));
    }
    return WW_OK;
}

static void number_hosts(struct topology *topology, const struct descriptor *all)
{
    for (int rank = 0; rank < topology->size; rank++) {
        int same = 0;
        while (same < rank && strcmp(all[same].host_key, all[rank].host_key) != 0) {
            same++;
        }
        if (same < rank) {
            topology->host_of[rank] = topology->host_of[same];
            continue;
        }
        memcpy(topology->host_name[topology->hosts], all[rank].host_name, HOST_NAME_BYTES);
        topology->host_of[rank] = topology->hosts++;
    }
}

static enum ww_status find_levels(struct topology *topology)
{
    uint64_t *labels = calloc((size_t)topology->size, sizeof *labels);
    if (labels == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the hosts of %d ranks", topology->size);
    }
    int own_host = topology->host_of[topology->rank];
    for (int rank = 0; rank < topology->size; rank++) {
        bool here = topology->host_of[rank] == own_host;
        labels[rank] = (uint64_t)topology->host_of[rank];
        topology->peer_level[rank] = here ? 0 : 1;
        topology->local_size += here;
        topology->local_rank += here && rank < topology->rank;
    }
    topology->levels = topology->hosts > 1 ? 2 : 1;
    topology->level_name[0] = "host";
    topology->level_name[1] = "network";
    enum ww_status status = hierarchy_init(&topology->hierarchy, topology->size, 1, labels);
    free(labels);
    return status;
}

static enum ww_status learn(struct topology *topology, const struct ww_world *world,
                            const struct descriptor *all)
{
    size_t size = (size_t)world->size;
    *topology = (struct topology){.rank = world->rank, .size = world->size};
    topology->peer_level = calloc(size, sizeof *topology->peer_level);
    topology->host_of = calloc(size, sizeof *topology->host_of);
    topology->host_name = calloc(size, sizeof *topology->host_name);
    if (topology->peer_level == NULL || topology->host_of == NULL || topology->host_name == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the places of %d ranks", world->size);
    }
    number_hosts(topology, all);
    return find_levels(topology);
}

static enum ww_status gather_descriptors(const struct ww_world *world, const struct descriptor *own,
                                         struct descriptor *all)
{
    if (world->size == 1) {
        *all = *own;
        return WW_OK;
    }
    int failure = world->all_gather(world->self, own, all, sizeof *own);
    if (failure != 0) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "the world's all_gather returned %d for %zu bytes from each of %d ranks",
                           failure, sizeof *own, world->size);
    }
    return WW_OK;
}

enum ww_status topology_exchange(const struct ww_world *world, const char *host,
                                 const char *settings, struct topology *topology)
{
    assert(strlen(settings) < TOPOLOGY_SETTINGS_BYTES);
    struct descriptor own;
    memset(&own, 0, sizeof own);
    own.size = world->size;
    own.rank = world->rank;
    snprintf(own.version, sizeof own.version, "%s", WW_VERSION_TEXT);
    snprintf(own.settings, sizeof own.settings, "%s", settings);
    describe_host(host, &own);

    struct descriptor *all = calloc((size_t)world->size, sizeof *all);
    if (all == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", world->size);
    }
    enum ww_status status = gather_descriptors(world, &own, all);
    if (status == WW_OK) {
        status = check_agreement(world, all);
    }
    if (status == WW_OK) {
        status = learn(topology, world, all);
        if (status != WW_OK) {
            topology_finish(topology);
        }
    }
    free(all);
    return status;
}

void topology_finish(struct topology *topology)
{
    hierarchy_finish(&topology->hierarchy);
    free(topology->peer_level);
    free(topology->host_of);
    free(topology->host_name);
    memset(topology, 0, sizeof *topology);
}
