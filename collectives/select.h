/* SPDX-License-Identifier: BSD-3-Clause
 * select.h: which algorithm, segment and window a collective gets, and the shelf of ready plans. */
#ifndef COLLECTIVES_SELECT_H
#define COLLECTIVES_SELECT_H

#include <stddef.h>

#include "algorithms/algorithm.h"
#include "plan.h"
#include "topology.h"

/* What is asked for. */
struct wish {
    enum collective collective;
    size_t count; /* as in struct run_request */
    enum ww_type type;
    int root; /* broadcast only, else 0 */
};

/* What it gets. */
struct choice {
    const struct algorithm *algorithm; /* among the owners when hierarchical */
    bool hierarchical;
    size_t segment_bytes;
    int window;
};

/* Settings that override the choice. */
struct select_settings {
    const char *algorithm; /* "auto" or a name; counts for all-reduce only */
    size_t segment_bytes;  /* 0 = chosen */
    int window;            /* 0 = chosen */
};

/* WW_OK when `name` is "auto" or an all-reduce that can be chosen: an algorithm's name, or
 * "hierarchical" or "hierarchical+<algorithm>". */
enum ww_status select_check(const char *name);

/* Splits "hierarchical+ring" into its parts; NULL when no all-reduce algorithm is named. */
const struct algorithm *select_parse(const char *name, bool *hierarchical);

/* The decision: a pure function, equal on all ranks. */
struct choice select_choice(const struct select_settings *settings, const struct topology *topology,
                            const struct wish *wish);

/* Keeps one plan per (algorithm, hierarchical, root), written when first asked for. */
struct shelf;
struct shelf *shelf_create(const struct topology *topology);
void shelf_destroy(struct shelf *shelf);
enum ww_status shelf_plan(struct shelf *shelf, const struct choice *choice, int root,
                          const struct plan **plan);

#endif
