/* SPDX-License-Identifier: BSD-3-Clause
 * hierarchy.c: turns labels (which host, which rack ...) into a nesting of groups. */
#include "topology.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "units.h"

/* A level is worth keeping when it is neither all alone, nor all together, nor the level below. */
static bool says_something(const struct hierarchy *hierarchy, int groups)
{
    int below = hierarchy->levels == 0 ? hierarchy->size
                                       : hierarchy->group_count[hierarchy->levels - 1];
    return groups > 1 && groups < below;
}

/* The groups of one level, inside those of the level above. */
static enum ww_status number_groups(int size, const int *above, const uint64_t *labels, int **group,
                                    int *count)
{
    *group = malloc((size_t)size * sizeof **group);
    if (*group == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the groups of %d ranks", size);
    }
    return units_number(size, above, labels, *group, count);
}

/* Takes over the levels that are worth it and frees the others. */
static void keep_levels(struct hierarchy *hierarchy, int levels, int **group, const int *count)
{
    for (int level = 0; level < levels; level++) {
        if (says_something(hierarchy, count[level])) {
            hierarchy->group[hierarchy->levels] = group[level];
            hierarchy->group_count[hierarchy->levels] = count[level];
            hierarchy->levels++;
        } else {
            free(group[level]);
        }
    }
}

enum ww_status hierarchy_init(struct hierarchy *hierarchy, int size, int levels,
                              const uint64_t *labels)
{
    int *group[WW_LEVELS_MAX] = {NULL};
    int count[WW_LEVELS_MAX] = {0};
    enum ww_status status = WW_OK;
    *hierarchy = (struct hierarchy){.size = size};
    for (int level = levels - 1; status == WW_OK && level >= 0; level--) {
        const int *above = level + 1 < levels ? group[level + 1] : NULL;
        status = number_groups(size, above, labels + (size_t)level * (size_t)size, &group[level],
                               &count[level]);
    }
    if (status != WW_OK) {
        memset(count, 0, sizeof count); /* none is kept */
    }
    keep_levels(hierarchy, levels, group, count);
    return status;
}

void hierarchy_finish(struct hierarchy *hierarchy)
{
    for (int level = 0; level < hierarchy->levels; level++) {
        free(hierarchy->group[level]);
    }
    memset(hierarchy, 0, sizeof *hierarchy);
}
