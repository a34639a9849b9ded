/* SPDX-License-Identifier: BSD-3-Clause
 * select.h: which algorithm, segment and window a collective gets, and the shelf of ready plans. */
#ifndef COLLECTIVES_SELECT_H
#define COLLECTIVES_SELECT_H

#include <stddef.h>

#include "algorithms/algorithm.h"
#include "engine.h"
#include "plan.h"
#include "topology.h"

/* What is asked for. */
struct wish {
    enum collective collective;
    size_t count; /* as in struct run_request */
    enum ww_type type;
    int root; /* broadcast only, else 0 */
};

/* What it gets. Further ways are those of struct run_request; algorithm NULL = none. */
struct choice {
    const struct algorithm *algorithm; /* among the owners when hierarchical */
    bool hierarchical;
    size_t segment_bytes;
    int window;
    bool on_board; /* the values are few enough to travel with the announcement */
    const struct algorithm *viewed;
    const struct algorithm *fetched;
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

/* The decision: a pure function, equal on all ranks. sight is equal on all ranks as well. */
struct choice select_choice(const struct select_settings *settings, const struct topology *topology,
                            const struct sight *sight, const struct wish *wish);

/* WW_OK when the named algorithm can run where ranks have this sight of each other. */
enum ww_status select_check_sight(const char *name, const struct sight *sight);

/* Keeps one plan per (algorithm, hierarchical, root), written when first asked for. */
struct shelf;
struct shelf *shelf_create(const struct topology *topology);
void shelf_destroy(struct shelf *shelf);
enum ww_status shelf_plan(struct shelf *shelf, const struct choice *choice, int root,
                          const struct plan **plan);

/* Fills the parts of a request that a choice decides: plans, segments, windows. */
enum ww_status shelf_fill(struct shelf *shelf, const struct choice *choice, int root,
                          struct run_request *request);

#endif
