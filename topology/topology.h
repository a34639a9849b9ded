/* SPDX-License-Identifier: BSD-3-Clause
 * topology.h: the door of this room: which ranks share a host, and the levels that follow. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#include "cost.h"

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

/* Units that ranks share, innermost first. */
enum level_kind {
    LEVEL_CACHE,
    LEVEL_NUMA,
    LEVEL_PACKAGE,
    LEVEL_ISLAND, /* GPUs that reach each other over links; may span hosts */
    LEVEL_HOST,
    LEVEL_RAIL, /* hosts below one leaf switch */
    LEVEL_RACK,
    LEVEL_SITE,
    LEVEL_NETWORK, /* all ranks: the outermost wire where there are several hosts; has no units */
    LEVEL_KINDS
};
extern const char *const level_kind_names[LEVEL_KINDS]; /* "cache" ... "host" ... "network" */

/* Where the ranks are. Each message crosses the wires of one level: that of the innermost unit
 * which both ranks share. */
struct topology {
    int rank;
    int size;
    int hosts;
    int local_size;  /* ranks on this rank's host */
    int local_rank;  /* 0 .. local_size - 1, by rank */
    int levels;      /* 1 .. WW_LEVELS_MAX */
    int host_levels; /* the first so many of them stay inside a host: >= 1, < levels where there are
                        several hosts */
    enum level_kind level_kind[WW_LEVELS_MAX];
    const char *level_name[WW_LEVELS_MAX]; /* of the kind */
    int *unit[WW_LEVELS_MAX];              /* [levels - 1][size] number of the unit on that level that
                                              a rank is in, in the order of the lowest rank */
    int unit_count[WW_LEVELS_MAX];
    uint8_t *peer_level;                /* [size] level that a message to the peer crosses */
    int *host_of;                       /* [size] host number, in the order of the lowest rank */
    char (*host_name)[HOST_NAME_BYTES]; /* [hosts] */
    struct hierarchy hierarchy;         /* the units that plans are composed of */
};

/* The level that a message from rank a to another rank b crosses. */
int topology_level(const struct topology *topology, int a, int b);

#define LABEL_UNKNOWN UINT64_MAX

/* Makes a topology of what is known about the ranks' places, without asking anybody.
 * labels     [LEVEL_NETWORK * size] labels[kind * size + rank] names the rank's unit of that kind;
 *            LABEL_UNKNOWN where nobody knows: a kind that is unknown for any rank is left out.
 *            Units nest as hosts do: two ranks share a rack only if they share a site, and a cache
 *            only if they share a host. Hosts must be known.
 * host_names [hosts][HOST_NAME_BYTES] in the order of their lowest rank
 * Kinds that say nothing new are left out; so are those whose wires (level_cost) are less than 1.5
 * times as fast per byte and less than twice as quick as the next ones outwards. Hosts stay.
 * Returns    WW_OK, WW_NO_MEMORY. */
enum ww_status topology_make(struct topology *topology, int rank, int size, const uint64_t *labels,
                             const char (*host_names)[HOST_NAME_BYTES],
                             const struct cost level_cost[LEVEL_KINDS]);

/* What the wires inside a unit of each kind usually cost, for level_cost. */
extern const struct cost level_cost_usual[LEVEL_KINDS];

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
