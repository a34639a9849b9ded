/* SPDX-License-Identifier: BSD-3-Clause
 * test_env_launch.c: what launchers leave in the environment, and what is said where it makes no
 * sense. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "transport/env_world.h"

TestSuite(env_launch, .init = capture_start, .fini = capture_finish);

static const char *const variables[] = {"RANK",
                                        "WORLD_SIZE",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "SLURM_PROCID",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_NTASKS",
                                        "SLURM_JOB_ID",
                                        "SLURM_STEP_ID",
                                        "TORCHELASTIC_RUN_ID",
                                        "MASTER_ADDR",
                                        "MASTER_PORT",
                                        "WIREWISE_ADDRESS",
                                        "WIREWISE_JOB",
                                        "WIREWISE_ENV_TIMEOUT_S",
                                        NULL};

/* The text is "NAME=value NAME=value ...". */
static enum ww_status read_with(const char *text, struct env_launch *launch)
{
    char copy[512], *left = NULL;
    for (int index = 0; variables[index] != NULL; index++) {
        unsetenv(variables[index]);
    }
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &left); word != NULL; word = strtok_r(NULL, " ", &left)) {
        char *value = strchr(word, '=');
        *value = '\0';
        setenv(word, value + 1, 1);
    }
    return env_launch_read(NULL, launch);
}

Test(env_launch, launchers_are_understood)
{
    static const struct {
        const char *environment;
        int rank;
        int size;
        const char *host;
        const char *port;
        double timeout_s;
    } rows[] = {
        {"RANK=3 WORLD_SIZE=8 MASTER_ADDR=node1 MASTER_PORT=29500", 3, 8, "node1", "29501", 60},
        {"RANK=3 WORLD_SIZE=8 MASTER_ADDR=fe80::1 MASTER_PORT=1", 3, 8, "fe80::1", "2", 60},
        {"RANK=0 WORLD_SIZE=1", 0, 1, "", "", 60},
        {"RANK=1 WORLD_SIZE=2 WIREWISE_ADDRESS=a.b:77 MASTER_ADDR=c MASTER_PORT=9", 1, 2, "a.b",
         "77", 60},
        {"RANK=1 WORLD_SIZE=2 WIREWISE_ADDRESS=[::1]:65535 WIREWISE_ENV_TIMEOUT_S=0.5", 1, 2, "::1",
         "65535", 0.5},
        {"OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=6 WIREWISE_ADDRESS=h:5", 5, 6, "h", "5", 60},
        {"PMI_RANK=1 PMI_SIZE=3 WIREWISE_ADDRESS=h:5", 1, 3, "h", "5", 60},
        {"SLURM_PROCID=2 SLURM_NTASKS=4 WIREWISE_ADDRESS=h:5", 2, 4, "h", "5", 60},
        {"SLURM_PROCID=1 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=2 WIREWISE_ADDRESS=h:5", 1, 2, "h",
         "5", 60},
        {"RANK=1 WORLD_SIZE=2 SLURM_PROCID=0 SLURM_NTASKS=1 WIREWISE_ADDRESS=h:5", 1, 2, "h", "5",
         60},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        struct env_launch launch = {0};
        cr_expect_eq(read_with(rows[row].environment, &launch), WW_OK, "%s", rows[row].environment);
        cr_expect(launch.rank == rows[row].rank && launch.size == rows[row].size, "%s: %d of %d",
                  rows[row].environment, launch.rank, launch.size);
        cr_expect(strcmp(launch.host, rows[row].host) == 0 &&
                      strcmp(launch.port, rows[row].port) == 0,
                  "%s: %s : %s", rows[row].environment, launch.host, launch.port);
        cr_expect_eq(launch.timeout_s, rows[row].timeout_s);
    }
    expect_no_warnings();
}

Test(env_launch, what_makes_no_sense_is_named)
{
    static const struct {
        const char *environment;
        const char *words;
    } rows[] = {
        {"", "nothing tells which rank this is"},
        {"RANK=1", "RANK is set, but WORLD_SIZE is not"},
        {"WORLD_SIZE=1", "WORLD_SIZE is set, but RANK is not"},
        {"RANK=x WORLD_SIZE=2", "RANK=x is no rank"},
        {"RANK=-1 WORLD_SIZE=2", "RANK=-1 is no rank"},
        {"RANK=0 WORLD_SIZE=0", "WORLD_SIZE=0 is no size"},
        {"RANK=0 WORLD_SIZE=2x", "WORLD_SIZE=2x is no size"},
        {"RANK=0 WORLD_SIZE=99999999999", "is no size"},
        {"RANK=2 WORLD_SIZE=2", "rank 2 of a world of 2, which has ranks 0 to 1"},
        {"RANK=0 WORLD_SIZE=2", "nothing tells where rank 0 is"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "nothing tells where rank 0 is"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=65535", "the port behind it"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=http", "MASTER_PORT=http"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=a", "the address \"a\" of rank 0 is none"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=:5", "is none"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=::1:5", "[address]:port for IPv6"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=[]:5", "is none"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=a:0", "is none"},
        {"RANK=0 WORLD_SIZE=2 WIREWISE_ADDRESS=a:65536", "is none"},
        {"RANK=0 WORLD_SIZE=1 WIREWISE_ENV_TIMEOUT_S=0", "a time-out of 0"},
        {"RANK=0 WORLD_SIZE=1 WIREWISE_ENV_TIMEOUT_S=5m", "a time-out of 5m"},
        {"RANK=0 WORLD_SIZE=1 WIREWISE_ENV_TIMEOUT_S=nan", "a time-out of nan"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        struct env_launch launch = {.rank = 77};
        cr_expect_eq(read_with(rows[row].environment, &launch), WW_BAD_ARGUMENT, "%s",
                     rows[row].environment);
        cr_expect_eq(launch.rank, 77, "written although it failed");
        expect_line(WW_LOG_ERROR, rows[row].words);
    }
}

Test(env_launch, jobs_are_told_apart)
{
    static const char *const rows[] = {"",
                                       "WIREWISE_JOB=a",
                                       "TORCHELASTIC_RUN_ID=b",
                                       "SLURM_JOB_ID=7",
                                       "SLURM_JOB_ID=7 SLURM_STEP_ID=1",
                                       "SLURM_JOB_ID=71"};
    uint64_t jobs[sizeof rows / sizeof *rows];
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        char text[128];
        struct env_launch launch = {0};
        snprintf(text, sizeof text, "RANK=0 WORLD_SIZE=1 %s", rows[row]);
        cr_assert_eq(read_with(text, &launch), WW_OK);
        jobs[row] = launch.job;
        for (size_t other = 0; other < row; other++) {
            cr_expect_neq(jobs[other], launch.job, "\"%s\" is \"%s\"", rows[other], rows[row]);
        }
    }
    struct env_launch launch = {0};
    read_with("RANK=0 WORLD_SIZE=1 WIREWISE_JOB=a SLURM_JOB_ID=7", &launch);
    cr_expect_eq(launch.job, jobs[1], "the own variable goes first");
}

Test(env_launch, what_the_program_says_goes_first)
{
    struct env_launch launch = {0};
    struct ww_env env = WW_ENV_INIT;
    read_with("RANK=1 WORLD_SIZE=2 WIREWISE_ADDRESS=h:5", &launch);
    env.rank = 6;
    env.size = 7;
    env.address = "x:8";
    env.timeout_s = 9;
    cr_assert_eq(env_launch_read(&env, &launch), WW_OK);
    cr_expect(launch.rank == 6 && launch.size == 7 && launch.timeout_s == 9);
    cr_expect_str_eq(launch.host, "x");
    env.struct_bytes--;
    cr_expect_eq(env_launch_read(&env, &launch), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "start from WW_ENV_INIT");
}

Test(env_launch, variables_of_a_world_are_no_mistyped_settings)
{
    struct env_launch launch = {0};
    struct ww_env_world *env = NULL;
    struct ww_world world;
    struct ww_context *context = NULL;
    read_with("RANK=0 WORLD_SIZE=1 WIREWISE_ADDRESS=h:5 WIREWISE_JOB=a WIREWISE_ENV_TIMEOUT_S=3",
              &launch);
    cr_assert_eq(ww_env_world_create(NULL, &env, &world), WW_OK);
    cr_expect_eq(ww_context_create(&world, NULL, &context), WW_OK);
    ww_context_destroy(context);
    ww_env_world_destroy(env);
    expect_no_warnings();
    cr_expect_eq(ww_env_world_create(NULL, NULL, &world), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "made is NULL");
}
