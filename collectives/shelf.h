/* SPDX-License-Identifier: BSD-3-Clause
 * shelf.h: the plans that a context runs, written when first asked for and then kept. */
#ifndef COLLECTIVES_SHELF_H
#define COLLECTIVES_SHELF_H

#include "engine.h"
#include "select.h"

/* Keeps one plan per (algorithm, nesting, root). topology outlives the shelf. */
struct shelf;
struct shelf *shelf_create(const struct topology *topology);
void shelf_destroy(struct shelf *shelf);
enum ww_status shelf_plan(struct shelf *shelf, const struct choice *choice, int root,
                          const struct plan **plan);

/* Fills the parts of a request that a choice decides: plans, segments, windows. */
enum ww_status shelf_fill(struct shelf *shelf, const struct choice *choice, int root,
                          struct run_request *request);

#endif
