/* SPDX-License-Identifier: BSD-3-Clause
 * test_env_processes.c: ranks that are processes: they work together, and one that is killed is
 * missed. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <wirewise/env.h>

#include "capture.h"
#include "port.h"

#define RANKS 4
#define COUNT 100000

TestSuite(env_processes, .init = capture_start, .fini = capture_finish);

/* What a process does with its world; 0 = well. */
typedef int rank_work(const struct ww_world *world);

static int run_rank(const char *address, int rank, rank_work *work)
{
    struct ww_env env = WW_ENV_INIT;
    struct ww_env_world *made = NULL;
    struct ww_world world;
    env.rank = rank;
    env.size = RANKS;
    env.address = address;
    env.timeout_s = 30;
    alarm(60); /* a test that hangs ends */
    if (ww_env_world_create(&env, &made, &world) != WW_OK) {
        return 100;
    }
    int code = work(&world);
    ww_env_world_destroy(made);
    return code;
}

/* Runs the work as RANKS processes; codes[RANKS] are their exit codes, or minus their signals. */
static void run_ranks(rank_work *work, int *codes)
{
    struct port_address address = port_free();
    pid_t pids[RANKS];
    for (int rank = 0; rank < RANKS; rank++) {
        pids[rank] = fork();
        if (pids[rank] == 0) {
            _exit(run_rank(address.text, rank, work));
        }
    }
    for (int rank = 0; rank < RANKS; rank++) {
        int status = 0;
        waitpid(pids[rank], &status, 0);
        codes[rank] = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
}

/* ---- A context ------------------------------------------------------------------------------ */

static struct ww_context *open_context(const struct ww_world *world, double timeout_s)
{
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    config.discover = false;
    config.calibrate = WW_CALIBRATE_OFF;
    config.timeout_s = timeout_s;
    return ww_context_create(world, &config, &context) == WW_OK ? context : NULL;
}

static int all_reduce(const struct ww_world *world)
{
    struct ww_context *context = open_context(world, 30);
    if (context == NULL) {
        return 1;
    }
    float *values = malloc(COUNT * sizeof *values);
    int wrong = 0;
    for (int call = 0; call < 3; call++) {
        for (int index = 0; index < COUNT; index++) {
            values[index] = (float)((world->rank + 1) * (index % 1000) + call);
        }
        if (ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM) != WW_OK) {
            wrong++;
        }
        for (int index = 0; index < COUNT; index++) {
            wrong += values[index] != (float)(10 * (index % 1000) + 4 * call);
        }
    }
    free(values);
    ww_context_destroy(context);
    return wrong == 0 ? 0 : 2;
}

Test(env_processes, a_context_sums_over_processes_of_one_host)
{
    int codes[RANKS];
    run_ranks(all_reduce, codes);
    for (int rank = 0; rank < RANKS; rank++) {
        cr_expect_eq(codes[rank], 0, "rank %d ended with %d", rank, codes[rank]);
    }
}

/* ---- Death ---------------------------------------------------------------------------------- */

static int doomed;

/* The doomed one dies when the others wait for it already. */
static int gather_until_death(const struct ww_world *world)
{
    int all[RANKS] = {0};
    if (world->all_gather(world->self, &world->rank, all, sizeof(int)) != 0) {
        return 1;
    }
    if (world->rank == doomed) {
        nanosleep(&(struct timespec){0, 200000000}, NULL);
        raise(SIGKILL);
    }
    bool failed = world->all_gather(world->self, &world->rank, all, sizeof(int)) != 0;
    char words[32];
    snprintf(words, sizeof words, "rank %d ", doomed);
    return failed && strstr(ww_last_error(NULL), words) != NULL ? 0 : 3;
}

Test(env_processes, a_rank_that_is_killed_is_missed_by_all)
{
    for (doomed = 0; doomed < RANKS; doomed++) {
        int codes[RANKS];
        run_ranks(gather_until_death, codes);
        for (int rank = 0; rank < RANKS; rank++) {
            cr_expect_eq(codes[rank], rank == doomed ? -SIGKILL : 0,
                         "rank %d ended with %d when %d "
                         "was killed",
                         rank, codes[rank], doomed);
        }
    }
}

/* Long before timeout_s. */
static int reduce_until_death(const struct ww_world *world)
{
    struct ww_context *context = open_context(world, 1000);
    if (context == NULL) {
        return 1;
    }
    float *values = calloc(COUNT, sizeof *values);
    enum ww_status status = ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM);
    if (status != WW_OK) {
        return 2;
    }
    if (world->rank == doomed) {
        nanosleep(&(struct timespec){0, 200000000}, NULL);
        raise(SIGKILL);
    }
    status = ww_all_reduce(context, values, values, COUNT, WW_F32, WW_SUM);
    char words[32];
    snprintf(words, sizeof words, "rank %d (", doomed);
    bool named = strstr(ww_last_error(context), words) != NULL &&
                 strstr(ww_last_error(context), "its process ended") != NULL;
    free(values);
    ww_context_destroy(context);
    return status == WW_PEER_FAILED && named ? 0 : 3;
}

Test(env_processes, a_context_names_a_rank_whose_process_ended)
{
    for (doomed = 0; doomed < RANKS; doomed += 2) {
        int codes[RANKS];
        run_ranks(reduce_until_death, codes);
        for (int rank = 0; rank < RANKS; rank++) {
            cr_expect_eq(codes[rank], rank == doomed ? -SIGKILL : 0,
                         "rank %d ended with %d when %d was killed", rank, codes[rank], doomed);
        }
    }
}

/* ---- Fork ----------------------------------------------------------------------------------- */

static int gather_in_a_child(const struct ww_world *world)
{
    int all[RANKS] = {0};
    pid_t child = fork();
    if (child == 0) {
        _exit(world->all_gather(world->self, &world->rank, all, sizeof(int)) != 0 ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    bool good = world->all_gather(world->self, &world->rank, all, sizeof(int)) == 0;
    return good && WIFEXITED(status) && WEXITSTATUS(status) == 0 && all[3] == 3 ? 0 : 4;
}

Test(env_processes, a_child_is_refused_and_harms_nobody)
{
    int codes[RANKS];
    run_ranks(gather_in_a_child, codes);
    for (int rank = 0; rank < RANKS; rank++) {
        cr_expect_eq(codes[rank], 0, "rank %d ended with %d", rank, codes[rank]);
    }
}
