/* SPDX-License-Identifier: BSD-3-Clause
 * env_launch.c: reads from the environment who this rank is and where rank 0 can be found. */
#include "env_world.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/number.h"

#define TIMEOUT_S 60.0
#define TIMEOUT_LONGEST_S 1e6
#define PORT_MAX 65535

/* The first pair that is there counts. srun's tasks have a step, its batch script has not: so that
 * comes before SLURM_NTASKS, which both have. */
static const struct {
    const char *rank;
    const char *size;
} launchers[] = {
    {"RANK", "WORLD_SIZE"},           {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE"},         {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
    {"SLURM_PROCID", "SLURM_NTASKS"},
};

/* What names a job; a second variable is a part of the name. */
static const char *const jobs[][2] = {
    {"WIREWISE_JOB", NULL},
    {"TORCHELASTIC_RUN_ID", NULL},
    {"SLURM_JOB_ID", "SLURM_STEP_ID"},
};

static const char *variable(const char *name)
{
    const char *text = name == NULL ? NULL : getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

static bool read_whole(const char *text, long least, long most, int *value)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < least || number > most) {
        return false;
    }
    *value = (int)number;
    return true;
}

/* ---- Rank and size -------------------------------------------------------------------------- */

static enum ww_status ranks_are_missing(void)
{
    const char *here = variable("RANK") != NULL ? "RANK" : "WORLD_SIZE";
    const char *missing = variable("RANK") != NULL ? "WORLD_SIZE" : "RANK";
    if (variable(here) != NULL) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s is set, but %s is not: whatever started this process must set both",
                           here, missing);
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "nothing tells which rank this is: start the processes with torchrun or "
                       "srun, or set RANK and WORLD_SIZE for each");
}

static enum ww_status take_variables(size_t row, struct env_launch *launch)
{
    const char *names[2] = {launchers[row].rank, launchers[row].size};
    int *values[2] = {&launch->rank, &launch->size};
    for (int which = 0; which < 2; which++) {
        if (!read_whole(variable(names[which]), which, INT_MAX, values[which])) {
            return log_failure(WW_BAD_ARGUMENT, "%s=%s is no %s: a whole number from %d on",
                               names[which], variable(names[which]), which == 0 ? "rank" : "size",
                               which);
        }
    }
    return WW_OK;
}

static enum ww_status read_ranks(const struct ww_env *env, struct env_launch *launch)
{
    size_t row = 0, rows = sizeof launchers / sizeof launchers[0];
    while (row < rows &&
           (variable(launchers[row].rank) == NULL || variable(launchers[row].size) == NULL)) {
        row++;
    }
    if (env->rank < 0 || env->size <= 0) {
        enum ww_status status = row < rows ? take_variables(row, launch) : ranks_are_missing();
        if (status != WW_OK) {
            return status;
        }
    }
    launch->rank = env->rank >= 0 ? env->rank : launch->rank;
    launch->size = env->size > 0 ? env->size : launch->size;
    if (launch->rank >= launch->size) {
        return log_failure(
            WW_BAD_ARGUMENT,
            "this is rank %d of a world of %d, which has ranks 0 to %d: is WORLD_SIZE "
            "the number of all processes?",
            launch->rank, launch->size, launch->size - 1);
    }
    return WW_OK;
}

/* ---- The address of rank 0 ------------------------------------------------------------------ */

static bool keep_address(struct env_launch *launch, const char *host, size_t host_bytes, int port)
{
    if (host_bytes == 0 || host_bytes >= sizeof launch->host || port < 1 || port > PORT_MAX) {
        return false;
    }
    memcpy(launch->host, host, host_bytes);
    launch->host[host_bytes] = '\0';
    snprintf(launch->port, sizeof launch->port, "%d", port);
    return true;
}

/* "host:port", "1.2.3.4:port", "[1::2]:port" */
static bool take_address(const char *text, struct env_launch *launch)
{
    const char *colon = strrchr(text, ':');
    int port = 0;
    if (colon == NULL || !read_whole(colon + 1, 1, PORT_MAX, &port)) {
        return false;
    }
    size_t bytes = (size_t)(colon - text);
    if (text[0] == '[') {
        return bytes > 2 && colon[-1] == ']' && keep_address(launch, text + 1, bytes - 2, port);
    }
    return memchr(text, ':', bytes) == NULL && keep_address(launch, text, bytes, port);
}

/* The store of torchrun listens on the port itself. */
static enum ww_status take_master(const char *host, const char *port_text,
                                  struct env_launch *launch)
{
    int port = 0;
    if (!read_whole(port_text, 1, PORT_MAX - 1, &port)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "MASTER_PORT=%s: rank 0 listens on the port behind it, so a number from "
                           "1 to %d is needed",
                           port_text, PORT_MAX - 1);
    }
    if (!keep_address(launch, host, strlen(host), port + 1)) {
        return log_failure(WW_BAD_ARGUMENT, "MASTER_ADDR=%s is too long for a name", host);
    }
    return WW_OK;
}

static enum ww_status read_address(const struct ww_env *env, struct env_launch *launch)
{
    const char *address = env->address != NULL ? env->address : variable("WIREWISE_ADDRESS");
    const char *host = variable("MASTER_ADDR"), *port = variable("MASTER_PORT");
    if (launch->size == 1) {
        return WW_OK; /* nobody is to be met */
    }
    if (address != NULL) {
        return take_address(address, launch)
                   ? WW_OK
                   : log_failure(WW_BAD_ARGUMENT,
                                 "the address \"%s\" of rank 0 is none: write host:port, or "
                                 "[address]:port for IPv6",
                                 address);
    }
    if (host != NULL && port != NULL) {
        return take_master(host, port, launch);
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "nothing tells where rank 0 is: set MASTER_ADDR and MASTER_PORT, or "
                       "WIREWISE_ADDRESS=host:port, to the same on all %d ranks",
                       launch->size);
}

/* ---- The rest ------------------------------------------------------------------------------- */

/* FNV-1a */
static uint64_t hash(uint64_t from, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        from = (from ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    }
    return (from ^ 0xff) * UINT64_C(0x100000001b3); /* "a", "b" is not "ab" */
}

static uint64_t read_job(const struct ww_env *env)
{
    const char *parts[2] = {env->job, NULL};
    size_t rows = sizeof jobs / sizeof jobs[0];
    for (size_t row = 0; parts[0] == NULL && row < rows; row++) {
        parts[0] = variable(jobs[row][0]);
        parts[1] = variable(jobs[row][1]);
    }
    return hash(hash(UINT64_C(0xcbf29ce484222325), parts[0]), parts[1]);
}

static enum ww_status read_timeout(const struct ww_env *env, struct env_launch *launch)
{
    const char *text = variable("WIREWISE_ENV_TIMEOUT_S");
    launch->timeout_s = env->timeout_s;
    if (env->timeout_s == 0) {
        char *end = NULL;
        launch->timeout_s = text == NULL ? TIMEOUT_S : number_read(text, &end);
        if (text != NULL && (end == text || *end != '\0')) {
            launch->timeout_s = NAN;
        }
    }
    if (!(launch->timeout_s > 0 && launch->timeout_s <= TIMEOUT_LONGEST_S)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "a time-out of %s for ranks to come: a number of seconds above 0, %g at "
                           "most, is needed",
                           env->timeout_s == 0 && text != NULL ? text : "ww_env",
                           TIMEOUT_LONGEST_S);
    }
    return WW_OK;
}

enum ww_status env_launch_read(const struct ww_env *env, struct env_launch *launch)
{
    static const struct ww_env nothing = WW_ENV_INIT;
    struct env_launch read = {.rank = 0, .size = 1};
    env = env == NULL ? &nothing : env;
    if (env->struct_bytes != sizeof *env) {
        return log_failure(WW_BAD_ARGUMENT,
                           "env->struct_bytes is %zu, this library knows %zu: start from "
                           "WW_ENV_INIT and build against this version's header",
                           env->struct_bytes, sizeof *env);
    }
    enum ww_status status = read_ranks(env, &read);
    status = status == WW_OK ? read_address(env, &read) : status;
    status = status == WW_OK ? read_timeout(env, &read) : status;
    if (status == WW_OK) {
        read.job = read_job(env);
        *launch = read;
    }
    return status;
}
