/* SPDX-License-Identifier: BSD-3-Clause
 * names.c: algorithms as people spell them. */
#include "select.h"

#include <stdio.h>
#include <string.h>

#include "internal/log.h"
#include "rules.h"

static const char *const nesting_names[NESTINGS] = {
    [NEST_NONE] = "", [NEST_ALL] = HIERARCHICAL, [NEST_HOSTS] = HOSTS};

const struct hierarchy *nesting_of(const struct topology *topology, enum nesting nesting)
{
    switch (nesting) {
    case NEST_ALL:
        return &topology->hierarchy;
    case NEST_HOSTS:
        return &topology->hosts_outwards;
    default:
        return NULL;
    }
}

enum ww_status select_collective(const char *name, enum collective *collective)
{
    for (int c = 0; name != NULL && c < COLLECTIVE_COUNT; c++) {
        if (strcmp(collective_names[c], name) == 0) {
            *collective = (enum collective)c;
            return WW_OK;
        }
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "there is no collective \"%s\"; there are all_reduce, reduce_scatter, "
                       "all_gather and broadcast",
                       name == NULL ? "" : name);
}

const struct algorithm *select_parse(const char *name, enum nesting *nesting)
{
    *nesting = NEST_NONE;
    for (int i = NEST_ALL; i < NESTINGS; i++) {
        size_t length = strlen(nesting_names[i]);
        if (strncmp(name, nesting_names[i], length) == 0 &&
            (name[length] == '\0' || name[length] == '+')) {
            *nesting = (enum nesting)i;
            name += length + (name[length] == '+');
            break;
        }
    }
    const struct algorithm *found = algorithm_find(COLLECTIVE_ALL_REDUCE, name);
    bool fits = found != NULL && (*nesting == NEST_NONE || found->needs == NEEDS_MESSAGES);
    return fits ? found : NULL; /* owners are on different hosts: they send */
}

enum ww_status select_check_sight(const char *name, const struct sight *sight)
{
    enum nesting nesting;
    const struct algorithm *algorithm = select_parse(name, &nesting);
    if (algorithm == NULL || algorithm->needs == NEEDS_MESSAGES) {
        return WW_OK;
    }
    if (!sight->all || (algorithm->needs == NEEDS_FETCH && !sight->fetch)) {
        return log_failure(
            WW_UNSUPPORTED, "algorithm %s needs ranks of one host that %s: choose another, or auto",
            name,
            algorithm->needs == NEEDS_FETCH ? "may copy out of each other's processes"
                                            : "see each other's memory");
    }
    return algorithm->needs == NEEDS_VIEW
               ? log_failure(WW_UNSUPPORTED,
                             "algorithm viewed is taken by itself where all buffers "
                             "come from ww_alloc: choose staged, or auto")
               : WW_OK;
}

static void add_name(const struct algorithm *algorithm, char *list, size_t bytes)
{
    size_t used = strlen(list);
    snprintf(list + used, bytes - used, "%s%s", used > 0 ? ", " : "", algorithm->name);
}

enum ww_status select_check(const char *name)
{
    enum nesting nesting;
    if (strcmp(name, AUTOMATIC) == 0 || strcmp(name, HIERARCHICAL) == 0 ||
        strcmp(name, HOSTS) == 0 || select_parse(name, &nesting) != NULL) {
        return WW_OK;
    }
    char known[256] = AUTOMATIC ", " HIERARCHICAL ", " HOSTS;
    char nested[256] = "";
    for (int i = 0; algorithms[i] != NULL; i++) {
        if (algorithms[i]->collective == COLLECTIVE_ALL_REDUCE && !algorithms[i]->coded) {
            add_name(algorithms[i], known, sizeof known);
            if (algorithms[i]->needs == NEEDS_MESSAGES) {
                add_name(algorithms[i], nested, sizeof nested);
            }
        }
    }
    return log_failure(WW_BAD_CONFIG,
                       "algorithm is \"%s\"; it can be one of %s; or hierarchical+ or hosts+ one "
                       "of %s",
                       name, known, nested);
}

void choice_name(const struct choice *choice, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s%s%s", nesting_names[choice->nesting],
             choice->nesting != NEST_NONE ? "+" : "", choice->algorithm->name);
}

void way_name(const struct choice *choice, char *text, size_t bytes)
{
    if (choice->with_announcement) {
        snprintf(text, bytes, ANNOUNCEMENT);
    } else {
        choice_name(choice, text, bytes);
    }
}
