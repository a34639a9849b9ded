/* SPDX-License-Identifier: BSD-3-Clause
 * test_env_processes.c: ranks that are processes: they work together, what they tell of it adds
 * up, and one that is killed is missed. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <wirewise/env.h>

#include "capture.h"
#include "port.h"
#include "transport/env_world.h"

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

static void expect_all_well(rank_work *work)
{
    int codes[RANKS];
    run_ranks(work, codes);
    for (int rank = 0; rank < RANKS; rank++) {
        cr_expect_eq(codes[rank], 0, "rank %d ended with %d", rank, codes[rank]);
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
    expect_all_well(all_reduce);
}

/* So many steps that ways whose segments end elsewhere than the plan's are tried as well. */
static int tell_dense_steps(const struct ww_world *world)
{
    const size_t count = 110550;
    struct ww_context *context = open_context(world, 30);
    struct ww_tensor *tensor = NULL;
    if (context == NULL || ww_tensor_add(context, "t", WW_F32, 1, &count, &tensor) != WW_OK ||
        ww_tensors_commit(context) != WW_OK) {
        return 1;
    }
    float *values = calloc(count, sizeof *values);
    int wrong = 0;
    for (int step = 0; step < 12; step++) {
        struct ww_report report = WW_REPORT_INIT;
        wrong += ww_step_begin(context) != WW_OK || ww_tensor_start(tensor, values) != WW_OK ||
                 ww_step_end(context, &report) != WW_OK;
        const struct ww_level_report *host = &report.level[report.levels - 1];
        wrong += host->sent_bytes != host->dense32_bytes ||
                 host->planned_bytes != host->dense32_bytes ||
                 host->dense16_bytes != host->dense32_bytes / 2;
    }
    ww_context_destroy(context);
    free(values);
    return wrong == 0 ? 0 : 2;
}

Test(env_processes, a_dense_step_saves_no_byte_and_loses_none)
{
    expect_all_well(tell_dense_steps);
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
    expect_all_well(gather_in_a_child);
}

/* ---- No room -------------------------------------------------------------------------------- */

/* So many descriptors more may be opened. */
static void leave_descriptors(int count)
{
    struct rlimit limit;
    int last = -1;
    int *made = calloc((size_t)count, sizeof *made);
    for (int index = 0; index < count; index++) {
        last = made[index] = dup(STDIN_FILENO);
    }
    for (int index = 0; index < count; index++) {
        close(made[index]);
    }
    free(made);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)last + 1;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A rank 0 of a world of so many; its exit code is 0 when it has no room for them. */
static pid_t cramped_start(const char *address, int size)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct ww_env env = {sizeof env, 0, size, address, "a test", 30};
        struct ww_env_world *made = NULL;
        struct ww_world world;
        alarm(60);
        leave_descriptors(2); /* to listen, and for one rank */
        bool full = ww_env_world_create(&env, &made, &world) == WW_TRANSPORT_FAILED &&
                    strstr(ww_last_error(NULL), "cannot take in more connections") != NULL;
        _exit(full ? 0 : 1);
    }
    return pid;
}

/* What a rank says first, to a rank 0 of the same job. */
static struct env_hello hello_of(int rank, int size)
{
    struct ww_env env = {sizeof env, rank, size, "127.0.0.1:1", "a test", 30};
    struct env_launch launch;
    cr_assert_eq(env_launch_read(&env, &launch), WW_OK);
    return (struct env_hello){.magic = ENV_MAGIC,
                              .version = ENV_VERSION,
                              .rank = rank,
                              .size = size,
                              .job = launch.job,
                              .host = "here"};
}

Test(env_processes, who_came_hears_that_rank_0_has_no_room_for_more)
{
    struct port_address address = port_free();
    struct env_hello hello = hello_of(1, 3);
    struct env_word word = {.magic = 0};
    char sentence[ENV_TEXT_BYTES] = "";
    int status = -1;
    pid_t pid = cramped_start(address.text, 3);
    int first = port_connect(&address);
    send(first, &hello, sizeof hello, MSG_NOSIGNAL);
    int second = port_connect(&address);
    recv(first, &word, sizeof word, MSG_WAITALL);
    cr_assert(word.magic == ENV_MAGIC && word.bytes < sizeof sentence);
    recv(first, sentence, word.bytes, MSG_WAITALL);
    cr_expect_eq(word.status, WW_TRANSPORT_FAILED);
    cr_expect_not_null(strstr(sentence, "rank 0 cannot take in more connections"), "%s", sentence);
    waitpid(pid, &status, 0);
    cr_expect_eq(status, 0);
    close(first);
    close(second);
}

/* Another version's hello may be shorter: it is answered all the same. */
Test(env_processes, who_says_less_in_another_version_hears_so)
{
    struct port_address address = port_free();
    struct env_hello hello = hello_of(1, 2);
    struct env_word word = {.magic = 0};
    char sentence[ENV_TEXT_BYTES] = "";
    pid_t pid = fork();
    if (pid == 0) {
        struct ww_env env = {sizeof env, 0, 2, address.text, "a test", 30};
        struct ww_env_world *made = NULL;
        struct ww_world world;
        alarm(60);
        ww_env_world_create(&env, &made, &world);
        _exit(1);
    }
    hello.version = ENV_VERSION - 1;
    int caller = port_connect(&address);
    send(caller, &hello, sizeof hello - 8, MSG_NOSIGNAL);
    recv(caller, &word, sizeof word, MSG_WAITALL);
    cr_assert(word.magic == ENV_MAGIC && word.bytes < sizeof sentence);
    recv(caller, sentence, word.bytes, MSG_WAITALL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cr_expect_eq(word.status, WW_MISMATCH);
    cr_expect_not_null(strstr(sentence, "all ranks need the same version"), "%s", sentence);
    close(caller);
}

Test(env_processes, a_world_larger_than_what_may_be_open_has_no_room)
{
    int status = -1;
    struct port_address address = port_free();
    pid_t pid = cramped_start(address.text, 100000);
    waitpid(pid, &status, 0);
    cr_expect_eq(status, 0);
}
