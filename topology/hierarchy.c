/* SPDX-License-Identifier: BSD-3-Clause
 * hierarchy.c: turns labels (which host, which rack ...) into a nesting of groups. */
#include "topology.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

/* Whether two ranks have the same labels on this level and on all above. */
static bool same_group(const uint64_t *labels, int size, int levels, int level, int a, int b)
{
    for (int l = level; l < levels; l++) {
        if (labels[(size_t)l * (size_t)size + (size_t)a] !=
            labels[(size_t)l * (size_t)size + (size_t)b]) {
            return false;
        }
    }
    return true;
}

/* Numbers the groups of one level in the order of their lowest rank; returns how many. */
static int number_groups(const uint64_t *labels, int size, int levels, int level, int *group)
{
    int groups = 0;
    for (int rank = 0; rank < size; rank++) {
        int same = 0;
        while (same < rank && !same_group(labels, size, levels, level, same, rank)) {
            same++;
        }
        group[rank] = same < rank ? group[same] : groups++;
    }
    return groups;
}

/* A level is worth keeping when it is neither all alone, nor all together, nor the level below. */
static bool says_something(const struct hierarchy *hierarchy, int groups)
{
    int below = hierarchy->levels == 0 ? hierarchy->size
                                       : hierarchy->group_count[hierarchy->levels - 1];
    return groups > 1 && groups < below;
}

enum ww_status hierarchy_init(struct hierarchy *hierarchy, int size, int levels,
                              const uint64_t *labels)
{
    *hierarchy = (struct hierarchy){.size = size};
    for (int level = 0; level < levels; level++) {
        int *group = malloc((size_t)size * sizeof *group);
        if (group == NULL) {
            hierarchy_finish(hierarchy);
            return log_failure(WW_NO_MEMORY, "no memory for the groups of %d ranks", size);
        }
        int groups = number_groups(labels, size, levels, level, group);
        if (!says_something(hierarchy, groups)) {
            free(group);
            continue;
        }
        hierarchy->group[hierarchy->levels] = group;
        hierarchy->group_count[hierarchy->levels] = groups;
        hierarchy->levels++;
    }
    return WW_OK;
}

void hierarchy_finish(struct hierarchy *hierarchy)
{
    for (int level = 0; level < hierarchy->levels; level++) {
        free(hierarchy->group[level]);
    }
    memset(hierarchy, 0, sizeof *hierarchy);
}
