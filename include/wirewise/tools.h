/* SPDX-License-Identifier: BSD-3-Clause
 * tools.h: what commands need beyond wirewise.h. UNSTABLE: it may change in any release before
 * 1.0. */
#ifndef WIREWISE_TOOLS_H
#define WIREWISE_TOOLS_H

#include <stdio.h>

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One rank's plan, asked for without any communication. */
struct ww_plan_query {
    size_t struct_bytes;    /* sizeof(struct ww_plan_query), set by WW_PLAN_QUERY_INIT */
    const char *collective; /* "all_reduce", "reduce_scatter", "all_gather", "broadcast" */
    const char *algorithm;  /* a name that ww_algorithms_print lists; for an all_reduce also
                               "hierarchical" or "hierarchical+" one of them */
    int size;               /* ranks, 1 .. 4096 */
    int rank;
    int root;           /* broadcast only */
    const int *host_of; /* [size] number of each rank's host, for hierarchical; NULL = one host */
    bool messages_only; /* ranks of one host do not see each other's memory */
};
#define WW_PLAN_QUERY_INIT                                                                         \
    {                                                                                              \
        sizeof(struct ww_plan_query), "all_reduce", "scatter_gather", 1, 0, 0, NULL, false         \
    }

/* Prints the plan to a stream: a line per round, a line per action.
 * Returns WW_OK, WW_BAD_ARGUMENT (the sentence lists what exists), WW_NO_MEMORY. */
WW_API enum ww_status ww_plan_print(const struct ww_plan_query *query, FILE *to);

/* Prints every algorithm: collective, name, what it does; a line each. */
WW_API void ww_algorithms_print(FILE *to);

#ifdef __cplusplus
}
#endif
#endif
