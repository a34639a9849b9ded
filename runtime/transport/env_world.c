/* SPDX-License-Identifier: BSD-3-Clause
 * env_world.c: a world whose ranks are processes that the environment tells who they are. */
#include "env_world.h"

#include <stdlib.h>
#include <unistd.h>

#include "internal/log.h"

void ww_env_world_destroy(struct ww_env_world *made)
{
    if (made == NULL) {
        return;
    }
    int seats = made->rank == 0 ? made->size : 1;
    for (int rank = 0; made->seats != NULL && rank < seats; rank++) {
        if (made->seats[rank].socket >= 0) {
            close(made->seats[rank].socket);
        }
    }
    free(made->polls);
    free(made->seats);
    free(made);
}

static struct ww_env_world *allocate(const struct env_launch *launch)
{
    struct ww_env_world *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    int seats = launch->rank == 0 ? launch->size : 1;
    made->pid = getpid();
    made->rank = launch->rank;
    made->size = launch->size;
    made->seats = calloc((size_t)seats, sizeof *made->seats);
    made->polls = calloc((size_t)seats, sizeof *made->polls);
    for (int rank = 0; made->seats != NULL && rank < seats; rank++) {
        made->seats[rank].socket = -1;
    }
    if (made->seats == NULL || made->polls == NULL) {
        ww_env_world_destroy(made);
        return NULL;
    }
    return made;
}

enum ww_status ww_env_world_create(const struct ww_env *env, struct ww_env_world **made,
                                   struct ww_world *world)
{
    if (made == NULL || world == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_env_world_create: %s is NULL",
                           made == NULL ? "made" : "world");
    }
    struct env_launch launch;
    log_keep_streams();
    enum ww_status status = env_launch_read(env, &launch);
    if (status != WW_OK) {
        return status;
    }
    struct ww_env_world *met = allocate(&launch);
    if (met == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a world of %d ranks", launch.size);
    }
    status = env_meet(met, &launch);
    if (status != WW_OK) {
        ww_env_world_destroy(met);
        return status;
    }
    *made = met;
    *world = (struct ww_world)WW_WORLD_INIT;
    world->rank = met->rank;
    world->size = met->size;
    world->all_gather = env_all_gather;
    world->self = met;
    world->transport = env_network();
    return WW_OK;
}
