/* SPDX-License-Identifier: BSD-3-Clause
 * topology.h: the door of this room: which ranks share a host, and the levels that follow. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#include "calibrate.h"
#include "cluster.h"
#include "cost.h"
#include "fit.h"
#include "internal/gather.h"

#define HOST_NAME_BYTES 65 /* Linux allows 64 letters */

struct machine_shape;
struct ww_machine_query;

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

/* What is reckoned with: 0 stands for the caches of a host that nobody knows. */
static inline double cache_bytes_or_usual(double cache_bytes)
{
    return cache_bytes > 0 ? cache_bytes : 32e6;
}

/* Where the ranks are. Each message crosses the wires of one level: that of the innermost unit
 * which both ranks share. */
struct topology {
    int rank;
    int size;
    int hosts;
    int local_size;  /* ranks on this rank's host */
    int local_rank;  /* 0 .. local_size - 1, by rank */
    int fullest;     /* ranks of the host that has most */
    int levels;      /* 1 .. WW_LEVELS_MAX */
    int host_levels; /* the first so many of them stay inside a host: >= 1, < levels where there are
                        several hosts */
    enum level_kind level_kind[WW_LEVELS_MAX];
    const char *level_name[WW_LEVELS_MAX]; /* of the kind */
    int *unit[WW_LEVELS_MAX]; /* [levels - 1][size] number of the unit on that level that
                                 a rank is in, in the order of the lowest rank; the
                                 outermost level has none: it is all ranks */
    int unit_count[WW_LEVELS_MAX];
    uint8_t *peer_level;                /* [size] level that a message to the peer crosses */
    int *host_of;                       /* [size] host number, in the order of the lowest rank */
    char (*host_name)[HOST_NAME_BYTES]; /* [hosts] */
    int cores;                       /* of a host, that its ranks may use: the least of all hosts */
    int cpus;                        /* the same in hardware threads; imitated hosts: of all */
    double cache_bytes;              /* the last caches of a host together, the least of all
                                        hosts; 0 = unknown */
    double port_gbit_s;              /* to other hosts: a host's UP ports of the best kind
                                        together, the least of all hosts; 0 = unknown */
    char port_name[32];              /* "InfiniBand", "Ethernet"; "" = unknown */
    double port_latency_s;           /* one way, of the wires alone; 0 = unknown */
    int shape_count;                 /* what hosts look like; 0 = nobody looked */
    struct machine_shape *shapes;    /* [shape_count] in the order of the lowest host; shape.h */
    int *shape_of_host;              /* [hosts]; NULL = nobody looked */
    struct hierarchy hierarchy;      /* the units that plans are composed of */
    struct hierarchy hosts_outwards; /* the same from hosts on; levels 0 where nothing is left, or
                                        nothing left out */
};

/* The level that a message from rank a to another rank b crosses. */
int topology_level(const struct topology *topology, int a, int b);

/* Notes whether ranks of one host see each other's memory: then plans make use of it, where their
 * innermost groups lie inside hosts. (Where every host has one rank and groups are racks they do
 * not.) */
void topology_note_sight(struct topology *topology, bool seen);

#define LABEL_UNKNOWN UINT64_MAX

/* Makes a topology of what is known about the ranks' places, without asking anybody.
 * labels     [LEVEL_NETWORK * size] labels[kind * size + rank] names the rank's unit of that kind;
 *            LABEL_UNKNOWN where nobody knows: a kind that is unknown for any rank is left out.
 *            Units nest as hosts do: two ranks share a rack only if they share a site, and a cache
 *            only if they share a host. A kind that cuts a host in two (rail, rack, site) or lies
 *            across other kinds (island) is left out. Islands that span hosts stand above the host.
 *            Hosts must be known.
 * host_names [hosts][HOST_NAME_BYTES] in the order of their lowest rank
 * Kinds that say nothing new are left out; so are those whose wires (level_cost) are less than 1.5
 * times as fast per byte and less than twice as quick as the next ones outwards. Hosts stay. The
 * sizes of hosts (cores ... port_name) are zero.
 * Returns    WW_OK, WW_NO_MEMORY. */
enum ww_status topology_make(struct topology *topology, int rank, int size, const uint64_t *labels,
                             const char (*host_names)[HOST_NAME_BYTES],
                             const struct cost level_cost[LEVEL_KINDS]);

/* What the wires inside a unit of each kind usually cost, for level_cost. */
extern const struct cost level_cost_usual[LEVEL_KINDS];

/* Slower wires between groups of ranks of one host, which then count as hosts. */
struct imitation {
    int hosts;        /* rank r is on host r * hosts / size; 0 = nothing is imitated */
    double byte_s;    /* of a host's port in each direction, seconds; 0 = as fast as it goes */
    double latency_s; /* one way */
};

#define IMITATED_PORT "imitated" /* name of their ports */

/* "hosts=2,rate=1gbit,latency=20us", or parts of it: without hosts there are 2, without the others
 * that is not imitated. "" = nothing is. ranks are those of the world.
 * Returns WW_OK; WW_BAD_CONFIG, and *imitation is as it was. */
enum ww_status imitation_parse(const char *text, int ranks, struct imitation *imitation);

/* "1 Gbit/s, 20 us". */
void imitation_describe(const struct imitation *imitation, char *text, size_t bytes);

#define TOPOLOGY_SETTINGS_BYTES 1024
#define TOPOLOGY_PLACE_BYTES 64

/* What a rank knows beforehand. */
struct topology_setup {
    const char *host;     /* name of this rank's host; NULL = to be found out */
    const char *settings; /* text of the settings that must agree ("bucket_bytes=4194304 ..."), at
                             most TOPOLOGY_SETTINGS_BYTES - 1 bytes */
    const char *place; /* "site/rack/rail" of the host, see topology_place_check; NULL = unknown */
    const struct imitation *imitation; /* equal on all ranks; NULL = none */
    bool discover; /* the lowest rank of each host looks at its machine; equal on all ranks */
    const struct ww_machine_query *machine; /* what it looks at; NULL = this machine */
    const char *sysfs;                      /* root of a tree for the own CPUs; NULL = "/sys" */
    int32_t *votes; /* [size] room to agree first that all ranks have memory; NULL = they have, on
                       all ranks alike */
};

/* Tells all ranks who is where, before anything else is opened. All ranks call it.
 *
 * Ranks share a host when they can meet in memory: so containers of one machine may be one host or
 * several, whatever they are called. Where the system hides its boot id, hosts go by name; a name
 * that is given decides alone. Rank 0 logs what is odd, and once per process what the machine is.
 *
 * Hosts that are imitated are parts of one real host; it counts for each of them only in part.
 *
 * Returns  WW_OK, WW_MISMATCH (settings, version, rank numbers: with the odd rank and both values),
 *          WW_BAD_CONFIG (hosts are to be imitated, and there are several real ones),
 *          WW_NO_MEMORY, and WW_PEER_FAILED where that is another rank's trouble,
 *          WW_TRANSPORT_FAILED when all_gather fails. */
enum ww_status topology_exchange(const struct ww_world *world, const struct topology_setup *setup,
                                 struct topology *topology);

/* "paris/r12/leaf3", "r12/leaf3" or "leaf3": names of site, rack and rail (the hosts below one leaf
 * switch), the last ones innermost; empty ones are unknown ("paris//" names a site alone).
 * Returns WW_OK, WW_BAD_CONFIG. */
enum ww_status topology_place_check(const char *place);

/* The same out of SLURM_TOPOLOGY_ADDR ("s0.s3.node7") and SLURM_TOPOLOGY_ADDR_PATTERN
 * ("switch.switch.node"): the switch, or block, nearest to the node is the rail, the next one the
 * rack. "" where they tell nothing. */
void topology_place_of_slurm(const char *address, const char *pattern, char *place, size_t bytes);

/* Whether all ranks fared well so far; all of them call it, with how they did, and with room for
 * votes[size]. Returns `own` where that is a failure, WW_PEER_FAILED with the first rank that fared
 * badly, WW_TRANSPORT_FAILED. */
enum ww_status topology_all_well(const struct ww_world *world, const struct topology *topology,
                                 enum ww_status own, int32_t *votes);

/* Whether all ranks came to the same conclusion. All ranks call it; inside ww_context_create and
 * ww_tensors_commit only, as for all_gather.
 * what     for the sentence: "the prices of plans"
 * hash     of the whole conclusion
 * summary  of it in words, cut at TOPOLOGY_SUMMARY_BYTES - 1 bytes
 * votes    room for [size]
 * *same    equal on all ranks; where it is false rank 0 warns, with the odd rank and both summaries
 * Returns  WW_OK, WW_NO_MEMORY, WW_PEER_FAILED where another rank has none, WW_TRANSPORT_FAILED. */
#define TOPOLOGY_SUMMARY_BYTES 512
enum ww_status topology_agree(const struct ww_world *world, const struct topology *topology,
                              const char *what, uint64_t hash, const char *summary, int32_t *votes,
                              bool *same);

void topology_finish(struct topology *topology);

#endif
