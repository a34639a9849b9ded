/* SPDX-License-Identifier: BSD-3-Clause
 * tools.c: shows plans to people. */
#include <wirewise/tools.h>

#include <stdlib.h>
#include <string.h>

#include "collectives.h"
#include "internal/log.h"

#define SIZE_MOST 4096

static enum ww_status check_ranks(const struct ww_plan_query *query)
{
    if (query->size < 1 || query->size > SIZE_MOST || query->rank < 0 ||
        query->rank >= query->size || query->root < 0 || query->root >= query->size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "rank %d and root %d of %d ranks: there can be 1 to %d ranks, counted "
                           "from 0",
                           query->rank, query->root, query->size, SIZE_MOST);
    }
    return WW_OK;
}

static enum ww_status no_algorithm(const struct ww_plan_query *query)
{
    return log_failure(WW_BAD_ARGUMENT,
                       "there is no algorithm \"%s\" for %s; `wirewise plan --list` names them all",
                       query->algorithm == NULL ? "" : query->algorithm, query->collective);
}

static enum ww_status write_nested(const struct ww_plan_query *query, const struct algorithm *top,
                                   struct plan **plan)
{
    uint64_t *labels = calloc((size_t)query->size, sizeof *labels);
    if (labels == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the hosts of %d ranks", query->size);
    }
    for (int rank = 0; rank < query->size && query->host_of != NULL; rank++) {
        labels[rank] = (uint64_t)query->host_of[rank];
    }
    struct hierarchy hierarchy;
    enum ww_status status = hierarchy_init(&hierarchy, query->size, 1, labels);
    free(labels);
    if (status == WW_OK) {
        hierarchy.seen = !query->messages_only;
        status = plan_hierarchical(top, &hierarchy, query->rank, plan);
        hierarchy_finish(&hierarchy);
    }
    return status;
}

static enum ww_status write_plan(const struct ww_plan_query *query, enum collective collective,
                                 struct plan **plan)
{
    enum nesting nesting = NEST_NONE;
    const char *name = query->algorithm == NULL ? "" : query->algorithm;
    const struct algorithm *algorithm = collective == COLLECTIVE_ALL_REDUCE
                                            ? select_parse(name, &nesting)
                                            : algorithm_find(collective, name);
    if (nesting != NEST_NONE && strchr(name, '+') == NULL) {
        algorithm = &algorithm_scatter_gather;
    }
    if (algorithm == NULL) {
        return no_algorithm(query);
    }
    return nesting != NEST_NONE ? write_nested(query, algorithm, plan)
                                : plan_flat(algorithm, query->rank, query->size, query->root, plan);
}

enum ww_status ww_plan_print(const struct ww_plan_query *query, FILE *to)
{
    if (query == NULL || to == NULL || query->struct_bytes != sizeof *query) {
        return log_failure(WW_BAD_ARGUMENT, "ww_plan_print got %s",
                           query == NULL || to == NULL
                               ? "NULL"
                               : "a query that was not made by WW_PLAN_QUERY_INIT");
    }
    enum collective collective = COLLECTIVE_ALL_REDUCE;
    struct plan *plan = NULL;
    enum ww_status status = select_collective(query->collective, &collective);
    if (status == WW_OK) {
        status = check_ranks(query);
    }
    if (status == WW_OK) {
        status = write_plan(query, collective, &plan);
    }
    if (status != WW_OK) {
        return status;
    }
    plan_print(plan, to);
    plan_destroy(plan);
    return WW_OK;
}

void ww_algorithms_print(FILE *to)
{
    for (int i = 0; algorithms[i] != NULL; i++) {
        fprintf(to, "%-15s %-15s %s\n", collective_names[algorithms[i]->collective],
                algorithms[i]->name, algorithms[i]->about);
    }
}
