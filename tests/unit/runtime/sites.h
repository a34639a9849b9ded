/* SPDX-License-Identifier: BSD-3-Clause
 * sites.h: ranks that make local steps, for tests. What a step does to a parameter is a number out
 * of a hash, so that nothing has to be trained. */
#ifndef TESTS_SITES_H
#define TESTS_SITES_H

#include <stdint.h>

#include <wirewise/outer.h>

#include "world.h"

/* What all ranks of a test do. */
struct plan_of_sites {
    struct ww_outer_config config;
    size_t count;
    size_t regions; /* the vector in so many, uneven ones; 0 = one */
    int steps;
    bool real;                 /* updates are no integers */
    bool dawdles;              /* ranks are slow at random */
    enum ww_progress progress; /* of the context */
};

/* One rank of it. */
struct site {
    const struct plan_of_sites *plan;
    const struct ww_world *world;
    struct ww_context *context;
    struct ww_outer *outer;
    float *values; /* [plan->count] */
    int step;      /* made so far */
};

/* An integer of -8 .. 8, or a number of about that size; `real` asks for the second. */
float site_update(const struct plan_of_sites *plan, int rank, int step, size_t i);

/* Parameters that are integers, alike on all ranks. */
float site_first_value(size_t i);

/* Makes a context and begins; ends both. */
void site_begin(struct site *site, const struct ww_world *world, const struct plan_of_sites *plan);
void site_end(struct site *site);

/* The inner optimizer's step alone; and with ww_outer_step behind it, which must succeed. */
void site_move(struct site *site);
struct ww_outer_report site_step(struct site *site);

#endif
