/* SPDX-License-Identifier: BSD-3-Clause
 * calibrate_wires.c [BUDGET_S [FILE]]: measures the wires of this job as a context would, and
 * prints what it found. Lines, by rank 0:
 *
 *   level NAME WIRE oneway US us flow GBIT Gbit/s port GBIT Gbit/s duplex X message US us
 *         core NS ns/B spread S source SOURCE health H
 *   memory await US us copy GB sum GB far GB ram GB GB/s fetch US us GB GB/s source SOURCE
 *   spent SECONDS s file 0|1 slow COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mpi.h>
#include <wirewise/mpi.h>

#include "topology.h"
#include "internal/clock.h"
#include "internal/fabrics.h"
#include "kernels/kernels.h"
#include "progress.h"

static reduce_kernel *add;

static void add_up(void *result, const void *const *sources, int source_count, size_t count,
                   double scale)
{
    add(result, sources, source_count, count, scale);
}

static uint64_t core_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void spend(void *waiter, enum ww_wait wait, uint64_t moves)
{
    patience_spend(waiter, (struct pulse){wait, moves});
}

static double per_second(double byte_s, double unit)
{
    return byte_s > 0 ? 1 / byte_s / unit : 0;
}

static void print_link(const char *level, const struct link *link)
{
    printf("level %s %s oneway %.2f us flow %.3f Gbit/s port %.3f Gbit/s duplex %.2f message %.2f "
           "us core %.3f ns/B spread %.3f source %s health %.3f\n",
           level, link->name, link->flow.fixed_s * 1e6, per_second(link->flow.byte_s, 125e6),
           per_second(link->port_byte_s, 125e6), link->duplex, link->message_s * 1e6,
           link->core_byte_s * 1e9, link->spread, cost_source_names[link->source], link->health);
}

static void print_memory(const struct memory_cost *memory)
{
    printf("memory await %.3f us copy %.1f sum %.1f far %.1f ram %.1f GB/s fetch %.2f us %.1f GB/s "
           "source %s\n",
           memory->await_s * 1e6, per_second(memory->copy_byte_s, 1e9),
           per_second(memory->sum_byte_s, 1e9), per_second(memory->far_byte_s, 1e9),
           per_second(memory->ram_byte_s, 1e9), memory->fetch_s * 1e6,
           per_second(memory->fetch_byte_s, 1e9), cost_source_names[memory->source]);
}

static void demand(enum ww_status status, const char *what)
{
    if (status != WW_OK) {
        fprintf(stderr, "calibrate_wires: %s: %s\n", what, ww_last_error(NULL));
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static bool all_share(const struct ww_transport *transport, void *fabric)
{
    void *memory = NULL;
    uint64_t key;
    if (transport->share == NULL || transport->reserve == NULL ||
        transport->reserve(fabric, 4096, &memory) != WW_OK) {
        return false;
    }
    bool seen = transport->share(fabric, memory, 4096, &key);
    transport->release(fabric, memory, 4096);
    return seen;
}

static void run(const struct ww_world *world, double budget_s, const char *file)
{
    struct topology topology;
    struct calibration calibration;
    struct kernels kernels;
    void *fabric;
    kernels_init(&kernels);
    add = kernels.reduce[WW_F32][WW_SUM];
    struct topology_setup places = {.settings = "", .discover = true};
    demand(topology_exchange(world, &places, &topology), "topology");
    const struct ww_transport *transport = &ww_route_transport;
    struct ww_transport_setup open = {.struct_bytes = sizeof open,
                                      .world = world,
                                      .levels = topology.levels,
                                      .host_levels = topology.host_levels,
                                      .peer_level = topology.peer_level,
                                      .area_bytes = 4096};
    demand(transport->open(&open, &fabric), "open");
    struct patience patience = {.crowded = topology.local_size > topology.cores,
                                .awake_ns = PINGS_AWAKE_NS};
    int32_t votes[256];
    struct calibration_setup setup = {.world = world,
                                      .votes = votes,
                                      .topology = &topology,
                                      .transport = transport,
                                      .fabric = fabric,
                                      .budget_s = budget_s,
                                      .timeout_s = 10,
                                      .seen = all_share(transport, fabric),
                                      .file = file,
                                      .fingerprint = (uint64_t)topology.size,
                                      .clock_ns = clock_now_ns,
                                      .core_ns = core_now_ns,
                                      .sum = add_up,
                                      .wait = spend,
                                      .waiter = &patience};
    struct wires wires = wires_assumed(&topology);
    demand(calibrate(&setup, &wires, &calibration), "calibrate");
    if (topology.rank == 0) {
        for (int level = 0; level < wires.levels; level++) {
            print_link(topology.level_name[level], &wires.link[level]);
        }
        print_memory(&wires.memory);
        printf("spent %.3f s file %d slow %d\n", calibration.spent_s, calibration.from_file,
               calibration.slow_count);
    }
    transport->close(fabric, false);
    topology_finish(&topology);
}

int main(int argc, char **argv)
{
    struct ww_world world = WW_WORLD_INIT;
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    demand(ww_mpi_world(MPI_COMM_WORLD, &world), "ww_mpi_world");
    run(&world, argc > 1 ? strtod(argv[1], NULL) : 0.3, argc > 2 ? argv[2] : NULL);
    MPI_Finalize();
    return 0;
}
