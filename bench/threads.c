/* SPDX-License-Identifier: BSD-3-Clause
 * threads.c: a world whose ranks are threads of this process. */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

struct seat {
    pthread_t thread;
    struct ww_world world;
    rank_body *body;
    void *argument;
    int code;
};

static void *sit(void *argument)
{
    struct seat *seat = argument;
    seat->code = seat->body(&seat->world, seat->argument);
    return NULL;
}

static int fail(const char *what, int rank, int size, const char *cause)
{
    fprintf(stderr, "wirewise bench: %s for rank %d of %d failed: %s. Ask for fewer with -t.\n",
            what, rank, size, cause);
    return EXIT_FAILED;
}

static int fill_seats(struct ww_local_world *local, struct seat *seats, int size, rank_body *body,
                      void *argument)
{
    for (int rank = 0; rank < size; rank++) {
        seats[rank].body = body;
        seats[rank].argument = argument;
        enum ww_status status = ww_local_world_rank(local, rank, &seats[rank].world);
        if (status != WW_OK) {
            return fail("a place", rank, size, ww_last_error(NULL));
        }
    }
    return EXIT_FINE;
}

/* Rank 0 is the calling thread, so that one rank needs no thread at all. */
static int run_seats(struct seat *seats, int size)
{
    for (int rank = 1; rank < size; rank++) {
        int error = pthread_create(&seats[rank].thread, NULL, sit, &seats[rank]);
        if (error != 0) {
            /* The ranks that are there wait for ever for the one that cannot come. */
            world_abort(fail("a thread", rank, size, strerror(error)));
        }
    }
    sit(&seats[0]);
    int code = seats[0].code;
    for (int rank = 1; rank < size; rank++) {
        pthread_join(seats[rank].thread, NULL);
        code = seats[rank].code > code ? seats[rank].code : code;
    }
    return code;
}

int world_of_threads(int size, rank_body *body, void *argument)
{
    struct ww_local_world *local = NULL;
    enum ww_status status = ww_local_world_create(size, &local);
    if (status != WW_OK) {
        return fail("a meeting place", 0, size, ww_last_error(NULL));
    }
    int code = EXIT_FAILED;
    struct seat *seats = calloc((size_t)size, sizeof(*seats));
    if (seats == NULL) {
        fail("memory", 0, size, strerror(ENOMEM));
        goto destroy_local;
    }
    code = fill_seats(local, seats, size, body, argument);
    if (code == EXIT_FINE) {
        code = run_seats(seats, size);
    }
    free(seats);
destroy_local:
    ww_local_world_destroy(local);
    return code;
}
