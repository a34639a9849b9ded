/* SPDX-License-Identifier: BSD-3-Clause
 * topology.h: the door of this room: which ranks share a host, and the levels that follow. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#define HOST_NAME_BYTES 64

/* A nesting of groups. Level 0 is the innermost; group[level][rank] numbers the group of that
 * level that the rank belongs to, from 0, in the order of each group's lowest rank. Ranks of one
 * group of a level share one group of every level above. All ranks together are the top and have
 * no entry. levels may be 0. */
struct hierarchy {
    int size; /* ranks */
    int levels;
    int *group[WW_LEVELS_MAX];
    int group_count[WW_LEVELS_MAX];
    bool seen; /* ranks of one group of level 0 see each other's memory; false at first */
};

/* Makes a hierarchy from labels[level * size + rank]: ranks with equal labels on a level (and on
 * all levels above it) form a group. Levels that say nothing new (every rank alone, one group
 * for all, the same as the level below) are left out.
 * Returns WW_OK or WW_NO_MEMORY; *hierarchy is to be finished by hierarchy_finish. */
enum ww_status hierarchy_init(struct hierarchy *hierarchy, int size, int levels,
                              const uint64_t *labels);
void hierarchy_finish(struct hierarchy *hierarchy);

/* Where the ranks are. */
struct topology {
    int rank;
    int size;
    int hosts;
    int local_size; /* ranks on this rank's host */
    int local_rank; /* 0 .. local_size - 1, by rank */
    int levels;     /* 1 = one host, 2 = hosts and a network */
    const char *level_name[WW_LEVELS_MAX];
    uint8_t *peer_level;                /* [size] level that a message to the peer crosses */
    int *host_of;                       /* [size] host number, in the order of the lowest rank */
    char (*host_name)[HOST_NAME_BYTES]; /* [hosts] */
    struct hierarchy hierarchy;         /* hosts, where both hosts and ranks per host exceed one */
};

/* Tells all ranks who is where, before anything else is opened. All ranks call it.
 * host      name of this rank's host, or NULL to find it out
 * settings  text of the settings that must agree ("bucket_bytes=4194304 ..."), at most
 *           TOPOLOGY_SETTINGS_BYTES - 1 bytes; a difference is WW_MISMATCH with the odd rank and
 *           both texts
 * Returns   WW_OK, WW_MISMATCH (settings, version, rank numbers), WW_NO_MEMORY,
 *           WW_TRANSPORT_FAILED when all_gather fails. */
#define TOPOLOGY_SETTINGS_BYTES 256
enum ww_status topology_exchange(const struct ww_world *world, const char *host,
                                 const char *settings, struct topology *topology);
void topology_finish(struct topology *topology);

#endif
