/* SPDX-License-Identifier: BSD-3-Clause
 * env_world.c: a world whose ranks are processes that found each other without MPI. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include <wirewise/env.h>

#include "command.h"

/* The library's own line has said what is wrong. */
static int refuse(enum ww_status status)
{
    return status == WW_BAD_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
}

/* All ranks end with the same code, or with that of a failure where they cannot agree any more. */
static int greatest_code(const struct ww_world *world, int code)
{
    int *codes = calloc((size_t)world->size, sizeof(codes[0]));
    if (codes == NULL || world->all_gather(world->self, &code, codes, sizeof(code)) != 0) {
        free(codes);
        return code > EXIT_FAILED ? code : EXIT_FAILED;
    }
    for (int rank = 0; rank < world->size; rank++) {
        code = codes[rank] > code ? codes[rank] : code;
    }
    free(codes);
    return code;
}

int world_of_env(rank_body *body, void *argument)
{
    struct ww_env_world *env = NULL;
    struct ww_world world = WW_WORLD_INIT;
    enum ww_status status = ww_env_world_create(NULL, &env, &world);
    if (status != WW_OK) {
        return refuse(status);
    }
    int code = EXIT_FAILED;
    if (world.size > WORLD_SIZE_MAX) {
        fprintf(stderr, "wirewise bench: %d ranks are more than the bench has room for (%d)\n",
                world.size, WORLD_SIZE_MAX);
    } else {
        code = greatest_code(&world, body(&world, argument));
    }
    ww_env_world_destroy(env);
    return code;
}
