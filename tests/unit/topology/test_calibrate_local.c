/* SPDX-License-Identifier: BSD-3-Clause
 * test_calibrate_local.c: real threads, real memory, a real clock: numbers that make sense, and the
 * same ones on every rank. */
#include <sched.h>
#include <string.h>

#include "topology.h"
#include "internal/clock.h"
#include "internal/cpu.h"
#include "internal/fabrics.h"
#include "kernels/kernels.h"
#include "world.h"

TestSuite(calibrate_local, .init = capture_start, .fini = capture_finish);

struct trial {
    int size;
    double budget_s;
    bool seen;
    struct wires found[WORLD_SIZE_MAX];
    double spent_s;
};

static void add_up(void *result, const void *const *sources, int source_count, size_t count,
                   double scale)
{
    struct kernels kernels;
    kernels_init_scalar(&kernels);
    kernels.reduce[WW_F32][WW_SUM](result, sources, source_count, count, scale);
}

static void yield(void *waiter, enum ww_wait wait, uint64_t moves)
{
    (void)waiter, (void)wait, (void)moves;
    sched_yield();
}

static void calibrate_one(const struct ww_world *world, void *shared)
{
    struct trial *trial = shared;
    struct topology topology;
    struct calibration calibration;
    const struct topology_setup places = {.settings = ""};
    void *fabric = NULL;
    check_status(topology_exchange(world, &places, &topology), WW_OK);
    topology.cores = cpu_count();
    topology.cache_bytes = 4e6;
    struct ww_transport_setup open = {.struct_bytes = sizeof open,
                                      .world = world,
                                      .levels = topology.levels,
                                      .host_levels = topology.host_levels,
                                      .peer_level = topology.peer_level};
    check_status(ww_local_transport.open(&open, &fabric), WW_OK);
    int32_t votes[WORLD_SIZE_MAX];
    struct calibration_setup setup = {.world = world,
                                      .votes = votes,
                                      .topology = &topology,
                                      .transport = &ww_local_transport,
                                      .fabric = fabric,
                                      .budget_s = trial->budget_s,
                                      .timeout_s = 10,
                                      .seen = trial->seen,
                                      .clock_ns = clock_now_ns,
                                      .core_ns = clock_now_ns,
                                      .sum = add_up,
                                      .wait = yield};
    struct wires *wires = &trial->found[world->rank];
    *wires = wires_assumed(&topology);
    check_status(calibrate(&setup, wires, &calibration), WW_OK);
    check(calibration.slow_count == 0 && !calibration.from_file, "slow or old");
    if (world->rank == 0) {
        trial->spent_s = calibration.spent_s;
    }
    ww_local_transport.close(fabric, false);
    topology_finish(&topology);
}

static void expect_between(double least, double value, double most, const char *what, int size)
{
    cr_expect(value >= least && value <= most, "%d ranks: %s is %g, not %g .. %g", size, what,
              value, least, most);
}

static void expect_sense(const struct trial *trial)
{
    const struct wires *wires = &trial->found[0];
    const struct memory_cost *memory = &wires->memory;
    int size = trial->size;
    cr_expect_eq(memory->source, COST_MEASURED);
    expect_between(1e-12, memory->copy_byte_s, 1e-5, "copy", size);
    expect_between(1e-12, memory->sum_byte_s, 1e-5, "sum", size);
    if (size > 1) {
        cr_expect_eq(wires->link[0].source, COST_MEASURED);
        expect_between(1e-9, wires->link[0].flow.fixed_s, 0.1, "one way", size);
        expect_between(1e-12, wires->link[0].flow.byte_s, 1e-5, "flow", size);
        expect_between(1, wires->link[0].duplex, 2, "duplex", size);
    }
    if (size > 1 && trial->seen) {
        expect_between(1e-9, memory->await_s, 0.1, "await", size);
        expect_between(1e-13, memory->far_byte_s, 1e-4, "far", size);
    }
    for (int rank = 1; rank < size; rank++) {
        cr_expect_eq(memcmp(&trial->found[rank], wires, sizeof *wires), 0, "rank %d differs", rank);
    }
}

Test(calibrate_local, threads_learn_the_same_sensible_numbers)
{
    static const int sizes[] = {1, 2, 3, 5, 16};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        static struct trial trial;
        memset(&trial, 0, sizeof trial);
        trial.size = sizes[i / 2];
        trial.seen = i % 2 == 0;
        trial.budget_s = 0.05;
        world_run(trial.size, calibrate_one, &trial);
        expect_sense(&trial);
    }
}
