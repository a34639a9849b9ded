/* SPDX-License-Identifier: BSD-3-Clause
 * env_ranks.c: the ranks of a program are processes that start.sh started, and talk over UCX. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <wirewise/env.h>

#include "check.h"

const struct fabric_facts fabric_facts = {
    .piece_bytes = SIZE_MAX, .left_behind = NULL, .reserves = false};

static struct ww_env_world *env;
static struct ww_world world_of_all;

void ranks_begin(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (ww_env_world_create(NULL, &env, &world_of_all) != WW_OK) {
        fprintf(stderr, "failed: the ranks did not meet: %s\n", ww_last_error(NULL));
        exit(1);
    }
}

enum ww_status ranks_world(struct ww_world *world)
{
    *world = world_of_all;
    return WW_OK;
}

void ranks_meet(void)
{
    char mine = 0, all[PEERS_MAX];
    check(world_of_all.all_gather(world_of_all.self, &mine, all, 1) == 0, "the ranks did not meet");
}

void ranks_end(void)
{
    ranks_meet(); /* nobody misses one that is only ahead */
    ww_env_world_destroy(env);
}

void ranks_leave(void)
{
    ww_env_world_destroy(env);
}
