/* SPDX-License-Identifier: BSD-3-Clause
 * lifetime.c: a fabric before MPI_Init, after MPI_Finalize, and one that MPI_Finalize finds open.
 */
#include "check.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <wirewise/mpi.h>

static void before_init_there_is_no_world(void)
{
    struct ww_world world = WW_WORLD_INIT;
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_BAD_STATE, "a world before MPI_Init");
    check_line("MPI is not initialised");
    check(world.all_gather == NULL, "written although it failed");
}

static void after_finalize_there_is_no_world_and_no_fabric(struct end *kept)
{
    struct ww_world world = WW_WORLD_INIT;
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_BAD_STATE, "a world after MPI_Finalize");
    check_line("already finalised");
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &kept->world,
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = kept->peer_level};
    void *fabric = NULL;
    check(kept->transport->open(&setup, &fabric) == WW_BAD_STATE, "a fabric after MPI_Finalize");
    check_line("already finalised");
    int mine = 0, all[PEERS_MAX];
    check(kept->world.all_gather(kept->world.self, &mine, all, sizeof mine) != 0, "all_gather");
    check_line("already finalised");
}

static void an_open_fabric_is_dead_after_finalize(struct end *end, struct ww_flight *flight,
                                                  struct ww_message *message)
{
    check_line("MPI_Finalize was called while a context was open: call ww_context_destroy");
    struct ww_flight other;
    check(end_post(end, 0, message, 1, &other) == WW_TRANSPORT_FAILED, "post after MPI_Finalize");
    check_line("ww_context_destroy");
    if (flight->state != NULL) {
        check(end->transport->poll(end->fabric, flight) == WW_TRANSPORT_FAILED, "poll");
        check_line("ww_context_destroy");
    }
}

/* A progress thread that uses its fabric while the program calls MPI_Finalize. */
static atomic_bool polling;

static void *poll_until_it_fails(void *argument)
{
    struct end *end = argument;
    enum ww_status status = WW_OK;
    while (status == WW_OK) {
        struct ww_flight flight;
        status = end_post(end, 1, NULL, 0, &flight);
        status = status == WW_OK ? end_wait(end, &flight) : status;
        atomic_store(&polling, true);
        sched_yield();
    }
    check(status == WW_TRANSPORT_FAILED, "the thread ended with %s", ww_status_name(status));
    return NULL;
}

int main(int argc, char **argv)
{
    checks_begin();
    before_init_there_is_no_world();
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    struct end idle, threaded;
    end_open(&idle, 0, false, false);
    check(idle.status == WW_OK, "open");
    end_open(&threaded, 0, level == MPI_THREAD_MULTIPLE, false);
    check(threaded.status == WW_OK, "open for a thread");
    int value = 0, size = idle.world.size, next = (idle.world.rank + 1) % size;
    struct ww_message receive = {WW_RECEIVE, next, &value, sizeof value};
    struct ww_flight flight = {NULL, WW_WAIT_MEMORY};
    if (size > 1) {
        check(end_post(&idle, 0, &receive, 1, &flight) == WW_OK, "a receive");
    }
    pthread_t thread;
    pthread_create(&thread, NULL, poll_until_it_fails, &threaded);
    while (!atomic_load(&polling)) {
        sched_yield();
    }
    MPI_Finalize();
    pthread_join(thread, NULL);
    an_open_fabric_is_dead_after_finalize(&idle, &flight, &receive);
    after_finalize_there_is_no_world_and_no_fabric(&idle);
    end_close(&idle, false);
    end_close(&threaded, true);
    return checks_end();
}
