/* SPDX-License-Identifier: BSD-3-Clause
 * calibrate.h: measures the wires that the ranks of a job really have, within a budget of time. */
#ifndef TOPOLOGY_CALIBRATE_H
#define TOPOLOGY_CALIBRATE_H

#include <wirewise/transport.h>

#include "cost.h"

struct topology;

/* result[i] = sum over sources, in order; as the kernels of collectives/ do it. */
typedef void sum_function(void *result, const void *const *sources, int source_count, size_t count,
                          double scale);

struct calibration_setup {
    const struct ww_world *world; /* for an all_gather before and one after it all */
    int32_t *votes;               /* [size] room for it */
    const struct topology *topology;
    const struct ww_transport *transport;
    void *fabric;     /* open, with nothing under way; as quiet again afterwards */
    double budget_s;  /* wall time, about; 0 = measure nothing */
    double timeout_s; /* a peer that is silent for so long is gone; 1 s + 3 budgets are the least */
    bool seen;        /* ranks of a host see each other's memory */
    const char
        *file; /* where earlier results are kept; NULL or "" = nowhere. Rank 0 alone uses it */
    uint64_t fingerprint; /* of what must be the same for earlier results to serve */
    uint64_t (*clock_ns)(void);
    uint64_t (*core_ns)(void); /* time that this thread spent on a core */
    sum_function *sum;         /* of f32 */
    void (*wait)(void *waiter, enum ww_wait wait, uint64_t moves); /* spends a moment; moves counts
                                                                      what happened so far */
    void *waiter;
};

/* A wire or a host that is slower than its like. */
struct slow_wire {
    int level;
    int unit;     /* of the level below: whose port; or one end of the pair */
    int peer;     /* the other end, -1 = it is the port: slow to (nearly) all others */
    double ratio; /* of the median of its like */
    double byte_s;
};
#define SLOW_WIRES_MAX 8

struct calibration {
    double spent_s;
    bool from_file; /* earlier results, which a spot check found still true */
    int slow_count;
    struct slow_wire slow[SLOW_WIRES_MAX]; /* worst first */
};

/* Replaces in `wires`, which holds what is expected (rank 0's counts), what could be measured, the
 * same on all ranks. Logs each slow wire once, on rank 0. All ranks call it together, before
 * anything else uses the fabric. What is slow takes longer than the budget, three times at most as
 * a rule. After a failure the fabric is good for close only: messages may be under way in memory
 * that stays reserved until then.
 * Returns WW_OK (also where the budget allowed little), WW_NO_MEMORY, WW_TIMED_OUT (a peer does not
 *         answer for timeout_s: named), WW_PEER_FAILED, what post and poll return. Where one rank
 * fails all do, and no agreement need follow. */
enum ww_status calibrate(const struct calibration_setup *setup, struct wires *wires,
                         struct calibration *calibration);

#endif
