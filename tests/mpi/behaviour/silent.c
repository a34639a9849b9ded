/* SPDX-License-Identifier: BSD-3-Clause
 * silent.c PLACE: rank 1 is stopped by a signal, before a collective (gate), amid the data of one
 * (data) or in a step (step). The others must name it within a second of the timeout. A helper
 * process, forked before MPI starts, stops rank 1 where that cannot do it by itself, and lets it
 * go on three seconds later, so that the job can end in order. */
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT ((size_t)4 << 20)
#define TIMEOUT_S 1.0
#define STOPPED_S 4.0

static void doze(double seconds)
{
    struct timespec rest = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) != 0) {
        continue;
    }
}

/* Whether the rank asked for it: a byte in the pipe; the end of the pipe says that it is gone. */
static void help(int requests, pid_t rank)
{
    char place;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(requests, &place, 1) != 1) {
        _exit(0);
    }
    if (place == 'd') {
        doze(0.1); /* rank 1 is in the middle of its collectives by then */
        kill(rank, SIGSTOP);
    }
    doze(STOPPED_S);
    kill(rank, SIGCONT);
    _exit(0);
}

/* Returns the end of the pipe to ask through. */
static int fork_helper(void)
{
    int ends[2];
    pid_t rank = getpid();
    if (pipe(ends) != 0) {
        return -1;
    }
    if (fork() == 0) {
        close(ends[1]);
        help(ends[0], rank);
    }
    close(ends[0]);
    return ends[1];
}

static void ask(int helper, const char *place)
{
    check(write(helper, place, 1) == 1, "the helper is gone");
}

static enum ww_status reduce_until_it_fails(struct ww_context *context, float *values,
                                            double *begin)
{
    enum ww_status status = WW_OK;
    while (status == WW_OK) {
        *begin = seconds_now();
        status = ww_all_reduce(context, values, values, COUNT, WW_F32, WW_MAX);
    }
    return status;
}

static enum ww_status take_step(struct ww_context *context, float *values, int helper)
{
    struct ww_tensor *tensors[2];
    size_t count = COUNT / 2;
    check(ww_tensor_add(context, "a", WW_F32, 1, &count, &tensors[0]) == WW_OK, "a");
    check(ww_tensor_add(context, "b", WW_F32, 1, &count, &tensors[1]) == WW_OK, "b");
    check(ww_tensors_commit(context) == WW_OK, "commit");
    check(ww_step_begin(context) == WW_OK, "begin");
    check(ww_tensor_start(tensors[1], values) == WW_OK, "start");
    if (ww_rank(context) == 1) {
        ask(helper, "s");
        raise(SIGSTOP);
    }
    enum ww_status status = ww_tensor_start(tensors[0], values + count);
    return status == WW_OK ? ww_step_end(context, NULL) : status;
}

static enum ww_status run(struct ww_context *context, const char *place, float *values, int helper,
                          double *begin)
{
    bool stops = ww_rank(context) == 1;
    *begin = seconds_now();
    if (strcmp(place, "step") == 0) {
        return take_step(context, values, helper);
    }
    if (strcmp(place, "data") == 0) {
        if (stops) {
            ask(helper, "d");
        }
        return reduce_until_it_fails(context, values, begin);
    }
    if (stops) {
        ask(helper, "g");
        raise(SIGSTOP);
    }
    return ww_all_reduce(context, values, values, 3, WW_F32, WW_SUM);
}

static void lose_rank_1(const char *place, int helper, float *values)
{
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    double begin = 0;
    config.timeout_s = TIMEOUT_S;
    config.progress = WW_PROGRESS_INLINE;
    check(ranks_world(&world) == WW_OK, "world");
    check(ww_context_create(&world, &config, &context) == WW_OK, "context");
    enum ww_status status = run(context, place, values, helper, &begin);
    double waited_s = seconds_now() - begin;
    check(status == WW_TIMED_OUT, "rank %d: %s, \"%s\"", world.rank, ww_status_name(status),
          ww_last_error(context));
    if (world.rank != 1) {
        check(waited_s < TIMEOUT_S + 1, "rank %d waited %.3f s", world.rank, waited_s);
        check(strstr(ww_last_error(context), "rank 1 (") != NULL, "\"%s\"", ww_last_error(context));
    }
    check_line("timeout_s");
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    int helper = fork_helper();
    checks_begin();
    ranks_begin(&argc, &argv);
    float *values = calloc(COUNT, sizeof *values);
    lose_rank_1(argv[1], helper, values);
    ranks_end();
    free(values); /* not before: MPI cannot take back what was under way */
    close(helper);
    wait(NULL);
    return checks_end();
}
