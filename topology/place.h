/* SPDX-License-Identifier: BSD-3-Clause
 * place.h: where in its host and in the network a rank is. */
#ifndef PLACE_H
#define PLACE_H

#include <stdint.h>

#include "identity.h"

#define PLACE_VERSION 2
#define PLACE_INNER 3 /* LEVEL_CACHE, LEVEL_NUMA, LEVEL_PACKAGE */
#define PLACE_PARTS 3 /* site, rack, rail */

/* What one rank says of its place: fixed size, and texts filled up with zeros. */
struct place {
    uint32_t version;
    int32_t cores;               /* of the host */
    int32_t own_first;           /* the lowest CPU that this process may use; -1 = unknown */
    int32_t own_cpus;            /* so many it may use */
    double cache_bytes;          /* its last caches together; 0 = unknown */
    uint64_t label[PLACE_INNER]; /* by level_kind: the lowest CPU of the unit that holds all CPUs
                                    of this process; LABEL_UNKNOWN = there is none, or nobody
                                    knows */
    char text[TOPOLOGY_PLACE_BYTES]; /* "site/rack/rail" */
    struct reach reach;
    int32_t trouble; /* enum ww_status: why `reach` says nothing, else WW_OK */
};
_Static_assert(sizeof(struct place) <= 256, "every rank hears one from every other");

/* CPUs by the system's number. */
#define CPUS_MOST 8192
#define CPUS_WORDS (CPUS_MOST / 64)
struct cpus {
    uint64_t word[CPUS_WORDS];
};

/* The CPUs that this thread may run on; none where the system does not say. */
void cpus_allowed(struct cpus *cpus);

/* Reads "0-3,8"; what makes no sense ends it. */
void cpus_parse(struct cpus *cpus, const char *list);

/* Labels, cores and cache of a process that may run on these CPUs.
 * root  of a sysfs tree: "/sys" */
void place_read(struct place *place, const char *root, const struct cpus *allowed);

/* The label of a part of "site/rack/rail", LABEL_UNKNOWN where it is empty or not there; part 0 is
 * the site. Fewer parts are the innermost ones. */
uint64_t place_label(const char *text, int part);

#endif
